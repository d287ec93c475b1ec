"""A catheter with dispersion: drug comes early and is missed later, and none is made or lost."""

from __future__ import annotations

import random
from fractions import Fraction

from firmware_emu.plant.catheter import Catheter
from firmware_emu.profile import Implant, PumpModel
from firmware_emu.units import PPM
from hil.plugin import verifies
from hil.procedures.fluid_path import FluidColumn, Stretch
from tests.support.for_each import for_each

PATH = 338_000 * PPM
FG_PER_NG = 1_000_000
DRUG = 500_000  # ng/mL


def primed(mixing_nl_ppm: int) -> Catheter:
    """A path full of water, with drug behind it."""
    catheter = Catheter(PATH, 0)
    catheter.mixing_nl_ppm = mixing_nl_ppm
    catheter.follow_with(0, DRUG * PPM, PPM)
    return catheter


@verifies("PRC-003")
@for_each("dispersion_ppm", [100_000, 333_333, 1_000_000])
def test_drug_arrives_before_a_prime_has_ended_and_is_missing_after_it(dispersion_ppm: int) -> None:
    mixing = PATH * dispersion_ppm // PPM
    mixed, plug = primed(mixing), primed(0)
    early = mixed.tip_fg_ppm(PATH)
    assert early == mixing * DRUG // 4 > plug.tip_fg_ppm(PATH) == 0
    following = mixed.tip_fg_ppm(2 * PATH) - early
    assert following == plug.tip_fg_ppm(2 * PATH) - early < PATH * DRUG
    assert mixed.tip_ng_per_ml(PATH) == DRUG // 2
    assert mixed.tip_ng_per_ml(PATH + mixing) == DRUG
    assert mixed.tip_ng_per_ml(PATH - mixing) == 0


@for_each("seed", range(20))
def test_a_catheter_that_mixes_gives_what_one_without_gives_and_what_was_planned(seed: int) -> None:
    chance = random.Random(seed)
    mixing = chance.randrange(1, PATH + 1)
    mixed, plug = Catheter(PATH, 500_000), Catheter(PATH, 500_000)
    mixed.mixing_nl_ppm = mixing
    position, stretches = 0, [Stretch(PATH // PPM, 500_000)]
    for _ in range(chance.randrange(1, 6)):
        volume_nl, concentration = (
            chance.randrange(1, 400_000),
            chance.choice([0, 500_000, 1_000_000, 2_000_000]),
        )
        for catheter in (mixed, plug):
            catheter.follow_with(position, concentration * PPM, PPM)
        stretches.append(Stretch(volume_nl, concentration))
        position += volume_nl * PPM
    for catheter in (mixed, plug):
        catheter.follow_with(position, 700_000 * PPM, PPM)
    # Batches that have passed the tip are forgotten: what is left is asked for from here on.
    whole_nl = sum(stretch.volume_nl for stretch in stretches)
    column = FluidColumn(tuple(stretches), 700_000, Fraction(mixing, whole_nl * PPM))
    at = [position + chance.randrange(3 * PATH) for _ in range(20)]
    for emitted in sorted(at):
        out = mixed.tip_fg_ppm(emitted)
        assert abs(out - column.tip_drug_ng(Fraction(emitted, PPM)) * FG_PER_NG * PPM) <= 10
        assert 0 <= out <= mixed.drug_passed_fg_ppm(emitted)
        assert abs(mixed.tip_ng_per_ml(emitted) - column.tip_ng_per_ml(Fraction(emitted, PPM))) <= 1
    far = position + 3 * PATH
    assert mixed.tip_fg_ppm(far) == plug.tip_fg_ppm(far)


def test_a_pump_mixes_as_its_profile_says() -> None:
    assert Catheter.of(PumpModel(catheter_dispersion_ppm=250_000), Implant()).mixing_nl_ppm == PATH // 4
    assert Catheter.of(PumpModel(), Implant()).mixing_nl_ppm == 0
