"""Bytes to frames: the vectors in every chunking, damage, length, and the gap rule [SPEC 2, 3]."""

from __future__ import annotations

import random
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from protocol.identifiers import Kind
from protocol.wire.frame import BadFrame, Fault, Frame, pack_header, parse_frame, with_crc
from protocol.wire.framing import Deframer, decode_frame, encode_frame
from tests.support.for_each import for_each

MAX_ENCODED_BYTES = 249  # 248 and one of COBS [SPEC 2]
RECEIVE_LIMIT_BYTES = 255  # [SPEC 2]

VECTORS_FILE = Path(__file__).parents[3] / "fixtures/vectors/framing.toml"
VECTORS: list[dict[str, Any]] = tomllib.loads(VECTORS_FILE.read_text())["vector"]
GOOD = sorted({expect["frame"] for vector in VECTORS for expect in vector["expect"] if "frame" in expect})
GET_STATUS = encode_frame(bytes.fromhex("11011000341201000000000097f1ad1ac49bdc01b99a429e"))

every_vector = for_each("vector", VECTORS, name=lambda vector: vector["heading"])
every_good_frame = for_each("good", GOOD, name=lambda good: f"{len(good) // 2} bytes")


def outcomes(frames: list[Frame | BadFrame]) -> list[dict[str, str]]:
    return [
        {"frame": frame.raw.hex()} if isinstance(frame, Frame) else {"fault": frame.fault.name}
        for frame in frames
    ]


def feed_pieces(*pieces: bytes) -> list[dict[str, str]]:
    deframer = Deframer()
    return [outcome for piece in pieces for outcome in outcomes(deframer.feed(piece, 0))]


def good_frames(line: bytes) -> list[Frame]:
    return [frame for frame in Deframer().feed(line, 0) if isinstance(frame, Frame)]


@every_vector
def test_a_vector_whole(vector: dict[str, Any]) -> None:
    assert feed_pieces(bytes.fromhex(vector["line"])) == vector["expect"]


@every_vector
def test_a_vector_byte_by_byte(vector: dict[str, Any]) -> None:
    line = bytes.fromhex(vector["line"])
    assert feed_pieces(*(line[at : at + 1] for at in range(len(line)))) == vector["expect"]


@every_vector
def test_a_vector_split_at_every_position(vector: dict[str, Any]) -> None:
    line = bytes.fromhex(vector["line"])
    for at in range(len(line) + 1):
        assert feed_pieces(line[:at], line[at:]) == vector["expect"], at


@every_vector
def test_a_vector_after_junk_and_before_junk(vector: dict[str, Any]) -> None:
    line = bytes.fromhex(vector["line"])
    junk = {"fault": "COBS"}
    if line.startswith(b"\0"):
        assert feed_pieces(b"\x09junk" + line, b"\0\x09junk\0") == [junk, *vector["expect"], junk]


def test_every_vector_says_why_it_is_there() -> None:
    assert len({vector["heading"] for vector in VECTORS}) == len(VECTORS)
    assert all(vector["reason"].endswith(".") for vector in VECTORS)


def test_every_fault_but_silence_has_a_vector() -> None:
    shown = {expect["fault"] for vector in VECTORS for expect in vector["expect"] if "fault" in expect}
    assert shown == {fault.name for fault in Fault} - {"GAP"}


# FI 47
@every_good_frame
def test_every_single_flipped_bit_is_refused(good: str) -> None:
    line = encode_frame(bytes.fromhex(good))
    for at in range(len(line)):
        for bit in range(8):
            damaged = bytearray(line)
            damaged[at] ^= 1 << bit
            assert good_frames(bytes(damaged)) == [], (at, bit)


# FI 47
@every_good_frame
def test_every_truncation_is_refused(good: str) -> None:
    line = encode_frame(bytes.fromhex(good))
    for length in range(len(line) - 1):
        assert good_frames(line[:length] + b"\0") == [], length


@every_good_frame
def test_every_inserted_zero_and_every_lost_byte_is_refused(good: str) -> None:
    raw = bytes.fromhex(good)
    for at in range(len(raw)):
        assert isinstance(parse_frame(raw[:at] + raw[at + 1 :]), Fault), at
        assert isinstance(parse_frame(raw[:at] + b"\0" + raw[at:]), Fault), at


@given(
    kind=st.sampled_from([Kind.REQUEST, Kind.RESPONSE, Kind.EVENT, Kind.ERROR]),
    flags=st.sampled_from([0, 1]),
    opcode=st.integers(0, 255),
    sid=st.integers(0, 0xFFFF),
    ctr=st.integers(0, 0xFFFFFFFF),
    ref=st.integers(0, 0xFFFF),
    payload=st.binary(max_size=224),
)
def test_what_is_sent_arrives(
    kind: Kind, flags: int, opcode: int, sid: int, ctr: int, ref: int, payload: bytes
) -> None:
    body = payload + bytes(8 * flags)
    wire = encode_frame(with_crc(pack_header(kind, flags, opcode, len(payload), sid, ctr, ref) + body))
    (frame,) = good_frames(wire)
    assert (frame.kind, frame.flags, frame.opcode, frame.sid, frame.ctr, frame.ref, frame.body) == (
        kind,
        flags,
        opcode,
        sid,
        ctr,
        ref,
        body,
    )
    assert len(wire) <= MAX_ENCODED_BYTES + 2
    assert frame.header == wire_header(frame)


