"""Faults of motor, gears and sensor, stroke by stroke: what turns, what moves, what the sensor shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from firmware_emu.faults.catalogue import fault_named
from firmware_emu.pins import PowerCut
from firmware_emu.plant.plant import Plant
from firmware_emu.profile import Implant, PumpModel
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, PPM

if TYPE_CHECKING:
    from tests.unit.plant.conftest import Strokes

STROKE_MS = 72_000
STROKE = 500 * PPM


def inject(plant: Plant, name: str, now_ms: int = 0, **parameters: int) -> None:
    fault = fault_named(name)
    fault.inject(plant, now_ms, fault.values(parameters))


def effects(plant: Plant, name: str) -> int:
    return fault_named(name).effects(plant)


def one_by_one(plant: Plant, strokes: Strokes, count: int, first_k: int = 1) -> list[int]:
    """The edges of each stroke."""
    return [plant.rotor.run(strokes(1, first_k=k)) for k in range(first_k, first_k + count)]


# FI 01, 02
def test_a_field_holds_the_rotor_and_its_gears_bind_for_as_long_as_it_says(
    plant: Plant, strokes: Strokes
) -> None:
    inject(plant, "mri", field_duration_ms=10 * STROKE_MS, restart_delay_ms=5 * STROKE_MS)
    assert plant.strokes_matter
    assert plant.next_event_ms() == 15 * STROKE_MS
    assert one_by_one(plant, strokes, 20) == [0] * 15 + [1] * 5
    truth = plant.truth(15 * STROKE_MS)
    assert (truth.stalled, truth.stalled_until_ms) == (True, 15 * STROKE_MS)
    plant.advance_to(15 * STROKE_MS)
    truth = plant.truth(20 * STROKE_MS)
    assert (truth.stalled, truth.strokes_missed, truth.strokes_turned) == (False, 15, 5)
    assert not plant.strokes_matter
    assert (effects(plant, "mri"), effects(plant, "motor-stall")) == (15, 0)


# FI 02, 05
def test_a_field_that_turns_the_rotor_back_lets_fluid_back_in_at_once(plant: Plant) -> None:
    before = plant.truth(0)
    inject(plant, "mri", backward_strokes=40)
    after = plant.truth(0)
    assert after.true_nl_ppm - before.true_nl_ppm == after.backflow_nl_ppm == 40 * STROKE
    assert effects(plant, "mri") == 40
    assert after.strokes_backward == 40


@pytest.mark.parametrize(("stall_ms", "field_ms", "until_ms"), [(5, 9, 5), (9, 5, 5), (None, 7, 7)])
def test_the_first_of_two_holds_to_end_is_the_next_event_and_the_last_lets_go(
    plant: Plant, stall_ms: int | None, field_ms: int, until_ms: int
) -> None:
    plant.set_stall(True, 0, stall_ms)
    inject(plant, "mri", field_duration_ms=field_ms)
    assert plant.next_event_ms() == until_ms
    assert plant.truth(0).stalled_until_ms == (None if stall_ms is None else max(stall_ms, field_ms))
    plant.advance_to(until_ms)
    assert plant.truth(until_ms).stalled
    plant.advance_to(9)
    assert plant.truth(9).stalled == (stall_ms is None)


def test_a_stroke_that_a_stall_takes_is_not_counted_for_the_field_too(plant: Plant, strokes: Strokes) -> None:
    plant.set_stall(True, 0, 3 * STROKE_MS)
    inject(plant, "mri", field_duration_ms=10 * STROKE_MS)
    one_by_one(plant, strokes, 12)
    assert (effects(plant, "motor-stall"), effects(plant, "mri"), plant.truth(0).strokes_missed) == (3, 7, 10)


# FI 05
def test_strokes_that_turn_backwards_show_reversed_edges_and_move_fluid_back(
    plant: Plant, strokes: Strokes
) -> None:
    plant.rotor.run(strokes(10))
    before = plant.truth(0)
    inject(plant, "rotor-backward", strokes=4)
    assert one_by_one(plant, strokes, 6, first_k=11) == [-1] * 4 + [1] * 2
    truth = plant.truth(0)
    assert truth.backflow_nl_ppm == 4 * STROKE
    assert truth.true_nl_ppm == before.true_nl_ppm + 2 * STROKE
    assert truth.emitted_nl_ppm == before.emitted_nl_ppm + 2 * STROKE
    assert truth.tip_fg_ppm == 12 * STROKE * 500_000 - 2 * STROKE * 500_000
    assert (truth.strokes_turned, truth.strokes_backward, truth.edges) == (12, 4, 12)
    assert effects(plant, "rotor-backward") == 4
    assert not plant.strokes_matter, "it is over"


def test_a_full_reservoir_takes_nothing_back(strokes: Strokes) -> None:
    plant = Plant(PumpModel(), b"", implant=Implant(filled_nl=20_000_000))
    inject(plant, "rotor-backward", strokes=3)
    assert one_by_one(plant, strokes, 3) == [-1] * 3
    assert plant.truth(0).backflow_nl_ppm == 0


# FI 07
def test_a_sensor_that_misses_each_third_edge_hides_strokes_that_were_turned(
    plant: Plant, strokes: Strokes
) -> None:
    inject(plant, "edge-lost", every_strokes=3)
    assert one_by_one(plant, strokes, 7) == [1, 1, 0, 1, 1, 0, 1]
    truth = plant.truth(0)
    assert (truth.strokes_turned, truth.edges, truth.emitted_nl_ppm) == (7, 5, 7 * STROKE)
    assert effects(plant, "edge-lost") == 2


# FI 07
def test_a_false_edge_comes_beside_a_true_one_or_where_the_rotor_stands(
    plant: Plant, strokes: Strokes
) -> None:
    inject(plant, "edge-false", every_strokes=2)
    assert one_by_one(plant, strokes, 4) == [1, 2, 1, 2]
    plant.set_stall(True, 4 * STROKE_MS)
    assert one_by_one(plant, strokes, 4, first_k=5) == [0, 1, 0, 1]
    truth = plant.truth(0)
    assert (truth.strokes_turned, truth.strokes_missed, truth.edges) == (4, 4, 8)
    assert truth.emitted_nl_ppm == 4 * STROKE
    assert effects(plant, "edge-false") == 4


# RH-12
def test_worn_gears_bind_more_and_more_often_and_in_the_end_for_good(plant: Plant, strokes: Strokes) -> None:
    inject(plant, "wear", free_strokes=5, held_strokes=2, fewer_strokes=2)
    turned = one_by_one(plant, strokes, 30)
    assert turned == [1] * 5 + [0] * 2 + [1] * 3 + [0] * 2 + [1] + [0] * 17
    assert effects(plant, "wear") == plant.truth(0).strokes_missed == 21
    assert effects(plant, "motor-stall") == 0
    fault_named("wear").clear(plant, 0)
    assert one_by_one(plant, strokes, 2, first_k=31) == [1, 1]


# FI 08
def test_accuracy_that_drifts_is_exact_at_each_stroke(plant: Plant, strokes: Strokes) -> None:
    """A thousandth more a day, rounded down to a millionth at each stroke."""
    inject(plant, "accuracy-drift", ramp_ppm_per_day=1_000)
    plant.rotor.run(strokes(2_400))
    exact = sum(500 * (PPM + 1_000 * k * STROKE_MS // MS_PER_DAY) for k in range(1, 2_401))
    assert plant.truth(0).emitted_nl_ppm == exact
    assert plant.truth(2 * MS_PER_DAY).accuracy_ppm == 1_002_000
    assert effects(plant, "accuracy-drift") == 2_400
    fault_named("accuracy-drift").clear(plant, 0)
    assert plant.truth(2 * MS_PER_DAY).accuracy_ppm == PPM


def test_a_drift_ends_at_nothing_and_at_the_most_that_an_accuracy_can_be(
    plant: Plant, strokes: Strokes
) -> None:
    inject(plant, "accuracy-drift", ramp_ppm_per_day=-1_000_000)
    plant.rotor.run(strokes(2_400))
    assert plant.truth(5 * MS_PER_DAY).accuracy_ppm == 0
    assert plant.rotor.run(strokes(100, first_k=2_401)) == 100
    inject(plant, "accuracy-drift", ramp_ppm_per_day=10_000_000)
    assert plant.truth(100 * MS_PER_DAY).accuracy_ppm == 10_000_000


# FI 09, RH-13
def test_a_pump_without_propellant_moves_a_part_and_shows_all_of_its_edges(
    plant: Plant, strokes: Strokes
) -> None:
    inject(plant, "propellant-loss", flow_ppm=250_000)
    assert plant.rotor.run(strokes(100)) == 100
    assert plant.truth(0).emitted_nl_ppm == 25 * STROKE
    inject(plant, "propellant-loss", now_ms=100 * STROKE_MS, flow_ppm=1_000_000, ramp_ppm_per_day=-1_000_000)
    plant.rotor.run(strokes(3_000, first_k=101))
    parts = sum(
        500 * max(0, PPM - k * STROKE_MS * PPM // MS_PER_DAY - (k * STROKE_MS * PPM % MS_PER_DAY > 0))
        for k in range(1, 3_001)
    )
    assert plant.truth(0).emitted_nl_ppm == 25 * STROKE + parts
    assert effects(plant, "propellant-loss") == 3_100


STOOD_MS = 48 * MS_PER_HOUR


# FI 03, 16, RH-17
@pytest.mark.parametrize("stands", ["stalled", "stopped"])
@pytest.mark.parametrize(("short_ms", "dented"), [(0, True), (1, False)])
def test_a_rotor_that_stood_for_48_hours_has_a_dented_tube_and_moves_what_the_rig_says(
    plant: Plant, strokes: Strokes, stands: str, short_ms: int, dented: bool
) -> None:
    inject(plant, "tube-set", accuracy_ppm=1_200_000)
    plant.rotor.run(strokes(10))
    last_ms = 10 * STROKE_MS
    if stands == "stalled":
        plant.set_stall(True, last_ms, last_ms + STOOD_MS - STROKE_MS)
        plant.rotor.run(strokes(2_399, first_k=11))
        plant.set_stall(False, 0)
    assert not plant.truth(last_ms + STOOD_MS - 1).accuracy_suspect
    assert plant.truth(last_ms + STOOD_MS).accuracy_suspect
    next_ms = last_ms + STOOD_MS - short_ms
    before = plant.truth(next_ms).emitted_nl_ppm
    plant.rotor.run(strokes(5, anchor_ms=next_ms - STROKE_MS))
    truth = plant.truth(next_ms + 5 * STROKE_MS)
    assert truth.emitted_nl_ppm - before == 5 * 500 * (1_200_000 if dented else PPM)
    assert truth.accuracy_suspect == dented
    assert effects(plant, "tube-set") == 5 * dented


# FI 03, RH-17
@pytest.mark.parametrize(("missed", "dented"), [(2_399, True), (2_398, False)])
@pytest.mark.parametrize("parts", [(3_000,), (11, 2_000, 989)])
def test_a_stall_within_a_row_dents_the_tube_by_how_long_the_rotor_stood(
    plant: Plant, strokes: Strokes, missed: int, dented: bool, parts: tuple[int, ...]
) -> None:
    """From the stroke before the stall to the one after it are 2,400 strokes in 48 h."""
    plant.rotor.run(strokes(10))
    plant.set_stall(True, 10 * STROKE_MS, (10 + missed) * STROKE_MS)
    first_k = 11
    for count in parts:
        plant.rotor.run(strokes(count, first_k=first_k))
        first_k += count
    assert plant.truth(first_k * STROKE_MS).accuracy_suspect == dented
    later_ms = (first_k - 1) * STROKE_MS + 47 * MS_PER_HOUR
    plant.set_stall(False, 0)
    plant.rotor.run(strokes(1, anchor_ms=later_ms))
    assert plant.truth(later_ms).accuracy_suspect == dented


# RH-17
def test_an_accuracy_that_is_suspect_stays_so_until_somebody_has_measured_it(
    plant: Plant, strokes: Strokes
) -> None:
    plant.rotor.run(strokes(10))
    plant.rotor.run(strokes(10, anchor_ms=STOOD_MS + 20 * STROKE_MS))
    assert plant.truth(2 * STOOD_MS).accuracy_suspect, "without any fault of the rig: the roller stood"
    assert plant.truth(2 * STOOD_MS).accuracy_ppm == PPM
    plant.flow_until(2 * STOOD_MS)
    fault_named("tube-set").clear(plant, 2 * STOOD_MS)
    assert not plant.truth(3 * STOOD_MS - 1).accuracy_suspect
    assert plant.truth(3 * STOOD_MS).accuracy_suspect, "it stands again"


def test_a_pump_that_turns_is_not_suspect_over_a_reset_that_hides_time_from_its_ticks(
    plant: Plant, strokes: Strokes
) -> None:
    plant.rotor.run(strokes(10))
    plant.power_lost(11 * STROKE_MS)
    plant.reboot(STOOD_MS)
    plant.rotor.run(strokes(1, anchor_ms=10 * STROKE_MS))
    assert not plant.truth(STOOD_MS).accuracy_suspect


def test_power_goes_at_the_nth_stroke_that_turns_also_where_each_is_looked_at(
    plant: Plant, strokes: Strokes
) -> None:
    inject(plant, "wear", free_strokes=2, held_strokes=3)
    plant.cut_at_stroke(4)
    with pytest.raises(PowerCut) as cut:
        plant.rotor.run(strokes(20))
    assert cut.value.at_ms == 7 * STROKE_MS
    assert (plant.truth(0).strokes_turned, plant.truth(0).strokes_missed) == (3, 3)
    assert effects(plant, "power-cut-at-stroke") == 1


def test_the_motor_draws_charge_for_strokes_backward_and_not_for_what_a_field_turned(
    plant: Plant, strokes: Strokes
) -> None:
    inject(plant, "mri", field_duration_ms=1, backward_strokes=9)
    plant.advance_to(1)
    inject(plant, "rotor-backward", strokes=2)
    plant.set_stall(True, 0, 3 * STROKE_MS)
    one_by_one(plant, strokes, 8)
    assert plant.rotor.strokes_driven == 8
