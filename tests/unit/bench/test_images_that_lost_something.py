"""An image that has lost its end, or is lost itself, while programmers remember what its pump did: never in silence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from firmware_emu.bench.image_records import MAGIC, split_records
from tests.support.not_run import skip_without
from tests.support.patience import PATIENCE_S
from tests.support.warm_python import run_python
from tests.unit.bench.processes import EMULATE, Caller, Emulator
from tests.unit.bench.test_killed_in_a_bolus import commit_bolus

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Start = Callable[..., Emulator]

PROGRAM = [sys.executable, "-m", "hil.cli", "program"]


class Lived(NamedTuple):
    """What an emulator left that was killed in the middle of a bolus, and its memory's name."""

    image: bytes
    memory_id: str


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    path = tmp_path_factory.mktemp("lived") / "image"
    emulator = Emulator("--image", path, "--seed", "9", "--time", "manual")
    caller = Caller.on_pty(emulator.ready["port"]).connect()
    commit_bolus(caller)
    caller.close()
    emulator.kill()
    return Lived(path.read_bytes(), emulator.ready["identity"]["memory_id"])


def ends_of(image: bytes) -> list[int]:
    """Where each whole record ends."""
    return [record.end for record in split_records(image, len(MAGIC))]


def start_on(content: bytes, path: Path) -> tuple[dict[str, Any], str]:
    """The ready line of an emulator on such an image, and what it said on stderr."""
    path.write_bytes(content)
    emulator = Emulator("--image", path)
    return emulator.ready, emulator.end().err


@pytest.mark.parametrize("cut_bytes", [1, 13])
def test_a_record_that_is_dropped_is_said_and_makes_the_memory_another(
    tmp_path: Path, lived: Lived, cut_bytes: int
) -> None:
    whole = ends_of(lived.image)[-2]
    ready, said = start_on(lived.image[:-cut_bytes], tmp_path / "image")
    assert ready["identity"]["memory_id"] not in (lived.memory_id, None)
    dropped = len(lived.image) - cut_bytes - whole
    assert f"the last {dropped} bytes of image {tmp_path / 'image'} were no whole record" in said
    assert f"its memory takes a new identity, {ready['identity']['memory_id']}" in said
    again = Emulator("--image", tmp_path / "image")
    assert again.ready["identity"] == ready["identity"]
    assert "dropped" not in again.end().err


def test_a_flipped_bit_in_the_last_record_is_said_and_makes_the_memory_another(
    tmp_path: Path, lived: Lived
) -> None:
    flipped = bytearray(lived.image)
    flipped[-3] ^= 0x10
    ready, said = start_on(bytes(flipped), tmp_path / "image")
    assert ready["identity"]["memory_id"] != lived.memory_id
    assert "its memory takes a new identity" in said


@pytest.mark.parametrize("left_bytes", [3, 60])
def test_an_image_of_which_nothing_is_left_gives_a_new_pump_under_a_new_name(
    tmp_path: Path, lived: Lived, left_bytes: int
) -> None:
    ready, said = start_on(lived.image[:left_bytes], tmp_path / "image")
    assert ready["identity"]["memory_id"] != lived.memory_id
    assert "nothing is left of the pump in it, so this is a new one" in said


def test_an_image_that_lost_something_does_not_get_its_old_name_back(tmp_path: Path, lived: Lived) -> None:
    (tmp_path / "image").write_bytes(lived.image[:-1])
    ended = Emulator.that_ends("--image", tmp_path / "image", "--memory-id", lived.memory_id)
    assert (ended.code, ended.out) == (10, "")
    assert "what is left is another memory: leave --memory-id out" in ended.err


