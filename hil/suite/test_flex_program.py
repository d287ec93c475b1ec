"""Flexible programs: the basal rate follows the time of day on the patient's wall [SPEC 6, 12; DOMAIN 2.1, 7]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.plugin import needs, starts_as, verifies
from hil.programmer.staging import DayGroup, Days, DoseStep, ProgramRefused, flex_program
from hil.suite.observing import MS_PER_DAY, LogMark, alarm_row, is_active, mono_ms
from hil.suite.refusals import refused
from protocol.identifiers import (
    AlarmId,
    Capability,
    ErrorCode,
    InfusionMode,
    ProgramSlot,
    State,
    StatusFlag,
    TimeSetReason,
)
from protocol.log.data import RateChangeData
from protocol.log.types import LogType, RateChangeReason
from protocol.messages.program import Segment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.programmer.programmer import Programmer
    from hil.rig import Rig

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
MONDAY_S = 825_724_800  # 2026-03-02 00:00, since 2000-01-01
WEST_MINUTES, EAST_MINUTES = -420, 840


def day(days: Days, *steps: tuple[int, int]) -> DayGroup:
    """A group of days: from each hour on so many mcg an hour."""
    return DayGroup(days, tuple(DoseStep(60 * hour, 1_000 * mcg_per_hour) for hour, mcg_per_hour in steps))


WE_37 = ((0, 8), (6, 20), (8, 10), (16, 15), (20, 12))  # 276 mcg a day
WE_37_NL_PER_H = (16_000,) * 6 + (40_000,) * 2 + (20_000,) * 8 + (30_000,) * 4 + (24_000,) * 4
EVERY_DAY = [day(Days.EVERY_DAY, *WE_37)]
WEEKEND_LATE = [day(Days.WORKDAYS, *WE_37), day(Days.WEEKEND, (0, 12), (10, 9))]


@pytest.fixture
def flexible(running: Programmer) -> Programmer:
    """A clinician's programmer of a pump that runs and knows flexible programs; skipped where it does not."""
    opened = running.session.opened
    assert opened is not None
    if Capability.FLEX not in Capability(opened.pump_hello.caps):
        pytest.skip("needs a pump with the capability bit for flexible programs")
    return running


def rate(pump: Programmer) -> int:
    return pump.status().rate_nl_per_day


def set_clock(pump: Programmer, hour: float, tz_minutes: int = 0) -> None:
    """Set the wall clock to an hour of the Monday, UTC."""
    wall_s = MONDAY_S + int(hour * 3_600)
    pump.set_time(wall_s, tz_minutes, reason=TimeSetReason.ZONE, confirm=True)


def started(pump: Programmer, groups: Sequence[DayGroup], hour: float = 0) -> None:
    """Let a program run from this hour of the Monday on."""
    set_clock(pump, hour)
    pump.set_flex_program(groups)


# What the pump reads.


@verifies("PRG-020", "PRG-008")
@needs("reset")
def test_we_37_is_read_back_as_276_mcg_a_day(flexible: Programmer) -> None:
    header, segments = flex_program(EVERY_DAY, 500_000, 1)
    staged = flexible.stage_flex_program(EVERY_DAY)
    assert (staged.header, staged.segments) == (header, segments)
    assert staged.verified.day_totals_nl == (552_000,)
    assert staged.verified.peak_rate_nl_per_day == 960_000
    assert header.groups[0].dose_ng_per_day == 276_000
    done = flexible.commit_program(staged)
    read = flexible.program()
    assert (read.header, read.segments, read.crc) == (header, segments, staged.crc)
    assert (flexible.status().mode, read.program_rev) == (InfusionMode.FLEX, done.reply.program_rev)


@verifies("PRG-020", "PRG-008")
def test_ninety_one_segments_of_seven_days_are_staged_and_read_back(flexible: Programmer) -> None:
    if flexible.limits().max_segments < 91:
        pytest.skip("needs a pump that holds 91 segments")
    groups = [
        DayGroup(Days(1 << number), tuple(DoseStep(101 * step, 12_000 + number) for step in range(13)))
        for number in range(7)
    ]
    staged = flexible.stage_flex_program(groups, concentration_ng_per_ml=500_000, drug_id=1)
    assert staged.verified.day_totals_nl == tuple(48 * (12_000 + number) for number in range(7))
    read = flexible.program(ProgramSlot.STAGED)
    assert (len(read.segments), read.segments, read.crc) == (91, staged.segments, staged.crc)
    flexible.abort_program()


