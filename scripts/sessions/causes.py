"""What the author of a session knows of its alarms, found again in the file: where each stands, and where its cause."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hil.capture.messages import NumberedMark, RecordedMessage, read_messages
from hil.frame_words import opcode_name
from protocol.capture.recording import EVENT
from protocol.identifiers import Kind
from protocol.wire.frame import Frame

if TYPE_CHECKING:
    from pathlib import Path

    from scripts.sessions.stories import Alarm, Cause, Story


class _Places:
    """Where in a recording alarms, faults, requests and entries of the main log stand, each in order."""

    def __init__(self, path: Path) -> None:
        self.alarms: list[tuple[str, int]] = []
        self.of: dict[tuple[str, str], list[dict[str, int]]] = {}
        asked: set[tuple[int, int]] = set()
        for entry in read_messages(path):
            if isinstance(entry, NumberedMark) and entry.mark.kind == EVENT:
                self._event(entry.number, json.loads(entry.mark.text))
            elif isinstance(entry, RecordedMessage) and isinstance(entry.frame, Frame):
                frame = entry.frame
                if (
                    frame.kind == Kind.REQUEST and (frame.sid, frame.ctr) not in asked
                ):  # sent again, it is the same
                    asked.add((frame.sid, frame.ctr))
                    self._add("request", opcode_name(frame), packet=entry.number)

    def _event(self, number: int, event: Any) -> None:
        fields = event["fields"]
        match event["kind"]:
            case "AlarmRaised":
                self.alarms.append((fields["alarm_id"], number))
            case "FaultInjected":
                self._add("fault", fields["name"], packet=number)
            case "LogWritten":
                self._add("log entry", fields["log_type"], packet=number, seq=fields["seq"])

    def _add(self, kind: str, name: str, **place: int) -> None:
        self.of.setdefault((kind, name), []).append(place)

    def cause(self, cause: Cause) -> dict[str, int]:
        """Where a cause stands."""
        return self.of[cause.kind, cause.name][cause.nth - 1]


def told_causes(path: Path, story: Story) -> str:
    """The TOML beside a session. AssertionError where the session has other alarms than its author says."""
    places = _Places(path)
    names = [alarm for alarm, _ in places.alarms]
    expected = [each.alarm.name for each in story.alarms]
    if names != expected:
        raise AssertionError(f"{path.name} has the alarms {names}, and its author says {expected}")
    lines = ["# made by scripts/record_sessions.py", f'purpose = "{story.purpose}"', f"seed = {story.seed}"]
    for number, (alarm, (_, packet)) in enumerate(zip(story.alarms, places.alarms, strict=True), 1):
        lines += _alarm_lines(number, alarm, packet, places.cause(alarm.cause))
    return "\n".join(lines) + "\n"


def _alarm_lines(number: int, alarm: Alarm, packet: int, place: dict[str, int]) -> list[str]:
    return [
        "",
        "[[alarms]]",
        f"number = {number}",
        f'alarm = "{alarm.alarm.name}"',
        f"packet = {packet}",
        "",
        "[alarms.cause]",
        f'kind = "{alarm.cause.kind}"',
        f'name = "{alarm.cause.name}"',
        *(f"{name} = {value}" for name, value in place.items()),
    ]
