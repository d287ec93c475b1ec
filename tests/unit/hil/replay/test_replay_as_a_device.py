"""A recorded session as a device: the same programmer hears the same, and what was not recorded is never done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from hil.capture.messages import RecordedMessage, read_messages
from hil.cli import main
from hil.errors import BadConfiguration, DeviceRefused, UsageError
from hil.outcome_store import FiledCommand, OutcomeStore
from hil.programmer.client_session import NoReply, Refused, Replied
from hil.programmer.entropy import SeededEntropy
from hil.programmer.programmer import Programmer
from hil.replay.channel import ReplayChannel, ReplayLine
from hil.replay.conversation import Answer, Conversation, Exchange, Hint, conversation_of, read_conversation
from hil.replay.device import OnMiss, ReplayDevice
from hil.replay.timing import ASKED, ORIGINAL, Timing, timing_named
from protocol.capture import recording
from protocol.codec.layouts import decode, encode
from protocol.identifiers import (
    DeviceKind,
    ErrorCode,
    EventFlag,
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
from protocol.messages.conversation import EventHint, GetLinkStats, Subscribe, SubscribeReply
from protocol.messages.errors import ErrorReply
from protocol.messages.ledger import QueryCmd, QueryCmdReply, VoidCmd
from protocol.messages.program import ProgCommit
from protocol.messages.reading import GetDelivery, GetInfo, GetInfoReply, GetStatus
from protocol.messages.stop import Resume, Stop
from protocol.messages.time import TimeSet
from protocol.registry import cmd_crc, command_of
from tests.unit.hil.replay.scripts import BOLUS_NL, BOLUS_S, recorded_visit, run, said, visit
from tests.unit.hil.test_decode import recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from protocol.messages.command import Request

NS_PER_S = 1_000_000_000


@pytest.fixture(scope="module")
def visit_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A visit to an emulated pump, recorded."""
    return recorded_visit(tmp_path_factory.mktemp("visit") / "visit.pcapng")


@pytest.fixture
def conversation(visit_file: Path) -> Conversation:
    return read_conversation(visit_file)


def device_of(conversation: Conversation, **settings: Any) -> ReplayDevice:
    return ReplayDevice(conversation, SeededEntropy("replay"), **settings)


def programmer_on(
    device: ReplayDevice | ReplayLine, store: OutcomeStore | None = None, role: Role = Role.CLINICIAN
) -> Programmer:
    channel = ReplayChannel(device if isinstance(device, ReplayLine) else ReplayLine(device))
    programmer = Programmer(
        channel, key=development_key(role), store=store or OutcomeStore(), entropy=SeededEntropy("programmer")
    )
    programmer.connect()
    return programmer


@pytest.fixture
def pump(conversation: Conversation) -> Iterator[Programmer]:
    """A programmer on the replay of the visit, which has looked at the status as the recorded one did."""
    with programmer_on(device_of(conversation)) as programmer:
        programmer.status()
        yield programmer


def ask(pump: Programmer, message: Request[Any]) -> Any:
    """One request as it is, past the ledger of this side; its reply, its refusal, or that nothing came."""
    pump.requester.ensure_session(pump.requester.deadline())
    opcode = command_of(type(message)).opcode
    match pump.session.ask(opcode, encode(message), pump.requester.deadline()):
        case Replied(payload=payload):
            return decode(message.reply_class(), payload)
        case Refused(error=error):
            return error
        case NoReply() as nothing:
            return nothing


def index_of(conversation: Conversation, opcode: Opcode) -> int:
    return next(i for i, each in enumerate(conversation.exchanges) if each.opcode == opcode)


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


# --- misses ----------------------------------------------------------------------------------------------------------


def test_a_miss_names_the_field_of_the_nearest_and_its_packet(conversation: Conversation) -> None:
    heard: list[str] = []
    device = device_of(conversation, tell=heard.append)
    prepare = conversation.exchanges[index_of(conversation, Opcode.BOLUS_PREPARE)]
    with programmer_on(device) as pump:
        pump.status()
        with pytest.raises(DeviceRefused):
            pump.prepare_bolus(3 * BOLUS_NL, BOLUS_S)
    assert heard == device.tally.misses
    (sentence,) = heard
    assert sentence == (
        f"BOLUS_PREPARE was asked, and the recording has none like it here: in packet {prepare.number}, the nearest, "
        "volume_nl was 20000 and is 60000; it is refused, and nothing is done"
    )


