"""Faults of the fluid: the reservoir, the catheter and what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from firmware_emu.faults.fault import Fault

FLUID_FAULTS: Final[tuple[Fault, ...]] = ()
