"""The faults that a rig can cause, a row each: what it takes, what it does, what the firmware can see of it.

The effect itself lives in the component on which it acts. Adding a fault is `register_fault`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from firmware_emu.plant.plant import Plant

COUNT_MAX: Final = 1 << 48
ACCURACY_MAX_PPM: Final = 10_000_000

Values = dict[str, Any]
"""An integer for each parameter; None where it was not given and has no default."""


class Parameter(NamedTuple):
    """One number that a fault takes; its unit is the last part of its name."""

    name: str
    lowest: int
    highest: int
    required: bool = False
    default: int | None = None
    """What holds where it is not given; None: no number, as `meaning` says."""
    meaning: str = ""


class Fault(NamedTuple):
    """One fault."""

    name: str
    """As it stands in an address: small letters, digits and hyphens."""
    summary: str
    seen_as: str
    """What the firmware can see of it, in words."""
    inject: Callable[[Plant, int, Values], None]
    """Cause it at this pump time in ms, with a value for each parameter."""
    clear: Callable[[Plant], None]
    """End it; nothing where it is not there."""
    is_on: Callable[[Plant], bool]
    effects: Callable[[Plant], int]
    """How often it has taken effect so far."""
    parameters: tuple[Parameter, ...] = ()

    def values(self, given: Mapping[str, object]) -> Values:
        """A value for each parameter; ValueError names the one that is wrong, and what was expected."""
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in given:
            if name not in known:
                takes = ", ".join(known) or "no parameters"
                raise ValueError(f"{self.name} has no parameter {name}; it takes {takes}")
        return {name: _checked(self.name, parameter, given) for name, parameter in known.items()}


class FaultState(NamedTuple):
    """One fault of a pump as it stands."""

    fault: Fault
    on: bool
    effects: int


FAULTS: Final[dict[str, Fault]] = {}


def register_fault(fault: Fault) -> None:
    """Add a fault. ValueError where there is one of that name."""
    if fault.name in FAULTS:
        raise ValueError(f"the fault {fault.name} is there already")
    FAULTS[fault.name] = fault


def fault_named(name: str) -> Fault:
    """The fault of that name; ValueError lists those that there are."""
    if name not in FAULTS:
        raise ValueError(f"there is no fault {name!r}; there are {', '.join(FAULTS)}")
    return FAULTS[name]


def _checked(fault: str, parameter: Parameter, given: Mapping[str, object]) -> int | None:
    name = parameter.name
    if given.get(name) is None:
        if parameter.required:
            raise ValueError(f"{fault} needs {name}, {parameter.lowest} to {parameter.highest}")
        return parameter.default
    value = given[name]
    if type(value) is not int or not parameter.lowest <= value <= parameter.highest:
        raise ValueError(
            f"{name} of {fault} must be a whole number from {parameter.lowest} to {parameter.highest}, is {value!r}"
        )
    return value


def _inject_stall(plant: Plant, now_ms: int, values: Values) -> None:
    duration_ms = values["duration_ms"]
    plant.set_stall(True, now_ms, None if duration_ms is None else now_ms + duration_ms)


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

for _fault in (
    Fault(
        "motor-stall",
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
        "Each stroke moves more or less than it should.",
        "nothing: the pump has no flow sensor",
        lambda plant, _now_ms, values: plant.set_accuracy(values["accuracy_ppm"]),
        lambda plant: plant.set_accuracy(plant.rotor.rated_accuracy_ppm),
        lambda plant: plant.rotor.accuracy_ppm != plant.rotor.rated_accuracy_ppm,
        lambda plant: plant.rotor.inaccurate_strokes,
        (Parameter("accuracy_ppm", 1, ACCURACY_MAX_PPM, required=True),),
    ),
    Fault(
        "entropy-stuck",
        "The random source gives zeros.",
        "RNG_FAILED at the next start; no session is opened with zeros",
        lambda plant, _now_ms, _values: plant.set_entropy_stuck(True),
        lambda plant: plant.set_entropy_stuck(False),
        lambda plant: plant.entropy.stuck,
        lambda plant: plant.entropy.stuck_draws,
    ),
    Fault(
        "power-cut-at-write",
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
        "Power goes as the n-th stroke from now is due; it is not turned. Once.",
        "a restart, and a stroke of which nobody knows whether it was turned",
        _inject_cut_at_stroke,
        _disarm_stroke,
        lambda plant: plant.rotor.cut is not None,
        lambda plant: plant.rotor.cuts,
        (Parameter("strokes", 1, COUNT_MAX, required=True), _STAYS_OFF),
    ),
    Fault(
        "magnet",
        "A magnet or a programming head is held over the pump.",
        "proximity, where it looks for it",
        lambda plant, _now_ms, _values: plant.set_magnet(True),
        lambda plant: plant.set_magnet(False),
        lambda plant: plant.body.magnet_near,
        lambda plant: plant.body.times_seen,
    ),
):
    register_fault(_fault)
