"""A board whose cable is pulled in the middle of a run: that goes on where it comes back, else the bench is lost."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.address import parse
from hil.bench_of_test import TestBench
from hil.bench_session import BenchSession
from hil.errors import BadConfiguration, UsageError
from hil.report.records import recording_name
from protocol.capture.recording import LINE_GAP, Mark, read_entries
from protocol.identifiers import Outcome
from tests.support.replugged_board import Board
from tests.unit.hil.runs import pytest_on, summary

if TYPE_CHECKING:
    from collections.abc import Iterator

STAND_IN = """
    from pathlib import Path
    from tests.support.replugged_board import Board

    BOARD = Board(Path("pump"))
"""
RUN = """
    import sys
    from protocol.messages.reading import GetStatus

    TRIES = []
    BOARD = sys.modules["stand_in"].BOARD

    def test_before(pump):
        pump.status()

    def test_in_a_bolus(pump):
        pump.ledger.unknown()  # what is asked before a command has been asked
        prepared = pump.prepare_bolus(20_000, 600)
        BOARD.pull_at_next_answer(comes_back={comes_back})
        assert pump.commit_bolus(prepared).outcome.name == "RUNNING"

    def test_after(pump):
        assert pump.status().bolus_left_nl > 0

    def test_that_asks_once(pump):
        TRIES.append(1)
        if len(TRIES) == 1:
            BOARD.pull_at_next_answer(comes_back={comes_back})
        pump.requester.request_once(GetStatus())

    def test_last(pump):
        pump.status()
"""


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    board = Board(tmp_path / "pump")
    yield board
    board.unplug()


def test_a_bolus_in_flight_is_resolved_when_its_board_comes_back(board: Board, tmp_path: Path) -> None:
    session = BenchSession(parse(f"pty:{board.link}"))
    session.record_beside(str(tmp_path), None, secrets=True)
    bench = session.open_bench("unplugged in a bolus")
    pump = bench.open_programmer()
    pump.ledger.unknown()  # what is asked before a command has been asked
    prepared = pump.prepare_bolus(20_000, 600)
    board.pull_at_next_answer(comes_back=True)
    executed = pump.commit_bolus(prepared)
    assert executed.outcome is Outcome.RUNNING
    assert executed.answer is None
    assert sum(entry.type.name == "BOLUS_START" for entry in pump.read_log().entries) == 1
    (gap,) = bench.gaps
    assert not gap.expected
    assert bench.hindrance_to_repeat().startswith("it sent BOLUS_COMMIT, and the pump is not made new")
    bench.close(passed=True)
    following = session.open_bench("the next")
    assert (following.gaps, following.hindrance_to_repeat()) == ((), "")
    assert following.channel is not None
    assert following.hindrance_to_repeat().startswith("it used the bare line")
    session.close()
    with (tmp_path / recording_name(None)).open("rb") as file:
        marks = [each.text for each in read_entries(file) if isinstance(each, Mark) and each.kind == LINE_GAP]
    assert marks == ["the line is lost", f"the line is back: {gap.words}"]


def run_with_a_cable_that_is_pulled(directory: Path, *, comes_back: bool) -> tuple[int, str]:
    (directory / "stand_in.py").write_text(textwrap.dedent(STAND_IN))
    words = (
        "--hil-retries",
        "1",
        "--hil-target",
        "pty:pump",
        "-o",
        "hil_line_back_within_s=1",
        "--hil-report",
        "report",
    )
    done = pytest_on(directory, RUN.format(comes_back=comes_back), "-p", "stand_in", *words, first=directory)
    return done.returncode, done.stdout + done.stderr


def test_a_run_goes_on_when_its_board_comes_back_and_says_that_it_was_gone(tmp_path: Path) -> None:
    code, said = run_with_a_cable_that_is_pulled(tmp_path, comes_back=True)
    assert code == 0, said
    assert "4 passed, 1 rerun, 1 passed on retry" in said
    assert said.count("the line was lost and came back: unexpected") == 2
    assert said.count("\npumpbench: pty:pump is lost, and waited for up to 1 s: ") == 2
    assert len(re.findall(r"\npumpbench: pty:pump is back: unexpected, \d+ ms\n", said)) == 2
    text = summary(tmp_path)
    assert "result    4 passed, 1 passed on retry on pty:pump\n" in text
    assert "\nthe line was lost and came back: 2\ntest_it.py::test_in_a_bolus: unexpected, " in text
    first_try = (
        "test_it.py::test_that_asks_once: try 1 failed, link: the line was lost and came back: unexpected, "
    )
    assert first_try in text
    assert "run again on the pump as it was left, to which no command had gone" in text
    document = json.loads((tmp_path / "report" / "report.json").read_text())
    gaps = [(gap["test"], gap["expected"], gap["lasted_ms"] >= 0) for gap in document["gaps"]]
    names = "test_it.py::test_in_a_bolus", "test_it.py::test_that_asks_once"
    assert gaps == [(name, False, True) for name in names]


def test_a_run_whose_board_does_not_come_back_is_a_lost_bench_and_not_a_failure_for_each_test(
    tmp_path: Path,
) -> None:
    code, said = run_with_a_cable_that_is_pulled(tmp_path, comes_back=False)
    assert code == 7, said
    assert "1 failed, 1 passed" in said
    sentence = "pty:pump was lost and did not come back within 1 s: there is no port at pump"
    assert f"stopped early: bench: {sentence}" in said
    assert "incomplete: 3 of 5 tests did not run" in said
    assert sentence in summary(tmp_path)
    assert "1 failure: 1 bench\n  bench: test_it.py::test_in_a_bolus: line or bench is gone" in summary(
        tmp_path
    )
    assert "not run again: the line did not come back" in summary(tmp_path)
    assert (tmp_path / "report" / "junit.xml").exists()


def test_a_gap_that_no_line_can_have_is_said_where_a_test_expects_it(bench: TestBench) -> None:
    with bench.expecting_gap(required=False):
        pass
    with pytest.raises(UsageError, match="never goes away"), bench.expecting_gap():
        pass


@pytest.mark.parametrize("seconds", ["-1", "3601", "soon", "1.5"])
def test_how_long_a_line_is_waited_for_is_a_number_of_seconds(seconds: str) -> None:
    with pytest.raises(BadConfiguration, match="hil_line_back_within_s must be a whole number of seconds"):
        BenchSession(parse("emulator"), line_back_within_s=seconds)
