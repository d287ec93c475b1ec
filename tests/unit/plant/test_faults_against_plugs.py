"""Faults of the path against a second model: plugs in a queue and fractions, told the slow way and without a line."""

from __future__ import annotations

from collections import deque
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_emu.faults.catalogue import fault_named
from firmware_emu.pins import StrokeRun
from firmware_emu.plant.plant import Plant
from firmware_emu.profile import PumpModel
from firmware_emu.units import MS_PER_DAY, PPM
from tests.support.soak import rounds_of

STROKE_MS = 72_000
STROKE = 500 * PPM
TUBING_NL, CATHETER_NL, SIZE_NL, RESIDUAL_NL = 3_000, 1_300, 40_000, 2_000
MODEL = PumpModel(
    reservoir_size_nl=SIZE_NL, residual_nl=RESIDUAL_NL, tubing_nl=TUBING_NL, catheter_nl=CATHETER_NL
)

Plug = tuple[int, Fraction]


class Plugs:
    """Reservoir, path, patient and floor; volumes in nL x 10^-6, drug in fg x 10^-6. The tip is the right end."""

    def __init__(self) -> None:
        self.volume, self.drug = 0, Fraction(0)
        self.path: deque[Plug] = deque([((TUBING_NL + CATHETER_NL) * PPM, Fraction(0))])
        self.tip = self.lost = self.aspirated = Fraction(0)
        self.leak = Fraction(0)
        self.compliance: int | None = None
        self.stored = 0

    def fill(self, nl: int, ng_per_ml: int) -> None:
        self.volume += nl * PPM
        self.drug += nl * PPM * ng_per_ml

    def stroke(self) -> None:
        room = STROKE if self.compliance is None else max(0, self.compliance - self.stored)
        moved = min(STROKE, room, max(0, self.volume - RESIDUAL_NL * PPM))
        if not moved:
            return
        concentration = self.drug / self.volume
        self.volume -= moved
        self.drug -= moved * concentration
        self.path.appendleft((moved, concentration))
        if self.compliance is None:
            self.out(moved)
        else:
            self.stored += moved

    def out(self, volume: int) -> None:
        """Let so much leave at the tip."""
        for length, concentration in taken_from_right(self.path, volume):
            self.tip += length * concentration * (1 - self.leak)
            self.lost += length * concentration * self.leak

    def back(self) -> None:
        moved = min(STROKE, SIZE_NL * PPM - self.volume)
        if moved <= 0 or self.compliance is not None:
            return
        self.path.append((moved, Fraction(0)))
        self.path.reverse()
        for length, concentration in taken_from_right(self.path, moved):
            self.volume += length
            self.drug += length * concentration
        self.path.reverse()

    def occlude(self, nl: int) -> None:
        self.compliance = nl * PPM

    def release(self) -> None:
        self.compliance = None
        self.out(self.stored)
        self.stored = 0

    def side_port(self) -> None:
        for length, concentration in taken_from_right(self.path, CATHETER_NL * PPM + self.stored):
            self.aspirated += length * concentration
        self.path.append((CATHETER_NL * PPM + self.stored, Fraction(0)))


def taken_from_right(path: deque[Plug], volume: int) -> list[Plug]:
    """Take so much off the end of a row of plugs."""
    taken = []
    while volume:
        length, concentration = path.pop()
        out = min(length, volume)
        taken.append((out, concentration))
        volume -= out
        if out < length:
            path.append((length - out, concentration))
    return taken


acts = st.lists(
    st.one_of(
        st.tuples(st.just("stroke"), st.integers(1, 12)),
        st.tuples(st.just("back"), st.integers(1, 12)),
        st.tuples(st.just("stroke"), st.integers(1, 4)),
        st.tuples(st.just("back"), st.integers(1, 4)),
        st.tuples(st.just("fill"), st.integers(0, 3_000)),
        st.tuples(st.just("occlude"), st.integers(0, 2_500)),
        st.tuples(st.just("release"), st.just(0)),
        st.tuples(st.just("leak"), st.integers(0, PPM)),
        st.tuples(st.just("side port"), st.just(0)),
    ),
    max_size=16,
)


# FI 05, 10, 11, 28
@settings(max_examples=rounds_of("stories of the path", 300, 100))
@given(story=acts)
def test_any_story_of_the_path_moves_the_same_drug_as_plugs_in_a_queue(story: list[tuple[str, int]]) -> None:
    plant, plugs = Plant(MODEL, b""), Plugs()
    for each in (plant, plugs):
        each.fill(20_000, 1_000_000)
    k, mixed = 1, 4
    for verb, number in story:
        k += play(plant, verb, number, k)
        mixed += number + 2
        play_plugs(plugs, verb, number)
        truth = plant.truth(k * STROKE_MS)
        assert (truth.true_nl_ppm, truth.stored_nl_ppm) == (plugs.volume, plugs.stored)
        path = sum((length * concentration for length, concentration in plugs.path), Fraction(0))
        for told, exact in (
            (truth.reservoir_fg_ppm, plugs.drug),
            (truth.path_fg_ppm, path),
            (truth.tip_fg_ppm, plugs.tip),
            (truth.lost_fg_ppm, plugs.lost),
            (truth.aspirated_fg_ppm, plugs.aspirated),
        ):
            assert abs(told - exact) <= mixed, verb  # fg x 10^-6, one for each time that fluids were mixed


def play(plant: Plant, verb: str, number: int, k: int) -> int:
    """One act on the plant; returns how many strokes it took."""
    name = {
        "back": "rotor-backward",
        "occlude": "occlusion",
        "leak": "catheter-leak",
        "side port": "side-port-aspiration",
    }
    if verb in ("stroke", "back"):
        if verb == "back":
            fault_named(name[verb]).inject(plant, k * STROKE_MS, {"strokes": number})
        for each in range(k, k + number):
            plant.rotor.run(StrokeRun(0, 0, 600_000, 500 * MS_PER_DAY, each, 1))
        return number
    if verb == "fill":
        plant.fill(number, 250_000)
    elif verb == "release":
        fault_named("occlusion").clear(plant, 0)
    else:
        values = {"compliance_nl": number, "lost_ppm": number}
        fault_named(name[verb]).inject(plant, k * STROKE_MS, values)
    return 0


def play_plugs(plugs: Plugs, verb: str, number: int) -> None:
    if verb in ("stroke", "back"):
        for _ in range(number):
            plugs.stroke() if verb == "stroke" else plugs.back()
    elif verb == "fill":
        plugs.fill(number, 250_000)
    elif verb == "occlude":
        plugs.occlude(number)
    elif verb == "release":
        plugs.release()
    elif verb == "leak":
        plugs.leak = Fraction(number, PPM)
    else:
        plugs.side_port()
