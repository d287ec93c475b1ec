"""The oscillator that makes the controller's ticks out of pump time: exact, unless it drifts or stands.

Pump time never stops and starts at 0. Ticks differ from it by an offset that is fixed at each boot and, where the
oscillator drifts, by so many parts in a million of the time since then: all of it in integers. A tick is counted when
it is whole, so tick and pump time are a pair of roundings that belong together: `now_of(tick) <= now` where and only
where `tick <= tick_of(now)`. No event is run before its tick, and none is left behind.
"""

from __future__ import annotations

from typing import ClassVar, Final

from firmware_emu.plant.component import COUNT, SIGNED, Component, Kinds, Range
from firmware_emu.units import MS_PER_S, PPM

DRIFT_MAX_PPM: Final = 900_000
"""Ten times too slow, or nearly twice too fast: past that no part of the chip would run."""


class Crystal(Component):
    """Implements `pins.CrystalPin`."""

    __slots__ = (
        "anchor_ms",
        "drift_ppm",
        "jump_ms",
        "jump_to_epoch",
        "jumps",
        "latch_ms",
        "now_ms",
        "offset_ms",
        "rated_drift_ppm",
        "standing_since_ms",
        "standing_until_ms",
        "stops",
        "strokes_skewed",
        "strokes_skewed_since",
    )
    SAVED: ClassVar[Kinds] = {
        "anchor_ms": COUNT,
        "drift_ppm": Range(-DRIFT_MAX_PPM, DRIFT_MAX_PPM),
        "jump_ms": SIGNED,
        "jump_to_epoch": bool,
        "jumps": COUNT,
        "latch_ms": COUNT,
        "offset_ms": SIGNED,
        "standing_since_ms": COUNT,
        "standing_until_ms": COUNT,
        "stops": COUNT,
        "strokes_skewed": COUNT,
        "strokes_skewed_since": COUNT,
    }
    MAY_BE_NONE = ("jump_ms", "standing_since_ms", "standing_until_ms", "strokes_skewed_since")

    def __init__(self, drift_ppm: int = 0) -> None:
        """An oscillator whose ticks come by `drift_ppm` millionths too fast, for good; negative: too slow."""
        self.latch_ms = 0
        self.offset_ms = 0
        self.anchor_ms = 0
        self.now_ms = 0
        """Pump time for parts whose faults need it, told anew at each start, event and deed: no state."""
        self.rated_drift_ppm = drift_ppm
        self.drift_ppm = drift_ppm
        self.strokes_skewed = 0
        self.strokes_skewed_since: int | None = None
        self.standing_since_ms: int | None = None
        self.standing_until_ms: int | None = None
        self.stops = 0
        self.jump_ms: int | None = None  # by which the register is off at the next loss of power
        self.jump_to_epoch = False
        self.jumps = 0

    @property
    def is_exact(self) -> bool:
        """Whether ticks differ from pump time by an offset alone."""
        return not self.drift_ppm and self.standing_since_ms is None

    def latched_ms(self) -> int:
        """Ticks at the last whole second before the oscillator stopped."""
        return self.latch_ms

    # Power

    def stop(self, now_ms: int) -> None:
        """Power is gone: what was latched last, stays, unless an armed jump has hit the register."""
        self.latch_ms = self.tick_of(now_ms) // MS_PER_S * MS_PER_S
        if self.jump_ms is not None:
            self.latch_ms = 0 if self.jump_to_epoch else max(0, self.latch_ms + self.jump_ms)
            self.jump_ms, self.jump_to_epoch = None, False
            self.jumps += 1

    def start(self, now_ms: int) -> None:
        """Power is back: count on from what was latched, until the program that boots says where it begins.

        Power may go again before it has said so; the time between counts no more than it did. An oscillator that stood
        starts again.
        """
        self.standing_since_ms = self.standing_until_ms = None
        self.begin(now_ms, self.latch_ms)

    def begin(self, now_ms: int, tick_ms: int) -> None:
        """The program says that it is this tick now."""
        self.anchor_ms = now_ms
        self.offset_ms = tick_ms - now_ms

    # Time

    def now_of(self, tick_ms: int) -> int:
        """The first pump time at which this tick has been counted, or would be if the oscillator did not stand."""
        if not self.drift_ppm and self.standing_since_ms is None:
            return tick_ms - self.offset_ms
        ticks = tick_ms - self.offset_ms - self.anchor_ms
        return self.anchor_ms - -ticks * PPM // (PPM + self.drift_ppm)

    def tick_of(self, now_ms: int) -> int:
        """The last tick that has been counted at a pump time."""
        if not self.drift_ppm and self.standing_since_ms is None:
            return now_ms + self.offset_ms
        return self._tick_of(
            now_ms if self.standing_since_ms is None else min(now_ms, self.standing_since_ms)
        )

    def _tick_of(self, now_ms: int) -> int:
        return now_ms + self.offset_ms + (now_ms - self.anchor_ms) * self.drift_ppm // PPM

    # Faults

    def set_drift(self, now_ms: int, drift_ppm: int, strokes_turned: int) -> None:
        """Go on from this tick at another pace; strokes turned at a pace that is not its own are counted."""
        if abs(drift_ppm) > DRIFT_MAX_PPM:
            raise ValueError(f"no oscillator runs {drift_ppm} ppm too fast")
        standing_ms = self.standing_since_ms
        self.begin(now_ms if standing_ms is None else standing_ms, self.tick_of(now_ms))
        self.strokes_skewed = self.skewed(strokes_turned)
        self.strokes_skewed_since = None if drift_ppm == self.rated_drift_ppm else strokes_turned
        self.drift_ppm = drift_ppm

    def skewed(self, strokes_turned: int) -> int:
        """Strokes that were turned too early or too late, as the clock was not what it is rated for."""
        since = self.strokes_skewed_since
        return self.strokes_skewed + (0 if since is None else strokes_turned - since)

    def stand(self, now_ms: int, until_ms: int | None = None) -> None:
        """Stop counting, until this pump time or until power comes back."""
        if self.standing_since_ms is None:
            self.standing_since_ms = now_ms
            self.stops += 1
        self.standing_until_ms = until_ms

    def go_on(self, now_ms: int) -> None:
        """Count on from where it stood; nothing where it does not stand."""
        if self.standing_since_ms is not None:
            tick_ms = self.tick_of(now_ms)
            self.standing_since_ms = self.standing_until_ms = None
            self.begin(now_ms, tick_ms)
