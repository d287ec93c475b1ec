"""What is shown again and again, until Ctrl-C, which is how it is meant to end: `status --watch`, `log --follow`."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.bench_of_test import TestBench
from hil.cli.connection import Options, tell_error
from hil.cli.log_lines import LogLines
from hil.cli.program import new_entries, show_history
from hil.errors import BenchLost
from hil.programmer.log_reading import LostRange
from protocol.log.types import LogName
from tests.support.patience import PATIENCE_S

HOUSE = Path(__file__).resolve().parents[3]
FOR_PEOPLE = Options(None, False, None, None, None, False, False, "log", [])
PROGRAM = [sys.executable, "-u", "-m", "hil.cli", "program"]


def interrupted_after(arguments: list[str], pattern: str) -> str:
    """Stdout of a command that gets Ctrl-C once the pattern was printed."""
    process = subprocess.Popen(
        [*PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=HOUSE
    )
    assert process.stdout is not None
    printed = ""
    while not re.search(pattern, printed, re.DOTALL):
        line = process.stdout.readline()
        assert line, printed
        printed += line
    process.send_signal(signal.SIGINT)
    rest, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    return printed + rest


def test_the_status_is_shown_again_until_an_interrupt_that_ends_it_well() -> None:
    printed = interrupted_after(["status", "--watch", "--target", "emulator"], "(running for.*){3}")
    spans = re.findall(r"running for  (.*)", printed)
    assert spans[1:3] == ["2 s", "4 s"]  # of the line's time, which is the pump's in this process
    assert "\x1b" not in printed


@pytest.mark.parametrize(
    ("command", "seen"),
    [(["status", "--watch"], '("t_mono_s".*){2}'), (["log", "--follow"], '"seq": 6, ')],
    ids=["watch", "follow"],
)
def test_what_is_shown_again_as_json_is_a_document_a_line(command: list[str], seen: str) -> None:
    """So that a reader of a pipe takes a line and has a whole document."""
    printed = interrupted_after([*command, "--json", "--target", "emulator"], seen)
    schemas = [json.loads(line)["schema"] for line in printed.splitlines()]
    assert set(schemas) == {f"pumpbench/{command[0]}"}


def test_an_error_behind_lines_of_json_is_a_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    tell_error(BenchLost("the line\nis gone", advice="look at the cable"))
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["error"]["message"] == "the line\nis gone"


def test_new_entries_of_the_log_come_as_they_are_made_each_once(bench: TestBench) -> None:
    pump = bench.open_programmer()
    history = pump.read_log()

    def ticks() -> Iterator[None]:
        yield  # nothing is new
        pump.stop()
        yield
        pump.resume()
        yield
        yield

    seqs = [entry.seq for more in new_entries(pump, LogName.MAIN, history, ticks()) for entry in more.entries]
    assert seqs == list(range(history.next_seq, pump.log_status().last_seq + 1))
    assert len(seqs) >= 2


def test_the_log_is_followed_until_an_interrupt_that_ends_it_well() -> None:
    printed = interrupted_after(["log", "--follow", "--target", "emulator"], "#6 ")
    numbers = re.findall(r"^#(\d+) ", printed, re.MULTILINE)
    assert numbers == sorted(set(numbers), key=int)


def test_what_the_log_has_lost_is_a_line_in_its_place_and_counted_at_the_end(
    bench: TestBench, capsys: pytest.CaptureFixture[str]
) -> None:
    history = bench.open_programmer().read_log()
    kept = tuple(entry for entry in history.entries if entry.seq != 3)
    holed = history._replace(entries=kept, lost=(LostRange(3, 3),))
    show_history(FOR_PEOPLE, holed, LogLines())
    shown, said = capsys.readouterr()
    lines = shown.splitlines()
    assert lines[1].startswith("#2 ")
    assert lines[2] == "entries 3 to 3 are lost: the log overwrote them"
    assert lines[3].startswith("#4 ")
    assert said.strip() == f"{len(kept)} entries, 1 lost"
