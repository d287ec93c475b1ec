"""The column of fluid from the rotor to the catheter's tip: plug flow, so drug arrives one path volume later.

All fluid that ever left the reservoir lies on one line, at the volume that had been emitted when it left.
The column is the stretch of that line between `emitted - path` and `emitted`; pumping moves the stretch and
touches nothing. So the drug that has passed a point is a function of position alone, and no row of strokes
can be split wrongly.

Volumes are nL x 10^-6 (nl_ppm), masses fg x 10^-6 (fg_ppm), concentrations ng/mL: 1 nL x 1 ng/mL = 1 fg.
No dispersion, no diffusion [DOMAIN 4.3 calls this disp = 0].
"""

from __future__ import annotations

from bisect import bisect_right
from math import gcd
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from firmware_emu.plant.component import DRUG, VOLUME, Component, Json, Kinds, Range, StateError, rows
from firmware_emu.units import PPM

if TYPE_CHECKING:
    from firmware_emu.profile import Implant, PumpModel


BATCH: Final[Kinds] = {
    "start_nl_ppm": Range(-VOLUME.highest, VOLUME.highest),
    "passed_fg_ppm": DRUG,
    "numerator": DRUG,
    "denominator": Range(1, VOLUME.highest),
}


class Batch(NamedTuple):
    """Fluid of `numerator / denominator` ng/mL that began to leave the reservoir at `start`."""

    start_nl_ppm: int
    passed_fg_ppm: int
    """Drug that lies before this batch on the line."""
    numerator: int
    denominator: int


class Catheter(Component):
    """Internal tubing and catheter, and what is in them."""

    __slots__ = ("batches", "path_nl_ppm")

    def __init__(self, path_nl_ppm: int, concentration_ng_per_ml: int) -> None:
        """A path that is full of one fluid; at 0 ng/mL it is sterile water [DOMAIN 4.3]."""
        self.path_nl_ppm = path_nl_ppm
        self.batches: tuple[Batch, ...] = (Batch(-path_nl_ppm, 0, concentration_ng_per_ml, 1),)

    @classmethod
    def of(cls, model: PumpModel, implant: Implant | None) -> Self:
        """The path of a new pump: full of its drug, or of water where it was never implanted."""
        path_nl_ppm = (model.tubing_nl + model.catheter_nl) * PPM
        return cls(path_nl_ppm, implant.concentration_ng_per_ml if implant else 0)

    def tip_fg_ppm(self, emitted_nl_ppm: int) -> int:
        """Drug that has left the tip when so much fluid has left the reservoir."""
        return self.drug_passed_fg_ppm(emitted_nl_ppm - self.path_nl_ppm)

    def tip_ng_per_ml(self, emitted_nl_ppm: int) -> int:
        """Concentration at the tip, rounded down."""
        return self.concentration_ng_per_ml(emitted_nl_ppm - self.path_nl_ppm)

    def lost_fg_ppm(self, emitted_nl_ppm: int) -> int:  # noqa: ARG002 - other catheters lose some
        """Drug that has left the path elsewhere than at the tip."""
        return 0

    def drug_passed_fg_ppm(self, position_nl_ppm: int) -> int:
        """Drug on the line before a position at or behind the tip."""
        batch = self._batch_at(position_nl_ppm)
        length_nl_ppm = position_nl_ppm - batch.start_nl_ppm
        return batch.passed_fg_ppm + length_nl_ppm * batch.numerator // batch.denominator

    def concentration_ng_per_ml(self, position_nl_ppm: int) -> int:
        """Concentration just behind a position, rounded down."""
        batch = self._batch_at(position_nl_ppm)
        return batch.numerator // batch.denominator

    def follow_with(self, position_nl_ppm: int, drug_fg_ppm: int, volume_nl_ppm: int) -> None:
        """From this position on, fluid with so much drug in so much volume comes out of the reservoir."""
        divisor = gcd(drug_fg_ppm, volume_nl_ppm) or 1
        numerator, denominator = drug_fg_ppm // divisor, volume_nl_ppm // divisor or 1
        last = self.batches[-1]
        if (last.numerator, last.denominator) == (numerator, denominator):
            return
        batch = Batch(position_nl_ppm, self.drug_passed_fg_ppm(position_nl_ppm), numerator, denominator)
        kept = self.batches if last.start_nl_ppm < position_nl_ppm else self.batches[:-1]
        at_tip = self._index_at(position_nl_ppm - self.path_nl_ppm)
        self.batches = (*kept[at_tip:], batch)

    def _batch_at(self, position_nl_ppm: int) -> Batch:
        return self.batches[self._index_at(position_nl_ppm)]

    def _index_at(self, position_nl_ppm: int) -> int:
        return max(0, bisect_right(self.batches, position_nl_ppm, key=attrgetter("start_nl_ppm")) - 1)

    def to_json(self) -> Json:
        return {"batches": [list(batch) for batch in self.batches]}

    def from_json(self, state: Json) -> None:
        batches = tuple(Batch(*row) for row in rows(state, "batches", BATCH))
        if not batches or list(batches) != sorted(batches, key=attrgetter("start_nl_ppm", "passed_fg_ppm")):
            raise StateError(f"batches must be fluids in their order, are {state['batches']!r:.60}")
        self.batches = batches
