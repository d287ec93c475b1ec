"""The hardware random source: its bytes depend on seed, stream, boot and how much was drawn, on nothing else.

Deterministic on purpose: the secrecy of a virtual pump's keys is no stronger than its seed's.
"""

from __future__ import annotations

import hashlib

from firmware_emu.plant.part import Json, Part, StateError, field, integer, section

BLOCK_BYTES = 32


class Entropy(Part):
    """Implements `pins.EntropyPin`: SHA-256 in counter mode, each stream from 0 at each boot."""

    __slots__ = ("blocks_drawn", "boot_count", "seed", "stuck")

    def __init__(self, seed: bytes) -> None:
        self.seed = seed
        self.boot_count = 0
        self.blocks_drawn: dict[str, int] = {}
        self.stuck = False

    def draw(self, stream: str, length: int) -> bytes:
        """Random bytes; zeros while the generator is stuck."""
        if self.stuck:
            return bytes(length)
        first = self.blocks_drawn.get(stream, 0)
        last = first + -(-length // BLOCK_BYTES)
        self.blocks_drawn[stream] = last
        key = hashlib.sha256(
            b"%d:%s:%s:%d" % (len(self.seed), self.seed, stream.encode(), self.boot_count)
        ).digest()
        blocks = [hashlib.sha256(key + number.to_bytes(8, "big")).digest() for number in range(first, last)]
        return b"".join(blocks)[:length]

    def reboot(self) -> None:
        """Start every stream anew, under another boot count."""
        self.boot_count += 1
        self.blocks_drawn.clear()

    def to_json(self) -> Json:
        return {
            "seed": self.seed.hex(),
            "boot_count": self.boot_count,
            "blocks_drawn": dict(self.blocks_drawn),
            "stuck": self.stuck,
        }

    def from_json(self, state: Json) -> None:
        seed = field(state, "seed")
        if not isinstance(seed, str):
            raise StateError(f"seed must be hex digits, is {seed!r}")
        try:
            self.seed = bytes.fromhex(seed)
        except ValueError as error:
            raise StateError(f"seed must be hex digits, is {seed!r}") from error
        drawn = section(state, "blocks_drawn")
        self.blocks_drawn = {stream: integer(drawn, stream) for stream in drawn}
        self.boot_count = integer(state, "boot_count")
        self.stuck = bool(integer(state, "stuck"))
