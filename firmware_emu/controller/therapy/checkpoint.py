"""The checkpoint: everything that moves with a stroke, carried over a power cut.

Written at each stroke on top of the basal rate, at each command, and at least hourly.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from firmware_emu.controller.therapy.counters import Counters, Source
from firmware_emu.controller.therapy.delivery_sources import Deliveries
from firmware_emu.controller.therapy.stall_detector import StallDetector

if TYPE_CHECKING:
    from firmware_emu.controller.therapy.therapy import Therapy

_RECORD: Final = struct.Struct(f"<IQqQ{len(Source)}Q24s")


def pack_checkpoint(therapy: Therapy, tick_ms: int) -> bytes:
    """Bytes of the checkpoint of what has moved until `tick_ms`."""
    records, counters = therapy.records, therapy.counters
    fixed = _RECORD.pack(
        records.therapy.status_rev,
        tick_ms,
        records.reservoir.belief_nl,
        counters.commanded,
        *counters.seen,
        therapy.detector.pack(),
    )
    return fixed + therapy.deliveries.pack()


class Checkpoint(NamedTuple):
    """What had moved at `tick_ms`; `status_rev` is that of the last commit."""

    status_rev: int
    tick_ms: int
    belief_nl: int
    counters: Counters
    detector: StallDetector
    deliveries: Deliveries

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
