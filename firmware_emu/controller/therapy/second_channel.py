"""The second channel: counts by itself what is due, and lets a stroke go to the motor only where the first agrees.

"Both processors must agree" [DOMAIN 1.2, SR-67]. It sits at the motor's gate. At each change of what is asked for it
takes its own copy of rate, beginning and what was owed; from then on it counts alone. A row of a million strokes is
compared as one is, by arithmetic. What to do where they disagree is the business of `therapy`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from firmware_emu.controller.therapy.counters import Source

if TYPE_CHECKING:
    from firmware_emu.controller.therapy.delivery_sources import Deliveries
    from firmware_emu.pins import RotorPin, StrokeRun


class ChannelsDisagree(Exception):
    """What the first channel commands is not what the second finds due; nothing was turned."""

    def __init__(self, source: Source, commanded: int, due: int) -> None:
        super().__init__(source, commanded, due)
        self.source, self.commanded, self.due = source, commanded, due


@dataclass(slots=True)
class Account:
    """What a source asks for: `numerator` more each ms since `anchor_ms`, of which `denominator` make a stroke."""

    numerator: int = 0
    denominator: int = 1
    anchor_ms: int = 0
    carried: int = 0
    turned: int = 0
    left: int | None = None
    """Strokes until it is over; None where it has no end."""

    def due(self, tick_ms: int) -> int:
        """Strokes due at or before `tick_ms` and not turned yet."""
        due = (self.carried + self.numerator * (tick_ms - self.anchor_ms)) // self.denominator - self.turned
        return due if self.left is None else min(due, self.left)


@dataclass(slots=True, eq=False, repr=False)
class SecondChannel:
    """Implements `pins.RotorPin`, before the motor. `source` and `tick_ms` say whose strokes come, and until when."""

    rotor: RotorPin
    source: Source = Source.BASAL
    tick_ms: int = 0
    false_edges: int = 0
    accounts: list[Account] = field(default_factory=lambda: [Account() for _ in Source])

    def run(self, run: StrokeRun) -> int:
        """Turn a row of strokes on which both channels agree; returns the edges, no more than there were strokes.

        An edge too many is no stroke: it is counted apart. Raises ChannelsDisagree, and PowerCut.
        """
        account = self.accounts[self.source]
        due = account.due(self.tick_ms)
        if due != run.count:
            raise ChannelsDisagree(self.source, run.count, due)
        edges = self.rotor.run(run)
        if edges > due:
            self.false_edges += edges - due
            edges = due
        account.turned += due
        if account.left is not None:
            # a bridge turns again what was not seen
            account.left -= edges if self.source is Source.BRIDGE else due
        return edges

    def take_false_edges(self) -> int:
        """Edges without a stroke since the last call, or since the program started."""
        found, self.false_edges = self.false_edges, 0
        return found

    def follow(self, deliveries: Deliveries) -> None:
        """Take copies of what is asked for from now on; strokes until now are turned."""
        self.accounts[Source.BASAL] = deliveries.basal.account()
        if deliveries.bridge is not None:
            self.accounts[Source.BRIDGE] = deliveries.bridge.account()
        for delivery in deliveries.on_top:
            self.accounts[delivery.source] = delivery.account()
