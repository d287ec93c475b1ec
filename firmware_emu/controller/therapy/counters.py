"""What was commanded and what was seen to turn, by source; and the checkpoint that carries it over a power cut.

Counts are strokes; a volume is strokes times the model's stroke volume. `commanded` counts what the rotor was told,
`seen` counts edges. The checkpoint is written at each bolus stroke, at each command, and at least hourly.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from firmware_emu.controller.therapy.bolus import ActiveBolus
from firmware_emu.controller.therapy.delivery import Basal
from firmware_emu.controller.therapy.stall_detector import StallDetector

_RECORD = struct.Struct("<IQqQ6Q20s24s")


class Source(IntEnum):
    """Who asked for a stroke; each has an accumulator and a count of its own."""

    BASAL = 0
    BOLUS = 1
    PATIENT = 2
    PERIODIC = 3
    PRIME = 4
    BRIDGE = 5


@dataclass(slots=True)
class Counters:
    """Strokes since the pump was made."""

    commanded: int = 0
    seen: list[int] = field(default_factory=lambda: [0] * len(Source))

    def count(self, source: Source, commanded: int, seen: int) -> None:
        """A run of a source: what the rotor was told, and the edges that came back."""
        self.commanded += commanded
        self.seen[source] += seen

    @property
    def strokes(self) -> int:
        """Edges seen, over all sources."""
        return sum(self.seen)


class Checkpoint(NamedTuple):
    """Everything that moves with a stroke, at `tick_ms`; `status_rev` is that of the last commit."""

    status_rev: int
    tick_ms: int
    belief_nl: int
    counters: Counters
    basal: Basal
    detector: StallDetector
    bolus: ActiveBolus | None

    def pack(self) -> bytes:
        """Bytes of the checkpoint."""
        counters = self.counters
        fixed = _RECORD.pack(
            self.status_rev,
            self.tick_ms,
            self.belief_nl,
            counters.commanded,
            *counters.seen,
            self.basal.pack(),
            self.detector.pack(),
        )
        return fixed if self.bolus is None else fixed + self.bolus.pack()

    @classmethod
    def unpack(cls, data: bytes, stroke_nl: int, detect_ms: int, recovery_edges: int) -> Checkpoint:
        """The checkpoint; ValueError for bytes that this program never wrote."""
        if len(data) < _RECORD.size:
            raise ValueError(f"checkpoint has {len(data)} bytes, expected at least {_RECORD.size}")
        status_rev, tick, belief_nl, commanded, *seen, basal, detector = _RECORD.unpack_from(data)
        bolus = data[_RECORD.size :]
        try:
            return cls(
                status_rev,
                tick,
                belief_nl,
                Counters(commanded, seen),
                Basal.unpack(basal, stroke_nl),
                StallDetector.unpack(detector, detect_ms, recovery_edges),
                ActiveBolus.unpack(bolus) if bolus else None,
            )
        except struct.error as error:
            raise ValueError(f"checkpoint of {len(data)} bytes: {error}") from error
