"""The cell: a linear charge model, computed when somebody looks. What a voltage means is not known here.

Sourced is only that life falls as flow rises, 5 to 7 years [DOMAIN 1.5]; the two currents are our proposal
and give that: by charge alone 7.8 years to ERI at 0.6 mL/day, 5.2 at 2 mL/day. Telemetry and tones draw
nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from firmware_emu.plant.component import COUNT, Component, Kinds

if TYPE_CHECKING:
    from firmware_emu.plant.crystal import Crystal
    from firmware_emu.plant.rotor import Rotor

QUIESCENT_NC_PER_MS = 9
"""9 uA without a break."""
STROKE_NC = 180_000
"""50 nAh a stroke; a stalled motor is driven too."""
NC_PER_MAH = 3_600_000_000


class Battery(Component):
    """Implements `pins.BatteryPin`."""

    __slots__ = (
        "capacity_nc",
        "crystal",
        "empty_mv",
        "full_mv",
        "off_since_ms",
        "rotor",
        "unpowered_ms",
        "used_before_nc",
    )
    SAVED: ClassVar[Kinds] = dict.fromkeys(("off_since_ms", "unpowered_ms", "used_before_nc"), COUNT)
    MAY_BE_NONE = ("off_since_ms",)

    def __init__(
        self, capacity_mah: int, full_mv: int, empty_mv: int, rotor: Rotor, crystal: Crystal
    ) -> None:
        """A fresh cell; it falls in a straight line from `full_mv` to `empty_mv`."""
        self.capacity_nc = capacity_mah * NC_PER_MAH
        self.full_mv = full_mv
        self.empty_mv = empty_mv
        self.rotor = rotor
        self.crystal = crystal
        self.used_before_nc = 0
        self.unpowered_ms = 0
        self.off_since_ms: int | None = None

    def use_before(self, powered_ms: int, strokes: int) -> None:
        """Charge that was used before time 0."""
        self.used_before_nc = powered_ms * QUIESCENT_NC_PER_MS + strokes * STROKE_NC

    def disconnect(self, now_ms: int) -> None:
        """Power is cut: nothing draws from the cell."""
        self.off_since_ms = now_ms

    def connect(self, now_ms: int) -> None:
        """Power is back."""
        if self.off_since_ms is not None:
            self.unpowered_ms += now_ms - self.off_since_ms
            self.off_since_ms = None

    def used_nc(self, tick_ms: int) -> int:
        """Charge used, at most all of it."""
        now_ms = self.crystal.now_of(tick_ms)
        since_ms = now_ms if self.off_since_ms is None else min(now_ms, self.off_since_ms)
        used = (since_ms - self.unpowered_ms) * QUIESCENT_NC_PER_MS + self.rotor.strokes_driven * STROKE_NC
        return min(self.capacity_nc, self.used_before_nc + used)

    def millivolts(self, now_ms: int) -> int:
        """Voltage at a tick, rounded down."""
        fall_nc = (self.full_mv - self.empty_mv) * self.used_nc(now_ms)
        return self.full_mv - -(-fall_nc // self.capacity_nc)

    def percent(self, now_ms: int) -> int:
        """Charge left at a tick, 0 to 100, rounded down."""
        return 100 * (self.capacity_nc - self.used_nc(now_ms)) // self.capacity_nc
