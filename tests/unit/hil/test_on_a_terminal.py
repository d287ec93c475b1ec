"""What is drawn on a real terminal, and that a pipe gets plain text and never pays for the drawing."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest

from protocol.capture.pcapng import block, section_header
from tests.support.for_each import for_each
from tests.support.patience import PATIENCE_S
from tests.support.warm_python import forked, run_python

if TYPE_CHECKING:
    from hil.targets.fork_server import ForkedProcess

HOUSE = Path(__file__).resolve().parents[3]
STATUS = ("status", "--target", "emulator")


class Terminal:
    """A terminal of 80 columns; what is written to its `slave` is read here."""

    def __init__(self, columns: int = 80) -> None:
        self._master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))

    def close_slave(self) -> None:
        """Leave the terminal to the process that has it."""
        os.close(self.slave)

    def read(self) -> str:
        """What is there now, waited for; "" at the end."""
        with contextlib.suppress(OSError):
            return os.read(self._master, 65_536).decode()
        return ""

    def close(self) -> None:
        os.close(self._master)


def started(
    terminal: Terminal, errors: IO[bytes], *arguments: str, stream: str = "stdout", **env: str
) -> ForkedProcess:
    """`pumpbench program` with one of its streams on the terminal, the other in a file."""
    own = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "COLUMNS"}}
    drawn_on = {"stdout": errors.fileno(), "stderr": errors.fileno(), stream: terminal.slave}
    env = {**own, "TERM": "xterm-256color", **env}
    process = forked("hil.cli", "program", *arguments, cwd=HOUSE, env=env, **drawn_on)
    terminal.close_slave()
    return process


def test_a_long_recording_shows_how_far_it_is_read_and_leaves_nothing_of_it(tmp_path: Path) -> None:
    long = tmp_path / "long.pcapng"
    long.write_bytes(section_header("", "somebody's tool") + block(5, bytes(9 << 20)))
    terminal = Terminal()
    with tempfile.TemporaryFile() as told:
        process = forked(
            "hil.cli",
            "explain",
            str(long),
            cwd=HOUSE,
            env={**os.environ, "TERM": "xterm-256color"},
            stdout=told.fileno(),
            stderr=terminal.slave,
        )
        terminal.close_slave()
        seen = "".join(iter(terminal.read, ""))
        terminal.close()
        assert process.wait(PATIENCE_S) == 0, seen
        told.seek(0)
        assert told.read().startswith(b"alarms: none")
    assert "reading long.pcapng, MiB" in seen
    assert "9/9" in seen
    assert "\x1b[2K" in seen  # the line is wiped


def drawn(*arguments: str, stream: str = "stdout", columns: int = 80, **environment: str) -> str:
    """What a command writes to a terminal."""
    terminal = Terminal(columns)
    with tempfile.TemporaryFile() as other:
        process = started(terminal, other, *arguments, stream=stream, **environment)
        seen = "".join(iter(terminal.read, ""))
    terminal.close()
    assert process.wait(PATIENCE_S) == 0, seen
    return seen


def piped(*arguments: str) -> str:
    done = run_python([sys.executable, "-m", "hil.cli", "program", *arguments])
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def without_style(text: str) -> list[str]:
    """Lines as they are seen, without the colours."""
    return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).splitlines()]


def test_a_table_on_a_terminal_is_drawn_with_colours_and_says_what_it_says_in_a_pipe() -> None:
    seen = drawn(*STATUS)
    assert "\x1b[36m" in seen
    assert without_style(seen) == piped(*STATUS).splitlines()


def test_what_is_too_long_for_a_terminal_goes_on_in_its_own_column() -> None:
    lines = without_style(drawn(*STATUS, columns=40))
    assert max(map(len, lines)) <= 40
    assert lines[0] == "pump         EMULATED pump (virtual, not"
    assert lines[1].startswith(" " * 13)


WORDS_OF_STATUS = ("EMULATED", "RUN", "300", "alarms", "none", "revision")


@for_each("columns", [1, 4, 12, 18, 20])
def test_a_terminal_that_is_too_narrow_for_a_table_still_gets_every_word(columns: int) -> None:
    shown = "".join("".join(without_style(drawn(*STATUS, columns=columns))).split())
    assert [word for word in WORDS_OF_STATUS if word not in shown] == []


@pytest.mark.parametrize("size", ["\u00b2", "0", "-4", "1e3", "9" * 12, ""])
def test_a_size_in_the_environment_that_is_none_is_passed_over(size: str) -> None:
    """A bolus that was given must not end in a traceback because its answer could not be drawn."""
    bolus = ("bolus", "--volume", "0.02", "--duration", "600", "--yes", "--target", "emulator")
    assert "RUNNING" in drawn(*bolus, COLUMNS=size, LINES=size)


def test_a_size_in_the_environment_that_is_none_ends_no_log(tmp_path: Path) -> None:
    seen = drawn("log", "--target", "emulator", stream="stderr", COLUMNS="\u00b2", LINES="\u00b2")
    assert "entries, no gap" in seen


def test_no_color_takes_the_colours_away() -> None:
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", drawn(*STATUS, NO_COLOR="1"))


@pytest.mark.parametrize("terminal", ["dumb", ""])
def test_a_terminal_that_cannot_be_drawn_on_gets_what_a_pipe_gets(terminal: str) -> None:
    assert drawn(*STATUS, TERM=terminal).replace("\r\n", "\n") == piped(*STATUS)


def test_json_on_a_terminal_is_json() -> None:
    assert json.loads(drawn(*STATUS, "--json"))["schema"] == "pumpbench/status"


def test_the_status_is_redrawn_in_place_until_an_interrupt(tmp_path: Path) -> None:
    terminal, errors = Terminal(), (tmp_path / "errors").open("wb")
    with errors:
        process = started(terminal, errors, *STATUS, "--watch")
    seen = ""
    while seen.count("running for") < 3:
        more = terminal.read()
        assert more, seen
        seen += more
    process.send_signal(signal.SIGINT)
    seen += "".join(iter(terminal.read, ""))
    code = process.wait(PATIENCE_S)
    terminal.close()
    assert (code, "Traceback" in (tmp_path / "errors").read_text()) == (0, False)
    assert "\x1b[1A" in seen  # up a line, over what was there
    assert "\x1b[2J" not in seen  # what was on the terminal before stays
    assert "\x1b[?25l" not in seen  # the cursor stays: who is killed could not bring it back


def test_a_status_that_is_redrawn_leaves_no_row_away_where_the_terminal_has_fewer_lines() -> None:
    """The alarms are among the last rows."""
    terminal = Terminal(columns=20)
    with tempfile.TemporaryFile() as errors:
        process = started(terminal, errors, *STATUS, "--watch")
    seen = ""
    while seen.count("program") < 2:
        more = terminal.read()
        assert more, seen
        assert " ... " not in more
        seen += more
    process.send_signal(signal.SIGINT)
    assert "alarms" in seen
    "".join(iter(terminal.read, ""))
    process.wait(PATIENCE_S)
    terminal.close()


@pytest.fixture
def pump_with_a_long_log(tmp_path: Path) -> Iterator[str]:
    """The address of a pump whose log has several pages."""
    link = tmp_path / "pump"
    process = subprocess.Popen(
        [sys.executable, "-m", "hil.cli", "emulate", "--link", str(link), "--until-eof"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=HOUSE,
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["ready"]
    address = f"pty:{link}"
    more = ("--target", address, "--state", str(tmp_path / "state.json"))
    for command in (
        ("stop", "--yes", "--leave-stopped"),
        ("resume",),
        ("stop", "--yes", "--leave-stopped"),
        ("resume",),
    ):
        piped(*command, *more)
    yield address
    process.communicate(timeout=PATIENCE_S)


def test_reading_a_log_of_many_pages_shows_how_far_it_is_on_a_terminal_and_nothing_of_it_stays(
    pump_with_a_long_log: str,
) -> None:
    log = ("log", "--target", pump_with_a_long_log)
    entries = len(piped(*log).splitlines())
    assert entries > 12
    seen = drawn(*log, stream="stderr")
    counts = re.findall(r"(\d+)/(\d+)", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen))
    assert ("6", str(entries)) in counts
    assert ("12", str(entries)) in counts
    assert "\x1b[2K" in seen  # the line is wiped
    assert without_style(seen)[-1].strip().endswith(f"{entries} entries, no gap")


MODULES = """
import contextlib, sys
from hil.cli.main import cli
with contextlib.suppress(SystemExit):
    cli({arguments!r})
print("rich" in sys.modules, file=sys.stderr)
"""


@for_each(
    "arguments",
    [["--help"], ["program", *STATUS], ["program", "log", "--target", "emulator"], ["help", "json-schema"]],
)
def test_a_pipe_does_not_import_what_draws(arguments: list[str]) -> None:
    program = MODULES.format(arguments=arguments)
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=HOUSE,
        timeout=PATIENCE_S,
        check=True,
    )
    assert done.stderr.splitlines()[-1] == "False"
    assert "\x1b" not in done.stdout
