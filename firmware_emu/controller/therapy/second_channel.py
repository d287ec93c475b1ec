"""The second channel: counts by itself what is due, and lets a stroke go to the motor only where the first agrees.

"Both processors must agree" [DOMAIN 1.2, SR-67]. It sits at the motor's gate. At each change of what is asked for it
takes its own copy of rate, beginning and what was owed; from then on it counts alone. A row of a million strokes is
compared as one is, by arithmetic. What to do where they disagree is the business of `therapy`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from firmware_emu.controller.therapy.counters import Source

if TYPE_CHECKING:
    from firmware_emu.controller.therapy.delivery_sources import Deliveries
    from firmware_emu.pins import RotorPin, StrokeRun


class ChannelsDisagree(Exception):
    """What the first channel commands is not what the second finds due; nothing was turned."""

    def __init__(self, source: Source, commanded: int, due: int) -> None:
        super().__init__(source, commanded, due)
        self.source, self.commanded, self.due = source, commanded, due


class Account(NamedTuple):
    """What a source asks for: `numerator` more each ms since `anchor_ms`, of which `denominator` make a stroke."""

    numerator: int
    denominator: int
    anchor_ms: int
    carried: int
    turned: int
    left: int | None = None
    """Strokes until it is over; None where it has no end."""


@dataclass(slots=True, eq=False, repr=False)
class Gate:
    """Implements `pins.RotorPin`, before the motor, for the strokes of one source that are due until `tick_ms`."""

    rotor: RotorPin
    source: Source
    tick_ms: int = 0
    numerator: int = 0
    denominator: int = 1
    anchor_ms: int = 0
    carried: int = 0
    turned: int = 0
    left: int | None = None
    false_edges: int = 0

    def run(self, run: StrokeRun) -> int:
        """Turn a row of strokes on which both channels agree; returns the edges, no more than there were strokes.

        An edge too many is no stroke: it is counted apart. Raises ChannelsDisagree, and PowerCut.
        """
        grown = self.numerator * (self.tick_ms - self.anchor_ms)
        due, left = (self.carried + grown) // self.denominator - self.turned, self.left
        if left is not None and left < due:
            due = left
        if due != run.count:
            raise ChannelsDisagree(self.source, run.count, due)
        edges = self.rotor.run(run)
        self.turned += due
        if edges > due:
            self.false_edges += edges - due
            edges = due
        if left is not None:
            # a bridge turns again what was not seen
            self.left = left - (max(0, edges) if self.source is Source.BRIDGE else due)
        return edges

    def follow(self, account: Account) -> None:
        """Take a copy of what is asked for from now on."""
        self.numerator, self.denominator, self.anchor_ms, self.carried, self.turned, self.left = account


class SecondChannel:
    """The gates of the sources that have delivered; the basal rate has one from the start."""

    __slots__ = ("gates", "rotor")

    def __init__(self, rotor: RotorPin) -> None:
        self.rotor = rotor
        self.gates = {Source.BASAL: Gate(rotor, Source.BASAL)}

    def take_false_edges(self) -> int:
        """Edges without a stroke since the last call, or since the program started."""
        found = sum(gate.false_edges for gate in self.gates.values())
        for gate in self.gates.values():
            gate.false_edges = 0
        return found

    def strokes_left(self, source: Source) -> int:
        """Strokes until what a source delivers is over, by this channel's count; 0 where it has no end or no gate."""
        gate = self.gates.get(source)
        return 0 if gate is None or gate.left is None else gate.left

    def follow(self, deliveries: Deliveries) -> None:
        """Take copies of what is asked for from now on; strokes until now are turned."""
        self._gate(Source.BASAL).follow(deliveries.basal.account())
        if deliveries.bridge is not None:
            self._gate(Source.BRIDGE).follow(deliveries.bridge.account())
        for delivery in deliveries.on_top:
            self._gate(delivery.source).follow(delivery.account())

    def _gate(self, source: Source) -> Gate:
        if source not in self.gates:
            self.gates[source] = Gate(self.rotor, source)
        return self.gates[source]
