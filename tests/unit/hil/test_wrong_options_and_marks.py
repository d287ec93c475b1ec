"""What is wrong with a run or a test is said before the first test runs, on every kind of target."""

from __future__ import annotations

import os
import tty
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hil.errors import BadConfiguration, UsageError
from hil.noise import Direction, FaultyLine
from hil.targets.choices import PumpChoice
from hil.targets.emulated import check_choice, profile_names
from tests.unit.hil.runs import hil_run, pytest_on, summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.bench_of_test import TestBench

TWO_TESTS = "def test_x(pump): pass\ndef test_y(pump): pass\n"


@pytest.fixture
def pty() -> Iterator[str]:
    """The path of a line that nobody answers on."""
    master, slave = os.openpty()
    tty.setraw(slave)
    yield os.ttyname(slave)
    os.close(slave)
    os.close(master)


WRONG_OPTIONS = [
    (("--seed", "-5"), "--seed (--hil-seed)", "must be a whole number from 0 to 9223372036854775807, is -5"),
    (("--seed", str(1 << 63)), "--seed (--hil-seed)", "is 9223372036854775808"),
    (
        ("--profile", "nope"),
        "--profile (--hil-profile)",
        "profile nope: no such file, and no built-in profile",
    ),
    (("--profile", "pipe"), "--profile (--hil-profile)", "profile pipe: is no regular file"),
    (("--profile", ""), "--profile (--hil-profile)", "names no pump that can be made"),
]


