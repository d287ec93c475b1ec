"""Boluses of a program: those that the patient asks for, and those that come by themselves [SPEC 6; DOMAIN 2]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.plugin import needs, verifies
from hil.programmer.staging import ProgramRefused
from hil.suite.observing import LogMark, mono_ms, time_of_ms
from protocol.codec.layouts import path_offset
from protocol.identifiers import Activity, Capability, DenyReason, ErrorCode, Outcome, Role, TimeSetReason
from protocol.log.types import DeliveryKind, LogType
from protocol.messages.program import NO_GROUP, PatientBlock, PeriodicBlock, ProgramHeader

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.programmer.programmer import Programmer
    from hil.rig import Rig
    from protocol.messages.bolus import PatientBolusReply

    As = Callable[[Role], Programmer]

DOSE_NG, MS_PER_S, HOUR_MS = 300_000, 1_000, 3_600_000
PATIENT = PatientBlock(volume_nl=10_000, duration_s=600, lockout_s=3_600, window_s=86_400, max_count=3)
PERIODIC = PeriodicBlock(volume_nl=20_000, duration_s=900, interval_s=7_200, first_delay_s=1_800)
LOCKOUT_MS, DURATION_MS = PATIENT.lockout_s * MS_PER_S, PATIENT.duration_s * MS_PER_S


@pytest.fixture
def able(running: Programmer) -> Programmer:
    """A clinician's programmer of a pump that gives boluses of a program; skipped where it does not."""
    opened = running.session.opened
    assert opened is not None
    wanted = Capability.PATIENT_BOLUS | Capability.PERIODIC
    if Capability(opened.pump_hello.caps) & wanted != wanted:
        pytest.skip("needs a pump with the capability bits for patient's and periodic boluses")
    return running


def programs(
    pump: Programmer, patient: PatientBlock | None = None, periodic: PeriodicBlock | None = None
) -> int:
    """Commit a program with these boluses; returns when, in ms of monotonic time."""
    done = pump.set_simple_program(DOSE_NG, patient=patient, periodic=periodic)
    entries = pump.read_log(from_seq=done.reply.result.seq).entries
    return time_of_ms(entries[0])


def asks(pump: Programmer, pump_as: As) -> PatientBolusReply:
    """What the patient is told who asks now; the clinician's session ends before it, the patient's after it."""
    pump.end_session()
    patient = pump_as(Role.PATIENT)
    reply = patient.patient_bolus().reply
    patient.end_session()
    return reply


def advance_to(pump: Programmer, rig: Rig, at_ms: int) -> None:
    """Let pump time pass until a moment of its monotonic time."""
    rig.advance(at_ms - mono_ms(pump))


# What a program is refused for: the field, what is in it, and (code, value, limit); None: a limit of this pump.
REFUSED = {
    "a lockout that is the duration": ({"patient.lockout_s": 600}, (ErrorCode.RATE, 600, 600)),
    "a window within the lockout": ({"patient.window_s": 3_599}, (ErrorCode.TIME_RANGE, 3_599, 3_600)),
    "a count of none": ({"patient.max_count": 0}, (ErrorCode.SEGMENTS, 0, 1)),
    "a patient's volume of no stroke": ({"patient.volume_nl": 0}, (ErrorCode.RATE, 0, None)),
    "a patient's volume above all": ({"patient.volume_nl": 10**9}, (ErrorCode.BOLUS_MAX, 10**9, None)),
    "a duration of none": ({"patient.duration_s": 0}, (ErrorCode.RATE, 0, None)),
    "an interval that is the duration": ({"periodic.interval_s": 900}, (ErrorCode.RATE, 900, 900)),
    "a periodic duration too short": ({"periodic.duration_s": 1}, (ErrorCode.RATE, 1, None)),
}


@verifies("PRG-025")
@pytest.mark.parametrize("name", REFUSED)
def test_a_block_that_the_pump_could_not_give_is_refused_and_the_field_is_named(
    able: Programmer, name: str
) -> None:
    change, (code, value, limit) = REFUSED[name]
    ((path, number),) = change.items()
    block, field = path.split(".")
    patient = PATIENT._replace(**{field: number}) if block == "patient" else None
    periodic = PERIODIC._replace(**{field: number}) if block == "periodic" else None
    with pytest.raises(ProgramRefused) as caught:
        able.stage_simple_program(DOSE_NG, patient=patient, periodic=periodic)
    found = [each for each in caught.value.refusals if each.code is code and each.group == NO_GROUP]
    assert [each.index for each in found] == [path_offset(ProgramHeader, path)]
    assert found[0].value == value
    assert limit is None or found[0].limit == limit
    able.abort_program()


