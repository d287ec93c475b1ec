"""What was commanded and what was seen to turn, by source.

Counts are strokes; a volume is strokes times the model's stroke volume. `commanded` counts what the rotor was told,
`seen` counts edges.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum


class Source(IntEnum):
    """Who asked for a stroke; each has an accumulator and a count of its own."""

    BASAL = 0
    BOLUS = 1
    PATIENT = 2
    PERIODIC = 3
    PRIME = 4
    BRIDGE = 5


def strokes_seen(commanded: int, edges: int) -> int:
    """Strokes that edges tell of: never more than were commanded, and none by an edge that was reversed."""
    return max(0, min(commanded, edges))


@dataclass(slots=True)
class Counters:
    """Strokes since the pump was made."""

    commanded: int = 0
    seen: list[int] = field(default_factory=lambda: [0] * len(Source))

    def count(self, source: Source, commanded: int, seen: int) -> None:
        """Count a run of a source: what the rotor was told, and the edges that came back."""
        self.commanded += commanded
        self.seen[source] += strokes_seen(commanded, seen)

    @property
    def strokes(self) -> int:
        """Edges seen, over all sources."""
        return sum(self.seen)
