"""A bolus: its strokes, how it ends, and the rules by which one is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_emu.controller.refusal import Refusal
from firmware_emu.controller.therapy.bolus import (
    ActiveBolus,
    BolusEnd,
    check_bolus,
    minimum_duration_s,
    quantised_nl,
)
from firmware_emu.controller.therapy.bolus_window import BolusWindow
from firmware_emu.controller.therapy.counters import Source
from firmware_emu.pins import StrokeRun
from firmware_emu.profile import PumpModel
from firmware_emu.units import MS_PER_S
from protocol.identifiers import ErrorCode, Outcome
from protocol.log.types import BolusEndReason
from tests.support.for_each import for_each

LIMITS = PumpModel(
    stroke_nl=500,
    rate_max_nl_per_day=24_000_000,
    bolus_max_nl=500_000,
    hour_max_nl=1_000_000,
    day_max_nl=5_000_000,
    min_bolus_gap_s=900,
)


class Turning:
    """A rotor that turns, and notes when."""

    def __init__(self) -> None:
        self.strokes_ms: list[int] = []

    def run(self, run: StrokeRun) -> int:
        self.strokes_ms += [run.time_of_ms(k) for k in range(run.first_k, run.first_k + run.count)]
        return run.count


class Standing:
    """A rotor that is told to turn, and does not."""

    def __init__(self) -> None:
        self.told = 0

    def run(self, run: StrokeRun) -> int:
        self.told += run.count
        return 0


def bolus_of(strokes: int, duration_ms: int, start_ms: int = 0) -> ActiveBolus:
    return ActiveBolus(
        Source.BOLUS,
        cmd_id=7,
        key_id=3,
        stroke_nl=500,
        strokes_total=strokes,
        duration_ms=duration_ms,
        start_ms=start_ms,
    )


@given(
    strokes=st.integers(1, 1_000),
    duration_ms=st.integers(1, 86_400_000),
    start_ms=st.integers(0, 10**12),
    cuts=st.lists(st.integers(0, 86_400_000), max_size=6),
)
def test_strokes_are_even_and_the_last_falls_exactly_at_the_end(
    strokes: int, duration_ms: int, start_ms: int, cuts: list[int]
) -> None:
    bolus, rotor = bolus_of(strokes, duration_ms, start_ms), Turning()
    for cut_ms in sorted(cuts):
        bolus.advance(start_ms + cut_ms, rotor)
        bolus = ActiveBolus.unpack(bolus.pack(), 500)
    bolus.advance(bolus.start_ms + bolus.duration_ms + 1_000, rotor)
    assert rotor.strokes_ms == [start_ms - (-k * duration_ms // strokes) for k in range(1, strokes + 1)]
    assert rotor.strokes_ms[-1] == start_ms + duration_ms
    assert bolus.end() == BolusEnd(Outcome.DONE, BolusEndReason.COMPLETE, strokes * 500, 0)


def test_the_next_stroke_is_foretold_until_the_last() -> None:
    bolus = bolus_of(3, 10_000, start_ms=100)
    assert [bolus.stroke_ms(n) for n in range(1, 5)] == [3_434, 6_767, 10_100, None]
    bolus.advance(10_099, Turning())
    assert (bolus.stroke_ms(1), bolus.left_nl) == (10_100, 500)
    bolus.advance(10_100, Turning())
    assert (bolus.stroke_ms(1), bolus.left_nl) == (None, 0)


def test_a_bolus_with_missing_edges_is_partial_and_tells_what_was_seen() -> None:
    bolus = bolus_of(10, 10_000)
    bolus.advance(4_000, Turning())
    bolus.advance(10_000, Standing())
    assert bolus.end() == BolusEnd(Outcome.PARTIAL, BolusEndReason.MISSING_EDGES, 2_000, 0)


@for_each("until_ms", [0, 4_500])
def test_a_bolus_ended_early_is_partial_even_with_nothing_delivered(until_ms: int) -> None:
    bolus = bolus_of(10, 10_000)
    bolus.advance(until_ms, Turning())
    expected = BolusEnd(Outcome.PARTIAL, BolusEndReason.STOP, until_ms // 1_000 * 500, 0)
    assert bolus.end(BolusEndReason.STOP) == expected


def test_a_cut_before_the_first_stroke_was_due_means_that_it_never_started() -> None:
    end = bolus_of(10, 10_000).end_after_cut(latest_cut_ms=999)
    assert end == BolusEnd(Outcome.NOT_STARTED, BolusEndReason.POWER, 0, 0)


def test_a_cut_leaves_at_most_one_stroke_uncertain() -> None:
    bolus = bolus_of(10, 10_000)
    bolus.advance(3_000, Turning())
    assert bolus.end_after_cut(4_000) == BolusEnd(Outcome.PARTIAL, BolusEndReason.POWER, 1_500, 500)
    assert bolus.end_after_cut(3_999) == BolusEnd(Outcome.PARTIAL, BolusEndReason.POWER, 1_500, 0)
    assert bolus.end_after_cut(None) == BolusEnd(Outcome.PARTIAL, BolusEndReason.POWER, 1_500, 500)


def test_a_cut_after_the_last_stroke_leaves_a_bolus_done() -> None:
    bolus = bolus_of(10, 10_000)
    bolus.advance(10_000, Turning())
    assert bolus.end_after_cut(None).outcome is Outcome.DONE


def test_a_bolus_that_delivered_more_than_it_commanded_is_corrupt() -> None:
    bolus = bolus_of(10, 10_000)
    bolus.delivered = 1
    with pytest.raises(ValueError, match="0 commanded, 1 delivered"):
        ActiveBolus.unpack(bolus.pack(), 500)


def test_a_volume_is_rounded_down_to_whole_strokes() -> None:
    assert [quantised_nl(volume, 500) for volume in (499, 500, 999, 1_000)] == [0, 500, 500, 1_000]


# --- the rules ------------------------------------------------------------------------------------------


def refused(
    volume_nl: int, duration_s: int, basal: int = 0, window: BolusWindow | None = None
) -> Refusal | None:
    return check_bolus(volume_nl, duration_s, basal, LIMITS, window or BolusWindow(), tick_ms=10_000_000)


def test_we_34_a_bolus_too_fast_for_the_pump_is_refused_with_its_minimum_duration() -> None:
    assert refused(50_000, 600) is None
    assert refused(50_000, 120) == Refusal(ErrorCode.RATE, 120, 24_000_000, 180)


def test_we_35_the_shortest_durations() -> None:
    assert minimum_duration_s(100_000, 0, 24_000_000) == 360
    assert minimum_duration_s(25_000, 0, 24_000_000) == 90


@given(st.integers(500, 500_000), st.integers(0, 23_999_999))
def test_the_minimum_duration_is_accepted_and_a_second_less_is_not(volume_nl: int, basal: int) -> None:
    shortest_s = minimum_duration_s(volume_nl, basal, LIMITS.rate_max_nl_per_day)
    assert shortest_s is not None
    if shortest_s > LIMITS.bolus_max_duration_s:
        for duration_s in (1, LIMITS.bolus_max_duration_s, shortest_s):
            found = refused(volume_nl, duration_s, basal)
            assert found is not None
            assert found.nearest == 0, "there is none"
        return
    assert refused(volume_nl, shortest_s, basal) is None
    below = refused(volume_nl, shortest_s - 1, basal)
    assert below is not None
    assert (below.code, below.nearest) == (ErrorCode.RATE, shortest_s)


def test_a_bolus_that_lasts_too_long_is_refused_with_the_longest_duration() -> None:
    assert refused(50_000, 86_400) is None
    assert refused(50_000, 86_401) == Refusal(ErrorCode.TIME_RANGE, 86_401, 86_400, 86_400)


def test_no_duration_is_refused() -> None:
    assert refused(500, 0) == Refusal(ErrorCode.RATE, 0, 24_000_000, 2)


def test_less_than_a_stroke_is_refused() -> None:
    assert refused(499, 600) == Refusal(ErrorCode.RATE, 499, 500, 2)


def test_beside_a_basal_at_the_maximum_no_duration_would_do() -> None:
    assert refused(500, 86_400, basal=24_000_000) == Refusal(ErrorCode.RATE, 86_400, 24_000_000, 0)


def test_a_bolus_above_the_maximum_is_refused() -> None:
    assert refused(500_000, 3_600) is None
    assert refused(500_500, 3_600) == Refusal(ErrorCode.BOLUS_MAX, 500_500, 500_000, 500_000)


def test_the_hour_and_the_day_are_limited_with_what_is_left() -> None:
    window = BolusWindow()
    window.start(600_250)
    assert refused(400_000, 3_600, window=window) == Refusal(ErrorCode.HOUR_MAX, 400_000, 1_000_000, 399_500)
    assert refused(399_500, 3_600, window=window) is None
    older = BolusWindow()
    older.start(4_900_000)
    older.end(10_000_000 - 3_600_000, 4_900_000, 4_900_000)
    assert refused(100_500, 3_600, window=older) == Refusal(ErrorCode.DAY_MAX, 100_500, 5_000_000, 100_000)


def test_boluses_keep_their_distance_from_the_end_of_the_last() -> None:
    window = BolusWindow()
    window.start(500)
    window.end(10_000_000 - 899_001, 500, 500)
    assert refused(500, 60, window=window) == Refusal(ErrorCode.GAP, 899, 900, 10_001)
    window = BolusWindow()
    window.start(500)
    window.end(10_000_000 - 900 * MS_PER_S, 500, 500)
    assert refused(500, 60, window=window) is None


def test_a_bolus_that_delivered_nothing_needs_no_distance() -> None:
    window = BolusWindow()
    window.start(500)
    window.end(9_999_999, 500, 0)
    assert refused(500, 60, window=window) is None


def test_a_prime_is_held_to_rate_and_size_alone() -> None:
    prime = check_bolus(338_000, 1_217, 0, LIMITS, None, 0)
    assert prime is None
    fast = check_bolus(338_000, 1_216, 0, LIMITS, None, 0)
    assert fast == Refusal(ErrorCode.RATE, 1_216, 24_000_000, 1_217)  # 20.28 min [DOMAIN 7, WE-10]
