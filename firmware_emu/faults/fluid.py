"""Faults of the fluid: the reservoir, the catheter and what is in them. Of none does the firmware see anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from firmware_emu.faults.fault import Fault, Parameter, Values, Where
from firmware_emu.plant.fault_records import Misfill
from firmware_emu.units import NL_PER_ML, PPM

if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware_emu.plant.plant import Plant

NOTHING: Final = "nothing: the pump has no sensor of flow, pressure or volume"


def _arm(misfill: Callable[[Values], Misfill]) -> Callable[[Plant, int, Values], None]:
    """Let the next fill, by hand or by the rig's syringe, become this."""

    def inject(plant: Plant, _now_ms: int, values: Values) -> None:
        plant.reservoir.misfill = misfill(values)

    return inject


def _disarm(plant: Plant, is_mine: Callable[[Misfill], bool]) -> None:
    if _waits(plant, is_mine):
        plant.reservoir.misfill = None


def _waits(plant: Plant, is_mine: Callable[[Misfill], bool]) -> bool:
    misfill = plant.reservoir.misfill
    return misfill is not None and is_mine(misfill)


def _is_overfill(misfill: Misfill) -> bool:
    return misfill.extra_nl > 0


def _is_pocket(misfill: Misfill) -> bool:
    return misfill.into_pocket_ppm > 0


def _is_partial(misfill: Misfill) -> bool:
    return not _is_overfill(misfill) and not _is_pocket(misfill)


def _occlude(plant: Plant, _now_ms: int, values: Values) -> None:
    plant.catheter.occlude(values["compliance_nl"] * PPM, plant.reservoir.emitted_nl_ppm)
    plant.rotor.look()


def _release(plant: Plant, _now_ms: int) -> None:
    plant.catheter.release()
    plant.rotor.look()


def _leak(plant: Plant, _now_ms: int, values: Values) -> None:
    plant.catheter.leak(values["lost_ppm"], plant.reservoir.emitted_nl_ppm)


def _siphon(plant: Plant, now_ms: int, values: Values) -> None:
    backflow = plant.reservoir.backflow_nl_per_day
    plant.reservoir.set_flow(
        now_ms, siphon_nl_per_day=values["rate_nl_per_day"], backflow_nl_per_day=backflow
    )
    plant.rotor.look()


def _stop_siphon(plant: Plant, now_ms: int) -> None:
    backflow = plant.reservoir.backflow_nl_per_day
    plant.reservoir.set_flow(now_ms, siphon_nl_per_day=0, backflow_nl_per_day=backflow)
    plant.rotor.look()


def _empty_path(plant: Plant, _now_ms: int, _values: Values) -> None:
    plant.reservoir.empty_path()


def _close_side_port(plant: Plant, _now_ms: int) -> None:
    plant.catheter.side_port_used = False


FLUID_FAULTS: Final = (
    Fault(
        "pocket-fill",
        Where.PLANT,
        "This part of the next fill goes into the pocket beside the pump. Once.",
        NOTHING,
        _arm(lambda values: Misfill(PPM - values["pocket_ppm"], values["pocket_ppm"], 0)),
        lambda plant, _now_ms: _disarm(plant, _is_pocket),
        lambda plant: _waits(plant, _is_pocket),
        lambda plant: plant.reservoir.pocket_fills,
        (Parameter("pocket_ppm", 1, PPM, default=PPM),),
    ),
    Fault(
        "partial-fill",
        Where.PLANT,
        "Only this part of the next fill is injected. Once.",
        NOTHING,
        _arm(lambda values: Misfill(values["filled_ppm"], 0, 0)),
        lambda plant, _now_ms: _disarm(plant, _is_partial),
        lambda plant: _waits(plant, _is_partial),
        lambda plant: plant.reservoir.partial_fills,
        (Parameter("filled_ppm", 0, PPM - 1, required=True),),
    ),
    Fault(
        "overfill",
        Where.PLANT,
        "With the next fill so much more is injected than is told. Once.",
        NOTHING,
        _arm(lambda values: Misfill(PPM, 0, values["extra_nl"])),
        lambda plant, _now_ms: _disarm(plant, _is_overfill),
        lambda plant: _waits(plant, _is_overfill),
        lambda plant: plant.reservoir.overfills,
        (Parameter("extra_nl", 1, 100 * NL_PER_ML, required=True),),
    ),
    Fault(
        "occlusion",
        Where.PLANT,
        "The catheter is blocked at its tip: the path takes up so much, then strokes move nothing; all of it leaves"
        " when it is cleared.",
        NOTHING,
        _occlude,
        _release,
        lambda plant: plant.catheter.held_tip_nl_ppm is not None,
        lambda plant: plant.catheter.occluded_strokes,
        (Parameter("compliance_nl", 0, NL_PER_ML, default=100_000),),
    ),
    Fault(
        "catheter-leak",
        Where.PLANT,
        "This part of what arrives at the catheter's tip is lost just before it; all of it where the catheter came off."
        " It has taken effect on so many nL.",
        NOTHING,
        _leak,
        lambda plant, _now_ms: plant.catheter.leak(0, plant.reservoir.emitted_nl_ppm),
        lambda plant: plant.catheter.leak_ppm > 0,
        lambda plant: plant.catheter.leaked_nl_ppm(plant.reservoir.emitted_nl_ppm) // PPM,
        (Parameter("lost_ppm", 1, PPM, default=PPM),),
    ),
    Fault(
        "siphon",
        Where.PLANT,
        "Fluid flows out by itself, beyond what strokes move. It has taken effect on so many nL.",
        NOTHING,
        _siphon,
        _stop_siphon,
        lambda plant: plant.reservoir.siphon_nl_per_day > 0,
        lambda plant: plant.reservoir.free_flow_nl_ppm // PPM,
        (Parameter("rate_nl_per_day", 1, 100 * NL_PER_ML, required=True),),
    ),
    Fault(
        "side-port-aspiration",
        Where.PLANT,
        "A syringe at the side port has drawn the catheter empty; fluid without drug is in it, and nobody primes it.",
        NOTHING,
        _empty_path,
        _close_side_port,
        lambda plant: plant.catheter.side_port_used,
        lambda plant: plant.catheter.side_port_aspirations,
    ),
)
