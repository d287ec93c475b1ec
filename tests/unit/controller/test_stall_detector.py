"""Rows of edges: when a stall is declared, when it is over, what a stop forgets."""

from __future__ import annotations

import pytest

from firmware_emu.controller.therapy.stall_detector import StallChange, StallDetector
from firmware_emu.pins import StrokeRun
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR

STROKE = 500 * MS_PER_DAY


def strokes(first_k: int, count: int, rate_nl_per_day: int = 600_000) -> StrokeRun:
    return StrokeRun(0, 0, rate_nl_per_day, STROKE, first_k, count)


def test_a_stall_is_declared_at_the_first_missed_stroke_after_the_detection_time() -> None:
    detector = StallDetector(1_200_000, 2)
    event = detector.observe(strokes(1, 100), edges=0)
    assert event is not None
    assert event.change is StallChange.STALLED
    assert event.at_ms == 18 * 72_000  # 17 strokes later: the first at 1,200 s or more
    assert detector.stalled


def test_at_the_detection_time_exactly_it_is_declared() -> None:
    detector = StallDetector(144_000, 2)
    assert detector.observe(strokes(1, 2), edges=0) is None
    event = detector.observe(strokes(3, 1), edges=0)
    assert event is not None
    assert event.at_ms == 72_000 + 144_000


def test_at_a_low_rate_two_missed_edges_are_needed() -> None:
    detector = StallDetector(1_200_000, 2)
    slow = 6_000
    assert detector.observe(strokes(1, 1, slow), edges=0) is None
    event = detector.observe(strokes(2, 1, slow), edges=0)
    assert event is not None
    assert event.at_ms == 4 * MS_PER_HOUR


def test_a_good_edge_breaks_the_row() -> None:
    detector = StallDetector(1_200_000, 2)
    detector.observe(strokes(1, 17), edges=0)
    detector.observe(strokes(18, 1), edges=1)
    assert detector.observe(strokes(19, 17), edges=0) is None
    assert not detector.stalled


def test_a_stop_breaks_the_row_but_leaves_a_declared_stall() -> None:
    detector = StallDetector(1_200_000, 2)
    detector.observe(strokes(1, 17), edges=0)
    detector.reset_row()
    assert detector.observe(strokes(18, 1), edges=0) is None
    detector.observe(strokes(19, 100), edges=0)
    detector.reset_row()
    assert detector.stalled


def test_recovery_needs_good_edges_in_a_row() -> None:
    detector = StallDetector(1_200_000, 3)
    detector.observe(strokes(1, 50), edges=0)
    assert detector.observe(strokes(51, 2), edges=2) is None
    assert detector.observe(strokes(53, 1), edges=0) is None
    assert detector.observe(strokes(54, 1), edges=1) is None
    event = detector.observe(strokes(55, 10), edges=10)
    assert event is not None
    assert event.change is StallChange.RECOVERED
    assert event.at_ms == 56 * 72_000
    assert not detector.stalled


def test_a_stall_is_declared_once() -> None:
    detector = StallDetector(1_200_000, 2)
    assert detector.observe(strokes(1, 50), edges=0) is not None
    assert detector.observe(strokes(51, 50), edges=0) is None


def test_of_a_run_seen_in_part_the_missing_edges_are_the_first() -> None:
    whole, cut = StallDetector(144_000, 2), StallDetector(144_000, 2)
    event = whole.observe(strokes(1, 10), edges=3)
    assert cut.observe(strokes(1, 7), edges=0) == (StallChange.STALLED, 216_000)
    assert cut.observe(strokes(8, 3), edges=3) == event == (StallChange.RECOVERED, 9 * 72_000)
    assert whole == cut


# FI 05, 07
def test_an_edge_too_many_is_one_turn_and_a_reversed_one_is_none() -> None:
    detector = StallDetector(144_000, 2)
    assert detector.observe(strokes(1, 1), edges=2) is None
    assert not detector.watching
    assert detector.observe(strokes(2, 1), edges=-1) is None
    assert detector.first_missed_ms == 2 * 72_000
    detector.observe(strokes(3, 1), edges=-1)
    assert detector.observe(strokes(4, 1), edges=-1) == (StallChange.STALLED, 4 * 72_000)


def test_it_watches_from_the_first_missed_edge_until_it_has_recovered() -> None:
    detector = StallDetector(1_200_000, 2)
    detector.observe(strokes(1, 5), edges=5)
    assert not detector.watching
    detector.observe(strokes(6, 1), edges=0)
    assert detector.watching
    detector.observe(strokes(7, 40), edges=0)
    detector.observe(strokes(47, 1), edges=1)
    assert detector.watching
    detector.observe(strokes(48, 1), edges=1)
    assert not detector.watching


def test_a_tube_is_set_48_hours_after_the_last_edge() -> None:
    detector = StallDetector(1_200_000, 2)
    detector.observe(strokes(1, 10), edges=10)
    detector.observe(strokes(11, 10), edges=0)
    assert detector.tube_set_ms() == 10 * 72_000 + 48 * MS_PER_HOUR


def test_a_detector_survives_packing() -> None:
    detector = StallDetector(1_200_000, 2)
    detector.observe(strokes(1, 1), edges=1)
    detector.observe(strokes(2, 3), edges=0)
    again = StallDetector.unpack(detector.pack(), 1_200_000, 2)
    assert again == detector
    assert again.observe(strokes(5, 50), edges=0) == detector.observe(strokes(5, 50), edges=0)
    with pytest.raises(ValueError, match="flags 2"):
        StallDetector.unpack(b"\x02" + bytes(len(detector.pack()) - 1), 1_200_000, 2)
