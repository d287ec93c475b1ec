"""What is around the pump: a magnet or a programming head over it. No temperature, no pressure."""

from __future__ import annotations

from firmware_emu.plant.component import Component


class Body(Component):
    """Implements `pins.MagnetPin`."""

    __slots__ = ("magnet_near",)
    SAVED = ("magnet_near",)

    def __init__(self) -> None:
        self.magnet_near = False

    def near(self) -> bool:
        """True while something magnetic is held over the pump."""
        return self.magnet_near
