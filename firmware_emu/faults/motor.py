"""Faults of the motor, its sensor, and what a stroke moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from firmware_emu.faults.fault import COUNT_MAX, Fault, Parameter, Values, Where

if TYPE_CHECKING:
    from firmware_emu.plant.plant import Plant

ACCURACY_MAX_PPM: Final = 10_000_000


def _inject_stall(plant: Plant, now_ms: int, values: Values) -> None:
    duration_ms = values["duration_ms"]
    plant.set_stall(True, now_ms, None if duration_ms is None else now_ms + duration_ms)


MOTOR_FAULTS: Final = (
    Fault(
        "motor-stall",
        Where.PLANT,
        "The rotor is held: commanded strokes are not turned.",
        "missing edges, and MOTOR_STALL once that has lasted for the detection time",
        _inject_stall,
        lambda plant: plant.set_stall(False, 0),
        lambda plant: plant.rotor.stall is not None,
        lambda plant: plant.rotor.strokes_missed,
        (Parameter("duration_ms", 0, COUNT_MAX, meaning="until it is cleared"),),
    ),
    Fault(
        "accuracy",
        Where.PLANT,
        "Each stroke moves more or less than it should.",
        "nothing: the pump has no flow sensor",
        lambda plant, _now_ms, values: plant.set_accuracy(values["accuracy_ppm"]),
        lambda plant: plant.set_accuracy(plant.rotor.rated_accuracy_ppm),
        lambda plant: plant.rotor.accuracy_ppm != plant.rotor.rated_accuracy_ppm,
        lambda plant: plant.rotor.inaccurate_strokes,
        (Parameter("accuracy_ppm", 1, ACCURACY_MAX_PPM, required=True),),
    ),
)
