"""What a day delivered is in the log at each local midnight, and adds up to all that was delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE, S_PER_DAY
from hil.campaign.conversation import MARCH_2_S, Conversation, factory_profile, profile_of
from protocol.identifiers import OnExpiry, StopReason, TimeSetReason
from protocol.log.data import DayTotalData
from protocol.log.types import DayFlag, LogType
from protocol.messages.reading import GetStatus
from protocol.messages.stop import Resume, Stop
from protocol.messages.time import TimeSet
from tests.support.for_each import for_each

if TYPE_CHECKING:
    from protocol.log.entry import LogEntry

RATE_NL_PER_DAY = 600_000
MIDNIGHT_MS = 14 * MS_PER_HOUR  # the clock shows 10:00 at tick 0


def at_work() -> Conversation:
    return Conversation.with_new_pump(profile_of(wall_at_start_s=MARCH_2_S))


def day_totals(talk: Conversation) -> list[LogEntry]:
    return [entry for entry in talk.log() if entry.type is LogType.DAY_TOTAL]


def set_time(talk: Conversation, cmd_id: int, moved_s: int, tz_minutes: int = 0) -> None:
    wall_s = talk.granted(GetStatus()).wall_s + moved_s
    talk.granted(TimeSet(cmd_id, wall_s, tz_minutes, TimeSetReason.ZONE, confirm=True))


def ticks_ms(entries: list[LogEntry]) -> list[int]:
    return [entry.t_mono_s * 1_000 + entry.t_ms for entry in entries]


def test_each_local_midnight_has_its_total_and_the_totals_add_up_to_all_that_was_delivered() -> None:
    talk = at_work()
    talk.wait(MS_PER_HOUR)
    talk.start_bolus(1, 20_000, 600)
    talk.wait_until(3 * MS_PER_DAY + MIDNIGHT_MS)
    totals = day_totals(talk)
    assert ticks_ms(totals) == [MIDNIGHT_MS + day * MS_PER_DAY for day in range(4)]
    data = [entry.details() for entry in totals]
    assert [one.bolus_nl for one in data] == [20_000, 0, 0, 0]
    assert [one.basal_nl for one in data] == [RATE_NL_PER_DAY * 14 // 24] + 3 * [RATE_NL_PER_DAY]
    assert all(one.flags == DayFlag(0) for one in data)
    assert sum(one.basal_nl + one.bolus_nl for one in data) == talk.granted(GetStatus()).delivered_total_nl


@for_each(
    ("moved_s", "tz_minutes", "end_ms"),
    [
        (7_200, 0, 12 * MS_PER_HOUR),
        (-7_200, 0, 16 * MS_PER_HOUR),
        (46_800, 0, 25 * MS_PER_HOUR),  # it jumps over a midnight
        (0, 840, 24 * MS_PER_HOUR),
        (0, -420, 21 * MS_PER_HOUR),
        (40 * 365 * S_PER_DAY, 0, MIDNIGHT_MS),
    ],
)
def test_the_day_in_which_the_clock_was_set_ends_at_the_new_midnight_and_says_so(
    moved_s: int, tz_minutes: int, end_ms: int
) -> None:
    talk = at_work()
    talk.wait_until(2 * MS_PER_HOUR)
    set_time(talk, 1, moved_s, tz_minutes)
    talk.wait_until(end_ms + MS_PER_DAY)
    totals = day_totals(talk)
    assert ticks_ms(totals) == [end_ms, end_ms + MS_PER_DAY]
    assert [entry.details().flags for entry in totals] == [DayFlag.CLOCK_CHANGED, DayFlag(0)]


def test_a_clock_set_back_over_midnight_ends_two_days_and_counts_no_stroke_twice() -> None:
    talk = at_work()
    talk.wait_until(MIDNIGHT_MS + 10 * MS_PER_MINUTE)
    set_time(talk, 1, -1_200)
    talk.wait(10 * MS_PER_MINUTE)
    totals = day_totals(talk)
    assert ticks_ms(totals) == [MIDNIGHT_MS, MIDNIGHT_MS + 20 * MS_PER_MINUTE]
    delivered_nl = sum(entry.details().basal_nl for entry in totals)
    assert delivered_nl == talk.granted(GetStatus()).delivered_total_nl


def test_a_clock_that_is_set_to_what_it_shows_makes_no_day_odd() -> None:
    talk = at_work()
    talk.wait(MS_PER_HOUR)
    set_time(talk, 1, 0)
    talk.wait_until(MIDNIGHT_MS)
    (total,) = day_totals(talk)
    assert total.details().flags == DayFlag(0)


def test_without_a_valid_clock_a_day_is_24_hours_of_the_pumps_own_time() -> None:
    talk = Conversation.with_new_pump(profile_of())
    talk.wait_until(2 * MS_PER_DAY)
    totals = day_totals(talk)
    assert ticks_ms(totals) == [MS_PER_DAY, 2 * MS_PER_DAY]
    assert all(entry.details().flags == DayFlag.WALL_INVALID for entry in totals)


def test_a_loss_of_power_ends_no_day_and_what_came_before_it_counts() -> None:
    talk = at_work()
    talk.wait_until(2 * MS_PER_HOUR)
    talk.pump.cut_power()
    talk.pump.restore_power()
    talk.wait_until(MS_PER_DAY)  # a second later by the pump's ticks, in which a stroke falls
    (total,) = day_totals(talk)
    assert ticks_ms([total]) == [MS_PER_DAY]  # 24 h since it began: nobody knows the time
    assert total.details().flags == DayFlag.WALL_INVALID
    assert total.details().basal_nl == talk.granted(GetStatus()).delivered_total_nl - 500


def test_a_day_with_a_stop_in_it_says_so_and_so_does_each_day_of_a_stop() -> None:
    talk = at_work()
    talk.wait(MS_PER_HOUR)
    talk.granted(Stop(1, 172_800, StopReason.CLINICAL, OnExpiry.ALARM_ONLY))
    talk.wait_until(MIDNIGHT_MS + MS_PER_HOUR)
    talk.granted(Resume(2, 1))
    talk.wait_until(MIDNIGHT_MS + 2 * MS_PER_DAY)
    flags = [entry.details().flags for entry in day_totals(talk)]
    assert flags == [DayFlag.STOPPED, DayFlag.STOPPED, DayFlag(0)]


def test_a_pump_that_delivers_nothing_counts_days_of_nothing() -> None:
    talk = Conversation.with_new_pump(factory_profile())
    talk.wait_until(MS_PER_DAY)
    (total,) = day_totals(talk)
    assert total.details() == DayTotalData(0, 0, DayFlag.STOPPED | DayFlag.WALL_INVALID)


def test_a_day_in_which_edges_were_missing_tells_how_many_strokes_were_commanded_and_how_many_seen() -> None:
    talk = at_work()
    talk.wait(MS_PER_HOUR)
    talk.pump.stall_motor(on=True)
    talk.wait(10 * MS_PER_MINUTE)  # shorter than what is called a stall
    talk.pump.stall_motor(on=False)
    talk.wait_until(MIDNIGHT_MS + MS_PER_DAY)
    (mismatch,) = [entry.details() for entry in talk.log() if entry.type is LogType.STROKE_MISMATCH]
    first, second = [entry.details() for entry in day_totals(talk)]
    assert mismatch.seen * 500 == first.basal_nl
    assert mismatch.commanded * 500 == RATE_NL_PER_DAY * 14 // 24
    assert mismatch.commanded > mismatch.seen
    assert second.basal_nl == RATE_NL_PER_DAY


def test_a_day_longer_than_32_bits_of_milliseconds_from_the_start_ends_at_midnight_too() -> None:
    talk = at_work()
    talk.wait_until(60 * MS_PER_DAY)
    ends_ms = ticks_ms(day_totals(talk))
    assert ends_ms == [MIDNIGHT_MS + day * MS_PER_DAY for day in range(60)]
