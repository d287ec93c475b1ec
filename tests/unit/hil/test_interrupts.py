"""Ctrl-C on the command line, once or many times, at any moment: the exit code says what became of the command."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.targets.choices import PumpChoice
from hil.targets.process import ProcessTarget
from tests.support.patience import PATIENCE_S
from tests.support.soak import rounds_of
from tests.support.warm_python import run_python

HOUSE = Path(__file__).resolve().parents[3]
ALL_ENDINGS = {
    0: "",
    9: "it may have been carried out",
    12: "reached the pump, its outcome is",
    130: "nothing was sent",
}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    target = ProcessTarget(PumpChoice(time_mode="real"))
    try:
        target.start()
        yield f"pty:{target.ready['port']}"
    finally:
        target.close()


def interrupted(where: str, count: int, *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command line that was interrupted from a function on."""
    module = "tests.unit.hil.interrupted_command"
    done = run_python([sys.executable, "-m", module, where, str(count), *arguments])
    return done.returncode, done.stdout, done.stderr


BOLUS = ("program", "bolus", "--volume", "0.02", "--duration", "600", "--yes", "--target", "emulator")


STOP = (sys.executable, "-m", "hil.cli", "program", "stop", "--yes", "--leave-stopped")


@pytest.mark.parametrize("count", [1, 30])
@pytest.mark.parametrize(
    ("where", "ends_with"),
    [
        ("bolus", 130),
        ("ClientSession.open", 130),
        ("CommandLedger.resolve", 130),
        ("Programmer.prepare_bolus", 130),
        ("CommandLedger._sent", 9),
        ("CommandLedger._accepted", 9),
        ("report", 12),
        ("Programmer.close", 0),
        ("Programmer.end_session", 0),
    ],
)
def test_the_exit_code_of_an_interrupted_bolus_says_what_became_of_it_however_often_it_was_interrupted(
    where: str, ends_with: int, count: int
) -> None:
    code, out, err = interrupted(where, count, *BOLUS)
    assert code == ends_with, err
    assert ALL_ENDINGS[code] in err
    assert bool(out) is (code == 0)
    assert "Aborted" not in err
    assert "Traceback" not in err


HANDLED = """
from hil.cli.interrupts import exit_unheard
try:
    exec("raise KeyboardInterrupt")
except KeyboardInterrupt:
    pass
exit_unheard({code})
"""


@pytest.mark.parametrize("code", [0, 2])
def test_an_interrupt_that_was_handled_is_no_ending_wherever_it_fell(code: int, tmp_path: Path) -> None:
    """Into code made from a string, as a layout is on its first use: `python -m` would end by it after all."""
    (tmp_path / "handled.py").write_text(HANDLED.format(code=code))
    command = [sys.executable, "-m", "handled"]
    done = subprocess.run(command, cwd=tmp_path, timeout=PATIENCE_S, check=False)
    assert done.returncode == code


@pytest.mark.parametrize("arguments", [("hil", "targets"), ("completion", "bash"), ("help", "exit-codes")])
def test_no_interrupted_command_ends_with_the_code_of_failed_tests(arguments: tuple[str, ...]) -> None:
    code, _out, err = interrupted("Context.invoke", 3, *arguments)
    assert (code, "Aborted" in err, "Traceback" in err) == (130, False, False), err


def test_an_interrupted_acknowledgement_does_not_say_that_nothing_was_sent(port: str) -> None:
    code, _out, err = interrupted("ClientSession.ask", 1, "program", "ack", "empty", "--target", port)
    assert code == 130, err
    assert "ALARM_ACK may have been done; to do it again does no harm" in err


def test_signals_typed_all_along_a_stop_never_end_it_with_1(port: str, tmp_path: Path) -> None:
    for attempt in range(rounds_of("signals all along a stop", 12, 4)):
        process = subprocess.Popen(
            [*STOP, "--target", port, "--state", str(tmp_path / f"{attempt}.json")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=HOUSE,
        )
        assert process.stdout is not None
        if attempt % 2:
            process.stdout.read(1)  # its answer is there
        else:
            while process.poll() is None and not (tmp_path / f"{attempt}.json").exists():
                pass
        while process.poll() is None:
            os.kill(process.pid, signal.SIGINT)
        _out, err = process.communicate(timeout=PATIENCE_S)
        expected = {0, 12} if attempt % 2 else set(ALL_ENDINGS)
        assert process.returncode in expected, err
        assert "Aborted" not in err
        assert "Traceback" not in err
