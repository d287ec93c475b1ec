"""What was sent is never told as not sent, and what was done never as failed, wherever the answer finds no room."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.errors import BadConfiguration, OutcomeUnknown
from hil.noise import FaultyLine
from hil.outcome_store import OutcomeStore
from hil.programmer.programmer import Programmer
from protocol.identifiers import Outcome, State
from tests.support.not_run import skip_without_right
from tests.support.patience import PATIENCE_S
from tests.support.warm_python import run_python
from tests.unit.bench.processes import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.bench_of_test import TestBench

VOLUME_NL = 20_000
PROGRAM = [sys.executable, "-m", "hil.cli", "program"]
BOLUS = ["bolus", "--dose", "10", "--duration", "400", "--yes"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that can be filled."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        skip_without_right("mount")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> None:
    """Take the last byte."""
    with (place / "ballast").open("ab", buffering=0) as stream:
        for size in (65_536, 4_096, 1):
            with contextlib.suppress(OSError):
                while stream.write(bytes(size)):
                    pass
    assert not shutil.disk_usage(place).free


class HookedLine(FaultyLine):
    """A line on which something happens just after the n-th send from when it was armed."""

    after = 0
    hook: Callable[[], object] = staticmethod(lambda: None)

    def send(self, data: bytes) -> None:
        super().send(data)
        self.after -= 1
        if not self.after:
            self.hook()


def programmer_whose_commit_meets(bench: TestBench, path: Path, hook: Callable[[], object]) -> Programmer:
    """A programmer; the hook runs right after the COMMIT of its next bolus has left."""
    line = HookedLine(bench.channel)
    pump = Programmer(line, store=OutcomeStore(path))
    pump.connect()
    pump.ledger.unknown()
    line.hook, line.after = hook, 3  # status, PREPARE, COMMIT
    return pump


def test_a_disk_that_is_full_after_a_command_has_left_still_has_room_for_its_outcome(
    bench: TestBench, small_disk: Path
) -> None:
    path = small_disk / "state.json"
    pump = programmer_whose_commit_meets(bench, path, lambda: fill(small_disk))
    assert pump.bolus(VOLUME_NL, 600).outcome is Outcome.RUNNING
    pump.store.close()
    (memory,) = json.loads(path.read_text())["memories"].values()
    assert memory["commands"][0]["outcome"] == "RUNNING"


def test_a_disk_that_is_full_before_a_command_leaves_is_a_command_that_was_not_sent(
    bench: TestBench, small_disk: Path
) -> None:
    pump = bench.open_programmer(state_path=small_disk / "state.json")
    prepared = pump.prepare_bolus(VOLUME_NL, 600)
    fill(small_disk)
    with pytest.raises(BadConfiguration, match=r"No space left.*nothing was sent"):
        pump.commit_bolus(prepared)
    (small_disk / "ballast").unlink()
    pump.store.close()
    again = bench.open_programmer(state_path=small_disk / "state.json")
    assert not again.ledger.unknown()
    bench.target.rig.advance(700_000)
    assert again.delivery().bolus_nl == 0


def test_an_outcome_that_cannot_be_filed_is_unknown_and_names_the_same_state_file(
    bench: TestBench, tmp_path: Path
) -> None:
    place = tmp_path / "state"
    pump = programmer_whose_commit_meets(bench, place / "state.json", lambda: shutil.rmtree(place))
    with pytest.raises(OutcomeUnknown) as caught:
        pump.bolus(VOLUME_NL, 600)
    sentence = caught.value.one_line()
    assert "BOLUS_COMMIT 1 was sent, its outcome is RUNNING, and that could not be written" in sentence
    assert str(place / "state.json") in sentence
    assert "with this same state file" in sentence
    assert "not sent" not in sentence
    assert "nothing was sent" not in sentence
    assert caught.value.exit_code == 9


# The answer on its way to whoever asked.


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    emulator = Emulator("--image", tmp_path / "image")
    yield emulator
    emulator.end()


def command(emulator: Emulator, state: Path, *arguments: str) -> list[str]:
    return [*PROGRAM, *arguments, "--target", f"pty:{emulator.ready['port']}", "--state", str(state)]


def outcome_of_1(emulator: Emulator, state: Path) -> str:
    asked = run_python(command(emulator, state, "query", "1", "--json"))
    return str(json.loads(asked.stdout)["outcome"])


def read_end_closed() -> int:
    read_end, write_end = os.pipe()
    os.close(read_end)
    return write_end


STDOUTS: dict[str, Callable[[], int]] = {
    "a pipe that nobody reads": read_end_closed,
    "a full device": lambda: os.open("/dev/full", os.O_WRONLY),
}


@pytest.mark.one_in(6)
@pytest.mark.parametrize("stdout", STDOUTS)
@pytest.mark.parametrize("as_json", [False, True])
def test_a_command_that_was_carried_out_and_could_not_be_printed_says_so_and_ends_with_12(
    emulator: Emulator, tmp_path: Path, stdout: str, as_json: bool
) -> None:
    descriptor = STDOUTS[stdout]()
    done = subprocess.run(
        command(emulator, tmp_path / "state.json", *BOLUS, *(["--json"] if as_json else [])),
        stdout=descriptor,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    os.close(descriptor)
    assert done.returncode == 12, done.stderr
    assert (
        "BOLUS_COMMIT 1 reached the pump, its outcome is RUNNING; the answer could not be written"
        in done.stderr
    )
    assert "do not repeat it" in done.stderr
    assert done.stderr.count("\n") == 1
    assert outcome_of_1(emulator, tmp_path / "state.json") == "RUNNING"


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", ">/dev/full 2>/dev/full"])
def test_a_command_whose_words_all_get_lost_still_ends_with_12(
    emulator: Emulator, tmp_path: Path, closed: str
) -> None:
    line = f'exec "$@" {closed}'
    done = subprocess.run(
        ["sh", "-c", line, "sh", *command(emulator, tmp_path / "state.json", *BOLUS)],
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 12
    assert b"Traceback" not in done.stderr
    assert outcome_of_1(emulator, tmp_path / "state.json") == "RUNNING"


def test_reading_into_a_pipe_that_has_read_enough_is_quiet(emulator: Emulator, tmp_path: Path) -> None:
    descriptor = read_end_closed()
    done = subprocess.run(
        command(emulator, tmp_path / "state.json", "log"),
        stdout=descriptor,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    os.close(descriptor)
    assert (done.returncode, done.stderr) == (12, "")


def bytes_that_wait(place: str) -> int:
    """How much of what was sent to a TCP port lies in its receive queue, since nobody takes it."""
    local = f"0100007F:{int(place.rpartition(':')[2]):04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    return sum(int(row[4].partition(":")[2], 16) for row in rows if row[1] == local and row[3] == "01")


def interrupted_in_a_stop(emulator: Emulator, state: Path) -> tuple[int, str]:
    """Exit code and stderr of a programmer that got Ctrl-C while its STOP lay before a pump held still."""
    place = emulator.ready["tcp"]
    process = subprocess.Popen(
        [
            *PROGRAM,
            "stop",
            "--yes",
            "--leave-stopped",
            "--target",
            f"socket://{place}",
            "--state",
            str(state),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - one thread
    )
    while process.poll() is None and not state.exists():
        pass
    emulator.process.send_signal(signal.SIGSTOP)
    while process.poll() is None and not bytes_that_wait(place):
        pass
    process.send_signal(signal.SIGINT)
    _out, err = process.communicate(timeout=PATIENCE_S)
    emulator.process.send_signal(signal.SIGCONT)
    return process.returncode, err


def test_an_interrupted_command_that_had_left_is_told_as_sent_not_as_aborted(
    tmp_path: Path,
) -> None:
    emulator = Emulator("--tcp", "127.0.0.1:0")
    for attempt in range(10):
        code, err = interrupted_in_a_stop(emulator, tmp_path / f"{attempt}.json")
        if code:
            break  # else it was quicker than we, and had its answer
    emulator.end()
    said = {9: "it may have been carried out", 12: "reached the pump, its outcome is DONE"}
    assert code in said, err
    assert said[code] in err
    assert "Traceback" not in err
    assert "Aborted" not in err


class InterruptedLine(FaultyLine):
    """A line on which Ctrl-C comes while the n-th answer from when it was armed is waited for."""

    after = 0

    def receive(self, deadline_ms: int) -> bytes:
        self.after -= 1
        if not self.after:
            raise KeyboardInterrupt
        return super().receive(deadline_ms)


@pytest.mark.parametrize("after", range(1, 12))
def test_a_programmer_that_was_interrupted_while_it_waited_closes_without_a_word(
    bench: TestBench, after: int
) -> None:
    """Also between the answer of a command and the reading of its mark: the request then is still open."""
    line = InterruptedLine(bench.channel)
    pump = Programmer(line, store=OutcomeStore())
    pump.connect()
    line.after = after
    with contextlib.suppress(KeyboardInterrupt):
        pump.stop()
    line.after = 0
    pump.close()
    assert bench.open_programmer().status().state in State