def test_a_miss_says_what_has_passed_what_comes_later_and_what_there_is_none_of(
    conversation: Conversation,
) -> None:
    device = device_of(conversation)
    with programmer_on(device) as pump:
        pump.status()
        for message in (GetDelivery(), GetLinkStats(clear=False)):
            assert isinstance(ask(pump, message), ErrorReply)
        pump.bolus(BOLUS_NL, BOLUS_S)
        pump.delivery()
        assert isinstance(ask(pump, GetDelivery()), ErrorReply)
    delivery = conversation.exchanges[index_of(conversation, Opcode.GET_DELIVERY)].number
    prepare = conversation.exchanges[index_of(conversation, Opcode.BOLUS_PREPARE)].number
    early, none, late = device.tally.misses
    assert f"packet {delivery} is the same, and comes after BOLUS_PREPARE of packet {prepare}" in early
    assert "GET_LINK_STATS was asked, and the recording has none;" in none
    assert f"packet {delivery} is the same, and the conversation is past it" in late
    assert (device.tally.refused, device.tally.nearest, device.tally.missed) == (3, 0, 3)


def test_nearest_answers_a_question_with_what_was_said_before_and_counts_it(
    conversation: Conversation,
) -> None:
    device = device_of(conversation, on_miss=OnMiss.NEAREST)
    with programmer_on(device) as pump:
        first = pump.status()
        again = [pump.status() for _ in range(3)]
        assert again[-1] == first
        assert isinstance(ask(pump, GetDelivery()), ErrorReply), "it was not asked before the bolus"
    assert (device.tally.nearest, device.tally.refused) == (3 - _more_statuses(conversation), 1)


def _more_statuses(conversation: Conversation) -> int:
    """How many more there are before the bolus is prepared than the one that the visit asks first."""
    before = conversation.exchanges[: index_of(conversation, Opcode.BOLUS_PREPARE)]
    return sum(each.opcode == Opcode.GET_STATUS for each in before) - 1


def test_stop_ends_the_replay_at_the_first_miss(conversation: Conversation) -> None:
    device = device_of(conversation, on_miss=OnMiss.STOP)
    with programmer_on(device) as pump:
        pump.status()
        assert not device.stopped
        assert isinstance(ask(pump, GetLinkStats(clear=False)), ErrorReply)
        assert device.stopped
        prepare = conversation.exchanges[index_of(conversation, Opcode.BOLUS_PREPARE)]
        assert isinstance(ask(pump, prepare.request), ErrorReply), (
            "what was recorded is not answered any more either"
        )


def test_a_programmer_is_told_of_each_miss(visit_file: Path) -> None:
    def script(pump: Programmer, target: Any) -> None:
        told: list[str] = []
        target.tell_of_misses = told.append
        with pytest.raises(DeviceRefused):
            pump.link_stats()
        assert len(told) == 1

    run(f"replay:{visit_file}", script)


