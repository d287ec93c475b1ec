"""`pumpbench emulate --until-eof` lives as long as somebody holds the other end of its stdin, and no longer."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.patience import PATIENCE_S
from tests.unit.bench.processes import EMULATE, Caller, Emulator

if TYPE_CHECKING:
    from collections.abc import Callable

    Start = Callable[..., Emulator]

HOUSE = Path(__file__).resolve().parents[3]

# A harness with an emulator, and then a second emulator and a mere fork, which must not keep the first alive.
HARNESS = """
import os, sys, time
from hil.targets.process import ProcessTarget
first, second = ProcessTarget(), ProcessTarget()
first.start()
second.start()
read_end, write_end = os.pipe()
if os.fork() == 0:
    os.close(write_end)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the tests wait for the end of the harness's own stdout
    print(os.getpid(), file=sys.stderr, flush=True)
    os.read(int(sys.argv[1]), 1)  # lives until the test lets go
    os._exit(0)
print(first._process.pid, second._process.pid, flush=True)
os.read(read_end, 1)
"""


def has_ended(pid: int) -> bool:
    """True once the process is gone; one that nobody has waited for yet counts as gone."""
    try:
        os.kill(pid, 0)
        return Path("/proc").is_dir() and Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "Z"
    except (ProcessLookupError, FileNotFoundError):
        return True


def wait_until_ended(*pids: int) -> None:
    give_up_at_s = time.monotonic() + PATIENCE_S
    while not all(has_ended(pid) for pid in pids):
        assert time.monotonic() < give_up_at_s, f"still there: {[pid for pid in pids if not has_ended(pid)]}"
        os.sched_yield()


def test_the_end_of_stdin_ends_it_in_good_order_and_what_is_written_there_does_not(
    start: Start, tmp_path: Path
) -> None:
    emulator = start("--link", tmp_path / "pump", "--image", tmp_path / "image")
    emulator.say(b"anything\n" * 1_000)
    caller = Caller.on_pty(emulator.ready["port"])
    caller.connect().status()
    caller.close()
    emulator.let_go()
    ended = emulator.wait()
    assert (ended.code, ended.err) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["image"]


@pytest.mark.parametrize("stdin", ["a file", "nothing", "closed"])
def test_a_stdin_that_nobody_holds_is_refused_with_what_to_do(stdin: str, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("")
    command = [*EMULATE, "--until-eof"]
    source = {"a file": tmp_path / "a file", "nothing": Path(os.devnull), "closed": Path(os.devnull)}[stdin]
    shell = ["sh", "-c", 'exec "$@" <&-', "sh", *command] if stdin == "closed" else command
    with source.open("rb") as opened:
        done = subprocess.run(
            shell, stdin=opened, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    assert done.returncode == 10, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "hold a pipe as stdin" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_emulators_end_with_the_harness_that_started_them_however_it_ends(number: signal.Signals) -> None:
    read_end, write_end = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", HARNESS, str(read_end)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=[read_end],
        cwd=HOUSE,
        text=True,
    ) as harness:
        assert harness.stdout is not None
        first, second = (int(pid) for pid in harness.stdout.readline().split())
        try:
            harness.send_signal(number)
            harness.wait(PATIENCE_S)
            wait_until_ended(first, second)
        finally:
            os.close(read_end)
            os.close(write_end)  # the fork may go as well
            for pid in (first, second):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
