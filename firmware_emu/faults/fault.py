"""What a fault is: where it acts, what it takes and does, what the firmware can see of it, how often it took effect.

The rows stand in the modules beside this one, and `catalogue` has them all. Adding a fault is `register_fault`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from firmware_emu.events import FaultValue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from firmware_emu.faults.orders import Order
    from firmware_emu.plant.plant import Plant

COUNT_MAX: Final = 1 << 48


class Where(StrEnum):
    """What a fault acts on; the words are those of `pumpbench faults`."""

    PLANT = "plant"
    POWER = "power"
    MEMORY = "memory"
    CLOCK = "clock"
    PROCESSOR = "processor"


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
    where: Where
    summary: str
    seen_as: str
    """What the firmware can see of it, in words."""
    inject: Callable[[Plant, int, Values], None]
    """Cause it at this pump time in ms, with a value for each parameter."""
    clear: Callable[[Plant, int], None]
    """End it at this pump time in ms; nothing where it is not there."""
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

    def told(self, given: Mapping[str, object]) -> tuple[FaultValue, ...]:
        """The same for the trace and for an order, without the parameters that have no value."""
        return tuple(
            FaultValue(name, value) for name, value in self.values(given).items() if value is not None
        )


class FaultState(NamedTuple):
    """One fault of a pump as it stands."""

    fault: Fault
    on: bool
    effects: int
    order: Order | None
    """What is to come of it; None for nothing."""


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
