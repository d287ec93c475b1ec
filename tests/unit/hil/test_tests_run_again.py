"""A test that is run again has one result, its last, and is said to be; a test that is run twice has two."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.unit.hil.runs import IN_PROCESS, named_in, pytest_on, summary

# What pytest-rerunfailures tells: tries whose outcome is "rerun", in any phase, with or without the phases after it.
RUNS_AGAIN = """
    from _pytest.runner import runtestprotocol

    def pytest_runtest_protocol(item, nextitem):
        for last in (False, False, True):
            item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
            again = False
            for report in runtestprotocol(item, nextitem=nextitem, log=False):
                if not last and report.failed:
                    report.outcome, again = "rerun", True
                item.ihook.pytest_runtest_logreport(report=report)
                if again and {cut_short}:
                    break
            if not again:
                return True
            item._initrequest()
            item.session._setupstate.teardown_exact(nextitem)
"""
TRIES = """
    import os, signal
    import pytest

    tries = []

    @pytest.fixture
    def breaks_once_before():
        tries.append(1)
        assert tries.count(1) > 1

    @pytest.fixture
    def breaks_once_after():
        yield
        tries.append(2)
        assert tries.count(2) > 1

    def test_good(pump): pass
    def test_before(breaks_once_before): pass
    def test_after(breaks_once_after): pass
    def test_in_the_middle():
        tries.append(3)
        assert tries.count(3) > {failures}{ending}
"""


def run_again(
    directory: Path, *arguments: str, failures: int, ending: str = "", cut_short: bool = True
) -> Any:
    (directory / "again.py").write_text(_unindented(RUNS_AGAIN.format(cut_short=cut_short)))
    text = TRIES.format(failures=failures, ending=ending)
    return pytest_on(directory, text, *IN_PROCESS, "-p", "again", *arguments, first=directory)


def _unindented(text: str) -> str:
    return "\n".join(line[4:] for line in text.splitlines())


@pytest.mark.one_in(6)
@pytest.mark.parametrize("cut_short", [True, False], ids=["ends at once", "ends its try"])
@pytest.mark.parametrize("more", [(), ("-n", "2")], ids=["here", "distributed"])
@pytest.mark.parametrize(
    ("failures", "result", "tries"),
    [(2, "1 passed, 3 passed on retry", 4), (3, "1 passed, 2 passed on retry, 1 failed", 4)],
    ids=["passes in the end", "fails to the end"],
)
def test_a_test_that_is_run_again_counts_once_with_its_last_result(
    failures: int, result: str, tries: int, more: tuple[str, ...], cut_short: bool, tmp_path: Path
) -> None:
    done = run_again(tmp_path, *more, failures=failures, cut_short=cut_short)
    assert done.returncode == (1 if failures == 3 else 0), done.stdout
    assert f"result    {result} on emulator" in summary(tmp_path)
    junit = ET.parse(tmp_path / "report/junit.xml").getroot()  # noqa: S314 - our own file
    assert sum(1 for _ in junit.iter("testcase")) == 4
    assert sum(1 for _ in junit.iter("failure")) == done.returncode
    assert f"reruns    {tries} tries of 3 tests do not count: they were run again" in summary(tmp_path)


def test_a_test_that_is_ended_in_its_second_try_did_not_run(tmp_path: Path) -> None:
    ending = " or os.kill(os.getpid(), signal.SIGTERM) if tries.count(3) > 1 else False"
    done = run_again(tmp_path, failures=9, ending=ending)
    assert done.returncode == 2, done.stdout
    assert "result    INCOMPLETE: 1 passed, 2 passed on retry, 1 did not run on" in summary(tmp_path)
    assert named_in(tmp_path) == ["test_in_the_middle (begun, not ended)"]


TWICE = """
    import os

    def test_one(pump):
        if os.path.exists("been here"):
            {second}
        open("been here", "w").close()

    def test_two(pump): pass
"""


@pytest.mark.one_in(6)
@pytest.mark.parametrize(
    ("second", "code", "result", "missing"),
    [
        ("pass", 0, "4 passed on", []),
        ("assert False", 1, "3 passed, 1 failed on", []),
        (
            "os._exit(0)",
            3,
            "INCOMPLETE: 2 passed, 2 did not run on",
            ["test_one (begun, not ended)", "test_two"],
        ),
        (
            "raise KeyboardInterrupt",
            2,
            "INCOMPLETE: 2 passed, 2 did not run on",
            ["test_one (begun, not ended)", "test_two"],
        ),
    ],
    ids=["passes", "fails", "os._exit", "Ctrl-C"],
)
def test_a_test_that_is_chosen_twice_is_counted_twice(
    second: str, code: int, result: str, missing: list[str], tmp_path: Path
) -> None:
    text = TWICE.format(second=second)
    done = pytest_on(tmp_path, text, *IN_PROCESS, "--keep-duplicates", "test_it.py")
    assert done.returncode == code, done.stdout
    assert f"result    {result}" in summary(tmp_path)
    if missing:
        assert named_in(tmp_path) == missing
    if code == 2:
        suite = ET.parse(tmp_path / "report/junit.xml").getroot().find("testsuite")  # noqa: S314 - our own file
        assert suite is not None
        assert (suite.get("tests"), suite.get("errors")) == ("4", "2")
        verdicts = [(case.get("name"), [e.tag for e in case if e.tag != "properties"]) for case in suite]
        assert sorted(verdicts) == [
            ("test_one", []),
            ("test_one", ["error"]),
            ("test_two", []),
            ("test_two", ["error"]),
        ]


def test_a_test_that_every_worker_runs_is_counted_for_each(tmp_path: Path) -> None:
    text = """
        import os
        def test_one(pump): assert os.environ["PYTEST_XDIST_WORKER"] == "gw0"
        def test_two(pump): pass
    """
    done = pytest_on(tmp_path, text, *IN_PROCESS, "--dist", "each", "--tx", "2*popen")
    assert done.returncode == 1, done.stdout
    assert "result    3 passed, 1 failed on emulator" in summary(tmp_path)


def test_a_worker_of_several_with_the_same_tests_that_stops_leaves_tests_that_did_not_run(
    tmp_path: Path,
) -> None:
    text = """
        import os
        def test_one(pump): assert os.environ["PYTEST_XDIST_WORKER"] == "gw0"
        def test_two(pump): pass
        def test_three(pump): pass
    """
    done = pytest_on(tmp_path, text, *IN_PROCESS, "--dist", "each", "--tx", "2*popen", "-x")
    assert done.returncode not in {0, None}, done.stdout
    counts = summary(tmp_path).splitlines()[3]
    assert counts.startswith("result    INCOMPLETE: "), counts
    assert sum(int(word) for word in counts.split() if word.isdigit()) == 6
