"""Faults of the oscillator and of what counts time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from firmware_emu.faults.fault import Fault

CLOCK_FAULTS: Final[tuple[Fault, ...]] = ()
