"""From a rate to strokes: the basal accumulator, and what any source of strokes offers.

What is asked for and what is turned never differ by a stroke or more, however often time is cut into pieces
[DOMAIN 1.2]. Not for boluses (`bolus`), nor for what strokes mean for the reservoir (`reservoir_belief`).

The unit of an accumulator is nL x ms/day: a rate in nL/day adds itself to it each millisecond, so every sum
is exact. One stroke is `stroke_nl` x 86,400,000 of it, and falls at the first millisecond at which the sum
has reached it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from firmware_emu.controller.therapy.second_channel import Account
from firmware_emu.pins import StrokeRun
from firmware_emu.units import MS_PER_DAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from firmware_emu.pins import RotorPin

_RECORD: Final = struct.Struct("<IQQ")
BASAL_BYTES: Final = _RECORD.size


Turned = tuple[StrokeRun, int]
"""Strokes that were commanded, and how many of their edges were seen."""


class StrokeSource(Protocol):
    """An accumulator: the basal rate, or a bolus."""

    def advance(self, tick_ms: int, rotor: RotorPin) -> Turned | None:
        """Turn every stroke due at or before `tick_ms`, in one run; None where none is due. Raises PowerCut."""


@dataclass(slots=True)
class Basal:
    """The basal accumulator: `carried` was owed at `anchor_ms`, and `emitted` strokes went out since."""

    stroke_nl: int
    rate_nl_per_day: int = 0
    anchor_ms: int = 0
    carried: int = 0
    emitted: int = 0
    reached_ms: int = 0

    @classmethod
    def at(cls, tick_ms: int, stroke_nl: int, rate_nl_per_day: int = 0, carried: int = 0) -> Basal:
        """An accumulator that starts at `tick_ms`, owing `carried` of a stroke."""
        return cls(stroke_nl, rate_nl_per_day, anchor_ms=tick_ms, carried=carried, reached_ms=tick_ms)

    @property
    def stroke(self) -> int:
        """One stroke in the accumulator's unit, nL x ms/day."""
        return self.stroke_nl * MS_PER_DAY

    @property
    def owed(self) -> int:
        """What has been asked for and not been turned at `reached_ms`, in nL x ms/day: less than a stroke."""
        grown = self.rate_nl_per_day * (self.reached_ms - self.anchor_ms)
        return self.carried + grown - self.emitted * self.stroke_nl * MS_PER_DAY

    def strokes_due(self, tick_ms: int) -> int:
        """How many strokes fall at or before `tick_ms` and are not turned yet."""
        grown = self.rate_nl_per_day * (tick_ms - self.anchor_ms)
        return (self.carried + grown) // (self.stroke_nl * MS_PER_DAY) - self.emitted

    def stroke_ms(self, n: int) -> int | None:
        """Time of the n-th next stroke, from 1; None at rate 0, where none will ever fall."""
        rate = self.rate_nl_per_day
        if not rate:
            return None
        # ceil of what is missing, over the rate
        return self.anchor_ms - (self.carried - (self.emitted + n) * self.stroke) // rate

    def set_rate(self, tick_ms: int, rate_nl_per_day: int) -> None:
        """Go on at another rate from `tick_ms`, advanced to before; what is owed is kept exactly."""
        if tick_ms < self.reached_ms or self.strokes_due(tick_ms):
            raise ValueError(f"rate set at {tick_ms} ms, delivery stands at {self.reached_ms} ms")
        if rate_nl_per_day < 0:
            raise ValueError(f"a rate of {rate_nl_per_day} nL/day")
        self.reached_ms = tick_ms
        self.restart(tick_ms)
        self.rate_nl_per_day = rate_nl_per_day

    def restart(self, tick_ms: int) -> None:
        """Go on from `tick_ms` with what was owed at `reached_ms`: the time between asked for nothing."""
        self.carried = self.owed
        self.emitted = 0
        self.anchor_ms = self.reached_ms = tick_ms

    def advance(self, tick_ms: int, rotor: RotorPin) -> Turned | None:
        """Turn every stroke due at or before `tick_ms`, in one run; None where none is due. Raises PowerCut."""
        if tick_ms < self.reached_ms:
            raise ValueError(f"delivery cannot go back from {self.reached_ms} ms to {tick_ms} ms")
        rate, anchor_ms, carried, emitted = self.rate_nl_per_day, self.anchor_ms, self.carried, self.emitted
        stroke = self.stroke_nl * MS_PER_DAY
        count = (carried + rate * (tick_ms - anchor_ms)) // stroke - emitted
        self.reached_ms = tick_ms
        if not count:
            return None
        run = StrokeRun(anchor_ms, carried, rate, stroke, emitted + 1, count)
        edges = rotor.run(run)
        self.emitted = emitted + count
        return run, edges

    def account(self) -> Account:
        """What the second channel copies."""
        return Account(self.rate_nl_per_day, self.stroke, self.anchor_ms, self.carried, self.emitted)

    def pack(self) -> bytes:
        """The accumulator at `reached_ms`; equal for equal futures, however time was cut."""
        return _RECORD.pack(self.rate_nl_per_day, self.owed, self.reached_ms)

    @classmethod
    def unpack(cls, data: bytes, stroke_nl: int) -> Basal:
        """The accumulator as it stood when packed; `restart` it where time has passed without power."""
        rate, carried, tick_ms = _RECORD.unpack(data)
        if carried >= stroke_nl * MS_PER_DAY:
            raise ValueError(f"an accumulator that owes {carried} nL x ms/day, a stroke or more")
        return cls.at(tick_ms, stroke_nl, rate, carried)


class Foreseeable(Protocol):
    """A source whose strokes can be counted ahead; one with an end has at most `strokes_left` of them."""

    @property
    def strokes_left(self) -> int:
        """Strokes that have not been commanded yet; at 0 it is over."""

    def strokes_due(self, tick_ms: int) -> int:
        """How many strokes fall at or before `tick_ms` and are not turned yet."""

    def stroke_ms(self, n: int) -> int | None:
        """Time of the n-th next stroke, from 1; None where it has fewer left, or while it is suspended."""


class BasalToCome(Protocol):
    """Basal strokes that can be counted ahead, at one rate or over a schedule of rates."""

    @property
    def reached_ms(self) -> int:
        """The tick until which strokes were turned."""

    def strokes_due(self, tick_ms: int) -> int:
        """How many strokes fall at or before `tick_ms` and are not turned yet."""

    def stroke_ms(self, n: int) -> int | None:
        """Time of the n-th next stroke, from 1; None where none will ever fall."""


def nth_stroke_ms(n: int, basal: BasalToCome, on_top: Sequence[Foreseeable] = ()) -> int | None:
    """When n more strokes will have fallen, of the basal rate and what is on top of it. n >= 1.

    None where they never will.
    """
    latest_ms = basal.stroke_ms(n)
    if not on_top:
        return latest_ms
    if latest_ms is None:
        if n > sum(each.strokes_left for each in on_top):
            return None
        ends = (each.stroke_ms(each.strokes_left) for each in on_top if each.strokes_left)
        latest_ms = max((end_ms for end_ms in ends if end_ms is not None), default=None)
        if latest_ms is None:
            return None
    earliest_ms = basal.reached_ms
    while earliest_ms < latest_ms:
        middle_ms = (earliest_ms + latest_ms) // 2
        if basal.strokes_due(middle_ms) + sum(each.strokes_due(middle_ms) for each in on_top) >= n:
            latest_ms = middle_ms
        else:
            earliest_ms = middle_ms + 1
    return latest_ms
