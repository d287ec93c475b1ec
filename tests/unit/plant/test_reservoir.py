"""Fluid and drug: nothing appears, nothing vanishes, whatever the rotor and the syringe do."""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_emu.plant.plant import Plant
from firmware_emu.profile import Implant, PumpModel
from firmware_emu.units import PPM

if TYPE_CHECKING:
    from firmware_emu.plant.truth import Truth
    from tests.unit.plant.conftest import Strokes

ML = 1_000_000


def assert_conserved(truth: Truth) -> None:
    gone_nl_ppm = truth.aspirated_nl_ppm + truth.emitted_nl_ppm - truth.backflow_nl_ppm
    assert truth.true_nl_ppm == truth.filled_nl_ppm - gone_nl_ppm
    assert truth.true_nl_ppm >= 0
    places = (
        truth.aspirated_fg_ppm,
        truth.reservoir_fg_ppm,
        truth.path_fg_ppm,
        truth.tip_fg_ppm,
        truth.lost_fg_ppm,
    )
    assert min(places) >= 0
    assert truth.filled_fg_ppm == sum(places)


def test_an_implanted_pump_holds_its_fill_and_has_drug_up_to_the_tip(plant: Plant) -> None:
    truth = plant.truth(0)
    assert truth.true_nl_ppm == 18 * ML * PPM
    assert truth.reservoir_fg_ppm == 18 * ML * PPM * 500_000
    assert truth.path_fg_ppm == 338_000 * PPM * 500_000
    assert (truth.reservoir_ng_per_ml, truth.tip_ng_per_ml) == (500_000, 500_000)


def test_a_pump_from_the_factory_is_empty_and_has_water_in_its_path(empty_plant: Plant) -> None:
    truth = empty_plant.truth(0)
    assert truth.true_nl_ppm == truth.path_fg_ppm == truth.tip_ng_per_ml == 0


def test_the_syringe_takes_all_the_residual_volume_too(plant: Plant) -> None:
    assert plant.aspirate() == 18 * ML
    assert plant.truth(0).true_nl_ppm == 0
    assert plant.truth(0).reservoir_fg_ppm == 0


def test_the_syringe_takes_no_more_than_there_is(plant: Plant) -> None:
    assert plant.aspirate(10 * ML) == 10 * ML
    assert plant.aspirate(10 * ML) == 8 * ML
    assert plant.aspirate(1) == 0


def test_aspirating_below_the_residual_volume_leaves_nothing_to_deliver(
    plant: Plant, strokes: Strokes
) -> None:
    plant.aspirate(17 * ML)
    plant.rotor.run(strokes(10))
    truth = plant.truth(0)
    assert (truth.deliverable_nl_ppm, truth.emitted_nl_ppm) == (0, 0)
    assert truth.true_nl_ppm == 1 * ML * PPM


def test_a_fraction_of_a_nanolitre_goes_with_the_rest(strokes: Strokes) -> None:
    plant = Plant(PumpModel(accuracy_ppm=1_000_001), b"", implant=Implant())
    plant.rotor.run(strokes(1))
    assert plant.aspirate() == 18 * ML - 501
    plant.fill(20 * ML, 500_000)
    assert plant.truth(0).true_nl_ppm == 20 * ML * PPM


# FI 23
@pytest.mark.parametrize(
    ("fill_ng_per_ml", "left_ng_per_ml", "fill_nl", "mixed_mcg_per_ml"),
    [
        (2_000_000, 500_000, 20 * ML, 1901.87),  # WE-18
        (2_000_000, 500_000, 40 * ML, 1949.28),  # WE-18
        (500_000, 2_000_000, 20 * ML, 598.13),  # WE-19
    ],
)
def test_a_fill_without_rinsing_mixes_with_what_was_left(
    fill_ng_per_ml: int, left_ng_per_ml: int, fill_nl: int, mixed_mcg_per_ml: float
) -> None:
    implant = Implant(concentration_ng_per_ml=left_ng_per_ml)
    plant = Plant(PumpModel(reservoir_size_nl=40 * ML), b"", implant=implant)
    plant.aspirate(18 * ML - 1_400_000)
    plant.fill(fill_nl, fill_ng_per_ml)
    truth = plant.truth(0)
    exact = Fraction(truth.reservoir_fg_ppm, truth.true_nl_ppm)
    assert round(float(exact) / 1000, 2) == mixed_mcg_per_ml
    assert truth.reservoir_ng_per_ml == exact.numerator // exact.denominator
    assert_conserved(truth)


