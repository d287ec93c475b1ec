"""The kinds of component a plant can be made of, a row each; a profile names a kind for a part, or gets ours.

Adding one is `register_component`; how an installed package does it stands in the README beside this file.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from firmware_emu.plant.battery import Battery, Loads
from firmware_emu.plant.body import Body
from firmware_emu.plant.catheter import Catheter
from firmware_emu.plant.crystal import Crystal
from firmware_emu.plant.entropy import Entropy
from firmware_emu.plant.flash import Flash
from firmware_emu.plant.flow_model import FlowModel
from firmware_emu.plant.processor import Processor
from firmware_emu.plant.receiver import Receiver
from firmware_emu.plant.reservoir import Reservoir
from firmware_emu.plant.rotor import Rotor
from firmware_emu.plant.sounder import Sounder
from firmware_emu.units import MS_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware_emu.plant.component import Component
    from firmware_emu.plant.plant import Plant
    from firmware_emu.profile import Implant, PumpModel

DEFAULT_KINDS: Final = {
    "catheter": "plug-flow",
    "crystal": "exact",
    "reservoir": "well-mixed",
    "rotor": "whole-strokes",
    "battery": "linear",
    "flash": "byte-writable",
    "entropy": "counter-mode",
    "body": "magnet",
    "sounder": "two-tone",
    "processor": "watched",
    "receiver": "waking",
}
"""The parts of a plant in the order in which they are made, each with the kind that a profile gets unasked."""
PARTS: Final = tuple(DEFAULT_KINDS)
_KIND: Final = re.compile(r"[a-z][a-z0-9-]*")


class Given(NamedTuple):
    """What a plant is made from."""

    model: PumpModel
    implant: Implant | None
    seed: bytes
    unit: bytes
    memory_bytes: int


class ComponentRow(NamedTuple):
    """One kind of a part."""

    part: str
    kind: str
    """Small letters, digits and hyphens."""
    make: Callable[[Plant, Given], Component]
    """The part, for a plant whose earlier parts are made already. It offers what ours offers; a subclass does."""

    @property
    def name(self) -> str:
        """As the entry point of an installed package names it: `catheter.leaking`."""
        return f"{self.part}.{self.kind}"


COMPONENTS: Final[dict[tuple[str, str], ComponentRow]] = {}


def register_component(row: ComponentRow) -> None:
    """Add a kind. ValueError where there is one of that name, no such part, or where it is no name."""
    if row.part not in DEFAULT_KINDS:
        raise ValueError(f"a plant has no part {row.part!r}; it has {', '.join(PARTS)}")
    if not _KIND.fullmatch(row.kind):
        raise ValueError(f"{row.kind!r} is no name of a kind")
    if (row.part, row.kind) in COMPONENTS:
        raise ValueError(f"the {row.part} {row.kind} is there already")
    COMPONENTS[row.part, row.kind] = row


def kinds_of(part: str) -> tuple[str, ...]:
    """The kinds of a part that are registered."""
    return tuple(kind for each, kind in COMPONENTS if each == part)


def component_named(part: str, kind: str) -> ComponentRow:
    """The row of that kind; ValueError lists those that there are."""
    if (part, kind) not in COMPONENTS:
        raise ValueError(f"there is no {part} {kind!r}; there are {', '.join(kinds_of(part)) or 'none'}")
    return COMPONENTS[part, kind]


def _battery(plant: Plant, given: Given) -> Component:
    model = given.model
    loads = Loads(
        stroke_ma=model.stroke_ma,
        tone_ma=model.tone_ma,
        telemetry_ma=model.telemetry_ma,
        memory_write_ma=model.memory_write_ma,
        processor_ma=model.processor_ma,
        reset_mv=model.battery_reset_mv,
        tone_nc_per_ms=model.tone_nc_per_ms,
        telemetry_nc_per_byte=model.telemetry_nc_per_byte,
    )
    battery = Battery(
        model.battery_capacity_mah,
        model.battery_full_mv,
        model.battery_eos_mv,
        plant.rotor,
        plant.crystal,
        loads,
    )
    plant.rotor.battery = battery
    return battery


_OURS: Final[dict[str, Callable[[Plant, Given], Component]]] = {
    "catheter": lambda _plant, given: Catheter.of(given.model, given.implant),
    "crystal": lambda _plant, given: Crystal(given.model.crystal_ppm),
    "reservoir": lambda plant, given: Reservoir(
        given.model.reservoir_size_nl, given.model.residual_nl, plant.catheter
    ),
    "rotor": lambda plant, given: Rotor(
        given.model.stroke_nl,
        given.model.accuracy_ppm,
        plant.reservoir,
        plant.crystal,
        FlowModel.of(given.model),
    ),
    "battery": _battery,
    "flash": lambda plant, given: Flash(given.memory_bytes, plant.battery),
    "entropy": lambda _plant, given: Entropy(given.seed, given.unit),
    "body": lambda _plant, _given: Body(),
    "sounder": lambda plant, _given: Sounder(plant.crystal, plant.battery),
    "processor": lambda _plant, given: Processor(
        given.model.firmware_version, given.model.watchdog_s * MS_PER_S
    ),
    "receiver": lambda _plant, _given: Receiver(),
}
for _part, _make in _OURS.items():
    register_component(ComponentRow(_part, DEFAULT_KINDS[_part], _make))
