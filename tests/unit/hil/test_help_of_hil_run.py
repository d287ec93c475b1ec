"""What `pumpbench hil run` says before it runs, and in which colours."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from hil.cli.run import hil
from hil.errors import ExitCode
from tests.unit.hil.runs import hil_run

if TYPE_CHECKING:
    from pathlib import Path


def test_the_help_names_each_exit_code_of_a_run_in_a_line_of_its_own() -> None:
    text = CliRunner().invoke(hil, ["run", "--help"]).output
    named = {int(code) for code in re.findall(r"^ +(\d+)  \w", text, re.MULTILINE)}
    ours = {int(code) for code in (ExitCode.BENCH_LOST, ExitCode.BAD_CONFIGURATION, ExitCode.TAKEN)}
    assert named == {int(code) for code in pytest.ExitCode} | {6} | ours


@pytest.mark.parametrize(("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_no_color_is_respected(env: dict[str, str], coloured: bool, tmp_path: Path) -> None:
    done = hil_run(tmp_path, "-k", "comes_byte_by_byte", env={"FORCE_COLOR": "1"} | env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ("\x1b[" in done.stdout) is coloured
