"""Letting a pump's time pass by hand: to a given time, to its next event, to its next alarm, as fast as possible.

A time run is made in steps, so that whoever makes it can look after other things in between; how the steps are
cut changes nothing that the pump does.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from firmware_emu.units import MS_PER_DAY

if TYPE_CHECKING:
    from firmware_emu.bench.pump_host import PumpHost
    from firmware_emu.pump import TraceEntry

STEP_MAX_MS = 30 * MS_PER_DAY
EVENTS_MAX = 1_000  # what one time run tells of; more are in the pump's log


class Until(StrEnum):
    """What ends a time run before its limit."""

    TIME = "time"
    EVENT = "event"
    ALARM = "alarm"


class TimeRun:
    """A stretch of time that passes at no speed in particular."""

    __slots__ = ("end_ms", "events", "line_offset_ms", "now_ms", "over", "reached", "until")

    def __init__(self, end_ms: int, until: Until = Until.TIME, line_offset_ms: int = 0) -> None:
        self.end_ms = end_ms
        self.now_ms = 0
        self.until = until
        self.line_offset_ms = line_offset_ms
        """Line time less pump time, which move together here."""
        self.events: list[TraceEntry] = []
        self.over = False
        self.reached = False

    def step(self, host: PumpHost) -> bytes:
        """One step on the way; returns what the pump sent."""
        now_ms = host.pump.now_ms
        next_ms = min(self.end_ms, now_ms + STEP_MAX_MS)
        if self.until is not Until.TIME:
            if host.wake_at_ms is not None:
                next_ms = min(next_ms, max(now_ms, host.wake_at_ms))
            if host.wake_line_ms is not None:
                next_ms = min(next_ms, max(now_ms, host.wake_line_ms - self.line_offset_ms))
        line_ms = next_ms + self.line_offset_ms if self.line_offset_ms else None
        sent = host.step(next_ms, b"", line_ms)
        self.now_ms = next_ms
        happened = [entry for entry in host.trace if entry.kind == "event"]
        if self.until is Until.ALARM:
            happened = [entry for entry in happened if is_alarm(entry)]
        self.events += happened[: EVENTS_MAX - len(self.events)]
        self.reached = next_ms >= self.end_ms if self.until is Until.TIME else bool(happened)
        self.over = self.reached or next_ms >= self.end_ms
        return sent


def is_alarm(entry: TraceEntry) -> bool:
    """Whether an event is the beginning of an alarm's occurrence."""
    return entry.kind == "event" and entry.text.startswith("ALARM_ON")
