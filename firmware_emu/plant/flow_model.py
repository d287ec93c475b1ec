"""How far a stroke depends on what is around the pump and in it [DOMAIN 1.6]; no part of the plant, it holds no state.

true = commanded x accuracy x (1 + aT (T - 37.0)) x (1 + aP (P - 101.3) / 101.3) x (1 + aF (0.5 - V / capacity)), where
each coefficient is a value of the profile and 0 unless somebody measured it. Factors are millionths, rounded down, and
none is below 0: backflow is a flow of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from firmware_emu.units import PPM

if TYPE_CHECKING:
    from firmware_emu.profile import PumpModel

BODY_MILLICELSIUS: Final = 37_000
SEA_LEVEL_PA: Final = 101_300
BACKFLOW_ABOVE_PA: Final = 2 * SEA_LEVEL_PA
"""2 ATA: above it the shield deforms and fluid goes back into the reservoir [DOMAIN 1.6, RH-22]."""


class FlowModel(NamedTuple):
    """The coefficients, in millionths of the flow; they may be negative."""

    per_kelvin_ppm: int = 0
    per_atmosphere_ppm: int = 0
    per_fill_ppm: int = 0
    """Between a full reservoir and an empty one; at half its capacity the flow is as it is rated."""

    @classmethod
    def of(cls, model: PumpModel) -> FlowModel:
        """Those of a profile."""
        return cls(
            model.accuracy_per_kelvin_ppm, model.accuracy_per_atmosphere_ppm, model.accuracy_per_fill_ppm
        )

    def warmth_ppm(self, temperature_millicelsius: int) -> int:
        """Flow at a body temperature, of that at 37 degrees."""
        return max(0, PPM + self.per_kelvin_ppm * (temperature_millicelsius - BODY_MILLICELSIUS) // 1_000)

    def pressure_ppm(self, pressure_pa: int) -> int:
        """Flow at an ambient pressure, of that at sea level."""
        return max(0, PPM + self.per_atmosphere_ppm * (pressure_pa - SEA_LEVEL_PA) // SEA_LEVEL_PA)

    def fill_ppm(self, volume_nl_ppm: int, capacity_nl_ppm: int) -> int:
        """Flow out of a reservoir that holds so much, of that at half its capacity."""
        return max(
            0, PPM + self.per_fill_ppm * (capacity_nl_ppm - 2 * volume_nl_ppm) // (2 * capacity_nl_ppm)
        )


EVEN: Final = FlowModel()
"""Of a pump that depends on none of it."""
