"""The records of an image as bytes, and how much of a file of them can be believed. No I/O.

    file   = MAGIC, record...            the first record is the header, each later one is a step
    record = length u32, CRC-32 of the length u32, CRC-32 of the body u32, body     (little-endian)
             the second CRC-32 goes on from that of the record before, the header's begins at 0
    header = JSON {format, profile, profile_digest, seed}
    step   = now_ms u64, count u32, count x (offset u32, length u32, bytes of the memory),
             JSON of the state outside the memory, or nothing where it is as it was

A record is written by one write(), so a kill leaves at most the beginning of one at the end of the file: that
tail is cut. The length has a checksum of its own, since a damaged length would otherwise make everything
after it look like such a tail. The checksums of the bodies are a chain, so a record that is missing, doubled or
moved is damage as well. Damage anywhere else is refused, never repaired: half a memory is worse than none.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn
from zlib import crc32

from firmware_emu.bench.errors import BadConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAGIC = b"PUMPIMG\x03"
FORMAT = 1
MEMORY_MAX_BYTES = 16 * 1024 * 1024  # far above any pump's memory: a larger offset is damage
RECORD_MAX_BYTES = 2 * MEMORY_MAX_BYTES
SEED_MAX = (1 << 63) - 1
NOW_MAX_MS = (1 << 63) - 1

_LENGTH = struct.Struct("<I")
_HEAD = struct.Struct("<III")
_STEP = struct.Struct("<QI")
_WRITE = struct.Struct("<II")
TORN_MAX_BYTES = _HEAD.size - 1
"""So few bytes at the end of a file are no record, whatever they are, and become none until a whole one is there."""

Writes = tuple[tuple[int, bytes], ...]


class Header(NamedTuple):
    """The profile and the seed that the image was made with."""

    profile: str
    profile_digest: str
    seed: int


class StepRecord(NamedTuple):
    """What one step left behind. `state` is None where it is as it was at the step before."""

    now_ms: int
    writes: Writes
    state: dict[str, Any] | None


class MalformedError(BadConfigurationError):
    """The file is no image, or a damaged one."""


class Record(NamedTuple):
    """A whole record of a file: where it ends, and the link of the chain for the record after it."""

    end: int
    body: bytes
    link: int


def encode_record(body: bytes, link: int = 0) -> bytes:
    """A body with its length and checksums, to stand after the record that gave the link."""
    length = _LENGTH.pack(len(body))
    return _HEAD.pack(len(body), crc32(length), crc32(body, link)) + body


def link_after(record: bytes) -> int:
    """The link for the record that follows this one."""
    return int(_HEAD.unpack_from(record)[2])


def encode_header(header: Header) -> bytes:
    """The first record."""
    return encode_record(json.dumps({"format": FORMAT, **header._asdict()}).encode())


def encode_step(now_ms: int, writes: Iterable[tuple[int, bytes]], state_json: bytes, link: int = 0) -> bytes:
    """A record of one step, to stand after the record that gave the link."""
    parts = []
    for offset, data in writes:
        parts.append(_WRITE.pack(offset, len(data)))
        parts.append(data)
    return encode_record(_STEP.pack(now_ms, len(parts) // 2) + b"".join(parts) + state_json, link)


def split_records(data: bytes, start: int) -> Iterator[Record]:
    """The records from `start`, where the first one stands. Stops before a torn tail."""
    end_of_file = len(data)
    offset = start
    link = 0
    while offset < end_of_file:
        left = end_of_file - offset
        if left < _HEAD.size or not any(memoryview(data)[offset:]):
            return  # torn in the head, or never written before the host went down
        length, length_crc, body_crc = _HEAD.unpack_from(data, offset)
        if crc32(_LENGTH.pack(length)) != length_crc or length > RECORD_MAX_BYTES:
            raise MalformedError(f"is damaged at byte {offset}")
        end = offset + _HEAD.size + length
        if end > end_of_file:
            return
        body = data[offset + _HEAD.size : end]
        if crc32(body, link) != body_crc:
            if end == end_of_file:
                return
            raise MalformedError(f"is damaged at byte {offset}")
        yield Record(end, body, body_crc)
        offset, link = end, body_crc


def decode_header(body: bytes) -> Header:
    """Read the first record."""
    match _json(body):
        case {"format": 1, "profile": str(profile), "profile_digest": str(digest), "seed": int(seed)} if (
            0 <= seed <= SEED_MAX and type(seed) is not bool
        ):
            return Header(profile, digest, seed)
        case {"format": version} if version != FORMAT:
            raise MalformedError(f"has format {version!r:.20}; this version reads format {FORMAT}")
        case _:
            raise MalformedError("has no header that this version can read")


def decode_step(body: bytes) -> StepRecord:
    """Read a step."""
    try:
        now_ms, count = _STEP.unpack_from(body, 0)
        offset = _STEP.size
        writes = []
        for _ in range(count):
            at, length = _WRITE.unpack_from(body, offset)
            offset += _WRITE.size
            data = body[offset : offset + length]
            if len(data) != length or at + length > MEMORY_MAX_BYTES:
                raise MalformedError("holds a write outside the memory")
            writes.append((at, data))
            offset += length
    except struct.error as error:
        raise MalformedError("holds a step that is cut short") from error
    if now_ms > NOW_MAX_MS:
        raise MalformedError(f"holds a time that no pump lives to see, {now_ms} ms")
    if offset == len(body):
        return StepRecord(now_ms, tuple(writes), None)
    state = _json(body[offset:])
    if not isinstance(state, dict):
        raise MalformedError("holds a state that is no JSON object")
    return StepRecord(now_ms, tuple(writes), state)


def _json(text: bytes) -> object:
    try:
        value: object = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise MalformedError("holds a record that is no JSON") from error
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
