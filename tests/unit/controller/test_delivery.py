"""The basal accumulator: exact times, nothing lost, the same however time is cut."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_emu.controller.therapy.bolus import ActiveBolus
from firmware_emu.controller.therapy.counters import Source
from firmware_emu.controller.therapy.delivery import Basal, nth_stroke_ms
from firmware_emu.controller.therapy.stall_detector import StallChange, StallDetector, StallEvent
from firmware_emu.pins import StrokeRun
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR

STROKE_NL = 500
STROKE = STROKE_NL * MS_PER_DAY
RATES = st.integers(0, 24_000_000)
SPANS_MS = st.integers(0, 3 * MS_PER_DAY)


class RecordingRotor:
    """Notes the time of each stroke; while it stands, no edges."""

    def __init__(self) -> None:
        self.strokes_ms: list[int] = []
        self.runs = 0
        self.stands = False

    def run(self, run: StrokeRun) -> int:
        self.runs += 1
        self.strokes_ms += [run.time_of_ms(k) for k in range(run.first_k, run.first_k + run.count)]
        return 0 if self.stands else run.count


def test_strokes_fall_at_the_first_millisecond_at_which_they_are_owed() -> None:
    rotor = RecordingRotor()
    basal = Basal.at(0, STROKE_NL, 700_000)
    turned = basal.advance(MS_PER_HOUR, rotor)
    assert rotor.strokes_ms == [-(-k * STROKE // 700_000) for k in range(1, 59)]
    assert turned is not None
    run, edges = turned
    assert (run.count, edges, rotor.runs) == (58, 58, 1)


def test_a_day_at_a_rate_gives_exactly_that_volume() -> None:
    rotor = RecordingRotor()
    basal = Basal.at(12_345, STROKE_NL, 600_000)
    basal.advance(12_345 + MS_PER_DAY, rotor)
    assert len(rotor.strokes_ms) == 1_200
    assert rotor.strokes_ms[-1] == 12_345 + MS_PER_DAY
    assert basal.owed == 0


def test_the_next_strokes_are_foretold() -> None:
    rotor = RecordingRotor()
    basal = Basal.at(7, STROKE_NL, 550_001, carried=STROKE // 3)
    foretold = [basal.stroke_ms(n) for n in range(1, 6)]
    assert basal.stroke_ms(1) == foretold[0]
    basal.advance(foretold[4] or 0, rotor)
    assert rotor.strokes_ms == foretold


def test_a_rate_of_zero_keeps_what_is_owed_and_never_strokes() -> None:
    rotor = RecordingRotor()
    basal = Basal.at(0, STROKE_NL, 600_000)
    basal.advance(50_000, rotor)
    owed = basal.owed
    basal.set_rate(50_000, 0)
    assert basal.stroke_ms(1) is None
    assert basal.advance(MS_PER_DAY, rotor) is None
    basal.set_rate(MS_PER_DAY, 600_000)
    assert basal.owed == owed > 0
    assert basal.stroke_ms(1) == MS_PER_DAY + 72_000 - 50_000


def test_a_rate_is_not_set_before_what_was_due_has_been_turned() -> None:
    basal = Basal.at(0, STROKE_NL, 600_000)
    with pytest.raises(ValueError, match="delivery stands at 0 ms"):
        basal.set_rate(72_000, 300_000)
    with pytest.raises(ValueError, match="a rate of -1"):
        basal.set_rate(0, -1)


def test_delivery_does_not_go_back_in_time() -> None:
    basal = Basal.at(1_000, STROKE_NL, 600_000)
    with pytest.raises(ValueError, match="cannot go back"):
        basal.advance(999, RecordingRotor())


def test_a_restart_asks_for_nothing_for_the_time_without_power() -> None:
    rotor = RecordingRotor()
    basal = Basal.at(0, STROKE_NL, 600_000)
    basal.advance(100_000, rotor)
    basal.restart(500_000)
    assert basal.stroke_ms(1) == 500_000 + 44_000


def test_an_accumulator_that_owes_a_stroke_is_refused_as_corrupt() -> None:
    whole = Basal.at(5, STROKE_NL, 1, carried=STROKE).pack()
    with pytest.raises(ValueError, match="a stroke or more"):
        Basal.unpack(whole, STROKE_NL)


@given(st.lists(st.tuples(RATES, SPANS_MS), max_size=8))
def test_what_is_asked_for_and_what_is_turned_never_differ_by_a_stroke(
    course: list[tuple[int, int]],
) -> None:
    rotor = RecordingRotor()
    basal = Basal.at(0, STROKE_NL)
    now_ms = requested = 0
    for rate, span_ms in course:
        basal.set_rate(now_ms, rate)
        now_ms += span_ms
        basal.advance(now_ms, rotor)
        requested += rate * span_ms
        assert 0 <= requested - len(rotor.strokes_ms) * STROKE == basal.owed < STROKE


@given(
    rate=RATES,
    carried=st.integers(0, STROKE - 1),
    span_ms=SPANS_MS,
    cuts=st.lists(st.integers(0, 3 * MS_PER_DAY), max_size=12),
)
def test_time_may_be_cut_anywhere(rate: int, carried: int, span_ms: int, cuts: list[int]) -> None:
    whole, pieces = RecordingRotor(), RecordingRotor()
    in_one = Basal.at(0, STROKE_NL, rate, carried)
    in_many = Basal.at(0, STROKE_NL, rate, carried)
    in_one.advance(span_ms, whole)
    for cut_ms in sorted(cut for cut in cuts if cut <= span_ms):
        in_many.advance(cut_ms, pieces)
        in_many = Basal.unpack(in_many.pack(), STROKE_NL)
    in_many.advance(span_ms, pieces)
    assert pieces.strokes_ms == whole.strokes_ms
    assert in_many.pack() == in_one.pack()


def test_the_remainder_survives_packing_and_copying() -> None:
    basal = Basal.at(0, STROKE_NL, 333_333)
    basal.advance(MS_PER_HOUR + 17, RecordingRotor())
    again = Basal.unpack(basal.pack(), STROKE_NL)
    copied = copy.deepcopy(basal)
    assert again.owed == copied.owed == basal.owed > 0
    assert again.stroke_ms(1) == copied.stroke_ms(1) == basal.stroke_ms(1)
    assert len(basal.pack()) == 20


@given(
    rate=st.integers(0, 2_000_000),
    strokes=st.integers(1, 300),
    duration_ms=st.integers(1, MS_PER_HOUR),
    turned_until_ms=st.integers(0, 2 * MS_PER_HOUR),
    n=st.integers(1, 400),
)
def test_the_nth_stroke_of_basal_and_bolus_together_is_foretold(
    rate: int, strokes: int, duration_ms: int, turned_until_ms: int, n: int
) -> None:
    rotor = RecordingRotor()
    basal = Basal.at(0, STROKE_NL, rate)
    bolus = ActiveBolus(Source.BOLUS, 1, 1, STROKE_NL, strokes, duration_ms, start_ms=0)
    basal.advance(turned_until_ms, rotor)
    bolus.advance(turned_until_ms, rotor)
    foretold_ms = nth_stroke_ms(n, basal, [bolus])
    coming = RecordingRotor()
    bolus.advance(max(turned_until_ms, duration_ms), coming)
    basal.advance(turned_until_ms + n * (STROKE // rate + 1) if rate else turned_until_ms, coming)
    in_order = sorted(coming.strokes_ms)
    assert foretold_ms == (in_order[n - 1] if n <= len(in_order) else None)


def test_without_a_bolus_the_nth_stroke_is_the_basal_rates() -> None:
    basal = Basal.at(0, STROKE_NL, 600_000)
    assert nth_stroke_ms(3, basal) == 3 * 72_000


@given(
    rate=st.integers(6_000, 24_000_000),
    stall=st.tuples(st.integers(0, MS_PER_DAY), st.integers(0, MS_PER_DAY)),
    cuts=st.lists(st.integers(0, 2 * MS_PER_DAY), max_size=10),
    recovery_edges=st.integers(1, 4),
)
def test_a_stall_is_found_at_the_same_stroke_however_time_is_cut(
    rate: int, stall: tuple[int, int], cuts: list[int], recovery_edges: int
) -> None:
    begin_ms, length_ms = stall

    def run(stops_ms: list[int]) -> tuple[list[StallEvent], list[int], bytes]:
        rotor = RecordingRotor()
        basal = Basal.at(0, STROKE_NL, rate)
        detector = StallDetector(1_200_000, recovery_edges)
        events = []
        for stop_ms in sorted({begin_ms, begin_ms + length_ms, 2 * MS_PER_DAY, *stops_ms}):
            rotor.stands = begin_ms < stop_ms <= begin_ms + length_ms
            while basal.reached_ms < stop_ms:
                stroke_ms = basal.stroke_ms(1)
                assert stroke_ms is not None
                to_ms = min(stop_ms, stroke_ms) if rotor.stands or detector.watching else stop_ms
                turned = basal.advance(to_ms, rotor)
                event = None if turned is None else detector.observe(*turned)
                if event is not None:
                    assert basal.reached_ms == event.at_ms
                    events.append(event)
        return events, rotor.strokes_ms, basal.pack() + detector.pack()

    in_one, in_many = run([]), run(cuts)
    assert in_one == in_many
    missed = [each for each in in_one[1] if begin_ms < each <= begin_ms + length_ms]
    late = [each for each in missed if each >= missed[0] + 1_200_000]
    stalls = [event.at_ms for event in in_one[0] if event.change is StallChange.STALLED]
    assert stalls == late[:1]
    good = [each for each in in_one[1] if each > begin_ms + length_ms]
    recoveries = [event.at_ms for event in in_one[0] if event.change is StallChange.RECOVERED]
    expected = good[recovery_edges - 1 : recovery_edges] if stalls else []
    assert recoveries == expected


def test_delivery_without_a_stall_takes_one_run() -> None:
    rotor = RecordingRotor()
    basal = Basal.at(0, STROKE_NL, 600_000)
    turned = basal.advance(30 * MS_PER_DAY, rotor)
    assert turned is not None
    run, edges = turned
    assert (run.count, edges) == (36_000, 36_000)
    assert StallDetector(1_200_000, 2).observe(run, edges) is None
    assert rotor.runs == 1
