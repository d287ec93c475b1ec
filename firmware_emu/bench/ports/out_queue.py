"""Bytes on their way out of a port that must never block: a bounded queue before a non-blocking descriptor.

What a reader does not fetch waits here up to a limit; what comes after that is dropped whole, since half a
frame would spoil the next one, and counted.
"""

from __future__ import annotations

import os
from collections import deque

LIMIT_BYTES = 65_536  # 256 frames of the largest size: more than any client has outstanding


class OutQueue:
    """The bytes that wait for one descriptor."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._chunks: deque[bytes] = deque()
        self.waiting_bytes = 0
        self.dropped_bytes = 0

    def push(self, data: bytes) -> None:
        """Take whole frames along, or drop them whole."""
        if self.waiting_bytes + len(data) > self._limit_bytes:
            self.dropped_bytes += len(data)
            return
        self._chunks.append(data)
        self.waiting_bytes += len(data)

    def drain(self, descriptor: int) -> bool:
        """Write until nothing waits (True) or the descriptor would block (False). OSError of the write passes."""
        while self._chunks:
            chunk = self._chunks[0]
            try:
                written = os.write(descriptor, chunk)
            except BlockingIOError:
                return False
            self.waiting_bytes -= written
            if written < len(chunk):
                self._chunks[0] = chunk[written:]
                return False
            self._chunks.popleft()
        return True

    def clear(self) -> None:
        """Give up what waits: its reader has gone."""
        self.dropped_bytes += self.waiting_bytes
        self.waiting_bytes = 0
        self._chunks.clear()
