"""A moment as one value: pump time, which the patient lives by, and line time, which the client lives by.

What the two follow (real time, a factor of it, a rig's word) is decided in `bench/clock`.
"""

from __future__ import annotations

from typing import NamedTuple


class Now(NamedTuple):
    """Pump time and line time of one moment, in ms [SPEC 12]. Both are always said, also where they are equal."""

    pump_ms: int
    line_ms: int

    @classmethod
    def both(cls, ms: int) -> Now:
        """The moment at which pump and client have the same time."""
        return cls(ms, ms)

    @property
    def is_same(self) -> bool:
        """Whether pump and client have the same time."""
        return self.pump_ms == self.line_ms

    def later(self, ms: int) -> Now:
        """The moment so much later, for both."""
        return Now(self.pump_ms + ms, self.line_ms + ms)

    def on_the_way_to(self, later: Now, pump_ms: int) -> Now:
        """The moment of `pump_ms` between this one and a later one: line time passes in proportion, rounded down."""
        if pump_ms == later.pump_ms:
            return later
        line_span_ms, span_ms = later.line_ms - self.line_ms, later.pump_ms - self.pump_ms
        return Now(pump_ms, self.line_ms + (pump_ms - self.pump_ms) * line_span_ms // span_ms)


class TickNow(NamedTuple):
    """The same moment as the program in the pump knows it: by ticks of its own clock, which a power cut sets back."""

    tick_ms: int
    line_ms: int
