"""The reservoir as the pump believes it to be, and the dates that follow from it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_emu.controller.refusal import Refusal
from firmware_emu.controller.therapy.bolus import ActiveBolus
from firmware_emu.controller.therapy.counters import Source
from firmware_emu.controller.therapy.delivery import Basal
from firmware_emu.controller.therapy.reservoir_belief import (
    Prediction,
    ReservoirBelief,
    check_fill,
)
from firmware_emu.pins import StrokeRun
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR
from protocol.identifiers import ErrorCode
from tests.support.for_each import for_each

STROKE_NL = 500


class Turning:
    def run(self, run: StrokeRun) -> int:
        return run.count


def filled(filled_nl: int, low_alarm_nl: int) -> ReservoirBelief:
    belief = ReservoirBelief(STROKE_NL)
    belief.refill(0, filled_nl, low_alarm_nl, 1, 500_000, t_mono_s=0, wall_s=0)
    return belief


def days(volume_nl: int, rate_nl_per_day: int) -> int:
    """Time to deliver a volume of whole strokes, in ms, rounded up to the millisecond of the last stroke."""
    return -(-volume_nl * MS_PER_DAY // rate_nl_per_day)


def test_we_20_low_on_day_30_and_empty_on_day_33_and_a_third() -> None:
    prediction = filled(20_000_000, 2_000_000).predict(Basal.at(0, STROKE_NL, 600_000))
    assert prediction == Prediction(30 * MS_PER_DAY, 33 * MS_PER_DAY + 8 * MS_PER_HOUR)


@for_each(
    ("filled_nl", "low_nl", "rate", "low_days", "empty_days"),
    [
        (40_000_000, 2_000_000, 600_000, 63.333, 66.667),  # WE-21
        (20_000_000, 2_000_000, 150_000, 120, 133.333),
        (40_000_000, 2_000_000, 150_000, 253.333, 266.667),
        (20_000_000, 4_000_000, 600_000, 26.667, 33.333),  # WE-22
        (18_400_000, 2_000_000, 450_000, 36.444, 40.889),
        (40_000_000, 2_000_000, 1_100_000, 34.545, 36.364),
    ],
)
def test_we_21_and_22_other_fills_alarms_and_rates(
    filled_nl: int, low_nl: int, rate: int, low_days: float, empty_days: float
) -> None:
    prediction = filled(filled_nl, low_nl).predict(Basal.at(0, STROKE_NL, rate))
    assert prediction == Prediction(days(filled_nl - low_nl, rate), days(filled_nl, rate))
    assert prediction.low_ms == pytest.approx(low_days * MS_PER_DAY, abs=0.0006 * MS_PER_DAY)
    assert prediction.empty_ms == pytest.approx(empty_days * MS_PER_DAY, abs=0.0006 * MS_PER_DAY)


def test_a_threshold_between_two_strokes_falls_at_the_stroke_that_passes_it() -> None:
    belief = filled(10_000, 9_250)
    assert belief.strokes_until_low() == 2
    belief.count(1)
    assert (belief.low, belief.strokes_until_low()) == (False, 1)
    belief.count(1)
    assert (belief.low, belief.strokes_until_low(), belief.calc_nl) == (True, 0, 9_000)


def test_empty_is_at_zero_and_what_is_told_never_falls_below() -> None:
    belief = filled(1_000, 0)
    belief.count(1)
    assert (belief.empty, belief.strokes_until_empty()) == (False, 1)
    belief.count(4)
    assert (belief.empty, belief.strokes_until_empty()) == (True, 0)
    assert (belief.calc_nl, belief.belief_nl) == (0, -1_500)


@given(
    rate=st.integers(6_000, 24_000_000),
    elapsed_ms=st.integers(0, MS_PER_DAY),
    strokes=st.integers(1, 1_000),
    duration_ms=st.integers(1, MS_PER_DAY),
    low_nl=st.integers(0, 400_000),
)
def test_predictions_come_true_with_a_bolus_in_work(
    rate: int, elapsed_ms: int, strokes: int, duration_ms: int, low_nl: int
) -> None:
    belief = filled(500_000, low_nl)
    basal = Basal.at(0, STROKE_NL, rate)
    basal.advance(elapsed_ms, Turning())
    bolus = ActiveBolus(Source.BOLUS, 1, 1, STROKE_NL, strokes, duration_ms, start_ms=elapsed_ms)
    prediction = belief.predict(basal, [bolus])
    for at_ms, threshold_nl in ((prediction.low_ms, low_nl), (prediction.empty_ms, 0)):
        assert at_ms is not None
        before = basal.strokes_due(at_ms - 1) + bolus.strokes_due(at_ms - 1)
        then = basal.strokes_due(at_ms) + bolus.strokes_due(at_ms)
        assert 500_000 - before * STROKE_NL > threshold_nl >= 500_000 - then * STROKE_NL


def test_a_stopped_pump_never_runs_empty() -> None:
    assert filled(20_000_000, 2_000_000).predict(Basal.at(0, STROKE_NL)) == Prediction(None, None)


def test_what_is_reached_shows_the_present() -> None:
    belief = filled(2_000_000, 2_000_000)
    assert belief.predict(Basal.at(1_234, STROKE_NL)) == Prediction(1_234, None)


def test_a_refill_is_believed_and_compared_with_what_was_expected() -> None:
    belief = filled(20_000_000, 2_000_000)
    belief.count(32_000)
    belief.refill(2_000_000, 18_000_000, 3_000_000, 2, 2_000_000, t_mono_s=99, wall_s=77)
    assert belief.calc_nl == belief.last_fill_nl == 18_000_000
    assert (belief.last_aspirated_nl, belief.last_expected_nl) == (2_000_000, 4_000_000)  # WE-27
    assert (belief.last_refill_t_mono_s, belief.last_refill_wall_s) == (99, 77)
    assert (belief.drug_id, belief.concentration_ng_per_ml, belief.low_alarm_nl) == (2, 2_000_000, 3_000_000)


def test_more_than_the_reservoir_holds_is_refused() -> None:
    assert check_fill(20_000_000, 20_000_000) is None
    refusal = Refusal(ErrorCode.RESERVOIR, 20_000_001, 20_000_000, 20_000_000)
    assert check_fill(20_000_001, 20_000_000) == refusal


def test_a_belief_survives_packing() -> None:
    belief = filled(20_000_000, 2_000_000)
    belief.refill(1, 1_000, 3, 4, 5, t_mono_s=6, wall_s=7)
    belief.count(3)
    assert ReservoirBelief.unpack(belief.pack(), STROKE_NL) == belief
    with pytest.raises(ValueError, match="reservoir record has 3 bytes"):
        ReservoirBelief.unpack(b"abc", STROKE_NL)
