"""Records of the physical faults that a rig can set, each fired by the part on which it acts.

Records are immutable: a count that runs down is a new record. They hold no rules of their own.
"""

from __future__ import annotations

from typing import NamedTuple

from firmware_emu.units import MS_PER_DAY, PPM, ceil_div


class Stall(NamedTuple):
    """The rotor is held up to and including `until_ms` (pump time), or until released if that is None."""

    since_ms: int
    until_ms: int | None


class CutAtStroke(NamedTuple):
    """Power goes as the `strokes_left`-th stroke from now is due; those before it are turned, it is not."""

    strokes_left: int
    stays_off: bool = False


class CutAtWrite(NamedTuple):
    """Power goes in the `writes_left`-th memory write from now, of which `torn_after_bytes` bytes land."""

    writes_left: int
    torn_after_bytes: int
    stays_off: bool = False


class Field(NamedTuple):
    """A field holds the rotor up to and including `ends_ms`, and then its gears bind up to and including `until_ms`."""

    since_ms: int
    ends_ms: int
    until_ms: int


class EveryNth(NamedTuple):
    """Something that happens at each n-th stroke; the next time at the `left`-th from now."""

    strokes: int
    left: int

    def next(self) -> EveryNth:
        """After one stroke more; `left` is `strokes` again where it happened at that one."""
        return self._replace(left=self.left - 1 if self.left > 1 else self.strokes)


class Wear(NamedTuple):
    """Gears that turn `free_strokes`, then bind for `held_strokes`, each time `fewer_strokes` sooner; at 0 for good."""

    free_strokes: int
    held_strokes: int
    fewer_strokes: int
    left: int
    """Strokes of this spell still to come, of the free ones first."""

    @property
    def binds(self) -> bool:
        """Whether the next stroke is not turned."""
        return not self.free_strokes or self.left <= self.held_strokes

    def next(self) -> Wear:
        """After one stroke more."""
        if self.left > 1 or not self.free_strokes:
            return self._replace(left=max(1, self.left - 1))
        free_strokes = max(0, self.free_strokes - self.fewer_strokes)
        return self._replace(free_strokes=free_strokes, left=free_strokes + self.held_strokes)


class Ramp(NamedTuple):
    """A factor that was `start_ppm` at `since_ms` (pump time) and changes evenly; the same however time is cut."""

    since_ms: int
    start_ppm: int
    ramp_ppm_per_day: int

    def at_ppm(self, now_ms: int) -> int:
        """The factor at a moment, rounded down; it may be below 0."""
        return self.start_ppm + self.ramp_ppm_per_day * (now_ms - self.since_ms) // MS_PER_DAY


class FreeFlow(NamedTuple):
    """Fluid that moves without the rotor: out of the reservoir, or back into it where the rate is below 0."""

    since_ms: int
    rate_nl_per_day: int
    passed_nl_ppm: int
    """How much of it is accounted for, either way, whether there was fluid to move or not."""

    def due_nl_ppm(self, now_ms: int) -> int:
        """How much has been due since it began, either way."""
        return abs(self.rate_nl_per_day) * PPM * max(0, now_ms - self.since_ms) // MS_PER_DAY

    def due_at_ms(self, nl_ppm: int) -> int:
        """The first millisecond at which so much has been due since it began."""
        return self.since_ms + ceil_div(nl_ppm * MS_PER_DAY, abs(self.rate_nl_per_day) * PPM)


class Misfill(NamedTuple):
    """What becomes of the next fill: what part goes into the reservoir and the pocket, and how much is added."""

    into_reservoir_ppm: int
    into_pocket_ppm: int
    extra_nl: int
