"""The rotor: turns strokes, moves fluid, shows an edge for each stroke it really turned.

It costs the same for one stroke and for a million. It knows no modes and no rates beyond the run that it is
given; runs must come in the order of time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from firmware_emu.pins import Load, PowerCut, StrokeRun
from firmware_emu.plant.component import (
    COUNT,
    VOLUME,
    Component,
    Json,
    Kinds,
    Range,
    StateError,
    field,
    integer,
    record,
    section,
)
from firmware_emu.plant.fault_records import CutAtStroke, Stall
from firmware_emu.units import ceil_div

if TYPE_CHECKING:
    from firmware_emu.plant.battery import Battery
    from firmware_emu.plant.crystal import Crystal
    from firmware_emu.plant.reservoir import Reservoir


class Rotor(Component):
    """Implements `pins.RotorPin`."""

    __slots__ = (
        "accuracy_ppm",
        "battery",
        "crystal",
        "cut",
        "cuts",
        "dry_nl_ppm",
        "inaccurate_before",
        "inaccurate_since",
        "rated_accuracy_ppm",
        "reservoir",
        "stall",
        "stroke_nl",
        "stroke_nl_ppm",
        "strokes_missed",
        "strokes_turned",
    )
    SAVED: ClassVar[Kinds] = {
        "accuracy_ppm": Range(1),
        "cuts": COUNT,
        "dry_nl_ppm": VOLUME,
        "inaccurate_before": COUNT,
        "inaccurate_since": COUNT,
        "strokes_missed": COUNT,
        "strokes_turned": COUNT,
    }
    MAY_BE_NONE = ("inaccurate_since",)

    def __init__(self, stroke_nl: int, accuracy_ppm: int, reservoir: Reservoir, crystal: Crystal) -> None:
        self.stroke_nl = stroke_nl
        self.reservoir = reservoir
        self.crystal = crystal
        self.battery: Battery | None = None  # that its pulses load; the cell is made after it
        self.strokes_turned = 0
        self.strokes_missed = 0
        self.stall: Stall | None = None
        self.cut: CutAtStroke | None = None
        self.cuts = 0
        self.dry_nl_ppm = 0  # what strokes would have moved, had the reservoir had it
        self.rated_accuracy_ppm = accuracy_ppm
        self.inaccurate_before = 0
        self.inaccurate_since: int | None = None  # strokes turned when its accuracy left what it is rated for
        self.accuracy_ppm = 0
        self.stroke_nl_ppm = 0
        self.set_accuracy(accuracy_ppm)

    def set_accuracy(self, accuracy_ppm: int) -> None:
        """Let every further stroke move `stroke_nl` x accuracy / 10^6."""
        if accuracy_ppm <= 0:
            raise ValueError(f"an accuracy factor of {accuracy_ppm} ppm is no pump's")
        self.inaccurate_before = self.inaccurate_strokes
        self.inaccurate_since = None if accuracy_ppm == self.rated_accuracy_ppm else self.strokes_turned
        self.accuracy_ppm = accuracy_ppm
        self.stroke_nl_ppm = self.stroke_nl * accuracy_ppm

    @property
    def inaccurate_strokes(self) -> int:
        """Strokes turned at another accuracy than the rotor is rated for."""
        now = 0 if self.inaccurate_since is None else self.strokes_turned - self.inaccurate_since
        return self.inaccurate_before + now

    def run(self, run: StrokeRun) -> int:
        """Turn a row of strokes; returns the edges seen. A dry reservoir shows edges all the same."""
        if self.battery is not None and self.battery.film is not None:
            return self._run_on_weak_supply(run, self.battery)
        if self.stall is not None or self.cut is not None:
            return self._run_with_faults(run)
        return self._turn(run)

    def _run_on_weak_supply(self, run: StrokeRun, battery: Battery) -> int:
        """Turn stroke by stroke, each if the voltage holds under its pulse; one at which it does not is not turned."""
        edges = 0
        for k in range(run.first_k, run.first_k + run.count):
            battery.draw(Load.STROKE, battery.loads.stroke_ma, run.time_of_ms(k))
            edges += self._run_with_faults(run._replace(first_k=k, count=1))
        return edges

    def _turn(self, run: StrokeRun) -> int:
        count = run.count
        self.strokes_turned += count
        reservoir = self.reservoir
        emitted_nl_ppm = reservoir.emitted_nl_ppm + count * self.stroke_nl_ppm
        if emitted_nl_ppm < reservoir.dry_at_nl_ppm:
            reservoir.emitted_nl_ppm = emitted_nl_ppm
        elif count:
            self._run_dry(run)
        return count

    def _run_dry(self, run: StrokeRun) -> None:
        """Move what is left, at the stroke that takes the last of it; that one may be partial."""
        reservoir = self.reservoir
        deliverable = reservoir.deliverable_nl_ppm
        self.dry_nl_ppm += run.count * self.stroke_nl_ppm - deliverable
        if deliverable:
            last_k = run.first_k + ceil_div(deliverable, self.stroke_nl_ppm) - 1
            reservoir.ran_dry_at_ms = self.crystal.now_of(run.time_of_ms(last_k))
            reservoir.emitted_nl_ppm = reservoir.dry_at_nl_ppm

    def _run_with_faults(self, run: StrokeRun) -> int:
        missed = self._missed(run)
        self.strokes_missed += missed
        free = run._replace(first_k=run.first_k + missed, count=run.count - missed)
        if self.cut is not None:
            turned_before = self.cut.strokes_left - 1
            if turned_before < free.count:
                stays_off, self.cut = self.cut.stays_off, None
                self.cuts += 1
                self._turn(free._replace(count=turned_before))
                raise PowerCut(run.time_of_ms(free.first_k + turned_before), stays_off=stays_off)
            self.cut = self.cut._replace(strokes_left=self.cut.strokes_left - free.count)
        return self._turn(free)

    def _missed(self, run: StrokeRun) -> int:
        """Strokes of a run that fall into the stall."""
        if self.stall is None:
            return 0
        if self.stall.until_ms is None:
            return run.count
        elapsed_ms = self.crystal.tick_of(self.stall.until_ms) - run.anchor_ms
        last_k = (run.carried + elapsed_ms * run.rate_numerator) // run.stroke_denominator
        return min(run.count, max(0, last_k - run.first_k + 1))

    def to_json(self) -> Json:
        stall, cut = self.stall, self.cut
        return {
            **super().to_json(),
            "stall": None if stall is None else {"since_ms": stall.since_ms, "until_ms": stall.until_ms},
            "cut": None if cut is None else list(cut),
        }

    def from_json(self, state: Json) -> None:
        super().from_json(state)
        if self.inaccurate_since is not None and self.inaccurate_since > self.strokes_turned:
            raise StateError(
                f"inaccurate_since must be at most strokes_turned, {self.strokes_turned}, is {self.inaccurate_since}"
            )
        self.stroke_nl_ppm = self.stroke_nl * self.accuracy_ppm
        cut = record(state, "cut", {"strokes_left": Range(1), "stays_off": bool})
        self.cut = None if cut is None else CutAtStroke(cut[0], bool(cut[1]))
        self.stall = None
        if field(state, "stall") is not None:
            stall = section(state, "stall")
            since_ms = integer(stall, "since_ms")
            forever = field(stall, "until_ms") is None
            self.stall = Stall(since_ms, None if forever else integer(stall, "until_ms", Range(since_ms)))
