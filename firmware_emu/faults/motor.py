"""Faults of the motor, its gears, its sensor, and what a stroke moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from firmware_emu.faults.fault import COUNT_MAX, Fault, Parameter, Values, Where
from firmware_emu.plant.fault_records import EveryNth, Field, Ramp, Wear
from firmware_emu.plant.rotor import ACCURACY_MAX_PPM

if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware_emu.plant.plant import Plant

STROKES_MAX: Final = 1_000_000_000
BACKWARD_MAX: Final = 10_000
"""5 mL: a rotor turns back by a part of a turn, not for weeks [DOMAIN 3.4]."""


def _inject_stall(plant: Plant, now_ms: int, values: Values) -> None:
    duration_ms = values["duration_ms"]
    plant.set_stall(True, now_ms, None if duration_ms is None else now_ms + duration_ms)


def _stalled_strokes(plant: Plant) -> int:
    rotor = plant.rotor
    return rotor.strokes_missed - rotor.missed_in_field - rotor.missed_by_wear


def _set(name: str) -> Callable[[Plant, object], None]:
    """Give the rotor a record, or take it away by None."""

    def put(plant: Plant, record: object) -> None:
        setattr(plant.rotor, name, record)
        plant.rotor.look()

    return put


_set_field, _set_wear = _set("field"), _set("wear")
_set_edges_fail, _set_edges_double = _set("edges_fail"), _set("edges_double")
_set_drift, _set_starved = _set("drift"), _set("starved")
_set_backward, _set_tube = _set("backward_left"), _set("tube_accuracy_ppm")


def _inject_mri(plant: Plant, now_ms: int, values: Values) -> None:
    ends_ms = now_ms + values["field_duration_ms"]
    _set_field(plant, Field(now_ms, ends_ms, ends_ms + values["restart_delay_ms"]))
    strokes = values["backward_strokes"]
    if strokes:
        plant.rotor.turn_back(strokes, now_ms)
        plant.rotor.backward_in_field += strokes


def _inject_wear(plant: Plant, _now_ms: int, values: Values) -> None:
    free, held = values["free_strokes"], values["held_strokes"]
    _set_wear(plant, Wear(free, held, values["fewer_strokes"], free + held))


def _every_nth(values: Values) -> EveryNth:
    return EveryNth(values["every_strokes"], values["every_strokes"])


def _clear_tube_set(plant: Plant, now_ms: int) -> None:
    """The tube is round again, and somebody has measured what the pump gives."""
    _set_tube(plant, None)
    plant.rotor.trust(now_ms)


_EVERY_STROKES = Parameter("every_strokes", 1, STROKES_MAX, default=1)
_RAMP = Parameter("ramp_ppm_per_day", -ACCURACY_MAX_PPM, ACCURACY_MAX_PPM, default=0)

MOTOR_FAULTS: Final = (
    Fault(
        "motor-stall",
        Where.PLANT,
        "The rotor is held: commanded strokes are not turned.",
        "missing edges, and MOTOR_STALL once that has lasted for the detection time",
        _inject_stall,
        lambda plant, _now_ms: plant.set_stall(False, 0),
        lambda plant: plant.rotor.stall is not None,
        _stalled_strokes,
        (Parameter("duration_ms", 0, COUNT_MAX, meaning="until it is cleared"),),
    ),
    Fault(
        "mri",
        Where.PLANT,
        "The field of a scanner turns the rotor back and holds it; after that its gears may bind for hours.",
        "missing edges, and MOTOR_STALL once that has lasted for the detection time",
        _inject_mri,
        lambda plant, _now_ms: _set_field(plant, None),
        lambda plant: plant.rotor.field is not None,
        lambda plant: plant.rotor.missed_in_field + plant.rotor.backward_in_field,
        (
            Parameter("field_duration_ms", 1, COUNT_MAX, default=1_800_000),
            Parameter("restart_delay_ms", 0, COUNT_MAX, default=0),
            Parameter("backward_strokes", 0, BACKWARD_MAX, default=0),
        ),
    ),
    Fault(
        "rotor-backward",
        Where.PLANT,
        "The next strokes turn the rotor backwards: fluid goes back into the reservoir.",
        "reversed edges, which are no delivery; MOTOR_STALL where that lasts",
        lambda plant, _now_ms, values: _set_backward(plant, values["strokes"]),
        lambda plant, _now_ms: _set_backward(plant, 0),
        lambda plant: plant.rotor.backward_left > 0,
        lambda plant: plant.rotor.strokes_backward - plant.rotor.backward_in_field,
        (Parameter("strokes", 1, BACKWARD_MAX, required=True),),
    ),
    Fault(
        "edge-lost",
        Where.PLANT,
        "The sensor misses the edge of each n-th stroke that the rotor turned.",
        "fewer edges than strokes; with all of them missing MOTOR_STALL",
        lambda plant, _now_ms, values: _set_edges_fail(plant, _every_nth(values)),
        lambda plant, _now_ms: _set_edges_fail(plant, None),
        lambda plant: plant.rotor.edges_fail is not None,
        lambda plant: plant.rotor.edges_lost,
        (_EVERY_STROKES,),
    ),
    Fault(
        "edge-false",
        Where.PLANT,
        "The sensor shows an edge more at each n-th commanded stroke, whether the rotor turned or not.",
        "two edges of one stroke, or one of a stroke that was not turned",
        lambda plant, _now_ms, values: _set_edges_double(plant, _every_nth(values)),
        lambda plant, _now_ms: _set_edges_double(plant, None),
        lambda plant: plant.rotor.edges_double is not None,
        lambda plant: plant.rotor.edges_false,
        (_EVERY_STROKES,),
    ),
    Fault(
        "wear",
        Where.PLANT,
        "Worn gears turn for so many strokes, then bind for so many, each time sooner, and in the end for good.",
        "stalls that come and go, and one that stays",
        _inject_wear,
        lambda plant, _now_ms: _set_wear(plant, None),
        lambda plant: plant.rotor.wear is not None,
        lambda plant: plant.rotor.missed_by_wear,
        (
            Parameter("free_strokes", 1, STROKES_MAX, required=True),
            Parameter("held_strokes", 1, STROKES_MAX, required=True),
            Parameter("fewer_strokes", 0, STROKES_MAX, default=0),
        ),
    ),
    Fault(
        "accuracy",
        Where.PLANT,
        "Each stroke moves more or less than it should.",
        "nothing: the pump has no flow sensor",
        lambda plant, _now_ms, values: plant.set_accuracy(values["accuracy_ppm"]),
        lambda plant, _now_ms: plant.set_accuracy(plant.rotor.rated_accuracy_ppm),
        lambda plant: plant.rotor.accuracy_ppm != plant.rotor.rated_accuracy_ppm,
        lambda plant: plant.rotor.inaccurate_strokes,
        (Parameter("accuracy_ppm", 1, ACCURACY_MAX_PPM, required=True),),
    ),
    Fault(
        "accuracy-drift",
        Where.PLANT,
        "What a stroke moves rises or falls evenly from now on, on top of its accuracy.",
        "nothing: the pump has no flow sensor",
        lambda plant, now_ms, values: _set_drift(plant, Ramp(now_ms, 0, values["ramp_ppm_per_day"])),
        lambda plant, _now_ms: _set_drift(plant, None),
        lambda plant: plant.rotor.drift is not None,
        lambda plant: plant.rotor.drifted_strokes,
        (_RAMP._replace(required=True, default=None),),
    ),
    Fault(
        "tube-set",
        Where.PLANT,
        "Once the rotor has stood for 48 h its tube is dented, and a stroke moves this; cleared, it is trusted again.",
        "TUBE_SET after 48 h; nothing of what the strokes move",
        lambda plant, _now_ms, values: _set_tube(plant, values["accuracy_ppm"]),
        _clear_tube_set,
        lambda plant: plant.rotor.tube_accuracy_ppm is not None,
        lambda plant: plant.rotor.tube_set_strokes,
        (Parameter("accuracy_ppm", 1, ACCURACY_MAX_PPM, required=True),),
    ),
    Fault(
        "propellant-loss",
        Where.PLANT,
        "The gas that feeds the rotor is going: each stroke moves this part of what it should, less from day to day.",
        "nothing: its edges are those of a pump that delivers",
        lambda plant, now_ms, values: _set_starved(
            plant, Ramp(now_ms, values["flow_ppm"], values["ramp_ppm_per_day"])
        ),
        lambda plant, _now_ms: _set_starved(plant, None),
        lambda plant: plant.rotor.starved is not None,
        lambda plant: plant.rotor.starved_strokes,
        (Parameter("flow_ppm", 0, 1_000_000, required=True), _RAMP),
    ),
)
