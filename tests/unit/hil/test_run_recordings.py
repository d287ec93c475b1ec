"""Each run is recorded beside its report: what passed, when each test began and ended, and what it did to its bench."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.address import parse
from hil.bench_of_test import TestBench
from hil.bench_session import BenchSession
from hil.capture.messages import FrameState, NumberedMark, RecordedMessage, read_messages
from hil.noise import Direction
from protocol.capture.recording import (
    LINE_FAULT,
    RIG,
    TEST_BEGINS,
    TEST_ENDS,
    Beginning,
    Mark,
    Passed,
    SessionSecret,
    Way,
    read_entries,
)
from protocol.link.development_keys import DEVELOPMENT_KEYS
from tests.unit.hil.runs import IN_PROCESS, pytest_on, summary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.wire_log import WireEntry
    from protocol.capture.recording import Entry


@pytest.fixture(params=["emulator", "a port"])
def address(request: pytest.FixtureRequest) -> str:
    """The address of a pump in this process, and of one on a port."""
    if request.param == "emulator":
        return "emulator"
    option: tuple[str, str] = request.getfixturevalue("on_a_port")
    return option[1]


@pytest.fixture
def session(address: str) -> Iterator[BenchSession]:
    session = BenchSession(parse(address))
    yield session
    session.close()


def entries_of(path: Path) -> list[Entry]:
    with path.open("rb") as file:
        return list(read_entries(file))


def marks_of(path: Path) -> list[tuple[str, str]]:
    return [(each.kind, each.text) for each in entries_of(path) if isinstance(each, Mark)]


def kept(path: Path, way: Way) -> bytes:
    return b"".join(each.data for each in entries_of(path) if isinstance(each, Passed) and each.way is way)


def frames_of(bench: TestBench, requests: int) -> tuple[bytes, bytes]:
    """What a programmer of this bench says, and what it is told, in so many requests."""
    frames: list[WireEntry] = []
    programmer = bench.open_programmer(connect=False)
    programmer.wire_log.watch = frames.append
    programmer.connect()
    for _ in range(requests):
        programmer.status()
    return (
        b"".join(b"\0%b\0" % each.record.encoded for each in frames if each.record.direction.value == "sent"),
        b"".join(
            b"\0%b\0" % each.record.encoded for each in frames if each.record.direction.value == "received"
        ),
    )


def test_every_byte_of_every_test_is_on_file_with_its_beginning_and_end(
    session: BenchSession, tmp_path: Path
) -> None:
    session.record_beside(str(tmp_path), None, secrets=True)
    said = []
    for number, passed in enumerate((True, False, None)):
        bench = session.open_bench(f"test {number}\n\udc80")
        said.append(frames_of(bench, number))
        bench.close(passed=passed)
    session.close()
    path = tmp_path / "recording.pcapng"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    names = [f"test {number}\\n\\udc80" for number in range(3)]
    endings = [f"{name}: {how}" for name, how in zip(names, ("passed", "did not pass", "ended"), strict=True)]
    assert [text for kind, text in marks_of(path) if kind == TEST_BEGINS] == names
    assert [text for kind, text in marks_of(path) if kind == TEST_ENDS] == endings
    sent, received = kept(path, Way.TO_PUMP), kept(path, Way.FROM_PUMP)
    at = [0, 0]
    for to_pump, from_pump in said:  # behind them a goodbye may stand, and the question who it is
        at = [sent.index(to_pump, at[0]) + len(to_pump), received.index(from_pump, at[1]) + len(from_pump)]
    messages = [each for each in read_messages(path) if isinstance(each, RecordedMessage)]
    assert {each.state for each in messages} == {FrameState.CLEAR, FrameState.OPENED}
    times = [each.since_ns for each in messages if each.since_ns is not None]
    assert times == sorted(times)
    (beginning,) = [each for each in entries_of(path) if isinstance(each, Beginning)]
    assert beginning.told["time"] == ("virtual" if session.address.text == "emulator" else "real")
    assert beginning.told["target"] == session.address.text
    content = path.read_bytes()
    assert not [key for key in DEVELOPMENT_KEYS if key.key in content or key.key.hex().encode() in content]


@pytest.mark.parametrize("address", ["emulator"])
def test_what_a_test_does_with_its_rig_and_its_line_is_marked_in_its_place(
    session: BenchSession, tmp_path: Path
) -> None:
    session.record_beside(str(tmp_path), None, secrets=False)
    bench = session.open_bench("x")
    programmer = bench.open_programmer()
    bench.rig.inject("motor-stall", for_ms=5_000)
    bench.rig.advance(60_000)
    bench.rig.clear("motor-stall")
    bench.line.drop(Direction.TO_PUMP)
    programmer.status()
    session.identify(programmer)
    before = bench.target.snapshot()  # type: ignore[attr-defined]
    bench.rig.advance(60_000)
    programmer.status()
    bench.target.restore(before)  # type: ignore[attr-defined]
    bench.open_programmer().status()
    bench.close(passed=True)
    session.close()
    path = tmp_path / "recording.pcapng"
    done = [text for kind, text in marks_of(path) if kind == RIG]
    assert done == [
        "inject motor-stall for_ms=5000",
        "advance 60000",
        "clear motor-stall",
        "advance 60000",
    ]
    (dropped,) = [text for kind, text in marks_of(path) if kind == LINE_FAULT]
    frame = bytes.fromhex(dropped.removeprefix("drop to pump: "))
    assert frame in [each.record.encoded for each in programmer.wire_log.entries]
    assert kept(path, Way.TO_PUMP).count(b"\0%b\0" % frame) == 1, "only when it was sent again"
    times = [
        each.time_ns
        for each in entries_of(path)
        if isinstance(each, Passed | Mark) and each.time_ns is not None
    ]
    assert times == sorted(times), "also where the pump was set back"
    assert times[-1] >= 120_000 * 10**6
    assert not [each for each in entries_of(path) if isinstance(each, SessionSecret)]


def test_the_same_tests_on_the_same_seed_give_the_same_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        session = BenchSession(parse("emulator"), seed=7)
        session.record_beside(str(tmp_path / name), None, secrets=True)
        for test in ("one", "other"):
            bench = session.open_bench(test)
            bench.open_programmer().status()
            bench.rig.advance(1_000)
            bench.close(passed=True)
        session.close()
    once, again = ((tmp_path / name / "recording.pcapng").read_bytes() for name in ("a", "b"))
    assert once == again


@pytest.mark.parametrize("address", ["emulator"])
def test_a_place_that_takes_no_file_is_told_once_and_the_tests_go_on(
    session: BenchSession, tmp_path: Path
) -> None:
    session.record_beside(str(tmp_path / "missing"), "gw3", secrets=True)
    bench = session.open_bench("x")
    bench.open_programmer().status()
    assert "recorded" not in bench.last_frames()
    bench.close(passed=True)
    assert session.unrecorded.startswith("recording-gw3.pcapng: the recording ")
    assert session.unrecorded.endswith("cannot be written (No such file or directory)")


@pytest.mark.parametrize("address", ["emulator"])
def test_a_fork_of_a_run_writes_nothing_into_its_recording(session: BenchSession, tmp_path: Path) -> None:
    session.record_beside(str(tmp_path), None, secrets=True)
    bench = session.open_bench("x")
    programmer = bench.open_programmer()
    path = tmp_path / "recording.pcapng"
    before = path.read_bytes()
    child = os.fork()
    if not child:
        code = 1
        try:
            session.open_bench("of the fork").open_programmer()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert path.read_bytes() == before
    programmer.status()
    assert len(path.read_bytes()) > len(before)
    bench.close()


_RUN = """
    def test_first(pump): pump.status()

    def test_second(pump, pump_rig):
        pump.status()
        pump_rig.advance(1_000)
        assert pump.status() is None
