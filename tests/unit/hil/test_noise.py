"""Faults on the line, on a line that echoes nothing and remembers what it was given."""

from typing import Any

import pytest

from hil.errors import UsageError
from hil.noise import Direction, FaultyLine

TO_PUMP, FROM_PUMP = Direction.TO_PUMP, Direction.FROM_PUMP


class Wire:
    """Two queues and a clock that runs while somebody waits."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.coming: list[bytes] = []
        self.time_ms = 0
        self.closed = False

    @property
    def sent_bytes(self) -> int:
        return sum(len(data) for data in self.sent)

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def receive(self, deadline_ms: int) -> bytes:
        if self.coming:
            return self.coming.pop(0)
        self.time_ms = max(self.time_ms, deadline_ms)
        return b""

    def now_ms(self) -> int:
        return self.time_ms

    def device_ms(self) -> int | None:
        return None

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def line(wire: Wire) -> FaultyLine:
    return FaultyLine(wire)


def sent(wire: Wire) -> list[bytes]:
    return [data.strip(b"\0") for data in wire.sent]


def arrived(line: FaultyLine, until_ms: int = 10_000) -> list[bytes]:
    frames: list[bytes] = []
    while data := line.receive(until_ms):
        frames += [frame for frame in data.split(b"\0") if frame]
    return frames


def test_without_faults_frames_pass_unchanged(line: FaultyLine, wire: Wire) -> None:
    line.send(b"\0abc\0")
    line.send(b"\0d\0\0e\0")
    wire.coming = [b"\0xy", b"z\0", b"\0w\0"]
    assert wire.sent == [b"\0abc\0", b"\0d\0", b"\0e\0"]
    assert arrived(line) == [b"xyz", b"w"]


def test_a_frame_that_is_not_finished_waits_for_its_end(line: FaultyLine, wire: Wire) -> None:
    wire.coming = [b"\0ab"]
    assert arrived(line) == []
    wire.coming = [b"c\0"]
    assert arrived(line, 20_000) == [b"abc"]


@pytest.mark.parametrize(
    ("set_fault", "expected"),
    [
        (lambda line: line.drop(TO_PUMP), [b"2", b"3"]),
        (lambda line: line.drop(TO_PUMP, 2, skip=1), [b"1"]),
        (lambda line: line.duplicate(TO_PUMP), [b"1", b"1", b"2", b"3"]),
        (lambda line: line.duplicate(TO_PUMP, copies=2, skip=2), [b"1", b"2", b"3", b"3", b"3"]),
        (lambda line: line.swap(TO_PUMP), [b"2", b"1", b"3"]),
        (lambda line: line.hold(TO_PUMP, 2), [b"3"]),
        (lambda line: line.flip(TO_PUMP, 1), [b"3", b"2", b"3"]),
        (lambda line: line.drop(FROM_PUMP), [b"1", b"2", b"3"]),
    ],
    ids=["drop", "drop later", "duplicate", "twice more", "swap", "hold", "flip", "the other way"],
)
def test_a_fault_hits_its_frames_and_no_others(
    line: FaultyLine, wire: Wire, set_fault: Any, expected: Any
) -> None:
    set_fault(line)
    for frame in (b"1", b"2", b"3"):
        line.send(b"\0" + frame + b"\0")
    assert sent(wire) == expected


def test_held_frames_come_when_they_are_released(line: FaultyLine, wire: Wire) -> None:
    line.hold(FROM_PUMP)
    wire.coming = [b"\0a\0\0b\0"]
    assert arrived(line) == [b"b"]
    assert line.release(FROM_PUMP) == 1
    assert arrived(line, 20_000) == [b"a"]
    assert line.release(FROM_PUMP) == 0


def test_a_delayed_frame_comes_at_its_time(line: FaultyLine, wire: Wire) -> None:
    line.delay(FROM_PUMP, 500)
    wire.coming = [b"\0a\0"]
    assert line.receive(499) == b""
    assert line.receive(1_000) == b"a\0"
    assert wire.time_ms == 500


def test_a_flip_never_makes_a_delimiter() -> None:
    for bit in range(64):
        line = FaultyLine(wire := Wire())
        line.flip(TO_PUMP, bit)
        line.send(b"\0" + bytes([1, 2, 4, 8]) + b"\0")
        (frame,) = sent(wire)
        assert len(frame) == 4
        assert frame != bytes([1, 2, 4, 8])


def test_a_fault_that_did_not_fire_is_named(line: FaultyLine) -> None:
    line.drop(TO_PUMP, 2)
    line.send(b"\0a\0")
    with pytest.raises(UsageError, match=r"drop to pump \(1 of 2\)"):
        line.check_all_fired()
    line.send(b"\0b\0")
    line.check_all_fired()


def test_cleared_faults_are_gone(line: FaultyLine, wire: Wire) -> None:
    line.drop(TO_PUMP, 5)
    line.clear()
    line.send(b"\0a\0")
    assert sent(wire) == [b"a"]
    line.check_all_fired()


def test_everything_seen_can_be_replayed(line: FaultyLine, wire: Wire) -> None:
    line.drop(TO_PUMP)
    line.send(b"\0a\0")
    line.inject(TO_PUMP, line.seen(TO_PUMP)[0])
    assert sent(wire) == [b"a"]
    line.inject(FROM_PUMP, b"forged")
    assert arrived(line) == [b"forged"]


def test_closing_closes_what_is_behind(line: FaultyLine, wire: Wire) -> None:
    line.close()
    assert wire.closed