def test_more_drug_arrives_only_after_a_path_volume(plant: Plant, strokes: Strokes) -> None:
    plant.aspirate()
    plant.fill(18 * ML, 2_000_000)
    path_strokes = 338_000 // 500
    plant.rotor.run(strokes(path_strokes))
    assert plant.truth(0).tip_fg_ppm == 338_000 * PPM * 500_000
    assert plant.truth(0).path_fg_ppm == 338_000 * PPM * 2_000_000
    plant.rotor.run(strokes(1, first_k=path_strokes + 1))
    assert plant.truth(0).tip_fg_ppm == 338_000 * PPM * 500_000 + 500 * PPM * 2_000_000
    assert plant.truth(0).tip_ng_per_ml == 2_000_000


@pytest.mark.parametrize(
    ("rate_nl_per_day", "transit_ms"),
    [(150_000, 194_688_000), (600_000, 48_672_000), (24_000_000, 1_216_800)],  # WE-43
)
def test_transit_takes_the_path_volume_divided_by_the_rate(
    empty_plant: Plant, strokes: Strokes, rate_nl_per_day: int, transit_ms: int
) -> None:
    empty_plant.fill(20 * ML, 500_000)
    run = strokes(677, rate_nl_per_day=rate_nl_per_day)
    empty_plant.rotor.run(run._replace(count=676))
    assert run.time_of_ms(676) == transit_ms
    assert empty_plant.truth(0).tip_fg_ppm == 0
    empty_plant.rotor.run(run._replace(first_k=677, count=1))
    assert empty_plant.truth(0).tip_fg_ppm == 500 * PPM * 500_000


