"""`emulate --record`: every byte of the port is on file, whatever ends it, and the line never waits for the file."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
from pathlib import Path
from random import Random

import pytest

import hil
from protocol.capture.following import Follower
from protocol.capture.pcapng import Damage
from protocol.capture.recording import EVENT, Beginning, Entry, Mark, Passed, SessionSecret, Way, read_entries
from protocol.link.development_keys import DEVELOPMENT_KEYS
from protocol.wire.frame import Frame
from tests.support.soak import rounds_of
from tests.unit.bench.processes import Emulator


def entries_of(path: Path) -> list[Entry]:
    with path.open("rb") as file:
        return list(read_entries(file))


def talk_to(emulator: Emulator, requests: int = 1) -> tuple[bytes, bytes]:
    """A session with so many requests; the bytes that went each way, as the programmer saw them."""
    frames: list[hil.wire_log.WireEntry] = []
    with hil.connect(f"pty:{emulator.ready['port']}", state=False, watch=frames.append) as pump:
        for _ in range(requests):
            pump.status()
    sent, received = (
        b"".join(b"\0%b\0" % each.record.encoded for each in frames if each.record.direction.value == way)
        for way in ("sent", "received")
    )
    return sent, received


def recorded(path: Path, way: Way) -> bytes:
    return b"".join(
        entry.data for entry in entries_of(path) if isinstance(entry, Passed) and entry.way is way
    )


def test_what_was_said_is_on_file_and_opens_without_the_devices_key(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    emulator = Emulator("--record", path, "--seed", "5")
    assert emulator.ready["recording"] == str(path)
    sent, received = talk_to(emulator)
    ended = emulator.end()
    assert ended.code == 0
    assert "will hold the keys of its sessions" in ended.err
    assert (recorded(path, Way.TO_PUMP), recorded(path, Way.FROM_PUMP)) == (sent, received)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    entries, follower = entries_of(path), Follower()
    assert isinstance(entries[0], Beginning)
    assert entries[0].told["seed"] == "5"
    assert entries[0].told["profile"] == "implanted"
    for entry in entries:
        if isinstance(entry, SessionSecret):
            follower.learn(entry)
        elif isinstance(entry, Passed):
            found = follower.follow(entry)
            assert isinstance(found.frame, Frame)
            assert not found.sealed
    content = path.read_bytes()
    assert not [key for key in DEVELOPMENT_KEYS if key.key in content or key.key.hex().encode() in content]


def test_times_go_forward_and_the_pumps_own_time_stands_beside_them(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    emulator = Emulator("--record", path)
    talk_to(emulator)
    emulator.end()
    passed = [entry for entry in entries_of(path) if isinstance(entry, Passed)]
    times = [entry.time_ns for entry in passed]
    assert all(time is not None for time in times)
    assert times == sorted(time for time in times if time is not None)
    pump_ms = [entry.pump_ms for entry in passed if entry.pump_ms is not None]
    assert len(pump_ms) == len(passed)
    assert pump_ms == sorted(pump_ms)


def test_what_happens_to_the_pump_is_marked_and_no_key_is_among_it(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    emulator = Emulator("--record", path, "--control", "127.0.0.1:0", "--time", "manual")
    emulator.rig("PUT", "/v1/faults/motor-stall", {"on": True})
    emulator.rig("POST", "/v1/clock/run-until", {"what": "alarm", "limit_ms": 86_400_000})
    emulator.end()
    events = [
        json.loads(entry.text)
        for entry in entries_of(path)
        if isinstance(entry, Mark) and entry.kind == EVENT
    ]
    kinds = [event["kind"] for event in events]
    assert kinds.index("FaultInjected") < kinds.index("AlarmRaised")
    assert "MemoryWritten" not in kinds
    assert not {"FrameSent", "FrameReceived"} & set(kinds)


def test_without_secrets_no_key_is_on_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    emulator = Emulator("--record", path, "--no-secrets")
    talk_to(emulator)
    ended = emulator.end()
    assert "keys" not in ended.err
    assert not [entry for entry in entries_of(path) if isinstance(entry, SessionSecret)]


def test_kill_9_at_any_moment_leaves_a_file_that_opens_to_its_last_whole_packet(tmp_path: Path) -> None:
    random = Random(11)
    for number in range(rounds_of("kills of a recorder", 100, 3)):
        path = tmp_path / f"{number}.pcapng"
        emulator = Emulator("--record", path)
        address, requests = f"pty:{emulator.ready['port']}", random.randrange(1, 40)
        with contextlib.suppress(hil.PumpbenchError), hil.connect(address, state=False) as pump:
            for _ in range(requests):
                pump.status()
            emulator.kill()
            pump.status()
        found = entries_of(path)
        assert not [entry for entry in found if isinstance(entry, Damage)]
        answered = [entry for entry in found if isinstance(entry, Passed) and entry.way is Way.FROM_PUMP]
        assert len(answered) >= requests, "what left the pump was on file before"


@pytest.mark.parametrize("there", ["a file", "a directory", "nothing to write in"])
def test_a_recording_is_never_written_over_and_a_place_that_takes_none_is_exit_10(
    tmp_path: Path, there: str
) -> None:
    path = tmp_path / "a.pcapng"
    if there == "a file":
        path.write_text("a recording of yesterday")
    elif there == "a directory":
        path.mkdir()
    else:
        path = tmp_path / "missing" / "a.pcapng"
    ended = Emulator.that_ends("--record", path)
    assert ended.code == 10
    assert "the recording" in ended.err
    assert "name another file with --record" in ended.err
    assert there != "a file" or path.read_text() == "a recording of yesterday"


def test_a_disk_that_is_full_is_said_once_and_the_line_goes_on() -> None:
    emulator = Emulator("--record", "/dev/full")
    talk_to(emulator, requests=20)
    ended = emulator.end()
    assert ended.code == 0
    assert ended.err.count("recording has ended, and the line goes on: No space left on device") == 1


def test_a_pipe_that_nobody_reads_any_more_ends_the_recording_and_not_the_pump(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    emulator = Emulator("--record", path)
    talk_to(emulator)
    os.close(reader)
    talk_to(emulator, requests=5)
    ended = emulator.end(signal.SIGTERM)
    assert ended.code == 0
    assert ended.err.count("recording has ended, and the line goes on: Broken pipe") == 1


def test_image_and_recording_cannot_be_one_file(tmp_path: Path) -> None:
    ended = Emulator.that_ends("--image", tmp_path / "a", "--record", tmp_path / "a")
    assert (ended.code, "are one file" in ended.err) == (10, True)
