"""What lies in the directory of a report is of the run that says so, whatever else is done to the directory."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from hil.report.records import NAMES
from tests.support.patience import PATIENCE_S
from tests.support.shared_place import shared_place
from tests.unit.hil.runs import environment, hil_run, pytest_command, pytest_on, summary, third_party_plugin

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.hil.runs import Waiting

    Start = Callable[..., Waiting]

ONE_TEST = "def test_x(pump): pass\n"
IN_PROCESS = ("--hil-target", "emulator", "--hil-report")


def contents(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text("latin-1") for path in directory.rglob("*") if path.is_file()}


# Forks.

GOES_ON = """
    import os

    def test_one(pump): pass

    def test_forks():
        global pid, parent
        parent, ends_with_parent = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(ends_with_parent)

    def test_fails_in_the_parent():
        assert pid == 0
        os.read(parent, 1)
"""


def test_a_fork_that_goes_on_as_pytest_leaves_the_report_of_the_run(tmp_path: Path) -> None:
    done = pytest_on(tmp_path, GOES_ON, *IN_PROCESS, "report", "-W", "ignore::DeprecationWarning")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "result    2 passed, 1 failed on emulator" in summary(tmp_path)
    assert sum(1 for _ in ET.parse(tmp_path / "report/junit.xml").iter("failure")) == 1  # noqa: S314 - our own
    assert done.stdout.count("report: ") == 1
    assert "a fork of this run went on with its tests: what it found is no part of the report" in done.stderr


OUTLIVES = """
    import os

    def test_one(pump):
        here, there = os.pipe()
        if os.fork() == 0:
            file = open("fifo")
            os.write(there, b"waits")
            file.read()
            os._exit(0)
        os.read(here, 1)
"""


def test_a_fork_that_outlives_the_run_does_not_hold_the_directory(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    held = os.open(tmp_path / "fifo", os.O_RDWR)
    try:
        for text in (OUTLIVES, ONE_TEST):
            done = subprocess.run(  # what it says goes nowhere: the fork would hold a pipe, too
                pytest_command(tmp_path, text, *IN_PROCESS, "report", "-W", "ignore::DeprecationWarning"),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=tmp_path,
                env=environment(tmp_path),
                timeout=PATIENCE_S,
                check=False,
            )
            assert done.returncode == 0
    finally:
        os.close(held)


# A directory that is not the one of before.


def test_a_run_does_not_write_into_the_report_of_a_newer_one(start_waiting: Start, tmp_path: Path) -> None:
    run = start_waiting()
    shutil.rmtree(tmp_path / "report")
    newer = pytest_on(tmp_path / "newer", "def test_x(pump): assert 0\n", *IN_PROCESS, "../report")
    assert newer.returncode == 1, newer.stdout + newer.stderr
    before = contents(tmp_path / "report")
    run.let_go()
    code, said = run.end()
    assert code == 10, said
    assert "report is not the directory any more that this run began its report in" in said
    assert contents(tmp_path / "report") == before


def test_a_run_whose_directory_is_moved_makes_no_other(start_waiting: Start, tmp_path: Path) -> None:
    run = start_waiting()
    (tmp_path / "report").rename(tmp_path / "moved")
    run.let_go()
    code, said = run.end()
    assert code == 10, said
    assert "report is not the directory any more that this run began its report in" in said
    assert not (tmp_path / "report").exists()
    assert "result    RUNNING, incomplete" in contents(tmp_path / "moved")["summary.txt"]


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_stands_in_the_place_of_a_new_file_is_neither_followed_nor_waited_for(
    kind: str, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / "report").mkdir()
    for name in NAMES:
        planted = tmp_path / "report" / f".{name}.pumpbench-new"
        os.mkfifo(planted) if kind == "pipe" else planted.symlink_to(precious)
    done = pytest_on(tmp_path, ONE_TEST, *IN_PROCESS, "report")
    assert done.returncode == 0, done.stdout + done.stderr
    assert precious.read_text() == "mine"
    assert "result    1 passed on emulator" in summary(tmp_path)


# Runs that never began.


def run_that_passes(place: Path) -> None:
    done = pytest_on(place / "green", ONE_TEST, *IN_PROCESS, str(place / "report"))
    assert done.returncode == 0, done.stdout + done.stderr
    names = {*NAMES, "recording.pcapng"}
    assert set(contents(place / "report")) == names


@pytest.fixture
def green(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the report of a run that passed."""
    made = shared_place(tmp_path_factory, "green", run_that_passes)
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "report"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("--target", "nonsense://x"), 10), (("--", "--nonsense"), 4), (("--", "-p", "no_such_plugin"), 4)],
    ids=["address", "option", "plugin"],
)
def test_a_run_that_never_begins_leaves_no_report_of_an_older_one(
    arguments: tuple[str, ...], code: int, green: Path, tmp_path: Path
) -> None:
    done = hil_run(tmp_path, *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert list(green.iterdir()) == []


def test_a_full_disk_leaves_no_report_of_an_older_run(green: Path, tmp_path: Path) -> None:
    command = pytest_command(
        tmp_path, ONE_TEST, *IN_PROCESS, "report", "-s"
    )  # what pytest captures has no room
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *command],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(tmp_path),
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 10, done.stdout + done.stderr
    assert list(green.iterdir()) == []


