"""Strokes: what they move, when they run dry, what a stall and a power cut leave of them."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_emu.pins import PowerCut
from firmware_emu.plant.plant import Plant
from firmware_emu.profile import Implant, PumpModel
from firmware_emu.units import MS_PER_DAY, PPM

if TYPE_CHECKING:
    from tests.unit.plant.conftest import Strokes

STROKE_MS = 72_000
ML = 1_000_000


def filled(residual_nl: int, accuracy_ppm: int, nl: int = 20 * ML) -> Plant:
    plant = Plant(PumpModel(residual_nl=residual_nl, accuracy_ppm=accuracy_ppm), b"")
    plant.fill(nl, 500_000)
    return plant


def test_a_stroke_of_a_fast_pump_moves_572_and_a_half_nanolitres(strokes: Strokes) -> None:
    plant = filled(1_400_000, 1_145_000)
    assert plant.rotor.run(strokes(1)) == 1
    assert plant.truth(0).emitted_nl_ppm == 572_500_000
    assert plant.truth(0).true_nl_ppm == 20 * ML * PPM - 572_500_000


@pytest.mark.parametrize(
    ("residual_nl", "accuracy_ppm", "last_stroke", "published_days"),
    [
        (1_400_000, 1_000_000, 37_200, 31.0),
        (1_400_000, 1_145_000, 32_490, 27.075),
        (1_400_000, 1_250_000, 29_760, 24.8),
        (1_400_000, 1_500_000, 24_800, 20.667),
        (1_400_000, 2_000_000, 18_600, 15.5),
        (0, 1_000_000, 40_000, 33.333),
        (0, 1_145_000, 34_935, 29.112),
        (0, 1_250_000, 32_000, 26.667),
        (0, 1_500_000, 26_667, 22.222),
        (0, 2_000_000, 20_000, 16.667),
    ],
)
def test_the_reservoir_runs_dry_at_the_stroke_that_takes_the_last(
    strokes: Strokes, residual_nl: int, accuracy_ppm: int, last_stroke: int, published_days: float
) -> None:
    plant = filled(residual_nl, accuracy_ppm)
    assert plant.rotor.run(strokes(50_000)) == 50_000
    truth = plant.truth(0)
    assert truth.ran_dry_at_ms == last_stroke * STROKE_MS
    assert abs(last_stroke * STROKE_MS - published_days * MS_PER_DAY) <= STROKE_MS
    assert truth.true_nl_ppm == residual_nl * PPM
    assert truth.deliverable_nl_ppm == 0


@pytest.mark.parametrize("accuracy_ppm", [1_000_000, 1_145_000])
def test_one_stroke_before_the_last_the_reservoir_is_not_dry(strokes: Strokes, accuracy_ppm: int) -> None:
    plant = filled(1_400_000, accuracy_ppm)
    last = -(-18_600_000 * PPM // (500 * accuracy_ppm))
    plant.rotor.run(strokes(last - 1))
    assert plant.truth(0).ran_dry_at_ms is None
    before = plant.truth(0).deliverable_nl_ppm
    assert 0 < before <= 500 * accuracy_ppm
    plant.rotor.run(strokes(1, first_k=last))
    assert plant.truth(0).ran_dry_at_ms == last * STROKE_MS
    assert plant.truth(0).emitted_nl_ppm == 18_600_000 * PPM


def test_a_dry_pump_still_shows_its_edges_and_keeps_the_time_at_which_it_ran_dry(strokes: Strokes) -> None:
    plant = filled(1_400_000, 1_000_000, nl=1_401_000)
    plant.rotor.run(strokes(10))
    assert plant.rotor.run(strokes(7, first_k=11)) == 7
    truth = plant.truth(0)
    assert (truth.edges, truth.strokes_turned) == (17, 17)
    assert truth.ran_dry_at_ms == 2 * STROKE_MS
    assert truth.emitted_nl_ppm == 1_000 * PPM
    assert truth.dry_nl_ppm == 15 * 500 * PPM


def test_a_fill_makes_it_deliver_again_and_forgets_that_it_was_dry(strokes: Strokes) -> None:
    plant = filled(1_400_000, 1_000_000, nl=1_400_500)
    plant.rotor.run(strokes(5))
    plant.fill(1_000, 500_000)
    assert plant.truth(0).ran_dry_at_ms is None
    plant.rotor.run(strokes(1, first_k=6))
    assert plant.truth(0).emitted_nl_ppm == 1_000 * PPM


def test_the_time_at_which_it_ran_dry_is_pump_time_not_ticks(strokes: Strokes) -> None:
    plant = filled(1_400_000, 1_000_000, nl=1_400_500)
    plant.crystal.offset_ms = 1_000
    plant.rotor.run(strokes(1, anchor_ms=1_000))
    assert plant.truth(0).ran_dry_at_ms == STROKE_MS


def test_no_strokes_change_nothing(plant: Plant, strokes: Strokes) -> None:
    before = plant.to_json()
    assert plant.rotor.run(strokes(0)) == 0
    assert plant.to_json() == before


def test_the_accuracy_factor_changes_between_two_strokes(plant: Plant, strokes: Strokes) -> None:
    plant.rotor.run(strokes(2))
    plant.set_accuracy(1_500_000)
    plant.rotor.run(strokes(2, first_k=3))
    assert plant.truth(0).emitted_nl_ppm == (2 * 500 + 2 * 750) * PPM


@pytest.mark.parametrize("accuracy_ppm", [0, -1])
def test_an_impossible_accuracy_factor_is_refused(plant: Plant, accuracy_ppm: int) -> None:
    with pytest.raises(ValueError, match="ppm"):
        plant.set_accuracy(accuracy_ppm)


def test_a_stalled_rotor_shows_no_edge_and_moves_nothing(plant: Plant, strokes: Strokes) -> None:
    before = plant.truth(0)
    plant.set_stall(True, 0)
    assert plant.rotor.run(strokes(100)) == 0
    truth = plant.truth(0)
    assert truth.stalled
    assert (truth.emitted_nl_ppm, truth.strokes_turned) == (before.emitted_nl_ppm, 0)
    assert truth.strokes_missed == 100


def test_a_released_rotor_turns_again_and_catches_nothing_up(plant: Plant, strokes: Strokes) -> None:
    plant.set_stall(True, 0)
    plant.rotor.run(strokes(100))
    plant.set_stall(False, 100 * STROKE_MS)
    assert plant.rotor.run(strokes(3, first_k=101)) == 3
    assert plant.truth(0).strokes_turned == 3


@pytest.mark.parametrize(
    ("until_ms", "missed"),
    [
        (0, 0),
        (5 * STROKE_MS - 1, 4),
        (5 * STROKE_MS, 5),
        (5 * STROKE_MS + 1, 5),
        (20 * STROKE_MS, 20),
        (30 * STROKE_MS, 20),
    ],
)
def test_a_stall_that_ends_takes_the_strokes_up_to_and_including_its_end(
    plant: Plant, strokes: Strokes, until_ms: int, missed: int
) -> None:
    plant.set_stall(True, 0, until_ms)
    assert plant.next_event_ms() == until_ms
    assert plant.rotor.run(strokes(20)) == 20 - missed
    assert plant.truth(0).strokes_missed == missed


def test_a_stall_ends_in_pump_time_whatever_the_ticks_say(plant: Plant, strokes: Strokes) -> None:
    plant.crystal.offset_ms = 1_000
    plant.set_stall(True, 0, 5 * STROKE_MS)
    assert plant.rotor.run(strokes(20, anchor_ms=1_000)) == 15


def test_the_plant_ends_a_stall_when_its_time_has_come(plant: Plant) -> None:
    plant.set_stall(True, 0, 5_000)
    plant.advance_to(4_999)
    assert plant.truth(4_999).stalled
    plant.advance_to(5_000)
    assert not plant.truth(5_000).stalled
    assert plant.next_event_ms() is None


def test_a_stall_without_end_is_no_event(plant: Plant) -> None:
    plant.set_stall(True, 0)
    assert plant.next_event_ms() is None
    plant.advance_to(10**12)
    assert plant.truth(0).stalled


def test_a_stall_cannot_end_before_it_begins(plant: Plant) -> None:
    with pytest.raises(ValueError, match="cannot end"):
        plant.set_stall(True, 100, 99)


@pytest.mark.parametrize("n", [1, 2, 10])
def test_power_goes_as_the_nth_stroke_is_due_and_those_before_it_are_turned(
    plant: Plant, strokes: Strokes, n: int
) -> None:
    plant.cut_at_stroke(n)
    with pytest.raises(PowerCut) as cut:
        plant.rotor.run(strokes(10))
    assert cut.value.at_ms == n * STROKE_MS
    truth = plant.truth(0)
    assert truth.strokes_turned == n - 1
    assert truth.emitted_nl_ppm == (n - 1) * 500 * PPM
    assert not truth.power_cut_armed
    assert plant.rotor.run(strokes(10)) == 10


def test_an_armed_cut_counts_strokes_over_several_runs(plant: Plant, strokes: Strokes) -> None:
    plant.cut_at_stroke(5)
    assert plant.rotor.run(strokes(4)) == 4
    assert plant.truth(0).power_cut_armed
    with pytest.raises(PowerCut) as cut:
        plant.rotor.run(strokes(4, first_k=5))
    assert cut.value.at_ms == 5 * STROKE_MS
    assert plant.truth(0).strokes_turned == 4


def test_strokes_that_a_stall_takes_do_not_count_towards_a_cut(plant: Plant, strokes: Strokes) -> None:
    plant.cut_at_stroke(2)
    plant.set_stall(True, 0, 5 * STROKE_MS)
    with pytest.raises(PowerCut) as cut:
        plant.rotor.run(strokes(10))
    assert cut.value.at_ms == 7 * STROKE_MS
    assert (plant.truth(0).strokes_missed, plant.truth(0).strokes_turned) == (5, 1)


def test_a_disarmed_cut_does_not_fire(plant: Plant, strokes: Strokes) -> None:
    plant.cut_at_stroke(1)
    plant.disarm()
    assert plant.rotor.run(strokes(5)) == 5


def test_a_cut_before_the_first_stroke_is_refused(plant: Plant) -> None:
    with pytest.raises(ValueError, match="stroke 0"):
        plant.cut_at_stroke(0)


@given(
    parts=st.lists(st.integers(0, 5_000), min_size=1, max_size=12),
    accuracy_ppm=st.integers(1, 3_000_000),
    rate_nl_per_day=st.integers(1, 24_000_000),
    stall_until_ms=st.one_of(st.none(), st.integers(0, 10**9)),
)
def test_any_split_of_a_run_gives_the_same_truth(
    strokes: Strokes, parts: list[int], accuracy_ppm: int, rate_nl_per_day: int, stall_until_ms: int | None
) -> None:
    whole = filled(1_400_000, accuracy_ppm, nl=4 * ML)
    if stall_until_ms is not None:
        whole.set_stall(True, 0, stall_until_ms)
    split = copy.deepcopy(whole)
    seen = whole.rotor.run(strokes(sum(parts), rate_nl_per_day=rate_nl_per_day))
    first_k, seen_in_parts = 1, 0
    for count in parts:
        seen_in_parts += split.rotor.run(strokes(count, first_k=first_k, rate_nl_per_day=rate_nl_per_day))
        first_k += count
    assert seen_in_parts == seen
    assert split.to_json() == whole.to_json()
    assert split.truth(0) == whole.truth(0)


@given(
    accuracy_ppm=st.integers(400_000, 3_000_000),
    deliverable_nl=st.integers(0, 40_000),
    rate_nl_per_day=st.integers(1, 24_000_000),
    count=st.integers(0, 150),
)
def test_a_run_equals_its_strokes_one_by_one(
    strokes: Strokes, accuracy_ppm: int, deliverable_nl: int, rate_nl_per_day: int, count: int
) -> None:
    plant = filled(1_400_000, accuracy_ppm, nl=1_400_000 + deliverable_nl)
    run = strokes(count, rate_nl_per_day=rate_nl_per_day)
    plant.rotor.run(run)
    left, dry_at_ms = deliverable_nl * PPM, None
    for k in range(1, count + 1):
        moved = min(left, 500 * accuracy_ppm)
        left -= moved
        if moved and not left:
            dry_at_ms = run.time_of_ms(k)
    assert plant.truth(0).deliverable_nl_ppm == left
    assert plant.truth(0).ran_dry_at_ms == dry_at_ms


def test_twenty_thousand_strokes_at_once_equals_one_at_a_time(strokes: Strokes) -> None:
    model, implant = PumpModel(accuracy_ppm=1_037_000), Implant()
    at_once, one_by_one = Plant(model, b"", implant=implant), Plant(model, b"", implant=implant)
    at_once.rotor.run(strokes(20_000))
    for k in range(1, 20_001):
        one_by_one.rotor.run(strokes(1, first_k=k))
    assert one_by_one.to_json() == at_once.to_json()


def test_a_fill_that_does_not_reach_the_residual_volume_leaves_it_dry(strokes: Strokes) -> None:
    plant = filled(1_400_000, 1_000_000, nl=1_400_500)
    plant.rotor.run(strokes(1))
    plant.aspirate(1_000_000)
    plant.fill(1_000_000, 500_000)
    assert plant.truth(0).ran_dry_at_ms == STROKE_MS


def test_strokes_matter_while_a_stall_or_a_cut_may_take_one(plant: Plant) -> None:
    assert not plant.strokes_matter
    plant.set_stall(True, 0)
    assert plant.strokes_matter
    plant.set_stall(False, 0)
    plant.cut_at_stroke(3)
    assert plant.strokes_matter
    plant.disarm()
    assert not plant.strokes_matter
