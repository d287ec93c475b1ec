"""Tests of a user's own that are run along with the suite, from files that stand anywhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.unit.hil.runs import hil_run

if TYPE_CHECKING:
    from pathlib import Path


def test_two_files_outside_the_suite_with_one_test_name_have_two_names_in_report_and_last_failed(
    tmp_path: Path,
) -> None:
    files = []
    for name, body in (("first/test_a.py", "assert not pump"), ("second/test_b.py", "assert pump")):
        file = tmp_path / name
        file.parent.mkdir()
        file.write_text(f"def test_same(pump): {body}\n")
        files.append(str(file))
    chosen = ("--", "-k", "test_same", "-o", f"cache_dir={tmp_path / 'cache'}")
    done = hil_run(tmp_path, *files, *chosen)
    assert done.returncode == 1, done.stdout
    assert "FAILED first/test_a.py::test_same" in done.stdout
    tests = json.loads((tmp_path / "report" / "report.json").read_text())["tests"]
    outcomes = {test["name"]: test["outcome"] for test in tests if "test_same" in test["name"]}
    assert outcomes == {f"{files[0]}::test_same": "failed", f"{files[1]}::test_same": "passed"}
    again = hil_run(tmp_path, *files, *chosen, "--lf")
    assert "FAILED first/test_a.py::test_same" in again.stdout, again.stdout
    assert "test_b.py" not in again.stdout, again.stdout
