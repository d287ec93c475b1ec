"""The hardware random source: its bytes depend on seed, stream, boot and how much was drawn.

Deterministic on purpose: the secrecy of a virtual pump's keys is no stronger than its seed's. The stream
`memory`, which names memories, depends on the unit too: two pumps of one seed are two pumps. And all of them depend on
the branch: a pump that goes on from a snapshot under the eyes of others never draws again what it drew before them.
"""

from __future__ import annotations

import hashlib

from firmware_emu.plant.component import Component, Json, StateError, boolean, field, integer, section

BLOCK_BYTES = 32
ROOT_KEY_BYTES = 16
MEMORY_STREAM = "memory"


class Entropy(Component):
    """Implements `pins.EntropyPin`: SHA-256 in counter mode, each stream from 0 at each boot."""

    __slots__ = ("blocks_drawn", "boot_count", "branch", "seed", "stuck", "stuck_draws", "unit")

    def __init__(self, seed: bytes, unit: bytes = b"") -> None:
        """`unit` tells apart the units of one seed; empty where a run must repeat from its seed alone."""
        self.seed = seed
        self.unit = unit
        self.branch = b""
        """What tells this future apart from others of the same state; empty in the first one."""
        self.boot_count = 0
        self.blocks_drawn: dict[str, int] = {}
        self.stuck = False
        self.stuck_draws = 0

    def draw(self, stream: str, length: int) -> bytes:
        """Random bytes; zeros while the generator is stuck."""
        if self.stuck:
            self.stuck_draws += 1
            return bytes(length)
        first = self.blocks_drawn.get(stream, 0)
        last = first + -(-length // BLOCK_BYTES)
        self.blocks_drawn[stream] = last
        unit = self.unit if stream == MEMORY_STREAM else b""
        key = hashlib.sha256(
            b"%d:%s:%s:%d%s%s"
            % (len(self.seed), self.seed, stream.encode(), self.boot_count, unit, self._branch_words)
        ).digest()
        blocks = [hashlib.sha256(key + number.to_bytes(8, "big")).digest() for number in range(first, last)]
        return b"".join(blocks)[:length]

    @property
    def _branch_words(self) -> bytes:
        return b":branch:%s" % self.branch if self.branch else b""

    def root_key(self) -> bytes:
        """The chip's own key, of seed and unit: no start and no draw changes it, and it is never stuck."""
        return hashlib.sha256(b"%d:%s:root key%s" % (len(self.seed), self.seed, self.unit)).digest()[
            :ROOT_KEY_BYTES
        ]

    def reboot(self) -> None:
        """Start every stream anew, under another boot count."""
        self.boot_count += 1
        self.blocks_drawn.clear()

    def to_json(self) -> Json:
        return {
            "seed": self.seed.hex(),
            "unit": self.unit.hex(),
            "boot_count": self.boot_count,
            "blocks_drawn": dict(self.blocks_drawn),
            "stuck": self.stuck,
            "stuck_draws": self.stuck_draws,
        } | ({"branch": self.branch.hex()} if self.branch else {})

    def from_json(self, state: Json) -> None:
        self.seed = _from_hex(state, "seed")
        self.unit = _from_hex(state, "unit")
        self.branch = _from_hex(state, "branch") if "branch" in state else b""
        drawn = section(state, "blocks_drawn")
        self.blocks_drawn = {stream: integer(drawn, stream) for stream in drawn}
        self.boot_count = integer(state, "boot_count")
        self.stuck = boolean(state, "stuck")
        self.stuck_draws = integer(state, "stuck_draws")


def _from_hex(state: Json, name: str) -> bytes:
    digits = field(state, name)
    try:
        return bytes.fromhex(digits)
    except (TypeError, ValueError) as error:
        raise StateError(f"{name} must be hex digits, is {digits!r:.60}") from error
