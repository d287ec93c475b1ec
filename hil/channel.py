"""The protocol of a line to a device: bytes out, bytes in by a deadline, and the line's clock.

Channels are opened by targets. Time is the channel's own, in ms: the host's monotonic clock on a real port,
the pump's time where the pump lives in this process.
"""

from __future__ import annotations

from typing import Protocol


class Channel(Protocol):
    """One open line to one device; it has exactly one owner."""

    @property
    def sent_bytes(self) -> int:
        """All bytes sent so far: the barrier between wire and rig control counts them."""
        ...

    def send(self, data: bytes) -> None:
        """Put all of `data` on the line."""
        ...

    def receive(self, deadline_ms: int) -> bytes:
        """What has arrived, waiting for at least one byte until the deadline; b"" then."""
        ...

    def now_ms(self) -> int:
        """The line's time."""
        ...

    def device_ms(self) -> int | None:
        """The pump's own time where the bench knows it, for reports."""
        ...

    def close(self) -> None:
        """Give the line back. Closing twice is fine."""
        ...
