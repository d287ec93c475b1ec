"""The wall clock: an offset to the ticks, the rules of TIME_SET, and what is true of it after a boot."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_emu.controller.wall_clock import WallClock
from firmware_emu.units import MS_PER_DAY, MS_PER_MINUTE, S_PER_DAY
from protocol.identifiers import ErrorCode
from tests.support.for_each import for_each

DELTA_OF_INVALID_CLOCK_S = -0x8000_0000  # [SPEC 6]

NOON_S = 9_000 * S_PER_DAY + 12 * 3_600  # 2024-08-22 12:00 UTC, a Thursday
TICK_MS = 777_123


def clock_at_noon(tz_minutes: int = 0) -> WallClock:
    clock = WallClock()
    clock.set(TICK_MS, NOON_S, tz_minutes)
    return clock


def test_a_clock_that_was_never_set_stands_at_0_and_is_not_valid() -> None:
    clock = WallClock()
    assert clock.wall_s(10**12) == 0
    assert not clock.valid


def test_a_set_clock_goes_with_the_ticks_to_the_millisecond() -> None:
    clock = clock_at_noon()
    assert clock.valid
    assert clock.wall_s(TICK_MS) == NOON_S
    assert clock.wall_s(TICK_MS + 999) == NOON_S
    assert clock.wall_s(TICK_MS + 1_000) == NOON_S + 1
    assert clock.wall_s(TICK_MS + 30 * MS_PER_DAY) == NOON_S + 30 * S_PER_DAY


@for_each(
    ("tz_minutes", "minute", "weekday"),
    [(0, 720, 3), (120, 840, 3), (-720, 0, 3), (-719, 1, 3), (720, 0, 4), (840, 120, 4), (-330, 390, 3)],
)
def test_the_local_minute_and_day_follow_the_zone(tz_minutes: int, minute: int, weekday: int) -> None:
    clock = clock_at_noon(tz_minutes)
    assert clock.week_ms(TICK_MS) == weekday * MS_PER_DAY + minute * MS_PER_MINUTE
    assert clock.week_ms(TICK_MS + 1) == clock.week_ms(TICK_MS) + 1


def test_2000_01_01_was_a_saturday() -> None:
    clock = WallClock()
    clock.set(0, 0, 0)
    assert [clock.week_ms(day * MS_PER_DAY) // MS_PER_DAY for day in range(8)] == [5, 6, 0, 1, 2, 3, 4, 5]


def test_the_week_goes_on_where_the_wall_clock_stops() -> None:
    clock = WallClock()
    clock.set(0, 0xFFFF_FFFF, 0)
    assert clock.wall_s(MS_PER_DAY) == clock.wall_s(0)
    assert clock.week_ms(MS_PER_DAY) == clock.week_ms(0) + MS_PER_DAY


@for_each(
    ("wall_s", "tz_minutes", "delta_s"),
    [
        (NOON_S + 5, 0, 5),
        (NOON_S - 3_600, 0, -3_600),
        (NOON_S, 60, 3_600),
        (NOON_S - 3_600, 60, 0),
        (0, 0, -NOON_S),
        (0xFFFF_FFFF, 0, 0x7FFF_FFFF),
    ],
)
def test_delta_is_the_move_of_local_time(wall_s: int, tz_minutes: int, delta_s: int) -> None:
    clock = clock_at_noon()
    assert clock.delta_s(TICK_MS, wall_s, tz_minutes) == delta_s
    assert clock.set(TICK_MS, wall_s, tz_minutes) == delta_s
    assert clock.wall_s(TICK_MS) == wall_s


def test_a_large_step_back_saturates_above_the_mark_of_an_invalid_clock() -> None:
    clock = WallClock()
    clock.set(0, 0xFFFF_FFFF, 840)
    assert clock.delta_s(0, 0, -720) == DELTA_OF_INVALID_CLOCK_S + 1


def test_from_an_invalid_clock_there_is_no_delta() -> None:
    assert DELTA_OF_INVALID_CLOCK_S == -0x8000_0000
    assert WallClock().set(0, NOON_S, 0) == DELTA_OF_INVALID_CLOCK_S
    clock = clock_at_noon()
    clock.lose_power()
    assert clock.set(TICK_MS, NOON_S, 0) == DELTA_OF_INVALID_CLOCK_S


@for_each(
    ("step_s", "wants_confirmation"), [(0, False), (120, False), (121, True), (-120, False), (-121, True)]
)
def test_more_than_120_s_wants_a_confirmation(step_s: int, wants_confirmation: bool) -> None:
    clock = clock_at_noon()
    refusal = clock.refusal_of(TICK_MS, NOON_S + step_s, 0, confirm=False)
    assert refusal is (ErrorCode.CONFIRM if wants_confirmation else None)
    assert clock.refusal_of(TICK_MS, NOON_S + step_s, 0, confirm=True) is None


def test_an_invalid_clock_wants_a_confirmation_for_any_time() -> None:
    clock = clock_at_noon()
    clock.lose_power()
    assert clock.refusal_of(TICK_MS, NOON_S, 0, confirm=False) is ErrorCode.CONFIRM
    assert clock.refusal_of(TICK_MS, NOON_S, 0, confirm=True) is None


@for_each("tz_minutes", [-721, 841, 32_767])
def test_a_zone_outside_of_the_world_is_refused(tz_minutes: int) -> None:
    assert clock_at_noon().refusal_of(TICK_MS, NOON_S, tz_minutes, confirm=True) is ErrorCode.TIME_RANGE


def test_after_a_loss_of_power_the_estimate_goes_on_but_is_not_valid() -> None:
    clock = clock_at_noon(60)
    assert clock.lose_power()
    assert not clock.lose_power()
    assert not clock.valid
    assert clock.wall_s(TICK_MS + 5_000) == NOON_S + 5
    assert clock.tz_minutes == 60


def test_only_a_move_of_a_valid_clock_is_a_change_of_the_clock() -> None:
    clock = clock_at_noon()
    assert clock.moved_at_tick_ms is None
    clock.set(TICK_MS + 5_000, NOON_S + 5, 0)
    assert clock.moved_at_tick_ms is None
    clock.set(TICK_MS + 6_000, NOON_S + 3_600, 0)
    assert clock.moved_at_tick_ms == TICK_MS + 6_000


def test_the_clock_stops_at_the_end_of_its_32_bits() -> None:
    clock = WallClock()
    clock.set(0, 0xFFFF_FFFE, 0)
    assert [clock.wall_s(tick) for tick in (0, 1_000, 2_000, 10**12)] == [0xFFFF_FFFE] + [0xFFFF_FFFF] * 3


@given(
    offset_ms=st.none() | st.integers(-(2**62), 2**62),
    tz_minutes=st.integers(-720, 840),
    valid=st.booleans(),
    moved_at_tick_ms=st.none() | st.integers(0, 2**60),
)
def test_a_packed_clock_is_unpacked_as_it_was(
    offset_ms: int | None, tz_minutes: int, valid: bool, moved_at_tick_ms: int | None
) -> None:
    clock = WallClock(offset_ms, tz_minutes, valid, moved_at_tick_ms)
    assert WallClock.unpack(clock.pack()) == clock


def test_nothing_written_yet_is_a_clock_that_was_never_set() -> None:
    assert WallClock.unpack(b"") == WallClock()
    with pytest.raises(ValueError, match="wall clock"):
        WallClock.unpack(b"\0")
