"""Faults that come from what is around the pump."""

from __future__ import annotations

from typing import Final

from firmware_emu.faults.fault import Fault, Where

SURROUNDINGS_FAULTS: Final = (
    Fault(
        "magnet",
        Where.PLANT,
        "A magnet or a programming head is held over the pump.",
        "proximity, where it looks for it",
        lambda plant, _now_ms, _values: plant.set_magnet(True),
        lambda plant: plant.set_magnet(False),
        lambda plant: plant.body.magnet_near,
        lambda plant: plant.body.times_seen,
    ),
)
