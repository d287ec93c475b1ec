"""`pumpbench replay`: a recording on a port, for any programmer, and what is said of it."""

from __future__ import annotations

import json
import shlex
import signal
import threading
import time
from typing import TYPE_CHECKING

import jsonschema
import pytest
from click.testing import CliRunner

import hil
from firmware_emu.bench.ports.pty import PtyPort
from hil.cli import main
from hil.cli.json_schema import json_schema
from hil.cli.replay_command import _for_people
from hil.errors import BadConfiguration, CommandRefused, DeviceRefused, NotTheSame, PumpbenchError, UsageError
from hil.programmer.entropy import SystemEntropy
from hil.replay.conversation import read_conversation
from hil.replay.device import OnMiss, ReplayDevice
from hil.replay.serving import ReplayServer
from hil.replay.timing import ASKED
from tests.unit.hil.port_commands import PortCommand
from tests.unit.hil.replay.scripts import said, visit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class RunningReplay:
    """A replay on a PTY, in a thread."""

    def __init__(self, path: Path, on_miss: OnMiss = OnMiss.REFUSE) -> None:
        self.near = PtyPort()
        self.device = ReplayDevice(read_conversation(path), SystemEntropy(), timing=ASKED, on_miss=on_miss)
        self.server = ReplayServer(self.near, self.device, time.monotonic_ns)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()

    def end(self) -> None:
        self.server.stop()
        self.wait()
        self.near.close()
        self.server.close()

    def wait(self) -> None:
        self.thread.join(30)
        assert not self.thread.is_alive()


@pytest.fixture
def running(visit_file: Path) -> Iterator[RunningReplay]:
    replay = RunningReplay(visit_file)
    yield replay
    replay.end()


def test_the_same_programmer_on_a_port_has_the_same_conversation(
    visit_file: Path, running: RunningReplay
) -> None:
    with hil.connect(f"pty:{running.near.address}", state=False) as pump:
        visit(pump, wait_ms=0)
    asked = sum(kind == "REQUEST" for kind, _opcode, _message in said(visit_file))
    assert running.device.tally.asked == asked
    assert running.device.tally.missed == 0


def test_a_programmer_on_a_port_keeps_nothing_on_file(running: RunningReplay, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    with hil.connect(f"pty:{running.near.address}", state=state) as pump:
        visit(pump, wait_ms=0)
        with pytest.raises(CommandRefused):
            pump.stop()
    assert not state.exists() or json.loads(state.read_text())["memories"] == {}


def test_a_replay_that_stops_at_a_miss_lets_its_refusal_be_heard(visit_file: Path) -> None:
    running = RunningReplay(visit_file, OnMiss.STOP)
    with hil.connect(f"pty:{running.near.address}", state=False) as pump, pytest.raises(DeviceRefused):
        pump.link_stats()
    running.wait()
    running.end()


def invoked(*arguments: str | Path) -> PumpbenchError:
    error = CliRunner().invoke(main.cli, ["replay", *map(str, arguments)]).exception
    assert isinstance(error, PumpbenchError), error
    return error


def test_what_cannot_be_replayed_is_said_before_a_port_is_opened(visit_file: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.pcapng"
    cut.write_bytes(visit_file.read_bytes()[:-7])
    as_device = ("--as", "device")
    for arguments, kind, words in (
        ((cut, *as_device), BadConfiguration, "is damaged in one place"),
        ((tmp_path / "none", *as_device), BadConfiguration, "cannot be read"),
        ((visit_file, *as_device, "--timing", "soon"), UsageError, "no such timing"),
        (
            (visit_file, *as_device, "--tcp", "127.0.0.1:0", "--link", tmp_path / "l"),
            UsageError,
            "exclude each other",
        ),
    ):
        error = invoked(*arguments)
        assert isinstance(error, kind), arguments
        assert words in str(error)


def test_the_command_that_a_replay_names_works_as_often_as_it_is_given(
    running: RunningReplay, visit_file: Path
) -> None:
    """`program status` did once, where the recording begins with it, then it was refused as no command of it."""
    target = f"pty:{running.near.address}"
    ready = {"recording": visit_file, "target": target}
    (hint,) = [line for line in _for_people(ready).splitlines() if line.startswith("Talk to it:")]
    _pumpbench, *words = shlex.split(hint.removeprefix("Talk to it:"))
    for _ in range(3):
        done = CliRunner().invoke(main.cli, words)
        assert done.exit_code == 0, done.output
        assert "REPLAY of a recorded session" in done.stdout


def test_the_command_offers_a_port_and_ends_with_what_was_asked(visit_file: Path) -> None:
    """The one real process of these tests: ready line, a programmer over TCP, a miss, SIGTERM, the end, the code."""
    words = ("--as", "device", "--tcp", "127.0.0.1:0", "--strict", "--timing", "asked")
    command = PortCommand("replay", visit_file, *words)
    with hil.connect(command.ready["target"], state=False) as pump:
        assert f"{pump.info().memory_id:016x}" == command.ready["memory_id"]
        with pytest.raises(DeviceRefused):
            pump.link_stats()
    code, out, err = command.end(signal.SIGTERM)
    summary = json.loads(out.splitlines()[0])
    validator = jsonschema.Draft202012Validator(json_schema("replay"))
    for document in (command.ready, summary):
        validator.validate(document)
    assert (command.ready["kind"], summary["refused"]) == ("replay", 1)
    assert "REPLAY: GET_LINK_STATS was asked, and the recording has none" in err
    assert code == NotTheSame.exit_code
