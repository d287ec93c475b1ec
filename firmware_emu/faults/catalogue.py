"""All faults of ours, in the order in which they are listed."""

from __future__ import annotations

from firmware_emu.faults.clock import CLOCK_FAULTS
from firmware_emu.faults.fault import FAULTS, FaultState, fault_named, register_fault
from firmware_emu.faults.fluid import FLUID_FAULTS
from firmware_emu.faults.memory import MEMORY_FAULTS
from firmware_emu.faults.motor import MOTOR_FAULTS
from firmware_emu.faults.power import POWER_FAULTS
from firmware_emu.faults.processor import PROCESSOR_FAULTS
from firmware_emu.faults.surroundings import SURROUNDINGS_FAULTS

__all__ = ["FAULTS", "FaultState", "fault_named"]

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
