"""Flexible programs on a whole pump: the rate follows the clock on the wall, to the millisecond and to the stroke."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise
from random import Random

import pytest

from firmware_emu.controller.events import ProgramEvent, RateStepped
from firmware_emu.now import Now
from firmware_emu.profile import Implant
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE, MS_PER_S, MS_PER_WEEK
from hil.campaign.conversation import (
    MARCH_2_S,
    Conversation,
    factory_profile,
    flexible_program,
    profile_of,
)
from protocol.identifiers import (
    AlarmId,
    BolusKind,
    ErrorCode,
    InfusionMode,
    OnExpiry,
    RefillFlag,
    State,
    StatusFlag,
    StopReason,
    TimeSetReason,
)
from protocol.log.data import RateChangeData
from protocol.log.types import LogType, RateChangeReason
from protocol.messages.bolus import BolusPrepare
from protocol.messages.program import ProgCommit
from protocol.messages.reading import GetStatus
from protocol.messages.reservoir import GetReservoir, Refill
from protocol.messages.stop import Resume, Stop
from protocol.messages.time import TimeSet
from tests.simulation.invariants import assert_log_is_whole, assert_volumes_agree
from tests.simulation.stepping import Story, alarm_ms, cuts, played
from tests.simulation.test_steps import assert_same
from tests.support.for_each import for_each
from tests.support.soak import rounds_of

STROKE_NL = 500
STROKE = STROKE_NL * MS_PER_DAY
EVERY_DAY, WORK_DAYS, WEEKEND = 0x7F, 0x1F, 0x60
MIDNIGHT_S = MARCH_2_S - 10 * 3_600  # Monday 2026-03-02 00:00 UTC
WE_37 = {0: 384_000, 360: 960_000, 480: 480_000, 960: 720_000, 1_200: 576_000}
SUNDAY_LOW = {0: 300_000, 600: 48_000}


def running(
    *groups: tuple[int, dict[int, int]], wall_s: int = MIDNIGHT_S, tz_minutes: int = 0, **implant: int
) -> Conversation:
    """A pump that runs this program since the moment 0; nothing is owed yet."""
    profile = profile_of(wall_at_start_s=wall_s, implant=Implant(**implant))
    talk = Conversation.with_new_pump(replace(profile, tz_minutes=tz_minutes))
    verified = talk.stage_program(*flexible_program(*groups), base_rev=1)
    assert verified.refusals == ()
    talk.granted(ProgCommit(1, 1, verified.staged_crc, start=True))
    return talk


def rate(talk: Conversation) -> int:
    found = talk.granted(GetStatus()).rate_nl_per_day
    assert isinstance(found, int)
    return found


def delivered_nl(talk: Conversation) -> int:
    belief = talk.pump.belief()
    assert belief is not None
    return belief.delivered_total_nl


def set_time(talk: Conversation, cmd_id: int, wall_s: int, tz_minutes: int = 0) -> None:
    talk.granted(TimeSet(cmd_id, wall_s, tz_minutes, TimeSetReason.ZONE, confirm=True))


def steps_in(talk: Conversation) -> list[tuple[int, int]]:
    """When the schedule changed the rate, and to which."""
    return [
        (now.pump_ms, event.new_nl_per_day) for now, event in talk.trace if isinstance(event, RateStepped)
    ]


def test_we_37_delivers_each_hour_what_its_segment_says_and_276_mcg_a_day() -> None:
    talk = running((EVERY_DAY, WE_37))
    micro_litres = [16] * 6 + [40] * 2 + [20] * 8 + [30] * 4 + [24] * 4
    owed_nl = 0
    for day in range(3):
        for hour, wanted_ul in enumerate(micro_litres):
            talk.wait_until(day * MS_PER_DAY + (hour + 1) * MS_PER_HOUR)
            owed_nl += wanted_ul * 1_000
            assert delivered_nl(talk) == owed_nl
    assert owed_nl == 3 * 552_000
    assert talk.granted(GetStatus()).mode is InfusionMode.FLEX


def test_each_boundary_is_one_event_at_its_millisecond_and_leaves_no_entry_in_the_log() -> None:
    talk = running((WORK_DAYS, WE_37), (WEEKEND, {0: 576_000}))
    logged = talk.log()[-1].seq
    talk.trace.clear()
    talk.wait_until(MS_PER_WEEK)
    minutes = [360, 480, 960, 1_200]
    wanted = [(minute * MS_PER_MINUTE, WE_37[minute]) for minute in minutes]
    for day in range(1, 5):
        wanted += [(day * MS_PER_DAY + minute * MS_PER_MINUTE, WE_37[minute]) for minute in [0, *minutes]]
    wanted.append((MS_PER_WEEK, WE_37[0]))  # the weekend begins at the rate of Friday night
    assert steps_in(talk) == wanted
    assert {entry.type for entry in talk.log() if entry.seq > logged} <= {
        LogType.TIME_REF,
        LogType.DAY_TOTAL,
        LogType.LOG_CHECKPOINT,
    }


def _wakings(talk: Conversation, end_ms: int) -> list[int]:
    """When the pump asks to be called, until then."""
    found: list[int] = []
    while True:
        wake_at_ms = talk.pump.step(Now.both(talk.now_ms)).wake_at_ms
        assert wake_at_ms is not None
        if wake_at_ms > end_ms:
            return found
        found.append(wake_at_ms)
        talk.wait_until(wake_at_ms)


def test_a_flexible_program_costs_no_more_events_than_a_simple_one_and_its_boundaries() -> None:
    flexible, simple = (
        running((EVERY_DAY, {0: 600_000, 361: 700_000, 722: 500_000})),
        running((EVERY_DAY, {0: 600_000})),
    )
    boundaries = [361 * MS_PER_MINUTE, 722 * MS_PER_MINUTE, MS_PER_DAY]
    for talk in (flexible, simple):
        talk.wait_until(200_000)  # the session has ended
    both = [set(_wakings(talk, MS_PER_DAY)) for talk in (flexible, simple)]
    assert both[0] - both[1] <= set(boundaries)
    assert len(both[0]) <= len(both[1]) + len(boundaries)


def test_asked_for_and_turned_never_differ_by_a_stroke() -> None:
    random = Random(91)
    rates = {
        day: {0: random.randrange(48_000, 5_000_000)}
        | {
            minute: random.randrange(48_000, 5_000_000)
            for minute in sorted(random.sample(range(1, 1_440), 12))
        }
        for day in range(7)
    }
    talk = running(*((1 << day, rows) for day, rows in rates.items()), filled_nl=20_000_000)
    assert talk.granted(GetStatus()).rate_nl_per_day == rates[0][0]
    asked = 0
    edges = [
        (day * MS_PER_DAY + minute * MS_PER_MINUTE, row_rate)
        for day, rows in rates.items()
        for minute, row_rate in rows.items()
    ]
    for (from_ms, row_rate), (until_ms, _) in pairwise([*edges, (MS_PER_WEEK, 0)]):
        for at_ms in sorted({random.randrange(from_ms, until_ms), until_ms}):
            talk.wait_until(at_ms)
            due = (asked + row_rate * (at_ms - from_ms)) // STROKE
            if talk.granted(GetStatus()).state is not State.RUN:
                return  # the reservoir has run out
            assert delivered_nl(talk) == due * STROKE_NL
        asked += row_rate * (until_ms - from_ms)


# Clock and zone


@for_each(
    ("tz_minutes", "minute", "weekday"),
    [(-420, 17 * 60, 6), (840, 14 * 60, 0), (-1, 1_439, 6)],
)
def test_after_a_journey_the_rate_is_that_of_the_new_local_minute_at_once(
    tz_minutes: int, minute: int, weekday: int
) -> None:
    """Seven hours west, and fourteen east: Monday 00:00 UTC is Sunday 17:00 there, and Monday 14:00."""
    sunday = 1 << 6
    talk = running((EVERY_DAY ^ sunday, WE_37), (sunday, SUNDAY_LOW))
    set_time(talk, 2, MIDNIGHT_S, tz_minutes)
    rows = SUNDAY_LOW if weekday == 6 else WE_37
    wanted = [row_rate for start, row_rate in rows.items() if start <= minute][-1]
    assert rate(talk) == wanted
    time_set, change = [
        entry for entry in talk.log() if entry.type in (LogType.TIME_SET, LogType.RATE_CHANGE)
    ][-2:]
    assert time_set.type is LogType.TIME_SET
    assert change.details() == RateChangeData(384_000, wanted, RateChangeReason.TIME_SET)
    assert change.actor == time_set.actor
    talk.trace.clear()
    talk.wait_until(MS_PER_WEEK)
    first_ms, _ = steps_in(talk)[0]
    later = [start for start in rows if start > minute] or [1_440]
    assert first_ms == (later[0] - minute) * MS_PER_MINUTE


def test_a_gap_of_daylight_saving_skips_a_boundary_and_a_fold_passes_it_again() -> None:
    night = {0: 400_000, 150: 900_000, 240: 500_000}  # 02:30, in the hour that is skipped or repeated
    spring = running((EVERY_DAY, night))
    spring.wait_until(2 * MS_PER_HOUR)
    assert rate(spring) == 400_000
    set_time(spring, 2, MIDNIGHT_S + 2 * 3_600, 60)
    assert rate(spring) == 900_000  # 03:00
    autumn = running((EVERY_DAY, night))
    autumn.wait_until(3 * MS_PER_HOUR)
    before_nl = delivered_nl(autumn)
    set_time(autumn, 2, MIDNIGHT_S + 3 * 3_600, -60)
    assert (rate(autumn), delivered_nl(autumn)) == (400_000, before_nl)  # 02:00 again, and not a drop for it
    autumn.trace.clear()
    autumn.wait_until(6 * MS_PER_HOUR)
    assert steps_in(autumn) == [(int(3.5 * MS_PER_HOUR), 900_000), (5 * MS_PER_HOUR, 500_000)]


def test_a_clock_set_keeps_what_is_owed_to_the_millisecond() -> None:
    """Half a stroke at 0.6 mL/day takes 36 s; the other half at 1.2 mL/day takes 18 s."""
    talk = running((EVERY_DAY, {0: 600_000, 720: 1_200_000}))
    talk.wait_until(36_000)
    set_time(talk, 2, MIDNIGHT_S + 12 * 3_600)
    talk.wait(17_999)
    assert delivered_nl(talk) == 0
    talk.wait(1)
    assert delivered_nl(talk) == STROKE_NL


def test_a_clock_set_to_where_it_stands_or_within_a_segment_changes_no_rate() -> None:
    talk = running((EVERY_DAY, WE_37))
    logged = talk.log()[-1].seq
    set_time(talk, 2, MIDNIGHT_S)
    set_time(talk, 3, MIDNIGHT_S + 3_600)
    assert [entry.type for entry in talk.log() if entry.seq > logged] == [LogType.TIME_SET] * 2


def test_the_schedule_goes_on_where_the_wall_clock_stops() -> None:
    talk = running((EVERY_DAY, {0: 400_000, 720: 900_000}))
    set_time(talk, 2, 0xFFFF_FFFF)
    first = rate(talk)
    talk.wait(12 * MS_PER_HOUR)
    assert {first, rate(talk)} == {400_000, 900_000}


def test_while_stopped_no_boundary_starts_anything_and_resume_takes_the_segment_of_then() -> None:
    talk = running((EVERY_DAY, WE_37))
    talk.granted(Stop(2, 10 * 3_600, StopReason.MRI))
    talk.trace.clear()
    talk.wait_until(7 * MS_PER_HOUR)
    assert (rate(talk), steps_in(talk), delivered_nl(talk)) == (0, [], 0)
    assert talk.granted(Resume(3, 2)).rate_nl_per_day == 960_000
    talk.wait_until(8 * MS_PER_HOUR)
    assert steps_in(talk) == [(8 * MS_PER_HOUR, 480_000)]


def test_a_stop_that_expires_on_a_boundary_resumes_at_the_rate_that_begins() -> None:
    talk = running((EVERY_DAY, WE_37))
    talk.granted(Stop(2, 6 * 3_600, StopReason.MRI, OnExpiry.RESUME))
    talk.wait_until(6 * MS_PER_HOUR)
    assert rate(talk) == 960_000
    (change,) = [entry.details() for entry in talk.log() if entry.type is LogType.RATE_CHANGE][-1:]
    assert change == RateChangeData(0, 960_000, RateChangeReason.RESUME)


# Nobody knows the time


def cut_and_restored(talk: Conversation) -> None:
    talk.pump.cut_power()
    talk.pump.restore_power()


def test_without_a_valid_clock_the_last_constant_rate_runs_until_the_clock_is_set() -> None:
    talk = running((EVERY_DAY, WE_37))
    talk.wait_until(7 * MS_PER_HOUR)
    assert rate(talk) == 960_000
    cut_and_restored(talk)
    status = talk.granted(GetStatus())
    assert (status.state, status.mode, status.rate_nl_per_day) == (State.RUN, InfusionMode.FLEX, 600_000)
    assert StatusFlag.WALL_VALID not in status.flags
    assert status.alarm_active >> AlarmId.WALL_INVALID & 1
    (change,) = [entry.details() for entry in talk.log() if entry.type is LogType.RATE_CHANGE][-1:]
    assert change == RateChangeData(960_000, 600_000, RateChangeReason.RESET)
    talk.trace.clear()
    talk.wait(2 * MS_PER_DAY)
    assert (rate(talk), steps_in(talk)) == (600_000, [])
    cut_and_restored(talk)
    assert rate(talk) == 600_000
    set_time(talk, 2, MIDNIGHT_S + 10 * 3_600)
    assert rate(talk) == 480_000
    talk.wait(6 * MS_PER_HOUR)
    assert rate(talk) == 720_000


def test_a_constant_rate_of_another_concentration_is_none() -> None:
    """0.6 mL/day of 500 mcg/mL would be four times the dose where 2,000 mcg/mL are in the pump now."""
    talk = Conversation.with_new_pump(profile_of(wall_at_start_s=MIDNIGHT_S))
    program = flexible_program((EVERY_DAY, {0: 150_000, 720: 200_000}), concentration_ng_per_ml=2_000_000)
    crc = talk.stage_program(*program, base_rev=1).staged_crc
    talk.granted(Refill(1, 0, 18_000_000, 1, RefillFlag.RINSED_TWICE, 2_000_000, 2_000_000, crc))
    assert rate(talk) == 150_000
    cut_and_restored(talk)
    assert rate(talk) == talk.pump.profile.model.safe_rate_nl_per_day
    talk.wait(MS_PER_S)
    set_time(talk, 2, MIDNIGHT_S + 13 * 3_600)
    assert rate(talk) == 200_000


def test_a_flexible_program_is_not_committed_while_nobody_knows_the_time() -> None:
    new = Conversation.with_new_pump(factory_profile())
    new.granted(Refill(1, 0, 18_000_000, 1, RefillFlag(0), 500_000, 2_000_000))
    cut = Conversation.with_new_pump(profile_of(wall_at_start_s=MIDNIGHT_S))
    cut.wait(MS_PER_HOUR)
    cut_and_restored(cut)
    for talk, rev in ((new, 0), (cut, 1)):
        crc = talk.stage_program(*flexible_program((EVERY_DAY, WE_37)), base_rev=rev).staged_crc
        for start in (True, False):
            assert talk.refused(ProgCommit(2, rev, crc, start)).code is ErrorCode.CLOCK_INVALID
        refill = Refill(2, 0, 18_000_000, 1, RefillFlag(0), 500_000, 2_000_000, crc)
        assert talk.refused(refill).code is ErrorCode.CLOCK_INVALID
        assert talk.granted(GetStatus()).program_rev == rev
        set_time(talk, 2, MIDNIGHT_S + 7 * 3_600)
        talk.granted(ProgCommit(3, rev, crc, start=True))  # the staging is as it was
        assert rate(talk) == 960_000


# Boluses


def test_a_bolus_counts_with_the_highest_basal_in_its_span() -> None:
    talk = running((EVERY_DAY, {0: 48_000, 10: 5_000_000, 20: 48_000}))
    fastest = talk.pump.profile.model.rate_max_nl_per_day
    alone_s = -(-400_000 * 86_400 // (fastest - 5_000_000))  # 1,819 s: it reaches into the ten fast minutes
    for duration_s in (1, 1_443, alone_s - 1):  # in 1,443 s it would be possible beside the rate of now
        refused = talk.refused(BolusPrepare(BolusKind.BOLUS, 400_000, duration_s, 2))
        assert (refused.code, refused.nearest) == (ErrorCode.RATE, alone_s)
    talk.granted(BolusPrepare(BolusKind.BOLUS, 400_000, alone_s, 2))
    short_s = -(-100_000 * 86_400 // (fastest - 48_000))  # 361 s: over before the rate rises
    assert talk.refused(BolusPrepare(BolusKind.BOLUS, 100_000, short_s - 1, 2)).nearest == short_s
    talk.granted(BolusPrepare(BolusKind.BOLUS, 100_000, short_s, 2))
    talk.wait_until(20 * MS_PER_MINUTE)
    short_s = -(-400_000 * 86_400 // (fastest - 48_000))
    talk.granted(BolusPrepare(BolusKind.BOLUS, 400_000, short_s, 2))


def test_no_clock_is_set_that_would_carry_a_bolus_beyond_the_fastest_rate() -> None:
    talk = running((EVERY_DAY, {0: 48_000, 720: 4_000_000, 780: 48_000}))
    talk.start_bolus(2, 100_000, 361, 2)
    for tz_minutes, code in ((720, ErrorCode.BOLUS_ACTIVE), (715, ErrorCode.BOLUS_ACTIVE), (60, None)):
        asked = TimeSet(3, MIDNIGHT_S, tz_minutes, TimeSetReason.ZONE, confirm=True)
        assert talk.code(asked) is code
    talk.wait_until(361 * MS_PER_S)
    set_time(talk, 4, MIDNIGHT_S, 720)
    assert rate(talk) == 4_000_000


def test_only_the_rest_of_a_bolus_holds_the_clock() -> None:
    talk = running((EVERY_DAY, {0: 48_000, 720: 4_000_000, 780: 48_000}))
    talk.start_bolus(2, 100_000, 361, 2)
    talk.wait_until(300 * MS_PER_S)  # 61 s are left
    noon_s = MIDNIGHT_S + 12 * 3_600
    for before_s, code in ((60, ErrorCode.BOLUS_ACTIVE), (62, None)):
        asked = TimeSet(3, noon_s - before_s, 0, TimeSetReason.DRIFT, confirm=True)
        assert talk.code(asked) is code


def test_a_bolus_that_began_without_the_time_of_day_holds_the_clock_too() -> None:
    talk = running((EVERY_DAY, {0: 48_000, 720: 4_000_000, 780: 48_000}))
    talk.wait_until(MS_PER_HOUR)
    cut_and_restored(talk)
    talk.start_bolus(2, 100_000, 370, 2)
    assert talk.code(TimeSet(3, MIDNIGHT_S, 720, TimeSetReason.ZONE, confirm=True)) is ErrorCode.BOLUS_ACTIVE
    set_time(talk, 4, MIDNIGHT_S)
    assert rate(talk) == 48_000


# Reservoir


@for_each("on_top", [False, True])
@for_each("filled_nl", [2_500_000, 3_333_333, 9_000_000])
def test_low_and_empty_come_when_they_are_foretold(filled_nl: int, on_top: bool) -> None:
    talk = running((WORK_DAYS, WE_37), (WEEKEND, SUNDAY_LOW), filled_nl=filled_nl)
    talk.wait_until(5 * MS_PER_HOUR + 12_345)
    if on_top:
        talk.start_bolus(2, 100_000, 7_200, 2)
    told = talk.granted(GetReservoir())
    talk.wait_until((told.empty_t_mono_s + 1) * MS_PER_S)
    assert alarm_ms(talk.pump, AlarmId.LOW_RESERVOIR) // MS_PER_S == told.low_t_mono_s
    assert alarm_ms(talk.pump, AlarmId.EMPTY) // MS_PER_S == told.empty_t_mono_s


def test_a_volume_falls_at_the_stroke_that_the_schedule_reaches_it_with() -> None:
    """0.552 mL a day: 5.52 mL last ten days to the millisecond."""
    talk = running((EVERY_DAY, WE_37), filled_nl=7_520_000)
    assert talk.granted(GetReservoir()).low_t_mono_s == 10 * 86_400
    talk.wait_until(11 * MS_PER_DAY)
    assert alarm_ms(talk.pump, AlarmId.LOW_RESERVOIR) == 10 * MS_PER_DAY


def test_an_empty_reservoir_ends_the_schedule_and_a_refill_takes_the_segment_of_then() -> None:
    talk = running((EVERY_DAY, WE_37), filled_nl=2_100_000)
    talk.wait_until(5 * MS_PER_DAY)
    status = talk.granted(GetStatus())
    assert (status.state, status.rate_nl_per_day) == (State.SAFE_STATE, 6_000)
    talk.wait_until(5 * MS_PER_DAY + 17 * MS_PER_HOUR)
    talk.granted(Refill(2, 0, 18_000_000, 1, RefillFlag(0), 500_000, 2_000_000))
    assert rate(talk) == 720_000


# However time is cut


DAYS = 30


def travels() -> Story:
    """A month of journeys, of a bolus and a stop across boundaries, of a stall, of daylight saving and of a refill."""
    hour = MS_PER_HOUR
    return (
        (5 * hour + 50 * MS_PER_MINUTE, lambda talk: talk.start_bolus(2, 100_000, 3_600, 2)),
        (3 * MS_PER_DAY + 1, lambda talk: set_time(talk, 3, MIDNIGHT_S + 3 * 86_400, -420)),
        (4 * MS_PER_DAY + 17, lambda talk: talk.granted(Stop(4, 20_000, StopReason.MRI, OnExpiry.RESUME))),
        (
            9 * MS_PER_DAY,
            lambda talk: talk.granted(Refill(5, 0, 8_000_000, 1, RefillFlag(0), 500_000, 2_000_000)),
        ),
        (12 * MS_PER_DAY + 5 * hour, lambda talk: talk.pump.stall_motor(True)),
        (12 * MS_PER_DAY + 7 * hour, lambda talk: talk.pump.stall_motor(False)),
        (20 * MS_PER_DAY + 3, lambda talk: set_time(talk, 6, MIDNIGHT_S + 20 * 86_400 + 77, 840)),
    )


def month_from_its_start() -> Conversation:
    return running((WORK_DAYS, WE_37), (WEEKEND, SUNDAY_LOW), filled_nl=9_000_000, tz_minutes=90)


@cache
def month_in_one_go() -> Conversation:
    return played(month_from_its_start(), travels(), DAYS * MS_PER_DAY)


def test_the_month_holds_what_it_promises() -> None:
    talk = month_in_one_go().fork()
    assert len(steps_in(talk)) > 80
    raised = {entry.details().alarm_id for entry in talk.log() if entry.type is LogType.ALARM_ON}
    assert raised >= {AlarmId.LOW_RESERVOIR, AlarmId.EMPTY, AlarmId.MOTOR_STALL, AlarmId.STOP_EXPIRED}
    assert_volumes_agree(talk)
    assert_log_is_whole(talk)


@pytest.mark.parametrize("seed", range(2))
def test_a_month_in_ten_thousand_steps_is_the_same_month(seed: int) -> None:
    reference, end_ms = month_in_one_go(), DAYS * MS_PER_DAY
    events_ms = {entry.now.pump_ms for entry in reference.trace if isinstance(entry.event, ProgramEvent)}
    stepped = played(month_from_its_start(), travels(), end_ms, cuts(seed, end_ms, 10_000, events_ms))
    assert_same(stepped, reference.fork())


@pytest.mark.parametrize(("step_ms", "days"), [(1_000, 7), (61_000, DAYS), (MS_PER_DAY, DAYS)])
def test_days_in_steps_of_one_length_are_the_same_days(step_ms: int, days: int) -> None:
    end_ms = days * MS_PER_DAY
    if step_ms == 1_000:
        end_ms = rounds_of("days in steps of a second", days, 2) * MS_PER_DAY
    story = [(at_ms, act) for at_ms, act in travels() if at_ms < end_ms]
    once = played(month_from_its_start(), story, end_ms)
    stepped = played(month_from_its_start(), story, end_ms, range(step_ms, end_ms, step_ms))
    assert_same(stepped, once)
