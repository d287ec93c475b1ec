"""What one local day delivered: where the day began, and what makes it no ordinary day [SPEC 8, DAY_TOTAL].

A day ends at each midnight that the wall clock reaches by itself, and while the clock is not valid 24 h after the last
end. When that is due runs `timers`; strokes are counted by `counters`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from firmware_emu.controller.therapy.counters import Counters, Source
from firmware_emu.controller.therapy.modes import DELIVERING
from firmware_emu.units import MS_PER_DAY
from protocol.log.types import DayFlag

if TYPE_CHECKING:
    from firmware_emu.controller.wall_clock import WallClock
    from protocol.identifiers import State

IN_PLACE_OF_BASAL: Final = frozenset({Source.BASAL, Source.BRIDGE})
"""Sources that count as basal: a bridge runs instead of the basal rate. All others are boluses."""
ORDINARY: Final = DayFlag(0)
_RECORD: Final = struct.Struct("<QQQQI")


@dataclass(slots=True)
class DayTotal:
    """The day under way. Counts are strokes, those of all days before it; its own are what has come since."""

    since_ms: int = 0
    """The tick from which its end is found: that of the last end, or of the last TIME_SET."""
    basal_strokes: int = 0
    bolus_strokes: int = 0
    commanded_strokes: int = 0
    flags: DayFlag = ORDINARY

    @classmethod
    def beginning(cls, tick_ms: int, counters: Counters, state: State, clock: WallClock) -> DayTotal:
        """A day that begins now; it is no ordinary one where the pump stands still, or the clock is not valid."""
        flags = ORDINARY
        if state not in DELIVERING:
            flags |= DayFlag.STOPPED
        if not clock.valid:
            flags |= DayFlag.WALL_INVALID
        basal, bolus = _strokes_of(counters)
        return cls(tick_ms, basal, bolus, counters.commanded, flags)

    def end_ms(self, clock: WallClock) -> int:
        """The tick at which it ends by this clock."""
        return self.since_ms + (clock.until_midnight_ms(self.since_ms) if clock.valid else MS_PER_DAY)

    def delivered_strokes(self, counters: Counters) -> tuple[int, int]:
        """Strokes seen since it began: in place of the basal rate, and of all boluses."""
        basal, bolus = _strokes_of(counters)
        return basal - self.basal_strokes, bolus - self.bolus_strokes

    def commanded_since(self, counters: Counters) -> int:
        """Strokes that the rotor was told since it began."""
        return counters.commanded - self.commanded_strokes

    def clock_set(self, tick_ms: int, *, changed: bool) -> None:
        """Find its end anew, because somebody has set the clock; `changed` where that moved local time."""
        self.since_ms = tick_ms
        if changed:
            self.flags |= DayFlag.CLOCK_CHANGED

    def follow(self, counters: Counters) -> None:
        """Begin no later than these counters: of an older checkpoint, which power has left, or of none."""
        basal, bolus = _strokes_of(counters)
        self.basal_strokes = min(self.basal_strokes, basal)
        self.bolus_strokes = min(self.bolus_strokes, bolus)
        self.commanded_strokes = min(self.commanded_strokes, counters.commanded)

    def pack(self) -> bytes:
        """Bytes of the region."""
        return _RECORD.pack(
            self.since_ms, self.basal_strokes, self.bolus_strokes, self.commanded_strokes, self.flags
        )

    @classmethod
    def unpack(cls, data: bytes) -> DayTotal:
        """The day as it was packed; ValueError for bytes that this program never wrote."""
        if len(data) != _RECORD.size:
            raise ValueError(f"day total record has {len(data)} bytes, expected {_RECORD.size}")
        since_ms, basal, bolus, commanded, flags = _RECORD.unpack(data)
        return cls(since_ms, basal, bolus, commanded, DayFlag(flags))


def _strokes_of(counters: Counters) -> tuple[int, int]:
    basal = sum(counters.seen[source] for source in IN_PLACE_OF_BASAL)
    return basal, counters.strokes - basal