SLOWEST, FULLEST_DAY = -1, -2  # in place of what GET_LIMITS says
# What is refused: a name, the groups, and (code, group, segment, value, nearest).
REFUSED = {
    "fourteen segments in a day": (
        [DayGroup(Days.EVERY_DAY, tuple(DoseStep(step, 12_000) for step in range(14)))],
        (ErrorCode.SEGMENTS, 0, 0xFF, 14, 13),
    ),
    "a day in no group": (
        [day(Days.WORKDAYS, (0, 12)), day(Days.SATURDAY, (0, 12))],
        (ErrorCode.SEGMENTS, 0xFF, 0xFF, 0x3F, 0x7F),
    ),
    "a day in two groups": (
        [day(Days.EVERY_DAY, (0, 12)), day(Days.SUNDAY, (0, 12))],
        (ErrorCode.SEGMENTS, 1, 0xFF, 0x40, 0),
    ),
    "a group without a day": (
        [day(Days.EVERY_DAY, (0, 12)), day(Days(0), (0, 12))],
        (ErrorCode.SEGMENTS, 1, 0xFF, 0, 0),
    ),
    "a day that begins late": (
        [day(Days.WORKDAYS, (0, 12)), DayGroup(Days.WEEKEND, (DoseStep(1, 12_000),))],
        (ErrorCode.TIME_RANGE, 1, 0, 1, 0),
    ),
    "segments that do not rise": (
        [DayGroup(Days.EVERY_DAY, (DoseStep(0, 12_000), DoseStep(60, 12_000), DoseStep(60, 12_000)))],
        (ErrorCode.TIME_RANGE, 0, 2, 60, 61),
    ),
    "a rate that is too low": (
        [day(Days.WORKDAYS, (0, 12)), day(Days.WEEKEND, (0, 12), (7, 0))],
        (ErrorCode.RATE, 1, 1, 0, SLOWEST),
    ),
    "a day that holds too much": (
        [day(Days.WORKDAYS, (0, 12)), day(Days.WEEKEND, (0, 300))],
        (ErrorCode.DAY_MAX, 1, 0xFF, 14_400_000, FULLEST_DAY),
    ),
}


@verifies("PRG-021", "PRG-015")
@needs("reset")
@pytest.mark.parametrize("name", REFUSED)
def test_a_program_is_refused_with_place_value_and_the_nearest_that_would_do(
    flexible: Programmer, name: str
) -> None:
    before, limits = flexible.status(), flexible.limits()
    nearest = {SLOWEST: limits.rate_min_nl_per_day, FULLEST_DAY: limits.program_day_max_nl}
    groups, (*place, told) = REFUSED[name]
    with pytest.raises(ProgramRefused) as caught:
        flexible.set_flex_program(groups)
    found = [(each.code, each.group, each.index, each.value, each.nearest) for each in caught.value.refusals]
    assert (*place, nearest.get(told, told)) in found
    after = flexible.status()
    assert (after.program_rev, after.rate_nl_per_day) == (before.program_rev, before.rate_nl_per_day)


# What it delivers.


@verifies("PRG-018")
@needs("time", "reset")
def test_we_37_gives_each_hour_what_its_segment_says(flexible: Programmer, pump_rig: Rig) -> None:
    started(flexible, EVERY_DAY)
    before_nl, stroke_nl, due_nl = flexible.delivery().basal_nl, flexible.limits().stroke_nl, 0
    for nl_per_hour in WE_37_NL_PER_H * 2:
        pump_rig.advance(HOUR_MS)
        due_nl += nl_per_hour
        assert abs(flexible.delivery().basal_nl - before_nl - due_nl) <= stroke_nl
    assert due_nl == 2 * 552_000
    for days in range(1, 8):
        pump_rig.advance(MS_PER_DAY)
        given_nl = flexible.delivery().basal_nl - before_nl
        assert abs(given_nl - due_nl - days * 552_000) <= stroke_nl