# FI 27, RH-01
def test_priming_with_199_microlitres_of_tubing_puts_59_microlitres_of_drug_out(
    empty_plant: Plant, strokes: Strokes
) -> None:
    empty_plant.fill(20 * ML, 500_000)
    empty_plant.rotor.run(strokes(397_000 // 500, rate_nl_per_day=24 * ML))
    assert empty_plant.truth(0).tip_fg_ppm == 29_500 * 10**6 * PPM  # WE-11: 29.5 mcg


def test_what_the_column_remembers_does_not_grow_with_refills(plant: Plant, strokes: Strokes) -> None:
    first_k = 1
    for concentration in [500_000, 2_000_000] * 50:
        plant.aspirate(plant.truth(0).true_nl_ppm // PPM // 2)
        plant.fill(10 * ML, concentration)
        plant.rotor.run(strokes(1_000, first_k=first_k))
        first_k += 1_000
    assert len(plant.catheter.batches) == 2
    assert_conserved(plant.truth(0))


@pytest.mark.parametrize("verb", [lambda p: p.fill(-1, 0), lambda p: p.fill(1, -1), lambda p: p.aspirate(-1)])
def test_a_negative_syringe_is_refused(plant: Plant, verb: object) -> None:
    assert callable(verb)
    with pytest.raises(ValueError, match="cannot"):
        verb(plant)


actions = st.one_of(
    st.tuples(st.just("run"), st.integers(0, 3_000)),
    st.tuples(st.just("fill"), st.integers(0, 1_500_000), st.integers(0, 2_000_000)),
    st.tuples(st.just("aspirate"), st.one_of(st.none(), st.integers(0, 2_000_000))),
    st.tuples(st.just("accuracy"), st.integers(500_000, 2_000_000)),
    st.tuples(st.just("stall"), st.booleans()),
)


class PlainPump:
    """The same pump told the slow way: a queue of plugs, fractions for concentrations."""

    def __init__(self, residual_nl: int, path_nl: int) -> None:
        self.residual = residual_nl * PPM
        self.volume = 0
        self.drug = Fraction(0)
        self.plugs = deque([(path_nl * PPM, Fraction(0))])
        self.tip = Fraction(0)

    def fill(self, nl: int, concentration: int) -> None:
        self.volume += nl * PPM
        self.drug += nl * PPM * concentration

    def aspirate(self, nl: int | None) -> None:
        taken = self.volume if nl is None else min(self.volume, nl * PPM)
        if taken:
            self.drug -= self.drug * taken / self.volume
            self.volume -= taken

    def stroke(self, stroke_nl_ppm: int) -> None:
        moved = min(stroke_nl_ppm, max(0, self.volume - self.residual))
        if not moved:
            return
        concentration = self.drug / self.volume
        self.drug -= concentration * moved
        self.volume -= moved
        self.plugs.append((moved, concentration))
        while moved:
            length, concentration = self.plugs.popleft()
            out = min(length, moved)
            self.tip += out * concentration
            moved -= out
            if out < length:
                self.plugs.appendleft((length - out, concentration))


@given(story=st.lists(actions, max_size=12))
def test_any_story_conserves_fluid_and_drug(
    strokes: Strokes, story: list[tuple[str, int | None, int]]
) -> None:
    plant = Plant(PumpModel(residual_nl=100_000, tubing_nl=100_000, catheter_nl=50_000), b"")
    for verb, *arguments in story:
        apply(plant, verb, arguments, strokes)
        assert_conserved(plant.truth(0))


def apply(plant: Plant, verb: str, arguments: list[int | None], strokes: Strokes) -> None:
    first = arguments[0]
    if verb == "run":
        plant.rotor.run(strokes(first))
    elif verb == "aspirate":
        plant.aspirate(first)
    elif verb == "fill":
        plant.fill(first or 0, arguments[1] or 0)
    elif verb == "accuracy":
        plant.set_accuracy(first or 1)
    else:
        plant.set_stall(bool(first), 0)


@given(
    story=st.lists(
        st.one_of(
            st.tuples(st.just("run"), st.integers(0, 40)),
            st.tuples(st.just("fill"), st.integers(0, 9_000), st.integers(0, 2_000_000)),
            st.tuples(st.just("aspirate"), st.one_of(st.none(), st.integers(0, 9_000))),
        ),
        max_size=12,
    )
)
def test_any_story_moves_the_same_drug_as_plugs_in_a_queue(
    strokes: Strokes, story: list[tuple[str, int | None, int]]
) -> None:
    model = PumpModel(residual_nl=2_000, tubing_nl=3_000, catheter_nl=1_300, accuracy_ppm=1_145_000)
    plant, plain = Plant(model, b""), PlainPump(2_000, 4_300)
    for verb, *arguments in story:
        apply(plant, verb, arguments, strokes)
        if verb == "run":
            for _ in range(arguments[0] or 0):
                plain.stroke(572_500_000)
        elif verb == "fill":
            plain.fill(arguments[0] or 0, arguments[1] or 0)
        else:
            plain.aspirate(arguments[0])
    truth = plant.truth(0)
    rounding = len(story) + 1  # fg x 10^-6, one for each time that fluids were mixed
    assert truth.true_nl_ppm == plain.volume
    assert abs(truth.reservoir_fg_ppm - plain.drug) <= rounding
    assert abs(truth.tip_fg_ppm - plain.tip) <= rounding


def test_an_overfill_is_possible_up_to_the_point_where_the_reservoir_bursts(plant: Plant) -> None:
    plant.fill(22 * ML, 500_000)
    before = plant.to_json()
    with pytest.raises(ValueError, match="cannot fill 1 nL: 40000000 nL are in the reservoir"):
        plant.fill(1, 500_000)
    assert plant.to_json() == before
