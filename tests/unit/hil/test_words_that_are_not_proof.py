"""A refusal that leaves open whether anything was done, and a memory that proves nothing, are no "it was not done"."""

import pytest

from hil.bench_of_test import TestBench
from hil.deadline import Deadline
from hil.errors import OutcomeUnknown
from hil.noise import FaultyLine
from hil.outcome_store import FiledCommand, OutcomeStore
from hil.programmer.client_session import Answer, Refused, Replied
from hil.programmer.programmer import Programmer
from protocol.identifiers import ErrorClass, ErrorCode, Opcode, Outcome, State, StateChanged
from protocol.messages.errors import ErrorReply
from tests.unit.hil.test_answers_that_find_no_room import VOLUME_NL, HookedLine


def refuse_after_acting(
    pump: Programmer, monkeypatch: pytest.MonkeyPatch, opcode: Opcode, error: ErrorReply
) -> None:
    """Let the pump carry out the next request of this opcode, and answer it with this refusal all the same."""
    ask, left = pump.session.ask, [opcode]

    def ask_and_doubt(asked: Opcode, payload: bytes, deadline: Deadline) -> Answer:
        answer = ask(asked, payload, deadline)
        if asked not in left:
            return answer
        left.remove(asked)
        assert isinstance(answer, Replied)
        return Refused(error)

    monkeypatch.setattr(pump.session, "ask", ask_and_doubt)


@pytest.mark.parametrize("changed", [StateChanged.UNKNOWN, StateChanged.YES])
@pytest.mark.parametrize(
    ("error_class", "code"),
    [
        (ErrorClass.DEVICE, ErrorCode.MOTOR),
        (ErrorClass.SESSION, ErrorCode.NO_SESSION),
        (ErrorClass.SESSION, ErrorCode.SESSION_EXPIRED),
    ],
)
def test_a_refusal_that_does_not_promise_that_nothing_was_done_is_asked_about(
    bench: TestBench,
    monkeypatch: pytest.MonkeyPatch,
    error_class: ErrorClass,
    code: ErrorCode,
    changed: StateChanged,
) -> None:
    pump = bench.open_programmer()
    refuse_after_acting(pump, monkeypatch, Opcode.BOLUS_COMMIT, ErrorReply(error_class, code, changed))
    executed = pump.bolus(VOLUME_NL, 600)
    assert (executed.cmd_id, executed.outcome, executed.answer) == (1, Outcome.RUNNING, None)
    bench.target.rig.advance(700_000)
    assert pump.delivery().bolus_nl == VOLUME_NL


def test_not_started_is_not_believed_of_a_memory_that_proves_nothing(bench: TestBench) -> None:
    line = HookedLine(bench.channel)
    pump = Programmer(line, store=OutcomeStore())
    pump.connect()
    memory_id = pump.info().memory_id
    pump.ledger.unknown()
    prepared = pump.prepare_bolus(VOLUME_NL, 600)
    bench.target.rig.power_cut(2)
    line.hook, line.after = (lambda: bench.target.rig.power_restore(1_000)), 2  # COMMIT, then a greeting
    assert pump.commit_bolus(prepared).outcome is Outcome.NOT_STARTED
    (sent,) = pump.store.commands(memory_id)
    without_marks = OutcomeStore()
    without_marks.file(memory_id, FiledCommand(sent.cmd_id, sent.opcode, sent.cmd_crc, VOLUME_NL))
    again = Programmer(FaultyLine(bench.channel), store=without_marks)
    again.connect()
    with pytest.raises(OutcomeUnknown, match="says NOT_STARTED, and cannot prove that it is the memory"):
        again.ledger.resolve()


def test_a_command_is_filed_with_the_last_log_entry_before_it(bench: TestBench) -> None:
    pump = bench.open_programmer()
    before = pump.status().last_seq
    given = pump.bolus(VOLUME_NL, 600)
    filed = pump.ledger.filed(given.cmd_id)
    assert filed is not None
    assert filed.after_seq == before > 0


def test_an_id_that_a_stop_did_not_use_up_is_not_missed_in_the_next_session(bench: TestBench) -> None:
    """A STOP acts under any id; one that is too far ahead is not recorded [SPEC 5, R8]."""
    pump = bench.open_programmer()
    memory_id = pump.info().memory_id
    far = FiledCommand(2 * 65_536, Opcode.STOP, 0)
    pump.store.file(memory_id, far)
    pump.store.settle(memory_id, far, Outcome.NEVER_RECEIVED.name)
    stopped = pump.stop()
    assert (stopped.cmd_id, stopped.dup, stopped.reply.state) == (far.cmd_id + 1, True, State.STOP)
    pump.end_session()
    pump.ledger.unknown()
    assert not [notice for notice in pump.notices if "lost memory" in notice]
