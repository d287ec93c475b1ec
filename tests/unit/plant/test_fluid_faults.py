"""Faults of reservoir and path: where the fluid is, how much drug leaves the tip, and that the sensor shows nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from firmware_emu.faults.catalogue import fault_named
from firmware_emu.plant.plant import Plant
from firmware_emu.profile import Implant, PumpModel
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, PPM
from tests.unit.plant.test_motor_faults import STROKE, STROKE_MS, effects, inject
from tests.unit.plant.test_reservoir import assert_conserved

if TYPE_CHECKING:
    from tests.unit.plant.conftest import Strokes

ML = 1_000_000
DRUG = 500_000  # ng/mL
STRONG = 2_000_000


# FI 17, RH-14
def test_a_fill_that_goes_into_the_pocket_leaves_the_reservoir_as_it_was(empty_plant: Plant) -> None:
    inject(empty_plant, "pocket-fill")
    empty_plant.fill(18 * ML, DRUG)
    truth = empty_plant.truth(0)
    assert (truth.true_nl_ppm, truth.filled_nl_ppm, truth.filled_fg_ppm) == (0, 0, 0)
    assert (truth.pocket_nl_ppm, truth.pocket_fg_ppm) == (18 * ML * PPM, 18 * ML * PPM * DRUG)
    assert (effects(empty_plant, "pocket-fill"), fault_named("pocket-fill").is_on(empty_plant)) == (1, False)
    empty_plant.fill(18 * ML, DRUG)
    assert empty_plant.truth(0).true_nl_ppm == 18 * ML * PPM, "once"


# FI 17, 19
@pytest.mark.parametrize(
    ("name", "parameter", "in_pocket_nl"),
    [("pocket-fill", {"pocket_ppm": 750_000}, 13_500_000), ("partial-fill", {"filled_ppm": 250_000}, 0)],
)
def test_a_part_of_a_fill_goes_in_and_the_rest_does_not(
    empty_plant: Plant, name: str, parameter: dict[str, int], in_pocket_nl: int
) -> None:
    inject(empty_plant, name, **parameter)
    empty_plant.fill(18 * ML, DRUG)
    truth = empty_plant.truth(0)
    assert (truth.true_nl_ppm, truth.pocket_nl_ppm) == (4_500_000 * PPM, in_pocket_nl * PPM)
    assert effects(empty_plant, name) == 1
    assert not truth.accuracy_suspect


# FI 18, RH-21
def test_a_reservoir_that_is_overfilled_holds_more_than_its_size_and_is_suspect(empty_plant: Plant) -> None:
    inject(empty_plant, "overfill", extra_nl=2 * ML)
    empty_plant.fill(20 * ML, DRUG)
    truth = empty_plant.truth(0)
    assert (truth.true_nl_ppm, truth.accuracy_suspect) == (22 * ML * PPM, True)
    assert effects(empty_plant, "overfill") == 1
    empty_plant.aspirate()
    empty_plant.fill(20 * ML, DRUG)
    assert empty_plant.truth(0).accuracy_suspect, "it was stretched"
    fault_named("tube-set").clear(empty_plant, 0)
    assert not empty_plant.truth(0).accuracy_suspect, "somebody has measured what it gives"


def test_a_misfill_that_is_taken_back_takes_no_effect_and_only_its_own_name_takes_it_back(
    empty_plant: Plant,
) -> None:
    inject(empty_plant, "partial-fill", filled_ppm=0)
    for name in ("overfill", "pocket-fill"):
        fault_named(name).clear(empty_plant, 0)
    assert fault_named("partial-fill").is_on(empty_plant)
    fault_named("partial-fill").clear(empty_plant, 0)
    empty_plant.fill(ML, DRUG)
    assert empty_plant.truth(0).true_nl_ppm == ML * PPM
    assert effects(empty_plant, "partial-fill") == 0


# FI 13, 14, RH-21
@pytest.mark.parametrize("by_stroke", [False, True])
def test_a_reservoir_that_ran_empty_makes_what_the_pump_moves_suspect(
    strokes: Strokes, by_stroke: bool
) -> None:
    plant = Plant(PumpModel(), b"", implant=Implant(filled_nl=1_401_000))
    if by_stroke:
        inject(plant, "accuracy-drift", ramp_ppm_per_day=0)
    assert plant.rotor.by_stroke == by_stroke
    plant.rotor.run(strokes(1))
    assert not plant.truth(0).accuracy_suspect
    plant.rotor.run(strokes(1, first_k=2))
    assert plant.truth(0).accuracy_suspect
    plant.fill(10 * ML, DRUG)
    assert plant.truth(0).accuracy_suspect


# FI 10, RH-15
def test_behind_an_occlusion_fluid_is_stored_then_nothing_moves_and_at_its_release_all_of_it_leaves(
    plant: Plant, strokes: Strokes
) -> None:
    plant.rotor.run(strokes(10))
    inject(plant, "occlusion", compliance_nl=50_250)
    assert plant.rotor.run(strokes(90, first_k=11)) == 90
    truth = plant.truth(0)
    assert (truth.stored_nl_ppm, truth.tip_fg_ppm) == (45_000 * PPM, 10 * STROKE * DRUG)
    assert plant.rotor.run(strokes(100, first_k=101)) == 100
    truth = plant.truth(0)
    assert (truth.stored_nl_ppm, truth.tip_fg_ppm) == (50_250 * PPM, 10 * STROKE * DRUG)
    assert truth.emitted_nl_ppm == 55_250 * PPM
    assert truth.dry_nl_ppm == 0
    assert_conserved(truth)
    assert effects(plant, "occlusion") == 190
    fault_named("occlusion").clear(plant, 0)
    truth = plant.truth(0)
    assert (truth.stored_nl_ppm, truth.tip_fg_ppm) == (0, 55_250 * PPM * DRUG)
    plant.rotor.run(strokes(1, first_k=201))
    assert plant.truth(0).tip_fg_ppm == 55_750 * PPM * DRUG
    assert_conserved(plant.truth(0))


def path_with_a_border(mixing_ppm: int, lost_ppm: int, strokes: Strokes) -> Plant:
    """A path of 338,000 nL: the last 30,000 before the tip are of the old drug, the rest is four times as strong."""
    plant = Plant(PumpModel(catheter_dispersion_ppm=mixing_ppm), b"", implant=Implant())
    plant.aspirate()
    plant.fill(10 * ML, STRONG)
    plant.rotor.run(strokes(100))
    if lost_ppm:
        inject(plant, "catheter-leak", lost_ppm=lost_ppm)
    plant.rotor.run(strokes(516, first_k=101))
    return plant


# FI 10, RH-15, RH-16
@pytest.mark.parametrize("lost_ppm", [0, 250_000])
def test_at_the_release_of_an_occlusion_exactly_what_was_stored_leaves_with_the_drug_that_is_in_it(
    strokes: Strokes, lost_ppm: int
) -> None:
    plant = path_with_a_border(0, lost_ppm, strokes)
    before = plant.truth(0)
    inject(plant, "occlusion", compliance_nl=100_000)
    plant.rotor.run(strokes(100, first_k=617))
    assert (plant.truth(0).stored_nl_ppm, plant.truth(0).tip_ng_per_ml) == (50_000 * PPM, DRUG)
    assert plant.truth(0).tip_fg_ppm == before.tip_fg_ppm
    fault_named("occlusion").clear(plant, 0)
    truth = plant.truth(0)
    left_fg_ppm = (30_000 * DRUG + 20_000 * STRONG) * PPM
    assert truth.tip_fg_ppm - before.tip_fg_ppm == left_fg_ppm * (PPM - lost_ppm) // PPM
    assert truth.lost_fg_ppm - before.lost_fg_ppm == left_fg_ppm * lost_ppm // PPM
    assert (truth.path_fg_ppm, truth.tip_ng_per_ml) == (338_000 * PPM * STRONG, STRONG)
    assert truth.stored_nl_ppm == 0
    assert_conserved(truth)
    assert effects(plant, "occlusion") == 100, "what it held back is not forgotten"
    inject(plant, "occlusion", compliance_nl=100_000)
    plant.rotor.run(strokes(300, first_k=717))
    assert plant.truth(0).stored_nl_ppm == 100_000 * PPM, "a second one stores as much anew"


# FI 10, RH-15
@pytest.mark.parametrize("mixing_ppm", [0, 60_000])
@pytest.mark.parametrize("lost_ppm", [0, 1, 999_999])
def test_an_occlusion_that_lost_no_stroke_leaves_nothing_behind_when_it_is_released(
    strokes: Strokes, mixing_ppm: int, lost_ppm: int
) -> None:
    held, free = (path_with_a_border(mixing_ppm, lost_ppm, strokes) for _ in range(2))
    inject(held, "occlusion", compliance_nl=100_000)
    for plant in (held, free):
        plant.rotor.run(strokes(100, first_k=617))
    assert held.truth(0).tip_fg_ppm < free.truth(0).tip_fg_ppm
    fault_named("occlusion").clear(held, 0)
    assert held.truth(0) == free.truth(0)
    for plant in (held, free):
        plant.rotor.run(strokes(900, first_k=717))
    assert held.truth(0) == free.truth(0)


def test_nothing_is_drawn_back_past_an_occlusion(plant: Plant, strokes: Strokes) -> None:
    inject(plant, "occlusion")
    plant.rotor.run(strokes(10))
    inject(plant, "rotor-backward", strokes=3)
    for k in range(11, 14):
        plant.rotor.run(strokes(1, first_k=k))
    truth = plant.truth(0)
    assert (truth.backflow_nl_ppm, truth.stored_nl_ppm, truth.strokes_backward) == (0, 5_000 * PPM, 3)


# FI 11
@pytest.mark.parametrize("lost_ppm", [1, 300_000, 1_000_000])
def test_a_leak_takes_its_part_of_what_arrives_while_it_is_there_and_no_more(
    plant: Plant, strokes: Strokes, lost_ppm: int
) -> None:
    plant.rotor.run(strokes(100))
    inject(plant, "catheter-leak", lost_ppm=lost_ppm)
    plant.rotor.run(strokes(200, first_k=101))
    fault_named("catheter-leak").clear(plant, 0)
    plant.rotor.run(strokes(50, first_k=301))
    truth = plant.truth(0)
    assert truth.lost_fg_ppm == 200 * STROKE * DRUG * lost_ppm // PPM
    assert truth.tip_fg_ppm == 350 * STROKE * DRUG - truth.lost_fg_ppm
    assert effects(plant, "catheter-leak") == 200 * 500 * lost_ppm // PPM
    assert_conserved(truth)


# FI 12
def test_a_siphon_flows_beyond_the_strokes_exactly_by_the_time(plant: Plant, strokes: Strokes) -> None:
    inject(plant, "siphon", rate_nl_per_day=2 * ML)
    plant.rotor.run(strokes(50))
    half_ms = 50 * STROKE_MS
    truth = plant.truth(half_ms)
    assert truth.free_flow_nl_ppm == 2 * ML * PPM * half_ms // MS_PER_DAY
    assert truth.emitted_nl_ppm == 50 * STROKE + truth.free_flow_nl_ppm
    plant.flow_until(2 * half_ms)
    fault_named("siphon").clear(plant, 2 * half_ms)
    assert plant.truth(MS_PER_DAY).free_flow_nl_ppm == 2 * ML * PPM * 2 * half_ms // MS_PER_DAY
    assert effects(plant, "siphon") == 2 * ML * 2 * half_ms // MS_PER_DAY


# FI 12, 13
def test_a_siphon_empties_the_reservoir_at_its_millisecond(strokes: Strokes) -> None:
    plant = Plant(PumpModel(), b"", implant=Implant(filled_nl=1_400_000 + 999))
    inject(plant, "siphon", rate_nl_per_day=3 * ML)
    exact_ms = -(-999 * MS_PER_DAY // (3 * ML))
    assert plant.truth(exact_ms - 1).ran_dry_at_ms is None
    truth = plant.truth(10 * MS_PER_DAY)
    assert (truth.ran_dry_at_ms, truth.free_flow_nl_ppm) == (exact_ms, 999 * PPM)
    assert (truth.deliverable_nl_ppm, truth.accuracy_suspect) == (0, True)
    plant.fill(10_000, DRUG)
    assert plant.truth(10 * MS_PER_DAY).free_flow_nl_ppm == 999 * PPM, "what could not flow is not caught up"
    plant.rotor.run(strokes(1, anchor_ms=10 * MS_PER_DAY))
    assert plant.truth(10 * MS_PER_DAY + STROKE_MS).free_flow_nl_ppm == (999 + 2_500) * PPM


# FI 12, 13
@pytest.mark.parametrize("in_one_run", [True, False])
def test_a_siphon_and_strokes_that_empty_a_reservoir_together_do_so_at_the_millisecond_of_the_one_that_does(
    strokes: Strokes, in_one_run: bool
) -> None:
    plant = Plant(PumpModel(), b"", implant=Implant(filled_nl=1_400_000 + 50_050))
    inject(plant, "siphon", rate_nl_per_day=ML)
    if in_one_run:
        plant.rotor.run(strokes(100))
    else:
        for k in range(1, 101):
            plant.truth(k * STROKE_MS - 1)
            plant.rotor.run(strokes(1, first_k=k))
    truth = plant.truth(200 * STROKE_MS)
    # 37 strokes by 2,664,000 ms; before the next the siphon takes what they left
    exact_ms = -(-(50_050 - 37 * 500) * MS_PER_DAY // ML)
    assert 37 * STROKE_MS < exact_ms < 38 * STROKE_MS
    assert truth.ran_dry_at_ms == exact_ms
    assert truth.free_flow_nl_ppm == (50_050 - 37 * 500) * PPM
    assert truth.dry_nl_ppm == 63 * STROKE


def test_what_lies_before_the_tip_is_forgotten_while_fluid_goes_back_and_forth(
    plant: Plant, strokes: Strokes
) -> None:
    inject(plant, "ambient-pressure", pressure_pa=303_900)
    plant.rotor.run(strokes(300))
    assert len(plant.catheter.batches) <= 3


# FI 28
def test_a_catheter_emptied_by_its_side_port_gives_no_drug_until_it_is_full_again(
    plant: Plant, strokes: Strokes
) -> None:
    plant.rotor.run(strokes(10))
    before = plant.truth(0)
    inject(plant, "side-port-aspiration")
    truth = plant.truth(0)
    assert truth.aspirated_fg_ppm == 198_000 * PPM * DRUG
    assert truth.path_fg_ppm == 140_000 * PPM * DRUG
    assert (truth.reservoir_fg_ppm, truth.tip_fg_ppm) == (before.reservoir_fg_ppm, before.tip_fg_ppm)
    assert truth.tip_ng_per_ml == 0
    assert_conserved(truth)
    plant.rotor.run(strokes(396, first_k=11))
    assert plant.truth(0).tip_fg_ppm == before.tip_fg_ppm, "a catheter of 198 uL is 396 strokes"
    plant.rotor.run(strokes(1, first_k=407))
    assert plant.truth(0).tip_fg_ppm == before.tip_fg_ppm + STROKE * DRUG
    assert_conserved(plant.truth(0))
    assert effects(plant, "side-port-aspiration") == 1


# FI 15, RH-22
def test_above_two_atmospheres_fluid_goes_back_with_what_is_in_it_and_its_place_is_taken_by_none(
    plant: Plant, strokes: Strokes
) -> None:
    inject(plant, "ambient-pressure", pressure_pa=303_900, backflow_nl_per_day=2_400_000)
    truth = plant.truth(MS_PER_HOUR)
    assert truth.true_nl_ppm == 18_100_000 * PPM
    assert truth.backflow_nl_ppm == 100_000 * PPM
    assert truth.reservoir_fg_ppm == 18_100_000 * PPM * DRUG
    assert (truth.path_fg_ppm, truth.tip_ng_per_ml) == (238_000 * PPM * DRUG, 0)
    assert effects(plant, "ambient-pressure") == 100_000
    truth = plant.truth(5 * MS_PER_HOUR)
    assert truth.reservoir_fg_ppm == (18_338_000 * PPM) * DRUG
    assert (truth.true_nl_ppm, truth.path_fg_ppm) == (18_500_000 * PPM, 0), "the rest came without drug"
    truth = plant.truth(10 * MS_PER_DAY)
    assert truth.true_nl_ppm == 20 * ML * PPM, "until it is full"
    assert_conserved(truth)
    plant.flow_until(10 * MS_PER_DAY)
    fault_named("ambient-pressure").clear(plant, 10 * MS_PER_DAY)
    plant.rotor.run(strokes(676, anchor_ms=10 * MS_PER_DAY))
    assert plant.truth(11 * MS_PER_DAY).tip_fg_ppm == 0
    assert_conserved(plant.truth(11 * MS_PER_DAY))


# WE-45, RH-22
def test_a_40_ml_pump_after_dives_to_30_m_accepts_27_ml() -> None:
    plant = Plant(PumpModel(reservoir_size_nl=40 * ML), b"")
    inject(plant, "ambient-pressure", pressure_pa=202_600, backflow_nl_per_day=0, capacity_nl=27 * ML)
    plant.fill(40 * ML, DRUG)
    plant.aspirate()
    inject(plant, "ambient-pressure", pressure_pa=202_601, backflow_nl_per_day=0, capacity_nl=27 * ML)
    fault_named("ambient-pressure").clear(plant, 0)
    with pytest.raises(
        ValueError, match="cannot fill 27000001 nL: 0 nL are in the reservoir, which is deformed"
    ):
        plant.fill(27 * ML + 1, DRUG)
    assert plant.reservoir.fill_by_hand(40 * ML, DRUG) == 27 * ML
    assert plant.truth(0).true_nl_ppm == 27 * ML * PPM


# FI 15
@pytest.mark.parametrize(
    ("model", "fault", "given", "factor_ppm"),
    [
        ({"accuracy_per_kelvin_ppm": 4_000}, "fever", {"temperature_millicelsius": 40_000}, 1_012_000),
        ({"accuracy_per_kelvin_ppm": 4_000}, "fever", {"temperature_millicelsius": 35_500}, 994_000),
        ({"accuracy_per_atmosphere_ppm": -20_000}, "ambient-pressure", {"pressure_pa": 151_950}, 990_000),
        ({"accuracy_per_atmosphere_ppm": -20_000}, "ambient-pressure", {"pressure_pa": 50_650}, 1_010_000),
        ({}, "fever", {"temperature_millicelsius": 41_000}, 1_000_000),
        ({}, "ambient-pressure", {"pressure_pa": 60_000}, 1_000_000),
    ],
)
def test_temperature_and_pressure_change_the_flow_by_their_coefficients_and_by_default_not_at_all(
    strokes: Strokes, model: dict[str, int], fault: str, given: dict[str, int], factor_ppm: int
) -> None:
    plant = Plant(PumpModel(**model), b"", implant=Implant())  # type: ignore[arg-type]
    inject(plant, fault, **given)
    plant.rotor.run(strokes(1_000))
    assert plant.truth(0).emitted_nl_ppm == 1_000 * 500 * factor_ppm
    assert effects(plant, fault) == (0 if factor_ppm == PPM else 1_000)
    fault_named(fault).clear(plant, 0)
    plant.rotor.run(strokes(1_000, first_k=1_001))
    assert plant.truth(0).emitted_nl_ppm == 1_000 * 500 * (factor_ppm + PPM)


# FI 15
def test_an_empty_reservoir_gives_more_than_a_full_one_where_the_profile_says_so(strokes: Strokes) -> None:
    first = {}
    for filled_nl in (20 * ML, 10 * ML, 2 * ML):
        plant = Plant(PumpModel(accuracy_per_fill_ppm=100_000), b"", implant=Implant(filled_nl=filled_nl))
        plant.rotor.run(strokes(1))
        first[filled_nl] = plant.truth(0).emitted_nl_ppm
    assert first == {20 * ML: 475 * PPM, 10 * ML: 500 * PPM, 2 * ML: 520 * PPM}