@pytest.mark.parametrize("target", ["emulator", "emulator:process"])
@pytest.mark.parametrize(("arguments", "option", "sentence"), WRONG_OPTIONS)
def test_a_seed_or_profile_that_is_none_ends_the_run_with_10_before_it_begins(
    arguments: tuple[str, ...], option: str, sentence: str, target: str, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    done = hil_run(tmp_path, "--target", target, *arguments)
    assert done.returncode == 10, done.stdout + done.stderr
    assert option in done.stderr
    assert sentence in done.stderr
    assert "collected" not in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("arguments", [("--seed", "5"), ("--profile", "implanted"), ("--profile", "nope")])
def test_a_seed_or_profile_is_refused_by_a_pump_that_is_there_already(
    arguments: tuple[str, ...], pty: str, tmp_path: Path
) -> None:
    done = hil_run(tmp_path, "--target", f"pty:{pty}", *arguments)
    assert done.returncode == 10, done.stdout + done.stderr
    assert f"{arguments[0]} (--hil-{arguments[0].removeprefix('--')})" in done.stderr
    assert "is for emulated pumps alone" in done.stderr
    assert repr(int(arguments[1]) if arguments[1].isdigit() else arguments[1]) in done.stderr


def test_a_target_without_a_name_is_refused_and_not_replaced_by_an_emulator(tmp_path: Path) -> None:
    done = hil_run(tmp_path, "--target", "")
    assert (done.returncode, done.stderr.count("\n")) == (10, 1), done.stdout + done.stderr
    assert "--target names no device" in done.stderr
    done = pytest_on(tmp_path, TWO_TESTS, "--hil-target", "")
    assert done.returncode == 10, done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments", [("-k", "  "), ("-k", ""), ("--", "-k", " "), ("--", "-m", " ")], ids=str
)
def test_an_expression_that_names_no_tests_is_refused_and_does_not_run_all(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    done = hil_run(tmp_path, *arguments)
    assert done.returncode == 10, done.stdout + done.stderr
    assert "names no tests" in done.stderr


@pytest.mark.one_in(6)
@pytest.mark.parametrize(
    ("arguments", "env"),
    [(("--hil-seed", "-5"), {}), (("--hil-profile", "nope"), {}), ((), {"PUMPBENCH_TARGET": "nonsense"})],
)
def test_what_is_wrong_for_every_test_ends_a_run_at_the_first_one_that_wants_a_pump(
    arguments: tuple[str, ...], env: dict[str, str], tmp_path: Path
) -> None:
    done = pytest_on(tmp_path, TWO_TESTS, *arguments, env=env)
    assert done.returncode == 10, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert " error" not in done.stdout


WRONG_MARKS = [
    ("@verifies('FRM-001', 'NOPE-1')", "does not know 'NOPE-1'"),
    ("@verifies(5)", "does not know 5"),
    ("@verifies()", "must name one or more requirements"),
    ("@verifies", "must name one or more requirements"),
    ("@starts_as('nobody')", "profile nobody: no such file, and no built-in profile"),
    ("@starts_as(model={'colour': 3})", "model.colour is no setting"),
    ("@starts_as(model={'stroke_nl': object()})", "has fields that no profile can have"),
    ("@pytest.mark.starts_as(profile='factory')", "must name one profile"),
    ("@needs('magic', 5)", "no such capability: magic, 5 (there are: time"),
    ("@pytest.mark.needs()", "must name one or more capabilities"),
    ("@without_effect()", "must name one or more faults"),
    ("@without_effect(5)", "must name one or more faults"),
]


@pytest.mark.one_in(6)
@pytest.mark.parametrize("target", ["emulator", "port"])
@pytest.mark.parametrize(("mark", "sentence"), WRONG_MARKS)
def test_a_mark_that_is_wrong_is_an_error_of_the_collection_that_names_test_and_mark(
    mark: str, sentence: str, target: str, pty: str, tmp_path: Path
) -> None:
    head = "import pytest\nfrom hil.plugin import needs, starts_as, verifies, without_effect\n"
    text = f"{head}def test_x(): pass\n{mark}\ndef test_y(): pass\n"
    done = pytest_on(tmp_path, text, "--hil-target", f"pty:{pty}" if target == "port" else target)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "test_it.py::test_y: @" in done.stdout
    assert sentence in done.stdout
    assert "passed" not in done.stdout


def test_a_wrong_mark_of_a_class_is_found_on_its_tests(tmp_path: Path) -> None:
    text = "from hil.plugin import verifies\n@verifies('NOPE-1')\nclass TestX:\n    def test_y(self, pump): pass\n"
    done = pytest_on(tmp_path, text)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "test_it.py::TestX::test_y: @verifies" in done.stdout


ON_UNITTEST = """
    import unittest
    import pytest

    class TestX(unittest.TestCase):
        @pytest.mark.verifies("NOPE-1")
        def test_claims(self): pass

        @pytest.mark.needs("magic")
        def test_wants(self): pass

        @pytest.mark.starts_as("nobody")
        def test_starts(self): pass

    def test_good(): pass
"""


@pytest.mark.one_in(6)
@pytest.mark.parametrize(
    "more", [(), ("-n", "2"), ("-k", "test_good")], ids=["here", "distributed", "left out"]
)
def test_wrong_marks_on_tests_of_unittest_are_found(more: tuple[str, ...], tmp_path: Path) -> None:
    done = pytest_on(tmp_path, ON_UNITTEST, "--hil-target", "emulator:process", *more)
    assert done.returncode not in {0, None}, done.stdout + done.stderr
    for sentence in ("test_claims: @verifies", "test_wants: @needs", "test_starts: @starts_as"):
        assert f"test_it.py::TestX::{sentence}" in done.stdout
    assert "1 passed" not in done.stdout or "-n" in more  # workers do not wait for each other's errors


@pytest.mark.one_in(6)
@pytest.mark.parametrize(
    "hook",
    [
        "def pytest_collection_modifyitems(items):",
        "@pytest.hookimpl(trylast=True)\ndef pytest_collection_modifyitems(items):",
        "@pytest.hookimpl(wrapper=True)\ndef pytest_collection_modifyitems(items):\n    yield",
        "def pytest_itemcollected(item):\n    items = [item]",
    ],
    ids=["modifyitems", "last", "wrapper", "itemcollected"],
)
def test_a_wrong_mark_that_a_hook_adds_is_found(hook: str, tmp_path: Path) -> None:
    adds = "    for each in items: each.add_marker(pytest.mark.verifies('NOPE-1'))"
    (tmp_path / "conftest.py").write_text(f"import pytest\n{hook}\n{adds}\n")
    done = pytest_on(tmp_path, TWO_TESTS, "--hil-target", "emulator")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "test_it.py::test_x: @verifies" in done.stdout
    assert "passed" not in done.stdout


def test_a_test_with_a_wrong_mark_is_not_run_where_the_rest_goes_on(tmp_path: Path) -> None:
    text = f"{TWO_TESTS}import pytest\n@pytest.mark.verifies('NOPE-1')\ndef test_z(pump): pass\n"
    report = ("--hil-report", str(tmp_path / "report"))
    done = pytest_on(tmp_path, text, "--hil-target", "emulator", *report, "--continue-on-collection-errors")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "INCOMPLETE: 2 passed, 1 could not be collected" in summary(tmp_path)


def test_requirements_of_somebody_else_stand_in_files_that_the_ini_option_names(tmp_path: Path) -> None:
    text = "from hil.plugin import verifies\n@verifies('OURS-1')\ndef test_x(pump): pass\n"
    (tmp_path / "own.toml").write_text("[OURS-1]\nsentence = 'It runs.'\n")
    done = pytest_on(tmp_path, text, "-o", "hil_requirements=own.toml")
    assert done.returncode == 0, done.stdout + done.stderr
    done = pytest_on(tmp_path, text, "-o", "hil_requirements=missing.toml")
    assert done.returncode == 2
    assert "missing.toml cannot be read" in done.stdout


def test_marks_of_others_with_the_same_names_are_none_of_our_business(tmp_path: Path) -> None:
    text = "import pytest\n@pytest.mark.verifies('JIRA-7')\ndef test_x(): pass\n"
    assert pytest_on(tmp_path, text).returncode == 0


# Faults on the line.


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (lambda line: line.drop(50), "is 50"),
        (lambda line: line.drop("sideways"), "is 'sideways'"),
        (lambda line: line.inject(50, b"x"), "is 50"),
        (lambda line: line.release(None), "is None"),
        (lambda line: line.seen("x"), "is 'x'"),
        (
            lambda line: line.drop(Direction.TO_PUMP, 0),
            "count of the fault drop must be a whole number of at least 1",
        ),
        (lambda line: line.drop(Direction.TO_PUMP, skip=-1), "skip of the fault drop"),
        (lambda line: line.delay(Direction.TO_PUMP, -1), "delay_ms of the fault delay"),
        (lambda line: line.duplicate(Direction.TO_PUMP, copies=0), "copies of the fault duplicate"),
        (lambda line: line.flip(Direction.TO_PUMP, 1.5), "bit of the fault flip"),
    ],
)
def test_a_fault_that_could_never_fire_is_refused_where_it_is_set(
    fault: Callable[[FaultyLine], Any], sentence: str, bench: TestBench
) -> None:
    with pytest.raises(UsageError, match=sentence):
        fault(bench.line)


def test_a_direction_may_be_named_by_its_words(bench: TestBench) -> None:
    dropped = bench.line.drop("to pump")  # type: ignore[arg-type]
    bench.line.send(b"x\x00")
    assert dropped.spent


NEVER_FIRES = """
    from hil.noise import Direction

    def test_on_the_bench(pump, pump_bench):
        pump_bench.line.drop(Direction.TO_PUMP)

    def test_on_a_line_that_was_closed(pump_line, pump_bench):
        pump_line.drop(Direction.TO_PUMP)
        pump_bench.reopen_line()
"""


def test_a_fault_that_never_fired_is_an_error_on_whatever_line_of_the_test(tmp_path: Path) -> None:
    done = pytest_on(tmp_path, NEVER_FIRES, "--hil-target", "emulator")
    assert done.returncode == 1
    assert "2 passed, 2 errors" in done.stdout


@pytest.mark.parametrize("name", profile_names())
def test_a_profile_of_the_installation_is_known_by_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    check_choice(PumpChoice(name))


def test_a_file_of_a_shipped_profiles_name_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suite_on_a_port").write_text("[model]\nnothing = 1\n")
    with pytest.raises(BadConfiguration, match="is no setting"):
        check_choice(PumpChoice("suite_on_a_port"))