@verifies("PRG-019")
@needs("time", "reset")
def test_the_rate_changes_in_the_millisecond_in_which_its_minute_begins(
    flexible: Programmer, pump_rig: Rig
) -> None:
    started(flexible, WEEKEND_LATE)
    set_at_ms, mark = mono_ms(flexible), LogMark(flexible)
    for at_hours, before, after in (
        (6, 384_000, 960_000),
        (8, 960_000, 480_000),
        (20, 720_000, 576_000),
        (24, 576_000, 384_000),  # midnight is a boundary as any other
        (4 * 24, 576_000, 384_000),
        (5 * 24 + 10, 576_000, 432_000),  # Saturday at ten: Friday night and the weekend have one rate
        (7 * 24, 432_000, 384_000),  # and Monday again
    ):
        pump_rig.advance(at_hours * HOUR_MS - 1 - (mono_ms(flexible) - set_at_ms))
        assert rate(flexible) == before
        pump_rig.advance(1)
        assert rate(flexible) == after
    assert mark.types(flexible) == []


@verifies("PRG-019")
@needs("time", "reset")
def test_the_status_revision_moves_with_each_step(flexible: Programmer, pump_rig: Rig) -> None:
    started(flexible, EVERY_DAY)
    before = flexible.status().status_rev
    pump_rig.advance(6 * HOUR_MS)
    assert flexible.status().status_rev != before


@verifies("PRG-018", "STP-002")
@needs("time", "reset")
def test_a_stop_lets_no_step_through_and_resume_takes_the_segment_of_then(
    flexible: Programmer, pump_rig: Rig
) -> None:
    started(flexible, EVERY_DAY)
    flexible.stop(10 * 3_600)
    given_nl = flexible.delivery().basal_nl
    pump_rig.advance(7 * HOUR_MS)
    assert (rate(flexible), flexible.delivery().basal_nl) == (0, given_nl)
    assert flexible.resume().reply.rate_nl_per_day == 960_000
    pump_rig.advance(HOUR_MS)
    assert flexible.delivery().basal_nl - given_nl == 40_000


@verifies("PRG-022")
@needs("time", "reset")
@starts_as(implant={"filled_nl": 5_000_000})
def test_low_and_empty_come_when_the_schedule_lets_them_be_foretold(
    flexible: Programmer, pump_rig: Rig
) -> None:
    started(flexible, WEEKEND_LATE)
    told = flexible.reservoir()
    for moment_s, alarm in (
        (told.low_t_mono_s, AlarmId.LOW_RESERVOIR),
        (told.empty_t_mono_s, AlarmId.EMPTY),
    ):
        pump_rig.advance(moment_s * 1_000 - 1 - mono_ms(flexible))
        assert not is_active(flexible.status(), alarm)
        pump_rig.advance(1_000)
        row = alarm_row(flexible, alarm)
        assert row is not None
        assert row.on_t_mono_s == moment_s


# Clock and zone.


# FI 64
@verifies("TIM-006")
@needs("time", "reset")
@pytest.mark.parametrize(
    ("tz_minutes", "wanted", "next_hours"),
    [
        pytest.param(WEST_MINUTES, 432_000, 7, id="seven hours west: Sunday 17:00"),
        pytest.param(EAST_MINUTES, 480_000, 2, id="fourteen hours east: Monday 14:00"),
    ],
)
def test_after_a_journey_the_rate_is_that_of_the_new_local_minute(
    flexible: Programmer, pump_rig: Rig, tz_minutes: int, wanted: int, next_hours: int
) -> None:
    started(flexible, WEEKEND_LATE)
    before_nl, mark = flexible.delivery().basal_nl, LogMark(flexible)
    set_clock(flexible, 0, tz_minutes)
    assert (rate(flexible), flexible.delivery().basal_nl) == (wanted, before_nl)
    time_set, change = mark.entries(flexible)
    assert (time_set.type, change.type) == (LogType.TIME_SET, LogType.RATE_CHANGE)
    assert change.details() == RateChangeData(384_000, wanted, RateChangeReason.TIME_SET)
    pump_rig.advance(next_hours * HOUR_MS - 1)
    assert rate(flexible) == wanted
    pump_rig.advance(1)
    assert rate(flexible) != wanted