# --- time ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timing", "waits_ms"), [(ORIGINAL, 250), (Timing(10), 25), (ASKED, 0)], ids=["original", "x10", "asked"]
)
def test_an_answer_takes_the_time_that_it_took(
    conversation: Conversation, timing: Timing, waits_ms: int
) -> None:
    for exchange in conversation.exchanges:
        assert exchange.answer is not None
        assert exchange.since_ns is not None
        exchange.answer = exchange.answer._replace(since_ns=exchange.since_ns + NS_PER_S // 4)
    with programmer_on(device_of(conversation, timing=timing)) as pump:
        pump.session.wait(777)
        began_ms = pump.session.now_ms()
        pump.status()
        assert pump.session.now_ms() - began_ms == waits_ms


def with_hints(conversation: Conversation) -> EventHint:
    """Let the recorded pump send a hint 2 s and 5 s after a SUBSCRIBE, which comes first; the hint."""
    first = conversation.exchanges[index_of(conversation, Opcode.GET_STATUS)]
    hint = EventHint(EventFlag.BOLUS, 5, 6)
    subscribe, reply = Subscribe(EventFlag.BOLUS), SubscribeReply()
    answer = Answer(first.number, first.since_ns, Kind.RESPONSE, encode(reply), reply)
    assert first.since_ns is not None
    hints = [
        Hint(first.since_ns + seconds * NS_PER_S, Opcode.EVENT_HINT, encode(hint), hint) for seconds in (2, 5)
    ]
    asked = Exchange(
        first.number,
        first.since_ns,
        first.greeting,
        Opcode.SUBSCRIBE,
        encode(subscribe),
        subscribe,
        answer,
        hints,
    )
    conversation.exchanges.insert(0, asked)
    return hint


def test_no_hint_comes_to_who_has_not_subscribed(conversation: Conversation) -> None:
    with_hints(conversation)
    with programmer_on(device_of(conversation)) as pump:
        pump.status()
        assert pump.next_hint(60_000) is None


def test_hints_come_to_who_asked_for_them_and_when_they_came(conversation: Conversation) -> None:
    hint = with_hints(conversation)
    with programmer_on(device_of(conversation)) as pump:
        pump.subscribe(EventFlag.BOLUS)
        began_ms = pump.session.now_ms()
        assert pump.next_hint(10_000) == hint
        assert pump.session.now_ms() - began_ms == 2_000
        pump.status()  # sooner than in the recording: what came before it comes at once
        assert pump.next_hint(0) == hint
        assert pump.next_hint(60_000) is None


@pytest.mark.parametrize("text", ["", "x", "x0", "x1.5", "fast", "X2", "x1000000", "x-1"])
def test_what_is_no_timing_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError, match="no such timing"):
        timing_named(text)


# --- what cannot be replayed -----------------------------------------------------------------------------------------


def test_a_damaged_recording_is_not_replayed_unless_it_is_asked_for(visit_file: Path, tmp_path: Path) -> None:
    whole = visit_file.read_bytes()
    cut = tmp_path / "cut.pcapng"
    cut.write_bytes(whole[:-7])
    with pytest.raises(
        BadConfiguration, match=r"is damaged in one place; \d+ requests of it can be read; .*--in-part"
    ):
        read_conversation(cut)
    exchanges = read_conversation(cut, in_part=True).exchanges
    assert len(exchanges) in {len(read_conversation(visit_file).exchanges) - k for k in (0, 1)}


def test_a_sealed_recording_is_not_replayed(tmp_path: Path) -> None:
    sealed = recorded(tmp_path / "sealed.pcapng", secrets=False, key=bytes(16))
    with pytest.raises(BadConfiguration, match=r"has 6 sealed frames, and no key opens them.*--key"):
        read_conversation(sealed)


def test_a_recording_of_nothing_and_what_is_none_are_said_to_be_so(tmp_path: Path) -> None:
    empty, other = tmp_path / "empty.pcapng", tmp_path / "other.txt"
    empty.write_bytes(recording.beginning({}, "1"))
    other.write_text("no recording")
    for path, why in (
        (empty, "has no request in it"),
        (other, "is no recording"),
        (tmp_path / "no", "cannot be read"),
    ):
        with pytest.raises(BadConfiguration, match=why):
            read_conversation(path)


def test_sessions_of_two_pumps_are_not_taken_for_one(conversation: Conversation, visit_file: Path) -> None:
    at = index_of(conversation, Opcode.GET_INFO)
    entries = list(read_messages(visit_file))
    other = [_with_another_memory(entry) for entry in entries]
    both = conversation_of([*entries, *other])
    assert len(both.memories) == 2
    assert len(both.of_first_memory().exchanges) == len(conversation.exchanges) + at


def _with_another_memory(entry: Any) -> Any:
    if isinstance(entry, RecordedMessage) and isinstance(entry.message, GetInfoReply):
        return entry._replace(message=entry.message._replace(memory_id=1))
    return entry
