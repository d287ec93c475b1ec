"""A recorded session as a programmer: the same requests at another device, and what it answers otherwise, by field."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from hil.address import parse
from hil.capture.messages import RecordedMessage, read_messages
from hil.cli import main
from hil.cli.json_schema import json_schema
from hil.comparison.rules import Override, Rules
from hil.errors import (
    AnswerNotWritten,
    BenchLost,
    Declined,
    Interrupted,
    LeftStopped,
    NotTheSame,
    OutcomeUnknown,
    UsageError,
)
from hil.noise import Direction, FaultyLine
from hil.outcome_store import OutcomeStore
from hil.programmer.entropy import SystemEntropy
from hil.programmer.expected_pump import ExpectedPump
from hil.programmer.programmer import Programmer
from hil.replay.at_target import player_at
from hil.replay.conversation import read_conversation
from hil.replay.matching import only_asks
from hil.replay.timing import ASKED, ORIGINAL
from hil.replay.values import KIND_OF_FIELD, Volatile, translated
from hil.targets import make_target
from hil.targets.choices import PumpChoice
from hil.targets.emulated import EmulatedTarget
from protocol.codec.layouts import declared_classes
from protocol.codec.sameness import EXACT
from protocol.identifiers import Kind, Opcode
from protocol.wire.frame import Frame
from tests.unit.hil.replay.scripts import BOLUS_NL, BOLUS_S, SEED, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.channel import Channel
    from hil.replay.programmer import Played, Player
    from hil.targets.target import Target


USED = {f"BolusPrepareReply.{name}" for name in ("day_used_nl", "hour_used_nl")}
"""What the windows hold of boluses before."""


@contextmanager
def emulator(**choice: Any) -> Iterator[tuple[Target, Channel]]:
    target = make_target(parse("emulator"), PumpChoice(**{"seed": SEED, **choice}))
    target.start()
    with closing(target):
        yield target, target.open_channel()


@contextmanager
def playing(
    path: Path, *, lives_on: bool = False, timing: Any = ORIGINAL, rules: Rules | None = None, **choice: Any
) -> Iterator[Player]:
    with ExitStack() as stack:
        target, channel = stack.enter_context(emulator(**choice))
        conversation = read_conversation(path)
        yield player_at(
            target, channel, conversation, timing=timing, lives_on=lives_on, closing=stack, rules=rules
        )


def differences(played: list[Played]) -> list[tuple[str, str, object, object]]:
    return [(Opcode(each.exchange.opcode).name, *unlike) for each in played for unlike in each.differing]


def test_the_same_pump_answers_the_same(visit_file: Path) -> None:
    with playing(visit_file) as player:
        played = list(player.play())
    assert differences(played) == []
    assert len(played) == len(read_conversation(visit_file).exchanges)


def test_what_passes_is_yielded_as_messages_of_a_recording(visit_file: Path) -> None:
    with playing(visit_file) as player:
        now = [each for each in player.messages() if is_said(each)]
    then = [each for each in read_messages(visit_file) if isinstance(each, RecordedMessage) and is_said(each)]
    assert [each.message for each in now] == [each.message for each in then]
    assert [each.passed.time_ns for each in now] == [each.passed.time_ns for each in then]


def is_said(entry: RecordedMessage) -> bool:
    return isinstance(entry.frame, Frame) and entry.frame.kind is not Kind.HANDSHAKE


def test_another_pump_than_the_expected_one_is_asked_and_never_changed(visit_file: Path) -> None:
    with ExitStack() as stack, emulator() as (target, channel):
        target.expected_pump = ExpectedPump("bench:rig1", serial="PUMP-17")  # type: ignore[attr-defined]
        conversation = read_conversation(visit_file)
        player = player_at(target, channel, conversation, timing=ORIGINAL, lives_on=False, closing=stack)
        played: list[Played] = []
        with pytest.raises(BenchLost, match=r"another pump answers at bench:rig1"):
            played.extend(player.play())
        first = next(each for each in conversation.exchanges if not only_asks(each.command))
        assert conversation.exchanges[len(played)] is first


def test_another_dose_limit_is_named_by_message_and_field(visit_file: Path) -> None:
    with playing(visit_file, model={"hour_max_nl": 900_000}) as player:
        assert differences(list(player.play())) == [
            ("BOLUS_PREPARE", "BolusPrepareReply.hour_max_nl", 1_000_000, 900_000),
            ("GET_DELIVERY", "GetDeliveryReply.hour_max_nl", 1_000_000, 900_000),
        ]


def test_a_refusal_in_place_of_an_answer_is_named(visit_file: Path) -> None:
    with playing(visit_file, model={"bolus_max_nl": BOLUS_NL // 2}) as player:
        found = differences(list(player.play()))
    assert found[0] == ("BOLUS_PREPARE", "BOLUS_PREPARE.answer", "RESPONSE", "ERROR BOLUS_MAX")
    commit = ("BOLUS_COMMIT", "BOLUS_COMMIT.answer", "RESPONSE", "ERROR TOKEN")
    assert commit in found, "the recorded token permits nothing"


def test_a_pump_that_is_not_given_the_time_has_not_moved(visit_file: Path) -> None:
    """By a rule of one's own: by the declared one, times of a pump are other in each run."""
    own = Override("GetStatusReply", "t_mono_s", EXACT, "the same seed and times")
    rules = Rules({(own.message, own.field_path): own})
    for timing, different in ((ORIGINAL, False), (ASKED, True)):
        with playing(visit_file, timing=timing, rules=rules) as player:
            found = differences(list(player.play()))
        assert (("GET_STATUS", "GetStatusReply.t_mono_s", 3, 0) in found) is different