# FI 58, RH-03
@verifies("PRG-025", "PRG-015")
@needs("reset")
def test_we_33_an_interval_in_minutes_for_hours_passes_the_day(able: Programmer) -> None:
    """25 mcg each 6 h are 100 mcg a day, each 6 min 6,000; beside 300 mcg of basal rate."""
    each = PeriodicBlock(volume_nl=50_000, duration_s=300, interval_s=6 * 3_600, first_delay_s=0)
    able.stage_simple_program(DOSE_NG, periodic=each)
    with pytest.raises(ProgramRefused) as caught:
        able.stage_simple_program(DOSE_NG, periodic=each._replace(interval_s=6 * 60))
    day = [refused for refused in caught.value.refusals if refused.group == 0]
    limit_nl = able.limits().program_day_max_nl
    assert [(r.code, r.value, r.limit, r.nearest) for r in day] == [
        (ErrorCode.DAY_MAX, 12_600_000, limit_nl, limit_nl)
    ]
    able.abort_program()


@verifies("BOL-020", "BOL-022")
@needs("time", "reset")
def test_a_patient_is_granted_the_bolus_of_the_program(able: Programmer, pump_as: As, pump_rig: Rig) -> None:
    begun_ms = programs(able, PATIENT)
    advance_to(able, pump_rig, begun_ms + LOCKOUT_MS)
    mark, before = LogMark(able), able.delivery().patient_nl
    able.end_session()
    patient = pump_as(Role.PATIENT)
    granted = patient.patient_bolus()
    assert (granted.outcome, granted.reply.deny, granted.reply.volume_nl) == (
        Outcome.RUNNING,
        DenyReason.GRANTED,
        PATIENT.volume_nl,
    )
    assert granted.reply.next_allowed_s == PATIENT.lockout_s
    again = patient.patient_bolus()
    assert (again.outcome, again.reply.deny) == (Outcome.REFUSED, DenyReason.ANOTHER_ACTIVE)
    assert patient.status().last_cmd_id == granted.cmd_id, "a denial uses up no id"
    pump_rig.advance(DURATION_MS)
    done = patient.query(granted.cmd_id)
    assert (done.outcome, done.delivered_nl) == (Outcome.DONE, PATIENT.volume_nl)
    assert patient.query(again.cmd_id).outcome is Outcome.REFUSED
    patient.end_session()
    assert able.delivery().patient_nl - before == PATIENT.volume_nl
    seen = [entry.type for entry in mark.entries(able) if entry.type >> 8 == 4]
    assert seen == [
        LogType.PTM_REQUEST,
        LogType.PTM_GRANT,
        LogType.CMD_INTENT,
        LogType.BOLUS_START,
        LogType.PTM_REQUEST,
        LogType.PTM_DENY,
        LogType.BOLUS_END,
    ]


@verifies("BOL-021", "BOL-022", "BOL-028")
@needs("time", "reset")
@pytest.mark.parametrize("meanwhile", ["nothing", "clock", "refill", "program"])
def test_the_lockout_ends_at_its_second(able: Programmer, pump_as: As, pump_rig: Rig, meanwhile: str) -> None:
    begun_ms = programs(able, PATIENT)
    if meanwhile == "clock":
        able.set_time(900_000_000, 60, reason=TimeSetReason.DRIFT, confirm=True)
    pump_rig.advance(1_500_000)
    if meanwhile == "refill":
        done = able.refill(17_000_000, aspirated_nl=0)
        begun_ms = time_of_ms(able.read_log(from_seq=done.reply.result.seq).entries[0])
    if meanwhile == "program":
        begun_ms = programs(able, PATIENT)
    advance_to(able, pump_rig, begun_ms + LOCKOUT_MS - MS_PER_S)
    denied = asks(able, pump_as)
    assert (denied.deny, denied.next_allowed_s, denied.result.reason) == (
        DenyReason.LOCKOUT,
        1,
        ErrorCode.GAP,
    )
    advance_to(able, pump_rig, begun_ms + LOCKOUT_MS)
    assert asks(able, pump_as).deny is DenyReason.GRANTED


@verifies("BOL-021")
@needs("time", "power", "reset")
def test_a_restart_shortens_no_lockout(able: Programmer, pump_as: As, pump_rig: Rig) -> None:
    begun_ms = programs(able, PATIENT)
    advance_to(able, pump_rig, begun_ms + LOCKOUT_MS)
    assert asks(able, pump_as).deny is DenyReason.GRANTED
    granted_ms = begun_ms + LOCKOUT_MS
    advance_to(able, pump_rig, granted_ms + 1_800_000)
    pump_rig.power_cut()
    assert pump_rig.power_restore(HOUR_MS)
    left_ms = granted_ms + LOCKOUT_MS - mono_ms(able)
    assert asks(able, pump_as).deny is DenyReason.LOCKOUT
    pump_rig.advance(left_ms)
    assert asks(able, pump_as).deny is DenyReason.GRANTED


