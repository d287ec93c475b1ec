"""What a bench keeps of a pump's steps, and what it leaves out where nobody asks for the hash of the trace."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from firmware_emu.bench.image_file import ImageFile
from firmware_emu.bench.profile_file import load_profile
from firmware_emu.bench.pump_host import PumpHost, new_pump, restored_pump
from firmware_emu.controller.events import FrameReceived, FrameSent, LogWritten
from firmware_emu.events import MemoryWritten, PowerOn, TraceEntry
from firmware_emu.now import Now
from firmware_emu.units import MS_PER_DAY
from protocol.identifiers import Role
from protocol.link.client_end import ClientEnd
from protocol.link.development_keys import development_key

if TYPE_CHECKING:
    from pathlib import Path


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


def test_a_pump_of_an_image_tells_first_what_was_durable_and_never_told_and_nothing_twice(
    tmp_path: Path,
) -> None:
    profile = load_profile("implanted")
    host = PumpHost(new_pump(profile, 1), ImageFile(tmp_path / "image", profile))
    assert host.image is not None
    host.image.begin(1)
    day = new_pump(profile, 1).step(Now.both(MS_PER_DAY)).trace
    due_ms = next(now.pump_ms for now, event in day if isinstance(event, LogWritten) and now.pump_ms)
    host.step(Now.both(due_ms - 1))
    told = [each.event.seq for each in host.trace if isinstance(each.event, LogWritten)]
    host.pump.inject("power-cut-at-write", {"writes": 1, "torn_after_bytes": 10_000, "stays_off": 1})
    host.step(Now.both(due_ms))
    assert not host.pump.powered
    assert not [each for each in host.trace if isinstance(each.event, LogWritten)], (
        "it died before it could tell"
    )
    remembered = host.image.remembered
    host.image.close()
    assert remembered is not None
    again = restored_pump(profile, remembered, 0)
    events = [entry.event for entry in again.step(again.now).trace]
    assert isinstance(events[0], LogWritten)
    assert PowerOn in map(type, events[1:])
    seqs = [event.seq for event in events if isinstance(event, LogWritten)]
    assert seqs == list(range(told[-1] + 1, told[-1] + 1 + len(seqs)))
