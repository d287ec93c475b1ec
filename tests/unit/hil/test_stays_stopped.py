"""RH-18: no command of a programmer leaves a pump stopped unless that was confirmed a second time."""

from __future__ import annotations

import json
import os
import pty
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hil.bench_of_test import TestBench
from hil.cli import main
from hil.cli.connection import Options
from hil.cli.stays_stopped import confirm_stays_stopped
from hil.errors import ExitCode, LeftStopped
from hil.noise import Direction
from hil.plugin import verifies
from tests.support.warm_python import PipedProcess

HOUSE = Path(__file__).resolve().parents[3]
LEAVES = "it was done; the pump is stopped, its program does not run, and nobody has confirmed that"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main.cli, ["program", *arguments])


# RH-18
@pytest.mark.parametrize(
    "command",
    [
        ("set", "--dose", "350", "--no-start"),
        ("minimum-rate", "--accept", "dose-change", "--accept", "refill-late", "--no-start"),
        ("flex", "00:00=12mcg/h", "--no-start"),
        ("write", "fixtures/programs/simple.toml", "--no-start"),
        ("refill", "--filled", "18", "--aspirated", "18"),
        ("stop",),
    ],
    ids=lambda command: command[0],
)
@verifies("PRC-015")
def test_a_command_that_leaves_the_pump_stopped_ends_with_14_unless_that_is_confirmed_too(
    command: tuple[str, ...], on_a_port: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(HOUSE)
    assert run("stop", "--yes", "--leave-stopped", *on_a_port).exit_code == ExitCode.OK
    unconfirmed = run(*command, "--yes", *on_a_port)
    assert isinstance(unconfirmed.exception, LeftStopped), unconfirmed.output
    assert unconfirmed.exception.exit_code == 14
    assert str(unconfirmed.exception).startswith(LEAVES)
    assert "pumpbench program resume" in str(unconfirmed.exception)
    assert "outcome" in unconfirmed.stdout, "what was done is told before anybody is asked"
    confirmed = run(*command, "--yes", "--leave-stopped", *on_a_port)
    assert (confirmed.exit_code, confirmed.exception) == (ExitCode.OK, None), confirmed.output


def test_a_program_that_asked_for_json_reads_one_document_and_the_exit_code_tells_it(
    on_a_port: tuple[str, str],
) -> None:
    stopped = run("stop", "--yes", "--json", *on_a_port)
    assert isinstance(stopped.exception, LeftStopped)
    assert json.loads(stopped.stdout)["outcome"] == "DONE"


@pytest.mark.parametrize(
    "command",
    [("set", "--dose", "310"), ("refill", "--filled", "18", "--aspirated", "18"), ("resume",)],
    ids=lambda command: command[0],
)
def test_nobody_is_asked_of_a_pump_that_runs(command: tuple[str, ...], on_a_port: tuple[str, str]) -> None:
    run("stop", "--yes", "--leave-stopped", *on_a_port)
    run("resume", *on_a_port)
    assert run(*command, *(() if command == ("resume",) else ("--yes",)), *on_a_port).exit_code == ExitCode.OK


def test_nobody_is_asked_of_a_pump_that_has_no_program_to_run(factory_on_a_port: tuple[str, str]) -> None:
    assert run("stop", "--yes", *factory_on_a_port).exit_code == ExitCode.OK


def test_a_pump_that_cannot_be_asked_whether_it_runs_is_not_taken_for_one_that_does(bench: TestBench) -> None:
    pump = bench.open_programmer()
    pump.stop()
    bench.line.drop(Direction.TO_PUMP, 1_000)
    options = Options(None, False, None, None, None, False, False, "stop", [])
    with pytest.raises(LeftStopped, match="it was done, and whether the pump runs now could not be asked"):
        confirm_stays_stopped(options, pump, confirmed=False)


@pytest.mark.parametrize(
    ("answer", "exit_code"),
    [(b"y\n", ExitCode.OK), (b"n\n", ExitCode.LEFT_STOPPED), (b"\x04", ExitCode.LEFT_STOPPED)],
    ids=["yes", "no", "end of input"],
)
def test_a_person_is_asked_after_the_stop_was_done_also_with_yes(answer: bytes, exit_code: ExitCode) -> None:
    human, terminal = pty.openpty()
    stopping = ("program", "stop", "--yes", "--target", "emulator")
    process = PipedProcess("hil.cli", *stopping, cwd=HOUSE, env=os.environ, stdin=terminal)
    asked = b""
    while b"[y/N]:" not in asked and (more := os.read(process.stderr.fileno(), 4_096)):
        asked += more
    os.write(human, answer)
    told, rest = process.communicate()
    os.close(human)
    os.close(terminal)
    assert b"its program does not run: leave it so?" in asked
    assert b"DONE" in told
    assert process.wait(60) == exit_code, rest.decode()
    assert (LEAVES.encode() in rest) == (exit_code is not ExitCode.OK)
