"""Codec and receive path against the same done by hand with `struct` for this one message."""

from __future__ import annotations

import struct
from functools import partial

from cobs import cobs

from protocol.codec.layouts import decode, encode
from protocol.identifiers import Kind, Opcode
from protocol.messages.reading import GetInfoReply, GetStatusReply
from protocol.wire.checksum import crc32c
from protocol.wire.frame import pack_header, with_crc
from protocol.wire.framing import Deframer, encode_frame
from scripts.bench.measure import NS_PER_US, Row, interleaved

ROUNDS = 61
CALLS = 2_000
STATUS_FORMAT = "<IIIhBBBBIIIIIQHBBIIIIIHBxI"
INFO_FORMAT = "<HHII12sIIBBBBIQ"
STATUS = struct.pack(
    STATUS_FORMAT,
    *(7, 86_400, 820_454_400, 60, 0x55, 1, 2, 1, 600_000, 1, 0, 0, 17_400_000, 600_000, 3_060, 99, 0, 0, 0),
    *(41, 12, 0, 0, 0xFF, 0),
)
INFO = struct.pack(INFO_FORMAT, 0x8637, 1, 0x10000, 1, b"EMU000000001", 0, 20_000_000, 2, 1, 1, 1, 140_000, 1)
FRAMES_IN_A_CHUNK = 40  # about 4 kB: what one read of a busy PTY gives


def rows() -> list[Row]:
    """Build, parse and receive."""
    found = []
    for name, cls, layout, payload in [
        ("GET_STATUS answer", GetStatusReply, STATUS_FORMAT, STATUS),
        ("GET_INFO answer", GetInfoReply, INFO_FORMAT, INFO),
    ]:
        found += _codec_rows(f"{name}, {len(payload)} B", cls, struct.Struct(layout), payload)
    return [*found, _receive_row()]


def _codec_rows(name: str, cls: type, layout: struct.Struct, payload: bytes) -> list[Row]:
    message: object = decode(cls, payload)
    values = layout.unpack(payload)
    assert encode(message) == payload
    medians = interleaved(
        {
            "parse floor": partial(layout.unpack, payload),
            "parse": partial(decode, cls, payload),
            "build floor": partial(layout.pack, *values),
            "build": partial(encode, message),
        },
        rounds=ROUNDS,
        calls=CALLS,
    )
    return [
        Row(f"parse {name}", "struct", *_us(medians["parse floor"], medians["parse"]), 4),
        Row(f"build {name}", "struct", *_us(medians["build floor"], medians["build"]), 2),
    ]


def _us(floor_ns: float, ours_ns: float) -> tuple[float, float, str]:
    return floor_ns / NS_PER_US, ours_ns / NS_PER_US, "us"


def _receive_row() -> Row:
    """Bytes of the line to messages, without session: COBS, CRC, header, codec."""
    header = pack_header(Kind.RESPONSE, 0, Opcode.GET_STATUS, len(STATUS), 0x1234, 5, 5)
    chunk = encode_frame(with_crc(header + STATUS)) * FRAMES_IN_A_CHUNK
    unpack_status = struct.Struct(STATUS_FORMAT).unpack_from
    unpack_header = struct.Struct("<BBBBHIH").unpack_from
    unpack_crc = struct.Struct("<I").unpack_from
    end = len(header) + len(STATUS)

    def by_hand() -> int:
        received = 0
        for piece in chunk.split(b"\0"):
            if piece:
                raw = cobs.decode(piece)
                if unpack_crc(raw, end)[0] == crc32c(raw[:end]) and unpack_header(raw)[3] == len(STATUS):
                    unpack_status(raw, 12)
                    received += 1
        return received

    deframer = Deframer()

    def ours() -> int:
        received = 0
        for frame in deframer.feed(chunk, 0):
            decode(GetStatusReply, frame.body)  # type: ignore[union-attr]
            received += 1
        return received

    assert by_hand() == ours() == FRAMES_IN_A_CHUNK
    medians = interleaved({"by hand": by_hand, "ours": ours}, rounds=ROUNDS, calls=50)
    floor, own, unit = _us(medians["by hand"] / FRAMES_IN_A_CHUNK, medians["ours"] / FRAMES_IN_A_CHUNK)
    return Row("receive a GET_STATUS answer, bytes to message", "by hand", floor, own, unit, 2.5)
