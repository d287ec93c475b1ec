"""A run whose tests are handed to workers by pytest-xdist is reported as an ordinary one, where the results arrive."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.lacking import keep_no_snapshots
from tests.unit.hil.runs import (
    FROM_SECOND,
    IN_PROCESS,
    ON_PROCESS,
    five_tests,
    hil_run,
    named_in,
    pytest_on,
    summary,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.hil.runs import Waiting

    Start = Callable[..., Waiting]


def test_a_distributed_run_has_the_report_of_an_ordinary_one(tmp_path: Path) -> None:
    text = five_tests("pump.status(); assert False")
    done = pytest_on(tmp_path, text, *ON_PROCESS, "-n", "2")
    assert done.returncode == 1, done.stdout + done.stderr
    text = summary(tmp_path)
    assert "result    4 passed, 1 failed on emulator:process" in text
    assert "device    EMULATED pump (virtual, not a medical device)" in text
    assert "RESPONSE GET_STATUS #1" in text
    assert "recorded: recording-gw0.pcapng, recording-gw1.pcapng (holds the keys" in done.stdout
    assert re.search(r"recorded in recording-gw[01]\.pcapng, packets \d+ to \d+", text)


def test_a_run_of_the_suite_may_be_distributed(tmp_path: Path) -> None:
    done = hil_run(tmp_path, "-k", "byte_by_byte or reason_is_kept", "--", "-p", "xdist", "-n", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^result    \d+ passed on emulator$", summary(tmp_path), re.MULTILINE)
    assert re.search(r"^FRM-\d+ +\d+ passed$", summary(tmp_path), re.MULTILINE)


@pytest.mark.parametrize(
    ("second", "code", "result"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", 1, "4 passed, 1 error on"),
        ("os._exit(0)", 1, "4 passed, 1 error on"),
        ('raise BenchLost("it is gone")', 7, ""),
    ],
)
def test_a_worker_that_is_gone_is_told_where_the_results_arrive(
    second: str, code: int, result: str, tmp_path: Path
) -> None:
    done = pytest_on(tmp_path, five_tests(second), *IN_PROCESS, "-n", "2")
    assert done.returncode == code, done.stdout + done.stderr
    assert f"result    {result}" in summary(tmp_path)


def test_all_workers_skipping_all_tests_end_5(tmp_path: Path) -> None:
    text = "from hil.plugin import needs\n@needs('snapshot')\ndef test_x(pump): pass\n"
    keep_no_snapshots(tmp_path)
    done = pytest_on(tmp_path, text, *ON_PROCESS, "-n", "2")
    assert done.returncode == 5, done.stdout
    assert "no test was executed: of 1 chosen 1 skipped (most often: emulator:process cannot: snapshot)" in (
        done.stdout
    )


def test_a_distributed_run_that_is_interrupted_names_what_did_not_run(
    start_waiting: Start, tmp_path: Path
) -> None:
    run = start_waiting("-n", "1")
    run.process.send_signal(signal.SIGTERM)
    code, said = run.end()
    assert code == 2, said
    assert "incomplete: 4 of 5 tests did not run (SIGTERM)" in said
    assert named_in(tmp_path) == FROM_SECOND


def test_one_device_is_not_shared_by_tests_that_run_beside_each_other(tmp_path: Path) -> None:
    done = hil_run(tmp_path, "--target", "pty:/nowhere", "--", "-p", "xdist", "-n", "2")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "pty:/nowhere is one device" in done.stdout
    ini = pytest_on(tmp_path / "ini", "def test_x(pump): pass\n", "-n", "1", "-o", "hil_target=pty:/nowhere")
    assert ini.returncode == 1, ini.stdout
    assert "pty:/nowhere is one device" in ini.stdout
