"""The worked examples of the domain, to the nanolitre and the millisecond [DOMAIN 7]."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import ceil
from typing import Any

import pytest

from hil import procedures as p

MCG = 1_000
ML = 1_000_000
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
RATE_MIN = 48_000
RATE_MAX = 24 * ML
START = datetime(2026, 3, 2, 10, tzinfo=UTC)
PATH_NL = 338_000


@pytest.mark.parametrize(
    ("name", "dose_mcg", "concentration_mcg", "rate_nl_per_day"),
    [
        ("WE-01", 300, 500, 600_000),
        ("WE-02", 300, 2000, 150_000),
        ("WE-03 below the minimum", 90, 2000, 45_000),
        ("WE-04", 96, 2000, 48_000),
        ("WE-04", 48, 1000, 48_000),
        ("WE-04", 24, 500, 48_000),
        ("WE-05", 100, 500, 200_000),
        ("WE-05", 550, 1000, 550_000),
        ("WE-05", 800, 2000, 400_000),
        ("WE-05", 1000, 2000, 500_000),
        ("WE-08", 100, 500, 200_000),
        ("WE-09", 50, 500, 100_000),
        ("WE-14", 330, 500, 660_000),
        ("WE-37", 276, 500, 552_000),
    ],
)
def test_a_dose_becomes_its_rate(
    name: str, dose_mcg: Any, concentration_mcg: Any, rate_nl_per_day: Any
) -> None:
    assert p.rate_for_dose_nl_per_day(dose_mcg * MCG, concentration_mcg * MCG) == rate_nl_per_day, name


def test_we_04_at_the_screening_concentration() -> None:
    assert p.rate_for_dose_nl_per_day(2_400, 50 * MCG) == RATE_MIN


def test_we_03_is_below_what_a_pump_runs() -> None:
    assert p.rate_for_dose_nl_per_day(90 * MCG, 2000 * MCG) < RATE_MIN


@pytest.mark.parametrize(
    ("dose_ng_per_day", "concentration_ng_per_ml", "rate_nl_per_day"),
    [(1, 2_000_000, 1), (1, 2_000_001, 0), (3, 2_000_000, 2), (0, 1, 0), (1, 1, 1_000_000)],
)
def test_halves_round_up_and_everything_else_to_the_nearest(
    dose_ng_per_day: Any, concentration_ng_per_ml: Any, rate_nl_per_day: Any
) -> None:
    assert p.rate_for_dose_nl_per_day(dose_ng_per_day, concentration_ng_per_ml) == rate_nl_per_day
    exact = Fraction(dose_ng_per_day * ML, concentration_ng_per_ml)
    assert p.nearest(exact) == rate_nl_per_day


@pytest.mark.parametrize(
    ("rate_nl_per_day", "concentration_mcg", "dose_mcg"),
    [
        (RATE_MAX, 500, 12_000),
        (RATE_MAX, 1000, 24_000),
        (RATE_MAX, 2000, 48_000),
        (6_000, 500, 3),
        (6_000, 2000, 12),
    ],
    ids=["WE-06", "WE-06", "WE-06", "WE-07", "WE-07"],
)
def test_a_rate_gives_its_dose(rate_nl_per_day: Any, concentration_mcg: Any, dose_mcg: Any) -> None:
    assert p.dose_for_rate_ng_per_day(rate_nl_per_day, concentration_mcg * MCG) == dose_mcg * MCG


def test_we_08_and_09_the_first_dose_depends_on_how_long_the_screening_bolus_worked() -> None:
    assert p.starting_dose_ng_per_day(50 * MCG, 6) == 100 * MCG
    assert p.starting_dose_ng_per_day(50 * MCG, 8) == 100 * MCG
    assert p.starting_dose_ng_per_day(50 * MCG, 9) == 50 * MCG


def test_we_10_path_volume_and_priming_time() -> None:
    catheter_nl = p.catheter_volume_nl(900)
    assert catheter_nl == 198_000
    assert p.path_volume_nl(catheter_nl) == PATH_NL
    assert p.delivery_time_ms(PATH_NL, RATE_MAX) == 20 * 60_000 + 16_800  # 20.28 min


def test_we_11_the_old_tubing_volume_overdoses() -> None:
    path_nl = p.path_volume_nl(198_000, p.TUBING_BEFORE_2016_NL)
    assert path_nl == 397_000
    assert p.delivery_time_ms(path_nl, RATE_MAX) == 23 * 60_000 + 49_200  # 23.82 min
    excess_nl = path_nl - PATH_NL
    doses = [p.drug_ng(excess_nl, c * MCG) for c in (500, 1000, 2000)]
    assert doses == [29_500, 59_000, 118_000]


def test_we_12_a_trimmed_catheter_of_another_maker() -> None:
    assert p.catheter_volume_nl(1_100, 300, 2_600) == 208_000


def test_we_13_and_14_bridge_to_a_higher_concentration() -> None:
    bridge = p.bridge_for(
        PATH_NL,
        old_ng_per_ml=500 * MCG,
        new_ng_per_ml=2000 * MCG,
        bridge_dose_ng_per_day=300 * MCG,
        new_dose_ng_per_day=300 * MCG,
    )
    assert bridge.drug_ng == 169 * MCG
    assert bridge.rate_nl_per_day == 600_000
    assert bridge.duration_ms == 13 * HOUR_MS + 31 * 60_000 + 12_000
    assert bridge.rate_after_nl_per_day == 150_000
    faster = p.bridge_for(
        PATH_NL,
        old_ng_per_ml=500 * MCG,
        new_ng_per_ml=2000 * MCG,
        bridge_dose_ng_per_day=330 * MCG,
        new_dose_ng_per_day=300 * MCG,
    )
    assert faster.rate_nl_per_day == 660_000
    assert faster.duration_ms == ceil(Fraction(PATH_NL * DAY_MS, 660_000))


def test_we_15_and_17_what_a_missing_bridge_does() -> None:
    assert p.dose_for_rate_ng_per_day(150_000, 500 * MCG) == 75 * MCG
    assert p.delivery_time_ms(PATH_NL, 150_000) == Fraction(5408, 100) * HOUR_MS
    assert p.dose_for_rate_ng_per_day(600_000, 2000 * MCG) == 1200 * MCG
    assert p.delivery_time_ms(PATH_NL, 600_000) == Fraction(1352, 100) * HOUR_MS


def test_we_16_bridge_to_a_lower_concentration() -> None:
    bridge = p.bridge_for(
        PATH_NL,
        old_ng_per_ml=2000 * MCG,
        new_ng_per_ml=500 * MCG,
        bridge_dose_ng_per_day=300 * MCG,
        new_dose_ng_per_day=300 * MCG,
    )
    assert bridge.drug_ng == 676 * MCG
    assert bridge.rate_nl_per_day == 150_000
    assert bridge.duration_ms == Fraction(5408, 100) * HOUR_MS
    assert bridge.rate_after_nl_per_day == 600_000


def test_we_18_and_19_a_fill_without_a_rinse() -> Any:
    def mixed(fill_ml: int, new: int, old: int) -> Fraction:
        return p.mixed_concentration_ng_per_ml(fill_ml * ML, new * MCG, 1_400_000, old * MCG)

    assert round(mixed(20, 2000, 500) / MCG, 2) == Fraction("1901.87")
    assert round(mixed(40, 2000, 500) / MCG, 2) == Fraction("1949.28")
    assert round(mixed(20, 500, 2000) / MCG, 2) == Fraction("598.13")


def test_we_20_low_and_empty_dates() -> None:
    dates = p.refill_dates(20 * ML, 2 * ML, [p.Phase(600_000)])
    assert dates.low_ms == 30 * DAY_MS
    assert START + timedelta(milliseconds=dates.low_ms or 0) == datetime(2026, 4, 1, 10, tzinfo=UTC)
    assert START + timedelta(milliseconds=dates.empty_ms or 0) == datetime(2026, 4, 4, 18, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fill_ml", "alarm_ml", "rate_nl_per_day", "low_days", "empty_days"),
    [
        ("40", "2", 600_000, Fraction(190, 3), Fraction(200, 3)),
        ("20", "2", 150_000, Fraction(120), Fraction(400, 3)),
        ("40", "2", 150_000, Fraction(760, 3), Fraction(800, 3)),
        ("20", "4", 600_000, Fraction(80, 3), Fraction(100, 3)),
        ("18.4", "2", 450_000, Fraction(328, 9), Fraction(368, 9)),
        ("40", "2", 1_100_000, Fraction(380, 11), Fraction(400, 11)),
    ],
    ids=["WE-21", "WE-21", "WE-21", "WE-22", "WE-22", "WE-22"],
)
def test_other_fills_and_rates(
    fill_ml: Any, alarm_ml: Any, rate_nl_per_day: Any, low_days: Any, empty_days: Any
) -> None:
    fill_nl, alarm_nl = int(Fraction(fill_ml) * ML), int(Fraction(alarm_ml) * ML)
    dates = p.refill_dates(fill_nl, alarm_nl, [p.Phase(rate_nl_per_day)])
    assert dates.low_ms == ceil(low_days * DAY_MS)
    assert dates.empty_ms == ceil(empty_days * DAY_MS)


def test_we_23_a_bridge_brings_the_low_date_forward() -> None:
    phases = [p.Phase(600_000, PATH_NL), p.Phase(150_000)]
    dates = p.refill_dates(20 * ML, 2 * ML, phases)
    assert START + timedelta(milliseconds=dates.low_ms or 0) == datetime(2026, 6, 28, 17, 26, 24, tzinfo=UTC)
    naive = p.refill_dates(20 * ML, 2 * ML, [p.Phase(150_000)])
    assert START + timedelta(milliseconds=naive.low_ms or 0) == datetime(2026, 6, 30, 10, tzinfo=UTC)


def test_we_24_all_allotted_patient_boluses_count() -> None:
    dates = p.refill_dates(20 * ML, 2 * ML, [p.Phase(600_000 + 4 * 10_000)])
    assert dates.low_ms == Fraction(28_125, 1000) * DAY_MS


def test_a_reservoir_that_nothing_leaves_is_never_low() -> None:
    assert p.refill_dates(20 * ML, 2 * ML, [p.Phase(0)]) == p.RefillDates(None, None)
    assert p.time_to_deliver_ms(1, [p.Phase(600_000, 0)]) is None
    assert p.time_to_deliver_ms(0, [p.Phase(0)]) == 0


@pytest.mark.parametrize(
    ("fill", "expected", "measured", "check", "verdicts"),
    [
        (20, 4, "2", ("1.125", -2_000_000), (False, False, True)),
        (20, 4, "1.68", ("1.145", -2_320_000), (False, True, False)),
        (20, 4, "6.32", ("0.855", 2_320_000), (False, True, False)),
        (20, 4, "1.6", ("1.15", -2_400_000), (True, True, False)),
        (40, 10, "8", ("16/15", -2_000_000), (False, False, True)),
        (20, 2, "19", ("1/18", 17_000_000), (True, True, False)),
    ],
    ids=["WE-27", "WE-28 over", "WE-28 under", "WE-29", "WE-30", "WE-47"],
)
def test_a_refill_is_checked_by_both_rules(
    fill: Any, expected: Any, measured: Any, check: Any, verdicts: Any
) -> None:
    found = p.check_refill(fill * ML, expected * ML, int(Fraction(measured) * ML))
    assert (found.ratio, found.delta_nl) == (Fraction(check[0]), check[1])
    assert (found.outside_accuracy, found.beyond_delta, found.at_delta_limit) == verdicts
    assert found.investigate == (verdicts[0] or verdicts[1])


def test_a_refill_right_after_a_fill_has_no_ratio() -> None:
    assert p.check_refill(20 * ML, 20 * ML, 20 * ML) == p.RefillCheck(None, 0)
    assert p.check_refill(20 * ML, 20 * ML, 17 * ML).investigate


def test_we_31_the_labelled_band() -> None:
    assert [p.nearest(600_000 * r) for r in (p.LOWEST_RATIO, p.HIGHEST_RATIO)] == [513_000, 687_000]
    assert [p.nearest(18 * ML * r) for r in (p.LOWEST_RATIO, p.HIGHEST_RATIO)] == [15_390_000, 20_610_000]


def test_we_32_what_a_stall_withholds() -> None:
    missed = [p.missed_dose_ng(300 * MCG, hours * HOUR_MS) for hours in (2, 24, 48)]
    assert missed == [25 * MCG, 300 * MCG, 600 * MCG]


def test_we_33_minutes_typed_for_hours() -> None:
    assert p.periodic_total_ng_per_day(25 * MCG, 6 * 3600) == 100 * MCG
    assert p.periodic_total_ng_per_day(25 * MCG, 6 * 60) == 6000 * MCG


def test_we_34_to_36_bolus_rates_and_shortest_durations() -> None:
    volume_nl = p.volume_for_dose_nl(25 * MCG, 500 * MCG)
    assert p.bolus_rate_nl_per_day(volume_nl, 600) == Fraction(3, 10) * 24 * ML
    assert p.bolus_rate_nl_per_day(volume_nl, 120) == Fraction(15, 10) * 24 * ML > RATE_MAX
    assert p.shortest_bolus_s(p.volume_for_dose_nl(50 * MCG, 500 * MCG), RATE_MAX) == 360
    assert p.shortest_bolus_s(p.volume_for_dose_nl(50 * MCG, 2000 * MCG), RATE_MAX) == 90
    clinical_nl = p.volume_for_dose_nl(50 * MCG, 500 * MCG)
    assert (clinical_nl, p.bolus_rate_nl_per_day(clinical_nl, 600)) == (100_000, Fraction(6, 10) * 24 * ML)


def test_a_basal_rate_makes_the_shortest_bolus_longer() -> None:
    assert p.shortest_bolus_s(100_000, RATE_MAX, 600_000) == 370  # 369.23


def test_we_43_transit() -> None:
    hours = [Fraction(p.delivery_time_ms(PATH_NL, rate), HOUR_MS) for rate in (150_000, 600_000)]
    assert hours == [Fraction(5408, 100), Fraction(1352, 100)]
    assert p.delivery_time_ms(PATH_NL, RATE_MAX) == 1_216_800