def test_ids_tokens_and_numbers_are_those_of_the_pump_that_is_there(visit_file: Path) -> None:
    """A pump with another chance, which has had commands and sessions before."""
    with emulator(seed=SEED + 1) as (target, channel), ExitStack() as stack:
        with Programmer(channel, store=OutcomeStore(), entropy=SystemEntropy()) as before:
            for _ in range(3):
                before.bolus(BOLUS_NL, BOLUS_S)
                before.cancel_bolus()
        player = player_at(
            target, channel, read_conversation(visit_file), timing=ASKED, lives_on=False, closing=stack
        )
        played = list(player.play())
        commands = {Opcode.BOLUS_PREPARE, Opcode.BOLUS_COMMIT, Opcode.BOLUS_CANCEL}
        wrong = [each for each in differences(played) if Opcode[each[0]] in commands]
        assert {field for _name, field, _then, _now in wrong} <= {
            "day_used_nl",
            "hour_used_nl",
            "end_t_mono_s",
        }
        with Programmer(channel, store=OutcomeStore(), entropy=SystemEntropy()) as after:
            assert after.status().last_cmd_id == 8


def test_a_command_that_met_no_session_is_not_sent_and_a_question_is(visit_file: Path) -> None:
    """The recorded pump did nothing then; a pump whose session lasts would do it now."""
    conversation = read_conversation(visit_file)
    lost = [
        each for each in conversation.exchanges if each.opcode in {Opcode.BOLUS_COMMIT, Opcode.GET_DELIVERY}
    ]
    for exchange in lost:
        exchange.met_no_session, exchange.answer = True, None
    with emulator() as (target, channel), ExitStack() as stack:
        player = player_at(target, channel, conversation, timing=ORIGINAL, lives_on=False, closing=stack)
        played = [Opcode(each.exchange.opcode) for each in player.play()]
    assert [Opcode(each.opcode) for each in player.left_out] == [Opcode.BOLUS_COMMIT]
    assert Opcode.BOLUS_COMMIT not in played
    assert Opcode.GET_DELIVERY in played


# --- commands --------------------------------------------------------------------------------------------------------


