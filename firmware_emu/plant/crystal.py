"""The oscillator that makes the controller's ticks out of pump time. It is exact: no drift is modelled.

Pump time never stops and starts at 0; ticks differ from it by an offset that is fixed at each boot.
"""

from __future__ import annotations

from typing import ClassVar

from firmware_emu.plant.component import COUNT, SIGNED, Component, Kinds
from firmware_emu.units import MS_PER_S


class Crystal(Component):
    """Implements `pins.CrystalPin`."""

    __slots__ = ("latch_ms", "offset_ms")
    SAVED: ClassVar[Kinds] = {"latch_ms": COUNT, "offset_ms": SIGNED}

    def __init__(self) -> None:
        self.latch_ms = 0
        self.offset_ms = 0

    def latched_ms(self) -> int:
        """Ticks at the last whole second before the oscillator stopped."""
        return self.latch_ms

    def stop(self, now_ms: int) -> None:
        """Power is gone: what was latched last, stays."""
        self.latch_ms = (now_ms + self.offset_ms) // MS_PER_S * MS_PER_S

    def start(self, now_ms: int) -> None:
        """Power is back: count on from what was latched, until the program that boots says where it begins.

        Power may go again before it has said so; the time between counts no more than it did.
        """
        self.offset_ms = self.latch_ms - now_ms

    def now_of(self, tick_ms: int) -> int:
        """Pump time at a tick."""
        return tick_ms - self.offset_ms

    def tick_of(self, now_ms: int) -> int:
        """Tick at a pump time."""
        return now_ms + self.offset_ms
