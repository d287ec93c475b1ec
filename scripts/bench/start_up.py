"""From start to first answer, and to the end of the help; against the system's `python -I`.

The floor is the interpreter that the virtual environment was made from, isolated: a virtual environment with
an editable install costs 14 ms more at every start, whatever it runs. The bytecode is compiled first.
"""

from __future__ import annotations

import compileall
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from protocol.commands import GetStatus
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
    with tempfile.TemporaryDirectory() as place:
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
                "echo": lambda: echo_start(environment),
                "emulate": lambda: emulator_start(environment, place),
            },
            rounds=ROUNDS,
        )
    ms = {name: ns / NS_PER_MS for name, ns in medians.items()}
    return [
        Row(
            "start to first answer, no --control",
            "python -I, PTY echo",
            ms["echo"],
            ms["emulate"],
            "ms",
            6,
            200,
        ),
        Row("pumpbench --help", "python -I -c pass", ms["python"], ms["help"], "ms", 6, 150),
    ]


def echo_start(environment: dict[str, str]) -> None:
    """Start a bare echo, ask it once, end it."""
    with subprocess.Popen(
        [SYSTEM_PYTHON, "-I", ECHO, "pty", "1", "1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    ) as server:
        assert server.stdout is not None
        with Line(open_pty(server.stdout.readline().strip())) as line:
            line.send(b"\x00")
            line.receive()


def emulator_start(environment: dict[str, str], place: str) -> None:
    """Start an emulator, open a session, ask for its status, end it."""
    with subprocess.Popen(
        [PUMPBENCH, "emulate"], stdout=subprocess.PIPE, env=environment, cwd=place, text=True
    ) as emulator:
        assert emulator.stdout is not None
        ready = json.loads(emulator.stdout.readline())
        with Line(open_pty(ready["port"])) as line:
            client = Client(line.send, line.receive)
            client.open()
            client.ask(GetStatus())
        emulator.terminate()
