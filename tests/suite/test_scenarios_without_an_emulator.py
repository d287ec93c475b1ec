"""A scenario whose emulator does not start says why and ends: it would wait for it for ever."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.patience import PATIENCE_S

SCENARIOS = sorted((Path(__file__).resolve().parents[2] / "fixtures/scenarios").glob("*_month.sh"))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_without_an_emulator_says_why_and_ends(scenario: Path, tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "PUMPBENCH": "no-such-pumpbench"}
    command = ["sh", str(scenario), str(tmp_path / "month")]
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False, input=""
    )
    assert done.returncode == 1
    assert "no-such-pumpbench: not found" in done.stderr