def test_an_older_report_that_cannot_be_removed_is_said(green: Path, tmp_path: Path) -> None:
    (green / "junit.xml").unlink()
    (green / "junit.xml").mkdir()
    done = hil_run(tmp_path, "--target", "nonsense://x")
    assert done.returncode == 10, done.stdout + done.stderr
    assert "what lies there is of an earlier run and cannot be removed" in done.stderr


@pytest.mark.parametrize("looking", ["--collect-only", "--fixtures", "--help"])
def test_a_look_at_the_suite_leaves_the_last_report(looking: str, green: Path, tmp_path: Path) -> None:
    before = contents(green)
    done = hil_run(tmp_path, "--", looking)
    assert done.returncode == 0, done.stdout + done.stderr
    assert contents(green) == before


def test_files_that_are_not_a_report_are_left_by_a_run_that_never_begins(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    for name in ("summary.txt", "junit.xml"):
        (tmp_path / "report" / name).write_text("notes of somebody")
    assert hil_run(tmp_path, "--target", "nonsense://x").returncode == 10
    assert set(contents(tmp_path / "report").values()) == {"notes of somebody"}


def test_the_report_of_a_run_under_way_is_left_by_one_that_never_begins(
    start_waiting: Start, tmp_path: Path
) -> None:
    run = start_waiting()
    assert hil_run(tmp_path, "--target", "nonsense://x").returncode == 10
    assert "result    RUNNING, incomplete" in summary(tmp_path)
    run.let_go()
    assert run.end()[0] == 0


# What cannot be written is said before the first test.


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--report", "file/x"), "cannot be written to"),
        (("--report", "/dev/null"), "cannot be written to /dev/null"),
        (("--", "--junitxml=/dev/null/x.xml"), "--junitxml cannot be written to /dev/null/x.xml"),
        (("--", "--log-file=/dev/null/x.log"), "--log-file cannot be written to /dev/null/x.log"),
    ],
)
def test_a_file_that_a_run_could_not_write_at_its_end_ends_it_with_10_before_it_begins(
    arguments: tuple[str, ...], sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    done = hil_run(tmp_path, "-k", "framing", *arguments)
    assert done.returncode == 10, done.stdout + done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "collected" not in done.stdout


def test_a_working_directory_that_is_gone_is_said_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    command = [sys.executable, "-m", "hil.cli", "hil", "run"]
    done = subprocess.run(
        ["sh", "-c", 'rmdir ../gone; exec "$@"', "sh", *command],
        capture_output=True,
        text=True,
        cwd=tmp_path / "gone",
        env=environment(tmp_path),
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (10, 1), done.stderr
    assert "the directory that this was started in is gone" in done.stderr


def test_a_home_that_nobody_has_is_a_place_that_is_not_there(tmp_path: Path) -> None:
    done = hil_run(tmp_path, "--target", "~nosuchuser/pump")
    assert done.returncode == 10, done.stdout + done.stderr
    assert "there is no port at ~nosuchuser/pump" in done.stdout
    assert "internal error" not in done.stdout


STRANGE_TEXT = """
    import pytest

    def test_x(pump): raise ValueError("bad \\udc80 text")

    def test_y(pump): pytest.exit("no more \\udc81 \\x02")

    def test_z(pump): pass
"""


def test_text_that_no_file_can_hold_is_written_with_backslashes(tmp_path: Path) -> None:
    done = pytest_on(tmp_path / "tests", STRANGE_TEXT, *IN_PROCESS, str(tmp_path / "report"))
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    text = summary(tmp_path)
    assert "bad \\udc80 text" in text
    assert "stopped   no more \\udc81" in text
    (suite,) = ET.parse(tmp_path / "report/junit.xml").iter("testsuite")  # noqa: S314 - our own
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "2")
    assert "did not run: no more \\udc81 \\x02" in {e.get("message") for e in suite.iter("error")}


def test_a_name_that_no_file_can_hold_is_written_with_backslashes(tmp_path: Path) -> None:
    pytest_on(tmp_path, ONE_TEST)
    (tmp_path / "test_it.py").rename(tmp_path / "test_\udcff.py")
    done = subprocess.run(
        [*pytest_command(tmp_path, ONE_TEST, *IN_PROCESS, "report")[:-1], "test_\udcff.py"],
        capture_output=True,
        cwd=tmp_path,
        env=environment(tmp_path),
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (case,) = ET.parse(tmp_path / "report/junit.xml").iter("testcase")  # noqa: S314 - our own
    assert case.get("classname") == "test_\\udcff"


# What the last run of the suite left for the next.


def test_the_tests_that_failed_last_are_run_again_from_the_cache_in_the_report_directory(
    tmp_path: Path,
) -> None:
    aside = third_party_plugin(tmp_path / "aside", BREAKS_ONE)
    first = hil_run(tmp_path, "-k", "framing", "--", "-p", "neighbour", first=aside)
    assert first.returncode == 1, first.stdout + first.stderr
    again = hil_run(tmp_path, "-k", "framing", "--", "--lf")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "result    1 passed" in summary(tmp_path)
    assert "narrowed  --lf: tests that this leaves out are not counted" in summary(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"aside", "report"}
    shown = hil_run(tmp_path, "--", "--cache-show")
    assert shown.returncode == 0, shown.stdout + shown.stderr


BREAKS_ONE = """
    import pytest

    def pytest_runtest_call(item):
        if item.name == "test_noise_before_a_frame_costs_nothing_but_the_noise":
            pytest.fail("on purpose")
"""


# An older report goes with a word.


def test_an_older_report_is_replaced_with_its_date_and_result_said(green: Path, tmp_path: Path) -> None:
    for done in (
        hil_run(tmp_path, "--target", "nonsense://x"),
        pytest_on(tmp_path / "green", ONE_TEST, *IN_PROCESS, str(green)),
        pytest_on(tmp_path / "green", ONE_TEST, *IN_PROCESS, str(green)),
    ):
        said = [line for line in (done.stdout + done.stderr).splitlines() if "replaced: " in line]
        if done.returncode == 10 or said:
            assert len(said) == 1
            assert re.search(r"report of \d{4}-\d\d-\d\d \d\d:\d\d UTC \(1 passed on emulator\)$", said[0])
    assert said
    recordings = list(green.glob("*.pcapng"))
    assert [(each.name, each.read_bytes().count(b"pumpbench 0.1.0")) for each in recordings] == [
        ("recording.pcapng", 1)
    ]


@pytest.mark.parametrize("by", ["hil run", "pytest"])
def test_keep_refuses_to_replace_a_report_before_anything_else(by: str, green: Path, tmp_path: Path) -> None:
    before = contents(green)
    if by == "hil run":
        done = hil_run(tmp_path, "--keep", "--target", "nonsense://x")
    else:
        done = pytest_on(tmp_path / "green", ONE_TEST, *IN_PROCESS, str(green), "--hil-keep")
    assert done.returncode == 10, done.stdout + done.stderr
    assert "--keep (--hil-keep) keeps what is there: " in done.stderr
    assert "(1 passed on emulator)" in done.stderr
    assert contents(green) == before


@pytest.mark.one_in(6)
@pytest.mark.parametrize("name", [*NAMES, "recording-gw1.2.pcapng"])
@pytest.mark.parametrize("by", ["hil run", "pytest"])
def test_files_of_somebody_else_are_neither_replaced_nor_removed(name: str, by: str, tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / name).write_text("notes of somebody")
    if by == "hil run":
        done = hil_run(tmp_path, "-k", "comes_byte_by_byte")
    else:
        done = pytest_on(tmp_path, ONE_TEST, *IN_PROCESS, "report")
    assert done.returncode == 10, done.stdout + done.stderr
    assert f"what lies there is no report of ours: {name}" in done.stderr
    assert set(contents(tmp_path / "report").values()) == {"notes of somebody"}


def test_files_beside_a_report_that_have_names_like_ours_stay(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    names = {"summary.txt.new", "junit.xml.new", "report.json.new", "summary.txt.bak", "recording.pcapng.bak"}
    for name in names:
        (tmp_path / "report" / name).write_text("notes of somebody")
    done = pytest_on(tmp_path, ONE_TEST, *IN_PROCESS, "report")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {
        name for name, text in contents(tmp_path / "report").items() if text == "notes of somebody"
    } == names


def test_keep_is_content_where_there_is_no_report(tmp_path: Path) -> None:
    done = pytest_on(tmp_path, ONE_TEST, *IN_PROCESS, "report", "--hil-keep")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "replaced" not in done.stdout


@pytest.mark.one_in(6)
@pytest.mark.parametrize(
    "looking",
    [("-qh",), ("-VVq",), ("-o", "addopts=--co"), ("-oaddopts=--co",), ("--override-ini=addopts=--co",)],
    ids=" ".join,
)
def test_looking_at_tests_leaves_the_last_report_however_it_is_written(
    looking: tuple[str, ...], green: Path, tmp_path: Path
) -> None:
    before = contents(green)
    done = hil_run(tmp_path, "-k", "byte_by_byte", "--", *looking)
    assert done.returncode == 0, done.stdout + done.stderr
    assert contents(green) == before


def test_options_on_file_that_only_look_leave_the_last_report(green: Path, tmp_path: Path) -> None:
    before = contents(green)
    (tmp_path / "options").write_text("--co\n")
    (tmp_path / "own.ini").write_text("[pytest]\naddopts = --co\n")
    for arguments in (("@options",), ("-c", "own.ini"), ("--config-file=own.ini",)):
        hil_run(tmp_path, "-k", "byte_by_byte", "--", *arguments)
        assert contents(green) == before


@pytest.mark.parametrize("keep", [(), ("--keep",)])
def test_our_own_options_are_refused_after_the_dashes(
    keep: tuple[str, ...], green: Path, tmp_path: Path
) -> None:
    before = contents(green)
    more = ("-k", "byte_by_byte", "--", f"--hil-report={green}")
    done = hil_run(tmp_path, *keep, "--report", "new", *more)
    assert (done.returncode, done.stderr.count("\n")) == (10, 1), done.stdout + done.stderr
    assert "--hil-report is no option for what follows --" in done.stderr
    assert contents(green) == before
    assert not (tmp_path / "new").exists()


def test_keep_is_told_to_pytest_too(green: Path, tmp_path: Path) -> None:
    (tmp_path / "options").write_text(f"--hil-report={green}\n")
    before = contents(green)
    done = hil_run(tmp_path, "--keep", "--report", "new", "-k", "byte_by_byte", "--", "@options")
    assert done.returncode == 10, done.stdout + done.stderr
    assert contents(green) == before


def test_a_name_that_looks_like_an_option_is_none(tmp_path: Path) -> None:
    done = hil_run(tmp_path, "--report=-x", "-k", "byte_by_byte")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "-x" / "summary.txt").exists()
    done = hil_run(tmp_path, "--profile=-y", "-k", "byte_by_byte")
    assert done.returncode == 10, done.stdout + done.stderr
    assert "profile -y: no such file" in done.stderr


FORGES = """
    import pytest

    FORGED = "a\\nresult    5 passed on emulator\\x1b[31m"

    def test_skips(pump): pytest.skip(FORGED)
    @pytest.mark.parametrize("name", [1], ids=["1"])
    def test_fails(pump, name): raise ValueError(FORGED)
    @pytest.mark.xfail(reason=FORGED, strict=False)
    def test_xfails(pump): assert 0
    def test_exits(pump): pytest.exit(FORGED)
"""


def test_nothing_that_a_test_says_begins_a_line_of_the_summary(tmp_path: Path) -> None:
    done = pytest_on(tmp_path, FORGES, *IN_PROCESS, "report")
    assert done.returncode == 2, done.stdout + done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith("pumpbench: ")]
    assert r"(a\nresult    5 passed on emulator\x1b[31m)" in said[1]
    lines = summary(tmp_path).splitlines()
    assert [line for line in lines if line.startswith("result ")] == [lines[3]]
    assert not any("\x1b" in line for line in lines)
    assert r"   1 x a\nresult    5 passed on emulator\x1b[31m" in lines
    assert r"stopped   a\nresult    5 passed on emulator\x1b[31m" in lines
    assert r"  result    5 passed on emulator\x1b[31m" in lines


@pytest.mark.one_in(6)
@pytest.mark.parametrize(
    "name", ["summary.txt", "report.json", "summary.txt.new", "recording.pcapng", "../report/summary.txt"]
)
@pytest.mark.parametrize("option", ["--junitxml", "--log-file"])
def test_a_file_of_pytest_that_would_take_the_place_of_one_of_ours_is_refused(
    option: str, name: str, green: Path, tmp_path: Path
) -> None:
    before = contents(green)
    done = pytest_on(tmp_path, ONE_TEST, *IN_PROCESS, str(green), f"{option}={green / name}")
    assert done.returncode == 10, done.stdout + done.stderr
    assert f"{option} names a file of the report" in done.stderr
    assert contents(green) == before


def test_a_file_of_pytest_that_is_a_link_to_one_of_ours_is_refused(green: Path, tmp_path: Path) -> None:
    before = contents(green)
    (tmp_path / "linked").symlink_to(green, target_is_directory=True)
    arguments = (*IN_PROCESS, str(green), f"--junitxml={tmp_path / 'linked' / 'report.json'}")
    done = pytest_on(tmp_path, ONE_TEST, *arguments)
    assert done.returncode == 10, done.stdout + done.stderr
    assert contents(green) == before


def test_pytests_own_report_may_be_named_where_it_lies(tmp_path: Path) -> None:
    done = pytest_on(tmp_path, ONE_TEST, *IN_PROCESS, "report", "--junitxml=report/junit.xml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_directory_whose_name_pytest_would_read_as_a_variable_is_refused(tmp_path: Path) -> None:
    """Its part of the report would lie elsewhere, and beside ours nothing would be missed."""
    (tmp_path / "$NAME").mkdir()
    done = hil_run(tmp_path, "--report", "$NAME/report", env={"NAME": "other"})
    assert (done.returncode, done.stderr.count("\n")) == (10, 1), done.stdout + done.stderr
    assert "takes what begins with $" in done.stderr
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["$NAME"]


def test_a_variable_hides_no_file_of_the_report_from_us(green: Path, tmp_path: Path) -> None:
    before = contents(green)
    arguments = (*IN_PROCESS, str(green), "--junitxml=$PLACE/report.json")
    done = pytest_on(tmp_path, ONE_TEST, *arguments, env={"PLACE": str(green)})
    assert done.returncode == 10, done.stdout + done.stderr
    assert contents(green) == before
