"""What happens to a line in a day: garbage, single bytes, half frames, bursts, an hour of silence.

Each on a virtual bench and on a real PTY, with the emulator as a process of its own. Time passes only where
the story says so; on the PTY of the long silence it is turned by rig control.
"""

from __future__ import annotations

import random
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import pytest

from hil.programmer.entropy import SystemEntropy
from hil.programmer.programmer import Programmer
from hil.targets.port import open_port
from protocol.codec.layouts import encode
from protocol.identifiers import Opcode, Role, State
from protocol.link.client_end import ClientEnd
from protocol.link.development_keys import development_key
from protocol.link.events import Response, SessionOpened
from protocol.messages.reading import GetStatus
from tests.simulation.operators import Operator
from tests.simulation.scenario import World
from tests.support.client import PATIENCE_MS, next_event
from tests.unit.bench.processes import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.channel import Channel

HOUR_MS = 3_600_000
GARBAGE_BYTES = 64
BURST = 16


class Stage(Protocol):
    """A pump behind a line that can be opened again and again."""

    def open(self) -> Channel:
        """The line, as a new client finds it; the client before has gone."""
        ...

    def silence(self, ms: int) -> None:
        """Nothing is on the line for so long."""
        ...


class VirtualStage:
    """In this process, in virtual time."""

    def __init__(self) -> None:
        self.world = World()
        self.operator = Operator(self.world)

    def open(self) -> Channel:
        end: Channel = self.operator.end
        return end

    def silence(self, ms: int) -> None:
        self.world.advance(ms)


class PtyStage:
    """A process of its own, on a PTY."""

    def __init__(self, emulator: Emulator, stack: ExitStack) -> None:
        self._emulator = emulator
        self._stack = stack
        self._channel: Channel | None = None

    def open(self) -> Channel:
        if self._channel is not None:
            self._channel.close()
        self._channel = open_port(str(self._emulator.ready["port"]), "the PTY")
        self._stack.callback(self._channel.close)
        return self._channel

    def silence(self, ms: int) -> None:
        self._emulator.rig("POST", "/v1/clock/advance", {"ms": ms})


@pytest.fixture(params=["virtual", "pty in real time", "pty in manual time"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    if request.param == "virtual":
        yield VirtualStage()
        return
    pace = "manual" if "manual" in request.param else "real"
    emulator = Emulator("--time", pace, "--control", "127.0.0.1:0")
    try:
        with ExitStack() as stack:
            yield PtyStage(emulator, stack)
    finally:
        emulator.end()


class Wire:
    """A client reduced to frames: it says when which bytes go out."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._end = ClientEnd(key=development_key(Role.CLINICIAN), entropy=SystemEntropy())

    def connect(self, send: Callable[[bytes], None] | None = None) -> Wire:
        self._end.open(self.channel.now_ms())
        assert isinstance(next_event(self._end, self.channel, send=send), SessionOpened)
        return self

    def frame(self) -> bytes:
        """One GET_STATUS as it would be sent."""
        self._end.request(Opcode.GET_STATUS, encode(GetStatus()), self.channel.now_ms())
        return self._end.take_output()

    def asks(self, send: Callable[[bytes], None] | None = None) -> bool:
        """Whether a GET_STATUS is answered."""
        (send or self.channel.send)(self.frame())
        return isinstance(next_event(self._end, self.channel, send=send), Response)

    def answers(self, frames: list[bytes]) -> int:
        """How many answers come to frames that go out in one write."""
        self.channel.send(b"".join(frames))
        until_ms = self.channel.now_ms() + PATIENCE_MS
        received = b""
        while received.count(b"\x00") < 2 * len(frames) and self.channel.now_ms() < until_ms:
            received += self.channel.receive(until_ms)
        return sum(1 for piece in received.split(b"\x00") if piece)


def sixteen_requests(channel: Channel) -> tuple[Wire, list[bytes]]:
    """A client, and what it would send if it did not wait for answers."""
    wire = Wire(channel).connect()
    frames = []
    for _ in range(BURST):
        frames.append(wire.frame())
        wire._end._settle()
    return wire, frames


def test_64_bytes_of_garbage_cost_nothing_but_themselves(stage: Stage) -> None:
    channel = stage.open()
    wire = Wire(channel).connect()
    for seed in range(4):
        channel.send(random.Random(seed).randbytes(GARBAGE_BYTES))
        assert wire.asks()


def test_a_conversation_byte_by_byte_is_a_conversation(stage: Stage) -> None:
    channel = stage.open()

    def dribble(data: bytes) -> None:
        for position in range(len(data)):
            channel.send(data[position : position + 1])

    wire = Wire(channel).connect(dribble)
    assert wire.asks(dribble)
    assert wire.asks()


def test_half_a_frame_of_a_client_that_went_does_not_spoil_the_next_one(stage: Stage) -> None:
    channel = stage.open()
    frame = Wire(channel).connect().frame()
    channel.send(frame[: len(frame) // 2])
    with Programmer(stage.open()) as programmer:
        assert programmer.status().state is State.RUN


def test_sixteen_requests_in_one_write_are_answered_and_so_is_the_next_one(stage: Stage) -> None:
    channel = stage.open()
    wire, frames = sixteen_requests(channel)
    assert wire.answers(frames) == BURST
    assert wire.asks()


@pytest.mark.parametrize("stage", ["virtual", "pty in manual time"], indirect=True)
def test_after_an_hour_of_silence_the_programmer_is_back_by_itself(stage: Stage) -> None:
    channel = stage.open()
    programmer = Programmer(channel)
    programmer.connect()
    before = programmer.status()
    stage.silence(HOUR_MS)
    said = programmer.wire_log.count
    after = programmer.status()
    assert after.t_mono_s - before.t_mono_s == HOUR_MS // 1_000
    assert after.delivered_total_nl > before.delivered_total_nl
    first_answer = programmer.wire_log.text(programmer.wire_log.count - said).splitlines()[2]
    assert "ERROR GET_STATUS" in first_answer
    assert "code=NO_SESSION" in first_answer
    programmer.close()
