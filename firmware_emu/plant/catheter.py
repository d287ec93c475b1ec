"""The column of fluid from the rotor to the catheter's tip: drug arrives one path volume later, mixed or not.

All fluid that ever left the reservoir lies on one line, at the volume that had been emitted when it left.
The column is the stretch of that line between `emitted - path` and `emitted`; pumping moves the stretch and
touches nothing. So the drug that has passed a point is a function of position alone, and no row of strokes
can be split wrongly.

Without dispersion that is plug flow. With it what leaves the tip is the mean of what lies within so far on either side
of it: a border becomes a zone over which the concentration changes in a straight line, drug arrives before the border
and is still thin behind it, and none is made or lost [DOMAIN 4.3, RH-02]. Still a function of position alone. The zone
has its full width from the first, and nothing diffuses while nothing moves: a model, of which no figure is published.

What goes wrong moves the ends of the stretch or what lies on it, and makes no drug either. An occlusion holds the tip
where it is, so that the stretch grows by what the walls take up. A leak is just before the tip and loses a share of
what arrives there. Fluid that goes back into the reservoir shifts the column away from the tip, which draws in fluid
without drug; so does a syringe at the side port. Positions are told by what was emitted; the line itself is kept less
what went back (`gone_back_nl_ppm`), so that a shift moves one end of it and not all that lies on it.

Volumes are nL x 10^-6 (nl_ppm), masses fg x 10^-6 (fg_ppm), concentrations ng/mL: 1 nL x 1 ng/mL = 1 fg.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from fractions import Fraction
from math import gcd
from operator import attrgetter
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple, Self

from firmware_emu.plant.component import (
    COUNT,
    DRUG,
    POSITION,
    VOLUME,
    Component,
    Json,
    Kinds,
    Range,
    StateError,
    rows,
)
from firmware_emu.units import PPM

if TYPE_CHECKING:
    from firmware_emu.profile import Implant, PumpModel


BATCH: Final[Kinds] = {
    "start_nl_ppm": POSITION,
    "passed_fg_ppm": DRUG,
    "numerator": DRUG,
    "denominator": Range(1, VOLUME.highest),
}
_START: Final = attrgetter("start_nl_ppm")


class Batch(NamedTuple):
    """Fluid of `numerator / denominator` ng/mL that began to leave the reservoir at `start`."""

    start_nl_ppm: int
    passed_fg_ppm: int
    """Drug that lies before this batch on the line."""
    numerator: int
    denominator: int


class Catheter(Component):
    """Internal tubing and catheter, and what is in them."""

    __slots__ = (
        "batches",
        "compliance_nl_ppm",
        "gone_back_nl_ppm",
        "held_tip_nl_ppm",
        "leak_ppm",
        "leaked_before_fg_ppm",
        "leaked_before_nl_ppm",
        "leaks_from_fg_ppm",
        "leaks_from_nl_ppm",
        "mixing_nl_ppm",
        "occluded_strokes",
        "path_nl_ppm",
        "side_port_aspirations",
        "side_port_used",
        "tubing_nl_ppm",
    )
    SAVED: ClassVar[Kinds] = {
        "compliance_nl_ppm": VOLUME,
        "gone_back_nl_ppm": VOLUME,
        "held_tip_nl_ppm": POSITION,
        "leak_ppm": Range(0, PPM),
        "leaks_from_fg_ppm": DRUG,
        "leaks_from_nl_ppm": POSITION,
        "leaked_before_fg_ppm": DRUG,
        "leaked_before_nl_ppm": VOLUME,
        "occluded_strokes": COUNT,
        "side_port_aspirations": COUNT,
        "side_port_used": bool,
    }
    MAY_BE_NONE = ("held_tip_nl_ppm",)

    def __init__(self, path_nl_ppm: int, concentration_ng_per_ml: int) -> None:
        """A path that is full of one fluid; at 0 ng/mL it is sterile water [DOMAIN 4.3]."""
        self.path_nl_ppm = path_nl_ppm
        self.mixing_nl_ppm = 0
        """How far fluid mixes to either side, at most the path; 0 is plug flow."""
        self.batches: tuple[Batch, ...] = (Batch(-path_nl_ppm, 0, concentration_ng_per_ml, 1),)
        self.tubing_nl_ppm = 0
        """The part of the path before the side port."""
        self.gone_back_nl_ppm = 0
        self.held_tip_nl_ppm: int | None = None
        """Where on the line an occluded tip stands; None where it is free."""
        self.compliance_nl_ppm = 0
        self.occluded_strokes = 0
        self.leak_ppm = self.leaks_from_fg_ppm = self.leaks_from_nl_ppm = 0
        self.leaked_before_fg_ppm = self.leaked_before_nl_ppm = 0
        self.side_port_used = False
        self.side_port_aspirations = 0

    @classmethod
    def of(cls, model: PumpModel, implant: Implant | None) -> Self:
        """The path of a new pump: full of its drug, or of water where it was never implanted."""
        path_nl_ppm = (model.tubing_nl + model.catheter_nl) * PPM
        catheter = cls(path_nl_ppm, implant.concentration_ng_per_ml if implant else 0)
        catheter.mixing_nl_ppm = path_nl_ppm * model.catheter_dispersion_ppm // PPM
        catheter.tubing_nl_ppm = model.tubing_nl * PPM
        return catheter

    def tip_at_nl_ppm(self, emitted_nl_ppm: int) -> int:
        """Where on the line the tip stands."""
        return emitted_nl_ppm - self.path_nl_ppm if self.held_tip_nl_ppm is None else self.held_tip_nl_ppm

    def tip_fg_ppm(self, emitted_nl_ppm: int) -> int:
        """Drug that has left the tip when so much fluid has left the reservoir, rounded down."""
        return self._arrived_fg_ppm(emitted_nl_ppm) - self._leaked_fg_ppm(emitted_nl_ppm)

    def _arrived_fg_ppm(self, emitted_nl_ppm: int) -> int:
        """Drug that has come to the end of the path, rounded down."""
        tip_nl_ppm, reach = self.tip_at_nl_ppm(emitted_nl_ppm), self.mixing_nl_ppm
        if not reach:
            return self.drug_passed_fg_ppm(tip_nl_ppm)
        return self._passed_sum(tip_nl_ppm - reach, tip_nl_ppm + reach) // (2 * reach)

    def tip_ng_per_ml(self, emitted_nl_ppm: int) -> int:
        """Concentration at the tip, rounded down."""
        tip_nl_ppm, reach = self.tip_at_nl_ppm(emitted_nl_ppm), self.mixing_nl_ppm
        if not reach:
            return self.concentration_ng_per_ml(tip_nl_ppm)
        ends = [self.drug_passed_fg_ppm(tip_nl_ppm + side) for side in (-reach, reach)]
        return (ends[1] - ends[0]) // (2 * reach)

    def _passed_sum(self, start_nl_ppm: int, end_nl_ppm: int) -> Fraction:
        """The integral of the drug passed over a stretch of the line, exactly."""
        total = Fraction(0)
        start_nl_ppm, end_nl_ppm = start_nl_ppm - self.gone_back_nl_ppm, end_nl_ppm - self.gone_back_nl_ppm
        first, last = self._index_at(start_nl_ppm), self._index_at(end_nl_ppm)
        for index in range(first, last + 1):
            batch = self.batches[index]
            begin = start_nl_ppm if index == first else batch.start_nl_ppm
            end = end_nl_ppm if index == last else self.batches[index + 1].start_nl_ppm
            before, behind = begin - batch.start_nl_ppm, end - batch.start_nl_ppm
            grown = Fraction((behind**2 - before**2) * batch.numerator, 2 * batch.denominator)
            total += (end - begin) * batch.passed_fg_ppm + grown
        return total

    def lost_fg_ppm(self, emitted_nl_ppm: int) -> int:
        """Drug that has left the path elsewhere than at the tip."""
        return self._leaked_fg_ppm(emitted_nl_ppm)

    def _leaked_fg_ppm(self, emitted_nl_ppm: int) -> int:
        if not self.leak_ppm:
            return self.leaked_before_fg_ppm
        arrived = self._arrived_fg_ppm(emitted_nl_ppm) - self.leaks_from_fg_ppm
        return self.leaked_before_fg_ppm + max(0, arrived) * self.leak_ppm // PPM

    def leaked_nl_ppm(self, emitted_nl_ppm: int) -> int:
        """Fluid that has left the path by a leak."""
        arrived = self.tip_at_nl_ppm(emitted_nl_ppm) - self.leaks_from_nl_ppm
        return self.leaked_before_nl_ppm + arrived * self.leak_ppm // PPM

    def leak(self, leak_ppm: int, emitted_nl_ppm: int) -> None:
        """Lose such a share of what arrives at the tip from here on; 0 is a whole catheter."""
        self.leaked_before_fg_ppm = self._leaked_fg_ppm(emitted_nl_ppm)
        self.leaked_before_nl_ppm = self.leaked_nl_ppm(emitted_nl_ppm)
        self.leaks_from_fg_ppm = self._arrived_fg_ppm(emitted_nl_ppm)
        self.leaks_from_nl_ppm = self.tip_at_nl_ppm(emitted_nl_ppm)
        self.leak_ppm = leak_ppm

    def occlude(self, compliance_nl_ppm: int, emitted_nl_ppm: int) -> None:
        """Hold the tip; the walls take up so much in all."""
        self.held_tip_nl_ppm = self.tip_at_nl_ppm(emitted_nl_ppm)
        self.compliance_nl_ppm = compliance_nl_ppm

    def release(self) -> None:
        """Let the tip go: what is stored leaves it at once."""
        self.held_tip_nl_ppm = None

    def stored_nl_ppm(self, emitted_nl_ppm: int) -> int:
        """What the walls have taken up behind an occlusion."""
        return emitted_nl_ppm - self.path_nl_ppm - self.tip_at_nl_ppm(emitted_nl_ppm)

    def room_nl_ppm(self, emitted_nl_ppm: int) -> int | None:
        """What can still be pumped in; None where the tip is free."""
        if self.held_tip_nl_ppm is None:
            return None
        return max(0, self.compliance_nl_ppm - self.stored_nl_ppm(emitted_nl_ppm))

    def draw_back(self, nl_ppm: int, emitted_nl_ppm: int) -> None:
        """Let so much go back out of the column, and fluid without drug in at the tip; not while that is occluded."""
        tip_nl_ppm = self.tip_at_nl_ppm(emitted_nl_ppm)
        passed_fg_ppm, column = self.drug_passed_fg_ppm(tip_nl_ppm), self._from(tip_nl_ppm)
        line_tip_nl_ppm = tip_nl_ppm - self.gone_back_nl_ppm
        left: tuple[Batch, ...] = ()  # what has left and still counts, where fluids mix
        if self.mixing_nl_ppm:
            first = self._index_at(line_tip_nl_ppm - self.mixing_nl_ppm)
            left = self.batches[first : bisect_left(self.batches, line_tip_nl_ppm, key=_START)]
        if not column[0].numerator:  # drawn in before, or water: one row for both
            column = column[1:]
        self.gone_back_nl_ppm += nl_ppm
        self.batches = (
            *(row._replace(start_nl_ppm=row.start_nl_ppm - nl_ppm) for row in left),
            Batch(line_tip_nl_ppm - nl_ppm, passed_fg_ppm, 0, 1),
            *column[: bisect_left(column, emitted_nl_ppm - self.gone_back_nl_ppm, key=_START)],
        )

    def empty_from_side_port(self, emitted_nl_ppm: int) -> int:
        """Draw out what is behind the side port, with fluid without drug in its place; returns the drug drawn."""
        tip_nl_ppm = self.tip_at_nl_ppm(emitted_nl_ppm)
        port_nl_ppm = max(tip_nl_ppm, emitted_nl_ppm - self.tubing_nl_ppm)
        before_port_fg_ppm = self.drug_passed_fg_ppm(port_nl_ppm)
        left_fg_ppm = min(self._arrived_fg_ppm(emitted_nl_ppm), before_port_fg_ppm)
        drawn_fg_ppm = before_port_fg_ppm - left_fg_ppm
        line_tip_nl_ppm = tip_nl_ppm - self.gone_back_nl_ppm
        drawn_in = Batch(line_tip_nl_ppm - self.mixing_nl_ppm, left_fg_ppm, 0, 1)
        tubing = self._from(port_nl_ppm)
        self.batches = (
            drawn_in,
            *(row._replace(passed_fg_ppm=row.passed_fg_ppm - drawn_fg_ppm) for row in tubing),
        )
        self.side_port_used = True
        self.side_port_aspirations += 1
        return drawn_fg_ppm

    def _from(self, position_nl_ppm: int) -> tuple[Batch, ...]:
        """What lies from a position on, its first row cut there."""
        line_nl_ppm = position_nl_ppm - self.gone_back_nl_ppm
        index = self._index_at(line_nl_ppm)
        passed_fg_ppm = self.drug_passed_fg_ppm(position_nl_ppm)
        first = self.batches[index]._replace(start_nl_ppm=line_nl_ppm, passed_fg_ppm=passed_fg_ppm)
        return (first, *self.batches[index + 1 :])

    def drug_passed_fg_ppm(self, position_nl_ppm: int) -> int:
        """Drug on the line before a position at or behind the tip."""
        line_nl_ppm = position_nl_ppm - self.gone_back_nl_ppm
        batch = self._batch_at(line_nl_ppm)
        length_nl_ppm = line_nl_ppm - batch.start_nl_ppm
        return batch.passed_fg_ppm + length_nl_ppm * batch.numerator // batch.denominator

    def concentration_ng_per_ml(self, position_nl_ppm: int) -> int:
        """Concentration just behind a position, rounded down."""
        batch = self._batch_at(position_nl_ppm - self.gone_back_nl_ppm)
        return batch.numerator // batch.denominator

    def follow_with(self, position_nl_ppm: int, drug_fg_ppm: int, volume_nl_ppm: int) -> None:
        """From this position on, fluid with so much drug in so much volume comes out of the reservoir."""
        divisor = gcd(drug_fg_ppm, volume_nl_ppm) or 1
        numerator, denominator = drug_fg_ppm // divisor, volume_nl_ppm // divisor or 1
        last = self.batches[-1]
        if (last.numerator, last.denominator) == (numerator, denominator):
            return
        line_nl_ppm = position_nl_ppm - self.gone_back_nl_ppm
        batch = Batch(line_nl_ppm, self.drug_passed_fg_ppm(position_nl_ppm), numerator, denominator)
        kept = self.batches if last.start_nl_ppm < line_nl_ppm else self.batches[:-1]
        tip_nl_ppm = self.tip_at_nl_ppm(position_nl_ppm) - self.gone_back_nl_ppm
        at_tip = self._index_at(tip_nl_ppm - self.mixing_nl_ppm)
        self.batches = (*kept[at_tip:], batch)

    def _batch_at(self, position_nl_ppm: int) -> Batch:
        return self.batches[self._index_at(position_nl_ppm)]

    def _index_at(self, position_nl_ppm: int) -> int:
        return max(0, bisect_right(self.batches, position_nl_ppm, key=_START) - 1)

    def to_json(self) -> Json:
        return {**super().to_json(), "batches": [list(batch) for batch in self.batches]}

    def from_json(self, state: Json) -> None:
        super().from_json(state)
        batches = tuple(Batch(*row) for row in rows(state, "batches", BATCH))
        if not batches or list(batches) != sorted(batches, key=attrgetter("start_nl_ppm", "passed_fg_ppm")):
            raise StateError(f"batches must be fluids in their order, are {state['batches']!r:.60}")
        self.batches = batches
