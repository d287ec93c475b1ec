"""STOP and RESUME: who may, in which state, for how long, and what is delivered meanwhile [SPEC 5 R8, 6]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.plugin import needs, starts_as, verifies
from hil.suite.observing import LogMark, Scale, alarm_row, is_active, mono_ms, volume_at_rate_nl
from hil.suite.raw_client import RawClient
from hil.suite.refusals import check_refusal, refused
from protocol.identifiers import AlarmId, ErrorCode, OnExpiry, Outcome, Role, State, StateReason, StopReason
from protocol.log.data import BolusEndData, StopData
from protocol.log.types import BolusEndReason, LogType
from protocol.messages.stop import Resume, Stop, StopReply

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.programmer.programmer import Programmer
    from hil.rig import Rig

HOUR_S, HOUR_MS = 3_600, 3_600_000
TOO_LONG_S = 172_800  # 48 h [DOMAIN 3.5]


@verifies("STP-001")
def test_a_stop_stops_and_a_resume_brings_back_what_ran(running: Programmer) -> None:
    before = running.status()
    stopped = running.stop(HOUR_S)
    assert (stopped.reply.state, stopped.outcome, stopped.dup) == (State.STOP, Outcome.DONE, False)
    during = running.status()
    assert (during.state, during.state_reason, during.rate_nl_per_day) == (
        State.STOP,
        StateReason.COMMAND,
        0,
    )
    assert during.stopped_by is Role.CLINICIAN
    assert during.program_rev == before.program_rev
    resumed = running.resume()
    assert (resumed.reply.state, resumed.reply.rate_nl_per_day) == (State.RUN, before.rate_nl_per_day)
    after = running.status()
    assert (after.state, after.rate_nl_per_day) == (State.RUN, before.rate_nl_per_day)
    assert (after.stopped_s, after.stopped_by, after.stop_expires_t_mono_s) == (0, None, 0)


@verifies("LOG-001")
def test_a_stop_and_a_resume_leave_their_entries_each_once(running: Programmer) -> None:
    mark = LogMark(running)
    stopped = running.stop(HOUR_S)
    resumed = running.resume()
    entries = mark.entries(running)
    assert sorted(entry.type for entry in entries) == sorted(
        [LogType.STOP, LogType.RATE_CHANGE, LogType.RESUME, LogType.RATE_CHANGE]
    )
    stop, resume = mark.entries(running, LogType.STOP, LogType.RESUME)
    assert (stop.cmd_id, stop.seq) == (stopped.cmd_id, stopped.seq)
    assert stop.details() == StopData(HOUR_S, StopReason.CLINICAL, OnExpiry.ALARM_ONLY)
    assert (resume.cmd_id, resume.seq) == (resumed.cmd_id, resumed.seq)


@verifies("STP-007", "STP-002")
@needs("time", "balance", "reset")
def test_a_stopped_pump_delivers_nothing_and_never_catches_up(running: Programmer, pump_rig: Rig) -> None:
    running.stop(12 * HOUR_S)
    before, scale = running.status().delivered_total_nl, Scale(pump_rig, running.limits().stroke_nl)
    pump_rig.advance(10 * HOUR_MS)
    assert running.status().delivered_total_nl == before
    assert scale.given_nl() <= scale.within_nl
    running.resume()
    pump_rig.advance(HOUR_MS)
    gained_nl = running.status().delivered_total_nl - before
    assert abs(gained_nl - volume_at_rate_nl(600_000, HOUR_MS)) <= 500


@verifies("STP-001")
@needs("time", "reset")
def test_a_stop_ends_a_running_bolus_and_a_resume_does_not_bring_it_back(
    running: Programmer, pump_rig: Rig
) -> None:
    before_nl, mark = running.delivery().bolus_nl, LogMark(running)
    bolus = running.bolus(100_000, 600)
    pump_rig.advance(300_000)
    running.stop(HOUR_S)
    query = running.query(bolus.cmd_id)
    assert (query.outcome, query.delivered_nl, query.uncertain_nl) == (Outcome.PARTIAL, 50_000, 0)
    running.resume()
    pump_rig.advance(HOUR_MS)
    assert running.delivery().bolus_nl - before_nl == 50_000
    (end,) = mark.entries(running, LogType.BOLUS_END)
    assert end.details() == BolusEndData(50_000, 0, BolusEndReason.STOP)


# It always acts.


@verifies("STP-003")
def test_each_role_but_the_observer_stops_the_pump(
    running: Programmer, pump_as: Callable[[Role], Programmer]
) -> None:
    for role in (Role.PATIENT, Role.CLINICIAN, Role.SERVICE):
        running.end_session()
        other = pump_as(role)
        assert other.stop(HOUR_S).reply.state is State.STOP
        assert other.status().stopped_by is role
        other.end_session()
        running.resume()


@verifies("STP-003", "ROL-001")
def test_an_observer_does_not_stop_the_pump(running: Programmer, make_raw: Callable[..., RawClient]) -> None:
    running.end_session()
    observer = make_raw(Role.OBSERVER)
    check_refusal(observer.say(Stop(1, HOUR_S, StopReason.CLINICAL)), ErrorCode.ROLE)
    assert observer.status().state is State.RUN


@verifies("STP-003")
@needs("reset")
def test_a_stop_acts_whatever_its_id_is(raw: RawClient) -> None:
    raw.say(Stop(3, HOUR_S, StopReason.CLINICAL))
    for hours, cmd_id in enumerate((0, 1, 3, 0xFFFF_FFFE, 0xFFFF_FFFF), start=2):
        again = raw.say(Stop(cmd_id, hours * HOUR_S, StopReason.CLINICAL))
        assert isinstance(again, StopReply)
        assert (again.state, again.result.outcome) == (State.STOP, Outcome.DONE)
        status = raw.status()
        assert status.stop_expires_t_mono_s - status.t_mono_s == hours * HOUR_S
        assert status.last_cmd_id == 3  # none of these ids can be recorded


@verifies("STP-003")
@needs("reset")
def test_a_stop_under_the_id_of_an_earlier_one_stops_again(raw: RawClient) -> None:
    stop = Stop(1, HOUR_S, StopReason.CLINICAL)
    assert raw.say(stop).result.dup is False
    raw.say(Resume(2, raw.status().program_rev))
    assert raw.status().state is State.RUN
    again = raw.say(stop)
    assert (again.state, again.result.dup) == (State.STOP, True)
    assert raw.status().state is State.STOP


@verifies("STP-003")
@needs("time", "reset")
def test_a_stop_acts_in_stop_in_the_safe_state_and_with_an_alarm(running: Programmer, pump_rig: Rig) -> None:
    running.stop(60, on_expiry=OnExpiry.SAFE_RATE)
    pump_rig.advance(60_000)
    assert running.status().state is State.SAFE_STATE
    stopped = running.stop(HOUR_S)
    assert (stopped.reply.state, running.status().rate_nl_per_day) == (State.FAULT_STOP, 0)
    assert running.stop(HOUR_S).reply.state is State.FAULT_STOP
    pump_rig.advance(HOUR_MS)
    assert is_active(running.status(), AlarmId.STOP_EXPIRED)
    assert running.stop(HOUR_S).reply.state is State.FAULT_STOP


@verifies("STP-003")
@needs("time")
@starts_as("factory")
def test_a_stop_of_a_pump_that_was_never_programmed_acts_and_promises_nothing(
    pump: Programmer, pump_rig: Rig
) -> None:
    for on_expiry in OnExpiry:
        stopped = pump.stop(HOUR_S, on_expiry=on_expiry).reply
        assert (stopped.state, stopped.stopped_s, stopped.expires_t_mono_s) == (State.STOP, 0, 0)
        assert stopped.stopped_by is None
    with refused(ErrorCode.NO_STAGED):
        pump.resume()
    pump_rig.advance(72 * HOUR_MS)
    status = pump.status()
    assert (status.alarm_active, status.stopped_s, status.stop_expires_t_mono_s) == (0, 0, 0)
    assert status.state_reason is StateReason.NEVER_PROGRAMMED


@verifies("STP-010")
@needs("time")
@starts_as("factory")
def test_a_first_program_that_is_not_started_counts_as_stopped_and_is_not_forgotten(
    pump: Programmer, pump_rig: Rig
) -> None:
    pump.refill(
        18_000_000, aspirated_nl=0, concentration_ng_per_ml=500_000, drug_id=1, low_alarm_nl=2_000_000
    )
    pump_rig.advance(HOUR_MS)
    pump.set_simple_program(300_000, concentration_ng_per_ml=500_000, drug_id=1, start=False)
    pump_rig.advance(47 * HOUR_MS)
    status = pump.status()
    assert (status.state, status.stopped_by, status.stopped_s) == (State.STOP, Role.CLINICIAN, 47 * HOUR_S)
    assert not is_active(status, AlarmId.STOPPED_TOO_LONG)
    pump_rig.advance(HOUR_MS)
    status = pump.status()
    assert is_active(status, AlarmId.STOPPED_TOO_LONG)
    assert not is_active(status, AlarmId.STOP_EXPIRED)
    assert pump.resume().reply.state is State.RUN
    assert not is_active(pump.status(), AlarmId.STOPPED_TOO_LONG)


@verifies("STP-001")
@needs("reset")
def test_a_resume_on_another_program_than_the_one_that_waits_is_refused(running: Programmer) -> None:
    running.stop(HOUR_S)
    rev = running.status().program_rev
    with refused(ErrorCode.REV_MISMATCH) as refusal:
        running.resume(program_rev=rev + 1)
    assert refusal.error.nearest == rev
    assert running.status().state is State.STOP


@verifies("STP-008")
@needs("time", "reset")
def test_what_left_trust_behind_is_not_resumed_but_programmed_anew(
    running: Programmer, pump_rig: Rig
) -> None:
    running.stop(60, on_expiry=OnExpiry.SAFE_RATE)
    pump_rig.advance(60_000)
    with refused(ErrorCode.SAFE_STATE):
        running.resume()
    running.set_simple_program(300_000, start=True)
    status = running.status()
    assert (status.state, status.rate_nl_per_day) == (State.RUN, 600_000)


# Expiry.


@verifies("STP-004")
@needs("time", "reset")
@pytest.mark.parametrize(
    ("on_expiry", "state", "rate_nl_per_day"),
    [
        (OnExpiry.ALARM_ONLY, State.STOP, 0),
        (OnExpiry.SAFE_RATE, State.SAFE_STATE, 6_000),
        (OnExpiry.RESUME, State.RUN, 600_000),
    ],
    ids=["alarm only", "safe rate", "resume"],
)
def test_a_stop_expires_at_its_very_millisecond_with_an_alarm(
    running: Programmer, pump_rig: Rig, on_expiry: OnExpiry, state: State, rate_nl_per_day: int
) -> None:
    pump_rig.advance(777)
    mark = LogMark(running)
    running.stop(HOUR_S, on_expiry=on_expiry)
    pump_rig.advance(HOUR_MS - 1)
    before = running.status()
    assert (before.state, before.alarm_latched) == (State.STOP, 0)
    pump_rig.advance(1)
    after = running.status()
    assert (after.state, after.rate_nl_per_day) == (state, rate_nl_per_day)
    assert alarm_row(running, AlarmId.STOP_EXPIRED) is not None
    (alarm,) = mark.entries(running, LogType.ALARM_ON)
    assert (alarm.details().alarm_id, alarm.t_ms) == (AlarmId.STOP_EXPIRED, 777)


@verifies("STP-009")
@needs("reset")
def test_only_a_clinician_and_never_after_an_overdose_may_let_a_stop_end_by_itself(
    running: Programmer, pump_as: Callable[[Role], Programmer]
) -> None:
    overdose = running.stop(HOUR_S, reason=StopReason.OVERDOSE, on_expiry=OnExpiry.RESUME)
    assert overdose.reply.on_expiry is OnExpiry.ALARM_ONLY
    running.resume()
    running.end_session()
    patients = pump_as(Role.PATIENT).stop(HOUR_S, reason=StopReason.PATIENT, on_expiry=OnExpiry.RESUME)
    assert (patients.reply.state, patients.reply.on_expiry) == (State.STOP, OnExpiry.ALARM_ONLY)


@verifies("STP-009")
@needs("reset")
def test_a_stop_without_a_reasonable_end_gets_the_longest_that_is_allowed(running: Programmer) -> None:
    for asked_s in (0, 172_801, 0xFFFF_FFFF):
        reply, status = running.stop(asked_s).reply, running.status()
        assert reply.expires_t_mono_s - status.t_mono_s == running.limits().max_stop_s


@verifies("STP-006")
@needs("time", "reset")
def test_after_48_hours_the_alarm_comes_at_its_second_whatever_was_asked_meanwhile(
    running: Programmer, pump_rig: Rig
) -> None:
    began_ms = mono_ms(running)
    running.stop(HOUR_S)
    pump_rig.advance(24 * HOUR_MS)
    running.stop(TOO_LONG_S)  # sets another expiry, and never moves the beginning
    pump_rig.advance(24 * HOUR_MS - 1)
    status = running.status()
    assert not is_active(status, AlarmId.STOPPED_TOO_LONG)
    assert status.stopped_s == TOO_LONG_S - 1
    pump_rig.advance(1)
    row = alarm_row(running, AlarmId.STOPPED_TOO_LONG)
    assert row is not None
    assert row.on_t_mono_s * 1_000 == began_ms + TOO_LONG_S * 1_000
    running.resume()
    assert not is_active(running.status(), AlarmId.STOPPED_TOO_LONG)


# Whose stop it is.


@verifies("STP-005")
@needs("reset")
def test_a_patient_resumes_the_patients_own_stop(pump_as: Callable[[Role], Programmer]) -> None:
    patient = pump_as(Role.PATIENT)
    assert patient.stop(HOUR_S, reason=StopReason.PATIENT).reply.stopped_by is Role.PATIENT
    assert patient.resume().reply.state is State.RUN


@verifies("STP-005")
@needs("reset")
def test_a_patient_does_not_resume_what_a_clinician_stopped_or_stopped_too(
    running: Programmer, pump_as: Callable[[Role], Programmer]
) -> None:
    running.stop(HOUR_S)
    running.end_session()
    patient = pump_as(Role.PATIENT)
    assert patient.stop(HOUR_S).reply.stopped_by is Role.CLINICIAN
    with refused(ErrorCode.ROLE):
        patient.resume()
    patient.end_session()
    running.resume()
    running.end_session()
    patient.stop(HOUR_S)
    patient.end_session()
    assert running.stop(HOUR_S).reply.stopped_by is Role.CLINICIAN
    running.end_session()
    with refused(ErrorCode.ROLE):
        patient.resume()
    assert patient.status().state is State.STOP


@verifies("STP-005")
@needs("reset")
def test_a_patient_does_not_move_the_expiry_of_a_clinicians_stop(
    running: Programmer, pump_as: Callable[[Role], Programmer]
) -> None:
    expires_s = running.stop(2 * HOUR_S).reply.expires_t_mono_s
    running.end_session()
    assert pump_as(Role.PATIENT).stop(60).reply.expires_t_mono_s == expires_s
