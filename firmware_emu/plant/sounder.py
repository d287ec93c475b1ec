"""The transducer: it sounds, and keeps the last tones. Which tone is due when, the controller decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from firmware_emu.pins import Tone
from firmware_emu.plant.component import COUNT, Component, Json, Kinds, rows

if TYPE_CHECKING:
    from firmware_emu.plant.crystal import Crystal

TONES_KEPT: Final = 32
"""The last tones that a rig can hear again; they are in each record of an image."""
TONE: Final[Kinds] = {"at_ms": COUNT, "critical": bool, "duration_ms": COUNT}


class Sounder(Component):
    """Implements `pins.SounderPin`."""

    __slots__ = ("crystal", "heard", "played")
    SAVED: ClassVar[Kinds] = {"played": COUNT}

    def __init__(self, crystal: Crystal) -> None:
        self.crystal = crystal
        self.played = 0
        self.heard: tuple[Tone, ...] = ()
        """The last tones, the newest last; their times are pump time."""

    def play(self, tone: Tone) -> None:
        """Play a tone of the controller's time."""
        now_ms = self.crystal.now_of(tone.at_ms)
        self.stop(now_ms)
        self.played += 1
        self.heard = (*self.heard[1 - TONES_KEPT :], tone._replace(at_ms=now_ms))

    def stop(self, now_ms: int) -> None:
        """Cut off a tone that still sounds at `now_ms`."""
        if self.heard:
            last = self.heard[-1]
            sounded_ms = min(last.duration_ms, now_ms - last.at_ms)
            self.heard = (*self.heard[:-1], last._replace(duration_ms=sounded_ms))

    def to_json(self) -> Json:
        return {**super().to_json(), "heard": [list(tone) for tone in self.heard]}

    def from_json(self, state: Json) -> None:
        super().from_json(state)
        self.heard = tuple(
            Tone(at_ms, bool(critical), ms) for at_ms, critical, ms in rows(state, "heard", TONE)
        )
