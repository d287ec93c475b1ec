"""How long a pump may serve: ERI, EOS, and dates by the calendar."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_emu.controller.service_life import ServiceLife, months_later
from firmware_emu.units import MS_PER_DAY, MS_PER_S, S_PER_DAY
from protocol.identifiers import BatteryPhase
from tests.support.for_each import for_each

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def wall(text: str) -> int:
    return int((datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH).total_seconds())


def date_of(wall_s: int | None) -> str:
    assert wall_s is not None
    return (EPOCH + timedelta(seconds=wall_s)).strftime("%Y-%m-%d")


def implanted(day: str = "2020-01-15", tick_ms: int = 0) -> ServiceLife:
    life = ServiceLife.of(life_months=84, eri_to_eos_days=90)
    life.implanted(wall(day), wall(day), tick_ms)
    return life


def test_we_38_hard_stop_latest_eri_and_plan_by() -> None:
    life = implanted("2020-01-15")
    start_s = wall("2020-01-15")
    assert date_of(life.replace_by_wall_s(0, start_s)) == "2027-01-15"
    assert date_of(life.plan_by_wall_s()) == "2026-07-15"
    assert date_of(start_s + (life.next_ms() or 0) // MS_PER_S) == "2026-10-17"


# RH-11
@for_each(
    ("start", "months", "end"),
    [
        ("2020-02-29T23:59:59", 84, "2027-02-28T23:59:59"),
        ("2020-02-29T12:00:00", 96, "2028-02-29T12:00:00"),
        ("2023-01-31T00:00:00", 1, "2023-02-28T00:00:00"),
        ("2023-03-31T06:00:00", -1, "2023-02-28T06:00:00"),
        ("2023-12-31T06:00:00", 2, "2024-02-29T06:00:00"),
        ("2030-06-15T06:00:00", 1_200, "2130-06-15T06:00:00"),
    ],
)
def test_rh_11_months_are_counted_by_the_calendar(start: str, months: int, end: str) -> None:
    assert months_later(wall(start), months) == wall(end)


# RH-11
def test_rh_11_the_day_is_the_local_one() -> None:
    one_am_on_the_first_in_auckland = wall("2020-02-29T12:30:00")  # 01:30 on 1 March at +13:00
    assert months_later(one_am_on_the_first_in_auckland, 84, 780) == wall("2027-02-28T12:30:00")
    assert months_later(one_am_on_the_first_in_auckland, 12, 780) == wall("2021-02-28T12:30:00")
    assert months_later(one_am_on_the_first_in_auckland, 12, 0) == wall("2021-02-28T12:30:00")
    evening_in_new_york = wall("2020-03-01T02:00:00")  # 21:00 on 29 February at -05:00
    assert months_later(evening_in_new_york, 12, -300) == wall("2021-03-01T02:00:00")


@given(st.integers(0, 100 * 365 * S_PER_DAY), st.integers(0, 200), st.integers(-720, 840))
def test_months_there_are_never_shorter_than_28_days_each(wall_s: int, months: int, tz_minutes: int) -> None:
    end_s = months_later(wall_s, months, tz_minutes)
    assert 28 * months * S_PER_DAY <= end_s - wall_s <= 31 * months * S_PER_DAY
    assert (end_s - wall_s) % S_PER_DAY == 0


def test_eri_comes_90_days_before_the_hard_end_and_then_the_end() -> None:
    life = implanted(tick_ms=5_000)
    hard_ms = life.hard_eos_ms or 0
    assert hard_ms == 5_000 + (wall("2027-01-15") - wall("2020-01-15")) * MS_PER_S
    eri_ms = hard_ms - 90 * MS_PER_DAY
    assert life.arrive(eri_ms - 1) is None
    assert life.phase is BatteryPhase.OK
    assert life.arrive(eri_ms) is BatteryPhase.ERI
    assert life.next_ms() == hard_ms
    assert life.arrive(hard_ms - 1) is None
    assert life.arrive(hard_ms) is BatteryPhase.EOS
    assert life.next_ms() is None
    assert life.arrive(10 * hard_ms) is None


def test_an_early_eri_by_the_battery_ends_service_90_days_later() -> None:
    life = implanted()
    at_ms = 1_000 * MS_PER_DAY
    assert life.observe_battery(at_ms, 2_551, eri_mv=2_550, eos_mv=2_400) is None
    assert life.observe_battery(at_ms, 2_550, eri_mv=2_550, eos_mv=2_400) is BatteryPhase.ERI
    assert life.observe_battery(at_ms, 2_550, eri_mv=2_550, eos_mv=2_400) is None
    assert life.next_ms() == life.replace_by_ms() == at_ms + 90 * MS_PER_DAY
    by_s = life.replace_by_wall_s(at_ms + 5_000, 10**8)
    assert by_s == 10**8 + 90 * S_PER_DAY - 5


def test_a_late_eri_does_not_prolong_the_hard_end() -> None:
    life = implanted()
    hard_ms = life.hard_eos_ms or 0
    life.observe_battery(hard_ms - 10 * MS_PER_DAY, 2_500, eri_mv=2_550, eos_mv=2_400)
    assert life.next_ms() == hard_ms
    assert date_of(life.replace_by_wall_s(0, 0)) == "2027-01-15"


def test_an_empty_battery_ends_service_at_once_by_way_of_eri() -> None:
    life = implanted()
    phases = [life.observe_battery(1_000, 2_300, eri_mv=2_550, eos_mv=2_400) for _ in range(3)]
    assert phases == [BatteryPhase.ERI, BatteryPhase.EOS, None]
    assert (life.eri_ms, life.eos_ms) == (1_000, 1_000)


def test_a_pump_that_nobody_has_implanted_counts_nothing_but_its_battery() -> None:
    life = ServiceLife.of(84, 90)
    assert life.next_ms() is None
    assert life.replace_by_wall_s(0, 0) is None
    assert life.plan_by_wall_s() is None
    life.observe_battery(7, 2_500, eri_mv=2_550, eos_mv=2_400)
    assert life.next_ms() == life.replace_by_ms() == 7 + 90 * MS_PER_DAY


def test_an_implant_date_long_ago_is_due_at_once() -> None:
    life = ServiceLife.of(84, 90)
    life.implanted(wall("2010-01-01"), wall("2026-01-01"), tick_ms=1_000)
    assert life.arrive(1_000) is BatteryPhase.ERI
    assert life.arrive(1_000) is BatteryPhase.EOS


def test_a_life_survives_packing() -> None:
    life = implanted()
    life.tz_minutes = -300
    life.observe_battery(1_000, 2_300, eri_mv=2_550, eos_mv=2_400)
    assert ServiceLife.unpack(life.pack(), 84, 90) == life
    blank = ServiceLife.of(84, 90)
    assert ServiceLife.unpack(blank.pack(), 84, 90) == blank
    with pytest.raises(ValueError, match="service life in 3 bytes"):
        ServiceLife.unpack(b"abc", 84, 90)
