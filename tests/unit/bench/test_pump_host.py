"""What a bench keeps of a pump's steps, and what it leaves out where nobody asks for the hash of the trace."""

from __future__ import annotations

import pytest

from firmware_emu.bench.profile_file import load_profile
from firmware_emu.bench.pump_host import PumpHost, new_pump
from firmware_emu.controller.events import FrameReceived, FrameSent, LogWritten
from firmware_emu.events import MemoryWritten, PowerOn, TraceEntry
from firmware_emu.now import Now
from protocol.identifiers import Role
from protocol.link.client_end import ClientEnd
from protocol.link.development_keys import development_key


class Zeros:
    """A client's generator; one hello needs no more."""

    def draw(self, length: int) -> bytes:
        return bytes(length)


def hello() -> bytes:
    client = ClientEnd(key=development_key(Role.CLINICIAN), entropy=Zeros())
    client.open(0)
    return client.take_output()


def traced(host: PumpHost, received: bytes) -> tuple[bytes, tuple[TraceEntry, ...]]:
    sent = host.step(host.pump.now, received)
    return sent, host.trace


def test_without_a_hash_no_frame_is_traced_and_the_answer_is_the_same() -> None:
    hashed, plain = (PumpHost(new_pump(load_profile("implanted"), 1), hashing=on) for on in (True, False))
    for host in (hashed, plain):
        host.step(Now.both(0))
    answer, with_frames = traced(hashed, hello())
    same_answer, without = traced(plain, hello())
    assert answer == same_answer != b""
    assert [type(entry.event) for entry in with_frames] == [FrameReceived, FrameSent]
    assert without == ()


@pytest.mark.parametrize("hashing", [True, False])
def test_what_is_traced_survives_a_power_cut(*, hashing: bool) -> None:
    host = PumpHost(new_pump(load_profile("implanted"), 1), hashing=hashing)
    host.pump.cut_power()
    host.pump.restore_power()
    _, booted = traced(host, b"")
    assert {PowerOn, LogWritten, MemoryWritten} <= {type(entry.event) for entry in booted}
    _, spoken = traced(host, hello())
    assert [type(entry.event) for entry in spoken] == ([FrameReceived, FrameSent] if hashing else [])
