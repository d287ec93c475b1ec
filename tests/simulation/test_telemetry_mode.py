"""Interference wakes the telemetry: in idle, while an alarm sounds, near a scanner; and a recovery that is logged late.

Each harm from the field is shown on the profile that reproduces it, and its absence on the default [DOMAIN 3.4, 6.8].
"""

from __future__ import annotations

from firmware_emu.profile import Implant, RecoveryLog, TelemetryExit
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE
from hil.campaign.conversation import Conversation, profile_of, state_of
from hil.plugin import verifies
from protocol.identifiers import AlarmId, Role, State
from protocol.log.types import LogType, TelemetryExitReason
from protocol.messages.conversation import EndSession
from protocol.messages.reading import GetStatus
from tests.simulation.invariants import assert_log_is_whole, assert_volumes_agree
from tests.simulation.stepping import cuts
from tests.support.for_each import for_each

HOUR, MINUTE = MS_PER_HOUR, MS_PER_MINUTE
STROKES_AN_HOUR = 50
TIMEOUT_MS = 300_000


def in_idle(exit_by: TelemetryExit = TelemetryExit.TIME_OUT) -> Conversation:
    talk = Conversation.with_new_pump(profile_of(telemetry_exit=exit_by))
    talk.wait_until(10 * HOUR)
    return talk


def while_alarming(exit_by: TelemetryExit = TelemetryExit.TIME_OUT) -> Conversation:
    """A pump whose low reservoir alarm sounds, and which runs."""
    implant = Implant(filled_nl=2_100_000)
    talk = Conversation.with_new_pump(profile_of(implant=implant, telemetry_exit=exit_by))
    talk.wait_until(10 * HOUR)
    belief = talk.pump.belief()
    assert belief is not None
    assert belief.alarm_active >> AlarmId.LOW_RESERVOIR & 1
    return talk


def turned_in(talk: Conversation, ms: int) -> int:
    before = talk.pump.truth().strokes_turned
    talk.wait(ms)
    return talk.pump.truth().strokes_turned - before


def exits(talk: Conversation) -> list[tuple[TelemetryExitReason, int]]:
    found = [entry.details() for entry in talk.log() if entry.type is LogType.TELEM_MODE_EXIT]
    return [(each.reason, each.suspended_s) for each in found]


# FI 51
@verifies("SAF-013")
@for_each("exit_by", list(TelemetryExit))
@for_each("duration_ms", [1, MINUTE, HOUR])
def test_a_wake_up_while_no_alarm_sounds_does_nothing_to_therapy(
    exit_by: TelemetryExit, duration_ms: int
) -> None:
    talk = in_idle(exit_by)
    talk.pump.inject("emi-wake", {"duration_ms": duration_ms})
    assert turned_in(talk, 2 * HOUR) == 2 * STROKES_AN_HOUR
    timed_out = duration_ms == HOUR and exit_by is TelemetryExit.TIME_OUT
    assert exits(talk) == [(TelemetryExitReason.TIME_OUT if timed_out else TelemetryExitReason.QUIET, 0)]
    assert talk.granted(GetStatus()).state is State.RUN


