"""Bytes that have come in through a port and that the loop has not taken yet, and how many there ever were."""

from __future__ import annotations


class InQueue:
    """What one port has received. `received_bytes` counts all of it: the barrier of rig control looks there."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self.received_bytes = 0

    def push(self, data: bytes) -> None:
        """More has come in."""
        self._chunks.append(data)
        self.received_bytes += len(data)

    def take(self) -> bytes:
        """All since the last call; b"" where nothing came."""
        if not self._chunks:
            return b""
        data = b"".join(self._chunks)
        self._chunks.clear()
        return data
