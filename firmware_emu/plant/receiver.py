"""The receiver of the telemetry, and the interference that wakes it as a programming head would [DOMAIN 3.4, S12].

It carries no frames: bytes reach the program by `Pump.step`. What a wake-up does to therapy is the program's affair.
"""

from __future__ import annotations

from typing import ClassVar

from firmware_emu.plant.component import COUNT, Component, Kinds


class Receiver(Component):
    """Implements `pins.ReceiverPin`. Times are pump time; None where there is no such moment."""

    __slots__ = ("disturbed", "until_ms", "untold", "wakes")
    SAVED: ClassVar[Kinds] = {"disturbed": bool, "untold": bool, "until_ms": COUNT, "wakes": COUNT}
    MAY_BE_NONE: ClassVar[tuple[str, ...]] = ("until_ms",)

    def __init__(self) -> None:
        self.disturbed = False
        self.untold = False
        """Whether it woke or fell asleep since the program was called."""
        self.until_ms: int | None = None
        self.wakes = 0

    def awake(self) -> bool:
        """Whether interference keeps it awake."""
        return self.disturbed

    def disturb(self, until_ms: int | None) -> None:
        """Let interference wake it, up to and including `until_ms`, or until it is ended if that is None."""
        self.wakes += not self.disturbed
        self.disturbed = self.untold = True
        self.until_ms = until_ms

    def end(self) -> None:
        """Let the interference end."""
        self.untold = self.untold or self.disturbed
        self.disturbed = False
        self.until_ms = None

    def take_change(self) -> bool:
        """Whether it woke or fell asleep since the last call."""
        untold, self.untold = self.untold, False
        return untold
