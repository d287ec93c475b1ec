"""Time runs: a pump's time passes to a given time, its next event or its next alarm, as fast as possible.

A time run is made in steps, so that whoever makes it can look after other things in between; how the steps are
cut changes nothing that the pump does.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from firmware_emu.controller.events import AlarmRaised, ProgramEvent
from firmware_emu.now import Now
from firmware_emu.units import MS_PER_DAY

if TYPE_CHECKING:
    from firmware_emu.bench.pump_host import PumpHost
    from firmware_emu.events import TraceEntry

STEP_MAX_MS = 30 * MS_PER_DAY
EVENTS_MAX = 1_000  # what one time run tells of; more are in the pump's log


class Until(StrEnum):
    """What ends a time run before its limit."""

    TIME = "time"
    EVENT = "event"
    ALARM = "alarm"


class TimeRun:
    """One time run: where it is and ends, what ends it earlier, and what has happened in it."""

    __slots__ = ("end", "events", "now", "over", "reached", "until")

    def __init__(self, start: Now, limit_ms: int, until: Until = Until.TIME) -> None:
        """Pump time and line time move together, for at most `limit_ms`."""
        self.end = start.later(limit_ms)
        self.now = start
        self.until = until
        self.events: list[TraceEntry] = []
        self.over = False
        self.reached = False

    def step(self, host: PumpHost) -> bytes:
        """One step on the way; returns what the pump sent."""
        now_ms = host.pump.now_ms
        end_ms, line_offset_ms = self.end.pump_ms, self.end.line_ms - self.end.pump_ms
        next_ms = min(end_ms, now_ms + STEP_MAX_MS)
        if self.until is not Until.TIME:
            if host.wake_at_ms is not None:
                next_ms = min(next_ms, max(now_ms, host.wake_at_ms))
            if host.wake_line_ms is not None:
                next_ms = min(next_ms, max(now_ms, host.wake_line_ms - line_offset_ms))
        self.now = Now(next_ms, next_ms + line_offset_ms)
        sent = host.step(self.now)
        wanted = AlarmRaised if self.until is Until.ALARM else ProgramEvent
        happened = [entry for entry in host.trace if isinstance(entry.event, wanted)]
        self.events += happened[: EVENTS_MAX - len(self.events)]
        self.reached = next_ms >= end_ms if self.until is Until.TIME else bool(happened)
        self.over = self.reached or next_ms >= end_ms
        return sent
