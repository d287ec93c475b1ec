"""Start-up and trumpet curves of weighings, against curves reckoned by hand and against an emulated pump."""

from __future__ import annotations

from fractions import Fraction

import pytest

from hil.errors import UsageError
from hil.flow_accuracy import FEWEST_STROKES, Weighed, flow_accuracy, sample_ms
from hil.rig import UG_PER_NL, Weighing
from hil.targets.choices import PumpChoice
from hil.targets.emulated import EmulatedTarget

STROKE_NL = 500
RATE = 600_000  # nL/d: 10 uL in 24 min
STEP_MS = 1_440_000
DENSITY = Fraction(1)


def series(*masses_ug: int, step_ms: int = STEP_MS, resolution_ug: int = 100) -> list[Weighed]:
    return [
        Weighed(number * step_ms, Weighing(mass_ug, resolution_ug, stable=True))
        for number, mass_ug in enumerate(masses_ug)
    ]


def test_weighings_lie_so_far_apart_that_each_window_has_twenty_strokes() -> None:
    assert sample_ms(RATE, STROKE_NL) == STEP_MS
    assert sample_ms(RATE * 7, STROKE_NL) * RATE * 7 >= FEWEST_STROKES * STROKE_NL * 86_400_000


def test_the_curves_are_those_reckoned_by_hand() -> None:
    found = flow_accuracy(series(0, 9_000, 20_000, 30_000, 41_000), RATE, STROKE_NL, DENSITY)
    assert found.mean_error_percent == Fraction(5, 2)
    assert [ends_ms for ends_ms, _flow in found.start_up] == [STEP_MS * number for number in (1, 2, 3, 4)]
    assert [int(flow) for _ends_ms, flow in found.start_up] == [540_000, 660_000, 600_000, 660_000]
    narrow, wide = found.trumpet
    assert narrow.window_samples == 1
    assert (narrow.lowest_percent, narrow.highest_percent) == (Fraction(-10), Fraction(10))
    assert (narrow.stroke_bound_percent, narrow.balance_bound_percent) == (Fraction(5), Fraction(1))
    assert (wide.window_ms, wide.lowest_percent, wide.highest_percent) == (
        4 * STEP_MS,
        Fraction(5, 2),
        Fraction(5, 2),
    )
    assert (wide.stroke_bound_percent, wide.balance_bound_percent) == (Fraction(5, 4), Fraction(1, 4))


def test_what_is_denser_than_water_is_less_volume() -> None:
    found = flow_accuracy(series(0, 11_000, 22_000), RATE, STROKE_NL, Fraction(11, 10))
    assert found.mean_error_percent == 0


@pytest.mark.parametrize(
    ("weighings", "said"),
    [
        (series(0), "two or more"),
        (series(), "two or more"),
        (series(0, 1, step_ms=0), "equally far apart"),
        ([*series(0, 1), Weighed(STEP_MS * 5, Weighing(2, 1, stable=True))], "equally far apart"),
        ([*series(0), Weighed(STEP_MS, Weighing(2, 1, stable=False))], "not stable"),
    ],
)
def test_what_is_no_series_of_a_flow_is_one_sentence(weighings: list[Weighed], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        flow_accuracy(weighings, RATE, STROKE_NL, DENSITY)


@pytest.mark.parametrize(("rate", "stroke_nl"), [(0, 500), (-1, 500), (600_000, 0)])
def test_no_flow_has_no_accuracy(rate: int, stroke_nl: int) -> None:
    with pytest.raises(UsageError, match="must be above 0"):
        sample_ms(rate, stroke_nl)


@pytest.mark.parametrize(("accuracy_ppm", "error_percent"), [(1_000_000, 0), (1_050_000, 5), (900_000, -10)])
def test_an_emulated_pump_is_off_by_its_fault_and_its_trumpet_lies_within_the_bound_of_its_stroke(
    accuracy_ppm: int, error_percent: int
) -> None:
    target = EmulatedTarget(PumpChoice())
    target.start()
    rig = target.rig
    if error_percent:
        rig.inject("accuracy", accuracy_ppm=accuracy_ppm)
    step_ms = sample_ms(RATE, STROKE_NL)
    weighings = [Weighed(rig.clock().now_ms, rig.weigh())]
    for _ in range(62):
        rig.advance(step_ms)
        weighings.append(Weighed(rig.clock().now_ms, rig.weigh()))
    found = flow_accuracy(weighings, RATE, STROKE_NL, Fraction(UG_PER_NL))
    assert [point.window_samples for point in found.trumpet] == [1, 4, 10, 22, 38, 62]
    for point in found.trumpet:
        bound = point.stroke_bound_percent * accuracy_ppm / 1_000_000 + point.balance_bound_percent
        assert error_percent - bound <= point.lowest_percent <= point.highest_percent <= error_percent + bound
    widths = [point.highest_percent - point.lowest_percent for point in found.trumpet]
    assert widths == sorted(widths, reverse=True)
