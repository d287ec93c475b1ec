"""`pumpbench record`: a tap in a line keeps every byte, and neither side of it, nor the file, holds it up."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import threading
import time
import tty
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import jsonschema
import pytest
from click.testing import CliRunner

import hil
from firmware_emu.bench.ports.pty import PtyPort
from hil.capture.messages import FrameState, RecordedMessage, read_messages
from hil.capture.recording_file import begin_recording
from hil.capture.tap import WAITING_MAX_BYTES, Tap
from hil.cli import main
from hil.cli.json_schema import json_schema
from hil.errors import BadConfiguration, BenchLost, PumpbenchError, UsageError
from hil.key_file import key_finder
from hil.targets.descriptor import DescriptorChannel
from hil.targets.port import open_port
from protocol.capture.pcapng import Damage
from protocol.capture.recording import DROPPED, Mark, Passed, SessionSecret, Way, read_entries
from protocol.link.development_keys import DEVELOPMENT_KEYS
from tests.support.patience import PATIENCE_S
from tests.support.soak import rounds_of
from tests.unit.bench.processes import ThreadBench
from tests.unit.hil.port_commands import PortCommand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.wire_log import WireEntry
    from protocol.capture.recording import Entry


@pytest.fixture
def pump() -> Iterator[str]:
    """The path of the port of a pump."""
    bench = ThreadBench(seed=1)
    yield str(bench.ready["port"])
    bench.close()


class RunningTap:
    """A tap on a line, in a thread, and what it said of its file."""

    def __init__(self, far: DescriptorChannel, path: Path, *, secrets: bool = True) -> None:
        self.near = PtyPort()
        self.troubles: list[str] = []
        self.recorder = begin_recording(
            path,
            {"target": "a test"},
            trouble=self.troubles.append,
            device_key=key_finder([]) if secrets else None,
        )
        self.far = far
        self.tap = Tap(self.near, far, self.recorder)
        self.ended: PumpbenchError | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.tap.run()
        except PumpbenchError as error:
            self.ended = error

    def wait(self) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive()

    def end(self) -> None:
        self.tap.stop()
        self.wait()
        self.recorder.close()
        self.near.close()
        self.far.close()
        self.tap.close()


def talk(address: str, requests: int) -> tuple[bytes, bytes]:
    """A session with so many requests; the bytes each way, as the programmer saw them."""
    frames: list[WireEntry] = []
    with hil.connect(address, state=False, watch=frames.append) as programmer:
        for _ in range(requests):
            programmer.status()
    sent, received = (
        b"".join(b"\0%b\0" % each.record.encoded for each in frames if each.record.direction.value == way)
        for way in ("sent", "received")
    )
    return sent, received


def entries_of(path: Path) -> list[Entry]:
    with path.open("rb") as file:
        return list(read_entries(file))


def kept(path: Path, way: Way) -> bytes:
    return b"".join(each.data for each in entries_of(path) if isinstance(each, Passed) and each.way is way)


def test_every_byte_both_ways_is_on_file_and_can_be_read_without_the_pumps_key(
    pump: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.pcapng"
    running = RunningTap(open_port(pump, "the pump"), path)
    said = [talk(f"pty:{running.near.address}", requests) for requests in (1, 3)]
    running.end()
    assert kept(path, Way.TO_PUMP) == b"".join(sent for sent, _received in said)
    assert kept(path, Way.FROM_PUMP) == b"".join(received for _sent, received in said)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    messages = [each for each in read_messages(path) if isinstance(each, RecordedMessage)]
    assert {each.state for each in messages} == {FrameState.CLEAR, FrameState.OPENED}
    times = [each.since_ns for each in messages]
    assert times == sorted(time for time in times if time is not None)
    assert len([each for each in entries_of(path) if isinstance(each, SessionSecret)]) == 2
    content = path.read_bytes()
    assert not [key for key in DEVELOPMENT_KEYS if key.key in content or key.key.hex().encode() in content]
    assert running.tap.passed_bytes == {way: len(kept(path, way)) for way in Way}


def test_a_pump_that_takes_no_bytes_holds_up_nothing_that_comes_from_it(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    pumps_end, ours = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    ours.setblocking(False)
    running = RunningTap(DescriptorChannel(ours.fileno(), "the pump", ours.close), path)
    programmer = os.open(running.near.address, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(programmer)
    sent = bytes(range(1, 256)) * (2 * WAITING_MAX_BYTES // 255)
    left = memoryview(sent)
    while left:
        left = left[os.write(programmer, left) :]
    pumps_end.sendall(b"an answer")
    assert os.read(programmer, 100) == b"an answer"
    arrived = bytearray()
    pumps_end.settimeout(0.2)
    deadline_s = (
        time.monotonic() + PATIENCE_S
    )  # what was written is still in the PTY where others keep the tap waiting
    while len(arrived) + running.tap.dropped_bytes[Way.TO_PUMP] < len(sent) and time.monotonic() < deadline_s:
        with contextlib.suppress(TimeoutError):
            arrived += pumps_end.recv(65_536)
    os.close(programmer)
    running.end()
    pumps_end.close()
    dropped = running.tap.dropped_bytes[Way.TO_PUMP]
    assert dropped > 0
    assert len(arrived) + dropped == len(sent)
    assert kept(path, Way.TO_PUMP) == arrived
    marks = [each.text for each in entries_of(path) if isinstance(each, Mark) and each.kind == DROPPED]
    assert sum(int(text.split()[0]) for text in marks) == dropped
    assert all(text.endswith("bytes for the pump, which takes none") for text in marks)


def test_a_disk_that_is_full_is_said_once_and_the_line_goes_on(pump: str) -> None:
    running = RunningTap(open_port(pump, "the pump"), Path("/dev/full"))
    talk(f"pty:{running.near.address}", 5)
    running.end()
    assert running.troubles == ["recording has ended, and the line goes on: No space left on device"]
    assert running.recorder.lost


@pytest.mark.parametrize("requests", [1, 60], ids=["told at the end", "told under way"])
def test_a_file_that_is_removed_is_said_once_and_the_line_goes_on(
    requests: int, pump: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.pcapng"
    running = RunningTap(open_port(pump, "the pump"), path)
    path.unlink()
    talk(f"pty:{running.near.address}", requests)
    told_under_way = list(running.troubles)
    running.end()
    assert len(running.troubles) == 1
    assert running.troubles[0].endswith(": its file was removed")
    assert bool(told_under_way) == (requests > 1)
    assert running.recorder.lost


def test_a_pump_that_goes_away_ends_the_tap_as_a_lost_bench(tmp_path: Path) -> None:
    pumps_end, ours = socket.socketpair()
    ours.setblocking(False)
    running = RunningTap(DescriptorChannel(ours.fileno(), "socket://x:1", ours.close), tmp_path / "a.pcapng")
    pumps_end.sendall(b"\0half")
    pumps_end.close()
    running.wait()
    running.end()
    assert isinstance(running.ended, BenchLost)
    assert "socket://x:1 hung up" in str(running.ended)
    assert kept(tmp_path / "a.pcapng", Way.FROM_PUMP) == b"\0half"


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ((), UsageError, "to which pump the line leads; name it with --target"),
        (("--target", "emulator"), UsageError, "emulator has no line of its own that could be tapped"),
        (("--target", "PUMP", "--tcp", "127.0.0.1:0", "--link", "x"), UsageError, "exclude each other"),
        (("--target", "pty:/nowhere/pump"), BadConfiguration, "there is no port at /nowhere/pump"),
        (("--target", "PUMP", "--tcp", "8.8.8.8:1"), BadConfiguration, "8.8.8.8 is not a loopback address"),
        (("--target", "PUMP", "--link", "/"), BadConfiguration, "--link / is a directory"),
        (("--target", "PUMP", "--key", "/nowhere/key"), BadConfiguration, "the key file /nowhere/key cannot"),
        (("--target", "PUMP"), BadConfiguration, "there.pcapng cannot be written (File exists)"),
    ],
)
def test_what_cannot_be_recorded_is_one_sentence_and_nothing_is_written_over(
    pump: str, tmp_path: Path, arguments: tuple[str, ...], kind: type[PumpbenchError], words: str
) -> None:
    there = tmp_path / "there.pcapng"
    there.write_text("of yesterday")
    given = [f"pty:{pump}" if word == "PUMP" else word for word in arguments]
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    done = CliRunner().invoke(main.cli, ["record", str(there), *given], env={"PUMPBENCH_TARGET": ""})
    assert isinstance(done.exception, kind), done.output
    assert words in str(done.exception)
    assert there.read_text() == "of yesterday"
    assert {number: signal.getsignal(number) for number in before} == before


def test_the_command_offers_a_port_and_ends_in_good_order_at_a_signal(pump: str, tmp_path: Path) -> None:
    path, link = tmp_path / "a.pcapng", tmp_path / "line"
    command = PortCommand("record", path, "--target", f"pty:{pump}", "--link", link)
    assert (command.ready["target"], command.ready["recording"]) == (f"pty:{link}", str(path))
    sent, received = talk(command.ready["target"], 2)
    code, out, err = command.end(signal.SIGTERM)
    assert code == 0, err
    assert f"{path} will hold the keys of its sessions" in err
    summary = json.loads(out)
    assert (summary["to_pump_bytes"], summary["from_pump_bytes"]) == (len(sent), len(received))
    assert summary["complete"]
    validator = jsonschema.Draft202012Validator(json_schema("record"))
    for document in (command.ready, summary):
        validator.validate(document)
    assert (kept(path, Way.TO_PUMP), kept(path, Way.FROM_PUMP)) == (sent, received)
    assert [each for each in entries_of(path) if isinstance(each, SessionSecret)]
    assert not link.is_symlink()
    assert [each.name for each in tmp_path.iterdir()] == ["a.pcapng"]


def test_monitor_shows_what_passes_its_tap_opened_and_both_ways_and_keeps_nothing(
    pump: str, tmp_path: Path
) -> None:
    link = tmp_path / "line"
    command = PortCommand("monitor", "--target", f"pty:{pump}", "--link", link)
    assert (command.ready["entry"], command.ready["told"]["target"]) == ("beginning", f"pty:{pump}")
    sent, received = talk(f"pty:{link}", 2)
    code, out, err = command.end(signal.SIGTERM)
    assert code == 0, err
    shown = [json.loads(line) for line in out.splitlines()]
    assert {each["trouble"] for each in shown} == {""}
    assert {each["state"] for each in shown} == {"clear", "opened"}
    frames = {way: sum(each["way"] == way.words for each in shown) for way in Way}
    assert frames == {Way.TO_PUMP: sent.count(b"\0") // 2, Way.FROM_PUMP: received.count(b"\0") // 2}
    statuses = [each for each in shown if each["message"] == "GetStatusReply"]
    assert [each["fields"]["state"] for each in statuses] == ["RUN", "RUN"]
    assert list(tmp_path.iterdir()) == []


def test_kill_9_of_a_tap_leaves_a_file_that_opens_to_its_last_whole_packet(pump: str, tmp_path: Path) -> None:
    random = Random(5)
    for number in range(rounds_of("kills of a tap", 100, 1)):
        path = tmp_path / f"{number}.pcapng"
        command = PortCommand("record", path, "--target", f"pty:{pump}", "--no-secrets")
        killer = threading.Timer(random.uniform(0, 0.1), command.end, [signal.SIGKILL])
        answered = 0
        line = hil.connect(command.ready["target"], state=False)
        with contextlib.suppress(PumpbenchError), line as programmer:
            killer.start()
            while True:
                programmer.status()
                answered += 1
        killer.join()
        found = entries_of(path)
        assert not [each for each in found if isinstance(each, Damage | SessionSecret)]
        from_pump = [each for each in found if isinstance(each, Passed) and each.way is Way.FROM_PUMP]
        assert len(from_pump) > answered, "all but the last answer, and those of the handshake"
