"""`pumpbench hil list`: what a run would run, without a target and without a report."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tests.support.patience import PATIENCE_S
from tests.support.warm_python import run_python
from tests.unit.hil.runs import environment, pytest_on

if TYPE_CHECKING:
    from pathlib import Path


def hil_list(directory: Path, *arguments: str) -> Any:
    command = [sys.executable, "-m", "hil.cli", "hil", "list", *arguments]
    return run_python(command, directory, environment(directory))


def test_each_test_is_one_line_with_its_requirements_and_needs_and_the_json_says_the_same(
    tmp_path: Path,
) -> None:
    done, as_json = hil_list(tmp_path), hil_list(tmp_path, "--json")
    assert done.returncode == as_json.returncode == 0, done.stderr + as_json.stderr
    lines = done.stdout.splitlines()
    assert len(lines) > 200
    assert list(tmp_path.iterdir()) == []
    document = json.loads(as_json.stdout)
    assert document["schema"] == {"name": "pumpbench-tests", "version": 1}
    rows = {row["name"]: row for row in document["tests"]}
    assert len(rows) == len(lines)
    for line in lines:
        name, requirements, needs = line.rsplit("  ", 2)
        assert requirements == (",".join(rows[name]["requirements"]) or "-")
        assert needs == (",".join(rows[name]["needs"]) or "-")
    assert {need for row in rows.values() for need in row["needs"]} >= {"time", "reset"}


def test_the_list_takes_an_expression_and_an_empty_one_ends_with_5(tmp_path: Path) -> None:
    done = hil_list(tmp_path, "-k", "framing")
    assert {line.partition("::")[0] for line in done.stdout.splitlines()} == {"suite/test_framing.py"}
    none = hil_list(tmp_path, "-k", "nothing_is_called_so")
    assert none.stderr == "pumpbench: no test matches what was asked for\n"
    assert (none.returncode, none.stdout) == (5, "")


def test_a_reader_that_has_read_enough_gets_no_traceback(tmp_path: Path) -> None:
    command = f"{sys.executable} -m hil.cli hil list | head -1"
    done = subprocess.run(
        ["sh", "-c", command],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(tmp_path),
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_a_list_runs_no_test_and_says_what_it_could_not_read(tmp_path: Path) -> None:
    text = "def test_x():\n    open('ran', 'w').close()\n"
    done = pytest_on(tmp_path, text, "--hil-list", "text", "-p", "no:terminal")
    assert done.stdout == "test_it.py::test_x  -  -\n"
    assert not (tmp_path / "ran").exists()
    broken = pytest_on(tmp_path, "import nothing_is_called_so\n", "--hil-list", "text", "-p", "no:terminal")
    assert broken.returncode == 2
    assert "test_it.py could not be collected:" in broken.stderr
