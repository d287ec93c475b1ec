"""The checkpoint: everything that moves with a stroke, carried over a power cut.

Written at each stroke on top of the basal rate, at each command, and at least hourly.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from firmware_emu.controller.therapy.counters import Counters, Source
from firmware_emu.controller.therapy.delivery_sources import Deliveries
from firmware_emu.controller.therapy.stall_detector import StallDetector

_RECORD: Final = struct.Struct(f"<IQqQ{len(Source)}Q24s")


class Checkpoint(NamedTuple):
    """What had moved at `tick_ms`; `status_rev` is that of the last commit."""

    status_rev: int
    tick_ms: int
    belief_nl: int
    counters: Counters
    detector: StallDetector
    deliveries: Deliveries

    def pack(self) -> bytes:
        """Bytes of the checkpoint."""
        fixed = _RECORD.pack(
            self.status_rev,
            self.tick_ms,
            self.belief_nl,
            self.counters.commanded,
            *self.counters.seen,
            self.detector.pack(),
        )
        return fixed + self.deliveries.pack()

    @classmethod
    def unpack(cls, data: bytes, stroke_nl: int, detect_ms: int, recovery_edges: int) -> Checkpoint:
        """The checkpoint; ValueError for bytes that this program never wrote."""
        if len(data) < _RECORD.size:
            raise ValueError(f"checkpoint has {len(data)} bytes, expected at least {_RECORD.size}")
        status_rev, tick, belief_nl, commanded, *seen, detector = _RECORD.unpack_from(data)
        try:
            return cls(
                status_rev,
                tick,
                belief_nl,
                Counters(commanded, seen),
                StallDetector.unpack(detector, detect_ms, recovery_edges),
                Deliveries.unpack(data[_RECORD.size :], stroke_nl),
            )
        except struct.error as error:
            raise ValueError(f"checkpoint of {len(data)} bytes: {error}") from error
