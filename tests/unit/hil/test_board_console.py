"""The board's own voice: its console is heard, recorded and told with a failure, and nothing on it ends a run."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from hil.board_console import KEPT_PER_S, LAST_LINES, LINE_BYTES_MAX, BoardConsole, ConsoleText
from hil.channel import Channel
from hil.cli.main import cli
from hil.errors import BadConfiguration, BenchLost
from tests.support.patience import PATIENCE_S
from tests.support.stand_in_board import StandInBoard
from tests.unit.hil.runs import pytest_on, summary
from tests.unit.hil.test_json_report import document_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def heard(*chunks: bytes, at_ms: int = 0) -> tuple[list[str], ConsoleText]:
    """What of these is kept, with a pause behind the last."""
    kept: list[str] = []
    text = ConsoleText(kept.append)
    for chunk in chunks:
        text.take(chunk, at_ms)
    text.end_line(at_ms)
    return kept, text


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([b"boot\r\nready\n"], ["boot", "ready"]),
        ([b"bo", b"ot\r", b"\nready"], ["boot", "ready"]),
        ([b"\n\r\n\n"], []),
        ([b"uart:~$ "], ["uart:~$ "]),
        ([b"\x1b[1;31mE: heap\x1b[0m\n"], ["E: heap"]),
        ([b"\xff\xfe\x00 \x07\n"], ["\\xff\\xfe\\x00 \\x07"]),
        (["Pumpe läuft\n".encode()], ["Pumpe läuft"]),
        (["\u202egnp\n".encode()], ["\\u202egnp"]),
        ([b"x" * (2 * LINE_BYTES_MAX + 1)], ["x" * LINE_BYTES_MAX, "x" * LINE_BYTES_MAX, "x"]),
        ([b"y" * (LINE_BYTES_MAX + 1) + b"\n"], ["y" * LINE_BYTES_MAX, "y"]),
    ],
)
def test_bytes_of_a_console_are_lines_whatever_they_are(chunks: list[bytes], lines: list[str]) -> None:
    assert heard(*chunks)[0] == lines


def test_bytes_that_never_end_a_line_are_not_waited_for() -> None:
    kept: list[str] = []
    text = ConsoleText(kept.append)
    text.take(b"\x00" * 100 * LINE_BYTES_MAX, 0)
    assert len(kept) == 100


def test_of_a_flood_the_recording_has_some_lines_a_second_and_how_many_it_has_not() -> None:
    kept, text = heard(b"".join(b"%d\n" % n for n in range(1_000)), at_ms=500)
    assert kept == [str(n) for n in range(KEPT_PER_S)]
    assert [line.text for line in text.last] == [str(n) for n in range(1_000 - LAST_LINES, 1_000)]
    text.take(b"calm again\n", 1_200)
    assert kept[KEPT_PER_S:] == ["[800 lines left out: more than 200 within a second]", "calm again"]
    assert (text.count, text.left_out) == (1_001, 800)


def test_a_flood_that_goes_on_to_the_end_is_counted_too() -> None:
    kept, text = heard(b"z\n" * (KEPT_PER_S + 1))
    text.finish(0)
    assert kept[-1] == "[one line left out: more than 200 within a second]"


# With a port that comes and goes.


class Scripted(Channel):
    """A line that says these, one after another, and is then gone for the reason that stands last."""

    def __init__(self, *parts: bytes | Exception) -> None:
        self._parts = list(parts)
        self.closed = False

    @property
    def sent_bytes(self) -> int:
        return 0

    def send(self, data: bytes) -> None:
        raise AssertionError(f"something is sent to a console: {data!r}")

    def device_ms(self) -> None:
        return None

    def now_ms(self) -> int:
        return 0

    def receive(self, deadline_ms: int) -> bytes:  # noqa: ARG002 - of the protocol
        part = self._parts.pop(0)
        if isinstance(part, Exception):
            raise part
        return part

    def close(self) -> None:
        self.closed = True
        raise OSError("it is gone")


def until(is_so: Callable[[], object]) -> None:
    give_up_at_s = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < give_up_at_s, "did not come to be so in time"


def test_a_console_that_cannot_be_opened_vanishes_and_comes_back_ends_nothing_and_is_told() -> None:
    first = Scripted(b"one\n", b"two", BenchLost("it hung up"))
    lines: list[Channel | Exception] = [
        BadConfiguration("there is no port"),
        BadConfiguration("there is no port"),
        first,
        Scripted(b"three\n", OSError("EIO")),
    ]

    def open_line() -> Channel:
        line = lines.pop(0) if lines else BadConfiguration("no more")
        if isinstance(line, Exception):
            raise line
        return line

    kept: list[str] = []
    console = BoardConsole(open_line, kept.append, retry_s=0)
    until(lambda: console.trouble.endswith("no more"))
    console.close()
    assert kept == [
        "[the console cannot be opened: there is no port]",
        "one",
        "[the console is gone: it hung up]",
        "twothree",
        "[the console is gone: EIO]",
        "[the console cannot be opened: no more]",
    ]
    assert first.closed
    assert console.in_words() == "6 lines, vanished 2 times, the console cannot be opened: no more"


def test_the_last_lines_say_where_among_them_the_test_began() -> None:
    console = BoardConsole(
        lambda: Scripted(b"a\nb\n", b"c\n", BenchLost("gone")), list[str]().append, retry_s=9e9
    )
    until(lambda: console.count == 4)
    console._end.set()
    console.close()
    said = [line.partition("ms  ")[2] or line for line in console.last_lines(2).splitlines()]
    assert said == ["a", "b", "(the test begins)", "c", "[the console is gone: gone]"]
    assert console.last_lines(4).endswith("(the test begins)")


# In a run.

FAILS = """
    import time
    from hil.plugin import verifies

    @verifies("FRM-001")
    def test_fails(pump, pump_bench):
        give_up_at_s = time.monotonic() + {patience_s}
        while "panic" not in pump_bench.last_console():
            assert time.monotonic() < give_up_at_s
            pump.ping()
        raise ValueError("broken")
