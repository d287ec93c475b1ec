"""`pumpbench monitor`: a line is shown as it is now, and whoever reads that ends it by going away."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import jsonschema
import pytest
from click.testing import CliRunner

from hil.capture.growing import WAITING_MOST_BYTES, GrowingFile, Handed
from hil.capture.line_state import LineState
from hil.capture.messages import messages_of, read_messages
from hil.capture.recording_file import recorder_into
from hil.cli import main
from hil.cli.decode_command import entry_document, entry_text
from hil.cli.documents import json_line
from hil.cli.json_schema import json_schema
from hil.errors import BadConfiguration, UsageError
from hil.key_file import key_finder
from protocol.capture.recording import Beginning, Way, read_entries
from tests.support.for_each import for_each
from tests.support.not_run import needs_program
from tests.support.patience import PATIENCE_S
from tests.support.warm_python import PipedProcess, forked
from tests.unit.hil.test_on_a_terminal import Terminal, without_style

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from protocol.capture.recording import Entry

HOUSE = Path(__file__).parents[3]
SESSIONS = HOUSE / "fixtures" / "sessions"
MRI = SESSIONS / "mri.pcapng"


@pytest.fixture
def growing(tmp_path: Path) -> Path:
    """A recording of which the first half is there."""
    path = tmp_path / "line.pcapng"
    whole = MRI.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def rest_of(path: Path) -> bytes:
    return MRI.read_bytes()[path.stat().st_size :]


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def waits(*happenings: Callable[[], object]) -> Callable[[], bool]:
    """Lets time pass: each wait brings the next of what happens, and the one behind the last is in vain."""
    coming = iter(happenings)

    def wait() -> bool:
        happening = next(coming, None)
        if happening is None:
            return False
        happening()
        return True

    return wait


# --- a recording that is being made ---------------------------------------------------------------------------------


def test_a_recording_that_grows_is_read_on_from_where_it_ended_be_that_within_a_block(growing: Path) -> None:
    rest = rest_of(growing)
    wait = waits(lambda: append(growing, rest[:5]), lambda: None, lambda: append(growing, rest[5:]))
    file = GrowingFile(growing, wait)
    entries = list(messages_of(read_entries(file), key_finder([])))
    file.close()
    assert entries == list(read_messages(MRI))


def test_a_recording_goes_on_in_its_next_file(tmp_path: Path) -> None:
    first, second = tmp_path / "line.pcapng", tmp_path / "line.2.pcapng"
    shutil.copy(MRI, first)
    file = GrowingFile(first, waits(lambda: shutil.copy(SESSIONS / "refill.pcapng", second)))
    entries = list(messages_of(read_entries(file), key_finder([])))
    file.close()
    assert [entry.told["serial"] for entry in entries if isinstance(entry, Beginning)] == [
        "EMUSCANNER03",
        "EMUREFILL002",
    ]


def test_what_is_written_last_into_a_full_file_is_read_before_the_next_one(growing: Path) -> None:
    rest = rest_of(growing)

    def fill_and_begin_the_next() -> None:
        append(growing, rest)
        growing.with_name("line.2.pcapng").write_bytes(b"")

    file = GrowingFile(growing, waits(fill_and_begin_the_next))
    read = b"".join(iter(lambda: file.read(1_000), b""))
    file.close()
    assert read == MRI.read_bytes()


# --- a tap's recorder -----------------------------------------------------------------------------------------------


def test_what_a_recorder_writes_is_read_by_another_thread_as_a_recording() -> None:
    handed = Handed(lambda: True)
    read: list[Entry] = []
    reader = Thread(target=lambda: read.extend(read_entries(handed)))
    reader.start()
    recorder = recorder_into(handed, {"target": "a test"}, trouble=pytest.fail)
    recorder.passed(Way.TO_PUMP, b"\0abc\0")
    recorder.passed(Way.FROM_PUMP, b"\0def\0")
    recorder.close()
    reader.join(PATIENCE_S)
    assert [getattr(entry, "data", None) for entry in read] == [None, b"\0abc\0", b"\0def\0"]


def test_a_recorder_is_not_held_up_by_a_reader_that_is_behind_or_gone() -> None:
    troubles: list[str] = []
    behind = Handed(lambda: True)
    assert behind.write(memoryview(bytes(WAITING_MOST_BYTES))) == WAITING_MOST_BYTES
    assert behind.write(memoryview(b"x")) == 0
    gone = Handed(lambda: True)
    recorder = recorder_into(gone, {}, trouble=troubles.append)
    gone.abandon()
    recorder.passed(Way.TO_PUMP, b"\0abc\0")
    recorder.close()
    assert recorder.lost
    assert "nobody reads it any more" in troubles[0]


def test_a_reader_of_a_quiet_line_ends_when_nobody_looks_any_more() -> None:
    assert Handed(lambda: False).read(1) == b""


# --- how it stands --------------------------------------------------------------------------------------------------


def rows_after(name: str, until: str) -> dict[str, str]:
    """How it stands after the first line of a session in which this is said."""
    state = LineState()
    for entry in read_messages(SESSIONS / f"{name}.pcapng"):
        state.take(entry)
        if until in entry_text(entry):
            return dict(state.rows())
    raise AssertionError(f"{name} has no line with {until}")


def test_state_rate_reservoir_alarms_and_errors_are_those_told_last() -> None:
    assert rows_after("clinic_day", "RESPONSE GET_INFO #3")["state"] == "not told yet"
    running = rows_after("clinic_day", "RESPONSE GET_STATUS #27")
    stopped = rows_after("clinic_day", "RESPONSE GET_STATUS #30")
    assert running["state"] == "RUN, mode SIMPLE"
    assert (running["rate"], stopped["rate"]) == ("0.66 mL/day", "0 mL/day")
    assert stopped["state"] == "STOP, mode SIMPLE"
    assert stopped["reservoir"] == "17.991 mL by the pump's own count"
    assert stopped["alarms"] == "none"
    listed = rows_after("clinic_day", "RESPONSE GET_ALARMS #33")  # one that is latched, and over
    assert listed["alarms"] == "none"
    assert rows_after("mri", "RESPONSE GET_ALARMS #2")["alarms"] == "MOTOR_STALL"
    assert rows_after("mri", "AlarmCleared")["alarms"] == "none"
    assert rows_after("lossy_ward", "RESPONSE GET_RESERVOIR #7")["link errors"] == "sent again 5, bad frame 2"


def test_between_two_answers_the_pumps_world_tells_of_rate_and_alarms() -> None:
    assert rows_after("clinic_day", "new_nl_per_day 0,")["rate"] == "0 mL/day"
    assert rows_after("mri", "AlarmRaised")["alarms"] == "MOTOR_STALL"


# --- the command ----------------------------------------------------------------------------------------------------


def test_each_json_line_is_valid_by_its_schema() -> None:
    schema = jsonschema.Draft202012Validator(json_schema("monitor"))
    for entry in list(read_messages(MRI))[:60]:
        schema.validate(json.loads(json_line("monitor", entry_document(entry))))


@for_each(
    ("arguments", "error", "complaint"),
    [
        ((), UsageError, "name either a recording that is being made, or a pump"),
        ((MRI, "--target", "pty:x"), UsageError, "name either a recording"),
        ((MRI, "--pcapng", "--json"), UsageError, "--pcapng and --json exclude each other"),
        ((MRI, "--link", "x"), UsageError, "are of a tap"),
        (("--target", "pty:x", "--link", "y", "--tcp", "127.0.0.1:0"), UsageError, "exclude each other"),
        (("there-is-none",), BadConfiguration, "cannot be read"),
        ((SESSIONS / "mri.toml",), BadConfiguration, "is no recording"),
        (("--target", "emulator"), UsageError, "no line of its own that could be tapped"),
    ],
)
def test_what_cannot_be_monitored_is_said(
    arguments: tuple[str | Path, ...], error: type[BadConfiguration | UsageError], complaint: str
) -> None:
    raised = CliRunner().invoke(main.cli, ["monitor", *map(str, arguments)]).exception
    assert isinstance(raised, error), raised
    assert complaint in raised.message


@pytest.fixture
def nothing() -> Iterator[int]:
    descriptor = os.open(os.devnull, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def test_on_a_pipe_lines_come_as_the_file_grows_and_a_reader_that_goes_away_ends_it(
    growing: Path, nothing: int
) -> None:
    monitor = PipedProcess("hil.cli", "monitor", str(growing), cwd=HOUSE, env=os.environ, stdin=nothing)
    there = len(list(read_messages(growing))) - 1  # the last is damage: the file ends within a block
    assert all(monitor.stdout.readline() for _ in range(there))
    append(growing, rest_of(growing))
    coming = len(list(read_messages(MRI))) - there
    assert all(monitor.stdout.readline() for _ in range(coming))  # now it waits for more
    monitor.stdout.close()
    assert monitor.wait(PATIENCE_S) == 0
    assert monitor.stderr.read() == b""
    monitor.stderr.close()


@needs_program("tshark", package="tshark")
def test_tshark_reads_what_monitor_writes_as_pcapng_while_it_goes_on(growing: Path, nothing: int) -> None:
    monitor = PipedProcess(
        "hil.cli", "monitor", str(growing), "--pcapng", cwd=HOUSE, env=os.environ, stdin=nothing
    )
    append(growing, rest_of(growing))
    frames = sum(not isinstance(entry, Beginning) for entry in read_messages(MRI))
    seen = subprocess.run(
        ["tshark", "-r", "-", "-c", str(frames), "-T", "fields", "-e", "frame.number"],
        stdin=monitor.stdout,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    monitor.stdout.close()
    assert seen.stdout.split() == [str(number) for number in range(1, frames + 1)]
    assert monitor.wait(PATIENCE_S) == 0
    monitor.stderr.close()


def test_on_a_terminal_the_last_lines_stand_over_how_pump_and_line_stand_until_an_interrupt() -> None:
    terminal = Terminal(120)
    with tempfile.TemporaryFile() as errors:
        env = {**os.environ, "TERM": "xterm-256color"}
        monitor = forked(
            "hil.cli", "monitor", str(MRI), cwd=HOUSE, env=env, stdout=terminal.slave, stderr=errors.fileno()
        )
        terminal.close_slave()
        seen = ""
        last_line = " ".join(
            entry_text(list(read_messages(MRI))[-1]).split()[5:8]
        )  # behind number, times and arrow
        while last_line not in seen or "passed" not in seen.rpartition(last_line)[2]:
            more = terminal.read()
            assert more, seen
            seen += more
        monitor.send_signal(signal.SIGINT)
        seen += "".join(iter(terminal.read, ""))
        assert monitor.wait(PATIENCE_S) == 0
    terminal.close()
    last = [" ".join(line.split()) for line in without_style(seen)[-8:]]
    assert "state RUN, mode SIMPLE" in last
    assert "alarms none" in last
