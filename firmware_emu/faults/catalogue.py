"""All faults of ours, in the order in which they are listed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firmware_emu.faults.clock import CLOCK_FAULTS
from firmware_emu.faults.fault import FAULTS, FaultState, fault_named, register_fault
from firmware_emu.faults.fluid import FLUID_FAULTS
from firmware_emu.faults.memory import MEMORY_FAULTS
from firmware_emu.faults.motor import MOTOR_FAULTS
from firmware_emu.faults.power import POWER_FAULTS
from firmware_emu.faults.processor import PROCESSOR_FAULTS
from firmware_emu.faults.surroundings import SURROUNDINGS_FAULTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from firmware_emu.faults.orders import Order
    from firmware_emu.plant.plant import Plant

__all__ = ["FAULTS", "FaultState", "fault_named", "states_of"]


def states_of(plant: Plant, orders: Mapping[str, Order]) -> tuple[FaultState, ...]:
    """Every fault as it stands in a plant, with what is ordered of it."""
    return tuple(
        FaultState(each, each.is_on(plant), each.effects(plant), orders.get(each.name))
        for each in FAULTS.values()
    )


for _fault in (
    *MOTOR_FAULTS,
    *FLUID_FAULTS,
    *SURROUNDINGS_FAULTS,
    *POWER_FAULTS,
    *MEMORY_FAULTS,
    *CLOCK_FAULTS,
    *PROCESSOR_FAULTS,
):
    register_fault(_fault)