"""


def test_a_test_that_failed_names_the_recording_and_its_packets_in_it(tmp_path: Path) -> None:
    done = pytest_on(tmp_path, _RUN, *IN_PROCESS)
    assert done.returncode == 1
    assert (
        "recorded: recording.pcapng (holds the keys of its sessions; --no-secrets leaves them out)"
        in done.stdout
    )
    found = re.search(r"recorded in recording\.pcapng, packets (\d+) to (\d+)", done.stdout)
    assert found, done.stdout
    assert found[0] in summary(tmp_path)
    first, last = int(found[1]), int(found[2])
    entries = [
        each
        for each in read_messages(tmp_path / "report" / "recording.pcapng")
        if isinstance(each, RecordedMessage | NumberedMark) and first <= each.number <= last
    ]
    assert isinstance(entries[0], NumberedMark)
    assert entries[0].mark.text.endswith("::test_second")
    said = [type(each.message).__name__ for each in entries if isinstance(each, RecordedMessage)]
    assert said[:1] == ["ClientHello"]
    assert said[-2:] == ["GetStatus", "GetStatusReply"]


@pytest.mark.parametrize(
    ("option", "files", "words"),
    [("--hil-no-record", [], ""), ("--hil-no-secrets", ["recording.pcapng"], "(holds no keys)")],
)
def test_a_run_keeps_no_recording_or_no_keys_where_that_is_asked(
    option: str, files: list[str], words: str, tmp_path: Path
) -> None:
    done = pytest_on(tmp_path, "def test_x(pump): pump.status()\n", *IN_PROCESS, option)
    assert done.returncode == 0
    found = list((tmp_path / "report").glob("*.pcapng"))
    assert [each.name for each in found] == files
    assert words in done.stdout
    assert not [each for path in found for each in entries_of(path) if isinstance(each, SessionSecret)]
