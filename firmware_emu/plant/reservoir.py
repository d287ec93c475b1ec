"""What is really in the reservoir, in nL x 10^-6; what the controller believes is none of its business.

Kept as three sums (filled, aspirated, emitted): the volume is conserved because it is their difference. The
rotor moves `emitted_nl_ppm` itself, up to `dry_at_nl_ppm`: it is the hot path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from firmware_emu.plant.component import COUNT, DRUG, VOLUME, Component, Json, Kinds, StateError
from firmware_emu.units import PPM

if TYPE_CHECKING:
    from firmware_emu.plant.catheter import Catheter

BURSTS_AT_SIZES = 2
"""A proposal: room for the overfill of [DOMAIN 8.2], none for a slip of the finger."""


class Reservoir(Component):
    """Fluid and drug in the reservoir. Well mixed at once: a fill mixes with what is left [DOMAIN 4.4]."""

    __slots__ = (
        "aspirated_fg_ppm",
        "aspirated_nl_ppm",
        "bursts_at_nl_ppm",
        "catheter",
        "dry_at_nl_ppm",
        "emitted_nl_ppm",
        "filled_fg_ppm",
        "filled_nl_ppm",
        "ran_dry_at_ms",
        "residual_nl_ppm",
    )
    SAVED: ClassVar[Kinds] = {
        "aspirated_fg_ppm": DRUG,
        "aspirated_nl_ppm": VOLUME,
        "emitted_nl_ppm": VOLUME,
        "filled_fg_ppm": DRUG,
        "filled_nl_ppm": VOLUME,
        "ran_dry_at_ms": COUNT,
    }
    MAY_BE_NONE = ("ran_dry_at_ms",)

    def __init__(self, size_nl: int, residual_nl: int, catheter: Catheter) -> None:
        self.bursts_at_nl_ppm = BURSTS_AT_SIZES * size_nl * PPM
        self.residual_nl_ppm = residual_nl * PPM
        self.catheter = catheter
        self.filled_nl_ppm = 0
        self.aspirated_nl_ppm = 0
        self.emitted_nl_ppm = 0
        self.filled_fg_ppm = catheter.drug_passed_fg_ppm(0)
        self.aspirated_fg_ppm = 0
        self.ran_dry_at_ms: int | None = None
        self.dry_at_nl_ppm = 0
        self._find_dry_at()

    @property
    def volume_nl_ppm(self) -> int:
        """All fluid in the reservoir, the residual volume included."""
        return self.filled_nl_ppm - self.aspirated_nl_ppm - self.emitted_nl_ppm

    @property
    def deliverable_nl_ppm(self) -> int:
        """What the rotor can still get out."""
        return max(0, self.dry_at_nl_ppm - self.emitted_nl_ppm)

    @property
    def drug_fg_ppm(self) -> int:
        """Drug in the reservoir: all that ever came in, less what was taken or pumped out."""
        gone = self.aspirated_fg_ppm + self.catheter.drug_passed_fg_ppm(self.emitted_nl_ppm)
        return self.filled_fg_ppm - gone

    def fill(self, nl: int, concentration_ng_per_ml: int) -> None:
        """Put fluid in. More than the reservoir's size is possible, a fault that a rig may want; not twice it."""
        if nl < 0 or concentration_ng_per_ml < 0:
            raise ValueError(f"cannot fill {nl} nL of {concentration_ng_per_ml} ng/mL")
        if self.volume_nl_ppm + nl * PPM > self.bursts_at_nl_ppm:
            held, most = self.volume_nl_ppm // PPM, self.bursts_at_nl_ppm // PPM
            raise ValueError(
                f"cannot fill {nl} nL: {held} nL are in the reservoir, which bursts at {most} nL"
            )
        self.filled_nl_ppm += nl * PPM
        self.filled_fg_ppm += nl * PPM * concentration_ng_per_ml
        self._changed()
        if self.deliverable_nl_ppm:
            self.ran_dry_at_ms = None

    def aspirate(self, nl: int | None) -> int:
        """Take fluid out by the septum, all if None, the residual volume too. Returns whole nL taken."""
        if nl is not None and nl < 0:
            raise ValueError(f"cannot aspirate {nl} nL")
        volume = self.volume_nl_ppm
        taken = volume if nl is None else min(nl * PPM, volume)
        if not taken:
            return 0
        drug = self.drug_fg_ppm * taken // volume
        self.aspirated_nl_ppm += taken
        self.aspirated_fg_ppm += drug
        self._changed()
        return taken // PPM

    def _changed(self) -> None:
        self._find_dry_at()
        self.catheter.follow_with(self.emitted_nl_ppm, self.drug_fg_ppm, self.volume_nl_ppm)

    def _find_dry_at(self) -> None:
        self.dry_at_nl_ppm = self.filled_nl_ppm - self.aspirated_nl_ppm - self.residual_nl_ppm

    def from_json(self, state: Json) -> None:
        super().from_json(state)
        if not 0 <= self.volume_nl_ppm <= self.bursts_at_nl_ppm:
            raise StateError(
                f"filled_nl_ppm less aspirated_nl_ppm and emitted_nl_ppm must be from 0 to {self.bursts_at_nl_ppm}, "
                f"is {self.volume_nl_ppm}"
            )
        self._find_dry_at()
