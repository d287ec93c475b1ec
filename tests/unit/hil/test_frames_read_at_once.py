"""Frames that are read many at once are the same as frames that are read one by one, whatever stands between them."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import numpy as np
import pytest

import hil
from hil.capture.at_once import LEAST_PACKETS, PATTERNS_MAX, taker_for
from hil.capture.columns import read_recording
from hil.capture.messages import Many, read_messages
from protocol.capture import pcapng
from protocol.capture.recorder import Recorder
from protocol.capture.recording import BENCH, EVENT, Way
from protocol.codec.layouts import encode, offset_of
from protocol.identifiers import Handshake, Kind, Opcode, Role, Suite
from protocol.link.connection import plain_frame
from protocol.messages.handshake import ClientHello
from protocol.messages.reading import GetStatusReply
from protocol.wire.framing import encode_frame
from tests.unit.protocol.capture.memory_files import EPOCH_NS, MemoryFiles

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TABLES = ("telemetry", "log", "alarms")
FRAMES = 400
STEP_NS = 1_000_000
APART = LEAST_PACKETS + 2
NUMBERS = [
    offset_of(GetStatusReply, name)[0]
    for name in (
        "status_rev",
        "t_mono_s",
        "wall_s",
        "alarm_active",
        "alarm_latched",
        "last_seq",
        "bolus_left_nl",
    )
]


@pytest.fixture(scope="module")
def status() -> GetStatusReply:
    """A status of the emulator."""
    with hil.connect("emulator", state=False) as pump:
        return pump.status()


def answer(payload: bytes, number: int, opcode: int = Opcode.GET_STATUS, kind: Kind = Kind.RESPONSE) -> bytes:
    """A frame in clear."""
    return plain_frame(kind, opcode, 1, number, number & 0xFFFF, payload).wire


def payload(status: GetStatusReply, number: int) -> bytes:
    """A status in which the numbers go on, so that zeros come and go in many places of its frame."""
    return encode(
        status._replace(
            status_rev=number // 3,
            t_mono_s=number,
            wall_s=status.wall_s + number,
            reservoir_calc_nl=18_000_000 - 77 * number,
            delivered_total_nl=77 * number,
            alarm_active=number % 5,
        )
    )


def nothing(_recorder: Recorder, _number: int, _status: GetStatusReply) -> None:
    """Of a recording that has statuses alone."""


def requests(recorder: Recorder, number: int, _status: GetStatusReply) -> None:
    recorder.passed(Way.TO_PUMP, answer(b"", number, kind=Kind.REQUEST), EPOCH_NS + number, number)


def others(recorder: Recorder, number: int, status: GetStatusReply) -> None:
    """Now and then what is none of it, or no status that has a meaning; far apart, so that each could be taken."""
    at_ns = EPOCH_NS + number * STEP_NS
    good = payload(status, number)
    damaged = bytearray(answer(good, number))
    damaged[40] ^= 0x55
    hello = encode(ClientHello(1, 1, Suite.NONE, Role.CLINICIAN, 3, bytes(16)))
    wires = [
        bytes(damaged),
        plain_frame(Kind.HANDSHAKE, Handshake.CLIENT_HELLO, 0, 0, 0, hello).wire,
        answer(good[:14] + b"\xee" + good[15:], number),  # a state that nobody knows
        answer(good + b"more", number),
        answer(good[:-1], number),
        answer(good[:-5] + b"\1" + good[-4:], number),  # a reserved byte
        answer(b"\0\1", number, Opcode.GET_ALARMS),
        answer(b"", number, 0xC9, Kind.ERROR),
        encode_frame(b"no frame" * 4),
        b"\0\0\0",
    ]
    if number % APART == APART - 1:
        recorder.mark(EVENT, "{}", at_ns) if number // APART == len(wires) else recorder.passed(
            Way.FROM_PUMP, wires[number // APART], at_ns, number if number // APART else -number
        )


def recorded(
    path: Path, status: GetStatusReply, between: Callable[[Recorder, int, GetStatusReply], None] = nothing
) -> Path:
    """A recording of statuses, and what stands between them."""
    files = MemoryFiles()
    recorder = Recorder(files.open, {}, "0", trouble=print)
    for number in range(FRAMES if between is not others else 12 * APART - 1):
        between(recorder, number, status)
        back_ns = 5 * STEP_NS if number in {33, 210} else 0
        pump_ms = None if between is not others and number % 7 == 0 else number * 10 ** (number % 9)
        recorder.passed(
            Way.FROM_PUMP,
            answer(payload(status, number), number + 1),
            EPOCH_NS + number * STEP_NS - back_ns,
            pump_ms,
        )
    recorder.close()
    path.write_bytes(bytes(files.contents[0]))
    return path


def check_the_same(path: Path) -> None:
    """Whether both ways read the same, to the type."""
    at_once, one_by_one = read_recording(path, tables=TABLES), read_recording(path)
    assert (at_once.damage, at_once.remarks) == (one_by_one.damage, one_by_one.remarks)
    assert not at_once.messages
    for table in TABLES:
        ours, theirs = getattr(at_once, table), getattr(one_by_one, table)
        assert list(ours) == list(theirs)
        for name in ours:
            assert ours[name].dtype == theirs[name].dtype, name
            assert np.array_equal(np.ma.getmaskarray(ours[name]), np.ma.getmaskarray(theirs[name])), name
            assert np.array_equal(ours[name].data, theirs[name].data), name


def read_at_once(path: Path) -> int:
    """How many packets were."""
    entries = read_messages(path, (), taker_for(TABLES))
    return sum(entry.count for entry in entries if isinstance(entry, Many))


@pytest.mark.parametrize("between", [nothing, requests, others], ids=lambda each: each.__name__)
def test_what_is_read_at_once_is_what_is_read_one_by_one(
    tmp_path: Path, status: GetStatusReply, between: Callable[[Recorder, int, GetStatusReply], None]
) -> None:
    path = recorded(tmp_path / "a.pcapng", status, between)
    check_the_same(path)
    assert read_at_once(path) > FRAMES // 2


def test_rotten_bytes_anywhere_are_seen_as_one_by_one(tmp_path: Path, status: GetStatusReply) -> None:
    whole = recorded(tmp_path / "a.pcapng", status, requests).read_bytes()
    random = Random(1)
    for number in range(6):
        rotten = bytearray(whole)
        for _ in range(2 * number):
            rotten[random.randrange(200, len(rotten))] = random.randrange(256)
        path = tmp_path / f"{number}.pcapng"
        path.write_bytes(bytes(rotten[: random.randrange(len(rotten) // 2, len(rotten))]))
        check_the_same(path)


def test_interfaces_of_another_order_or_time_are_seen_as_one_by_one(
    tmp_path: Path, status: GetStatusReply
) -> None:
    frames = [answer(payload(status, number), number + 1) for number in range(FRAMES)]
    coarse = pcapng.block(pcapng.INTERFACE, b"\x93\0\0\0\0\0\0\0", pcapng.option(pcapng.OPT_NAME, b"to-pump"))
    path = tmp_path / "a.pcapng"
    sources = [pcapng.interface("bench"), coarse, pcapng.interface("from-pump")]
    path.write_bytes(
        b"".join(
            [
                pcapng.section_header("", "somebody's tool"),
                *sources,
                *(pcapng.packet(2 - number // 300, number, frame) for number, frame in enumerate(frames)),
                recorded(tmp_path / "b.pcapng", status).read_bytes(),
                *(pcapng.packet(BENCH, number, frame) for number, frame in enumerate(frames)),
            ]
        )
    )
    check_the_same(path)
    assert read_at_once(path) > FRAMES


def test_more_patterns_of_zeros_than_are_tried_lose_no_frame(tmp_path: Path, status: GetStatusReply) -> None:
    random = Random(1)
    files = MemoryFiles()
    recorder = Recorder(files.open, {}, "0", trouble=print)
    for number in range(4 * PATTERNS_MAX):
        told = bytearray(encode(status))
        for place in NUMBERS:
            told[place : place + 4] = random.choice([bytes(4), b"\1\1\1\1"])
        recorder.passed(Way.FROM_PUMP, answer(bytes(told), number + 1), EPOCH_NS + number)
    recorder.close()
    path = tmp_path / "a.pcapng"
    path.write_bytes(bytes(files.contents[0]))
    check_the_same(path)


def test_sessions_among_them_are_followed_all_the_same(tmp_path: Path, status: GetStatusReply) -> None:
    passed: list[tuple[Way, bytes]] = []
    ways = {"sent": Way.TO_PUMP, "received": Way.FROM_PUMP}
    with hil.connect(
        "emulator",
        state=False,
        watch=lambda entry: passed.append(
            (ways[entry.record.direction.value], b"\0%b\0" % entry.record.encoded)
        ),
    ) as pump:
        for _ in range(LEAST_PACKETS):
            pump.status()
    plain = [
        (Way.FROM_PUMP, answer(payload(status, number), number + 1)) for number in range(2 * LEAST_PACKETS)
    ]
    files = MemoryFiles()
    recorder = Recorder(files.open, {}, "0", trouble=print)
    for number, (way, wire) in enumerate([*plain, *passed[:4], *plain, *passed[4:], *plain]):
        recorder.passed(way, wire, EPOCH_NS + number)
    recorder.close()
    path = tmp_path / "a.pcapng"
    path.write_bytes(bytes(files.contents[0]))
    check_the_same(path)
    assert read_at_once(path) <= 3 * len(plain)
    assert len(read_recording(path, tables=["telemetry"]).telemetry["number"]) >= 7 * LEAST_PACKETS
