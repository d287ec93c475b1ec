"""Rows of strokes as the controller would hand them over, and plants to turn them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from firmware_emu.pins import StrokeRun
from firmware_emu.plant.plant import Plant
from firmware_emu.profile import Implant, PumpModel
from firmware_emu.units import MS_PER_DAY

Strokes = Callable[..., StrokeRun]


@pytest.fixture(scope="session")
def strokes() -> Strokes:
    """Make a row of strokes of 500 nL at a steady rate; at 0.6 mL/day stroke k is due at k x 72 s."""

    def make(count: int, first_k: int = 1, rate_nl_per_day: int = 600_000, anchor_ms: int = 0) -> StrokeRun:
        return StrokeRun(anchor_ms, 0, rate_nl_per_day, 500 * MS_PER_DAY, first_k, count)

    return make


@pytest.fixture
def plant() -> Plant:
    """A pump that was filled with 18 mL of 500 mcg/mL."""
    return Plant(PumpModel(), b"seed", implant=Implant())


@pytest.fixture
def empty_plant() -> Plant:
    """A pump as it left the factory."""
    return Plant(PumpModel(), b"seed")
