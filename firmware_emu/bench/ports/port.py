"""The base of every port: one line to one client, in raw bytes. It knows nothing of frames.

A port never blocks and never raises for what a client does. It registers its descriptors with the runner's
selector; the data of each key is the function to call when the descriptor is ready.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import selectors
    from collections.abc import Callable

    Say = Callable[[str], None]
    """Where a port says what a person should know: one line, to the log."""


LIMIT_BYTES = 65_536  # 256 frames of the largest size: more than any client has outstanding


class OutQueue:
    """The bytes that wait for one descriptor that does not block.

    What a reader does not fetch waits here up to a limit; what comes after that is dropped whole, since half a
    frame would spoil the next one, and counted.
    """

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._chunks: deque[bytes] = deque()
        self.waiting_bytes = 0
        self.dropped_bytes = 0

    def push(self, data: bytes) -> None:
        """Add whole frames, or drop them whole where there is no room."""
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
        """Drop what waits, since its reader has gone."""
        self.dropped_bytes += self.waiting_bytes
        self.waiting_bytes = 0
        self._chunks.clear()


class Port(ABC):
    """One line, whoever is at its other end; what came in from there, and what waits to go out."""

    def __init__(self, address: str) -> None:
        self.address = address
        """What a client opens: a device path, or `host:port`."""
        self.received_bytes = 0
        """Bytes that came in since the port was opened, from all clients: the byte barrier counts these."""
        self._received: list[bytes] = []
        self._queue = OutQueue()
        self._selector: selectors.BaseSelector | None = None

    @property
    def dropped_bytes(self) -> int:
        """Bytes that nobody read, given up since the port was opened."""
        return self._queue.dropped_bytes

    @abstractmethod
    def attach(self, selector: selectors.BaseSelector) -> None:
        """Register with the loop that will call."""

    def take_reset(self) -> bool:
        """Whether the client has pulled the board's reset line since the last call; most ports have none."""
        return False

    def take_received(self) -> bytes:
        """What came in since the last call."""
        data = b"".join(self._received)
        self._received.clear()
        return data

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Put whole frames on the line, now or as soon as the reader makes room; never blocks."""

    @abstractmethod
    def close(self) -> None:
        """Give the line back; the loop has ended, and its selector may be closed."""

    def _keep(self, data: bytes) -> None:
        """Keep what came in until the loop takes it."""
        self._received.append(data)
        self.received_bytes += len(data)
