"""Faults of the power supply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from firmware_emu.faults.fault import COUNT_MAX, Fault, Parameter, Values, Where

if TYPE_CHECKING:
    from firmware_emu.plant.plant import Plant


def _inject_cut_at_write(plant: Plant, _now_ms: int, values: Values) -> None:
    plant.cut_at_write(values["writes"], values["torn_after_bytes"], stays_off=bool(values["stays_off"]))


def _inject_cut_at_stroke(plant: Plant, _now_ms: int, values: Values) -> None:
    plant.cut_at_stroke(values["strokes"], stays_off=bool(values["stays_off"]))


def _disarm_write(plant: Plant) -> None:
    plant.flash.cut = None


def _disarm_stroke(plant: Plant) -> None:
    plant.rotor.cut = None


_STAYS_OFF = Parameter(
    "stays_off", 0, 1, default=1, meaning="1: until the rig restores power; 0: a brown-out"
)

POWER_FAULTS: Final = (
    Fault(
        "power-cut-at-write",
        Where.POWER,
        "Power goes in the n-th write to the memory from now, of which so many bytes land. Once.",
        "a restart that finds a torn write",
        _inject_cut_at_write,
        _disarm_write,
        lambda plant: plant.flash.cut is not None,
        lambda plant: plant.flash.cuts,
        (
            Parameter("writes", 1, COUNT_MAX, required=True),
            Parameter("torn_after_bytes", 0, COUNT_MAX, default=0),
            _STAYS_OFF,
        ),
    ),
    Fault(
        "power-cut-at-stroke",
        Where.POWER,
        "Power goes as the n-th stroke from now is due; it is not turned. Once.",
        "a restart, and a stroke of which nobody knows whether it was turned",
        _inject_cut_at_stroke,
        _disarm_stroke,
        lambda plant: plant.rotor.cut is not None,
        lambda plant: plant.rotor.cuts,
        (Parameter("strokes", 1, COUNT_MAX, required=True), _STAYS_OFF),
    ),
)
