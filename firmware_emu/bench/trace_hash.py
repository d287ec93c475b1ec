"""A running SHA-256 over all that happened to a pump, as a value: it can be copied, pickled and gone on with.

Two runs with the same hash are the same run. The trace holds no step sizes, so the hash does not depend on
how the time was cut into steps. What goes in, byte for byte, stands in DESIGN.md under "The trace".
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from firmware_emu.events import kind_of, plain_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from firmware_emu.events import TraceEntry

BLOCK_BYTES = 4_096
_ENCODER = json.JSONEncoder(separators=(",", ":"))


def trace_bytes(entries: Iterable[TraceEntry]) -> bytes:
    """Trace entries as bytes to hash, a line of JSON each: equal traces, equal bytes."""
    return "".join([_line(entry) for entry in entries]).encode("ascii")


def _line(entry: TraceEntry) -> str:
    """An entry as JSON, put together by hand: frames make most of a trace, and the encoder takes twice as long."""
    (pump_ms, line_ms), event = entry
    fields = ",".join([f'"{name}":{_json(value)}' for name, value in vars(event).items()])
    return f'{{"kind":"{kind_of(event)}","now_ms":{pump_ms},"line_ms":{line_ms},"fields":{{{fields}}}}}\n'


def _json(value: object) -> str:
    if type(value) is int:
        return str(value)
    if type(value) is bytes:
        return f'"{value.hex()}"'
    return _ENCODER.encode(plain_of(value))


class TraceHash:
    """The hash of a trace, chained over blocks of a fixed size: hash objects of hashlib cannot be pickled."""

    __slots__ = ("_chain", "_pending")

    def __init__(self) -> None:
        self._chain = b""
        self._pending = b""

    def add(self, data: bytes) -> None:
        """Add more of the trace."""
        pending = self._pending + data
        while len(pending) >= BLOCK_BYTES:
            self._chain = hashlib.sha256(self._chain + pending[:BLOCK_BYTES]).digest()
            pending = pending[BLOCK_BYTES:]
        self._pending = pending

    def hexdigest(self) -> str:
        """Hash of the whole trace up to here."""
        return hashlib.sha256(self._chain + self._pending).hexdigest()
