"""`pumpbench replay --as programmer`: the recorded requests at a live device, and what it answers otherwise."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hil import address as addresses
from hil.cli.connection import confirm, require_named
from hil.cli.documents import json_line
from hil.cli.interrupts import ending_of
from hil.cli.output import say, tell
from hil.cli.stays_stopped import unless_left_so
from hil.comparison.rules_file import read_rules
from hil.errors import AnswerNotWritten, NotTheSame
from hil.frame_words import text_at, value_text
from hil.key_file import read_keys
from hil.own_paths import path_of
from hil.replay.at_target import player_at
from hil.replay.conversation import read_conversation
from hil.replay.matching import only_asks
from hil.replay.misses import opcode_words
from hil.replay.timing import timing_named
from hil.targets import make_target
from hil.targets.choices import PumpChoice
from protocol.identifiers import Opcode, State

if TYPE_CHECKING:
    from pathlib import Path

    from hil.bench_file import BenchTarget
    from hil.comparison.judging import Unlike
    from hil.errors import LeftStopped, PumpbenchError
    from hil.replay.conversation import Conversation, Exchange
    from hil.replay.programmer import Player


@dataclass
class Heard:
    """How much was played, and how much of it was the same."""

    played: int = 0
    same: int = 0
    changes: int = 0
    differences: int = 0
    first: str = ""


def replay_programmer(file: Path, given: dict[str, Any], *, as_json: bool) -> None:
    """Play a recording at the device that is named. NotTheSame where it answered otherwise."""
    require_named(given["target"])
    path, timing = path_of(file, "FILE"), timing_named(given["timing"])
    keys = [] if given["key_path"] is None else read_keys(given["key_path"])
    rules = None if given["rules_path"] is None else read_rules(given["rules_path"])
    conversation = read_conversation(path, keys, in_part=given["in_part"])
    address = addresses.parse(given["target"])
    choice = PumpChoice(**_chosen(conversation, given))
    changes = sum(_changes(exchange) for exchange in conversation.exchanges)
    if changes:
        confirm(
            f"send the {len(conversation.exchanges)} recorded requests to {address}, {changes} of which change a pump",
            yes=given["yes"],
        )
    with ExitStack() as stack:
        target = stack.enter_context(closing(make_target(address, choice)))
        bench: BenchTarget | None = getattr(target, "in_bench_file", None)
        if not keys and bench is not None and bench.key_file is not None:
            keys = read_keys(bench.key_file)
        target.start()
        channel = stack.enter_context(closing(target.open_channel()))
        player = player_at(
            target,
            channel,
            conversation,
            timing=timing,
            keys=keys,
            lives_on=address.scheme.lives_on,
            closing=stack,
            rules=rules,
        )
        heard = Heard()
        try:
            _play(player, heard, all_of_them=given["all_of_them"], as_json=as_json)
        except KeyboardInterrupt as interrupt:
            raise _broken_off(player, heard, interrupt) from interrupt
    left = None
    if player.state is State.STOP and address.scheme.lives_on and not given["leave_stopped"]:
        left = unless_left_so("it was played")
    for exchange in player.left_out:
        say(
            f"{opcode_words(exchange.opcode)} of packet {exchange.number} met no session then, and was not sent"
        )
    _say_what_was_hidden(player)
    _tell_end(conversation, heard, left, as_json=as_json)


def _chosen(conversation: Conversation, given: dict[str, Any]) -> dict[str, Any]:
    """Profile, serial number and seed of an emulated pump: as they are given, else as they were in the recording."""
    told, profile, seed = conversation.told, given["profile"], given["seed"]
    choice: dict[str, Any] = {}
    if profile is None:
        choice = {name: told[name] for name in ("profile",) if name in told}
        choice |= {"model": {"serial": told["serial"]}} if "serial" in told else {}
    else:
        choice["profile"] = profile
    if seed is None and told.get("seed", "").isdecimal():
        seed = int(told["seed"])
    return choice if seed is None else {**choice, "seed": seed}


def _changes(exchange: Exchange) -> bool:
    """Whether a request may change something in a pump; to prepare does not, nor to end a session."""
    return not only_asks(exchange.command) and exchange.opcode not in {Opcode.BOLUS_PREPARE, Opcode.QUERY_CMD}


def _play(player: Player, heard: Heard, *, all_of_them: bool, as_json: bool) -> None:
    """Play, and show what is not the same: the first, or all; `heard` counts."""
    for played in player.play():
        heard.played += 1
        heard.same += not played.differing
        heard.changes += _changes(played.exchange)
        for unlike in played.differing if all_of_them else played.differing[:1]:
            sentence = _sentence(played.exchange, unlike)
            heard.differences += 1
            heard.first = heard.first or sentence
            tell(_document(played.exchange, unlike) if as_json else sentence, last=False)
        if played.differing and not all_of_them:
            break


def _broken_off(player: Player, heard: Heard, interrupt: KeyboardInterrupt) -> PumpbenchError:
    """What is so after a Ctrl-C: how much was played, and that the request under way may have been done."""
    played = f"{heard.played} recorded requests were played"
    if heard.changes:
        played += f", and {heard.changes} of them change a pump"
    if player.under_way is None:
        return _interrupted(heard, f"{played}; nothing was under way", interrupt)
    exchange, cmd_id = player.under_way
    if exchange.command is not None and exchange.command.carries_cmd_id:
        return player.outcome_unknown(exchange, cmd_id, "its answer was not waited for")
    name = f"{opcode_words(exchange.opcode)} of packet {exchange.number}"
    what = "may have been done" if _changes(exchange) else "was not answered, and changes nothing"
    return _interrupted(heard, f"{played}; {name} {what}", interrupt)


def _interrupted(heard: Heard, sentence: str, interrupt: KeyboardInterrupt) -> PumpbenchError:
    """An ending that does not say that nothing was sent where something was changed."""
    return AnswerNotWritten(sentence, "interrupted") if heard.changes else ending_of(interrupt, sentence)


def _say_what_was_hidden(player: Player) -> None:
    """Say which rules made values the same that differ, and which of one's own had nothing to judge."""
    for applied in player.judge.applied:
        if applied.hid:
            rule = f"{applied.rule} ({applied.source})"
            say(f"ignored: {applied.place} differs {applied.hid} of {applied.judged} times, {rule}")
    for override in player.judge.unused():
        say(f"the rule for {override.place} never applied: no such field was compared")


