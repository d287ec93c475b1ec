"""A recorded session as a device: the same programmer hears the same, and what was not recorded is never done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from hil.cli import main
from hil.errors import DeviceRefused, UsageError
from hil.outcome_store import FiledCommand, OutcomeStore
from hil.programmer.client_session import NoReply
from hil.programmer.entropy import SeededEntropy
from hil.programmer.programmer import Programmer
from hil.replay.channel import ReplayLine
from hil.replay.conversation import Answer, Conversation, Exchange
from hil.replay.device import OnMiss, ReplayDevice
from protocol.codec.layouts import encode
from protocol.identifiers import (
    DeviceKind,
    ErrorCode,
    Kind,
    Opcode,
    Outcome,
    Role,
    StateChanged,
    StopReason,
    TimeSetReason,
)
from protocol.link.development_keys import development_key
from protocol.log.types import LogType
from protocol.messages.bolus import BolusCancel, BolusCommit, BolusCommitReply, PatientBolus, Prime
from protocol.messages.errors import ErrorReply
from protocol.messages.ledger import QueryCmd, QueryCmdReply, VoidCmd
from protocol.messages.program import ProgCommit
from protocol.messages.reading import GetInfo, GetStatus
from protocol.messages.stop import Resume, Stop
from protocol.messages.time import TimeSet
from protocol.registry import cmd_crc
from tests.unit.hil.replay.scripts import (
    BOLUS_NL,
    BOLUS_S,
    ask,
    device_of,
    index_of,
    programmer_on,
    run,
    said,
    visit,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from protocol.messages.command import Request

# --- the same programmer ---------------------------------------------------------------------------------------------


def test_the_same_programmer_has_the_same_conversation(visit_file: Path, tmp_path: Path) -> None:
    run(f"replay:{visit_file}", visit, tmp_path / "again.pcapng")
    assert said(tmp_path / "again.pcapng") == said(visit_file)


def test_the_replay_of_a_replay_is_the_same_too(visit_file: Path, tmp_path: Path) -> None:
    run(f"replay:{visit_file}", visit, tmp_path / "again.pcapng")
    run(f"replay:{tmp_path / 'again.pcapng'}", visit, tmp_path / "third.pcapng")
    assert said(tmp_path / "third.pcapng") == said(visit_file)


def test_another_time_of_day_is_set_and_told_as_it_was_set(tmp_path: Path) -> None:
    def at(wall_s: int) -> Callable[[Programmer, Any], None]:
        def script(pump: Programmer, _target: Any) -> None:
            heard.append(
                pump.set_time(wall_s, 60, reason=TimeSetReason.FIRST_SET, confirm=True).reply.delta_s
            )
            heard.append(pump.set_time(wall_s + 5, 60).reply.delta_s)
            heard.append(pump.status().wall_s)

        return script

    heard: list[int] = []
    run("emulator", at(700_000_000), tmp_path / "a.pcapng")
    first, heard[:] = list(heard), []
    run(f"replay:{tmp_path / 'a.pcapng'}", at(700_001_000), None)
    assert heard == [first[0] + 1_000 if first[0] != -0x8000_0000 else first[0], first[1], first[2] + 1_000]


def test_it_says_that_it_is_a_replay_with_a_memory_of_its_own(conversation: Conversation) -> None:
    ids = set()
    for seed in "ab":
        device = ReplayDevice(conversation, SeededEntropy(seed))
        info = programmer_on(device).info()
        assert (info.kind, info.memory_id) == (DeviceKind.REPLAY, device.memory_id)
        ids.add(info.memory_id)
    assert len(ids | set(conversation.memories)) == 3


def test_the_command_line_shows_it_as_a_replay(visit_file: Path) -> None:
    done = CliRunner().invoke(main.cli, ["program", "info", "--target", f"replay:{visit_file}"])
    assert done.exit_code == 0, done.output
    assert "REPLAY" in done.output


def test_a_replay_has_no_rig_and_no_time_that_could_be_turned(visit_file: Path) -> None:
    def script(_pump: Programmer, target: Any) -> None:
        assert target.capabilities == frozenset()
        with pytest.raises(UsageError, match="no rig"):
            target.rig.advance(1)

    run(f"replay:{visit_file}", script)


# --- what was not recorded is not done -------------------------------------------------------------------------------

NEXT_ID = 1  # the recorded pump had seen none
NOT_RECORDED: list[Request[Any]] = [
    BolusCommit(NEXT_ID, BOLUS_NL, BOLUS_S, 1, 1),  # another token
    BolusCommit(NEXT_ID, 2 * BOLUS_NL, BOLUS_S, 1, 1),
    Prime(NEXT_ID, BOLUS_NL, BOLUS_S, 1, 1),
    ProgCommit(NEXT_ID, 1, 1, start=True),
    Resume(NEXT_ID, 1),
    Stop(NEXT_ID, 3_600, StopReason.CLINICAL),
    BolusCancel(NEXT_ID, 0, 3),
    TimeSet(NEXT_ID, 700_000_000, 0, TimeSetReason.DRIFT),
]


@pytest.mark.parametrize("on_miss", list(OnMiss))
@pytest.mark.parametrize("message", NOT_RECORDED, ids=lambda message: type(message).__name__)
def test_a_command_that_was_not_recorded_is_refused_and_never_looks_done(
    conversation: Conversation, message: Request[Any], on_miss: OnMiss
) -> None:
    device = device_of(conversation, on_miss=on_miss)
    with programmer_on(device) as pump:
        before = pump.status()
        refused = ask(pump, message)
        assert (refused.code, refused.state_changed) == (ErrorCode.UNSUPPORTED_OP, StateChanged.NO)
        told = ask(pump, QueryCmd(NEXT_ID))
        assert (told.outcome, told.reason, told.delivered_nl) == (
            Outcome.REFUSED,
            ErrorCode.UNSUPPORTED_OP,
            0,
        )
        later = ask(pump, GetStatus())  # the recorded pump was read only when its bolus ran
        if not isinstance(later, ErrorReply):
            assert (later.bolus_cmd_id, later.last_cmd_id, later.activity) == (0, 0, before.activity)
            assert later.delivered_total_nl == before.delivered_total_nl


def test_a_refused_id_is_never_that_of_the_recorded_command(
    pump: Programmer, conversation: Conversation
) -> None:
    """The same number as in the recording: what is told of that is told under the id that it has in this run."""
    prepared = pump.prepare_bolus(BOLUS_NL, BOLUS_S)
    assert isinstance(
        ask(pump, BolusCommit(NEXT_ID, 2 * BOLUS_NL, BOLUS_S, prepared.announced.token, 1)), ErrorReply
    )
    commit = BolusCommit(NEXT_ID + 1, BOLUS_NL, BOLUS_S, prepared.announced.token, prepared.program_rev)
    assert ask(pump, commit).result.outcome is Outcome.RUNNING
    status = ask(pump, GetStatus())
    assert (status.bolus_cmd_id, status.last_cmd_id) == (NEXT_ID + 1, NEXT_ID + 1)
    assert ask(pump, QueryCmd(NEXT_ID)).outcome is Outcome.REFUSED
    mine = ask(pump, QueryCmd(NEXT_ID + 1))
    assert (mine.outcome, mine.cmd_crc) == (Outcome.RUNNING, cmd_crc(Opcode.BOLUS_COMMIT, commit))


def test_what_was_recorded_of_another_command_is_not_said_of_a_refused_one_of_its_number(
    conversation: Conversation,
) -> None:
    """Somebody asked the recorded pump for an id that nobody has sent in the recording, and it was done."""
    first = conversation.exchanges[0]
    told = QueryCmdReply(Outcome.DONE, Opcode.BOLUS_COMMIT, 0, 1, BOLUS_NL, 0, 1, 2)
    answer = Answer(first.number, None, Kind.RESPONSE, encode(told), told)
    query = QueryCmd(9)
    asked = Exchange(first.number, None, first.greeting, Opcode.QUERY_CMD, encode(query), query, answer)
    conversation.exchanges[:1] = [first, asked]
    for refused_before, outcome in ((False, Outcome.NEVER_RECEIVED), (True, Outcome.REFUSED)):
        with programmer_on(device_of(conversation)) as pump:
            pump.status()
            if refused_before:
                assert isinstance(ask(pump, BolusCommit(9, 2 * BOLUS_NL, BOLUS_S, 1, 1)), ErrorReply)
            assert ask(pump, query).outcome is outcome


def test_the_log_names_the_command_by_its_id_and_check_value_of_this_run(conversation: Conversation) -> None:
    with programmer_on(device_of(conversation), store=_store_at(40)) as pump:
        history = visit(pump)
        filed = pump.store.commands(pump.info().memory_id)
    assert [each.cmd_id for each in filed] == [41, 42]
    (intent,) = [each for each in history.entries if each.type is LogType.CMD_INTENT]
    assert (intent.cmd_id, intent.details().cmd_crc) == (41, filed[0].cmd_crc)


def _store_at(last_cmd_id: int) -> OutcomeStore:
    """A store of a programmer that has used up so many ids at this pump, of which it forgot the outcomes."""
    store = OutcomeStore()
    store.next_cmd_id = lambda *known: max(last_cmd_id, OutcomeStore.next_cmd_id(store, *known) - 1) + 1  # type: ignore[method-assign]
    return store


def test_a_patients_bolus_that_was_not_recorded_is_refused(conversation: Conversation) -> None:
    with programmer_on(device_of(conversation), role=Role.PATIENT) as handset:
        refused = ask(handset, PatientBolus(NEXT_ID))
        assert refused.state_changed == StateChanged.NO
        assert ask(handset, QueryCmd(NEXT_ID)).outcome is Outcome.REFUSED


def test_the_same_visit_a_second_time_is_refused_from_its_bolus_on(conversation: Conversation) -> None:
    line = ReplayLine(device_of(conversation, on_miss=OnMiss.NEAREST))
    with programmer_on(line) as pump:
        visit(pump)
    with programmer_on(line) as pump:
        with pytest.raises(DeviceRefused):
            pump.prepare_bolus(BOLUS_NL, BOLUS_S)
        commit = recorded_commit(conversation)._replace(cmd_id=9)
        assert ask(pump, commit).state_changed == StateChanged.NO
        assert ask(pump, QueryCmd(9)).outcome is Outcome.REFUSED


def recorded_commit(conversation: Conversation) -> Any:
    return conversation.exchanges[index_of(conversation, Opcode.BOLUS_COMMIT)].request


# --- the ledger ------------------------------------------------------------------------------------------------------


def test_a_repeated_id_is_answered_as_the_ledger_would(pump: Programmer, conversation: Conversation) -> None:
    pump.prepare_bolus(BOLUS_NL, BOLUS_S)
    commit = recorded_commit(conversation)._replace(cmd_id=5)
    first = ask(pump, commit)
    again = ask(pump, commit)
    assert isinstance(again, BolusCommitReply)
    assert (first.result.dup, again.result.dup) == (False, True)
    assert again.result.outcome is Outcome.RUNNING
    assert ask(pump, commit._replace(volume_nl=500)).code is ErrorCode.CMD_ID_MISMATCH
    assert ask(pump, commit._replace(cmd_id=4)).code is ErrorCode.CMD_ID_OLD
    assert ask(pump, commit._replace(cmd_id=0)).code is ErrorCode.CMD_ID_RANGE
    assert ask(pump, commit._replace(cmd_id=5 + 65_537)).code is ErrorCode.CMD_ID_RANGE
    assert ask(pump, QueryCmd(5)).outcome is Outcome.RUNNING
    assert ask(pump, QueryCmd(4)).outcome is Outcome.NEVER_RECEIVED


def test_what_was_cancelled_is_told_as_it_ended(conversation: Conversation) -> None:
    with programmer_on(device_of(conversation)) as pump:
        visit(pump)
        told = ask(pump, QueryCmd(NEXT_ID))
    assert (told.outcome, told.delivered_nl) == (Outcome.PARTIAL, cancelled(conversation).delivered_nl)


def cancelled(conversation: Conversation) -> Any:
    answer = conversation.exchanges[index_of(conversation, Opcode.BOLUS_CANCEL)].answer
    assert answer is not None
    return answer.message


def test_a_recorded_cancel_acts_under_an_id_that_cannot_be_entered_and_leaves_that_as_it_is(
    pump: Programmer, conversation: Conversation
) -> None:
    pump.prepare_bolus(BOLUS_NL, BOLUS_S)
    assert not ask(pump, recorded_commit(conversation)).result.dup
    ended = ask(pump, BolusCancel(NEXT_ID, 0, 3))
    assert (ended.result.dup, ended.target_outcome) == (True, Outcome.PARTIAL)
    assert ask(pump, QueryCmd(NEXT_ID)).op == Opcode.BOLUS_COMMIT
    assert ask(pump, GetStatus()).last_cmd_id == NEXT_ID, "not the recorded 2, which nobody has sent here"


def test_an_identity_that_cannot_be_read_is_not_passed_on(conversation: Conversation) -> None:
    """It may say that it is a pump."""
    for exchange in conversation.exchanges:
        if exchange.opcode == Opcode.GET_INFO and exchange.answer is not None:
            exchange.answer = exchange.answer._replace(message=None)
    device = device_of(conversation)
    with programmer_on(device) as pump:
        pump.prepare_bolus(BOLUS_NL, BOLUS_S)
        assert isinstance(ask(pump, GetInfo()), ErrorReply)
    assert "is the same, and what was said there is not so in this run" in device.tally.misses[0]


def test_an_id_that_was_voided_never_acts(pump: Programmer, conversation: Conversation) -> None:
    pump.prepare_bolus(BOLUS_NL, BOLUS_S)
    assert ask(pump, VoidCmd(NEXT_ID)).outcome is Outcome.VOIDED
    assert ask(pump, recorded_commit(conversation)).code is ErrorCode.CMD_ID_MISMATCH
    assert ask(pump, QueryCmd(NEXT_ID)).outcome is Outcome.VOIDED


def test_a_command_whose_end_nobody_recorded_is_never_said_to_have_done_nothing(
    conversation: Conversation,
) -> None:
    """Its answer got lost, and the recording ends before anybody asked."""
    at = index_of(conversation, Opcode.BOLUS_COMMIT)
    conversation.exchanges[at].answer = None
    del conversation.exchanges[at + 1 :]
    commit = recorded_commit(conversation)
    with programmer_on(device_of(conversation)) as pump:
        pump.status()
        pump.prepare_bolus(BOLUS_NL, BOLUS_S)
        for message in (commit, commit, QueryCmd(NEXT_ID), VoidCmd(NEXT_ID)):
            assert isinstance(ask(pump, message), NoReply), message


@pytest.mark.parametrize("outcome", [Outcome.DONE, Outcome.NEVER_RECEIVED])
def test_a_command_whose_answer_was_lost_is_what_was_found_out_later(
    conversation: Conversation, outcome: Outcome
) -> None:
    at = index_of(conversation, Opcode.BOLUS_COMMIT)
    commit = conversation.exchanges[at]
    commit.answer = None
    told = QueryCmdReply(outcome, Opcode.BOLUS_COMMIT, 0, 0, BOLUS_NL, 0, 1, 2)
    reply = Answer(commit.number, None, Kind.RESPONSE, encode(told), told)
    query = QueryCmd(commit.request.cmd_id)
    asked = Exchange(commit.number, None, commit.greeting, Opcode.QUERY_CMD, encode(query), query, reply)
    conversation.exchanges[at + 1 :] = [asked]
    with programmer_on(device_of(conversation)) as pump:
        pump.status()
        pump.prepare_bolus(BOLUS_NL, BOLUS_S)
        assert isinstance(ask(pump, commit.request._replace(cmd_id=3)), NoReply)
        found = [ask(pump, QueryCmd(3)) for _ in range(2)]
    assert [each.outcome for each in found] == [outcome, outcome]


# --- nothing of it on file -------------------------------------------------------------------------------------------


def test_a_programmer_keeps_no_outcome_of_a_replay_on_file(
    conversation: Conversation, tmp_path: Path
) -> None:
    path, key = tmp_path / "state.json", development_key(Role.CLINICIAN).key
    real = FiledCommand(
        7, Opcode.BOLUS_COMMIT, 1, BOLUS_NL
    )  # of the pump that was recorded, and not known yet
    with OutcomeStore(path, key=key) as store:
        (memory_id,) = conversation.memories
        store.name_pump(memory_id, "EMU000000001")
        store.file(memory_id, real)
    before = path.read_text()
    device = device_of(conversation, on_miss=OnMiss.NEAREST)  # who has a file asks more than who has none
    with programmer_on(device, OutcomeStore(path, key=key)) as pump:
        visit(pump)
        assert [each.outcome for each in pump.store.commands(device.memory_id)] == ["RUNNING", "DONE"]
    assert path.read_text() == before
    with OutcomeStore(path, key=key) as store:
        assert store.unknown_commands(memory_id) == (real,)


def test_a_pump_that_says_it_is_a_replay_hides_nothing_that_is_on_file(tmp_path: Path) -> None:
    with OutcomeStore(tmp_path / "state.json") as store:
        store.file(1, FiledCommand(7, Opcode.BOLUS_COMMIT, 1, BOLUS_NL))
        store.keep_on_file(1, durable=False)
        store.file(1, FiledCommand(8, Opcode.BOLUS_COMMIT, 1, BOLUS_NL))
        assert [each.cmd_id for each in store.commands(1)] == [8]
        store.keep_on_file(1, durable=True)
        assert [each.cmd_id for each in store.commands(1)] == [7]
    with OutcomeStore(tmp_path / "state.json") as store:
        assert [each.cmd_id for each in store.commands(1)] == [7]
