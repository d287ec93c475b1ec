"""What is around the pump: a magnet or a programming head over it. No temperature, no pressure."""

from __future__ import annotations

from typing import ClassVar

from firmware_emu.plant.component import COUNT, Component, Kinds


class Body(Component):
    """Implements `pins.MagnetPin`."""

    __slots__ = ("magnet_near", "times_seen")
    SAVED: ClassVar[Kinds] = {"magnet_near": bool, "times_seen": COUNT}

    def __init__(self) -> None:
        self.magnet_near = False
        self.times_seen = 0

    def near(self) -> bool:
        """True while something magnetic is held over the pump."""
        self.times_seen += self.magnet_near
        return self.magnet_near
