"""The build server runs what everybody runs, with what Debian has for it; nothing is green because it did not run."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.not_run import LIST, listed_packages, not_run, objection, objections

ASKS = re.compile(r'(?:needs_program|skip_without)\([^()]+, package="([^"]+)"\)')
ROOT_ID = "echo 0"
LACKING = """case "$4" in there) echo installed;; *) exit 1;; esac"""
WORKS = 'echo "$DEBIAN_FRONTEND $*" >>"$LOG"'


def test_the_build_server_installs_packages_and_runs_make_test_and_nothing_else(root: Path) -> None:
    lines = [
        line for line in (root / ".ci/run").read_text().splitlines() if line and not line.startswith("#")
    ]
    assert lines == [
        "set -eu",
        'cd "$(dirname "$0")/.."',
        "sh scripts/install_debian_packages.sh scripts/debian-packages.txt",
        "exec make test",
    ]
    assert os.access(root / ".ci/run", os.X_OK)


SKIPS_OTHERWISE = {
    "tests/support/not_run.py",
    "tests/unit/bench/test_tcp_port.py",  # of another system than Debian
    "tests/house/test_for_each.py",  # it is what is tested there
}


def skips(source: str) -> list[str]:
    """Each way in which code skips a test by itself."""
    if "skip" not in source:  # it takes a second to parse all of them
        return []
    names = ("pytest.skip", "pytest.mark.skip", "pytest.mark.skipif", "pytest.importorskip")
    calls = (ast.unparse(node.func) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [call for call in calls if call in names]


def test_a_test_that_cannot_run_says_why_in_words_that_the_server_understands(
    root: Path, python_files: list[Path]
) -> None:
    found = {
        str(path) for path in python_files if path.parts[0] == "tests" and skips((root / path).read_text())
    }
    assert found == SKIPS_OTHERWISE
    assert skips("@pytest.mark.skipif(True)\ndef f():\n    pytest.skip('x')") != []


def test_each_package_has_its_reason_and_each_test_that_needs_one_finds_it_listed(
    root: Path, python_files: list[Path]
) -> None:
    for line in LIST.read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"[a-z0-9.+-]+ +# \S.*", line), line
    asked = {
        package
        for path in python_files
        for package in re.findall(
            r'(?:needs_program|skip_without)\([^()]+, package="([^"]+)"\)', (root / path).read_text()
        )
    }
    assert asked <= listed_packages(LIST.read_text())


def install(
    root: Path, place: Path, packages: str, programs: dict[str, str]
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Install a list where only these programs, each a shell script, are on the PATH; also what apt-get was told."""
    path = place / "path"
    path.mkdir()
    for name, script in programs.items():
        (path / name).write_text(f"#!/bin/sh\n{script}\n")
        (path / name).chmod(0o755)
    (path / "sed").symlink_to(shutil.which("sed") or "sed")
    (place / "list.txt").write_text(packages)
    log = place / "log"
    done = subprocess.run(
        ["/bin/sh", str(root / "scripts/install_debian_packages.sh"), str(place / "list.txt")],
        env={"PATH": str(path), "LOG": str(log)},
        check=False,
        capture_output=True,
        text=True,
    )
    return done, log.read_text().splitlines() if log.exists() else []


def test_what_is_missing_is_installed_and_what_is_there_is_not(root: Path, tmp_path: Path) -> None:
    listed = "# a list\nthere  # is here already\nshark  # reads\nbrowser # looks\n"
    done, told = install(root, tmp_path, listed, {"dpkg-query": LACKING, "apt-get": WORKS, "id": ROOT_ID})
    assert done.returncode == 0, done.stderr
    assert told == [
        "noninteractive update -qq",
        "noninteractive install -qq --no-install-recommends shark browser",
    ]


def test_nothing_is_fetched_where_nothing_is_missing(root: Path, tmp_path: Path) -> None:
    done, told = install(
        root, tmp_path, "there # is here\n", {"dpkg-query": LACKING, "apt-get": WORKS, "id": ROOT_ID}
    )
    assert (done.returncode, done.stdout, done.stderr, told) == (0, "", "", [])


@pytest.mark.parametrize(
    ("programs", "why"),
    [
        ({}, "there is no apt-get here"),
        ({"apt-get": WORKS, "id": "echo 1000"}, "only root installs; run apt-get install shark"),
        ({"apt-get": "exit 100", "id": ROOT_ID}, "apt-get update failed"),
        (
            {"apt-get": 'case "$1" in install) exit 100;; esac', "id": ROOT_ID},
            "apt-get install failed",
        ),
    ],
)
def test_what_cannot_be_installed_is_said_in_one_sentence_and_the_run_goes_on(
    root: Path, tmp_path: Path, programs: dict[str, str], why: str
) -> None:
    done, _told = install(root, tmp_path, "shark # reads\n", programs)
    assert done.returncode == 0
    assert done.stderr == (f"debian packages: shark left out, and the tests that need them: {why}\n")


@pytest.mark.parametrize(
    ("why", "here", "wrong"),
    [
        ("needs shark, which is not here: apt-get install shark", None, None),
        ("needs shark, which is not here: apt-get install shark", "/bin/shark", "shark is here"),
        ("needs cat, which is not here: apt-get install cat", None, f"{LIST.name} does not list cat"),
        ("needs the right to mount: run as root", None, None),
        ("not today", None, "it names no program that it needs (tests/support/not_run.py)"),
    ],
)
def test_a_server_accepts_no_skip_but_for_a_listed_program_that_is_not_there(
    why: str, here: str | None, wrong: str | None
) -> None:
    assert objection(why, {"shark"}, lambda _program: here) == wrong


SKIPS = """
import pytest
from tests.support.not_run import needs_program

@needs_program("no-such-shark", package="tshark")
def test_listed(): pass

@pytest.mark.parametrize("n", [1, 2])
def test_for_no_good_reason(n): pytest.skip("not today")

def test_runs(): pass
"""


def test_the_last_lines_name_every_test_that_did_not_run_and_a_server_fails(
    root: Path, tmp_path: Path
) -> None:
    (tmp_path / "test_skips.py").write_text(SKIPS)
    without = [word for plugin in ("pumpbench", "xdist", "cacheprovider") for word in ("-p", f"no:{plugin}")]
    place = ("-p", "tests.conftest", "-c", os.devnull, "--rootdir", str(tmp_path), str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *without, *place],
        cwd=root,
        env={**os.environ, "CI": "true"},
        check=False,
        capture_output=True,
        text=True,
    )
    wrong = "must run where CI=true: it names no program that it needs (tests/support/not_run.py)"
    assert done.stdout.splitlines()[-6:-1] == [
        "did not run: test_skips.py::test_for_no_good_reason[1]: not today",
        "did not run: test_skips.py::test_for_no_good_reason[2]: not today",
        "did not run: test_skips.py::test_listed: needs no-such-shark, which is not here: apt-get install tshark",
        f"test_skips.py::test_for_no_good_reason[1] {wrong}",
        f"test_skips.py::test_for_no_good_reason[2] {wrong}",
    ], done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("1 passed, 3 skipped")
    assert done.returncode == 1


def test_a_file_that_skips_itself_is_named_once_for_all_workers() -> None:
    report = pytest.CollectReport("test_x.py", "skipped", ("x.py", 1, "Skipped: no\n such module"), [])
    assert not_run([report, report]) == {"test_x.py": "no such module"}
    assert len(objections(not_run([report, report]))) == 1