def program(state: Path, port: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One command of the programmer."""
    return run_python([*PROGRAM, *arguments, "--state", str(state), "--target", f"pty:{port}"])


def test_an_image_cut_at_the_end_of_any_record_never_makes_a_given_bolus_one_that_was_never_received(
    tmp_path: Path, lived: Lived
) -> None:
    """Such a cut leaves no trace in the file: the programmer alone can know."""
    path, state = tmp_path / "image", tmp_path / "state.json"
    emulator = Emulator("--image", path, "--seed", "9")
    given = program(
        state, emulator.ready["port"], "bolus", "--dose", "10", "--duration", "400", "--yes", "--json"
    )
    assert given.returncode == 0, given.stderr
    emulator.kill()
    image = path.read_bytes()
    ends = ends_of(image)
    for end in [*ends[1:8], *ends[-6:-1]]:
        path.write_bytes(image[:end])
        emulator = Emulator("--image", path)
        asked = program(state, emulator.ready["port"], "query", "1", "--json")
        emulator.kill()
        if asked.returncode == 0:
            assert json.loads(asked.stdout)["outcome"] in {"RUNNING", "PARTIAL", "NOT_STARTED"}, end
        else:
            assert asked.returncode == 9, asked.stderr
            assert "may have been carried out" in asked.stderr
            assert "pumpbench program accept 1" in asked.stderr
        commands = next(iter(json.loads(state.read_text())["memories"].values()))["commands"]
        assert commands[0]["outcome"] in {"RUNNING", "PARTIAL", "NOT_STARTED"}, commands


@pytest.mark.parametrize("what", ["deleted", "replaced"])
def test_a_pump_whose_image_goes_stops_answering_and_says_why(
    tmp_path: Path, start: Start, what: str
) -> None:
    path = tmp_path / "image"
    emulator = start("--image", path)
    if what == "deleted":
        path.unlink()
    else:
        (tmp_path / "other").write_bytes(path.read_bytes())
        (tmp_path / "other").replace(path)
    ended = emulator.wait()
    assert ended.code == 7
    assert "was deleted or replaced while its pump ran; the pump stops here" in ended.err
    assert ended.err.count("\n") == 1


def test_a_pump_whose_image_is_changed_in_place_stops_answering_and_says_why(
    tmp_path: Path, start: Start
) -> None:
    emulator = start("--image", tmp_path / "image")
    with (tmp_path / "image").open("r+b") as stream:
        give_up_at_s = time.monotonic() + PATIENCE_S
        while emulator.process.poll() is None:
            assert time.monotonic() < give_up_at_s
            os.pwrite(stream.fileno(), b"XXXX", 60)
    ended = emulator.wait()
    assert ended.code == 7
    assert "was changed by somebody else while its pump ran; the pump stops here" in ended.err
    assert ended.err.count("\n") == 1


def test_whoever_waits_for_a_pump_whose_image_goes_gets_an_answer(tmp_path: Path, start: Start) -> None:
    path = tmp_path / "image"
    emulator = start("--image", path, "--time", "manual", "--control", "127.0.0.1:0")
    emulator.rig("GET", "/v1/state")
    with ThreadPoolExecutor(1) as other_thread:
        answer = other_thread.submit(
            emulator.ask, "POST", "/v1/clock/advance", {"ms": 1, "after_received": 1}
        )
        while emulator.ask("PUT", "/v1/clock", {"mode": "manual"})[0] == 200:
            pass
        path.unlink()
        status, told = answer.result(PATIENCE_S)
    assert (status, told["error"]) == (409, "the bench is closing")
    ended = emulator.wait()
    assert (ended.code, ended.err.count("\n")) == (7, 2), ended.err


@pytest.mark.parametrize(("sync", "synced"), [("commit", True), ("never", False)])
def test_a_commit_is_on_the_disk_before_its_answer_leaves_unless_that_was_switched_off(
    tmp_path: Path, sync: str, synced: bool
) -> None:
    trace = tmp_path / "trace"
    command = ["strace", "-D", "-e", "trace=fdatasync", "-o", str(trace), *EMULATE]
    skip_without("strace", package="strace")
    process = subprocess.Popen(
        [*command, "--image", str(tmp_path / "image"), "--sync", sync],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    port = json.loads(process.stdout.readline())["port"]
    caller = Caller.on_pty(port).connect()
    commit_bolus(caller)
    caller.close()
    process.terminate()
    process.communicate(timeout=PATIENCE_S)
    give_up_at_s = time.monotonic() + PATIENCE_S
    while "+++ exited" not in trace.read_text():  # strace follows the end of what it watches
        assert time.monotonic() < give_up_at_s
    assert ("fdatasync(" in trace.read_text()) == synced


def test_a_seed_alone_never_makes_a_bolus_that_was_given_one_that_was_never_received(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    for memory in ([], ["--memory-id", "7"]):
        emulator = Emulator("--seed", "9", *memory)
        given = program(state, emulator.ready["port"], "bolus", "--dose", "10", "--duration", "400", "--yes")
        assert given.returncode == 0, given.stderr
        emulator.kill()
        again = Emulator("--seed", "9", *memory)
        status = program(state, again.ready["port"], "status")
        refused = program(state, again.ready["port"], "bolus", "--dose", "10", "--duration", "400", "--yes")
        again.kill()
        assert status.returncode == 0, status.stderr
        assert refused.returncode == (9 if memory else 0), refused.stderr
        assert ("the pump has lost memory" in status.stderr) == bool(memory)
