"""One frame: the 12-byte header, its payload (and tag), and the CRC [SPEC 3].

It knows nothing of sessions: a good frame here may still have a bad tag. A bad frame is a value with a
reason, not an exception: noise is ordinary.
"""

from __future__ import annotations

from enum import StrEnum
from struct import Struct
from typing import NamedTuple

from protocol.identifiers import PROTOCOL_VERSION, Kind
from protocol.wire.checksum import crc32c
from protocol.wire.limits import CRC_BYTES, HEADER_BYTES, MAX_PAYLOAD_BYTES, MIN_DECODED_BYTES, TAG_BYTES

SECURED = 0x01  # the only bit of `flags`

_HEADER = Struct("<BBBBHIH")
_CRC = Struct("<I")
_VERSION_NIBBLE = PROTOCOL_VERSION << 4
_CRC_RESIDUE = 0x48674BC7  # CRC-32C of anything followed by its own CRC-32C
_KIND_OF_VT = {_VERSION_NIBBLE | kind: kind for kind in Kind}
_VT_OF_KIND = {kind: vt for vt, kind in _KIND_OF_VT.items()}
_HANDSHAKE_VT = _VT_OF_KIND[Kind.HANDSHAKE]
_ORDINARY_VT = frozenset(_KIND_OF_VT) - {_HANDSHAKE_VT}
_OVERHEAD_SECURED = MIN_DECODED_BYTES + TAG_BYTES
_unpack_header = _HEADER.unpack_from


class Fault(StrEnum):
    """Why a frame was dropped; the first four are faults of framing, the others of the frame itself."""

    OVERSIZE = "more than 255 encoded bytes without a delimiter"
    GAP = "a partial frame, then silence for longer than the gap"
    COBS = "not COBS: a code byte points beyond the end"
    SHORT = "fewer than 16 decoded bytes: no room for header and CRC"
    CRC = "the CRC-32C does not match"
    VERSION = "unknown major version"
    KIND = "unknown kind of frame"
    RESERVED = "a reserved bit is set, or a handshake frame has flags, ctr or ref"
    LENGTH = "plen is not the number of payload bytes, or above 224"


class Frame(NamedTuple):
    """A frame whose CRC and header are good; `body` is payload and tag, `raw` is all of it, CRC included."""

    kind: Kind
    flags: int
    opcode: int
    sid: int
    ctr: int
    ref: int
    body: bytes
    raw: bytes

    @property
    def header(self) -> bytes:
        """The first 12 bytes: what the tag authenticates besides the payload."""
        return self.raw[:HEADER_BYTES]


class BadFrame(NamedTuple):
    """What was dropped, still encoded, and why."""

    fault: Fault
    encoded: bytes


_new_frame = tuple.__new__  # what Frame() would call, without the detour: this is the hot path


def pack_header(kind: Kind, flags: int, opcode: int, plen: int, sid: int, ctr: int, ref: int) -> bytes:
    """The 12 bytes of a header."""
    return _HEADER.pack(_VT_OF_KIND[kind], flags, opcode, plen, sid, ctr, ref)


def with_crc(header_and_body: bytes) -> bytes:
    """A whole decoded frame: its CRC appended."""
    return header_and_body + _CRC.pack(crc32c(header_and_body))


def parse_frame(raw: bytes) -> Frame | Fault:
    """The frame in decoded bytes, or the first fault, from the CRC upward."""
    length = len(raw)
    if length < MIN_DECODED_BYTES:
        return Fault.SHORT
    if crc32c(raw) != _CRC_RESIDUE:
        return Fault.CRC
    vt, flags, opcode, plen, sid, ctr, ref = _unpack_header(raw)
    expected = plen + (_OVERHEAD_SECURED if flags else MIN_DECODED_BYTES)
    # one test for all that an ordinary frame passes; only a suspect one is looked at more closely
    if vt not in _ORDINARY_VT or flags > SECURED or length != expected or plen > MAX_PAYLOAD_BYTES:
        fault = _header_fault(
            vt, flags, ctr, ref, lengths_agree=length == expected and plen <= MAX_PAYLOAD_BYTES
        )
        if fault is not None:
            return fault
    fields = (_KIND_OF_VT[vt], flags, opcode, sid, ctr, ref, raw[HEADER_BYTES:-CRC_BYTES], raw)
    return _new_frame(Frame, fields)


def _header_fault(vt: int, flags: int, ctr: int, ref: int, *, lengths_agree: bool) -> Fault | None:
    if vt & 0xF0 != _VERSION_NIBBLE:
        return Fault.VERSION
    if vt not in _KIND_OF_VT:
        return Fault.KIND
    if flags & ~SECURED or (vt == _HANDSHAKE_VT and (flags or ctr or ref)):
        return Fault.RESERVED
    return None if lengths_agree else Fault.LENGTH