@verifies("BOL-027", "BOL-022")
@needs("time", "reset")
def test_the_count_of_a_window_is_never_passed(able: Programmer, pump_as: As, pump_rig: Rig) -> None:
    begun_ms = programs(able, PATIENT)
    for number in range(1, PATIENT.max_count + 1):
        advance_to(able, pump_rig, begun_ms + number * LOCKOUT_MS)
        assert asks(able, pump_as).deny is DenyReason.GRANTED
    pump_rig.advance(LOCKOUT_MS)
    denied = asks(able, pump_as)
    assert denied.deny is DenyReason.COUNT
    pump_rig.advance((denied.next_allowed_s - 1) * MS_PER_S)
    assert asks(able, pump_as).deny is DenyReason.COUNT
    pump_rig.advance(MS_PER_S)
    assert asks(able, pump_as).deny is DenyReason.GRANTED


@verifies("BOL-022")
@needs("reset")
def test_a_patient_is_told_why_not(able: Programmer, pump_as: As) -> None:
    programs(able)
    assert asks(able, pump_as).deny is DenyReason.NOT_PROGRAMMED
    programs(able, PATIENT)
    able.stop(3_600)
    denied = asks(able, pump_as)
    assert (denied.deny, denied.result.reason) == (DenyReason.STOPPED, ErrorCode.STOPPED)
    assert denied.next_allowed_s == 0xFFFF_FFFF


@verifies("BOL-023")
@needs("time", "reset")
def test_a_patients_bolus_suspends_a_clinicians_and_the_total_of_both_is_given(
    able: Programmer, pump_as: As, pump_rig: Rig
) -> None:
    begun_ms = programs(able, PATIENT)
    advance_to(able, pump_rig, begun_ms + LOCKOUT_MS)
    bolus = able.bolus(20_000, 4_000)
    pump_rig.advance(1_050_000)
    assert asks(able, pump_as).deny is DenyReason.GRANTED
    at_grant = able.query(bolus.cmd_id).delivered_nl
    assert able.status().activity == Activity.PATIENT | Activity.BOLUS | Activity.SUSPENDED_BOLUS
    pump_rig.advance(DURATION_MS)
    assert able.query(bolus.cmd_id).delivered_nl == at_grant, "it waited"
    assert able.status().activity == Activity.BOLUS
    pump_rig.advance(2_950_000 + 2_000)
    found = able.query(bolus.cmd_id)
    assert (found.outcome, found.delivered_nl) == (Outcome.DONE, 20_000)
    delivered = able.delivery()
    assert (delivered.patient_nl, delivered.bolus_nl) == (PATIENT.volume_nl, 20_000)


@verifies("BOL-024")
@needs("time", "reset")
def test_periodic_boluses_start_at_their_moments_and_a_stop_swallows_what_falls_into_it(
    able: Programmer, pump_rig: Rig
) -> None:
    begun_ms = programs(able, None, PERIODIC)
    mark = LogMark(able)
    first_ms, interval_ms = begun_ms + PERIODIC.first_delay_s * MS_PER_S, PERIODIC.interval_s * MS_PER_S
    advance_to(able, pump_rig, first_ms + 2 * interval_ms - 10_000)
    able.stop(3_600)
    advance_to(able, pump_rig, first_ms + 3 * interval_ms - 10_000)
    able.resume()
    advance_to(able, pump_rig, first_ms + 4 * interval_ms - 10_000)
    starts = [
        entry
        for entry in mark.entries(able, LogType.BOLUS_START)
        if entry.details().kind is DeliveryKind.PERIODIC
    ]
    assert [time_of_ms(entry) for entry in starts] == [first_ms + k * interval_ms for k in (0, 1, 3)]
    passed_over = mark.entries(able, LogType.CMD_REFUSED)
    assert [(entry.cmd_id, entry.details().code) for entry in passed_over] == [(0, ErrorCode.STOPPED)]
    assert able.delivery().periodic_nl == 3 * PERIODIC.volume_nl


@verifies("BOL-025")
@needs("time", "reset")
def test_boluses_of_a_program_count_in_the_windows_with_a_clinicians(
    able: Programmer, pump_as: As, pump_rig: Rig
) -> None:
    begun_ms = programs(able, PATIENT, PERIODIC)
    advance_to(able, pump_rig, begun_ms + LOCKOUT_MS)
    assert asks(able, pump_as).deny is DenyReason.GRANTED
    used = able.delivery()
    assert used.hour_used_nl == PERIODIC.volume_nl + PATIENT.volume_nl
    advance_to(able, pump_rig, begun_ms + 24 * HOUR_MS)
    after = able.delivery()
    assert after.day_used_nl == 12 * PERIODIC.volume_nl + PATIENT.volume_nl
    assert after.periodic_nl == 12 * PERIODIC.volume_nl


# FI 55
@verifies("BOL-026")
@needs("time", "reset")
def test_a_flood_of_requests_leaves_the_history_of_the_therapy_in_the_log(
    able: Programmer, pump_as: As
) -> None:
    programs(able, PATIENT)
    before = able.read_log().entries
    able.end_session()
    patient = pump_as(Role.PATIENT)
    for _ in range(60):
        assert patient.patient_bolus().reply.deny is DenyReason.LOCKOUT
    patient.end_session()
    after = able.read_log().entries
    assert after[: len(before)] == before
    assert len(after) - len(before) <= 40
