"""The time of a running pump: the host's clock, the host's clock times N, or time that is turned by hand.

Two times go into `Pump.step` [SPEC 12]. Pump time is the patient's: milliseconds since the pump was made,
integer, never back. Line time is the client's: deadlines of the link are about the client at the other end of
the wire, so it runs at the host's speed in the modes `real` and `scaled`, however fast the patient's time
runs, and with pump time in the mode `manual`, so that a run under manual time is the same every time.

All arithmetic is integer: host nanoseconds in, milliseconds out. As fast as possible is not a mode of this
clock; a pump that runs free would be at its end of service before its first client came. See `time_run`.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from firmware_emu.bench.errors import BadConfigurationError
from firmware_emu.now import Now
from firmware_emu.units import MS_PER_DAY, ceil_div

if TYPE_CHECKING:
    from collections.abc import Callable

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
TRAVEL_MAX_MS = 3_660 * MS_PER_DAY  # ten years: more than any pump's service life
SPEED_MAX = 1_000_000  # a year in half a minute; faster than that the host's scheduling is all one would see

TimeMode = Literal["real", "scaled", "manual"]
"""How pump time follows the host's."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Pump milliseconds per host millisecond: 1 in real time, 0 where only a hand moves pump time."""

    speed: int

    @classmethod
    def parse(cls, text: str) -> Pace:
        """Read `real`, `manual` or `xN`."""
        if text in ("real", "manual"):
            return REAL if text == "real" else MANUAL
        scaled = re.fullmatch("x0*([1-9][0-9]{0,6})", text)
        if scaled is None or int(scaled[1]) > SPEED_MAX:
            raise BadConfigurationError(f"time {text!r} is not one of real, manual, x1 to x{SPEED_MAX}")
        return cls(int(scaled[1]))

    @property
    def mode(self) -> TimeMode:
        """The name that rig control has for it."""
        if not self.speed:
            return "manual"
        return "real" if self.speed == 1 else "scaled"

    def __str__(self) -> str:
        return f"x{self.speed}" if self.speed > 1 else self.mode


REAL = Pace(1)
MANUAL = Pace(0)


def is_due(now: Now, wake_at_ms: int | None, wake_line_ms: int | None) -> bool:
    """Whether one of the two times has come: of pump time, of line time; None is never."""
    return (wake_at_ms is not None and wake_at_ms <= now.pump_ms) or (
        wake_line_ms is not None and wake_line_ms <= now.line_ms
    )


class Clock:
    """The bench's clock. `host_ns` reads the host's monotonic clock, the only time that it knows."""

    def __init__(
        self, start_ms: int = 0, pace: Pace = REAL, host_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._host_ns = host_ns
        self._pace = pace
        self._anchor = Now.both(start_ms)
        self._anchor_host_ns = host_ns()

    @property
    def pace(self) -> Pace:
        return self._pace

    def host_s(self) -> float:
        """The host's own time, of which only differences mean something."""
        return self._host_ns() / NS_PER_S

    def read(self) -> Now:
        """Pump time and line time now."""
        return self._read_at(self._host_ns())

    def _read_at(self, host_ns: int) -> Now:
        anchor = self._anchor
        if not self._pace.speed:
            return anchor
        elapsed_ns = host_ns - self._anchor_host_ns
        return Now(
            anchor.pump_ms + elapsed_ns * self._pace.speed // NS_PER_MS,
            anchor.line_ms + elapsed_ns // NS_PER_MS,
        )

    def set_pace(self, pace: Pace) -> None:
        """Go on from here at another pace."""
        host_ns = self._host_ns()
        self._anchor = self._read_at(host_ns)
        self._anchor_host_ns = host_ns
        self._pace = pace

    def resume(self, now: Now) -> None:
        """Go on from another moment, earlier or later, at the same pace."""
        self._anchor = now
        self._anchor_host_ns = self._host_ns()

    def advance(self, ms: int) -> None:
        """Turn a manual clock: pump time and line time move together."""
        if self._pace.speed:
            raise AssertionError("only a manual clock is turned by hand")
        self._anchor = self._anchor.later(ms)

    def skip(self, ms: int) -> None:
        """Let pump time jump: time for which the pump had no power. Under manual time the line's goes with it."""
        if self._pace.speed:
            self._anchor = self._anchor._replace(pump_ms=self._anchor.pump_ms + ms)
        else:
            self.advance(ms)

    def wait_s(self, wake_at_ms: int | None, wake_line_ms: int | None) -> float | None:
        """Host seconds until the earlier of the two is due: None never, 0 now. Under manual time only what is due."""
        anchor, speed = self._anchor, self._pace.speed
        if not speed:
            return 0.0 if is_due(anchor, wake_at_ms, wake_line_ms) else None
        due_ns = []
        if wake_at_ms is not None:
            due_ns.append(ceil_div((wake_at_ms - anchor.pump_ms) * NS_PER_MS, speed))
        if wake_line_ms is not None:
            due_ns.append((wake_line_ms - anchor.line_ms) * NS_PER_MS)
        if not due_ns:
            return None
        left_ns = self._anchor_host_ns + min(due_ns) - self._host_ns()
        return max(left_ns, 0) / NS_PER_S