def _sentence(exchange: Exchange, unlike: Unlike) -> str:
    packet = exchange.number if exchange.answer is None else exchange.answer.number
    return (
        f"{opcode_words(exchange.opcode)} of packet {exchange.number}: {unlike.place} was "
        f"{text_at(unlike.place, unlike.was)} in packet {packet} and is {text_at(unlike.place, unlike.now)}"
    )


def _document(exchange: Exchange, unlike: Unlike) -> str:
    return json_line(
        "replay",
        {
            "entry": "difference",
            "number": exchange.number,
            "opcode": opcode_words(exchange.opcode),
            "field": unlike.place,
            "recorded": _plain(unlike.was),
            "heard": _plain(unlike.now),
        },
    )


def _plain(value: object) -> object:
    """A value of a field as JSON has it: a number or whether as it is, all else in words."""
    return value if value is None or type(value) in {bool, int} else value_text(value)


def _tell_end(conversation: Conversation, heard: Heard, left: LeftStopped | None, *, as_json: bool) -> None:
    """Say how it went; NotTheSame where it was not the same, else LeftStopped where that is so."""
    requests = len(conversation.exchanges)
    if as_json:
        counts = {"played": heard.played, "same": heard.same, "differences": heard.differences}
        tell(json_line("replay", {"entry": "summary", "kind": "programmer", "requests": requests, **counts}))
    elif not heard.differences:
        tell(
            f"{heard.played} of {requests} recorded requests were played, and all were answered as in the recording"
        )
    if heard.differences:
        if left is not None:
            say(f"pumpbench: {left.one_line()}")
        if heard.played < requests:
            say(f"{requests - heard.played} requests after it were not played")
        raise NotTheSame(
            f"{heard.played - heard.same} of {heard.played} requests were answered otherwise than recorded; the first: "
            f"{heard.first}",
            advice="" if heard.played == requests else "--all plays on and shows all",
        )
    if left is not None:
        raise left