# FI 51; RH-08: fixed firmware
@verifies("SAF-013")
@for_each("duration_ms", [1, HOUR, None])
def test_a_wake_up_while_an_alarm_sounds_holds_infusion_back_until_a_time_out(
    duration_ms: int | None,
) -> None:
    talk = while_alarming()
    talk.pump.inject("emi-wake", {"duration_ms": duration_ms})
    assert turned_in(talk, TIMEOUT_MS - 1) == 0
    assert turned_in(talk, HOUR + 1) >= STROKES_AN_HOUR - 1
    status = talk.granted(GetStatus())
    assert (status.state, status.rate_nl_per_day) == (State.RUN, 600_000)
    assert exits(talk) == [(TelemetryExitReason.TIME_OUT, TIMEOUT_MS // 1_000)]
    assert_volumes_agree(talk)


# FI 51; RH-08: as reported
@verifies("SAF-014")
@for_each("role", [Role.CLINICIAN, Role.PATIENT])
def test_as_reported_infusion_does_not_resume_until_somebody_interrogates_the_pump(role: Role) -> None:
    talk = while_alarming(TelemetryExit.INTERROGATION)
    talk.pump.inject("emi-wake", {"duration_ms": 1_000})
    assert turned_in(talk, 2 * MS_PER_DAY) == 0, "two days without a drug, and nobody knows"
    asking = Conversation(talk.pump, role)
    status = asking.granted(GetStatus())
    assert (status.state, status.rate_nl_per_day) == (State.RUN, 600_000)
    assert turned_in(asking, HOUR) == STROKES_AN_HOUR
    talk = Conversation(talk.pump)
    assert exits(talk) == [(TelemetryExitReason.INTERROGATED, 2 * 86_400)]
    assert_log_is_whole(talk)


# FI 51; RH-08: in the scanner
@verifies("SAF-013", "SAF-014")
@for_each("exit_by", list(TelemetryExit))
def test_in_a_scanner_the_alarm_of_the_stall_comes_while_the_telemetry_is_awake(
    exit_by: TelemetryExit,
) -> None:
    talk = in_idle(exit_by)
    talk.pump.inject("motor-stall", {"duration_ms": HOUR})
    talk.wait(20 * MINUTE - 1_000)
    talk.pump.inject("emi-wake", {"duration_ms": 40 * MINUTE})
    talk.wait(40 * MINUTE + 1_000)
    recovers = exit_by is TelemetryExit.TIME_OUT
    assert bool(turned_in(talk, 12 * HOUR)) is recovers
    belief = talk.pump.belief()
    assert belief is not None
    assert bool(belief.alarm_active >> AlarmId.MOTOR_STALL & 1) is not recovers


# RH-08
@verifies("SAF-013")
def test_a_bolus_ends_with_a_log_entry_where_a_wake_up_holds_infusion_back() -> None:
    talk = while_alarming()
    talk.start_bolus(1, 20_000, 3_600)
    talk.granted(EndSession())
    talk.wait(MINUTE)
    talk.pump.inject("emi-wake", {"duration_ms": 1_000})
    assert turned_in(talk, TIMEOUT_MS - 1) == 0
    assert [entry.type for entry in talk.log()].count(LogType.BOLUS_END) == 1
    assert_volumes_agree(talk)


@verifies("SAF-013")
def test_while_a_programmer_talks_to_the_pump_nothing_wakes_anything() -> None:
    talk = while_alarming(TelemetryExit.INTERROGATION)
    talk.granted(GetStatus())
    talk.pump.inject("emi-wake", {"duration_ms": 1_000})
    assert turned_in(talk, HOUR) == STROKES_AN_HOUR
    assert exits(talk) == []


@verifies("SAF-013")
def test_a_reset_ends_the_telemetry_mode_and_infusion_goes_on() -> None:
    talk = while_alarming(TelemetryExit.INTERROGATION)
    talk.pump.inject("emi-wake", {"duration_ms": 1_000})
    talk.wait(HOUR)
    talk.pump.cut_power()
    talk.pump.restore_power()
    assert turned_in(talk, HOUR) >= STROKES_AN_HOUR - 1
    assert_volumes_agree(talk)


@verifies("SAF-014")
def test_a_program_that_starts_while_the_receiver_is_kept_awake_is_in_telemetry_mode_again() -> None:
    talk = while_alarming(TelemetryExit.INTERROGATION)
    talk.pump.inject("emi-wake", {})
    talk.wait(HOUR)
    talk.pump.cut_power()
    talk.pump.restore_power()
    assert turned_in(talk, HOUR) == 0
    talk.open()
    assert turned_in(talk, HOUR) == STROKES_AN_HOUR


def stalled_and_free_again(recovery_log: RecoveryLog) -> Conversation:
    """A pump that was stalled for an hour, and has turned again for ten minutes."""
    talk = Conversation.with_new_pump(profile_of(recovery_log=recovery_log))
    talk.wait_until(10 * HOUR)
    talk.pump.inject("motor-stall", {"duration_ms": HOUR})
    talk.wait(HOUR + 10 * MINUTE)
    return talk


def recoveries(talk: Conversation) -> int:
    return [entry.type for entry in talk.log()].count(LogType.STALL_RECOVERED)


# RH-09: default
@verifies("SAF-015")
def test_the_first_interrogation_after_a_stall_sees_its_end() -> None:
    talk = stalled_and_free_again(RecoveryLog.AT_ONCE)
    assert recoveries(talk) == 1
    assert not talk.granted(GetStatus()).alarm_active >> AlarmId.MOTOR_STALL & 1


# RH-09: as reported
@verifies("SAF-015")
def test_as_reported_only_the_second_interrogation_sees_the_end_of_a_stall() -> None:
    talk = stalled_and_free_again(RecoveryLog.LATE)
    assert turned_in(talk, MINUTE * 6) == 5, (
        "the rotor turns: who infers from the log that it stands is wrong"
    )
    assert recoveries(talk) == 0
    assert talk.granted(GetStatus()).alarm_active >> AlarmId.MOTOR_STALL & 1
    talk.granted(EndSession())
    talk.open()
    assert recoveries(talk) == 1
    assert not talk.granted(GetStatus()).alarm_active >> AlarmId.MOTOR_STALL & 1


# RH-09: as reported
@verifies("SAF-015")
def test_as_reported_the_end_of_a_stall_is_logged_ninety_minutes_late_where_nobody_asks() -> None:
    talk = stalled_and_free_again(RecoveryLog.LATE)
    talk.wait(2 * HOUR)
    (late,) = [entry for entry in talk.log() if entry.type is LogType.STALL_RECOVERED]
    prompt = stalled_and_free_again(RecoveryLog.AT_ONCE)
    (told,) = [entry for entry in prompt.log() if entry.type is LogType.STALL_RECOVERED]
    assert late.t_mono_s - told.t_mono_s == 90 * 60
    assert late.details() == told.details()


# RH-09: a second stall before the end of the first was told
@verifies("SAF-015")
def test_two_stalls_are_told_in_their_order_also_where_the_end_of_the_first_is_late() -> None:
    talk = stalled_and_free_again(RecoveryLog.LATE)
    talk.pump.inject("motor-stall", {"duration_ms": HOUR})
    talk.wait(4 * HOUR)
    kinds = (LogType.STALL, LogType.STALL_RECOVERED)
    told = [entry.type for entry in talk.log() if entry.type in kinds]
    assert told == [*kinds, *kinds]


@verifies("SAF-011")
@for_each("exit_by", list(TelemetryExit))
def test_step_size_never_matters_to_a_wake_up(exit_by: TelemetryExit) -> None:
    coarse = while_alarming(exit_by)
    coarse.pump.inject("emi-wake", {"duration_ms": 100_001})
    fine = coarse.fork()
    end_ms = coarse.now_ms + 2 * HOUR
    for ms in cuts(2, end_ms, 300, [coarse.now_ms + 100_001, coarse.now_ms + TIMEOUT_MS]):
        if ms > fine.now_ms:
            fine.wait_until(ms)
    for each in (coarse, fine):
        each.wait_until(end_ms)
    assert state_of(coarse.pump) == state_of(fine.pump)


@verifies("SAF-012")
@for_each("exit_by", list(TelemetryExit))
def test_power_goes_in_each_write_of_a_wake_up_and_of_its_end(exit_by: TelemetryExit) -> None:
    base = while_alarming(exit_by)
    done = base.fork()
    before = len(done.writes)
    done.pump.inject("emi-wake", {"duration_ms": 1_000})
    done.wait(TIMEOUT_MS + 1)
    lengths = [len(data) for _, data in done.writes[before:]]
    assert lengths
    for number, length in enumerate(lengths, 1):
        for torn in {0, 1, length // 2, length}:
            talk = base.fork()
            talk.pump.plant.cut_at_write(number, torn)
            talk.pump.inject("emi-wake", {"duration_ms": 1_000})
            talk.wait(TIMEOUT_MS + 1)
            status = talk.granted(GetStatus())
            assert (status.state, status.rate_nl_per_day) == (State.RUN, 600_000)
            assert_log_is_whole(talk)
            assert_volumes_agree(talk)
