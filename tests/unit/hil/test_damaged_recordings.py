"""One damaged file of each kind: what is wrong is said, what can be read is shown, nothing is skipped."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import hil
from hil.capture.messages import FrameState, NumberedMark, RecordedMessage, read_messages
from hil.cli.main import cli
from hil.errors import PumpbenchError
from protocol.capture.recording import SessionSecret, Way
from protocol.identifiers import Kind
from scripts.sessions.damaged import blocks, entries_of, rewritten

SESSIONS = Path(__file__).parents[3] / "fixtures/sessions"
DAMAGED: dict[str, Any] = tomllib.loads((SESSIONS / "damaged/damaged.toml").read_text())
GOOD = sorted(path.stem for path in SESSIONS.glob("*.pcapng"))


def run(*words: str) -> tuple[int, Result, str]:
    """How a command ends, and what it says in the end."""
    done = CliRunner().invoke(cli, list(words))
    if isinstance(done.exception, PumpbenchError):
        return int(done.exception.exit_code), done, done.exception.one_line()
    assert done.exception is None, done.exception
    return done.exit_code, done, done.stderr


def documents_in(text: str) -> Iterator[Any]:
    """The JSON documents that stand one behind the other; that of an error has several lines."""
    while text := text.lstrip():
        document, end = json.JSONDecoder().raw_decode(text)
        yield document
        text = text[end:]


@pytest.mark.parametrize("name", DAMAGED)
def test_decode_says_what_is_wrong_and_shows_all_else(name: str) -> None:
    expected = DAMAGED[name]
    code, done, said = run("decode", "--json", str(SESSIONS / "damaged" / f"{name}.pcapng"))
    assert (code, expected["says"] in said) == (expected["exit_code"], True), said
    documents = list(documents_in(done.stdout))
    shown = [each for each in documents if each.get("entry") in ("message", "mark")]
    assert len(shown) == expected["packets"]
    (summary,) = [each for each in documents if each.get("entry") == "summary"] or [
        {"packets": 0, "damage": 0}
    ]
    damage = [each for each in documents if each.get("entry") == "damage"]
    assert (summary["packets"], summary["damage"]) == (len(shown), len(damage))


@pytest.mark.parametrize("name", DAMAGED)
def test_export_says_the_same_and_keeps_what_could_be_read(name: str) -> None:
    expected = DAMAGED[name]
    code, done, said = run("export", str(SESSIONS / "damaged" / f"{name}.pcapng"))
    assert (code, expected["says"] in said) == (expected["exit_code"], True), said
    messages = [
        entry
        for entry in (read_messages(SESSIONS / "damaged" / f"{name}.pcapng") if expected["packets"] else ())
        if isinstance(entry, RecordedMessage)
    ]
    assert len(done.stdout.splitlines()) == 1 + len(messages)


@pytest.mark.parametrize("name", [name for name in DAMAGED if DAMAGED[name]["packets"]])
def test_python_gets_the_same_words_as_arrays_come_without(name: str) -> None:
    day = hil.read_recording(SESSIONS / "damaged" / f"{name}.pcapng")
    if day.damage:
        assert len(day.damage) == (1 if name == "truncated" else 2)
        assert day.remarks == ()
    else:
        assert DAMAGED[name]["says"] in " ".join(day.remarks)


READERS = {
    "explain": (),
    "diff": (str(SESSIONS / "mri.pcapng"),),
    "redact": ("--out", "{out}"),
    "replay": ("--as", "programmer", "--target", "emulator", "--yes"),
}

WHOLE_ALL_THE_SAME = {("diff", "wrong_key"): 15}
"""Sealed frames are no damage to these: they say how many there are, and that they tell nothing or are not the same."""


@pytest.mark.parametrize("name", [name for name in DAMAGED if DAMAGED[name]["exit_code"]])
@pytest.mark.parametrize("command", READERS)
def test_each_command_that_reads_a_recording_ends_with_10_on_it_too(
    tmp_path: Path, command: str, name: str
) -> None:
    words = [word.format(out=tmp_path / "out.pcapng") for word in READERS[command]]
    code, done, said = run(command, str(SESSIONS / "damaged" / f"{name}.pcapng"), *words)
    assert code == WHOLE_ALL_THE_SAME.get((command, name), DAMAGED[name]["exit_code"])
    assert f"{name}.pcapng" in said or "21 frames are sealed" in done.stdout


@pytest.mark.parametrize("name", GOOD)
def test_a_good_session_has_nothing_to_be_said_of_it(name: str) -> None:
    code, done, said = run("decode", "--state", "sealed", str(SESSIONS / f"{name}.pcapng"))
    assert (code, said) == (0, "")
    assert len(done.stdout.splitlines()) == 1


def test_a_bent_frame_in_a_whole_file_is_shown_as_bent() -> None:
    entries = list(read_messages(SESSIONS / "damaged/bit_rotten.pcapng"))
    states = [entry.state for entry in entries if isinstance(entry, RecordedMessage)]
    assert states.count(FrameState.BAD) == 1
    assert FrameState.SEALED not in states


def test_answers_find_their_requests_where_two_lines_take_turns() -> None:
    entries = {
        entry.number: entry
        for entry in read_messages(SESSIONS / "damaged/mixed_sessions.pcapng")
        if isinstance(entry, RecordedMessage) and entry.frame is not None
    }
    answers = [entry for entry in entries.values() if getattr(entry.frame, "kind", None) is Kind.RESPONSE]
    assert len(answers) >= 16
    for answer in answers:
        assert answer.answers is not None
        asked = entries[answer.answers].frame
        assert (asked.sid, asked.opcode) == (answer.frame.sid, answer.frame.opcode)  # type: ignore[union-attr]


def test_marks_are_marks_wherever_another_tool_put_their_interface(tmp_path: Path) -> None:
    """As of `mergecap`: the interfaces of the second file come behind those of the first."""
    one, other = ((SESSIONS / f"{name}.pcapng").read_bytes() for name in ("mri", "refill"))
    behind = _interfaces_behind(one, other)
    path = tmp_path / "merged.pcapng"
    path.write_bytes(behind)
    marks = [entry for entry in read_messages(path) if isinstance(entry, NumberedMark)]
    passed = [entry for entry in read_messages(path) if isinstance(entry, RecordedMessage)]
    assert marks
    assert all(entry.mark.kind == "event" for entry in marks)
    assert {entry.passed.way for entry in passed} == set(Way)
    assert {entry.state for entry in passed} == {FrameState.CLEAR, FrameState.OPENED}


def _interfaces_behind(one: bytes, other: bytes) -> bytes:
    """The packets of `other` under a header with the interfaces of both."""
    head, *rest = blocks(other)
    mine = [block for block in rest if block[0] == 1]
    moved = [
        block[:8] + (int.from_bytes(block[8:12], "little") + len(mine)).to_bytes(4, "little") + block[12:]
        if block[0] == 6
        else block
        for block in rest
        if block[0] != 1
    ]
    nameless = [block for block in blocks(one) if block[0] == 1]
    return b"".join([head.replace(b"pumpbench", b"mergecap_"), *nameless, *mine, *moved])


def test_a_wrong_key_in_a_file_does_not_hide_the_right_one_that_its_handshake_tells(tmp_path: Path) -> None:
    """As where two lines were merged, and both had a session of that number."""
    good = (SESSIONS / "mri.pcapng").read_bytes()
    path = tmp_path / "wrong.pcapng"
    path.write_bytes(
        rewritten(
            entry._replace(sealing=bytes(16)) if isinstance(entry, SessionSecret) else entry
            for entry in entries_of(good)
        )
    )
    states = {entry.state for entry in read_messages(path) if isinstance(entry, RecordedMessage)}
    assert states == {FrameState.CLEAR, FrameState.OPENED}


@pytest.mark.parametrize(
    "command",
    [("decode",), ("explain",), ("plot", "--out", "never.png"), ("replay", "--as", "device"), ("export",)],
    ids=lambda command: command[0],
)
def test_a_capture_of_something_else_is_called_so_by_every_command(command: tuple[str, ...]) -> None:
    """Nobody shall hear `alarms: none`, or of damage, where no pump was recorded at all."""
    code, done, said = run(*command, str(SESSIONS / "damaged" / "something_else.pcapng"))
    assert (code, "is a capture of something else" in said) == (10, True), said
    assert "none" not in done.stdout
