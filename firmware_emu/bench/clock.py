"""Where a running pump's time comes from: the host's clock, the host's clock times N, or a hand that turns it.

Two times go into `Pump.step` [SPEC 12]. Pump time is the patient's: milliseconds since the pump was made,
integer, never back. Line time is the client's: deadlines of the link are about the client at the other end of
the wire, so it runs at the host's speed in the modes `real` and `scaled`, however fast the patient's time
runs, and with pump time in the mode `manual`, so that a run under manual time is the same every time.

All arithmetic is integer: host nanoseconds in, milliseconds out. As fast as possible is not a mode of this
clock; a pump that runs free would be at its end of service before its first client came. See `time_run`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from firmware_emu.bench.errors import BadConfigurationError
from firmware_emu.now import Now
from firmware_emu.units import ceil_div

if TYPE_CHECKING:
    from collections.abc import Callable

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
SPEED_MAX = 1_000_000  # a year in half a minute; faster than that the host's scheduling is all one would see


class TimeMode(StrEnum):
    """How pump time follows the host's."""

    REAL = "real"
    SCALED = "scaled"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Pace:
    """A time mode with its speed: pump milliseconds per host millisecond, 0 where only a hand moves it."""

    mode: TimeMode
    speed: int

    @classmethod
    def of_speed(cls, speed: int) -> Pace:
        """The pace of a running clock."""
        return REAL if speed == 1 else cls(TimeMode.SCALED, speed)

    @classmethod
    def parse(cls, text: str) -> Pace:
        """Read `real`, `manual` or `xN`."""
        if text == TimeMode.REAL:
            return REAL
        if text == TimeMode.MANUAL:
            return MANUAL
        digits = text[1:]
        if text[:1] == "x" and digits.isascii() and digits.isdecimal() and 1 <= int(digits[:9]) <= SPEED_MAX:
            return cls.of_speed(int(digits[:9]))
        raise BadConfigurationError(f"time {text!r} is not one of real, manual, x1 to x{SPEED_MAX}")

    def __str__(self) -> str:
        return f"x{self.speed}" if self.mode is TimeMode.SCALED else self.mode.value


REAL = Pace(TimeMode.REAL, 1)
MANUAL = Pace(TimeMode.MANUAL, 0)


class Clock:
    """The bench's clock. `host_ns` is how it reads the host's monotonic clock, and the only time that it reads."""

    def __init__(
        self,
        start_ms: int = 0,
        pace: Pace = REAL,
        host_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._host_ns = host_ns
        self._pace = pace
        self._anchor = Now.both(start_ms)
        self._anchor_host_ns = host_ns()

    @property
    def pace(self) -> Pace:
        return self._pace

    def read(self) -> Now:
        """This instant."""
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
        if not self._pace.speed:
            due = (wake_at_ms is not None and wake_at_ms <= self._anchor.pump_ms) or (
                wake_line_ms is not None and wake_line_ms <= self._anchor.line_ms
            )
            return 0.0 if due else None
        due_ns = None
        if wake_at_ms is not None:
            due_ns = ceil_div((wake_at_ms - self._anchor.pump_ms) * NS_PER_MS, self._pace.speed)
        if wake_line_ms is not None:
            line_due_ns = (wake_line_ms - self._anchor.line_ms) * NS_PER_MS
            if due_ns is None or line_due_ns < due_ns:
                due_ns = line_due_ns
        if due_ns is None:
            return None
        left_ns = self._anchor_host_ns + due_ns - self._host_ns()
        return left_ns / NS_PER_S if left_ns > 0 else 0.0
