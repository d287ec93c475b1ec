"""Golden sessions as tests: each file NAME.session.toml is one, whatever the target [hil/comparison/README.md].

Its recorded requests are asked again, each at its recorded time, and what is answered is compared by its rules.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from _pytest._code.code import ReprExceptionInfo, ReprFileLocation, ReprTracebackNative

from hil.bench_session import DEFAULT_PROFILE
from hil.comparison.golden import SESSION_SUFFIX, read_golden
from hil.comparison.summary import SHOWN, without_rows
from hil.errors import BadConfiguration, NotTheSame, PumpbenchError
from hil.frame_words import text_at
from hil.replay.at_target import player_at
from hil.replay.conversation import read_conversation
from hil.replay.misses import opcode_words
from hil.replay.timing import ORIGINAL
from hil.targets.choices import PumpChoice
from hil.targets.emulated import check_choice
from protocol.identifiers import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from os import PathLike

    from _pytest._code.code import ExceptionInfo, TerminalRepr

    from hil.bench_of_test import TestBench
    from hil.comparison.golden import GoldenSession
    from hil.comparison.judging import Unlike
    from hil.replay.conversation import Conversation
    from hil.replay.programmer import Played, Player

TEST_NAME = "is_answered_as_it_was_recorded"


class GoldenFile(pytest.File):
    """The file of a golden session; what is wrong with it is an error of the collection."""

    def collect(self) -> Iterator[pytest.Item]:
        """Its one test, at a pump of the recorded profile and serial number where one can be made.

        `starts_as` where the profile is not the usual one: then one has to be.
        """
        golden = read_golden(self.path)
        conversation = read_conversation(golden.recording)
        test: GoldenTest = GoldenTest.from_parent(
            self, name=TEST_NAME, callobj=_test_of(golden, conversation)
        )
        usual = self.config.getoption("--hil-profile") or DEFAULT_PROFILE
        profile = conversation.told.get("profile", usual)
        model = _serial_of(conversation)
        if profile != usual:
            check_choice(PumpChoice(profile))
            test.add_marker(pytest.mark.starts_as(profile, model=model))
        test.starts_with = {"model": model}
        yield test

    def repr_failure(self, excinfo: ExceptionInfo[BaseException]) -> str | TerminalRepr:  # type: ignore[override]
        """What is wrong with the file, in a sentence."""
        error = excinfo.value
        return error.one_line() if isinstance(error, PumpbenchError) else super().repr_failure(excinfo)


class GoldenTest(pytest.Function):
    """The test of a golden session; it stands in the file of the session."""

    starts_with: Mapping[str, Any]
    """What an emulated pump that is made for it has otherwise."""

    def reportinfo(self) -> tuple[PathLike[str] | str, int | None, str]:
        """Where it is, for reports."""
        return self.path, None, f"{self.path.name.removesuffix(SESSION_SUFFIX)}.{self.name}"

    def repr_failure(self, excinfo: ExceptionInfo[BaseException]) -> str | TerminalRepr:  # type: ignore[override]
        """What is not the same, without the lines of ours that found it; the last frames follow it."""
        error = excinfo.value
        if not isinstance(error, NotTheSame):
            return super().repr_failure(excinfo)
        first_line = str(error).partition("\n")[0]
        return ReprExceptionInfo(
            ReprTracebackNative([f"{error}\n"]), ReprFileLocation(str(self.path), 1, first_line)
        )


def _serial_of(conversation: Conversation) -> dict[str, str]:
    """The recorded serial number for the model of a pump; empty where none is told, or one that no pump can have."""
    model = {"serial": conversation.told["serial"]} if "serial" in conversation.told else {}
    try:
        check_choice(PumpChoice(model=model))
    except BadConfiguration:
        return {}
    return model


def _test_of(golden: GoldenSession, conversation: Conversation) -> Any:
    def is_answered_as_it_was_recorded(pump_bench: TestBench) -> None:
        with ExitStack() as closing:
            player = player_at(
                pump_bench.target,
                pump_bench.channel,
                conversation,
                timing=ORIGINAL,
                lives_on=not pump_bench.is_new,
                closing=closing,
                rules=golden.rules,
            )
            try:
                played = list(player.play())
            finally:
                for key, wire_log in player.spoken:
                    pump_bench.note_frames(key, wire_log)
        _check(golden, player, played, lives_on=not pump_bench.is_new)

    return is_answered_as_it_was_recorded


def _check(golden: GoldenSession, player: Player, played: Sequence[Played], *, lives_on: bool) -> None:
    """Fail where something was answered otherwise, and where a pump that lives on is left stopped."""
    notes = [
        f"{opcode_words(each.opcode)} of packet {each.number} met no session then, and was not sent"
        for each in player.left_out
    ]
    notes += [
        f"the rule for {each.place} never applied: no such field was compared"
        for each in player.judge.unused()
    ]
    print(*notes, sep="\n", end="\n" if notes else "")  # noqa: T201 - pytest shows it
    sentences = list(_sentences(played))
    if not played:
        sentences.append("nothing of the recording was asked")
    if lives_on and player.state is State.STOP:
        sentences.append("the session leaves the pump stopped: its program does not run")
    if sentences:
        number = sum(bool(each.differing) for each in played)
        head = f"{golden.name}: {number} of {len(played)} requests were answered otherwise than recorded"
        raise NotTheSame("\n".join([head, *sentences]))


def _sentences(played: Sequence[Played]) -> Iterator[str]:
    """The first differences of each field, and how many more it has."""
    counts: Counter[str] = Counter()
    for each in played:
        for unlike in each.differing:
            field = without_rows(unlike.place)
            counts[field] += 1
            if counts[field] <= SHOWN:
                yield _sentence(each, unlike)
    for field, count in counts.items():
        if count > SHOWN:
            yield f"{field}: {count - SHOWN} more"


def _sentence(played: Played, unlike: Unlike) -> str:
    exchange = played.exchange
    was, now = (text_at(unlike.place, value) for value in (unlike.was, unlike.now))
    return (
        f"{opcode_words(exchange.opcode)} of packet {exchange.number}: {unlike.place} was {was} and is {now}"
    )
