"""Tells from missing edges that the rotor does not turn, and from good ones that it turns again [DOMAIN 3.4].

A stall is declared at the first missed stroke that comes `detect_ms` or more after the first missed one of an
unbroken row. So at least two edges are missing, and a pump that commands nothing finds nothing. It has
recovered at the last of `recovery_edges` good edges in a row. Not for alarms: it says what happened and when.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from firmware_emu.controller.refusal import saturated_u32
from firmware_emu.units import MS_PER_HOUR

if TYPE_CHECKING:
    from firmware_emu.pins import StrokeRun

TUBE_SET_MS: Final = 48 * MS_PER_HOUR  # a roller that stands so long dents the tube [DOMAIN 3.5]
_NO_TICK: Final = 0xFFFF_FFFF_FFFF_FFFF
_RECORD: Final = struct.Struct("<BBxxIQQ")


class StallChange(Enum):
    """What a row of edges can tell."""

    STALLED = "stalled"
    RECOVERED = "recovered"


class StallEvent(NamedTuple):
    """What the edges have told; `at_ms` is the tick of the stroke that decided it."""

    change: StallChange
    at_ms: int


@dataclass(slots=True)
class StallDetector:
    """The present row of edges; `last_edge_ms` is when the rotor was last seen to turn (or first expected to).

    `missed_in_row`: strokes that were commanded and not seen since it was last seen to turn as it should.
    """

    detect_ms: int
    recovery_edges: int
    stalled: bool = False
    first_missed_ms: int | None = None
    good_in_row: int = 0
    last_edge_ms: int = 0
    missed_in_row: int = 0

    def tube_set_ms(self) -> int:
        """When the roller will have stood for so long that it has dented the tube."""
        return self.last_edge_ms + TUBE_SET_MS

    def reset_row(self) -> None:
        """Forget the row, after a stop or without power; a declared stall stays declared."""
        self.first_missed_ms = None
        self.good_in_row = 0

    @property
    def watching(self) -> bool:
        """Whether the next edge, seen or missed, may decide something."""
        return self.stalled or self.first_missed_ms is not None

    def observe(self, run: StrokeRun, edges: int) -> StallEvent | None:
        """Take in a run: of one stroke where edges may be missing, so that all were seen or none.

        An edge too many is no turn, and one that was reversed (below 0) none either. Of a longer run with some of its
        edges the missing ones count as the first.
        """
        if edges >= run.count:
            return self._good(run)
        if edges <= 0:
            return self._missed(run)
        missed = run.count - edges
        stalled = self._missed(run._replace(count=missed))
        return self._good(run._replace(first_k=run.first_k + missed, count=edges)) or stalled

    def _stall_stroke(self, run: StrokeRun) -> int:
        """Number of the stroke at which a stall is declared, if all from here are missed."""
        first_ms = self.first_missed_ms
        if first_ms is None:
            first_ms = run.time_of_ms(run.first_k)
        # the first stroke that falls at first + detect or later is the one after all that fall before
        grown = run.rate_numerator * (first_ms + self.detect_ms - 1 - run.anchor_ms)
        return max(run.first_k, (run.carried + grown) // run.stroke_denominator + 1)

    def _missed(self, run: StrokeRun) -> StallEvent | None:
        self.good_in_row = 0
        self.missed_in_row += run.count
        decisive_k = self._stall_stroke(run)
        if self.first_missed_ms is None:
            self.first_missed_ms = run.time_of_ms(run.first_k)
        if self.stalled or decisive_k >= run.first_k + run.count:
            return None
        self.stalled = True
        return StallEvent(StallChange.STALLED, run.time_of_ms(decisive_k))

    def _good(self, run: StrokeRun) -> StallEvent | None:
        self.first_missed_ms = None
        self.last_edge_ms = run.time_of_ms(run.first_k + run.count - 1)
        if not self.stalled:
            self.missed_in_row = 0
            return None
        needed = self.recovery_edges - self.good_in_row
        self.good_in_row += run.count
        if run.count < needed:
            return None
        self.stalled = False
        self.good_in_row = 0
        return StallEvent(StallChange.RECOVERED, run.time_of_ms(run.first_k + needed - 1))

    def pack(self) -> bytes:
        """Its record, without a row of good edges: without power none was seen."""
        first_ms = _NO_TICK if self.first_missed_ms is None else self.first_missed_ms
        return _RECORD.pack(self.stalled, 0, saturated_u32(self.missed_in_row), first_ms, self.last_edge_ms)

    @classmethod
    def unpack(cls, data: bytes, detect_ms: int, recovery_edges: int) -> StallDetector:
        """The detector as it was packed; ValueError for bytes that this program never wrote."""
        stalled, zero, missed, first_ms, last_edge_ms = _RECORD.unpack(data)
        if stalled > 1 or zero:
            raise ValueError(f"stall detector with flags {stalled}, {zero}")
        missed_ms = None if first_ms == _NO_TICK else first_ms
        return cls(
            detect_ms,
            recovery_edges,
            bool(stalled),
            missed_ms,
            last_edge_ms=last_edge_ms,
            missed_in_row=missed,
        )
