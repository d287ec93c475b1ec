"""What will be delivered on top of the basal rate if nothing changes: for forecasts, and for what must wait.

What waits for another goes on when that is over. It turns nothing, and changes nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from copy import copy
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from firmware_emu.controller.therapy.bolus import ActiveBolus
from firmware_emu.controller.therapy.counters import Source
from firmware_emu.controller.therapy.delivery_sources import SOURCES
from firmware_emu.units import MS_PER_S, ceil_div
from protocol.identifiers import State

if TYPE_CHECKING:
    from firmware_emu.controller.therapy.delivery import Foreseeable
    from firmware_emu.controller.therapy.delivery_sources import Deliveries, Delivery
    from firmware_emu.controller.therapy.therapy import Therapy
    from protocol.messages.program import PatientBlock, PeriodicBlock

_ENDLESS: Final = 1 << 62


def end_ms(delivery: Delivery) -> int:
    """When a delivery that does not wait will turn its last stroke."""
    at_ms = delivery.stroke_ms(delivery.strokes_left)
    if at_ms is None:
        raise ValueError(f"{delivery.source.name} waits: nobody knows until when")
    return at_ms


def waits_until_ms(source: Source, in_work: list[Delivery], from_ms: int) -> int:
    """Until when a delivery of a source waits for others; `from_ms` where it need not."""
    before = (end_ms(other) for other in in_work if source in SOURCES[other.source].suspends)
    return max(before, default=from_ms)


def foreseen(deliveries: Deliveries) -> list[Delivery]:
    """What is in work as it will go on: copies of what waits, which begin again when what they wait for is over."""
    found: list[Delivery] = []
    for delivery in deliveries.on_top:  # in the order of priority: who makes others wait comes first
        if delivery.suspended_ms is not None:
            later = copy(delivery)
            later.resume(waits_until_ms(delivery.source, found, delivery.suspended_ms))
            found.append(later)
        elif delivery.strokes_left:
            found.append(delivery)
    return found


@dataclass(frozen=True, slots=True)
class BolusesToCome:
    """Boluses at equal distances that never overlap: `strokes` each from `first_ms` on, every `interval_ms`."""

    first_ms: int
    interval_ms: int
    duration_ms: int
    strokes: int

    @property
    def strokes_left(self) -> int:
        """More than any reservoir has."""
        return _ENDLESS

    def strokes_due(self, tick_ms: int) -> int:
        """How many strokes fall at or before `tick_ms`."""
        if tick_ms < self.first_ms:
            return 0
        whole, into_ms = divmod(tick_ms - self.first_ms, self.interval_ms)
        part = min(into_ms, self.duration_ms) * self.strokes // self.duration_ms
        return whole * self.strokes + part

    def stroke_ms(self, n: int) -> int:
        """Time of the n-th stroke, from 1."""
        whole, nth = divmod(n - 1, self.strokes)
        into_ms = ceil_div((nth + 1) * self.duration_ms, self.strokes)
        return self.first_ms + whole * self.interval_ms + into_ms


@dataclass(frozen=True, slots=True)
class BolusesAt:
    """Boluses at given ticks, in order, that never overlap."""

    starts_ms: tuple[int, ...]
    duration_ms: int
    strokes: int

    @property
    def strokes_left(self) -> int:
        """All that are foreseen."""
        return len(self.starts_ms) * self.strokes

    def strokes_due(self, tick_ms: int) -> int:
        """How many strokes fall at or before `tick_ms`."""
        begun = bisect_right(self.starts_ms, tick_ms)
        if not begun:
            return 0
        into_ms = min(tick_ms - self.starts_ms[begun - 1], self.duration_ms)
        return (begun - 1) * self.strokes + into_ms * self.strokes // self.duration_ms

    def stroke_ms(self, n: int) -> int | None:
        """Time of the n-th stroke, from 1; None where there are fewer."""
        if n > self.strokes_left:
            return None
        whole, nth = divmod(n - 1, self.strokes)
        return self.starts_ms[whole] + ceil_div((nth + 1) * self.duration_ms, self.strokes)


def on_top_to_come(therapy: Therapy, block: PeriodicBlock | None) -> list[Foreseeable]:
    """All that will be delivered on top of the basal rate: what is in work, and the periodic boluses to come."""
    in_work = foreseen(therapy.deliveries)
    to_come: list[Foreseeable] = [*in_work]
    series, tick_ms = therapy.records.periodic, therapy.records.tick_ms
    start_ms = series.next_start_ms
    if start_ms is None or block is None or therapy.records.therapy.state is not State.RUN:
        return to_come
    strokes, duration_ms = block.volume_nl // therapy.model.stroke_nl, block.duration_s * MS_PER_S
    own_end_ms = max((end_ms(d) for d in in_work if d.source is Source.PERIODIC), default=tick_ms)
    start_ms = _behind(start_ms, own_end_ms, series.interval_ms)
    if (bridge_end_ms := therapy.deliveries.bridge_end_ms) is not None:
        start_ms = _behind(start_ms, bridge_end_ms, series.interval_ms)
    begins_ms = waits_until_ms(Source.PERIODIC, in_work, start_ms)
    if begins_ms > start_ms:
        to_come.append(
            ActiveBolus(Source.PERIODIC, 0, 0, therapy.model.stroke_nl, strokes, duration_ms, begins_ms)
        )
        start_ms = _behind(start_ms + series.interval_ms, begins_ms + duration_ms, series.interval_ms)
    to_come.append(BolusesToCome(start_ms, series.interval_ms, duration_ms, strokes))
    return to_come


def _behind(start_ms: int, end_of_last_ms: int, interval_ms: int) -> int:
    """The first start at which the bolus before it is over: one that comes too early is passed over."""
    late_ms = max(0, end_of_last_ms - start_ms)
    return start_ms + ceil_div(late_ms, interval_ms) * interval_ms


def allotted_to_come(therapy: Therapy, block: PatientBlock, until_ms: int) -> BolusesAt:
    """The boluses of a patient who asks as soon as lockout and count allow, as far as they begin before a tick."""
    tick_ms, bridge_end_ms = therapy.records.tick_ms, therapy.deliveries.bridge_end_ms
    first_ms = tick_ms if bridge_end_ms is None else max(tick_ms, bridge_end_ms)
    starts = therapy.records.patient.allotted_ms(block, first_ms)
    before = tuple(takewhile(lambda start_ms: start_ms < until_ms, starts))
    return BolusesAt(before, block.duration_s * MS_PER_S, block.volume_nl // therapy.model.stroke_nl)
