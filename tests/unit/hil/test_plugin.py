"""The plugin as pytest's users see it: inert, awake, and honest about lost benches."""

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.support.lacking import keep_no_snapshots
from tests.unit.hil.runs import pytest_on

SUITE = """
import pytest
from hil.errors import BenchLost
from hil.plugin import needs, starts_as, verifies, without_effect
from protocol.identifiers import Role, State

@verifies("A-1")
def test_passes(pump):
    assert pump.status().state is State.RUN

@verifies("A-2")
@needs("time")
def test_fails(pump, pump_rig):
    pump_rig.advance(1_000)
    assert pump.status().rate_nl_per_day == 1

@starts_as("factory")
def test_starts_blank(pump_as):
    assert pump_as(Role.OBSERVER).status().state is State.STOP

@starts_as(model={"stroke_nl": 1_000})
def test_starts_changed(pump):
    assert pump.limits().stroke_nl == 1_000

def test_has_a_fault_that_never_fires(pump, pump_line):
    from hil.noise import Direction
    pump_line.drop(Direction.TO_PUMP)

def test_stalls_a_motor_that_nothing_turns(pump_rig):
    pump_rig.stall(on=True)

def test_stalls_a_motor_in_vain_and_ends_the_bench(pump_rig):
    from hil.rig import FaultStart
    pump_rig.inject("motor-stall", FaultStart("stroke", count=9_999))
    pump_rig.advance(60_000)
    pump_rig.shutdown()

@without_effect("motor-stall")
def test_stalls_a_motor_and_says_that_it_stands(pump_rig):
    pump_rig.stall(on=True)

@without_effect("motor-stall")
def test_says_that_it_stands_and_it_turns(pump_rig):
    pump_rig.stall(on=True)
    pump_rig.advance(3_600_000)

@without_effect("magnet")
def test_says_of_a_fault_that_it_does_not_inject_that_it_stands(pump_rig):
    pump_rig.advance(1)

def test_stalls_a_motor_that_is_missed(pump_rig):
    pump_rig.stall(on=True)
    pump_rig.advance(3_600_000)
"""

