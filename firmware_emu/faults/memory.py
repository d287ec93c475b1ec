"""Faults of the memory's cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from firmware_emu.faults.fault import Fault

MEMORY_FAULTS: Final[tuple[Fault, ...]] = ()
