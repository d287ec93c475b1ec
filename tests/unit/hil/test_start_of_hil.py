"""`pumpbench hil` while it starts: Ctrl-C ends it in order, and output that goes nowhere ends it with 12."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.patience import PATIENCE_S
from tests.support.warm_python import forked, run_python
from tests.unit.hil.runs import environment

if TYPE_CHECKING:
    from pathlib import Path

HIL = (sys.executable, "-m", "hil.cli", "hil")
# Sends Ctrl-C to its own process when this module is first imported.
INTERRUPTS = """
    import os, signal, sys

    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name == os.environ["INTERRUPT_AT"]:
                os.kill(os.getpid(), signal.SIGINT)

    sys.meta_path.insert(0, Finder())
"""


@pytest.mark.one_in(6)
@pytest.mark.parametrize("command", ["run", "list", "targets"])
@pytest.mark.parametrize(
    "module",
    ["click", "hil.cli.main", "hil.cli.run", "hil.report.directory", "_pytest.config", "hil.capabilities"],
)
def test_ctrl_c_while_it_starts_ends_it_with_130_and_at_most_one_sentence(
    module: str, command: str, tmp_path: Path
) -> None:
    if command == "targets" and module in {"_pytest.config", "hil.capabilities"}:
        module = "hil.targets.port"
    text = "\n".join(line[4:] for line in INTERRUPTS.splitlines())
    (tmp_path / "sitecustomize.py").write_text(text)
    env = {"INTERRUPT_AT": module}
    done = subprocess.run(
        [*HIL, command],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(tmp_path, env, first=tmp_path),
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr in ("", "pumpbench: interrupted: nothing was sent\n")


def test_ctrl_c_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    text = "\n".join(line[4:] for line in INTERRUPTS.splitlines())
    (tmp_path / "sitecustomize.py").write_text(text)
    done = subprocess.run(
        [*HIL, "list"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(tmp_path, {"INTERRUPT_AT": "hil.capabilities"}, first=tmp_path),
        timeout=PATIENCE_S,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["run", "list", "list --json", "targets"])
def test_output_that_finds_no_room_ends_it_with_12_and_a_sentence(command: str, tmp_path: Path) -> None:
    errors, arguments = tmp_path / "errors", (*HIL[2:], *command.split())
    with open("/dev/full", "wb") as full, errors.open("wb") as stderr:  # noqa: PTH123 - a device
        env, outputs = environment(tmp_path), (full.fileno(), stderr.fileno())
        code = forked(*arguments, cwd=tmp_path, env=env, stdout=outputs[0], stderr=outputs[1]).wait()
    said = errors.read_text()
    assert code == 12, said
    assert "No space left on device" in said
    assert "Traceback" not in said
    assert "INTERNALERROR" not in said


@pytest.mark.parametrize("command", ["list", "targets"])
def test_output_that_is_closed_ends_it_with_12_and_a_sentence(command: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *HIL, command],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment(tmp_path),
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (12, 1), done.stderr
    assert "stdout is closed" in done.stderr


@pytest.mark.one_in(6)
@pytest.mark.parametrize("looking", ["-h", "-qh", "--help", "--markers", "--version", "--fixtures"])
def test_list_shows_what_pytest_says_of_itself(looking: str, tmp_path: Path) -> None:
    done = run_python([*HIL, "list", "--", looking], tmp_path, environment(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert not done.stderr
