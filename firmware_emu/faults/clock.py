"""Faults of the oscillator and of what counts time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from firmware_emu.faults.fault import COUNT_MAX, Fault, Parameter, Values, Where
from firmware_emu.plant.crystal import DRIFT_MAX_PPM

if TYPE_CHECKING:
    from firmware_emu.plant.plant import Plant


def _inject_rate(plant: Plant, now_ms: int, values: Values) -> None:
    plant.set_clock_drift(now_ms, values["drift_ppm"])


def _inject_stop(plant: Plant, now_ms: int, values: Values) -> None:
    duration_ms = values["duration_ms"]
    plant.crystal.stand(now_ms, None if duration_ms is None else now_ms + duration_ms)


def _inject_jump(plant: Plant, _now_ms: int, values: Values) -> None:
    crystal, jump_ms = plant.crystal, values["jump_ms"]
    crystal.jump_ms, crystal.jump_to_epoch = (0, True) if jump_ms is None else (jump_ms, False)


def _disarm_jump(plant: Plant, _now_ms: int) -> None:
    plant.crystal.jump_ms, plant.crystal.jump_to_epoch = None, False


CLOCK_FAULTS: Final = (
    Fault(
        "clock-rate",
        Where.CLOCK,
        "The oscillator runs too fast, or with a negative drift too slow.",
        "nothing by itself: doses, dates and tones come early or late; a clinician sees a wrong wall clock (TIME_SET)",
        _inject_rate,
        lambda plant, now_ms: plant.set_clock_drift(now_ms, plant.crystal.rated_drift_ppm),
        lambda plant: plant.crystal.drift_ppm != plant.crystal.rated_drift_ppm,
        lambda plant: plant.crystal.skewed(plant.rotor.strokes_turned),
        (Parameter("drift_ppm", -DRIFT_MAX_PPM, DRIFT_MAX_PPM, required=True),),
    ),
    Fault(
        "clock-stop",
        Where.CLOCK,
        "The oscillator stands: the program does not run, until the fault ends or power has been away.",
        "nothing: no tick is counted and nothing is delivered; after it the wall clock is behind by as much",
        _inject_stop,
        lambda plant, now_ms: plant.crystal.go_on(now_ms),
        lambda plant: plant.crystal.standing_since_ms is not None,
        lambda plant: plant.crystal.stops,
        (Parameter("duration_ms", 1, COUNT_MAX, meaning="until it is cleared"),),
    ),
    Fault(
        "clock-jump",
        Where.CLOCK,
        "At the next loss of power the latched register is off by so much, or at 0. Once.",
        "a register that no checkpoint agrees with (POST_FAIL, CLOCK) where it is off by much, else nothing",
        _inject_jump,
        _disarm_jump,
        lambda plant: plant.crystal.jump_ms is not None,
        lambda plant: plant.crystal.jumps,
        (Parameter("jump_ms", -COUNT_MAX, COUNT_MAX, meaning="to 0, the epoch"),),
    ),
)
