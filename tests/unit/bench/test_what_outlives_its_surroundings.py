"""An emulator and what stands around it: a log that nobody reads, signals at any moment, closed descriptors."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from firmware_emu.bench.log import LINE_MAX_BYTES, Log
from firmware_emu.bench.ports.tcp import parse_loopback
from firmware_emu.bench.ready_line import write_line
from protocol.identifiers import State
from tests.support.patience import PATIENCE_S
from tests.support.soak import part_of
from tests.support.warm_python import PipedProcess
from tests.unit.bench.processes import EMULATE, Caller, Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator

F_SETPIPE_SZ = 1031  # of Linux; the smallest pipe is a page
PIPE_BYTES = 4_096


@pytest.fixture
def small_pipe() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe that is soon full."""
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, F_SETPIPE_SZ, PIPE_BYTES)
    yield read_end, write_end
    for descriptor in (read_end, write_end):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def test_a_log_that_nobody_reads_is_dropped_and_counted_and_the_count_is_said_later(
    small_pipe: tuple[int, int],
) -> None:
    read_end, write_end = small_pipe
    log = Log("pump", write_end)
    for number in range(1_000):
        log.say(f"sentence {number} " + "x" * 100)
    dropped = log.dropped
    assert dropped > 900
    while dropped == log.dropped:  # a pipe is writable again once a whole page is free
        os.read(read_end, PIPE_BYTES)
        log.say("there is room again")
        assert log.dropped in {dropped, dropped + 1, 0}
        dropped = max(dropped, log.dropped)
    assert (
        f"({dropped} lines before this one were dropped: nobody read them) there is room"
        in os.read(read_end, PIPE_BYTES).decode()
    )
    assert log.dropped == 0


@pytest.mark.parametrize("where", ["/dev/full", "closed", "broken"])
def test_a_log_that_cannot_be_written_raises_nothing(where: str) -> None:
    if where == "/dev/full":
        descriptor = os.open(where, os.O_WRONLY)
    else:
        read_end, descriptor = os.pipe()
        os.close(read_end)
    log = Log("pump", descriptor)
    if where == "closed":
        os.close(descriptor)
    log.say("one")
    log.say("two")
    assert log.dropped == 2
    if where != "closed":
        os.close(descriptor)


def test_a_sentence_is_one_line_of_bounded_length_whatever_is_in_it(small_pipe: tuple[int, int]) -> None:
    read_end, write_end = small_pipe
    Log("pump", write_end).say("two\nlines \udcff\x1b[2J " + "x" * 5_000)
    line = os.read(read_end, PIPE_BYTES)
    assert line.startswith(b"pump: two lines \\udcff\\x1b[2J xxx")
    assert line.count(b"\n") == 1
    assert len(line) == LINE_MAX_BYTES


def refuse_clients(place: str, number: int) -> None:
    """Let a pump say something: it has its client already."""
    for _ in range(number):
        with socket.create_connection(parse_loopback(place), PATIENCE_S) as client:
            assert client.recv(1) == b""


@pytest.mark.parametrize("reader", ["sleeps", "has gone"])
def test_a_pump_whose_log_nobody_reads_serves_its_client_and_ends_when_told_to(
    small_pipe: tuple[int, int], reader: str
) -> None:
    read_end, write_end = small_pipe
    process = subprocess.Popen([*EMULATE, "--tcp", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=write_end)
    assert process.stdout is not None
    ready: dict[str, Any] = json.loads(process.stdout.readline())
    if reader == "has gone":
        os.close(read_end)
    for _ in range(60):  # each client lets two lines be said when it goes: more than the pipe holds
        with socket.create_connection(parse_loopback(ready["tcp"]), PATIENCE_S) as line:
            caller = Caller(line.fileno()).connect()
            refuse_clients(ready["tcp"], 2)
            assert caller.status().state is State.RUN
    process.terminate()
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_signal_that_was_ignored_when_it_started_stays_ignored(number: signal.Signals) -> None:
    process = subprocess.Popen(
        EMULATE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(number, signal.SIG_IGN),  # noqa: PLW1509 - one thread
    )
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    process.send_signal(number)
    caller = Caller.on_pty(ready["port"])
    assert caller.connect().status().state is State.RUN
    caller.close()
    process.terminate()
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0


def test_a_term_works_also_where_the_starter_had_blocked_it() -> None:
    process = subprocess.Popen(
        EMULATE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]),  # noqa: PLW1509 - one thread
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.terminate()
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0


