"""The transducer: it sounds, and keeps the last tones. Which tone is due when, the controller decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from firmware_emu.pins import Tone
from firmware_emu.plant.component import COUNT, Component, Json, Kinds, rows

if TYPE_CHECKING:
    from firmware_emu.plant.battery import Battery
    from firmware_emu.plant.crystal import Crystal

TONES_KEPT: Final = 32
"""The last tones that a rig can hear again; they are in each record of an image."""
TONE: Final[Kinds] = {"at_ms": COUNT, "critical": bool, "duration_ms": COUNT}


class Sounder(Component):
    """Implements `pins.SounderPin`."""

    __slots__ = ("battery", "crystal", "dead", "heard", "played", "unheard")
    SAVED: ClassVar[Kinds] = {"dead": bool, "played": COUNT, "unheard": COUNT}

    def __init__(self, crystal: Crystal, battery: Battery | None = None) -> None:
        """A sounder; without a `battery` it loads none."""
        self.crystal = crystal
        self.battery = battery
        self.played = 0
        self.dead = False
        self.unheard = 0
        self.heard: tuple[Tone, ...] = ()
        """The last tones, the newest last; their times are pump time."""

    def play(self, tone: Tone) -> bool:
        """Play a tone of the controller's time; returns whether current flowed. Raises PowerCut: it is not heard."""
        now_ms = self.crystal.now_of(tone.at_ms)
        self.stop(now_ms)
        if self.dead:
            self.unheard += 1
            return False
        if self.battery is not None:
            self.battery.play(tone.duration_ms)
        self.played += 1
        self.heard = (*self.heard[1 - TONES_KEPT :], tone._replace(at_ms=now_ms))
        return True

    def conducts(self) -> bool:
        """Whether a pulse too short to be heard flows."""
        return not self.dead

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
