"""Time runs: a pump's time passes to a given time, or until what is awaited has happened, as fast as possible.

A time run is made in steps, so that whoever makes it can look after other things in between; how the steps are
cut changes nothing that the pump does, nor where the run ends.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from firmware_emu.now import Now
from firmware_emu.units import MS_PER_DAY

if TYPE_CHECKING:
    from firmware_emu.awaited import Awaited
    from firmware_emu.bench.pump_host import PumpHost
    from firmware_emu.events import TraceEntry
    from firmware_emu.trace import Step

STEP_MAX_MS = 30 * MS_PER_DAY
EVENTS_MAX = 1_000  # what one time run tells of, the newest; the trace has the others


class TimeRun:
    """One time run: where it is and ends, what ends it earlier, and what of that has happened in it."""

    __slots__ = ("_last", "_mark", "end", "events", "now", "over", "reached", "until")

    def __init__(self, host: PumpHost, start: Now, limit_ms: int, until: Awaited | None = None) -> None:
        """Pump time and line time move together, for at most `limit_ms`; to be closed if it is not over."""
        self.end = start.later(limit_ms)
        self.now = start
        self.until = until
        self.events: deque[TraceEntry] = deque(maxlen=EVENTS_MAX)
        self.over = False
        self.reached = False
        self._mark = 0 if host.ring is None else host.ring.mark
        self._last: Step | None = None  # until it was looked at
        if until is not None and until.every_stroke:
            host.pump.every_stroke = True

    def close(self, host: PumpHost) -> None:
        """Let the pump pass over strokes that decide nothing again."""
        host.pump.every_stroke = False

    def step(self, host: PumpHost) -> bytes:
        """One step on the way; returns what the pump sent."""
        until, sent = self.until, b""
        if until is not None and host.last is not self._last:
            # begun just now, or something came over the line since: what is so by now comes first
            if self._last is None:
                sent = host.step(self.now)
            self._look(host, until)
            if self.over:
                return sent
        now_ms = host.pump.now_ms
        end_ms, line_offset_ms = self.end.pump_ms, self.end.line_ms - self.end.pump_ms
        next_ms = min(end_ms, now_ms + STEP_MAX_MS)
        if until is not None:
            if host.wake_at_ms is not None:
                next_ms = min(next_ms, max(now_ms, host.wake_at_ms))
            if host.wake_line_ms is not None:
                next_ms = min(next_ms, max(now_ms, host.wake_line_ms - line_offset_ms))
        self.now = Now(next_ms, next_ms + line_offset_ms)
        sent += host.step(self.now)
        if until is None:
            self.reached = next_ms >= end_ms
        else:
            self._look(host, until)
        if self.reached or next_ms >= end_ms:
            self.over = True
            self.close(host)
        return sent

    def _look(self, host: PumpHost, until: Awaited) -> None:
        """See whether what is awaited has happened by now; then the run is over."""
        if host.ring is None:
            entries = host.trace
        else:
            page = host.ring.since(self._mark)
            entries, self._mark = page.entries, page.next
        self.events += until.wanted(entries)
        self.reached = until.is_reached(host.pump)
        self._last = host.last
        if self.reached:
            self.over = True
            self.close(host)
