"""How a pump and its line stand by what has passed so far: state, rate, reservoir, alarms, errors of the link."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from hil.capture.link_errors import LinkErrors
from hil.capture.messages import FrameState, NumberedMark, RecordedMessage
from hil.quantity_words import are, counted, ml, ml_per_day
from protocol.capture.recording import EVENT, Beginning
from protocol.identifiers import AlarmFlag, AlarmId
from protocol.messages.alarms import GetAlarmsReply
from protocol.messages.reading import GetStatusReply

if TYPE_CHECKING:
    from hil.capture.messages import Read

UNKNOWN = "not told yet"
ALARM_BITS = 32


class LineState:
    """Takes entries one after another; `rows` are what is known after the last of them."""

    def __init__(self) -> None:
        self._status: GetStatusReply | None = None
        self._rate_nl_per_day: int | None = None
        self._alarms: dict[str, None] | None = None
        """Those that are active, in the order of their numbers or of their beginning; None before any was told."""
        self._errors: Counter[str] = Counter()
        self._link = LinkErrors()
        self._messages = 0
        self._sealed = 0

    def take(self, entry: Read) -> None:
        """One more has passed."""
        if isinstance(entry, Beginning):
            self._status = self._rate_nl_per_day = self._alarms = None
        elif isinstance(entry, RecordedMessage | NumberedMark):
            self._errors.update(error.name for error in self._link.take(entry))
            if isinstance(entry, NumberedMark):
                self._take_event(entry)
            else:
                self._take_message(entry)

    def _take_message(self, entry: RecordedMessage) -> None:
        self._messages += entry.message is not None
        self._sealed += entry.state is FrameState.SEALED
        match entry.message:
            case GetStatusReply() as status:
                self._status, self._rate_nl_per_day = status, status.rate_nl_per_day
                self._alarms = {
                    _alarm_name(bit): None for bit in range(ALARM_BITS) if status.alarm_active >> bit & 1
                }
            case GetAlarmsReply() as listed:
                active = [alarm.alarm_id.name for alarm in listed.alarms if AlarmFlag.ACTIVE in alarm.flags]
                self._alarms = dict.fromkeys(active)

    def _take_event(self, entry: NumberedMark) -> None:
        """What the pump's world tells between two answers."""
        if entry.mark.kind != EVENT:
            return
        try:
            event = json.loads(entry.mark.text)
            kind, fields = event["kind"], event["fields"]
            if kind == "AlarmRaised":
                self._alarms = {**(self._alarms or {}), str(fields["alarm_id"]): None}
            elif kind == "AlarmCleared":
                (self._alarms or {}).pop(str(fields["alarm_id"]), None)
            elif kind == "RateStepped":
                self._rate_nl_per_day = int(fields["new_nl_per_day"])
            elif kind == "LogWritten" and fields["log_type"] == "RATE_CHANGE":
                self._rate_nl_per_day = int(fields["data"]["new_nl_per_day"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return  # a mark of somebody else, who calls it an event

    def rows(self) -> list[tuple[str, str]]:
        """Labels and texts, for people."""
        status = self._status
        state = UNKNOWN if status is None else f"{status.state}, mode {status.mode}"
        rate = UNKNOWN if self._rate_nl_per_day is None else ml_per_day(self._rate_nl_per_day)
        left = UNKNOWN if status is None else f"{ml(status.reservoir_calc_nl)} by the pump's own count"
        alarms = UNKNOWN if self._alarms is None else ", ".join(self._alarms) or "none"
        errors = ", ".join(f"{name} {count}" for name, count in self._errors.items()) or "none"
        passed = counted(self._messages, "message")
        if self._sealed:
            passed += f"; {counted(self._sealed, 'frame')} {are(self._sealed)} sealed, and no key opens them"
        return [
            ("state", state),
            ("rate", rate),
            ("reservoir", left),
            ("alarms", alarms),
            ("link errors", errors),
            ("passed", passed),
        ]


def _alarm_name(bit: int) -> str:
    try:
        return AlarmId(bit).name
    except ValueError:
        return f"alarm {bit}"
