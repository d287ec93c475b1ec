"""Command ids: what is recorded, what a repeat gets, and what can never run [SPEC 9]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.plugin import needs, verifies
from hil.suite.observing import LogMark
from hil.suite.raw_client import RawClient
from hil.suite.refusals import check_refusal, refused
from protocol.identifiers import BolusKind, ErrorCode, Opcode, Outcome, Role, State, StopReason
from protocol.link.development_keys import development_key
from protocol.log.types import LogType
from protocol.messages.bolus import BolusCommit, BolusCommitReply, BolusPrepare, BolusPrepareReply
from protocol.messages.ledger import QueryCmd, QueryCmdReply, VoidCmd, VoidCmdReply
from protocol.messages.stop import Resume, ResumeReply, Stop, StopReply
from protocol.registry import cmd_crc

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.programmer.programmer import Programmer
    from hil.rig import Rig

VOLUME_NL, DURATION_S = 10_000, 60
STEP_MAX = 65_536
LAST_ID = 0xFFFF_FFFE


def prepared(raw: RawClient, cmd_id: int | None = None) -> BolusCommit:
    """A COMMIT that the pump would take now."""
    status = raw.status()
    answer = raw.say(BolusPrepare(BolusKind.BOLUS, VOLUME_NL, DURATION_S, status.program_rev))
    assert isinstance(answer, BolusPrepareReply), answer
    return BolusCommit(
        status.last_cmd_id + 1 if cmd_id is None else cmd_id,
        answer.quantised_nl,
        DURATION_S,
        answer.token,
        status.program_rev,
    )


def query(raw: RawClient, cmd_id: int) -> QueryCmdReply:
    """What the ledger says of an own command."""
    answer = raw.say(QueryCmd(cmd_id))
    assert isinstance(answer, QueryCmdReply), answer
    return answer


@verifies("LED-001")
def test_a_command_that_never_came_was_never_received(raw: RawClient) -> None:
    last = raw.status().last_cmd_id
    for cmd_id in (last + 2, last + 77, LAST_ID):  # last + 1 may have been refused before this test
        answer = query(raw, cmd_id)
        assert (answer.outcome, answer.op, answer.delivered_nl) == (Outcome.NEVER_RECEIVED, 0, 0)
    assert raw.status().last_cmd_id == last


@verifies("LED-001", "LED-002")
@needs("reset", "time")
def test_a_repeated_bolus_command_is_answered_from_the_ledger_and_delivers_once(
    raw: RawClient, pump_rig: Rig
) -> None:
    before_nl = raw.status().delivered_total_nl
    commit = prepared(raw)
    first = raw.say(commit)
    assert isinstance(first, BolusCommitReply)
    assert (first.result.dup, first.result.outcome) == (False, Outcome.RUNNING)
    while_running = raw.say(commit)
    assert (while_running.result.dup, while_running.result.outcome) == (True, Outcome.RUNNING)
    pump_rig.advance(DURATION_S * 1_000)
    check_refusal(
        raw.say(commit._replace(token=commit.token ^ 1)), ErrorCode.CMD_ID_MISMATCH
    )  # somebody else's
    afterwards = raw.say(commit)
    assert (afterwards.result.dup, afterwards.result.outcome) == (True, Outcome.DONE)
    assert afterwards.delivered_nl == VOLUME_NL
    pump_rig.advance(DURATION_S * 1_000)
    raw.connect()
    assert raw.status().delivered_total_nl - before_nl <= VOLUME_NL + 2 * 500
    entry = query(raw, commit.cmd_id)
    assert (entry.outcome, entry.op, entry.cmd_crc) == (
        Outcome.DONE,
        Opcode.BOLUS_COMMIT,
        cmd_crc(Opcode.BOLUS_COMMIT, commit),
    )


@verifies("LED-002")
@needs("reset", "time", "power")
def test_a_command_that_is_repeated_in_another_session_and_after_a_restart_still_executes_once(
    raw: RawClient, pump_rig: Rig
) -> None:
    commit = prepared(raw)
    raw.say(commit)
    pump_rig.advance(DURATION_S * 1_000)
    delivered_nl = raw.status().delivered_total_nl
    raw.end_session()
    raw.connect()
    assert raw.say(commit).result.outcome is Outcome.DONE
    pump_rig.power_cut()
    pump_rig.power_restore()
    raw.connect()
    again = raw.say(commit)
    assert (again.result.dup, again.result.outcome, again.delivered_nl) == (True, Outcome.DONE, VOLUME_NL)
    pump_rig.advance(DURATION_S * 1_000)
    raw.connect()
    assert raw.status().delivered_total_nl - delivered_nl <= 2 * 500


@verifies("LED-003")
@needs("reset")
def test_the_same_id_with_other_content_is_refused_and_the_first_command_stays_what_it_is(
    raw: RawClient,
) -> None:
    commit = prepared(raw)
    raw.say(commit)
    for other in (
        commit._replace(volume_nl=VOLUME_NL + 500),
        commit._replace(duration_s=DURATION_S + 1),
        Resume(commit.cmd_id, commit.program_rev),
    ):
        check_refusal(raw.say(other), ErrorCode.CMD_ID_MISMATCH)
    entry = query(raw, commit.cmd_id)
    assert (entry.outcome, entry.op) == (Outcome.RUNNING, Opcode.BOLUS_COMMIT)


@verifies("LED-004")
@needs("reset")
def test_a_voided_command_can_never_run_not_even_in_a_later_session(
    raw: RawClient,
) -> None:
    commit = prepared(raw)
    voided = raw.say(VoidCmd(commit.cmd_id))
    assert isinstance(voided, VoidCmdReply)
    assert voided.outcome is Outcome.VOIDED
    for _ in range(2):
        answer = raw.say(commit)
        check_refusal(answer, answer.code)
        assert query(raw, commit.cmd_id).outcome is Outcome.VOIDED
        assert raw.status().bolus_cmd_id == 0
        raw.connect()


@verifies("LED-004", "LOG-001")
@needs("reset")
def test_voiding_is_logged_once_and_does_not_touch_a_command_that_was_carried_out(pump: Programmer) -> None:
    done = pump.stop(3_600)
    mark = LogMark(pump)
    assert pump.void(done.cmd_id).outcome is Outcome.DONE
    assert mark.types(pump) == []
    assert pump.void(done.cmd_id + 1).outcome is Outcome.VOIDED
    assert pump.void(done.cmd_id + 1).outcome is Outcome.VOIDED
    assert mark.types(pump) == [LogType.CMD_VOID]
    assert pump.status().state is State.STOP


@verifies("LED-005")
@needs("reset")
def test_an_id_may_leap_so_far_and_no_further(raw: RawClient) -> None:
    raw.say(Stop(1, 3_600, StopReason.CLINICAL))
    rev = raw.status().program_rev
    error = check_refusal(raw.say(Resume(1 + STEP_MAX + 1, rev)), ErrorCode.CMD_ID_RANGE)
    assert (error.limit, error.nearest) == (1 + STEP_MAX, 2)
    assert isinstance(raw.say(Resume(1 + STEP_MAX, rev)), ResumeReply)
    status = raw.status()
    assert (status.last_cmd_id, status.state) == (1 + STEP_MAX, State.RUN)


@verifies("LED-005")
def test_no_id_and_the_id_of_nobody_are_refused(raw: RawClient) -> None:
    status = raw.status()
    for cmd_id in (0, 0xFFFF_FFFF):
        answer = raw.say(Resume(cmd_id, status.program_rev))
        assert answer.code in (ErrorCode.CMD_ID_RANGE, ErrorCode.CMD_ID_OLD)
        check_refusal(answer, answer.code)
    assert raw.status().last_cmd_id == status.last_cmd_id


@verifies("LED-006", "LED-001")
@needs("reset")
def test_a_refused_id_answers_refused_and_may_be_used_again(raw: RawClient) -> None:
    commit = prepared(raw)
    check_refusal(raw.say(commit._replace(token=commit.token ^ 1)), ErrorCode.TOKEN)
    asked = query(raw, commit.cmd_id)
    assert (asked.outcome, asked.reason) == (Outcome.REFUSED, ErrorCode.TOKEN)
    again = raw.say(prepared(raw, commit.cmd_id))
    assert (again.result.dup, again.result.outcome) == (False, Outcome.RUNNING)


@verifies("LED-008")
@needs("reset")
def test_outcomes_are_kept_for_the_last_eight_commands_of_a_key(raw: RawClient) -> None:
    for cmd_id in range(1, 13):
        assert isinstance(raw.say(Stop(cmd_id, 3_600, StopReason.CLINICAL)), StopReply)
    assert [query(raw, cmd_id).outcome for cmd_id in range(5, 13)] == [Outcome.DONE] * 8
    assert [query(raw, cmd_id).outcome for cmd_id in range(1, 5)] == [Outcome.TOO_OLD] * 4
    assert query(raw, 13).outcome is Outcome.NEVER_RECEIVED


@verifies("LED-008")
@needs("reset")
def test_a_repeat_of_a_command_that_has_left_the_ledger_is_refused_as_old(raw: RawClient) -> None:
    rev = raw.status().program_rev
    for cmd_id in range(1, 12):
        assert isinstance(raw.say(Resume(cmd_id, rev)), ResumeReply)
    check_refusal(raw.say(Resume(1, rev)), ErrorCode.CMD_ID_OLD)


@verifies("LED-009")
@needs("reset")
def test_each_key_has_ids_of_its_own_and_only_a_clinician_may_ask_for_anothers(
    pump: Programmer, pump_as: Callable[[Role], Programmer]
) -> None:
    stopped = pump.stop(3_600)
    pump.end_session()
    patient = pump_as(Role.PATIENT)
    assert patient.status().last_cmd_id == 0
    assert patient.query(stopped.cmd_id).outcome is Outcome.NEVER_RECEIVED
    with refused(ErrorCode.ROLE):
        patient.query(stopped.cmd_id, pump.key.key_id)
    patients = patient.stop(3_600)
    patient.end_session()
    patient_key_id = development_key(Role.PATIENT).key_id
    assert pump.query(patients.cmd_id, patient_key_id).outcome is Outcome.DONE


@verifies("LED-001")
def test_patient_and_service_may_ask_for_their_own_commands(pump_as: Callable[[Role], Programmer]) -> None:
    for role in (Role.PATIENT, Role.SERVICE):
        pump = pump_as(role)
        assert pump.query(pump.status().last_cmd_id + 1).outcome is Outcome.NEVER_RECEIVED
        pump.end_session()
