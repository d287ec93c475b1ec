"""Where a programmer's nonces come from: the system, or a seed for runs that must be the same every time."""

from __future__ import annotations

import hashlib
import os
from typing import Protocol


class Entropy(Protocol):
    """A source of random bytes."""

    def draw(self, length: int) -> bytes: ...


class SystemEntropy:
    """The operating system's generator."""

    def draw(self, length: int) -> bytes:
        """Bytes that nobody can foresee."""
        return os.urandom(length)


class SeededEntropy:
    """The same bytes for the same seed. For virtual time only: nobody should use it on a real device."""

    def __init__(self, seed: int | str) -> None:
        self._seed = str(seed).encode()
        self._drawn = 0

    def draw(self, length: int) -> bytes:
        """The next bytes of the stream."""
        blocks = b""
        while len(blocks) < length:
            blocks += hashlib.sha256(b"programmer\x00%b\x00%d" % (self._seed, self._drawn)).digest()
            self._drawn += 1
        return blocks[:length]
