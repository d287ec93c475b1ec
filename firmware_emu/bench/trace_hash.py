"""A running SHA-256 over all that happened to a pump, as a value: it can be copied, pickled and gone on with.

Two runs with the same hash are the same run. The trace holds no step sizes, so the hash does not depend on
how the time was cut into steps.
"""

from __future__ import annotations

import hashlib

BLOCK_BYTES = 4_096


class TraceHash:
    """Chained over blocks of a fixed size, since a hash object of hashlib cannot be copied into a fork."""

    __slots__ = ("_chain", "_pending")

    def __init__(self) -> None:
        self._chain = b""
        self._pending = b""

    def add(self, data: bytes) -> None:
        """Take more of the trace."""
        pending = self._pending + data
        while len(pending) >= BLOCK_BYTES:
            self._chain = hashlib.sha256(self._chain + pending[:BLOCK_BYTES]).digest()
            pending = pending[BLOCK_BYTES:]
        self._pending = pending

    def hexdigest(self) -> str:
        """Hash of the whole trace up to here."""
        return hashlib.sha256(self._chain + self._pending).hexdigest()
