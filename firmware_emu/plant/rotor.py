"""The rotor: turns strokes, moves fluid, shows an edge for each stroke it really turned.

It costs the same for one stroke and for a million, but while a fault or the surroundings make strokes differ: then it
goes stroke by stroke (`by_stroke`). It knows no modes and no rates beyond the run that it is given; runs must come in
the order of time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

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
from firmware_emu.plant.fault_records import CutAtStroke, EveryNth, Field, Ramp, Stall, Wear
from firmware_emu.plant.flow_model import EVEN, FlowModel
from firmware_emu.units import MS_PER_HOUR, PPM, ceil_div

if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware_emu.plant.battery import Battery
    from firmware_emu.plant.crystal import Crystal
    from firmware_emu.plant.reservoir import Reservoir

TUBE_SET_MS: Final = 48 * MS_PER_HOUR
"""A roller that stands on the tube for so long dents it [DOMAIN 3.5]."""
REVERSED: Final = -1
"""What the sensor shows of a stroke that turned backwards."""
ACCURACY_MAX_PPM: Final = 10_000_000
RAMP: Final = Range(-ACCURACY_MAX_PPM, ACCURACY_MAX_PPM)
_EVERY_NTH: Kinds = {"strokes": Range(1), "left": Range(1)}
_RAMP: Kinds = {"since_ms": COUNT, "start_ppm": Range(0, ACCURACY_MAX_PPM), "ramp_ppm_per_day": RAMP}
_RECORDS: Final[dict[str, tuple[Callable[..., Any], Kinds]]] = {
    "drift": (Ramp, _RAMP),
    "edges_fail": (EveryNth, _EVERY_NTH),
    "edges_double": (EveryNth, _EVERY_NTH),
    "field": (Field, {"since_ms": COUNT, "ends_ms": COUNT, "until_ms": COUNT}),
    "starved": (Ramp, _RAMP),
    "wear": (
        Wear,
        {"free_strokes": COUNT, "held_strokes": Range(1), "fewer_strokes": COUNT, "left": Range(1)},
    ),
}
"""Records of what is wrong with it, each with what its fields can be; None where it is not there."""


class Rotor(Component):
    """Implements `pins.RotorPin`."""

    __slots__ = (
        "accuracy_ppm",
        "backward_in_field",
        "backward_left",
        "battery",
        "by_stroke",
        "crystal",
        "cut",
        "cuts",
        "dented",
        "drift",
        "drifted_strokes",
        "dry_nl_ppm",
        "edges_double",
        "edges_fail",
        "edges_false",
        "edges_lost",
        "edges_vary",
        "fever_strokes",
        "field",
        "flow_model",
        "inaccurate_before",
        "inaccurate_since",
        "last_turned_ms",
        "missed_by_wear",
        "missed_in_field",
        "pressure_ppm",
        "pressure_strokes",
        "rated_accuracy_ppm",
        "reservoir",
        "row",
        "row_anchor_ms",
        "row_rate",
        "row_turned",
        "stall",
        "starved",
        "starved_strokes",
        "stroke_nl",
        "stroke_nl_ppm",
        "strokes_backward",
        "strokes_missed",
        "strokes_turned",
        "tube_accuracy_ppm",
        "tube_set_strokes",
        "warmth_ppm",
        "wear",
    )
    SAVED: ClassVar[Kinds] = {
        "accuracy_ppm": Range(1),
        "backward_in_field": COUNT,
        "backward_left": COUNT,
        "cuts": COUNT,
        "dented": bool,
        "drifted_strokes": COUNT,
        "dry_nl_ppm": VOLUME,
        "edges_false": COUNT,
        "edges_lost": COUNT,
        "fever_strokes": COUNT,
        "inaccurate_before": COUNT,
        "inaccurate_since": COUNT,
        "last_turned_ms": COUNT,
        "missed_by_wear": COUNT,
        "missed_in_field": COUNT,
        "pressure_strokes": COUNT,
        "starved_strokes": COUNT,
        "strokes_backward": COUNT,
        "strokes_missed": COUNT,
        "strokes_turned": COUNT,
        "tube_accuracy_ppm": Range(1, ACCURACY_MAX_PPM),
        "tube_set_strokes": COUNT,
    }
    MAY_BE_NONE = ("inaccurate_since", "last_turned_ms", "tube_accuracy_ppm")

    def __init__(
        self,
        stroke_nl: int,
        accuracy_ppm: int,
        reservoir: Reservoir,
        crystal: Crystal,
        flow_model: FlowModel = EVEN,
    ) -> None:
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
        self.flow_model = flow_model
        self.warmth_ppm = self.pressure_ppm = PPM
        self.fever_strokes = self.pressure_strokes = 0
        self.field: Field | None = None
        self.missed_in_field = self.backward_in_field = 0
        self.backward_left = 0  # commanded strokes that will turn it the wrong way
        self.strokes_backward = 0
        self.wear: Wear | None = None
        self.missed_by_wear = 0
        self.edges_fail: EveryNth | None = None
        self.edges_double: EveryNth | None = None
        self.edges_lost = self.edges_false = 0
        self.drift: Ramp | None = None
        self.starved: Ramp | None = None
        self.drifted_strokes = self.starved_strokes = 0
        self.tube_accuracy_ppm: int | None = None  # once it is dented
        self.dented = False
        self.tube_set_strokes = 0
        self.last_turned_ms: int | None = None  # before the present row
        self.row: StrokeRun | None = None
        self.row_anchor_ms = self.row_rate = self.row_turned = 0
        self.by_stroke = self.edges_vary = False
        self.set_accuracy(accuracy_ppm)
        self.look()

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

    def look(self) -> None:
        """Find anew whether strokes differ, in what they show or in what they move; after each change of that."""
        self.edges_vary = bool(
            self.field or self.wear or self.edges_fail or self.edges_double or self.backward_left
        )
        self.by_stroke = bool(
            self.edges_vary
            or self.drift
            or self.starved
            or self.tube_accuracy_ppm
            or self.warmth_ppm != PPM
            or self.pressure_ppm != PPM
            or self.flow_model.per_fill_ppm
            or self.reservoir.flow
            or self.reservoir.catheter.held_tip_nl_ppm is not None
        )

    def run(self, run: StrokeRun) -> int:
        """Turn a row of strokes; returns the edges seen. A dry reservoir shows edges all the same."""
        if self.battery is not None and self.battery.film is not None:
            return self._run_on_weak_supply(run, self.battery)
        return self._run_on_good_supply(run)

    def _run_on_good_supply(self, run: StrokeRun) -> int:
        if self.by_stroke:
            return sum(self._stroke(run, k) for k in range(run.first_k, run.first_k + run.count))
        if self.stall is not None or self.cut is not None:
            return self._run_with_faults(run)
        return self._turn(run)

    def _run_on_weak_supply(self, run: StrokeRun, battery: Battery) -> int:
        """Turn stroke by stroke, each if the voltage holds under its pulse; one at which it does not is not turned."""
        edges = 0
        for k in range(run.first_k, run.first_k + run.count):
            battery.draw(Load.STROKE, battery.loads.stroke_ma, run.time_of_ms(k))
            edges += self._run_on_good_supply(run._replace(first_k=k, count=1))
        return edges

    def _turn(self, run: StrokeRun) -> int:
        count = run.count
        if run.anchor_ms != self.row_anchor_ms or run.rate_numerator != self.row_rate:
            self._begin_row(run)
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
        reservoir.ran_empty = True
        deliverable = reservoir.deliverable_nl_ppm
        self.dry_nl_ppm += run.count * self.stroke_nl_ppm - deliverable
        if deliverable:
            last_k = run.first_k + ceil_div(deliverable, self.stroke_nl_ppm) - 1
            reservoir.ran_dry_at_ms = self.crystal.now_of(run.time_of_ms(last_k))
            reservoir.emitted_nl_ppm = reservoir.dry_at_nl_ppm

    def _run_with_faults(self, run: StrokeRun) -> int:
        missed = self._missed(run)
        self.strokes_missed += missed
        if missed:
            self.settle_row()
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

    # --- stroke by stroke ---------------------------------------------------------------------------------------

    def _stroke(self, run: StrokeRun, k: int) -> int:
        """One stroke that may do other than turn once; returns the edges seen, below 0 where it went backwards."""
        self.settle_row()
        now_ms = self.crystal.now_of(run.time_of_ms(k))
        self.reservoir.flow_until(now_ms)
        edges = 0
        if not self._is_held(now_ms):
            self._count_towards_cut(run, k)
            if self.backward_left:
                self.backward_left -= 1
                self.turn_back(1, now_ms)
                edges = REVERSED
                self.look()
            else:
                edges = self._turn_once(now_ms)
        if self.edges_double is not None:
            false = self.edges_double.left == 1
            self.edges_double = self.edges_double.next()
            self.edges_false += false
            edges += false
        return edges

    def _is_held(self, now_ms: int) -> bool:
        """Whether something takes the stroke that is due; counts which."""
        if self.holds(self.stall, now_ms):
            held = True
        elif self.holds(self.field, now_ms):
            held = True
            self.missed_in_field += 1
        else:
            held = self.wear is not None and self.wear.binds
            self.missed_by_wear += held
            self.wear = None if self.wear is None else self.wear.next()
        self.strokes_missed += held
        return held

    @staticmethod
    def holds(hold: Stall | Field | None, now_ms: int) -> bool:
        """Whether it takes a stroke of this moment."""
        return hold is not None and (hold.until_ms is None or now_ms <= hold.until_ms)

    def _count_towards_cut(self, run: StrokeRun, k: int) -> None:
        if self.cut is None:
            return
        if self.cut.strokes_left > 1:
            self.cut = self.cut._replace(strokes_left=self.cut.strokes_left - 1)
            return
        stays_off, self.cut = self.cut.stays_off, None
        self.cuts += 1
        raise PowerCut(run.time_of_ms(k), stays_off=stays_off)

    def _turn_once(self, now_ms: int) -> int:
        self._stand_until(now_ms)
        self.last_turned_ms = now_ms
        nl_ppm = self._moves_nl_ppm(now_ms)
        self.strokes_turned += 1
        self.drifted_strokes += self.drift is not None
        self.starved_strokes += self.starved is not None
        self.tube_set_strokes += self.dented and self.tube_accuracy_ppm is not None
        self.fever_strokes += self.warmth_ppm != PPM
        self.pressure_strokes += self.pressure_ppm != PPM
        catheter = self.reservoir.catheter
        catheter.occluded_strokes += catheter.held_tip_nl_ppm is not None
        self.dry_nl_ppm += self.reservoir.emit(nl_ppm, now_ms)
        if self.edges_fail is None:
            return 1
        lost = self.edges_fail.left == 1
        self.edges_fail = self.edges_fail.next()
        self.edges_lost += lost
        return 1 - lost

    def turn_back(self, strokes: int, now_ms: int) -> None:
        """Turn it backwards: fluid goes back into the reservoir, as far as there is room for it."""
        self._stand_until(now_ms)
        self.last_turned_ms = now_ms
        self.strokes_backward += strokes
        self.reservoir.take_back(strokes * self._moves_nl_ppm(now_ms))

    def accuracy_at_ppm(self, now_ms: int) -> int:
        """What a stroke of this moment moves of what it should, by the rotor and its tube alone."""
        accuracy_ppm = self.accuracy_ppm
        if self.tube_accuracy_ppm is not None and self.is_dented(now_ms):
            accuracy_ppm = self.tube_accuracy_ppm
        if self.drift is not None:
            accuracy_ppm += self.drift.at_ppm(now_ms)
        return max(0, min(accuracy_ppm, ACCURACY_MAX_PPM))

    def _moves_nl_ppm(self, now_ms: int) -> int:
        """What a stroke of this moment moves, with all that it depends on [DOMAIN 1.6]."""
        reservoir = self.reservoir
        nl_ppm = self.stroke_nl * self.accuracy_at_ppm(now_ms)
        nl_ppm = nl_ppm * self.warmth_ppm // PPM * self.pressure_ppm // PPM
        if self.flow_model.per_fill_ppm:
            fill_ppm = self.flow_model.fill_ppm(reservoir.volume_nl_ppm, reservoir.full_at_nl_ppm)
            nl_ppm = nl_ppm * fill_ppm // PPM
        if self.starved is not None:
            nl_ppm = nl_ppm * max(0, min(PPM, self.starved.at_ppm(now_ms))) // PPM
        return nl_ppm

    # --- standing -----------------------------------------------------------------------------------------------

    def _begin_row(self, run: StrokeRun) -> None:
        """Note when a row begins, so that nobody needs to note each stroke: the last one follows from the count."""
        if not run.count:
            return
        self.settle_row()
        self._stand_until(self.crystal.now_of(run.time_of_ms(run.first_k)))
        self.row = run
        self.row_anchor_ms, self.row_rate, self.row_turned = (
            run.anchor_ms,
            run.rate_numerator,
            self.strokes_turned,
        )

    def settle_row(self) -> None:
        """Turn the present row into the time of its last stroke; before ticks may mean another time."""
        row = self.row
        if row is not None:
            last_k = row.first_k + self.strokes_turned - self.row_turned - 1
            self.last_turned_ms = self.crystal.now_of(row.time_of_ms(last_k))
            self.row = None
            self.row_anchor_ms = self.row_rate = self.row_turned = 0

    def _stand_until(self, now_ms: int) -> None:
        self.dented = self.is_dented(now_ms)

    def is_dented(self, now_ms: int) -> bool:
        """Whether the roller has stood on the tube for so long, ever since somebody looked after it [DOMAIN 3.5]."""
        self.settle_row()
        return self.dented or (
            self.last_turned_ms is not None and now_ms - self.last_turned_ms >= TUBE_SET_MS
        )

    def trust(self, now_ms: int) -> None:
        """Somebody has measured what it moves: the tube is round, and nothing is held against it any more."""
        self.settle_row()
        self.dented = False
        self.last_turned_ms = None if self.last_turned_ms is None else now_ms
        self.reservoir.ran_empty = self.reservoir.overfilled = False

    @property
    def strokes_driven(self) -> int:
        """Strokes for which the motor drew charge, whatever became of them; a field turns it for nothing."""
        return self.strokes_turned + self.strokes_missed + self.strokes_backward - self.backward_in_field

    @property
    def edges(self) -> int:
        """Edges that the sensor has shown of strokes forward."""
        return self.strokes_turned - self.edges_lost + self.edges_false

    def to_json(self) -> Json:
        self.settle_row()
        stall, cut = self.stall, self.cut
        return {
            **super().to_json(),
            "stall": None if stall is None else {"since_ms": stall.since_ms, "until_ms": stall.until_ms},
            "cut": None if cut is None else list(cut),
            **{name: _listed(getattr(self, name)) for name in _RECORDS},
        }

    def from_json(self, state: Json) -> None:
        super().from_json(state)
        if self.inaccurate_since is not None and self.inaccurate_since > self.strokes_turned:
            raise StateError(
                f"inaccurate_since must be at most strokes_turned, {self.strokes_turned}, is {self.inaccurate_since}"
            )
        self.stroke_nl_ppm = self.stroke_nl * self.accuracy_ppm
        for name, (of, kinds) in _RECORDS.items():
            values = record(state, name, kinds)
            setattr(self, name, None if values is None else of(*values))
        cut = record(state, "cut", {"strokes_left": Range(1), "stays_off": bool})
        self.cut = None if cut is None else CutAtStroke(cut[0], bool(cut[1]))
        self.stall = None
        if field(state, "stall") is not None:
            stall = section(state, "stall")
            since_ms = integer(stall, "since_ms")
            forever = field(stall, "until_ms") is None
            self.stall = Stall(since_ms, None if forever else integer(stall, "until_ms", Range(since_ms)))
        self.look()


def _listed(values: tuple[int, ...] | None) -> list[int] | None:
    return None if values is None else list(values)
