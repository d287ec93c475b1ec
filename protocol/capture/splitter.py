"""Cuts the bytes of one direction into packets: a frame with its delimiters each, and what stands between frames.

No byte is lost or kept twice: the packets joined are the stream.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from protocol.wire.limits import RECEIVE_LIMIT_BYTES

_FRAME: Final = re.compile(rb"\x00?[^\x00]+\x00")
HELD_MAX_BYTES: Final = 4 * RECEIVE_LIMIT_BYTES
"""Of bytes without an end: more are given as they are."""


class Piece(NamedTuple):
    """Bytes of one packet, and when the last of them passed."""

    time_ns: int
    data: bytes


class Splitter:
    """One direction of a line. A half frame is given as it is where the line was silent for `gap_ns` behind it."""

    __slots__ = ("_gap_ns", "_held", "_held_ns")

    def __init__(self, gap_ns: int) -> None:
        self._gap_ns = gap_ns
        self._held = b""
        self._held_ns = 0

    def feed(self, data: bytes, time_ns: int) -> list[Piece]:
        """Take what passed at a time; returns the packets that it completed."""
        if not data:
            return []
        if not self._held and data[0] == 0 and len(data) > 2 and data.find(0, 1) == len(data) - 1:
            return [Piece(time_ns, data)]  # one whole transmission, as nearly always
        pieces = []
        if self._held and time_ns - self._held_ns >= self._gap_ns:
            pieces += self.take_held()
        held_bytes, data = len(self._held), self._held + data
        at = 0
        for found in _FRAME.finditer(data):
            if found.start() > at:
                ended_ns = self._held_ns if found.start() <= held_bytes else time_ns
                pieces.append(Piece(ended_ns, data[at : found.start()]))
            pieces.append(Piece(time_ns, found.group()))
            at = found.end()
        self._held, self._held_ns = data[at:], time_ns
        if len(self._held) > HELD_MAX_BYTES:
            pieces += self.take_held()
        return pieces

    def take_held(self) -> list[Piece]:
        """What waits for its end, as it is: the line is silent, or the recording ends."""
        held, self._held = self._held, b""
        return [Piece(self._held_ns, held)] if held else []
