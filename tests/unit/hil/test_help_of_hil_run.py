"""What `pumpbench hil run` says before it runs, and in which colours."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from hil.cli.main import cli
from hil.cli.run import hil
from hil.errors import ExitCode
from tests.support.warm_python import run_python
from tests.unit.bench.processes import Emulator
from tests.unit.hil.runs import hil_run

if TYPE_CHECKING:
    from pathlib import Path


def test_the_help_names_each_exit_code_of_a_run_in_a_line_of_its_own() -> None:
    text = CliRunner().invoke(hil, ["run", "--help"]).output
    named = {int(code) for code in re.findall(r"^ +(\d+)  \w", text, re.MULTILINE)}
    ours = {ExitCode.BENCH_LOST, ExitCode.BAD_CONFIGURATION, ExitCode.TAKEN, ExitCode.ANSWER_NOT_WRITTEN}
    assert named == {int(code) for code in pytest.ExitCode} | {6} | {int(code) for code in ours}


def test_the_help_speaks_of_exit_codes_once() -> None:
    text = CliRunner().invoke(cli, ["hil", "run", "--help"]).output
    assert text.count("Exit codes") == 1


@pytest.mark.parametrize("group", ["program", "hil"])
def test_no_sentence_in_the_list_of_a_groups_commands_is_cut(group: str) -> None:
    text = CliRunner().invoke(cli, [group, "--help"]).output
    assert "accept" in text or "run" in text
    assert "..." not in text.partition("Commands:")[2]


WRONG_OPTIONS = [
    ("--seed", "-5"),
    ("--profile", "nope"),
    ("--baud", "9600"),
    ("--target", "nonsense://x"),
    ("--target", "pty:/nowhere", "--seed", "5"),
]


@pytest.mark.parametrize("arguments", WRONG_OPTIONS, ids=str)
def test_a_wrong_option_is_told_once_and_on_stderr(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = hil_run(tmp_path, *arguments)
    assert done.returncode == 10
    assert re.fullmatch("pumpbench: configuration: .*\n", done.stderr), done.stderr
    assert "configuration: " not in done.stdout, done.stdout


@pytest.mark.parametrize("test", ["preparing_delivers_nothing", "what_was_prepared"])
def test_a_test_that_is_skipped_for_a_bolus_under_way_names_that_bolus(test: str, tmp_path: Path) -> None:
    emulator = Emulator("--profile", "suite_on_a_port")
    target = ("--target", f"pty:{emulator.ready['port']}")
    bolus = (
        "bolus",
        "--volume",
        "0.02",
        "--duration",
        "600",
        "--yes",
        "--state",
        str(tmp_path / "state.json"),
    )
    program = [sys.executable, "-m", "hil.cli", "program", *bolus, *target]
    assert run_python(program).returncode == 0
    done = hil_run(tmp_path, *target, "-k", test)
    emulator.end()
    assert "1 skipped" in done.stdout, done.stdout
    assert "needs a pump without a bolus; in this one the bolus of command 1 is active" in done.stdout


@pytest.mark.parametrize(("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_no_color_is_respected(env: dict[str, str], coloured: bool, tmp_path: Path) -> None:
    done = hil_run(tmp_path, "-k", "comes_byte_by_byte", env={"FORCE_COLOR": "1"} | env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ("\x1b[" in done.stdout) is coloured
