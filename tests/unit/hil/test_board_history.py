"""The history of a board: each run is kept whole or not at all, and the newest is held against its own past."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from click.testing import CliRunner

from hil.address import parse
from hil.bench_session import BenchSession
from hil.board_history.history_file import VERSION, default_path, history_at
from hil.board_history.judging import against_its_past, is_shifted
from hil.board_history.keeping import keeper
from hil.board_history.kept import Kept, KeptLatency, KeptMeasurement, KeptRun, KeptTest
from hil.cli.json_schema import json_schema
from hil.cli.main import cli
from hil.errors import BadConfiguration
from hil.latency import ALL, Quantiles
from hil.report.records import CaseRecord, RunRecord, Verdict
from tests.unit.hil.made_reports import ASKED, made_report, status_often
from tests.unit.hil.runs import pytest_on
from tests.unit.hil.test_boards_on_the_command_line import lab
from tests.unit.hil.test_json_schema import closed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.unit.hil.test_boards_on_the_command_line import Lab

__all__ = ["lab"]

BOARD = "PUMP-17"
RUN = KeptRun(
    board=BOARD,
    kind="hardware",
    target="bench:rig1",
    place="usb:0403:6001:A5",
    memory_id="00000000000000ab",
    device="hardware, serial PUMP-17",
    firmware="00010000",
    firmware_crc32="5BC5D3B0",
    firmware_sha256="ab" * 32,
    pumpbench="0.1.0",
    pytest="9.2.0",
    python="3.11.7",
    profile=None,
    seed=None,
    began_at_s=1_000_000,
    exit_code=0,
    result="2 passed on bench:rig1",
    is_complete=True,
    is_virtual=False,
    report="/reports/one",
)
# What a quiet board's numbers do from run to run, in thousandths.
NOISE = (0, 12, -8, 5, -15, 3, 9, -4)


def kept(
    noise: int = 0,
    *,
    outcome: str = "passed",
    latency: float = 1.0,
    duration: float = 1.0,
    measured: float = 1.0,
    names: Sequence[str] = ("test_one", "test_two"),
    virtual: bool = False,
) -> Kept:
    """A run of two tests: answers take 20 ms in the first and 60 ms in the second."""
    factor = 1 + noise / 1_000
    latencies = {"test_one": 20_000, "test_two": 60_000, "test_new": 60_000}
    return Kept(
        RUN._replace(is_virtual=virtual),
        tuple(
            KeptTest(name, outcome, round(4_000_000 * factor * duration), "why" * (outcome != "passed"), "")
            for name in names
        ),
        tuple(
            KeptLatency(name, "PING", Quantiles(30, 1, round(latencies[name] * factor * latency), 2, 3))
            for name in names
        ),
        (KeptMeasurement(names[0], "flow", "uL", 12.5 * factor * measured, "passed", "[]"),),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "history.sqlite3"


def filled(path: Path, *runs: Kept, past: int = len(NOISE)) -> Path:
    """A history of so many quiet runs, and of these behind them."""
    with history_at(path, writing=True) as history:
        for run in (*(kept(noise) for noise in NOISE[:past]), *runs):
            history.add(run)
    return path


def shifts(path: Path) -> list[tuple[str, str]]:
    with history_at(path, writing=False) as history:
        return [(each.what.value, each.name) for each in against_its_past(history, BOARD).shifts]


# The file.


def test_all_of_a_run_comes_back_from_a_file_for_its_owner_alone(path: Path) -> None:
    run = kept(3, outcome="failed")
    with history_at(path, writing=True) as history:
        assert history.add(run) == 1
    with history_at(path, writing=False) as history:
        (back,) = history.runs(BOARD, 5)
        assert back == RUN._replace(number=1)
        assert history.whole(back) == run._replace(run=back)
        assert [(row.board, row.runs, row.newest) for row in history.boards()] == [(BOARD, 1, back)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_runs_that_end_at_once_are_all_kept(path: Path) -> None:
    numbers: list[int] = []

    def write() -> None:
        for _ in range(5):
            with history_at(path, writing=True) as history:
                numbers.append(history.add(kept()))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 21))


class KillsItself(tuple[KeptTest, ...]):
    """Rows that end the process which writes them, in the middle."""

    __slots__ = ()

    def __iter__(self) -> Iterator[KeptTest]:
        yield from [self[0]._replace(reason="x" * 5_000)] * 500
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_run_whose_process_is_killed_while_it_writes_leaves_no_part_of_itself(path: Path) -> None:
    filled(path, past=1)
    pid = os.fork()
    if pid == 0:
        with history_at(path, writing=True) as history:
            history._connection.execute("PRAGMA cache_size = 1")  # its pages reach the file before it ends
            history.add(kept()._replace(tests=KillsItself(kept().tests)))
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    with history_at(path, writing=False) as history:
        assert [run.number for run in history.runs(BOARD, 9)] == [1]
    with history_at(path, writing=True) as history:
        assert [run.number for run in history.runs(BOARD, 9)] == [1]
        assert history.add(kept()) == 2
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM tests WHERE reason LIKE 'xx%'").fetchone() == (0,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def of_later_version(path: Path) -> None:
    filled(path, past=1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")


def of_somebody_else(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE songs (name)")
        connection.commit()


def no_database(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("once upon a time " * 100)


def a_directory(path: Path) -> None:
    path.mkdir(parents=True)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (of_later_version, "is of a newer pumpbench: version 2, and this one knows 1; use that one"),
        (of_somebody_else, "is no history of pumpbench; move it away"),
        (no_database, r"\(file is not a database\)"),
        (a_directory, "cannot be (read|written)"),
    ],
)
@pytest.mark.parametrize("writing", [True, False])
def test_a_file_that_is_none_is_refused_in_words_and_left_as_it_is(
    make: Any, said: str, writing: bool, path: Path
) -> None:
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(BadConfiguration, match=said), history_at(path, writing=writing):
        raise AssertionError("it was opened")
    assert not path.is_file() or path.read_bytes() == before


def test_a_disk_that_is_full_loses_the_run_alone(path: Path) -> None:
    filled(path, past=1)
    with (  # noqa: PT012 - the file is closed in the block
        pytest.raises(BadConfiguration, match=r"cannot be written \(database or disk is full\); make room"),
        history_at(path, writing=True) as history,
    ):
        history._connection.execute("PRAGMA max_page_count = 1")
        history.add(kept(names=("test_one",))._replace(tests=(KeptTest("x" * 100_000, "passed", 1, "", ""),)))
    with history_at(path, writing=True) as history:
        assert [run.number for run in history.runs(BOARD, 9)] == [1]


def test_what_is_forgotten_is_in_no_byte_of_the_file(path: Path) -> None:
    filled(path, past=3)
    with history_at(path, writing=True) as history:
        history.add(kept()._replace(run=RUN._replace(board="other")))
        assert history.forget(BOARD) == 3
        assert history.forget(BOARD) == 0
        assert [row.board for row in history.boards()] == ["other"]
        assert history.whole(history.runs("other", 1)[0]).tests
    assert BOARD.encode() not in path.read_bytes().replace(b"serial PUMP-17", b"")


# What is called a shift.


@pytest.mark.parametrize(
    ("newest", "found"),
    [
        (kept(7), []),
        (kept(outcome="failed"), [("outcome", "test_one"), ("outcome", "test_two")]),
        (kept(latency=1.5), [("latency", "PING")]),
        (kept(latency=0.6), [("latency", "PING")]),
        (kept(latency=1.08), []),  # beyond its scatter, and within 10 %
        (kept(duration=1.6), [("duration", "test_one"), ("duration", "test_two")]),
        (kept(duration=1.2), []),  # less than 25 %
        (kept(measured=1.2), [("measurement", "test_one: flow")]),
        (kept(measured=1.02), []),  # within 5 times its scatter
        (kept(names=("test_two",)), []),  # 60 ms, as it always was there
        (kept(latency=1.5, virtual=True), []),  # another kind of time has another past
    ],
)
def test_a_shift_against_its_own_past_is_named_and_noise_is_not(
    newest: Kept, found: list[tuple[str, str]], path: Path
) -> None:
    assert shifts(filled(path, newest)) == found


def test_one_bad_night_in_the_past_hides_no_shift_and_is_none(path: Path) -> None:
    assert shifts(filled(path, kept(outcome="passed", latency=9, duration=9), kept(latency=1.5))) == [
        ("latency", "PING")
    ]


def test_a_test_that_ends_this_way_and_that_is_no_news(path: Path) -> None:
    assert shifts(filled(path, kept(outcome="failed"), kept(outcome="failed"))) == []


@pytest.mark.parametrize(("past", "judged"), [(4, False), (5, True)])
def test_with_too_short_a_past_nothing_is_called_a_shift(past: int, judged: bool, path: Path) -> None:
    assert bool(shifts(filled(path, kept(latency=3), past=past))) is judged


def test_the_scatter_of_the_past_is_its_median_deviation() -> None:
    past = [10, 11, 12, 13, 14]  # median 12, scatter 1.5
    assert not is_shifted(19, past, least=0)
    assert is_shifted(19.5, past, least=0)
    assert not is_shifted(19.5, past, least=8)
    assert not is_shifted(99, past[1:], least=0)


# The command.


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    return default_path()


def said(*words: str) -> tuple[int, str, str]:
    """Exit code, what was printed, the sentence it ended with."""
    done = CliRunner().invoke(cli, ["hil", "history", *words])
    return int(getattr(done.exception, "exit_code", done.exit_code)), done.stdout, str(done.exception or "")


def document(*words: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(said(*words, "--json")[1])
    jsonschema.Draft202012Validator(closed(json_schema("hil-history"))).validate(told)
    return told


def test_boards_are_listed_with_their_newest_run(at_home: Path) -> None:
    assert document() == document() | {"path": str(at_home), "boards": []}
    assert said()[1] == f"no run on a board is kept yet: {at_home}\n"
    filled(at_home, kept()._replace(run=RUN._replace(board="B2", began_at_s=60)), past=3)
    assert [(row["board"], row["runs"]) for row in document()["boards"]] == [(BOARD, 3), ("B2", 1)]
    assert re.search(
        r"^B2 +hardware +1 +1970-01-01 00:01 +bench:rig1 +2 passed on bench:rig1$", said()[1], re.MULTILINE
    )


def test_the_runs_of_a_board_are_listed_and_the_newest_judged(at_home: Path) -> None:
    filled(at_home)
    code, shown, _ = said(BOARD, "--strict")
    assert (code, shown.splitlines()[-1]) == (0, "run 8 is as the 7 runs before it")
    filled(at_home, kept(latency=1.5), past=0)
    code, shown, sentence = said(BOARD, "--strict")
    assert (code, sentence) == (15, f"the newest run of {BOARD} has one shift against its own past")
    assert shown.endswith(
        "run 9 against the 8 runs before it:\n  latency of PING: 60.0 ms; before: 40.1 ms in 8 runs\n"
    )
    told = document(BOARD, "--last", "2")
    assert ([run["number"] for run in told["runs"]], told["past"], told["judged"]) == ([8, 9], 8, True)
    assert [each["what"] for each in told["shifts"]] == ["latency"]
    assert said(BOARD)[0] == 0


def test_what_was_not_judged_is_not_green_where_one_is_strict(at_home: Path) -> None:
    filled(at_home, past=5)
    code, shown, sentence = said(BOARD, "--strict")
    assert (code, said(BOARD)[0], document(BOARD)["judged"]) == (10, 0, False)
    why = "is not judged: 4 runs before it to hold it against, and 5 are needed"
    assert (why in sentence, why in shown) == (True, True)
    filled(at_home, kept(names=("test_two",)), past=0)
    assert said(BOARD, "--strict")[0] == 0
    filled(at_home, kept(names=("test_one", "test_two", "test_new")), past=0)
    code, shown, sentence = said(BOARD, "--strict")
    lacking = "1 of its 3 tests is in fewer than 5 of the 6 runs before it"
    assert (code, sentence[: sentence.index(";")]) == (
        10,
        f"the newest run of {BOARD} is not judged whole: {lacking}",
    )
    assert shown.splitlines()[-2:] == [
        "run 7 is as the 6 runs before it",
        f"not judged: {lacking}: test_new",
    ]
    told = document(BOARD)
    assert (told["judged"], told["unjudged"]) == (True, ["test_new"])


def test_one_test_is_shown_over_time(at_home: Path) -> None:
    filled(at_home, kept(outcome="failed"), past=2)
    shown = said(BOARD, "--test", "two")[1]
    assert shown.startswith(f"test_two on {BOARD}, medians of latency in ms:\nrun  began (UTC) ")
    assert re.search(r"^2 .* 00010000 +passed +4\.05 s +60\.7$", shown, re.MULTILINE)
    assert shown.endswith("run 3: failed: why\n")
    told = document(BOARD, "--test", "test_one")
    assert [row["outcome"] for row in told["runs"]] == ["passed", "passed", "failed"]
    assert told["runs"][0]["measurements"][0]["value"] == 12.5


def test_a_board_is_forgotten(at_home: Path) -> None:
    filled(at_home, past=3)
    assert document("--forget", BOARD)["forgotten"] == 3
    assert said("--forget", BOARD)[0] == 10


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("nobody",), 10, f"the history has no board 'nobody'; it has: {BOARD}"),
        (
            (BOARD, "--test", "test"),
            10,
            "2 tests have 'test' in their names: test_one, test_two; name one of them",
        ),
        ((BOARD, "--test", "nine"), 10, "has 'nine' in its name; --last shows more of them"),
        (("",), 10, "the history has no board ''"),
        (("--forget", ""), 10, "the history has no board ''"),
        (("--test", "one"), 2, "--test and --strict are for one board"),
        (("--forget", BOARD, "--strict"), 2, "--forget BOARD stands alone"),
        ((BOARD, "--last", "0"), 10, "--last must be a number of runs from 1 to 10000, is 0"),
    ],
)
def test_what_cannot_be_shown_is_said(
    words: tuple[str, ...], code: int, sentence: str, at_home: Path
) -> None:
    filled(at_home, past=1)
    ended, shown, said_at_end = said(*words, "--json")
    assert (ended, sentence in said_at_end) == (code, True), said_at_end
    assert json.loads(shown)["error"]["exit_code"] == code


# What is kept of a run.


def ended_run(report: Path) -> RunRecord:
    flow = {"name": "flow", "unit": "uL", "value": 12.5, "verdict": "passed", "limits": [None, None]}
    odd = {"name": "odd", "unit": "1", "value": "nan", "verdict": "failed"}
    tests = [CaseRecord("test_one", Verdict.PASSED, 1.5, measurements=(flow, odd))]
    tests += [CaseRecord("test_two", Verdict.FAILED, 0.5, reason="x.py:1: no\nmore", accused="device")]
    return RunRecord("bench:rig1", "EMULATED pump", tests=tests, chosen=["test_one", "test_two"], exit_code=1)


def test_a_run_on_a_board_is_kept_under_the_serial_number_of_its_pump_with_its_latencies(
    lab: Lab, at_home: Path
) -> None:
    report = made_report(lab.directory / "report", {"test_one": status_often()}, address="bench:rig1")
    with closing(BenchSession(parse("bench:rig1"))) as session:
        session.preflight(None)
        run = ended_run(report)
        session.tell(run, "")
        (line,) = keeper(session, None, "")(run, report)
    assert line == "history: run 1, of EMU000000001 (pumpbench hil history EMU000000001)"
    with history_at(at_home, writing=False) as history:
        whole = history.whole(history.runs("EMU000000001", 1)[0])
    assert (whole.run.kind, whole.run.exit_code, whole.run.firmware) == ("emulator", 1, "00010000")
    assert whole.run.place == lab.port
    assert whole.run.is_complete
    assert whole.tests[1] == KeptTest("test_two", "failed", 500_000, "x.py:1: no", "device")
    assert whole.measurements == (
        KeptMeasurement("test_one", "flow", "uL", 12.5, "passed", "[]"),
        KeptMeasurement("test_one", "odd", "1", None, "failed", "[]"),
    )
    assert ALL in {each.request for each in whole.latencies}
    (statuses,) = [each for each in whole.latencies if each.request == "GET_STATUS"]
    assert (statuses.test, statuses.quantiles.answers) == ("test_one", ASKED + 1)


@pytest.mark.parametrize(
    ("option", "setting", "runs"),
    [(None, "", 0), ("all", "", 1), (None, "all", 1), ("none", "all", 0), ("boards", "all", 0)],
)
def test_a_run_on_an_emulator_of_its_own_is_kept_only_where_that_is_asked_for(
    option: str | None, setting: str, runs: int, at_home: Path, tmp_path: Path
) -> None:
    with closing(BenchSession(parse("emulator"), "spinal")) as session:
        lines = keeper(session, option, setting)(ended_run(tmp_path), tmp_path)
    assert len(lines) == runs
    assert [row["board"] for row in document()["boards"]] == ["emulator/spinal"] * runs


def test_a_word_that_names_no_runs_to_be_kept_is_refused() -> None:
    with (
        closing(BenchSession(parse("emulator"))) as session,
        pytest.raises(BadConfiguration, match="hil_history must be one of boards, all, none, is 'some'"),
    ):
        keeper(session, None, "some")


def test_names_that_are_no_text_are_kept_by_their_codes(at_home: Path, tmp_path: Path) -> None:
    run = ended_run(tmp_path)
    run.tests = [CaseRecord("test_\udcff", Verdict.FAILED, 0.1, reason="\udcfe")]
    with closing(BenchSession(parse("emulator"))) as session:
        (line,) = keeper(session, "all", "")(run, tmp_path)
    assert line.startswith("history: run 1,")
    (row,) = document("emulator/implanted", "--test", "test_")["runs"]
    assert row["reason"] == "\\udcfe"


def test_a_board_that_has_never_answered_has_no_history(lab: Lab, at_home: Path) -> None:
    with closing(BenchSession(parse("bench:rig1"))) as session:
        assert keeper(session, None, "")(ended_run(lab.directory), lab.directory) == []
    assert not at_home.exists()


def test_a_history_that_cannot_be_written_is_one_sentence_and_no_fault_of_the_run(
    lab: Lab, at_home: Path
) -> None:
    at_home.parent.parent.write_text("in the way")
    with closing(BenchSession(parse("bench:rig1"))) as session:
        session.preflight(None)
        (line,) = keeper(session, None, "")(ended_run(lab.directory), None)
    assert re.match(
        r"history: this run is not kept: configuration: the history .* cannot be written \(", line
    )


def test_each_run_on_a_board_is_kept_at_its_end(lab: Lab) -> None:
    words = ("--hil-target=bench:rig1", "--hil-report=report")
    done = pytest_on(lab.directory, "def test_it(pump):\n    pump.ping()", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pumpbench: history: run 1, of EMU000000001" in done.stdout
    with history_at(lab.directory / ".local/share/pumpbench/history.sqlite3", writing=False) as history:
        (run,) = history.runs("EMU000000001", 9)
        assert (run.result, run.is_complete, run.report) == (
            "1 passed on bench:rig1",
            True,
            str(lab.directory / "report"),
        )
        assert "PING" in {each.request for each in history.whole(run).latencies}
