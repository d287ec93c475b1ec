"""A test that fails leaves the pump as it was just before, in the report, and prints the command that opens it."""

from __future__ import annotations

import json
import shlex
import stat
from pathlib import Path

import pytest

from firmware_emu.bench.snapshot import read_snapshot_file
from firmware_emu.cli import emulate
from tests.unit.hil.runs import pytest_on

FAILS = """
    import pytest

    def test_is_late(pump, pump_rig):
        pump_rig.advance(3_600_000)
        pump_rig.advance(86_400_000)
        assert pump_rig.state().now_ms == 0, "it is late"

    def test_is_fine(pump_rig): pump_rig.advance(1)

    def test_skips(pump_rig):
        pump_rig.advance(1)
        pytest.skip("not here")

    @pytest.mark.xfail(reason="known")
    def test_fails_as_expected(pump_rig):
        pump_rig.advance(1)
        assert False
"""


@pytest.mark.parametrize(
    ("target", "when", "pump_h"),
    [
        ("emulator", "just before the last thing that the test did with its rig", 1),
        ("emulator:process", "as the test left it", 25),
    ],
)
def test_a_failure_leaves_the_pump_and_the_command_that_opens_it(
    target: str, when: str, pump_h: int, tmp_path: Path
) -> None:
    report = tmp_path / "report"
    done = pytest_on(tmp_path, FAILS, "--hil-target", target, "--hil-report", str(report))
    assert done.returncode == 1, done.stdout
    (left,) = (report / "snapshots").iterdir()
    assert left.name.startswith("test_is_late-")
    assert (stat.S_IMODE(left.stat().st_mode), stat.S_IMODE(left.parent.stat().st_mode)) == (0o600, 0o700)
    lines = done.stdout.splitlines()
    said = next(number for number, line in enumerate(lines) if line == f"the pump {when}, with its keys:")
    _pumpbench, name, *arguments = shlex.split(lines[said + 1])
    context = emulate.make_context(name, arguments, resilient_parsing=True)
    assert context.params["snapshot"] == left
    at_ms = read_snapshot_file(left).pump.now_ms
    assert pump_h * 3_600_000 <= at_ms < pump_h * 3_600_000 + 60_000
    assert json.loads((report / "report.json").read_text())["run"]["complete"] is True


def test_without_secrets_no_pump_is_left(tmp_path: Path) -> None:
    report = tmp_path / "report"
    done = pytest_on(
        tmp_path, FAILS, "--hil-target", "emulator", "--hil-report", str(report), "--hil-no-secrets"
    )
    assert done.returncode == 1, done.stdout
    assert not (report / "snapshots").exists()
