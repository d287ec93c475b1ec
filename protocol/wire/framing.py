"""Turns bytes of the line into frames and back by COBS, whose only home this is [SPEC 2].

Every transmission is `00 COBS(decoded) 00`. A receiver never answers a bad frame and never loses more than
the damaged one: it is in step again at the next zero.
"""

from __future__ import annotations

from cobs import cobs

from protocol.wire.frame import BadFrame, Fault, Frame, parse_frame
from protocol.wire.limits import GAP_HOST_MS, RECEIVE_LIMIT_BYTES

DELIMITER = b"\x00"
"""What ends a frame, and begins one; it is in none."""
_cobs_decode = cobs.decode
_cobs_encode = cobs.encode
_CobsError = cobs.DecodeError


def uses_c_extension() -> bool:
    """Whether cobs works in C; its fallback to Python is silent and 20 times slower."""
    return getattr(cobs.encode, "__module__", "") != "cobs.cobs._cobs_py"


def encode_frame(decoded: bytes) -> bytes:
    """One transmission; the leading zero ends whatever half frame or noise stood before it."""
    return b"\x00%b\x00" % _cobs_encode(decoded)


def encoded_body(decoded: bytes) -> bytes:
    """A frame as it stands between its delimiters."""
    return bytes(_cobs_encode(decoded))


def decode_frame(encoded: bytes) -> Frame | BadFrame:
    """The frame that stood between two delimiters, or why it is none."""
    if len(encoded) > RECEIVE_LIMIT_BYTES:
        return BadFrame(Fault.OVERSIZE, encoded[:RECEIVE_LIMIT_BYTES])
    try:
        raw = _cobs_decode(encoded)
    except _CobsError:
        return BadFrame(Fault.COBS, encoded)
    parsed = parse_frame(raw)
    return BadFrame(parsed, encoded) if isinstance(parsed, Fault) else parsed


class Deframer:
    """Cuts the stream at its zeros, in chunks of any size; holds at most 255 bytes of a partial frame.

    Only the time between bytes is asked for, and only to throw away what a vanished sender left behind.
    """

    __slots__ = ("_gap_ms", "_last_byte_ms", "_overflowed", "_partial")

    def __init__(self, gap_ms: int = GAP_HOST_MS) -> None:
        self._gap_ms = gap_ms
        self._partial = b""
        self._overflowed = False  # the frame under way was too long: skip to the next delimiter
        self._last_byte_ms = 0

    def forget(self) -> None:
        """Drop what is held of a frame."""
        self._partial = b""
        self._overflowed = False

    def feed(self, data: bytes, line_ms: int) -> list[Frame | BadFrame]:
        """Take bytes that arrived at `line_ms`; give the frames that they complete, good and bad."""
        if not data:
            return []
        idle = not (self._partial or self._overflowed)
        if idle and data[0] == 0 and len(data) > 2 and data.find(0, 1) == len(data) - 1:
            # one whole transmission, as nearly always: the way below, shorter
            self._last_byte_ms = line_ms
            return [decode_frame(data[1:-1])]
        frames: list[Frame | BadFrame] = []
        pieces = data.split(DELIMITER)
        if not idle:
            self._resume(frames, pieces, line_ms)
        rest = pieces.pop()
        frames += [decode_frame(piece) for piece in pieces if piece]
        if pieces:
            self._overflowed = False
        if rest:
            self._keep(frames, rest)
        self._last_byte_ms = line_ms
        return frames

    def _resume(self, frames: list[Frame | BadFrame], pieces: list[bytes], line_ms: int) -> None:
        """Join what was held to the first piece, or give it up if the line was silent for too long."""
        held, self._partial = self._partial, b""
        if line_ms - self._last_byte_ms >= self._gap_ms:
            self._overflowed = False
            if held:
                frames.append(BadFrame(Fault.GAP, held))
        elif self._overflowed:
            pieces[0] = b""
        else:
            pieces[0] = held + pieces[0]

    def _keep(self, frames: list[Frame | BadFrame], rest: bytes) -> None:
        if len(rest) > RECEIVE_LIMIT_BYTES:
            frames.append(BadFrame(Fault.OVERSIZE, rest[:RECEIVE_LIMIT_BYTES]))
            self._overflowed = True
        else:
            self._partial = rest
