"""What is really in the reservoir, in nL x 10^-6; what the controller believes is none of its business.

Kept as sums (filled, aspirated, emitted, gone back): the volume is conserved because it is their difference. The
rotor moves `emitted_nl_ppm` itself, up to `dry_at_nl_ppm`: it is the hot path. What moves without the rotor is due by
the time that has passed, `flow_until`, and whoever looks or acts asks for it first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from firmware_emu.plant.component import (
    COUNT,
    DRUG,
    VOLUME,
    Component,
    Json,
    Kinds,
    Range,
    StateError,
    record,
)
from firmware_emu.plant.fault_records import FreeFlow, Misfill
from firmware_emu.units import PPM

if TYPE_CHECKING:
    from firmware_emu.plant.catheter import Catheter

BURSTS_AT_SIZES = 2
"""A proposal: room for the overfill of [DOMAIN 8.2], none for a slip of the finger."""
FLOW_MAX_NL_PER_DAY = 1_000_000_000
_FLOW: Kinds = {
    "since_ms": COUNT,
    "rate_nl_per_day": Range(-FLOW_MAX_NL_PER_DAY, FLOW_MAX_NL_PER_DAY),
    "passed_nl_ppm": VOLUME,
}
_MISFILL: Kinds = {
    "into_reservoir_ppm": Range(0, PPM),
    "into_pocket_ppm": Range(0, PPM),
    "extra_nl": Range(0, FLOW_MAX_NL_PER_DAY),
}


class Reservoir(Component):
    """Fluid and drug in the reservoir. Well mixed at once: a fill mixes with what is left [DOMAIN 4.4]."""

    __slots__ = (
        "aspirated_fg_ppm",
        "aspirated_nl_ppm",
        "backflow_nl_per_day",
        "backflow_nl_ppm",
        "bursts_at_nl_ppm",
        "capacity_nl",
        "catheter",
        "dry_at_nl_ppm",
        "emitted_nl_ppm",
        "filled_fg_ppm",
        "filled_nl_ppm",
        "flow",
        "free_flow_nl_ppm",
        "misfill",
        "overfilled",
        "overfills",
        "partial_fills",
        "pocket_fg_ppm",
        "pocket_fills",
        "pocket_nl_ppm",
        "pushed_back_nl_ppm",
        "ran_dry_at_ms",
        "ran_empty",
        "residual_nl_ppm",
        "siphon_nl_per_day",
        "size_nl_ppm",
    )
    SAVED: ClassVar[Kinds] = {
        "aspirated_fg_ppm": DRUG,
        "aspirated_nl_ppm": VOLUME,
        "backflow_nl_per_day": Range(0, FLOW_MAX_NL_PER_DAY),
        "backflow_nl_ppm": VOLUME,
        "capacity_nl": COUNT,
        "emitted_nl_ppm": VOLUME,
        "filled_fg_ppm": DRUG,
        "filled_nl_ppm": VOLUME,
        "free_flow_nl_ppm": VOLUME,
        "overfilled": bool,
        "overfills": COUNT,
        "partial_fills": COUNT,
        "pocket_fg_ppm": DRUG,
        "pocket_fills": COUNT,
        "pocket_nl_ppm": VOLUME,
        "pushed_back_nl_ppm": VOLUME,
        "ran_dry_at_ms": COUNT,
        "ran_empty": bool,
        "siphon_nl_per_day": Range(0, FLOW_MAX_NL_PER_DAY),
    }
    MAY_BE_NONE = ("capacity_nl", "ran_dry_at_ms")

    def __init__(self, size_nl: int, residual_nl: int, catheter: Catheter) -> None:
        self.size_nl_ppm = size_nl * PPM
        self.bursts_at_nl_ppm = BURSTS_AT_SIZES * self.size_nl_ppm
        self.residual_nl_ppm = residual_nl * PPM
        self.catheter = catheter
        self.filled_nl_ppm = 0
        self.aspirated_nl_ppm = 0
        self.emitted_nl_ppm = 0
        self.filled_fg_ppm = catheter.drug_passed_fg_ppm(0)
        self.aspirated_fg_ppm = 0
        self.ran_dry_at_ms: int | None = None
        self.ran_empty = self.overfilled = False
        self.backflow_nl_ppm = 0
        """All that went back into it, by whatever cause."""
        self.pushed_back_nl_ppm = 0
        """The part of it that the pressure of the surroundings pushed back."""
        self.free_flow_nl_ppm = 0
        self.siphon_nl_per_day = self.backflow_nl_per_day = 0
        self.flow: FreeFlow | None = None
        self.capacity_nl: int | None = None
        """What a deformed reservoir takes; None while it is whole."""
        self.misfill: Misfill | None = None
        self.pocket_nl_ppm = self.pocket_fg_ppm = 0
        self.pocket_fills = self.partial_fills = self.overfills = 0
        self.dry_at_nl_ppm = 0
        self._find_dry_at()

    @property
    def volume_nl_ppm(self) -> int:
        """All fluid in the reservoir, the residual volume included."""
        return self.filled_nl_ppm - self.aspirated_nl_ppm - self.emitted_nl_ppm + self.backflow_nl_ppm

    @property
    def full_at_nl_ppm(self) -> int:
        """What it holds without being stretched: its size, or less where it was deformed."""
        return self.size_nl_ppm if self.capacity_nl is None else self.capacity_nl * PPM

    @property
    def most_nl_ppm(self) -> int:
        """More than this no syringe gets in."""
        return self.bursts_at_nl_ppm if self.capacity_nl is None else self.full_at_nl_ppm

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
        """Put fluid in. More than the reservoir's size is possible, a fault that a rig may want; not twice it.

        A misfill that waits takes this one.
        """
        if nl < 0 or concentration_ng_per_ml < 0:
            raise ValueError(f"cannot fill {nl} nL of {concentration_ng_per_ml} ng/mL")
        misfill = self.misfill
        into_nl = nl if misfill is None else nl * misfill.into_reservoir_ppm // PPM + misfill.extra_nl
        if into_nl and self.volume_nl_ppm + into_nl * PPM > self.most_nl_ppm:
            held, most = self.volume_nl_ppm // PPM, self.most_nl_ppm // PPM
            limit = "bursts at" if self.capacity_nl is None else "is deformed and takes"
            raise ValueError(
                f"cannot fill {into_nl} nL: {held} nL are in the reservoir, which {limit} {most} nL"
            )
        if misfill is not None:
            self._note_misfill(misfill, nl, concentration_ng_per_ml)
        self.filled_nl_ppm += into_nl * PPM
        self.filled_fg_ppm += into_nl * PPM * concentration_ng_per_ml
        self.overfilled |= self.volume_nl_ppm > self.full_at_nl_ppm
        self._changed()

    def _note_misfill(self, misfill: Misfill, nl: int, concentration_ng_per_ml: int) -> None:
        self.misfill = None
        pocket_nl = nl * misfill.into_pocket_ppm // PPM
        self.pocket_nl_ppm += pocket_nl * PPM
        self.pocket_fg_ppm += pocket_nl * PPM * concentration_ng_per_ml
        if misfill.extra_nl:
            self.overfills += 1
        elif misfill.into_pocket_ppm:
            self.pocket_fills += bool(pocket_nl)
        else:
            self.partial_fills += misfill.into_reservoir_ppm * nl // PPM < nl

    def fill_by_hand(self, nl: int, concentration_ng_per_ml: int) -> int:
        """Empty it and fill it with a syringe of so much, as far as that goes in; returns the nL that were tried."""
        self.aspirate(None)
        misfill = self.misfill
        extra_nl = 0 if misfill is None else misfill.extra_nl
        tried_nl = min(nl, self.most_nl_ppm // PPM - extra_nl)
        self.fill(max(0, tried_nl), concentration_ng_per_ml)
        return max(0, tried_nl)

    def emit(self, nl_ppm: int, now_ms: int) -> int:
        """Let a stroke take so much, as far as there is fluid and the path takes it; returns what was missing, dry."""
        left, room = self.deliverable_nl_ppm, self.catheter.room_nl_ppm(self.emitted_nl_ppm)
        wanted = nl_ppm if room is None else min(nl_ppm, room)
        moved = min(wanted, left)
        self.emitted_nl_ppm += moved
        if left and moved == left:
            self.ran_dry_at_ms = now_ms
        self.ran_empty |= moved == left
        return wanted - moved

    def take_back(self, nl_ppm: int) -> int:
        """Let so much come back out of the path, as far as there is room and the tip is free; returns how much did."""
        taken = min(nl_ppm, self.full_at_nl_ppm - self.volume_nl_ppm)
        if taken <= 0 or self.catheter.held_tip_nl_ppm is not None:
            return 0
        self.catheter.draw_back(taken, self.emitted_nl_ppm)
        self.backflow_nl_ppm += taken
        self._changed()
        return taken

    def set_flow(self, now_ms: int, *, siphon_nl_per_day: int, backflow_nl_per_day: int) -> None:
        """Let fluid move by itself from now on, at the difference of the two."""
        self.flow_until(now_ms)
        self.siphon_nl_per_day, self.backflow_nl_per_day = siphon_nl_per_day, backflow_nl_per_day
        rate_nl_per_day = siphon_nl_per_day - backflow_nl_per_day
        self.flow = FreeFlow(now_ms, rate_nl_per_day, 0) if rate_nl_per_day else None

    def flow_until(self, now_ms: int) -> None:
        """Move what is due without the rotor by this pump time; what could not move is not caught up."""
        flow = self.flow
        if flow is None:
            return
        due = flow.due_nl_ppm(now_ms)
        nl_ppm = due - flow.passed_nl_ppm
        if nl_ppm <= 0:
            return
        self.flow = flow._replace(passed_nl_ppm=due)
        if flow.rate_nl_per_day < 0:
            self.pushed_back_nl_ppm += self.take_back(nl_ppm)
            return
        left = self.deliverable_nl_ppm
        room = self.catheter.room_nl_ppm(self.emitted_nl_ppm)
        moved = min(nl_ppm, left) if room is None else min(nl_ppm, left, room)
        self.emitted_nl_ppm += moved
        self.free_flow_nl_ppm += moved
        if left and moved == left:
            self.ran_dry_at_ms = flow.due_at_ms(flow.passed_nl_ppm + moved)
            self.ran_empty = True

    def empty_path(self) -> None:
        """Draw the catheter empty by the side port; what is drawn is gone as from the reservoir."""
        self.aspirated_fg_ppm += self.catheter.empty_from_side_port(self.emitted_nl_ppm)

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
        if self.deliverable_nl_ppm:
            self.ran_dry_at_ms = None
        self.catheter.follow_with(self.emitted_nl_ppm, self.drug_fg_ppm, self.volume_nl_ppm)

    def _find_dry_at(self) -> None:
        come = self.filled_nl_ppm + self.backflow_nl_ppm
        self.dry_at_nl_ppm = come - self.aspirated_nl_ppm - self.residual_nl_ppm

    def to_json(self) -> Json:
        flow, misfill = self.flow, self.misfill
        return {
            **super().to_json(),
            "flow": None if flow is None else list(flow),
            "misfill": None if misfill is None else list(misfill),
        }

    def from_json(self, state: Json) -> None:
        super().from_json(state)
        flow, misfill = record(state, "flow", _FLOW), record(state, "misfill", _MISFILL)
        if flow is not None and not flow[1]:
            raise StateError("flow.rate_nl_per_day must not be 0: then there is no flow")
        self.flow = None if flow is None else FreeFlow(*flow)
        self.misfill = None if misfill is None else Misfill(*misfill)
        if not 0 <= self.volume_nl_ppm <= self.bursts_at_nl_ppm:
            raise StateError(
                f"filled_nl_ppm less aspirated_nl_ppm and emitted_nl_ppm must be from 0 to {self.bursts_at_nl_ppm}, "
                f"is {self.volume_nl_ppm}"
            )
        self._find_dry_at()
