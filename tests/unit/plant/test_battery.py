"""The cell falls evenly, faster the more it pumps, and answers whenever it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_emu.plant.plant import Plant
from firmware_emu.profile import Implant, PumpModel
from firmware_emu.units import MS_PER_DAY

if TYPE_CHECKING:
    from tests.unit.plant.conftest import Strokes

YEAR_MS = 365 * MS_PER_DAY
ERI_MV = PumpModel().battery_eri_mv


def days_to_eri(rate_nl_per_day: int) -> int:
    """First day at whose end the voltage is at the replacement mark."""
    plant = Plant(PumpModel(), b"")
    for day in range(1, 10_000):
        plant.rotor.strokes_turned = day * rate_nl_per_day // 500
        if plant.battery.millivolts(day * MS_PER_DAY) <= ERI_MV:
            return day
    raise AssertionError("a battery that never ends")


def test_a_new_cell_is_full(plant: Plant) -> None:
    assert plant.battery.millivolts(0) == 3_100
    assert plant.battery.percent(0) == 100


def test_a_used_up_cell_is_at_its_end_and_falls_no_further(plant: Plant) -> None:
    for years in (20, 200):
        assert plant.battery.percent(years * YEAR_MS) == 0
        assert plant.battery.millivolts(years * YEAR_MS) == 2_400


@pytest.mark.parametrize(
    ("rate_nl_per_day", "least_years", "most_years"),
    [(48_000, 9, 10), (600_000, 7.5, 8), (2_000_000, 5, 5.5)],
)
def test_life_by_charge_alone_is_that_of_the_data_sheet(
    rate_nl_per_day: int, least_years: float, most_years: float
) -> None:
    assert least_years <= days_to_eri(rate_nl_per_day) / 365 <= most_years


def test_life_falls_as_the_rate_rises() -> None:
    lives = [days_to_eri(rate) for rate in (6_000, 48_000, 600_000, 2_000_000, 24_000_000)]
    assert lives == sorted(lives, reverse=True)
    assert len(set(lives)) == len(lives)


@given(
    times=st.lists(st.integers(0, 12 * YEAR_MS), min_size=2, max_size=6),
    strokes_a_day=st.integers(0, 48_000),
)
def test_voltage_and_charge_never_rise(times: list[int], strokes_a_day: int) -> None:
    plant = Plant(PumpModel(), b"")
    readings = []
    for now_ms in sorted(times):
        plant.rotor.strokes_turned = now_ms * strokes_a_day // MS_PER_DAY
        readings.append((plant.battery.millivolts(now_ms), plant.battery.percent(now_ms)))
    assert readings == sorted(readings, reverse=True)


def test_a_stalled_motor_draws_as_a_turning_one(plant: Plant, strokes: Strokes) -> None:
    plant.set_stall(True, 0)
    plant.rotor.run(strokes(1_000))
    stalled = plant.battery.used_nc(0)
    plant.set_stall(False, 0)
    plant.rotor.run(strokes(1_000, first_k=1_001))
    assert plant.battery.used_nc(0) == 2 * stalled > 0


def test_nothing_is_drawn_while_power_is_cut(plant: Plant) -> None:
    plant.power_lost(1_000)
    used = plant.battery.used_nc(1_000)
    assert plant.battery.used_nc(YEAR_MS) == used
    plant.reboot(YEAR_MS)
    tick_ms = plant.crystal.tick_of(YEAR_MS)
    assert tick_ms == 1_000
    assert plant.battery.used_nc(tick_ms) == used
    assert plant.battery.used_nc(tick_ms + 1) == used + 9


def test_the_cell_goes_by_pump_time_not_by_ticks(plant: Plant) -> None:
    before = plant.battery.used_nc(YEAR_MS)
    plant.crystal.offset_ms = 5_000
    assert plant.battery.used_nc(YEAR_MS + 5_000) == before


def test_a_pump_that_was_implanted_years_ago_starts_with_a_used_cell() -> None:
    plant = Plant(PumpModel(), b"", implant=Implant(implant_days_ago=1_000))
    lived = Plant(PumpModel(), b"", implant=Implant())
    lived.rotor.strokes_turned = 1_000 * 1_200
    assert plant.battery.used_nc(0) == lived.battery.used_nc(1_000 * MS_PER_DAY)
