"""The base of every port: one line to one client, in raw bytes. It knows nothing of frames.

A port never blocks and never raises for what a client does. It registers its descriptors with the runner's
selector; the data of each key is the function to call when the descriptor is ready.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from firmware_emu.bench.ports.out_queue import OutQueue

if TYPE_CHECKING:
    import selectors
    from collections.abc import Callable

    Say = Callable[[str], None]
    """Where a port says what a person should know: one line, to the log."""


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
