"""The conformance suite as its users run it: whole on `emulator`, in part on a PTY.

`make hil` runs it whole there, `make matrix` on each kind of target.
"""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.soak import PLAYS_ALL

FEWEST_TESTS = 200
ON_A_PTY = "test_framing or test_bolus.py or test_time or test_tones"
MOST_ON_A_PTY = 60
LEAVES_IT_STOPPED = "test_who_asked_for_nothing_is_told_nothing"
WITH_AND_WITHOUT_A_RIG = (
    f"test_framing or test_requests or test_handshake or test_stop or test_ledger or {LEAVES_IT_STOPPED}"
)


class Run(NamedTuple):
    """How a run of the suite ended."""

    exit_code: int
    said: str
    passed: tuple[str, ...]
    others: tuple[str, ...]
    claims: frozenset[str]


def run_suite(report: Path, target: str, *arguments: str) -> Run:
    """`pumpbench hil run`, and what its report says."""
    command = [sys.executable, "-m", "hil.cli", "hil", "run", "--target", target, "--no-history"]
    done = subprocess.run(
        [*command, "--report", str(report), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=report.parent,
    )
    cases = list(ET.parse(report / "junit.xml").iter("testcase"))  # noqa: S314 - our own report
    verdicts = {f"{case.get('classname')}::{case.get('name')}": _verdict(case) for case in cases}
    return Run(
        done.returncode,
        done.stdout + done.stderr,
        tuple(name for name, verdict in verdicts.items() if verdict == "passed"),
        tuple(f"{name}: {verdict}" for name, verdict in verdicts.items() if verdict != "passed"),
        frozenset(
            str(prop.get("value"))
            for case in cases
            for prop in case.iter("property")
            if prop.get("name") == "verifies"
        ),
    )


def _verdict(case: ET.Element) -> str:
    return next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed")


@pytest.mark.timeout(180)
def test_the_emulator_passes_the_whole_suite_in_virtual_time(tmp_path: Path) -> None:
    run = run_suite(tmp_path / "report", "emulator")
    assert (run.exit_code, run.others) == (0, ()), run.said
    assert len(run.passed) >= FEWEST_TESTS
    assert {"FRM-001", "BOL-001", "PWR-003", "ALM-001"} <= run.claims


@pytest.mark.timeout(300)
def test_the_emulator_on_a_pty_passes_the_same_tests(tmp_path: Path) -> None:
    run = run_suite(tmp_path / "report", "emulator:process", "-k", ON_A_PTY)
    assert (run.exit_code, run.others) == (0, ()), run.said
    assert 35 <= len(run.passed) <= MOST_ON_A_PTY


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("scheme", "chosen", "fewest"), [("pty", WITH_AND_WITHOUT_A_RIG, 30), ("rfc2217", "test_framing", 8)]
)
def test_a_board_without_a_rig_is_asked_for_nothing_that_it_cannot_do(
    tmp_path: Path, scheme: str, chosen: str, fewest: int
) -> None:
    profile = Path(__file__).parents[2] / "fixtures/profiles/suite_on_a_port.toml"
    emulate = [sys.executable, "-m", "hil.cli", "emulate", "--until-eof"]
    emulate += ["--port", "pty" if scheme == "pty" else "rfc2217:127.0.0.1:0", "--profile", str(profile)]
    with subprocess.Popen(
        emulate, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as board:
        try:
            assert board.stdout is not None
            target = json.loads(board.stdout.readline())["target"]
            assert target.startswith(scheme)
            run = run_suite(tmp_path / "report", target, *(() if PLAYS_ALL else ("-k", chosen)))
        finally:
            board.terminate()
    failed = [other for other in run.others if not other.endswith(": skipped")]
    assert (run.exit_code, failed) == (0, []), run.said
    assert len(run.passed) >= (60 if PLAYS_ALL else fewest)
    assert run.others, "tests that need a rig are among them"
    assert "needs a pump that runs" not in run.said, "a test that stops the pump takes no other test its pump"
