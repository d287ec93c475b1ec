"""What is around the pump: its temperature and pressure, a magnet or a programming head over it.

What they do to the flow is the rotor's, by the coefficients of `flow_model`. No firmware of ours measures either.
"""

from __future__ import annotations

from typing import ClassVar

from firmware_emu.plant.component import COUNT, Component, Kinds, Range
from firmware_emu.plant.flow_model import BODY_MILLICELSIUS, SEA_LEVEL_PA


class Body(Component):
    """Implements `pins.MagnetPin`."""

    __slots__ = ("magnet_near", "pressure_pa", "temperature_millicelsius", "times_seen")
    SAVED: ClassVar[Kinds] = {
        "magnet_near": bool,
        "pressure_pa": Range(0, 100_000_000),
        "temperature_millicelsius": Range(-100_000, 200_000),
        "times_seen": COUNT,
    }

    def __init__(self) -> None:
        self.magnet_near = False
        self.times_seen = 0
        self.temperature_millicelsius = BODY_MILLICELSIUS
        self.pressure_pa = SEA_LEVEL_PA

    def near(self) -> bool:
        """True while something magnetic is held over the pump."""
        self.times_seen += self.magnet_near
        return self.magnet_near
