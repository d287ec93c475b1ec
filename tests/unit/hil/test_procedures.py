"""The worked examples of the domain, to the nanolitre and the millisecond [DOMAIN 7], and what lies between them."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from math import ceil
from typing import Any

import pytest

from hil.plugin import verifies
from hil.procedures import doses, fluid_path, reservoir, service_dates
from hil.procedures.fluid_path import FluidColumn, FluidPath, PrimeKind, Stretch
from hil.procedures.reservoir import BolusSeries, BridgeLeft, Course, WeekStep
from tests.support.for_each import for_each

MCG = 1_000
ML = 1_000_000
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
WEEK_MS = 7 * DAY_MS
START = datetime(2026, 3, 2, 10, tzinfo=UTC)
PATH = FluidPath(198_000)

WorkedExample = tuple[str, Callable[[], Any], Any]


def rate(dose_mcg: Any, mcg_per_ml: int) -> int:
    return doses.rate_for_dose_nl_per_day(int(Fraction(dose_mcg) * MCG), mcg_per_ml * MCG)


def ml(text: str | int) -> int:
    return int(Fraction(text) * ML)


def low_empty(fill: str, alarm: str, rate_ml_per_day: str) -> list[Any]:
    """Days until low and empty, as exact as a ms allows."""
    dates = reservoir.refill_dates(ml(fill), ml(alarm), Course.constant(ml(rate_ml_per_day)))
    return [*dates]


def days(*exact: str) -> list[int]:
    return [ceil(Fraction(text) * DAY_MS) for text in exact]


def when(ms: int | None) -> datetime:
    assert ms is not None
    return START + timedelta(milliseconds=ms)


def bridge(old: int, new: int, dose_mcg: int = 300, path: FluidPath = PATH) -> fluid_path.Bridge:
    return fluid_path.bridge_for(
        path,
        old_ng_per_ml=old * MCG,
        new_ng_per_ml=new * MCG,
        bridge_dose_ng_per_day=dose_mcg * MCG,
        new_dose_ng_per_day=300 * MCG,
    )


def prime_ms(path: FluidPath) -> int:
    return fluid_path.prime_for(PrimeKind.NEW, path, doses.RATE_MAX_NL_PER_DAY).duration_ms


def excess_mcg(mcg_per_ml: int) -> Fraction:
    path = FluidPath(198_000, fluid_path.TUBING_BEFORE_2016_NL)
    return doses.drug_ng(path.excess_before_2016_nl, mcg_per_ml * MCG) / MCG


def mixed(fill_ml: int, new: int, old: int) -> Fraction:
    concentration = fluid_path.mixed_concentration_ng_per_ml(
        ml(fill_ml), new * MCG, fluid_path.RESIDUAL_NL, old * MCG
    )
    return round(concentration / MCG, 2)


def refill(fill: str, expected: str, measured: str) -> tuple[Any, ...]:
    check = reservoir.check_refill(ml(fill), ml(expected), ml(measured))
    return check.ratio, check.delta_nl, check.investigate


def bolus_ml_per_h(dose_mcg: int, mcg_per_ml: int, minutes: int) -> Fraction:
    volume_nl = doses.volume_for_dose_nl(dose_mcg * MCG, mcg_per_ml * MCG)
    return doses.bolus_rate_nl_per_day(volume_nl, minutes * 60) / 24 / ML


def shortest_s(dose_mcg: int, mcg_per_ml: int) -> int | None:
    volume_nl = doses.volume_for_dose_nl(dose_mcg * MCG, mcg_per_ml * MCG)
    return doses.shortest_bolus_s(volume_nl, doses.RATE_MAX_NL_PER_DAY)


def flex_day(*parts: tuple[int, int]) -> Course:
    """A week of equal days of hours and mcg/h at 500 mcg/mL."""
    steps = [
        WeekStep(day * DAY_MS + hour * HOUR_MS, rate(24 * dose, 500))
        for day in range(7)
        for hour, dose in parts
    ]
    return Course(tuple(steps))


WE_37 = flex_day((0, 8), (6, 20), (8, 10), (16, 15), (20, 12))
WE_23 = Course.constant(150_000, BridgeLeft(PATH.volume_nl, 600_000))
MINUTE_MS = 60_000

WORKED_EXAMPLES: list[WorkedExample] = [
    ("WE-01", lambda: rate(300, 500), ml("0.6")),
    ("WE-02", lambda: rate(300, 2000), ml("0.15")),
    ("WE-03 refused", lambda: (rate(90, 2000), in_range(90, 2000)), (ml("0.045"), 96)),
    (
        "WE-04 accepted",
        lambda: [rate(96, 2000), rate(48, 1000), rate(24, 500), rate("2.4", 50), in_range(96, 2000)],
        [48_000] * 4 + [96],
    ),
    (
        "WE-05",
        lambda: [rate(100, 500), rate(550, 1000), rate(800, 2000), rate(1000, 2000)],
        [ml("0.2"), ml("0.55"), ml("0.4"), ml("0.5")],
    ),
    (
        "WE-06",
        lambda: [dose_mcg(doses.RATE_MAX_NL_PER_DAY, c) for c in (500, 1000, 2000)],
        [12_000, 24_000, 48_000],
    ),
    ("WE-07", lambda: [dose_mcg(doses.SAFE_RATE_NL_PER_DAY, c) for c in (500, 1000, 2000)], [3, 6, 12]),
    ("WE-08", lambda: start_and_rate(50, 6), (100, ml("0.2"))),
    ("WE-08 at eight hours", lambda: start_and_rate(50, 8), (100, ml("0.2"))),
    ("WE-09", lambda: start_and_rate(50, 9), (50, ml("0.1"))),
    ("WE-10", lambda: (fluid_path.catheter_volume_nl(900), PATH.volume_nl), (198_000, 338_000)),
    ("WE-10 prime", lambda: prime_ms(PATH), 20 * MINUTE_MS + 16_800),
    ("WE-10 from the length that is sold", lambda: fluid_path.catheter_volume_nl(1140, 240), 198_000),
    ("WE-11", lambda: prime_ms(FluidPath(198_000, 199_000)), 23 * MINUTE_MS + 49_200),
    ("WE-11 excess", lambda: [excess_mcg(c) for c in (500, 1000, 2000)], [Fraction("29.5"), 59, 118]),
    ("WE-12", lambda: fluid_path.catheter_volume_nl(1100, 300, 2_600), 208_000),
    (
        "WE-13",
        lambda: (bridge(500, 2000).drug_ng, bridge(500, 2000).duration_ms),
        (169 * MCG, 13 * HOUR_MS + 31 * MINUTE_MS + 12_000),
    ),
    (
        "WE-13 rates",
        lambda: (bridge(500, 2000).rate_nl_per_day, bridge(500, 2000).rate_after_nl_per_day),
        (ml("0.6"), ml("0.15")),
    ),
    (
        "WE-14",
        lambda: (bridge(500, 2000, 330).rate_nl_per_day, bridge(500, 2000, 330).duration_ms),
        (ml("0.66"), ceil(Fraction(338_000 * DAY_MS, 660_000))),
    ),
    (
        "WE-15",
        lambda: (bridge(500, 2000).dose_without_ng_per_day, bridge(500, 2000).without_ms),
        (75 * MCG, Fraction("54.08") * HOUR_MS),
    ),
    (
        "WE-16",
        lambda: (bridge(2000, 500).drug_ng, bridge(2000, 500).duration_ms),
        (676 * MCG, Fraction("54.08") * HOUR_MS),
    ),
    (
        "WE-16 rates",
        lambda: (bridge(2000, 500).rate_nl_per_day, bridge(2000, 500).rate_after_nl_per_day),
        (ml("0.15"), ml("0.6")),
    ),
    (
        "WE-17",
        lambda: (bridge(2000, 500).dose_without_ng_per_day, bridge(2000, 500).without_ms),
        (1200 * MCG, Fraction("13.52") * HOUR_MS),
    ),
    (
        "WE-18",
        lambda: [mixed(20, 2000, 500), mixed(40, 2000, 500)],
        [Fraction("1901.87"), Fraction("1949.28")],
    ),
    ("WE-19", lambda: mixed(20, 500, 2000), Fraction("598.13")),
    ("WE-20", lambda: low_empty("20", "2", "0.6"), days("30", "100/3")),
    (
        "WE-20 dates",
        lambda: [when(ms) for ms in low_empty("20", "2", "0.6")],
        [datetime(2026, 4, 1, 10, tzinfo=UTC), datetime(2026, 4, 4, 18, tzinfo=UTC)],
    ),
    ("WE-21", lambda: low_empty("40", "2", "0.6"), days("190/3", "200/3")),
    ("WE-21 second", lambda: low_empty("20", "2", "0.15"), days("120", "400/3")),
    ("WE-21 third", lambda: low_empty("40", "2", "0.15"), days("760/3", "800/3")),
    ("WE-22", lambda: low_empty("20", "4", "0.6"), days("80/3", "100/3")),
    ("WE-22 second", lambda: low_empty("18.4", "2", "0.45"), days("328/9", "368/9")),
    ("WE-22 third", lambda: low_empty("40", "2", "1.1"), days("380/11", "400/11")),
    (
        "WE-23",
        lambda: when(reservoir.refill_dates(ml(20), ml(2), WE_23).low_ms),
        datetime(2026, 6, 28, 17, 26, 24, tzinfo=UTC),
    ),
    (
        "WE-23 naive",
        lambda: when(low_empty("20", "2", "0.15")[0]),
        datetime(2026, 6, 30, 10, tzinfo=UTC),
    ),
    (
        "WE-24",
        lambda: (
            reservoir.refill_dates(
                ml(20),
                ml(2),
                Course(
                    (WeekStep(0, 600_000),),
                    patient_nl_per_day=reservoir.allotted_nl_per_day(10_000, 3_600, 86_400, 4),
                ),
            ).low_ms
        ),
        days("28.125")[0],
    ),
    ("WE-27", lambda: refill("20", "4", "2"), (Fraction("1.125"), -2 * ML, True)),
    ("WE-27 a nanolitre less", lambda: refill("20", "4", "2.000001")[2], False),
    ("WE-28 over", lambda: refill("20", "4", "1.68"), (Fraction("1.145"), ml("-2.32"), True)),
    ("WE-28 under", lambda: refill("20", "4", "6.32"), (Fraction("0.855"), ml("2.32"), True)),
    (
        "WE-28 the bounds of the ratio are inside",
        lambda: [refill("10", "4", m)[2] for m in ("3.13", "4.87", "3.129999", "4.870001")],
        [False, False, True, True],
    ),
    ("WE-29", lambda: refill("20", "4", "1.6"), (Fraction("1.15"), ml("-2.4"), True)),
    ("WE-30", lambda: refill("40", "10", "8"), (Fraction(16, 15), -2 * ML, True)),
    (
        "WE-31",
        lambda: [
            doses.nearest(volume * ratio)
            for volume in (600_000, 18 * ML)
            for ratio in (reservoir.LOWEST_RATIO, reservoir.HIGHEST_RATIO)
        ],
        [513_000, 687_000, 15_390_000, 20_610_000],
    ),
    (
        "WE-32",
        lambda: [doses.missed_dose_ng(300 * MCG, hours * HOUR_MS) for hours in (2, 24, 48)],
        [25 * MCG, 300 * MCG, 600 * MCG],
    ),
    (
        "WE-33",
        lambda: [doses.periodic_total_ng_per_day(25 * MCG, s) for s in (6 * 3600, 6 * 60)],
        [100 * MCG, 6000 * MCG],
    ),
    (
        "WE-34",
        lambda: [bolus_ml_per_h(25, 500, 10), bolus_ml_per_h(25, 500, 2)],
        [Fraction("0.3"), Fraction("1.5")],
    ),
    ("WE-34 refused", lambda: (shortest_s(25, 500) or 0) > 120, True),
    ("WE-35", lambda: [shortest_s(50, 500), shortest_s(50, 2000)], [360, 90]),
    (
        "WE-36",
        lambda: (doses.volume_for_dose_nl(50 * MCG, 500 * MCG), bolus_ml_per_h(50, 500, 10)),
        (100_000, Fraction("0.6")),
    ),
    (
        "WE-37",
        lambda: [step.rate_nl_per_day / Fraction(24_000) for step in WE_37.week[:5]],
        [16, 40, 20, 30, 24],
    ),
    ("WE-37 a day of it", lambda: reservoir.time_to_deliver_ms(552_000, WE_37), DAY_MS),
    (
        "WE-38",
        lambda: [*service_dates.service_dates(datetime(2020, 1, 15, tzinfo=UTC))],
        [datetime(*day, tzinfo=UTC) for day in ((2026, 7, 15), (2026, 10, 17), (2027, 1, 15))],
    ),
    ("WE-39", lambda: doses.drug_ng(10_000, 25_000_000), 250_000),
    (
        "WE-40, units in the place of ng",
        lambda: [doses.volume_for_dose_nl(units, 400) for units in (6_000, 800, 400)],
        [15 * ML, 2 * ML, ML],
    ),
    (
        "WE-41, published means, all within the labelled accuracy",
        lambda: [
            reservoir.LOWEST_RATIO <= Fraction(m) <= reservoir.HIGHEST_RATIO
            for m in ("1.01", "1.025", "0.976")
        ],
        [True, True, True],
    ),
    (
        "WE-42, 96.8 % of what was programmed",
        lambda: refill("40", "4", "5.152"),
        (Fraction("0.968"), ml("1.152"), False),
    ),
    (
        "WE-43",
        lambda: [
            doses.delivery_time_ms(PATH.volume_nl, r) for r in (150_000, 600_000, doses.RATE_MAX_NL_PER_DAY)
        ],
        [Fraction("54.08") * HOUR_MS, Fraction("13.52") * HOUR_MS, 20 * MINUTE_MS + 16_800],
    ),
    (
        "WE-44",
        lambda: (
            doses.volume_for_dose_nl(1_000_000, 100_000),
            doses.given_by_mistake_ng(1_000_000, 100_000, 1_000_000),
        ),
        (10 * ML, 10_000_000),
    ),
    (
        "WE-46",
        lambda: (doses.delivery_time_ms(30 * ML, 1 * ML), doses.drug_ng(30 * ML, 500 * MCG)),
        (30 * DAY_MS, 30 * 500 * MCG),
    ),
    ("WE-47", lambda: refill("20", "2", "19"), (Fraction(1, 18), 17 * ML, True)),
    ("WE-47 by what must have been programmed", lambda: refill("20", "18.9", "19")[0], Fraction(10, 11)),
]


def dose_mcg(rate_nl_per_day: int, mcg_per_ml: int) -> Fraction:
    return doses.dose_for_rate_ng_per_day(rate_nl_per_day, mcg_per_ml * MCG) / MCG


def in_range(dose: int, mcg_per_ml: int) -> Fraction:
    """The nearest dose that a pump runs, in mcg/day."""
    limits = (doses.RATE_MIN_NL_PER_DAY, doses.RATE_MAX_NL_PER_DAY)
    return Fraction(doses.dose_in_range_ng_per_day(dose * MCG, mcg_per_ml * MCG, *limits), MCG)


def start_and_rate(screening_mcg: int, effect_h: int) -> tuple[int, int]:
    dose_ng_per_day = doses.starting_dose_ng_per_day(screening_mcg * MCG, effect_h)
    return dose_ng_per_day // MCG, doses.rate_for_dose_nl_per_day(dose_ng_per_day, 500 * MCG)


REQUIRED = {*range(1, 48)} - {25, 26, 45}  # those are of a whole pump: tests/simulation


def test_no_worked_example_of_a_procedure_is_left_out() -> None:
    told = {int(name[3:5]) for name, *_ in WORKED_EXAMPLES}
    assert REQUIRED - told == set()


@verifies("PRC-001")
@for_each(("name", "found", "expected"), WORKED_EXAMPLES, name=lambda row: row[0])
def test_the_worked_example_holds_exactly(name: str, found: Callable[[], Any], expected: Any) -> None:
    assert found() == expected


@for_each(
    ("dose_ng_per_day", "ng_per_ml", "rate_nl_per_day"),
    [(1, 2_000_000, 1), (1, 2_000_001, 0), (3, 2_000_000, 2), (0, 1, 0), (1, 1, 1_000_000)],
)
def test_halves_round_up_and_everything_else_to_the_nearest(
    dose_ng_per_day: int, ng_per_ml: int, rate_nl_per_day: int
) -> None:
    assert doses.rate_for_dose_nl_per_day(dose_ng_per_day, ng_per_ml) == rate_nl_per_day
    assert doses.nearest(Fraction(dose_ng_per_day * ML, ng_per_ml)) == rate_nl_per_day


def test_a_basal_rate_makes_the_shortest_bolus_longer_and_may_leave_no_room() -> None:
    assert doses.shortest_bolus_s(100_000, doses.RATE_MAX_NL_PER_DAY, 600_000) == 370  # 369.23
    assert doses.shortest_bolus_s(100_000, 600_000, 600_000) is None


def test_the_nearest_dose_is_one_that_the_pump_runs() -> None:
    for wanted, nearest in ((90, 96), (96, 96), (300, 300), (48_000, 48_000), (50_000, 48_000)):
        assert in_range(wanted, 2000) == nearest


# RH-20
@verifies("PRC-006")
@for_each(
    ("old", "new", "retyped"),
    [
        (500, 2000, True),
        (2000, 500, True),
        (500, 1000, True),
        (500, 999, False),
        (500, 500, False),
        (0, 500, False),
    ],
)
def test_a_concentration_is_typed_twice_where_it_changes_by_a_factor_of_two_or_more(
    old: int, new: int, retyped: bool
) -> None:
    assert doses.must_be_retyped(old, new) is retyped


@verifies("PRC-002")
def test_a_prime_fills_the_path_and_gives_nothing_by_plug_flow() -> None:
    found = {
        kind: fluid_path.prime_for(kind, PATH, doses.RATE_MAX_NL_PER_DAY, 500_000, 2_000_000)
        for kind in PrimeKind
    }
    assert {kind: prime.volume_nl for kind, prime in found.items()} == {
        PrimeKind.NEW: 338_000,
        PrimeKind.PURGED: 198_000,
        PrimeKind.REPLACEMENT: 140_000,
        PrimeKind.REVISION: 198_000,
    }
    # A replaced pump pushes the old drug out of the catheter, as much as its own tubing holds.
    given = {kind: prime.tip_drug_ng for kind, prime in found.items()}
    assert given == {**dict.fromkeys(PrimeKind, 0), PrimeKind.REPLACEMENT: 140 * 2_000}
    too_much = fluid_path.prime_for(
        PrimeKind.NEW, FluidPath(198_000, 199_000), doses.RATE_MAX_NL_PER_DAY, 500_000
    )
    assert found[PrimeKind.NEW].column.tip_drug_ng(too_much.volume_nl) == Fraction("29.5") * MCG


@verifies("PRC-003")
@for_each("dispersion", [Fraction(1, 10), Fraction(1, 3), Fraction(1, 2)])
def test_mixed_fluid_gives_drug_before_the_end_of_a_prime_and_less_after_it(dispersion: Fraction) -> None:
    prime = fluid_path.prime_for(PrimeKind.NEW, PATH, doses.RATE_MAX_NL_PER_DAY, 500_000, 0, dispersion)
    early_ng = dispersion * PATH.volume_nl / 4 * 500_000 / ML
    assert prime.tip_drug_ng == early_ng > 0
    assert prime.following_drug_ng == prime.following_nominal_ng - early_ng
    assert prime.column.tip_ng_per_ml(PATH.volume_nl) == 250_000
    assert prime.column.tip_ng_per_ml(PATH.volume_nl * (1 + dispersion)) == 500_000


def test_a_mixed_bridge_gives_more_of_a_stronger_drug_and_ends_far_above_its_dose() -> None:
    mixed_bridge = fluid_path.bridge_for(
        PATH,
        old_ng_per_ml=500_000,
        new_ng_per_ml=2_000_000,
        bridge_dose_ng_per_day=300_000,
        new_dose_ng_per_day=300_000,
        dispersion=Fraction(1, 10),
    )
    assert mixed_bridge.tip_drug_ng - mixed_bridge.drug_ng == Fraction(33_800, 4) * Fraction(3, 2)
    assert mixed_bridge.last_dose_ng_per_day == 750_000
    assert mixed_bridge.first_new_ms == ceil(mixed_bridge.duration_ms * Fraction(9, 10))
    assert mixed_bridge.last_old_ms == mixed_bridge.duration_ms + ceil(Fraction(33_800 * DAY_MS, 150_000))
    assert mixed_bridge.in_catheter_ms == Fraction(140_000, 338_000) * mixed_bridge.duration_ms
    assert bridge(500, 2000).last_dose_ng_per_day == 300_000


@for_each("seed", range(20))
def test_no_drug_is_made_or_lost_in_a_path_however_much_it_mixes(seed: int) -> None:
    chance = random.Random(seed)
    stretches = tuple(
        Stretch(chance.randrange(50_000, 200_000), chance.choice([0, 500_000, 2_000_000])) for _ in range(3)
    )
    held_ng = sum(doses.drug_ng(*stretch) for stretch in stretches)
    plug = FluidColumn(stretches, 1_000_000)
    mixed_column = FluidColumn(
        stretches, 1_000_000, Fraction(chance.randrange(1, stretches[0].volume_nl), plug.path_nl)
    )
    far_nl = 3 * plug.path_nl
    assert plug.tip_drug_ng(far_nl) == held_ng + doses.drug_ng(far_nl - plug.path_nl, 1_000_000)
    assert mixed_column.tip_drug_ng(far_nl) == plug.tip_drug_ng(far_nl)
    assert not any(column.tip_drug_ng(0) for column in (plug, mixed_column))
    steps = [mixed_column.tip_drug_ng(Fraction(n * far_nl, 100)) for n in range(101)]
    assert steps == sorted(steps)
    # The concentration is what the drug grows by: by Simpson's rule, exact for straight lines between the corners.
    at_nl, width_nl = Fraction(chance.randrange(far_nl)), Fraction(1, 1000)
    rise = mixed_column.tip_drug_ng(at_nl + width_nl) - mixed_column.tip_drug_ng(at_nl)
    level = mixed_column.tip_ng_per_ml(at_nl)
    assert abs(rise * ML / width_nl - level) <= Fraction(2_000_000) * width_nl / mixed_column.mixing_nl


def test_a_zone_that_begins_beyond_the_tip_is_refused() -> None:
    with pytest.raises(ValueError, match="more than the 1000 nL before the tip"):
        FluidColumn((Stretch(1_000, 0), Stretch(9_000, 1)), 1, Fraction(1, 5))


def delivered_by(course: Course, until_ms: int, step_ms: int) -> Fraction:
    """An independent sum, step by step, where every edge of the course is a multiple of the step."""
    total = Fraction(0)
    bridge_ms = 0
    if course.bridge:
        bridge_ms = course.bridge.volume_nl * DAY_MS // course.bridge.rate_nl_per_day
    for at in range(0, until_ms, step_ms):
        if at < bridge_ms and course.bridge:
            total += Fraction(course.bridge.rate_nl_per_day * step_ms, DAY_MS)
            continue
        week_ms = (course.week_ms + at) % WEEK_MS
        basal = [row.rate_nl_per_day for row in course.week if row.start_ms <= week_ms][-1]
        total += (basal + course.patient_nl_per_day) * step_ms / DAY_MS
        series = course.periodic
        if series and at >= series.first_in_ms:
            count, into_ms = divmod(at - series.first_in_ms, series.interval_ms)
            started_ms = series.first_in_ms + count * series.interval_ms
            if into_ms < series.duration_ms and not (bridge_ms and started_ms < bridge_ms):
                total += Fraction(series.volume_nl * step_ms, series.duration_ms)
    return total


@for_each("seed", range(30))
def test_a_date_is_where_an_independent_sum_over_the_program_reaches_the_volume(seed: int) -> None:
    chance = random.Random(seed)
    hours = sorted(chance.sample(range(1, 168), chance.randrange(12)))
    week = tuple(WeekStep(hour * HOUR_MS, 24 * chance.randrange(2_000, 40_000)) for hour in [0, *hours])
    series = BolusSeries(30_000, 3 * HOUR_MS, 6 * HOUR_MS, chance.randrange(-5, 7) * HOUR_MS)
    course = Course(
        week,
        week_ms=chance.randrange(168) * HOUR_MS,
        bridge=BridgeLeft(chance.randrange(1, 30) * 25_000, 600_000) if chance.random() < 0.5 else None,
        periodic=series if chance.random() < 0.6 else None,
        patient_nl_per_day=Fraction(chance.choice([0, 40_000])),
    )
    until_ms = chance.randrange(1, 400) * HOUR_MS
    reached = delivered_by(course, until_ms, HOUR_MS)
    found = reservoir.time_to_deliver_ms(ceil(reached), course)
    assert found is not None
    a_nanolitre_ms = ceil(Fraction(DAY_MS, 48_000))  # at the slowest rate
    assert until_ms <= found <= until_ms + a_nanolitre_ms


def test_a_reservoir_that_nothing_leaves_is_never_low() -> None:
    assert reservoir.refill_dates(20 * ML, 2 * ML, Course.constant(0)) == (None, None)
    assert reservoir.time_to_deliver_ms(1, Course.constant(600_000, BridgeLeft(10, 0))) is None
    assert reservoir.time_to_deliver_ms(0, Course.constant(0)) == 0
    assert reservoir.time_to_deliver_ms(10, Course.constant(0, BridgeLeft(10, 864_000))) == 1_000


@for_each(
    ("lockout_s", "window_s", "max_count", "nl_per_day"),
    [(3_600, 86_400, 4, 40_000), (14_400, 86_400, 99, 60_000), (0, 43_200, 3, 60_000), (900, 0, 0, 0)],
)
def test_what_a_patient_may_ask_for_is_bound_by_count_and_lockout(
    lockout_s: int, window_s: int, max_count: int, nl_per_day: int
) -> None:
    assert reservoir.allotted_nl_per_day(10_000, lockout_s, window_s, max_count) == nl_per_day


def test_a_refill_right_after_a_fill_has_no_ratio() -> None:
    check = reservoir.check_refill(20 * ML, 20 * ML, 20 * ML)
    assert (check.ratio, check.investigate) == (None, False)
    assert reservoir.check_refill(20 * ML, 20 * ML, 17 * ML).investigate


# RH-11
@verifies("PRC-005")
@for_each(
    ("implanted", "replace_by"),
    [
        ("2020-02-29T10:00:00+00:00", "2027-02-28T10:00:00+00:00"),  # 2027 has no 29 February
        ("2021-02-28T10:00:00+00:00", "2028-02-28T10:00:00+00:00"),  # and 2028 has one that is not his
        ("2019-08-31T23:59:59+14:00", "2026-08-31T23:59:59+14:00"),
        ("2020-01-01T00:30:00+14:00", "2027-01-01T00:30:00+14:00"),  # in UTC it is the year before
        ("2020-12-31T23:30:00-12:00", "2027-12-31T23:30:00-12:00"),  # and here the year after
        ("2093-03-01T00:00:00+00:00", "2100-03-01T00:00:00+00:00"),  # 2100 is no leap year
    ],
)
def test_a_pump_is_replaced_by_the_same_day_seven_years_later(implanted: str, replace_by: str) -> None:
    dates = service_dates.service_dates(datetime.fromisoformat(implanted))
    assert dates.replace_by.isoformat() == replace_by
    assert dates.replace_by - dates.latest_eri == timedelta(days=90)


def test_a_day_that_a_month_lacks_becomes_its_last() -> None:
    zone = timezone(timedelta(hours=-8))
    last = datetime(2020, 8, 31, 9, tzinfo=zone)
    assert service_dates.months_later(last, 78) == datetime(2027, 2, 28, 9, tzinfo=zone)
    assert service_dates.months_later(last, -6) == datetime(2020, 2, 29, 9, tzinfo=zone)
