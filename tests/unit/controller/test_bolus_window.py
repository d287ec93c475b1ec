"""Sliding windows of bolus volume: what counts, for how long, and in how little memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_emu.controller.therapy.bolus_window import PACKED_BYTES_MAX, BolusWindow
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR

ENTRIES_MAX = 128


def one_bolus(volume_nl: int, delivered_nl: int, end_ms: int) -> BolusWindow:
    window = BolusWindow()
    window.start(volume_nl)
    window.end(end_ms, volume_nl, delivered_nl)
    return window


def test_a_bolus_counts_in_full_from_its_start() -> None:
    window = BolusWindow()
    window.start(100_000)
    assert window.hour_used_nl(0) == window.day_used_nl(10 * MS_PER_DAY) == 100_000


def test_a_bolus_counts_by_what_it_delivered_until_a_window_after_its_end() -> None:
    window = one_bolus(100_000, 60_000, end_ms=5_000)
    assert window.hour_used_nl(5_000) == 60_000
    assert window.hour_used_nl(5_000 + MS_PER_HOUR - 1) == 60_000
    assert window.hour_used_nl(5_000 + MS_PER_HOUR) == 0
    assert window.day_used_nl(5_000 + MS_PER_DAY - 1) == 60_000
    assert window.day_used_nl(5_000 + MS_PER_DAY) == 0


def test_what_never_ran_cannot_end() -> None:
    with pytest.raises(ValueError, match="500 nL ended, 0 nL were running"):
        BolusWindow().end(0, 500, 500)


def test_asking_changes_nothing() -> None:
    window = one_bolus(100_000, 60_000, end_ms=5_000)
    before = window.pack()
    window.day_used_nl(100 * MS_PER_DAY)
    assert window.pack() == before


def test_more_boluses_than_entries_are_joined_and_never_forgotten() -> None:
    window = BolusWindow()
    for number in range(3 * ENTRIES_MAX):
        window.start(1_000)
        window.end(number * 1_000, 1_000, 1_000)
    assert len(window.ended) == ENTRIES_MAX
    assert len(window.pack()) == PACKED_BYTES_MAX
    assert window.day_used_nl(MS_PER_DAY - 1) == 3 * ENTRIES_MAX * 1_000


def test_boluses_that_are_joined_count_from_the_later_end_and_the_rest_from_their_own() -> None:
    window = BolusWindow()
    for number in range(ENTRIES_MAX + 1):
        window.start(1_000)
        window.end(number * 1_000, 1_000, 1_000)
    left = [window.day_used_nl(MS_PER_DAY + after_ms) // 1_000 for after_ms in (0, 1_000, 2_000, 3_000)]
    assert left == [ENTRIES_MAX, ENTRIES_MAX, ENTRIES_MAX - 2, ENTRIES_MAX - 3], "the second with the third"


def test_a_bolus_of_almost_a_day_ago_is_still_there_when_another_ends_and_one_of_a_day_ago_takes_no_room() -> (
    None
):
    for pause_ms, kept in ((MS_PER_DAY - 1, 2), (MS_PER_DAY, 1)):
        window = one_bolus(100_000, 60_000, end_ms=5_000)
        window.start(1_000)
        window.end(5_000 + pause_ms, 1_000, 1_000)
        assert len(window.ended) == kept


@given(
    boluses=st.lists(st.tuples(st.integers(1, 4 * MS_PER_HOUR), st.integers(0, 500_000)), max_size=60),
    later_ms=st.integers(0, 2 * MS_PER_DAY),
)
def test_the_windows_hold_what_ended_within_them(boluses: list[tuple[int, int]], later_ms: int) -> None:
    window = BolusWindow()
    now_ms = 0
    ends = []
    for pause_ms, delivered_nl in boluses:
        now_ms += pause_ms
        window.start(500_000)
        window.end(now_ms, 500_000, delivered_nl)
        ends.append((now_ms, delivered_nl))
    window = BolusWindow.unpack(window.pack())
    now_ms += later_ms
    for length_ms, used_nl in (
        (MS_PER_HOUR, window.hour_used_nl(now_ms)),
        (MS_PER_DAY, window.day_used_nl(now_ms)),
    ):
        assert used_nl == sum(nl for end_ms, nl in ends if end_ms > now_ms - length_ms)


def test_damaged_windows_are_refused() -> None:
    packed = one_bolus(100_000, 60_000, end_ms=5_000).pack()
    for damaged in (b"", packed[:-1], packed + bytes(1)):
        with pytest.raises(ValueError, match="bolus windows of"):
            BolusWindow.unpack(damaged)


def test_no_end_and_an_end_at_tick_zero_are_different() -> None:
    assert BolusWindow.unpack(BolusWindow().pack()).last_end_ms is None
    assert BolusWindow.unpack(one_bolus(500, 500, end_ms=0).pack()).last_end_ms == 0