"""


@pytest.fixture
def talking() -> Iterator[str]:
    """The address of a console that says something at once."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"\x1b[32mboot 1\x1b[0m\r\n\xff<b>panic: stack\r\n")
                connection.recv(1)

        threading.Thread(target=serve, daemon=True).start()
        yield f"socket://127.0.0.1:{server.getsockname()[1]}"


def decoded(recording: Path) -> list[dict[str, Any]]:
    result = CliRunner().invoke(cli, ["decode", str(recording), "--json"])
    assert result.exception is None, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_failure_on_a_board_shows_its_console_firmware_and_profile_and_the_recording_has_its_lines(
    tmp_path: Path, talking: str
) -> None:
    (tmp_path / "fw.bin").write_bytes(b"firmware")
    bench = f'console = "{talking}"\nfirmware = "fw.bin"\nprofile = "implanted"\n'
    with StandInBoard() as board:
        (tmp_path / "pumpbench.toml").write_text(f'[targets.rig1]\naddress = "pty:{board.port}"\n{bench}')
        arguments = ("--hil-target", "bench:rig1", "--hil-report", "report")
        done = pytest_on(tmp_path, FAILS.format(patience_s=PATIENCE_S), *arguments)
    assert done.returncode == 1, done.stdout + done.stderr
    document = document_of(tmp_path)
    (test,) = document["tests"]
    html = (tmp_path / "report" / "report.html").read_text()
    for text in (done.stdout, summary(tmp_path), test["console"]):
        assert "boot 1\n" in text
        assert "\\xff<b>panic: stack" in text
    assert "\\xff&lt;b&gt;panic: stack" in html
    assert "console of the board: 2 lines" in done.stdout
    sha256 = hashlib.sha256(b"firmware").hexdigest()
    assert document["firmware"] == {"file": str(tmp_path / "fw.bin"), "sha256": sha256, "flashed": False}
    assert (document["profile"], document["target"]["board"]) == ("implanted", board.port)
    assert sha256 in html
    recording = tmp_path / "report" / "recording.pcapng"
    said = [each["text"] for each in decoded(recording) if each.get("kind") == "console"]
    assert said == ["boot 1", "\\xff<b>panic: stack"]
    redacted = tmp_path / "redacted.pcapng"
    assert CliRunner().invoke(cli, ["redact", str(recording), "--out", str(redacted)]).exception is None
    assert b"panic" not in redacted.read_bytes()
