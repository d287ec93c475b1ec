"""`make` says what it can do, and the set-up chooses an interpreter that really runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def makefile(root: Path) -> str:
    return (root / "Makefile").read_text()


def test_every_target_has_a_line_of_its_own_in_what_make_prints(root: Path, makefile: str) -> None:
    phony = set(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split()) - {"set-up-elsewhere"}
    printed = subprocess.run(["make"], cwd=root, check=True, capture_output=True, text=True).stdout
    assert set(re.findall(r"^make ([a-z-]+) +\S", printed, re.MULTILINE)) == phony
    assert set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE)) == phony


def test_make_test_runs_each_step_that_make_names_for_it(makefile: str) -> None:
    promised = re.search(r"^test: .*: (.*)$", makefile, re.MULTILINE)
    assert promised is not None
    recipe = makefile.split("\ntest:", maxsplit=1)[1].split("\n\n", maxsplit=1)[0]
    assert re.findall(r"\$\(MAKE\) ([a-z-]+)", recipe) == promised[1].split(", ")


def test_a_run_of_the_tests_ends_with_its_five_slowest(makefile: str) -> None:
    recipe = makefile.split("\nunit:", maxsplit=1)[1].split("\n\n", maxsplit=1)[0]
    assert re.search(r"-m pytest .*--durations=5$", recipe, re.MULTILINE)


def test_no_setting_for_somebodys_pytest_or_python_reaches_the_tests(root: Path) -> None:
    show = 'include Makefile\nshow:\n\t@echo "[$$PYTEST_ADDOPTS$$PYTEST_PLUGINS$$PYTHONDONTWRITEBYTECODE]"\n'
    done = subprocess.run(
        ["make", "-f", "-", "show"],
        cwd=root,
        input=show,
        env=os.environ
        | {"PYTEST_ADDOPTS": "--collect-only", "PYTEST_PLUGINS": "nothing", "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "[]\n"


def set_up_with(root: Path, place: Path, interpreters: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the set-up where only these interpreters, each a shell script, are on the PATH."""
    path = place / "path"
    path.mkdir()
    for name, script in interpreters.items():
        (path / name).write_text(f"#!/bin/sh\n{script}\n")
        (path / name).chmod(0o755)
    for tool in ("cat", "rm"):
        (path / tool).symlink_to(shutil.which(tool) or tool)
    return subprocess.run(
        ["/bin/sh", str(root / "scripts/set_up.sh"), ".venv/stamp"],
        cwd=place,
        env={"PATH": str(path)},
        check=False,
        capture_output=True,
        text=True,
    )


SHIM_WITH_NOTHING_BEHIND = "echo 'python3.13: command not found' >&2; exit 127"
TOO_OLD = "exit 1"
WITHOUT_VENV = """case "$2" in
*version_info\\<*|*"version_info < "*) exit 0;;
*ensurepip*) exit 1;;
*) echo python3.12-venv;;
esac"""


@pytest.mark.parametrize(
    "interpreters",
    [{}, {"python3.13": SHIM_WITH_NOTHING_BEHIND}, {"python3": TOO_OLD, "python": TOO_OLD}],
    ids=["none", "a shim", "too old"],
)
def test_without_a_python_that_runs_the_set_up_says_so_in_one_line(
    root: Path, tmp_path: Path, interpreters: dict[str, str]
) -> None:
    done = set_up_with(root, tmp_path, interpreters)
    assert done.returncode != 0
    assert done.stderr == (
        "make: no Python 3.11 or later was found on the PATH: install one and run make again\n"
    )


def test_a_python_without_venv_is_named_with_the_package_that_is_missing(root: Path, tmp_path: Path) -> None:
    done = set_up_with(root, tmp_path, {"python3.13": SHIM_WITH_NOTHING_BEHIND, "python3.12": WITHOUT_VENV})
    assert done.returncode != 0
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("make: python3.12 has no venv or ensurepip: install it")
    assert "apt install python3.12-venv" in done.stderr


def test_the_first_python_that_runs_is_chosen(root: Path, tmp_path: Path) -> None:
    told = 'echo "chosen $0 $*" >&2; case "$*" in *venv\\ --clear*) exit 3;; esac'
    done = set_up_with(root, tmp_path, {"python3.13": SHIM_WITH_NOTHING_BEHIND, "python3.11": told})
    assert "chosen" in done.stderr
    assert "python3.11 -m venv --clear .venv" in done.stderr
    assert done.returncode == 3