@pytest.mark.parametrize("control", [False, True])
def test_a_term_at_any_moment_ends_it_and_leaves_nothing_behind(tmp_path: Path, control: bool) -> None:
    """From before its first line of Python to after it is ready; before that, the system ends it."""
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    arguments = ["--link", str(tmp_path / "pump"), "--image", str(tmp_path / "image")]
    arguments += ["--control", "127.0.0.1:0"] if control else []
    for step in part_of(f"a TERM at any moment, control {control}", range(24), one_in=2):
        process = subprocess.Popen(
            [*EMULATE, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"XDG_RUNTIME_DIR": str(runtime)},
        )
        give_up_at_s = time.monotonic() + step * 0.012
        while time.monotonic() < give_up_at_s:
            pass
        process.send_signal(signal.SIGTERM)
        _out, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode in {0, 128 + signal.SIGTERM, -signal.SIGTERM}
        assert b"Traceback" not in err
        left = {path.name for path in tmp_path.iterdir()} - {"runtime", "image"}
        assert (left, list(runtime.iterdir())) == (set(), []), step


def wait_until_it_waits(pid: int, *made: Path) -> None:
    """Until these paths are there and the process sleeps: all that it does after them is to write its ready line."""
    give_up_at_s = time.monotonic() + PATIENCE_S
    while not (
        all(os.path.lexists(path) and (not path.is_dir() or any(path.iterdir())) for path in made)
        and Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "S"
    ):
        assert time.monotonic() < give_up_at_s


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_also_while_its_ready_line_waits_for_a_reader_and_it_leaves_nothing_behind(
    tmp_path: Path, small_pipe: tuple[int, int], number: signal.Signals
) -> None:
    _read_end, write_end = small_pipe
    os.write(write_end, bytes(PIPE_BYTES))
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    process = subprocess.Popen(
        [*EMULATE, "--link", str(tmp_path / "pump")],
        stdout=write_end,
        stderr=subprocess.PIPE,
        env=os.environ | {"XDG_RUNTIME_DIR": str(runtime)},
    )
    wait_until_it_waits(process.pid, tmp_path / "pump", runtime)
    process.send_signal(number)
    try:
        _out, err = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert (process.returncode, err) == (128 + number, b"")
    assert (list(tmp_path.iterdir()), list(runtime.iterdir())) == ([runtime], [])


def test_a_signal_is_handed_over_just_before_the_last_piece_of_a_ready_line_that_cannot_have_to_wait() -> (
    None
):
    """Earlier, and it would be lost where the line waits; later, and who has read the line would meet another code."""
    read_end, write_end = os.pipe()
    line = "pump" * 5_000 + "\n"
    out: list[bytes] = []
    write_line(write_end, line, lambda: out.append(os.read(read_end, len(line))))
    out.append(os.read(read_end, len(line)))
    assert "".join(piece.decode() for piece in out) == line
    assert 0 < len(out[1]) <= select.PIPE_BUF
    os.close(read_end)
    os.close(write_end)


