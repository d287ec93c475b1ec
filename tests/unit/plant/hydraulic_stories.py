"""Stories of what can happen to motor, fluid and surroundings, for tests that play each in more than one way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import strategies as st

from firmware_emu.faults.catalogue import fault_named
from firmware_emu.pins import PowerCut, StrokeRun
from firmware_emu.plant.plant import Plant
from firmware_emu.profile import PumpModel
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from firmware_emu.plant.truth import Truth

STROKE_MS = 72_000
OVERFILL_NL = 77_777
SMALL = PumpModel(
    reservoir_size_nl=600_000,
    residual_nl=20_000,
    tubing_nl=10_000,
    catheter_nl=15_000,
    accuracy_per_kelvin_ppm=2_500,
    accuracy_per_atmosphere_ppm=-30_000,
)
FILL_DEPENDENT = PumpModel(
    reservoir_size_nl=600_000,
    residual_nl=20_000,
    tubing_nl=10_000,
    catheter_nl=15_000,
    accuracy_per_fill_ppm=200_000,
)
MIXING = PumpModel(
    reservoir_size_nl=600_000,
    residual_nl=20_000,
    tubing_nl=10_000,
    catheter_nl=15_000,
    catheter_dispersion_ppm=400_000,
)


class Cause(NamedTuple):
    """A fault of the catalogue with parameters that take effect on a small pump within hours."""

    name: str
    parameters: dict[str, int]

    def inject(self, plant: Plant, now_ms: int) -> None:
        fault = fault_named(self.name)
        fault.inject(plant, now_ms, fault.values(self.parameters))

    def clear(self, plant: Plant, now_ms: int) -> None:
        fault_named(self.name).clear(plant, now_ms)


CAUSES = (
    Cause("motor-stall", {"duration_ms": 3 * MS_PER_HOUR}),
    Cause("motor-stall", {}),
    Cause(
        "mri", {"field_duration_ms": MS_PER_HOUR, "restart_delay_ms": 2 * MS_PER_HOUR, "backward_strokes": 7}
    ),
    Cause("rotor-backward", {"strokes": 5}),
    Cause("edge-lost", {"every_strokes": 3}),
    Cause("edge-false", {"every_strokes": 2}),
    Cause("wear", {"free_strokes": 9, "held_strokes": 4, "fewer_strokes": 4}),
    Cause("accuracy", {"accuracy_ppm": 1_333_333}),
    Cause("accuracy-drift", {"ramp_ppm_per_day": 777_777}),
    Cause("accuracy-drift", {"ramp_ppm_per_day": -9_999_999}),
    Cause("tube-set", {"accuracy_ppm": 1_777_777}),
    Cause("propellant-loss", {"flow_ppm": 654_321, "ramp_ppm_per_day": -1_234_567}),
    Cause("pocket-fill", {"pocket_ppm": 333_333}),
    Cause("partial-fill", {"filled_ppm": 111_111}),
    Cause("overfill", {"extra_nl": OVERFILL_NL}),
    Cause("occlusion", {"compliance_nl": 4_321}),
    Cause("catheter-leak", {"lost_ppm": 345_678}),
    Cause("catheter-leak", {}),
    Cause("siphon", {"rate_nl_per_day": 1_234_567}),
    Cause("side-port-aspiration", {}),
    Cause("fever", {"temperature_millicelsius": 40_123}),
    Cause("ambient-pressure", {"pressure_pa": 54_321}),
    Cause("ambient-pressure", {"pressure_pa": 303_900, "backflow_nl_per_day": 1_111_111}),
    Cause(
        "ambient-pressure", {"pressure_pa": 303_900, "backflow_nl_per_day": 5_555_555, "capacity_nl": 555_555}
    ),
)

Act = tuple[str, Any]


def acts() -> st.SearchStrategy[list[Act]]:
    """What happens, in order; time goes on in rows of strokes alone, and while the pump stands."""
    causes = st.sampled_from(CAUSES)
    return st.lists(
        st.one_of(
            st.tuples(st.just("run"), st.integers(1, 120)),
            st.tuples(st.just("stand"), st.integers(1, 3 * MS_PER_DAY)),
            st.tuples(st.just("fill"), st.tuples(st.integers(0, 300_000), st.integers(0, 2_000_000))),
            st.tuples(st.just("aspirate"), st.one_of(st.none(), st.integers(0, 400_000))),
            st.tuples(st.just("inject"), causes),
            st.tuples(st.just("inject"), causes),
            st.tuples(st.just("clear"), causes),
        ),
        max_size=14,
    )


class Player:
    """Lets a story happen to a plant: a pump of 0.6 mL/day, one stroke in 72 s."""

    def __init__(self, model: PumpModel, *, in_steps: bool = False) -> None:
        self.plant = Plant(model, b"")
        self.plant.fill(500_000, 500_000)
        self.in_steps = in_steps
        self.now_ms = 0
        self.edges = 0

    def play(self, story: list[Act]) -> Iterator[Truth]:
        """The truth after each act."""
        for verb, what in story:
            self._play_one(verb, what)
            yield self.plant.truth(self.now_ms)

    def _play_one(self, verb: str, what: Any) -> None:
        plant = self.plant
        if verb == "run":
            self._run(what)
        elif verb == "stand":
            self._wait(self.now_ms + what)
        elif verb == "fill":
            nl, concentration = what
            held = plant.truth(self.now_ms).true_nl_ppm // 1_000_000 + 1
            room = plant.reservoir.most_nl_ppm // 1_000_000 - held - OVERFILL_NL
            if room >= 0:  # a syringe of nothing is overfilled too
                plant.fill(min(nl, room), concentration)
        elif verb == "aspirate":
            plant.aspirate(what)
        elif verb == "inject":
            what.inject(plant, self.now_ms)
        else:
            what.clear(plant, self.now_ms)

    def _run(self, count: int) -> None:
        """One row of strokes; in steps, stroke by stroke, with a look a third of the way to each."""
        run = StrokeRun(self.now_ms, 0, 600_000, 500 * MS_PER_DAY, 1, count)
        ends = [event for event in (self.plant.next_event_ms(),) if event is not None]
        last = 0
        for until in [*range(1, count + 1)] if self.in_steps or self.plant.strokes_matter else [count]:
            at_ms = run.time_of_ms(until)
            if self.in_steps:
                self._wait(at_ms - STROKE_MS * 2 // 3)
            self.edges += self.plant.rotor.run(run._replace(first_k=last + 1, count=until - last))
            last = until
            if self.in_steps or ends:
                self._wait(at_ms)
        self._wait(run.time_of_ms(count))

    def _wait(self, until_ms: int) -> None:
        """Let the plant's own events happen, and look at what has flowed."""
        while (event := self.plant.next_event_ms()) is not None and event <= until_ms:
            self.plant.flow_until(event)
            self.plant.advance_to(event)
        self.now_ms = until_ms
        if self.in_steps:
            self.plant.truth(until_ms)
        self.plant.flow_until(until_ms)


__all__ = [
    "CAUSES",
    "FILL_DEPENDENT",
    "MIXING",
    "SMALL",
    "STROKE_MS",
    "Act",
    "Cause",
    "Player",
    "PowerCut",
    "acts",
]
