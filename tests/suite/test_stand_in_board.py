"""The suite on a board with a rig of parts: an outlet, a reset, a balance and a time line around a stand-in.

In part in `make test`; `make soak` plays all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.soak import PLAYS_ALL
from tests.support.stand_in_board import StandInBoard
from tests.unit.hil.runs import hil_run, summary

if TYPE_CHECKING:
    from pathlib import Path

IN_PART = "test_configuration or test_flow_accuracy or test_bolus_limits or test_the_window_closes"
LACKING = ("faults", "stall", "truth", "tones")


@pytest.mark.timeout(600 if PLAYS_ALL else 180)
def test_a_board_with_a_rig_of_parts_runs_what_its_parts_can_and_says_what_they_cannot(
    tmp_path: Path,
) -> None:
    with StandInBoard() as board:
        board.bench_file(
            tmp_path,
            outlet=board.outlet(),
            scale=board.balance(),
            reset=board.reset(tmp_path),
            servo=board.magnet(tmp_path),
            time=board.time_line(),
        )
        chosen = () if PLAYS_ALL else ("-k", IN_PART)
        run = hil_run(tmp_path, "--target", "bench:rig1", *chosen)
        assert run.returncode == 0, run.stdout + run.stderr
        weighing = 8 if PLAYS_ALL else 3
        assert f"instrument scale: needed by {weighing} tests" in run.stdout
        assert "instrument servo: needed by" in run.stdout
        reasons = summary(tmp_path).partition("skipped\n")[2].splitlines()
        cannot = [line.partition(" cannot: ")[2].split(", ") for line in reasons if " cannot: " in line]
        assert cannot
        assert all(set(each) <= set(LACKING) for each in cannot), reasons
