"""The ready line of an emulator on a terminal, where a person reads it."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.for_each import for_each
from tests.support.patience import PATIENCE_S
from tests.support.warm_python import run_python
from tests.unit.bench.processes import EMULATE

PROGRAM = [sys.executable, "-m", "hil.cli", "program"]


class OnTerminal:
    """An emulator whose stdout is a terminal."""

    def __init__(self, *arguments: str | Path) -> None:
        self._master, slave = os.openpty()
        self.process = subprocess.Popen(
            [*EMULATE, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=slave,
            stderr=subprocess.DEVNULL,
        )
        os.close(slave)

    def lines(self, last: str) -> list[str]:
        """What it prints up to the line that begins so."""
        seen = ""
        while not re.search(rf"^{re.escape(last)}.*\n", seen, re.MULTILINE):
            seen += os.read(self._master, 65_536).decode().replace("\r\n", "\n")
        return seen.splitlines()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        os.close(self._master)
        return code


def test_on_a_terminal_it_says_where_the_pump_is_how_to_talk_to_it_and_how_to_end_it(tmp_path: Path) -> None:
    link = tmp_path / "my pump"
    emulator = OnTerminal("--link", link)
    where, talk, end = emulator.lines("End it:")
    assert where == f"An emulated pump is ready at pty:{link}. It is not a medical device."
    command = shlex.split(talk.removeprefix("Talk to it:"))
    assert command[:3] == ["pumpbench", "program", "status"]
    assert "RUN" in run_python([*PROGRAM, *command[2:]]).stdout
    assert end.split() == f"End it: Ctrl-C, or kill {emulator.process.pid}".split()
    assert emulator.end(signal.SIGINT) == 0


def test_on_a_terminal_it_says_where_rig_control_is_and_its_token() -> None:
    emulator = OnTerminal("--tcp", "127.0.0.1:0", "--control", "127.0.0.1:0")
    where, _talk, control, _end = emulator.lines("End it:")
    assert re.search(r" socket://127\.0\.0\.1:\d+\. ", where)
    assert re.fullmatch(r"Rig control:  http://127\.0\.0\.1:\d+, with the token [\w-]{43}", control)
    assert emulator.end() == 0


def test_with_json_ready_a_terminal_gets_the_object_that_a_pipe_gets() -> None:
    emulator = OnTerminal("--json-ready")
    (line,) = emulator.lines("{")
    assert json.loads(line)["ready"] is True
    assert emulator.end() == 0


@for_each("name", [b"pu\xffmp", b"pump\nEnd it: never", b"pu\x1b[2Jmp"])
def test_a_link_that_cannot_be_shown_is_told_by_its_port(name: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        emulator = OnTerminal("--link", Path(directory, os.fsdecode(name)))
        where, talk, _end = emulator.lines("End it:")
        assert re.fullmatch(r"An emulated pump is ready at pty:/dev/pts/\d+\. .*", where)
        assert re.search(r" --target pty:/dev/pts/\d+$", talk)
        assert emulator.end() == 0
