"""What the runner asks of a port: one line to one client, in raw bytes. Knows nothing of frames.

A port never blocks and never raises for what a client does. It registers its descriptors with the runner's
selector; the data of each key is the function to call when the descriptor is ready.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import selectors
    from collections.abc import Callable

    Say = Callable[[str], None]
    """Where a port says what a person should know: one line, to the log."""


class Port(Protocol):
    """One line, whoever is at its other end."""

    @property
    def address(self) -> str:
        """What a client opens: a device path, or `host:port`."""
        ...

    @property
    def received_bytes(self) -> int:
        """Bytes that came in since the port was opened, from all clients: the byte barrier counts these."""
        ...

    @property
    def dropped_bytes(self) -> int:
        """Bytes that nobody read, given up since the port was opened."""
        ...

    def attach(self, selector: selectors.BaseSelector) -> None:
        """Register with the loop that will call."""
        ...

    def take_received(self) -> bytes:
        """What came in since the last call."""
        ...

    def send(self, data: bytes) -> None:
        """Put whole frames on the line, now or as soon as the reader makes room; never blocks."""
        ...

    def close(self) -> None: ...
