"""From start to first answer, and to the end of the help; against the system's `python -I`.

The floor is the interpreter that the virtual environment was made from, isolated: a virtual environment with
an editable install costs 14 ms more at every start, whatever it runs. The bytecode is compiled first. How
long a server takes to end counts for neither.
"""

from __future__ import annotations

import compileall
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from protocol.messages.reading import GetStatus
from scripts.bench.client import Client
from scripts.bench.lines import Line, open_pty
from scripts.bench.measure import NS_PER_MS, Row, interleaved

ROOT = Path(__file__).resolve().parents[2]
ECHO = Path(__file__).with_name("echo_floor.py")
PUMPBENCH = Path(sys.executable).with_name("pumpbench")
SYSTEM_PYTHON = str(getattr(sys, "_base_executable", sys.executable))
ROUNDS = 21


def rows() -> list[Row]:
    """Start to first answer, and help."""
    for package in ("protocol", "firmware_emu", "hil"):
        compileall.compile_dir(ROOT / package, quiet=1)
    with tempfile.TemporaryDirectory() as place, ExitStack() as running:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
            "XDG_STATE_HOME": place,
        }
        medians = interleaved(
            {
                "python": lambda: subprocess.run(
                    [SYSTEM_PYTHON, "-I", "-c", "pass"], check=True, env=environment
                ),
                "help": lambda: subprocess.run(
                    [PUMPBENCH, "--help"], check=True, env=environment, stdout=subprocess.DEVNULL
                ),
                "echo": lambda: echo_start(running, environment, place),
                "emulate": lambda: emulator_start(running, environment, place),
            },
            rounds=ROUNDS,
            tidy=running.close,
        )
    ms = {name: ns / NS_PER_MS for name, ns in medians.items()}
    return [
        Row(
            "start to first answer, no --control",
            "system's python -I, PTY echo",
            ms["echo"],
            ms["emulate"],
            "ms",
            6,
            200,
        ),
        Row("pumpbench --help", "system's python -I", ms["python"], ms["help"], "ms", 6, 150),
    ]


def echo_start(running: ExitStack, environment: dict[str, str], place: str) -> None:
    """Start a bare echo and ask it once."""
    command: list[str | Path] = [SYSTEM_PYTHON, "-I", ECHO, "pty", "1", "1"]
    with Line(open_pty(_first_line(running, command, environment, place).strip())) as line:
        line.send(b"\x00")
        line.receive()


def emulator_start(running: ExitStack, environment: dict[str, str], place: str) -> None:
    """Start an emulator, open a session, ask for its status."""
    ready = json.loads(_first_line(running, [PUMPBENCH, "emulate", "--until-eof"], environment, place))
    with Line(open_pty(ready["port"])) as line:
        client = Client(line.send, line.receive)
        client.open()
        client.ask(GetStatus())


def _first_line(
    running: ExitStack, command: list[str | Path], environment: dict[str, str], place: str
) -> str:
    """Start a server that ends when `running` is closed; what it says first."""
    server = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=place, text=True
    )
    running.enter_context(server)
    running.callback(server.terminate)
    assert server.stdout is not None
    return server.stdout.readline()