def wire_header(frame: Frame) -> bytes:
    plen = len(frame.body) - 8 * frame.flags
    return pack_header(frame.kind, frame.flags, frame.opcode, plen, frame.sid, frame.ctr, frame.ref)


@given(st.binary(max_size=600), st.lists(st.integers(0, 600), max_size=8))
def test_noise_means_the_same_in_any_pieces(noise: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(noise)) for cut in cuts), len(noise)]
    pieces = [noise[start:end] for start, end in pairwise(edges)]
    assert feed_pieces(*pieces) == feed_pieces(noise)


def test_a_frame_is_read_at_once_after_64_bytes_of_garbage() -> None:
    garbage = random.Random(4).randbytes(64)
    assert len(good_frames(garbage + GET_STATUS)) == 1


def test_a_megabyte_without_a_delimiter_is_one_fault_and_255_bytes_of_buffer() -> None:
    deframer = Deframer()
    faults = []
    for _ in range(1024):
        faults += deframer.feed(b"\x55" * 1024, 0)
        assert len(deframer._partial) <= RECEIVE_LIMIT_BYTES
    assert [fault.fault for fault in faults if isinstance(fault, BadFrame)] == [Fault.OVERSIZE]
    assert isinstance(deframer.feed(GET_STATUS, 0)[-1], Frame)


def test_ten_megabytes_of_noise_leave_no_trace() -> None:
    deframer = Deframer()
    dice = random.Random(41)
    for _ in range(160):
        assert not any(isinstance(frame, Frame) for frame in deframer.feed(dice.randbytes(65_536), 0))
        assert len(deframer._partial) <= RECEIVE_LIMIT_BYTES
    assert isinstance(deframer.feed(GET_STATUS, 0)[-1], Frame)


@for_each("gap_ms", [20, 1_000])
def test_bytes_that_come_slowly_are_accepted_up_to_the_gap(gap_ms: int) -> None:
    deframer = Deframer(gap_ms)
    frames = []
    now_ms = 5
    for byte in GET_STATUS:
        frames += deframer.feed(bytes([byte]), now_ms)
        now_ms += gap_ms * 95 // 100
    assert [type(frame) for frame in frames] == [Frame]


@for_each("gap_ms", [20, 1_000])
def test_bytes_that_come_slower_than_the_gap_are_dropped_and_counted(gap_ms: int) -> None:
    deframer = Deframer(gap_ms)
    frames = []
    now_ms = 5
    for byte in GET_STATUS:
        frames += deframer.feed(bytes([byte]), now_ms)
        now_ms += gap_ms * 105 // 100
    assert {frame.fault for frame in frames if isinstance(frame, BadFrame)} == {Fault.GAP}
    assert len(frames) == len(GET_STATUS) - 2
    assert isinstance(deframer.feed(GET_STATUS, now_ms)[-1], Frame)


def test_the_gap_is_counted_from_the_last_byte_and_ends_at_its_exact_millisecond() -> None:
    half = len(GET_STATUS) // 2
    for pause_ms, arrives in ((999, True), (1_000, False)):
        deframer = Deframer(1_000)
        deframer.feed(GET_STATUS[:4], 0)
        deframer.feed(GET_STATUS[4:half], 600)
        frames = deframer.feed(GET_STATUS[half:], 600 + pause_ms)
        assert any(isinstance(frame, Frame) for frame in frames) is arrives, pause_ms


def test_bytes_after_the_gap_begin_a_frame_with_or_without_its_leading_zero_in_any_pieces() -> None:
    for left_behind, fault in ((b"\0\x09junk", Fault.GAP), (b"\x55" * 400, Fault.OVERSIZE)):
        for start in (0, 1):
            frame = GET_STATUS[start:]
            for at in range(1, len(frame)):
                deframer = Deframer(1_000)
                frames = deframer.feed(left_behind, 0)
                frames += deframer.feed(frame[:at], 1_000)
                frames += deframer.feed(frame[at:], 1_999)
                assert isinstance(frames[-1], Frame), (fault, start, at)
                assert [bad.fault for bad in frames[:-1] if isinstance(bad, BadFrame)] == [fault]


def test_a_pause_ends_an_endless_frame_too() -> None:
    deframer = Deframer(1_000)
    deframer.feed(b"\x55" * 400, 0)
    assert isinstance(deframer.feed(GET_STATUS[1:], 1_000)[-1], Frame)


def test_a_bad_frame_is_a_value_whose_reason_is_a_sentence() -> None:
    bad = decode_frame(GET_STATUS[1:-1].replace(b"\x10", b"\x11"))
    assert isinstance(bad, BadFrame)
    assert bad.fault == "the CRC-32C does not match"