def test_a_command_that_nobody_answers_ends_it_and_is_on_file_as_unknown(
    visit_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    conversation = read_conversation(visit_file)
    commit = next(i for i, each in enumerate(conversation.exchanges) if each.opcode == Opcode.BOLUS_COMMIT)
    played: list[Played] = []
    with ExitStack() as stack:
        target, channel = stack.enter_context(emulator())
        line = FaultyLine(channel)
        line.drop(Direction.FROM_PUMP, 5, skip=2 + commit)
        player = player_at(target, line, conversation, timing=ORIGINAL, lives_on=True, closing=stack)
        with pytest.raises(OutcomeUnknown, match=r"what became of BOLUS_COMMIT of packet \d+ is not known"):
            played.extend(player.play())
        sent = [each for each in line.seen(Direction.TO_PUMP) if each == line.seen(Direction.TO_PUMP)[-1]]
        assert len(sent) > 1, "the commit and its repetitions are the last that was sent"
    (state,) = tmp_path.glob("**/programmer-*.json")
    (memory,) = json.loads(state.read_text())["memories"].values()
    assert [(each["cmd_id"], each["outcome"]) for each in memory["commands"]] == [(1, "")]


class BrokenOff:
    """A line on which something goes wrong when so many frames have been sent."""

    def __init__(self, inner: Channel, frames: int, error: BaseException) -> None:
        self._inner, self._left, self._error = inner, frames, error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def receive(self, deadline_ms: int) -> bytes:
        if self._left == 0:
            raise self._error
        return self._inner.receive(deadline_ms)

    def send(self, data: bytes) -> None:
        self._inner.send(data)
        self._left -= 1


@pytest.mark.parametrize(
    ("error", "at", "kind", "words"),
    [
        (
            BenchLost("it hung up"),
            Opcode.BOLUS_COMMIT,
            OutcomeUnknown,
            r"BOLUS_COMMIT of packet \d+ is not known",
        ),
        (BenchLost("it hung up"), Opcode.BOLUS_PREPARE, BenchLost, "it hung up"),
        (KeyboardInterrupt(), Opcode.BOLUS_COMMIT, OutcomeUnknown, "its answer was not waited for"),
        (
            KeyboardInterrupt(),
            Opcode.GET_DELIVERY,
            AnswerNotWritten,
            "1 of them change a pump; GET_DELIVERY of",
        ),
        (
            KeyboardInterrupt(),
            Opcode.BOLUS_PREPARE,
            Interrupted,
            r"2 recorded requests were played; BOLUS_PREPARE of packet \d+ was not",
        ),
    ],
)
def test_what_was_under_way_when_the_line_or_the_person_broke_it_off_is_said_to_be_so(
    visit_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    at: Opcode,
    kind: type[Exception],
    words: str,
) -> None:
    exchanges = read_conversation(visit_file).exchanges
    frames = 3 + next(i for i, each in enumerate(exchanges) if each.opcode == at)
    opened = EmulatedTarget.open_channel
    monkeypatch.setattr(EmulatedTarget, "open_channel", lambda self: BrokenOff(opened(self), frames, error))
    ended = replayed(visit_file, "--yes", "--seed", str(SEED)).exception
    assert isinstance(ended, kind)
    assert re.search(words, str(ended)), ended


def test_nothing_is_sent_to_a_pump_while_an_earlier_outcome_is_not_known(
    visit_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with playing(visit_file, lives_on=True) as player:
        list(player.play())
    (state,) = tmp_path.glob("**/programmer-*.json")
    document = json.loads(state.read_text())
    (memory,) = document["memories"].values()
    assert [(each["cmd_id"], each["outcome"]) for each in memory["commands"]] == [(1, "RUNNING"), (2, "DONE")]
    memory["commands"][0]["outcome"] = ""
    state.write_text(json.dumps(document))
    with (
        playing(visit_file, lives_on=True) as player,
        pytest.raises(OutcomeUnknown, match=r"nothing was sent.*COMMIT 1"),
    ):
        list(player.play())


# --- the command line ------------------------------------------------------------------------------------------------


def replayed(path: Path, *arguments: str, target: str = "emulator") -> Result:
    words = ["replay", str(path), "--as", "programmer", *arguments]
    env = {"PUMPBENCH_TARGET": ""}
    return CliRunner().invoke(main.cli, [*words, *(["--target", target] if target else [])], env=env)


def test_the_command_says_that_all_was_the_same(visit_file: Path) -> None:
    done = replayed(visit_file, "--yes", "--seed", str(SEED))
    assert done.exit_code == 0, done.output
    assert "16 of 16 recorded requests were played, and all were answered as in the recording" in done.stdout


def test_the_command_ends_at_the_first_difference_or_shows_all(visit_file: Path, tmp_path: Path) -> None:
    profile = tmp_path / "other.toml"
    profile.write_text('based_on = "implanted"\n\n[model]\nhour_max_nl = 900_000\n')
    options = ("--yes", "--seed", str(SEED), "--profile", str(profile), "--json")
    validator = jsonschema.Draft202012Validator(json_schema("replay"))
    for more, shown in (((), 1), (("--all",), 2)):
        done = replayed(visit_file, *options, *more)
        assert isinstance(done.exception, NotTheSame), done.output
        *lines, error = map(json.loads, done.stdout.splitlines())
        assert error["schema"] == "pumpbench/error"
        for line in lines:
            validator.validate(line)
        found = [line for line in lines if line["entry"] == "difference"]
        assert len(found) == shown
        place = "BolusPrepareReply.hour_max_nl"
        assert (found[0]["opcode"], found[0]["field"], found[0]["heard"]) == ("BOLUS_PREPARE", place, 900_000)
    assert "hour_max_nl was 1000000 in packet" in str(done.exception)


def test_without_a_target_or_a_yes_nothing_is_sent(visit_file: Path) -> None:
    refused = replayed(visit_file, "--yes", target="").exception
    assert isinstance(refused, UsageError)
    assert "nothing was sent: this changes a pump, and none is named" in str(refused)
    asked = replayed(visit_file).exception
    assert isinstance(asked, UsageError | Declined)
    assert "2 of which change a pump" in str(asked)


@pytest.mark.parametrize(("more", "exit_code"), [((), 14), (("--leave-stopped",), 0)])
def test_a_pump_that_a_recording_leaves_stopped_is_confirmed_a_second_time(
    on_a_port: tuple[str, str], tmp_path: Path, more: tuple[str, ...], exit_code: int
) -> None:
    run("emulator", lambda pump, _target: pump.stop(), tmp_path / "stop.pcapng")
    done = replayed(tmp_path / "stop.pcapng", "--yes", "--timing", "asked", *more, target=on_a_port[1])
    error = done.exception
    assert (error.exit_code if isinstance(error, LeftStopped) else done.exit_code) == exit_code, done.output


def test_an_option_of_the_other_side_is_wrong_usage(visit_file: Path) -> None:
    error = replayed(visit_file, "--strict").exception
    assert isinstance(error, UsageError)
    assert "--strict is for --as device alone" in str(error)


# --- values ----------------------------------------------------------------------------------------------------------


def test_each_field_that_holds_a_value_of_a_run_is_one_of_some_message() -> None:
    names = {name for each in declared_classes() for name in getattr(each, "_fields", ())}
    assert set(KIND_OF_FIELD) <= names


def test_what_is_translated_there_and_back_is_what_it_was(visit_file: Path) -> None:
    """Of every message of the visit, its log entries among them."""

    def moved(kind: Volatile, value: Any) -> Any:
        return value[::-1] if kind is Volatile.SESSION else value ^ 1

    messages = [
        each.message
        for each in read_messages(visit_file)
        if isinstance(each, RecordedMessage) and each.message is not None and is_said(each)
    ]
    there = [translated(message, moved) for message in messages]
    assert there != messages
    assert [translated(message, moved) for message in there] == messages