# FI 64
@verifies("TIM-006")
@needs("time", "reset")
def test_daylight_saving_skips_a_boundary_or_passes_it_again_and_catches_nothing_up(
    flexible: Programmer, pump_rig: Rig
) -> None:
    night = DayGroup(Days.EVERY_DAY, (DoseStep(0, 8_000), DoseStep(150, 18_000), DoseStep(240, 10_000)))
    started(flexible, [night], 2)
    set_clock(flexible, 2, 60)  # 02:00 becomes 03:00
    assert rate(flexible) == 864_000
    pump_rig.advance(HOUR_MS)
    assert rate(flexible) == 480_000
    set_clock(flexible, 2, 60)
    before_nl = flexible.delivery().basal_nl
    set_clock(flexible, 2, 0)  # 03:00 becomes 02:00
    assert (rate(flexible), flexible.delivery().basal_nl) == (384_000, before_nl)
    pump_rig.advance(30 * MINUTE_MS)
    assert rate(flexible) == 864_000


@verifies("TIM-008")
@needs("time", "reset")
def test_no_clock_is_set_that_would_carry_a_bolus_beyond_the_fastest_rate(
    flexible: Programmer, pump_rig: Rig
) -> None:
    started(flexible, [day(Days.EVERY_DAY, (0, 12), (12, 80), (13, 12))])
    fastest = flexible.limits().rate_max_nl_per_day
    shortest_s = -(-100_000 * 86_400 // (fastest - 576_000))
    with refused(ErrorCode.RATE) as refusal:
        flexible.prepare_bolus(100_000, shortest_s - 1)
    assert refusal.error.nearest == shortest_s
    flexible.bolus(100_000, shortest_s)
    for hour in (12, 11.95):
        with refused(ErrorCode.BOLUS_ACTIVE):
            set_clock(flexible, hour)
    pump_rig.advance(shortest_s * 1_000)
    set_clock(flexible, 12)
    assert rate(flexible) == 3_840_000


# Nobody knows the time.


@verifies("TIM-007")
@needs("time", "reset", "power")
def test_without_a_valid_clock_the_last_constant_rate_runs_until_the_clock_is_set(
    flexible: Programmer, pump_rig: Rig
) -> None:
    constant = rate(flexible)
    started(flexible, EVERY_DAY, 7)
    assert rate(flexible) == 960_000
    pump_rig.power_cut()
    assert pump_rig.power_restore()
    status = flexible.status()
    assert (status.state, status.mode, status.rate_nl_per_day) == (State.RUN, InfusionMode.FLEX, constant)
    assert StatusFlag.WALL_VALID not in status.flags
    assert is_active(status, AlarmId.WALL_INVALID)
    pump_rig.advance(30 * HOUR_MS)
    assert rate(flexible) == constant
    set_clock(flexible, 7)
    assert rate(flexible) == 960_000


@verifies("TIM-007")
@needs("reset", "power")
def test_a_constant_rate_of_another_concentration_does_not_run(flexible: Programmer, pump_rig: Rig) -> None:
    set_clock(flexible, 7)
    staged = flexible.stage_flex_program(EVERY_DAY, concentration_ng_per_ml=2_000_000, drug_id=1)
    flexible.refill(
        18_000_000,
        aspirated_nl=0,
        concentration_ng_per_ml=2_000_000,
        drug_id=1,
        rinsed_twice=True,
        staged_crc=staged.crc,
    )
    assert rate(flexible) == 240_000
    pump_rig.power_cut()
    assert pump_rig.power_restore()
    assert rate(flexible) == flexible.limits().safe_rate_nl_per_day


@verifies("PRG-023")
@needs("reset", "power")
def test_no_flexible_program_is_committed_while_nobody_knows_the_time(
    flexible: Programmer, pump_rig: Rig
) -> None:
    before = flexible.status()
    pump_rig.power_cut()
    assert pump_rig.power_restore()
    staged = flexible.stage_flex_program(EVERY_DAY)
    with refused(ErrorCode.CLOCK_INVALID):
        flexible.commit_program(staged)
    after = flexible.status()
    assert (after.program_rev, after.rate_nl_per_day) == (before.program_rev, before.rate_nl_per_day)
    set_clock(flexible, 7)
    flexible.commit_program(staged)
    assert rate(flexible) == 960_000


@verifies("PRG-019")
@needs("reset")
def test_a_simple_program_ends_the_schedule(flexible: Programmer) -> None:
    started(flexible, EVERY_DAY, 7)
    flexible.set_simple_program(275_000)
    assert (rate(flexible), flexible.program().segments) == (550_000, (Segment(0, 550_000),))