LOST = """
import pytest
from hil.errors import BenchLost

@pytest.mark.parametrize("n", range(5))
def test_loses_the_bench(pump, n):
    raise BenchLost("the emulator is gone")
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Any:
    directory = tmp_path_factory.mktemp("suite")
    (directory / "own.toml").write_text("[A-1]\n[A-2]\n")
    own = ("-o", "hil_requirements=own.toml")
    options = ("--hil-target", "emulator", "--hil-report", str(directory / "report"))
    done = pytest_on(directory, SUITE, *own, *options)
    return done, directory / "report"


def test_tests_pass_and_fail_on_their_own_pump(report: Any) -> None:
    done, _ = report
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed, 10 passed, 5 errors" in done.stdout


def test_a_failure_shows_the_last_frames_decoded_with_the_pumps_time(report: Any) -> None:
    done, directory = report
    junit = ET.parse(directory / "junit.xml")  # noqa: S314 - our own file
    (failure,) = junit.iter("failure")
    for text in (done.stdout, (directory / "summary.txt").read_text(), failure.text or ""):
        assert "pump 0d 00:00:01.000" in text
        assert "RESPONSE GET_STATUS #1" in text
        assert "state=RUN" in text


def test_a_fault_that_never_fired_is_an_error(report: Any) -> None:
    done, _ = report
    assert "did not fire: drop to pump" in done.stdout


def test_a_fault_of_the_rig_that_took_no_effect_is_an_error_unless_the_test_says_so(report: Any) -> None:
    done, _ = report
    errors = [line for line in done.stdout.splitlines() if line.startswith("ERROR")]
    assert sorted(re.findall(r"::(test_\w+)", "\n".join(errors))) == [
        "test_has_a_fault_that_never_fires",
        "test_says_of_a_fault_that_it_does_not_inject_that_it_stands",
        "test_says_that_it_stands_and_it_turns",
        "test_stalls_a_motor_in_vain_and_ends_the_bench",
        "test_stalls_a_motor_that_nothing_turns",
    ]
    assert done.stdout.count("the test injected motor-stall, which took no effect: it shows nothing") >= 2


def test_the_report_names_target_device_and_claims(report: Any) -> None:
    _, directory = report
    text = (directory / "summary.txt").read_text()
    assert "target    emulator" in text
    assert "EMULATED pump (virtual, not a medical device)" in text
    assert "A-1          1 passed" in text
    assert "A-2          1 failed" in text
    cases = list(ET.parse(directory / "junit.xml").iter("testcase"))  # noqa: S314
    claims = {p.get("value") for case in cases for p in case.iter("property") if p.get("name") == "verifies"}
    assert claims == {"A-1", "A-2"}


def test_it_says_where_the_report_lies(report: Any) -> None:
    done, directory = report
    assert f"report: {directory}" in done.stdout


def test_a_lost_bench_ends_the_run_with_7_instead_of_failing_every_test(tmp_path: Path) -> None:
    done = pytest_on(tmp_path, LOST, "--hil-target", "emulator")
    assert done.returncode == 7, done.stdout
    assert "1 failed" in done.stdout
    assert "stopped early: bench: the emulator is gone" in done.stdout


def test_a_port_that_is_not_there_ends_the_run_with_10_before_it_begins(tmp_path: Path) -> None:
    done = pytest_on(tmp_path, SUITE, "--hil-target", "pty:/nowhere")
    assert done.returncode == 10, done.stdout
    assert "there is no port at /nowhere" in done.stdout
    assert "collected" not in done.stdout


def test_a_wrong_address_ends_the_run_with_10_before_it_begins(tmp_path: Path) -> None:
    done = pytest_on(tmp_path, SUITE, "--hil-target", "nonsense")
    assert done.returncode == 10, done.stdout
    assert "no such target address" in done.stdout + done.stderr


def test_what_a_target_cannot_do_is_skipped_with_the_reason(tmp_path: Path) -> None:
    text = "from hil.plugin import needs\n@needs('snapshot')\ndef test_x(pump): pass\n"
    keep_no_snapshots(tmp_path)
    done = pytest_on(tmp_path, text, "-rs", "--hil-target", "emulator:process")
    assert done.returncode == 5
    assert "emulator:process cannot: snapshot" in done.stdout


def test_an_unknown_need_is_found_when_the_test_is_collected(tmp_path: Path) -> None:
    text = "from hil.plugin import needs\n@needs('magic')\ndef test_x(pump): pass\n"
    done = pytest_on(tmp_path, text, "--hil-target", "emulator")
    assert "no such capability: magic" in done.stdout


INERT = """
import sys

def test_nothing_of_ours_is_loaded():
    loaded = [name for name in sys.modules if name.split(".")[0] in {"protocol", "firmware_emu", "serial"}]
    assert loaded == []
    assert not {"hil.bench_session", "hil.bench_of_test"} & set(sys.modules)
"""


def test_it_is_inert_even_when_the_environment_names_a_target(tmp_path: Path) -> None:
    done = pytest_on(tmp_path, INERT, env={"PUMPBENCH_TARGET": "nonsense"}, new_python=True)
    assert done.returncode == 0, done.stdout
    assert "pumpbench" not in done.stdout


def test_a_fixture_wakes_it_and_the_environment_then_counts(tmp_path: Path) -> None:
    done = pytest_on(tmp_path, "def test_x(pump): pass\n", env={"PUMPBENCH_TARGET": "pty:/nowhere"})
    assert done.returncode == 10, done.stdout


def test_the_ini_file_names_the_target_where_nothing_else_does(tmp_path: Path) -> None:
    text = "def test_x(pump_target):\n    assert pump_target.address == 'emulator:process'\n"
    done = pytest_on(tmp_path, text, "-o", "hil_target=emulator:process")
    assert done.returncode == 0, done.stdout
