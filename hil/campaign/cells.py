"""The cells in which a pump can be; a campaign counts those that its lives reach, and goes on from rare ones.

A moment of a pump is in one cell for each fault that it has, or in one without a fault: its state, what flows, the
conditions that are active, and the fault. `usual_cells.py` says which are common.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from firmware_emu.faults.catalogue import FAULTS
from protocol.identifiers import Activity, AlarmId

if TYPE_CHECKING:
    from firmware_emu.pump import Pump

WITHOUT_POWER: Final = "without power, nothing, nothing"


def cells_of(pump: Pump) -> tuple[str, ...]:
    """The cells in which a pump is now, in words: state, what flows, what is alarmed, fault."""
    belief, controller = pump.belief(), pump.controller
    at = WITHOUT_POWER
    if belief is not None and controller is not None:
        flows, alarmed = _flows(int(controller.therapy.deliveries.activity)), _alarmed(belief.alarm_active)
        at = f"{belief.state.name}, {flows}, {alarmed}"
    faulty = [name for name, fault in FAULTS.items() if fault.is_on(pump.plant)]
    return tuple(f"{at}, {name}" for name in faulty) or (f"{at}, no fault",)


@cache
def _flows(activity: int) -> str:
    return "+".join(each.name or "" for each in Activity if each in Activity(activity)) or "nothing"


@cache
def _alarmed(active: int) -> str:
    return "+".join(each.name for each in AlarmId if active >> each & 1) or "nothing"
