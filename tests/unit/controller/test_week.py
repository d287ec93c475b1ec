"""A week of rates: looked up, cut at its changes and summed, held against counting millisecond ranges by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from firmware_emu.controller.therapy.delivery import Basal
from firmware_emu.controller.therapy.week import ScheduledBasal, Week
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE, MS_PER_WEEK
from protocol.messages.program import Group, Segment
from tests.support.for_each import for_each

STROKE_NL = 500
WORK = (Segment(0, 400_000), Segment(480, 900_000), Segment(1_200, 400_000))
WEEKEND = (Segment(0, 500_000),)


def work_and_weekend() -> Week:
    return Week.of([(Group(0x1F, 3, 0), WORK), (Group(0x60, 1, 0), WEEKEND)])


def rate_by_definition(groups: list[tuple[Group, tuple[Segment, ...]]], week_ms: int) -> int:
    """The rate of the segment in which the minute lies [SPEC 6]."""
    day, of_day_ms = divmod(week_ms % MS_PER_WEEK, MS_PER_DAY)
    rows = next(rows for group, rows in groups if group.day_mask >> day & 1)
    return [row.rate_nl_per_day for row in rows if row.start_min <= of_day_ms // MS_PER_MINUTE][-1]


def test_no_rate_is_left_out_of_a_span_of_more_than_a_week() -> None:
    fast_on_tuesday = Week.of(
        [(Group(0b000_0010, 1, 0), (Segment(0, 900_000),)), (Group(0b111_1101, 1, 0), WEEKEND)]
    )
    wednesday_ms = 2 * MS_PER_DAY
    assert fast_on_tuesday.highest_rate(wednesday_ms, 5 * MS_PER_DAY) == 500_000
    assert fast_on_tuesday.highest_rate(wednesday_ms, 12 * MS_PER_DAY + MS_PER_HOUR) == 900_000


@st.composite
def weeks(draw: st.DrawFn) -> list[tuple[Group, tuple[Segment, ...]]]:
    """Groups that hold each day once, with 1 to 13 segments each."""
    of_day = draw(st.lists(st.integers(0, 6), min_size=7, max_size=7))
    groups = []
    for number in sorted(set(of_day)):
        mask = sum(1 << day for day in range(7) if of_day[day] == number)
        later = draw(st.lists(st.integers(1, 1_439), max_size=12, unique=True))
        rows = tuple(Segment(start, draw(st.integers(1, 5))) for start in [0, *sorted(later)])
        groups.append((Group(mask, len(rows), 0), rows))
    return groups


@given(weeks(), st.integers(0, MS_PER_WEEK - 1))
def test_the_rate_is_that_of_the_segment_in_which_the_minute_lies(
    groups: list[tuple[Group, tuple[Segment, ...]]], week_ms: int
) -> None:
    week = Week.of(groups)
    rate = week.rate_at(week_ms)
    assert rate == rate_by_definition(groups, week_ms)
    wait_ms = week.until_change_ms(week_ms)
    if wait_ms is None:
        assert len(week.rates_nl_per_day) == 1
        return
    assert 0 < wait_ms <= MS_PER_WEEK
    assert rate_by_definition(groups, week_ms + wait_ms) != rate
    assert rate_by_definition(groups, week_ms + wait_ms - 1) == rate
    assert week.highest_rate(week_ms, wait_ms) == rate
    assert week.highest_rate(week_ms, wait_ms + 1) == max(rate, rate_by_definition(groups, week_ms + wait_ms))
    assert week.highest_rate(week_ms, MS_PER_WEEK) == max(week.rates_nl_per_day)


@given(weeks(), st.integers(0, 3 * MS_PER_WEEK), st.integers(1, 10**11))
def test_the_sum_is_reached_at_the_first_millisecond_that_holds_it(
    groups: list[tuple[Group, tuple[Segment, ...]]], from_ms: int, more: int
) -> None:
    week = Week.of(groups)
    assert week.grown_until(from_ms + 1) - week.grown_until(from_ms) == rate_by_definition(groups, from_ms)
    wanted = week.grown_until(from_ms) + more
    at_ms = week.reached_ms(wanted)
    assert week.grown_until(at_ms - 1) < wanted <= week.grown_until(at_ms)


def test_the_same_rate_in_two_segments_is_no_change() -> None:
    week = Week.of([(Group(0x7F, 2, 0), (Segment(0, 7), Segment(720, 7)))])
    assert (week.starts_ms, week.rates_nl_per_day) == ((0,), (7,))
    assert week.until_change_ms(1) is None


@for_each(
    ("week_ms", "wait_ms"),
    [
        (0, 8 * MS_PER_HOUR),
        (4 * MS_PER_DAY + 20 * MS_PER_HOUR, 4 * MS_PER_HOUR),  # Friday night, until the weekend
        (5 * MS_PER_DAY + 1, 2 * MS_PER_DAY - 1),  # all weekend
    ],
)
def test_groups_of_days_change_at_midnight(week_ms: int, wait_ms: int) -> None:
    assert work_and_weekend().until_change_ms(week_ms) == wait_ms


@given(st.integers(0, MS_PER_WEEK - 1), st.integers(1, 4_000), st.integers(0, STROKE_NL * MS_PER_DAY - 1))
def test_strokes_to_come_are_those_that_an_accumulator_turns_step_by_step(
    week_ms: int, n: int, owed: int
) -> None:
    week = work_and_weekend()
    to_come = ScheduledBasal(Basal.at(1_234, STROKE_NL, week.rate_at(week_ms), owed), week, week_ms)
    at_ms = to_come.stroke_ms(n)
    assert (to_come.strokes_due(at_ms), to_come.strokes_due(at_ms - 1)) == (n, n - 1)
    basal, turned, now_ms = Basal.at(1_234, STROKE_NL, week.rate_at(week_ms), owed), 0, week_ms
    while True:
        wait_ms = week.until_change_ms(now_ms % MS_PER_WEEK)
        assert wait_ms is not None
        next_ms = basal.reached_ms + wait_ms
        if next_ms > at_ms:
            break
        due = basal.strokes_due(next_ms)
        basal.emitted += due
        turned += due
        now_ms += wait_ms
        basal.set_rate(next_ms, week.rate_at(now_ms % MS_PER_WEEK))
    assert turned + basal.strokes_due(at_ms) == n
    assert basal.stroke_ms(n - turned) == at_ms