MOMENTS = {
    "between making and noting down": """
        with signals.held():
            made = open(PATH, "x")
            TERM()
            undone.callback(os.unlink, PATH)
    """,
    "where an exception would be swallowed": """
        class Finalized:
            def __del__(self): TERM()
        Finalized()
    """,
    "where an exception would become another": """
        class Descriptor:
            def __set_name__(self, owner, name): TERM()
        class Owner:
            attribute = Descriptor()
    """,
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_term_during_the_start_ends_it_with_143_and_undoes_what_was_made_wherever_it_comes(
    tmp_path: Path, moment: str
) -> None:
    path = tmp_path / "made"
    lines = [
        "import os, signal",
        "from firmware_emu.bench.signals import ending_signals",
        f"PATH = {str(path)!r}",
        "TERM = lambda: os.kill(os.getpid(), signal.SIGTERM)",
        "with ending_signals() as signals, signals.making() as undone:",
        textwrap.indent(textwrap.dedent(MOMENTS[moment]), "    "),
        "    print('went on')",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, timeout=PATIENCE_S, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (143, b"", b"")
    assert not path.exists()


def test_a_term_after_ready_ends_it_with_0_also_while_its_thread_loads_the_framework() -> None:
    emulator = Emulator("--control", "127.0.0.1:0")
    socket.create_connection(parse_loopback(emulator.control_place), PATIENCE_S).close()
    ended = emulator.end()
    assert (ended.code, "Traceback" in ended.err) == (0, False)


def test_a_term_ends_it_with_0_also_while_clients_are_connected_and_refused() -> None:
    emulator = Emulator("--tcp", "127.0.0.1:0")
    address = parse_loopback(emulator.ready["tcp"])
    with socket.create_connection(address) as client, socket.create_connection(address) as refused:
        client.sendall(b"\0\1" * 32_768)
        refused.settimeout(PATIENCE_S)
        assert refused.recv(1) == b""
        ended = emulator.end()
    assert (ended.code, "Traceback" in ended.err) == (0, False), ended.err


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-"])
def test_closed_standard_descriptors_never_become_the_line_or_the_image(tmp_path: Path, closed: str) -> None:
    link = tmp_path / "pump"
    process = subprocess.Popen(
        [
            "sh",
            "-c",
            f'exec "$@" {closed}',
            "sh",
            *EMULATE,
            "--link",
            str(link),
            "--image",
            str(tmp_path / "i"),
        ]
    )
    give_up_at_s = time.monotonic() + PATIENCE_S
    while not link.is_symlink():
        assert process.poll() is None
        assert time.monotonic() < give_up_at_s
    for number in range(3):
        assert Path(f"/proc/{process.pid}/fd/{number}").readlink() != link.readlink()
    caller = Caller.on_pty(str(link))
    assert caller.connect().status().state is State.RUN
    caller.close()
    process.terminate()
    assert process.wait(PATIENCE_S) == 0


def test_a_ready_line_that_cannot_be_written_is_one_sentence_and_exit_12() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    for stdout in (write_end, os.open("/dev/full", os.O_WRONLY)):
        done = subprocess.run(EMULATE, stdout=stdout, stderr=subprocess.PIPE, timeout=PATIENCE_S, check=False)
        os.close(stdout)
        assert done.returncode == 12
        assert done.stderr.count(b"\n") == 1
        assert b"the ready line could not be written" in done.stderr


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_an_emulator_whose_stdout_is_closed_ends_with_12_and_leaves_nothing(
    tmp_path: Path, closed: str
) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *EMULATE, "--link", str(tmp_path / "pump")],
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 12
    assert b"Traceback" not in done.stderr
    assert "2>" in closed or b"could not be written (stdout is closed)" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_each_of_many_second_clients_is_told_that_the_line_is_taken(tmp_path: Path) -> None:
    """Whatever the moment at which it is hung up on: connecting, sending its greeting, or waiting."""
    emulator = Emulator("--tcp", "127.0.0.1:0")
    place = emulator.ready["tcp"]
    with socket.create_connection(parse_loopback(place), PATIENCE_S) as line:
        caller = Caller(line.fileno()).connect()
        second = ("hil.cli", "program", "ping", "--target", f"socket://{place}")
        with Path(os.devnull).open("rb") as nothing:
            processes = [
                PipedProcess(
                    *second,
                    "--state",
                    str(tmp_path / f"{number}.json"),
                    cwd=tmp_path,
                    env=os.environ,
                    stdin=nothing.fileno(),
                )
                for number in range(16)
            ]
        for process in processes:
            _out, said = process.communicate()
            err = said.decode()
            assert process.returncode == 11, err
            assert "one line a pump, and it has its client" in err
        assert caller.status().state is State.RUN
    emulator.end()
