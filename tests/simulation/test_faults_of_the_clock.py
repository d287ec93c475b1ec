"""A clock that is fast, slow, stands or jumps, and numbers of time that could run over [DOMAIN 8.3].

The pump has one oscillator: by itself it cannot know that it is wrong. Doses follow its ticks; whoever sets the wall
clock sees by how much it was off.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from firmware_emu.profile import Implant
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_S
from hil.campaign.conversation import MARCH_2_S, Conversation, profile_of
from hil.campaign.program_boluses import PATIENT, PatientAndClinician
from hil.plugin import verifies
from protocol.identifiers import AlarmId, DenyReason, SelfTestFault, State, TimeSetReason
from protocol.log.types import LogType
from protocol.messages.reading import GetStatus
from protocol.messages.time import TimeSet
from tests.simulation.invariants import assert_log_is_whole, assert_volumes_agree

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
U32_MS = 1 << 32
"""49.7 days: a counter of 32 bits would be at 0 again."""
DAY_STROKES = 1_200


def wall_s(text: str) -> int:
    return int((datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH).total_seconds())


def delta_found_s(talk: Conversation, true_wall_s: int) -> int:
    """By how much a clinician who sets the right time finds the clock off."""
    talk.granted(TimeSet(90, true_wall_s, 0, TimeSetReason.DRIFT, confirm=True))
    found = [entry.details() for entry in talk.log() if entry.type is LogType.TIME_SET][-1]
    return int(found.new_wall_s - found.old_wall_s)


# FI 38
@pytest.mark.parametrize("drift_ppm", [-100_000, -37, 0, 37, 100_000])
@pytest.mark.parametrize("by", ["fault", "profile"])
def test_a_fast_or_slow_clock_doses_by_its_own_ticks_and_a_clinician_sees_by_how_much(
    drift_ppm: int, by: str
) -> None:
    ours: dict[str, Any] = {"crystal_ppm": drift_ppm} if by == "profile" else {}
    talk = Conversation.with_new_pump(profile_of(wall_at_start_s=MARCH_2_S, **ours))
    if by == "fault":
        talk.pump.inject("clock-rate", {"drift_ppm": drift_ppm})
    talk.wait(10 * MS_PER_DAY)
    ticks_ms = 10 * MS_PER_DAY * (1_000_000 + drift_ppm) // 1_000_000
    truth = talk.pump.truth()
    assert truth.strokes_turned == ticks_ms * DAY_STROKES // MS_PER_DAY
    status = talk.granted(GetStatus())
    assert status.state is State.RUN
    assert status.alarm_active == 0
    assert status.delivered_total_nl == truth.strokes_turned * 500
    assert delta_found_s(talk, MARCH_2_S + 10 * 86_400) == 10 * 86_400 - ticks_ms // MS_PER_S
    assert_log_is_whole(talk)


# FI 38
@pytest.mark.parametrize("drift_ppm", [-99_999, 99_999, 300_001])
def test_what_is_due_at_a_tick_happens_at_that_tick_at_any_pace(drift_ppm: int) -> None:
    """A fast clock skips ticks from one millisecond to the next: days end at their tick all the same."""
    talk = Conversation.with_new_pump(profile_of(wall_at_start_s=MARCH_2_S))
    talk.pump.inject("clock-rate", {"drift_ppm": drift_ppm})
    talk.wait(20 * MS_PER_DAY)
    ends = [(entry.t_mono_s, entry.t_ms) for entry in talk.log() if entry.type is LogType.DAY_TOTAL]
    first_s = 14 * 3_600
    assert ends == [(first_s + day * 86_400, 0) for day in range(len(ends))]
    assert len(ends) >= 17


# FI 38
def test_while_its_clock_stands_a_pump_does_and_says_nothing_and_then_goes_on() -> None:
    talk = Conversation.with_new_pump(profile_of(wall_at_start_s=MARCH_2_S))
    talk.wait(MS_PER_DAY)
    talk.granted(GetStatus())
    talk.pump.inject("clock-stop", {"duration_ms": MS_PER_DAY})
    talk.wait(MS_PER_HOUR)
    assert talk.ask(GetStatus()) is None
    assert talk.pump.truth().strokes_turned == DAY_STROKES
    talk.wait_until(3 * MS_PER_DAY)
    assert talk.pump.truth().strokes_turned == 2 * DAY_STROKES
    assert talk.granted(GetStatus()).state is State.RUN
    assert delta_found_s(talk, MARCH_2_S + 3 * 86_400) == 86_400
    assert_volumes_agree(talk)


# FI 38
def test_power_starts_a_clock_that_stood_and_the_reset_is_told() -> None:
    talk = Conversation.with_new_pump(profile_of())
    talk.wait(MS_PER_HOUR)
    talk.pump.inject("clock-stop", {})
    talk.wait(MS_PER_DAY)
    talk.pump.cut_power()
    talk.pump.restore_power()
    status = talk.granted(GetStatus())
    assert status.state is State.RUN
    assert status.alarm_latched >> AlarmId.RESET & 1
    talk.wait(MS_PER_HOUR)
    assert talk.pump.truth().strokes_turned == 2 * DAY_STROKES // 24
    assert_volumes_agree(talk)


# FI 38
@pytest.mark.parametrize(
    ("jump", "found"),
    [
        ({}, True),
        ({"jump_ms": -MS_PER_HOUR}, True),
        ({"jump_ms": MS_PER_HOUR}, False),
        ({"jump_ms": 3 * MS_PER_HOUR}, True),
        ({"jump_ms": 68 * 366 * MS_PER_DAY}, True),
    ],
    ids=["to the epoch", "an hour back", "an hour forward", "three hours forward", "68 years forward"],
)
def test_a_register_that_jumps_doubles_no_dose_and_takes_no_time_back(
    jump: dict[str, int], found: bool
) -> None:
    talk = Conversation.with_new_pump(profile_of(wall_at_start_s=MARCH_2_S))
    talk.wait(2 * MS_PER_DAY + 1_800 * MS_PER_S)
    before = talk.granted(GetStatus())
    talk.wait(1_000 * MS_PER_S)
    talk.pump.inject("clock-jump", jump)
    talk.pump.cut_power()
    talk.pump.restore_power()
    status = talk.granted(GetStatus())
    assert before.t_mono_s < status.t_mono_s < before.t_mono_s + 2 * 3_600
    assert (status.state, status.rate_nl_per_day) == (State.RUN, before.rate_nl_per_day)
    told = [entry.details().failed for entry in talk.log() if entry.type is LogType.POST_FAIL]
    assert told == ([SelfTestFault.CLOCK] if found else [])
    assert status.alarm_active >> AlarmId.WALL_INVALID & 1
    talk.wait(MS_PER_DAY)
    assert_volumes_agree(talk)
    assert_log_is_whole(talk)


# FI 38
@pytest.mark.parametrize(
    ("start", "seconds", "end"),
    [
        ("2038-01-19T03:14:00", 20, "2038-01-19T03:14:20"),
        ("2028-02-28T23:59:50", 20, "2028-02-29T00:00:10"),
        ("2028-02-29T23:59:50", 20, "2028-03-01T00:00:10"),
        ("2100-02-28T23:59:50", 20, "2100-03-01T00:00:10"),
        ("2068-01-19T03:14:00", 20, "2068-01-19T03:14:20"),  # 2^31 s after the pump's own epoch
    ],
    ids=["end of 2^31 s", "onto a leap day", "behind a leap day", "no leap day", "end of 2^31 s from 2000"],
)
def test_the_wall_clock_goes_on_over_the_ends_of_calendars_and_counters(
    start: str, seconds: int, end: str
) -> None:
    talk = Conversation.with_new_pump(profile_of(wall_at_start_s=wall_s(start)))
    talk.wait(seconds * MS_PER_S)
    status = talk.granted(GetStatus())
    assert status.wall_s == wall_s(end)
    talk.wait(MS_PER_DAY)
    assert talk.granted(GetStatus()).wall_s == wall_s(end) + 86_400
    assert [entry.type for entry in talk.log()].count(LogType.DAY_TOTAL) >= 1
    assert_log_is_whole(talk)


# FI 39
@verifies("HDW-006")
@pytest.mark.parametrize("around_ms", [U32_MS, 2 * U32_MS], ids=["49.7 days", "99.4 days"])
def test_nothing_runs_over_where_a_counter_of_32_bits_would(around_ms: int) -> None:
    """Delivery, an alarm and its tones, the log, a session that is open and the clock, over the very millisecond."""
    implant = Implant(dose_ng_per_day=48_000, filled_nl=20_000_000)
    talk = Conversation.with_new_pump(profile_of(implant=implant, wall_at_start_s=MARCH_2_S))
    talk.wait_until(around_ms - MS_PER_HOUR)
    talk.pump.stall_motor(True)
    talk.wait_until(around_ms - 5 * MS_PER_S)
    before, session = talk.granted(GetStatus()), talk.client
    talk.wait_until(around_ms + 5 * MS_PER_S)
    after = talk.granted(GetStatus())
    assert talk.client is session, "the session was not lost"
    assert after.t_mono_s - before.t_mono_s == 10
    assert after.wall_s - before.wall_s == 10
    assert after.alarm_active == before.alarm_active == 1 << AlarmId.MOTOR_STALL
    tones = talk.pump.truth().tones_played
    talk.wait(MS_PER_HOUR)
    assert talk.pump.truth().tones_played - tones == 6, "one each ten minutes"
    talk.pump.stall_motor(False)
    talk.wait(2 * MS_PER_HOUR)
    assert not talk.granted(GetStatus()).alarm_active
    assert_volumes_agree(talk)
    assert_log_is_whole(talk)
    last = talk.log()[-1]
    assert last.t_mono_s * MS_PER_S + last.t_ms > around_ms


# FI 39
def test_a_lockout_that_spans_the_end_of_32_bits_is_as_long_as_any() -> None:
    profile = profile_of(implant=Implant(filled_nl=40_000_000), reservoir_size_nl=40_000_000)
    talk = PatientAndClinician.with_program(PATIENT, profile=profile)
    talk.wait_until(U32_MS - PATIENT.lockout_s * MS_PER_S // 2)
    assert talk.asks_for_bolus(1).deny is DenyReason.GRANTED
    talk.wait_until(U32_MS + PATIENT.lockout_s * MS_PER_S // 2 - 1)
    assert talk.asks_for_bolus(2).deny is DenyReason.LOCKOUT
    talk.wait(1)
    assert talk.asks_for_bolus(3).deny is DenyReason.GRANTED
