"""Faults of the chip on which the program runs."""

from __future__ import annotations

from typing import Final

from firmware_emu.faults.fault import Fault, Where

PROCESSOR_FAULTS: Final = (
    Fault(
        "entropy-stuck",
        Where.PROCESSOR,
        "The random source gives zeros.",
        "RNG_FAILED at the next start; no session is opened with zeros",
        lambda plant, _now_ms, _values: plant.set_entropy_stuck(True),
        lambda plant: plant.set_entropy_stuck(False),
        lambda plant: plant.entropy.stuck,
        lambda plant: plant.entropy.stuck_draws,
    ),
)
