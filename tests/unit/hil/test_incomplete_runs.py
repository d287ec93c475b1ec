"""A run that did not run all of its tests says so: in its report, on the terminal, and by its exit code."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree as ET

import pytest

from hil.report.summary import TITLE
from tests.support.patience import PATIENCE_S
from tests.unit.hil.runs import (
    AFTER_SECOND,
    FROM_SECOND,
    IN_PROCESS,
    WAITS,
    environment,
    five_tests,
    named_in,
    pytest_command,
    pytest_on,
    summary,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.hil.runs import Waiting

    Start = Callable[..., Waiting]


class Ending(NamedTuple):
    """One way in which a run ends before its end."""

    second: str
    arguments: tuple[str, ...]
    code: int
    missing: list[str]
    stopped: str
    limit_s: int = 0


ENDINGS = {
    "-x": Ending("assert False", ("-x",), 1, AFTER_SECOND, "stopping after 1 failures"),
    "--maxfail": Ending("assert False", ("--maxfail=1",), 1, AFTER_SECOND, "stopping after 1 failures"),
    "bench lost": Ending('raise BenchLost("it is gone")', (), 7, AFTER_SECOND, "bench: it is gone"),
    "pytest.exit": Ending('pytest.exit("enough", returncode=0)', (), 2, FROM_SECOND, "enough"),
    "Ctrl-C": Ending("raise KeyboardInterrupt", (), 2, FROM_SECOND, "Ctrl-C"),
    "SIGTERM": Ending("os.kill(os.getpid(), signal.SIGTERM)", (), 2, FROM_SECOND, "SIGTERM"),
    "SIGHUP": Ending("os.kill(os.getpid(), signal.SIGHUP)", (), 2, FROM_SECOND, "SIGHUP"),
    "os._exit(0)": Ending("os._exit(0)", (), 3, FROM_SECOND, "a test ended the process with os._exit(0)"),
    "os._exit(9)": Ending("os._exit(9)", (), 9, FROM_SECOND, "a test ended the process with os._exit(9)"),
    "timeout, by a thread": Ending(
        "threading.Event().wait()",
        ("--timeout-method=thread",),
        1,
        FROM_SECOND,
        "a test ended the process with os._exit(1)",
        limit_s=1,
    ),
    "internal error": Ending(
        "pytest.internal = 1", ("-p", "breaks"), 3, FROM_SECOND, "internal error: ZeroDivisionError"
    ),
}
BREAKS = "import pytest\ndef pytest_runtest_logreport(report):\n    if hasattr(pytest, 'internal'): 1 / 0\n"


@pytest.mark.one_in(6)
@pytest.mark.parametrize("name", ENDINGS)
def test_whatever_ends_a_run_early_what_did_not_run_is_counted_and_named(name: str, tmp_path: Path) -> None:
    ending = ENDINGS[name]
    (tmp_path / "breaks.py").write_text(BREAKS)
    text = five_tests(ending.second, ending.limit_s)
    done = pytest_on(tmp_path, text, *IN_PROCESS, *ending.arguments, first=tmp_path)
    assert done.returncode == ending.code, done.stdout + done.stderr
    assert named_in(tmp_path) == ending.missing
    assert "result    INCOMPLETE: 1 passed" in summary(tmp_path)
    (stopped,) = re.findall(r"^stopped   (.*)$", summary(tmp_path), re.MULTILINE)
    assert stopped.startswith(ending.stopped)
    last = "\n".join(done.stdout.splitlines()[-3:])
    assert f"incomplete: {len(ending.missing)} of 5 tests did not run ({ending.stopped}" in last


def test_a_timeout_by_a_signal_fails_one_test_and_the_others_run(tmp_path: Path) -> None:
    text = five_tests("threading.Event().wait()", limit_s=1)
    done = pytest_on(tmp_path, text, *IN_PROCESS, "--timeout-method=signal")
    assert done.returncode == 1, done.stdout
    assert "result    4 passed, 1 failed on emulator" in summary(tmp_path)


@pytest.mark.parametrize("ending", ["Ctrl-C", "os._exit(0)", "timeout, by a thread"])
def test_pytests_own_report_names_what_did_not_run_as_errors(ending: str, tmp_path: Path) -> None:
    text = five_tests(ENDINGS[ending].second, ENDINGS[ending].limit_s)
    done = pytest_on(tmp_path, text, *IN_PROCESS, *ENDINGS[ending].arguments)
    assert "(summary.txt, junit.xml, report.json, report.html, matrix.csv, manifest.json)" in done.stdout
    suite = ET.parse(tmp_path / "report/junit.xml").getroot().find("testsuite")  # noqa: S314 - our own file
    assert suite is not None
    verdicts = {
        f"{case.get('classname')}::{case.get('name')}": [e.tag for e in case if e.tag != "properties"]
        for case in suite
    }
    assert verdicts == {"test_it::test_first": []} | {
        f"test_it::{name}": ["error"] for name in ["test_second", *AFTER_SECOND]
    }
    assert (suite.get("tests"), suite.get("errors")) == ("5", "4")


@pytest.mark.parametrize(
    ("arguments", "code", "result"),
    [
        (("--continue-on-collection-errors",), 1, "2 passed, 2 could not be collected"),
        ((), 2, "2 did not run, 2 could not be collected"),
        (("--continue-on-collection-errors", "-n", "2"), 1, "2 passed, 2 could not be collected"),
    ],
    ids=["goes on", "stops", "distributed"],
)
def test_a_file_that_cannot_be_collected_is_counted_and_named(
    arguments: tuple[str, ...], code: int, result: str, tmp_path: Path
) -> None:
    (tmp_path / "test_broken.py").write_text("import no_such_module\n")
    (tmp_path / "test_torn.py").write_text("def test_x(:\n")
    text = "def test_one(pump): pass\ndef test_two(pump): pass\n"
    done = pytest_on(tmp_path, text, *IN_PROCESS, *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert f"result    INCOMPLETE: {result} on emulator" in summary(tmp_path)
    for name in ("test_broken.py", "test_torn.py"):
        assert f"\nNOT COLLECTED {name}\n" in summary(tmp_path)
    assert "No module named 'no_such_module'" in summary(tmp_path)
    said = "incomplete: what could not be collected has tests that nobody knows: test_broken.py, test_torn.py"
    assert said in done.stdout


# Endings that come from outside.


def still_there(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return state.stdout.strip()[:1] not in {"", "Z"}


def wait_until_gone(pids: list[int]) -> None:
    give_up_at_s = time.monotonic() + PATIENCE_S
    while any(still_there(pid) for pid in pids):
        assert time.monotonic() < give_up_at_s, "a process outlives the run"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_from_outside_ends_a_run_with_its_report_and_without_its_emulators(
    number: signal.Signals, start_waiting: Start, tmp_path: Path
) -> None:
    run = start_waiting()
    started = run.started()
    run.process.send_signal(number)
    code, said = run.end()
    assert code == 2, said
    assert "incomplete: 4 of 5 tests did not run" in "\n".join(said.splitlines()[-2:])
    assert named_in(tmp_path) == FROM_SECOND
    wait_until_gone(started)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_that_was_ignored_stays_ignored(
    number: signal.Signals, start_waiting: Start, tmp_path: Path
) -> None:
    run = start_waiting(ignoring=number)
    run.process.send_signal(number)
    run.let_go()
    code, said = run.end()
    assert code == 0, said
    assert "result    5 passed on emulator:process" in summary(tmp_path)


def test_a_killed_run_leaves_no_report_that_looks_complete_and_no_emulator(
    start_waiting: Start, tmp_path: Path
) -> None:
    older = tmp_path / "report"
    older.mkdir()
    (older / "summary.txt").write_text(f"{TITLE} 251 passed")
    (older / "junit.xml").write_text("<testsuites/>")
    run = start_waiting()
    started = run.started()
    run.process.send_signal(signal.SIGKILL)
    assert run.end()[0] == -signal.SIGKILL
    assert "result    RUNNING, incomplete" in summary(tmp_path)
    assert "chosen, and not known to have run: 5" in summary(tmp_path)
    assert {path.name for path in older.iterdir()} == {"summary.txt", "recording.pcapng"}
    wait_until_gone(started)


def test_a_second_run_does_not_write_into_the_report_of_the_first(
    start_waiting: Start, tmp_path: Path
) -> None:
    run = start_waiting()
    second = pytest_on(tmp_path / "second", WAITS, "--hil-target", "emulator", "--hil-report", "../report")
    assert second.returncode == 11, second.stdout
    assert "another run is writing its report to" in second.stderr
    run.let_go()
    assert run.end()[0] == 0
    assert "result    5 passed on emulator:process" in summary(tmp_path)


@pytest.mark.parametrize("target", ["nonsense", "pty:/nowhere"])
def test_a_run_that_cannot_begin_replaces_an_older_report(target: str, tmp_path: Path) -> None:
    arguments = ("--hil-report", str(tmp_path / "report"))
    text = "def test_x(pump): pass\n"
    assert pytest_on(tmp_path, text, "--hil-target", "emulator", *arguments).returncode == 0
    done = pytest_on(tmp_path, text, "--hil-target", target, *arguments)
    assert done.returncode == 10, done.stdout
    assert "result    NOTHING EXECUTED: no tests on" in summary(tmp_path)
    assert "stopped   configuration: " in summary(tmp_path)
    assert not (tmp_path / "report/junit.xml").exists()


def test_a_report_that_cannot_be_written_is_one_sentence_before_any_test(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("a file")
    done = pytest_on(tmp_path, "def test_x(pump): pass\n", *IN_PROCESS)
    assert done.returncode == 10, done.stdout
    assert "the report cannot be written to" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("tests", "sentence", "result"),
    [
        (3, "pytest could not write its output or report", "3 passed"),
        (99, "the report cannot be written", ""),
    ],
    ids=["by pytest's report", "by ours"],
)
def test_a_disk_that_fills_up_ends_the_run_with_10_and_a_sentence(
    tests: int, sentence: str, result: str, tmp_path: Path
) -> None:
    text = f"import pytest\n@pytest.mark.parametrize('n', range({tests}))\ndef test_x(n, pump_target): pass\n"
    command = pytest_command(tmp_path, text, *IN_PROCESS)
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 1; exec "$@"', "sh", *command],  # no file may be larger than half a KiB
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(tmp_path),
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 10, done.stdout + done.stderr
    assert sentence in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert f"result    {result or 'RUNNING, incomplete'}" in summary(tmp_path)
    files = {path.name for path in (tmp_path / "report").iterdir()}
    assert files == {"summary.txt", *(["recording.pcapng"] if result else [])}
    told = done.stdout.count("recording.pcapng: recording has ended, and the line goes on: File too large")
    assert told == bool(result), "where a test has run"


def test_a_report_directory_that_is_removed_in_mid_run_is_there_again_at_its_end(tmp_path: Path) -> None:
    text = five_tests("__import__('shutil').rmtree('report')")
    done = pytest_on(tmp_path, text, *IN_PROCESS)
    assert done.returncode == 0, done.stdout
    assert "result    5 passed on emulator" in summary(tmp_path)


def test_a_run_without_any_open_descriptor_has_its_report(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hil.cli", "hil", "run", "--report", "report", "-k", "byte_by_byte"]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command, "--target", "emulator:process"],
        cwd=tmp_path,
        env=environment(tmp_path),
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0
    assert "passed on emulator:process" in summary(tmp_path)


# A fork of a run is not the run.

FORKS = """
    import multiprocessing, os, signal

    def test_a_fork_exits(pump):
        pid = os.fork()
        if pid == 0:
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7

    def test_a_fork_is_terminated(pump):
        read_end, _ = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.read(read_end, 1)
        os.kill(pid, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM
"""


def test_a_fork_of_a_run_ends_as_if_it_were_alone(tmp_path: Path) -> None:
    done = pytest_on(tmp_path, FORKS, *IN_PROCESS, "-W", "ignore::DeprecationWarning")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("report: ") == 1
    assert "result    2 passed on emulator" in summary(tmp_path)
