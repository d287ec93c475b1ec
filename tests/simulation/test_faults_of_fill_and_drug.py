"""What is filled wrongly, and what is computed from a wrong path: what reaches the tip, and who can find it.

[DOMAIN 8.2, 6.8] The pump sees nothing of it. So each story is held against drug at the catheter's tip, to the
femtogram, and against the host, which has to ask; beside it the same story without the mistake.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

from firmware_emu.bench.profile_file import load_profile
from firmware_emu.profile import Implant, Profile
from firmware_emu.units import MS_PER_DAY, PPM
from hil.campaign.conversation import (
    Conversation,
    bridged,
    factory_profile,
    profile_of,
    simple_header,
)
from hil.cli.path_commands import given_into_the_path
from hil.cli.procedure_documents import PrimePart
from hil.procedures import doses
from hil.procedures.fluid_path import (
    FluidPath,
    PrimeKind,
    bridge_for,
    mixed_concentration_ng_per_ml,
    prime_for,
)
from hil.procedures.reservoir import check_refill
from hil.programs.infusion_program import InfusionProgram
from hil.programs.warnings import PumpNow, warnings
from protocol.identifiers import AlarmId, ConfigId, ErrorCode, RefillFlag
from protocol.log.types import LogType
from protocol.messages.configuration import ConfigRead, ConfigWrite
from protocol.messages.program import ProgCommit, ProgramHeader, Segment
from protocol.messages.reading import GetDelivery, GetInfo, GetStatus
from protocol.messages.reservoir import Refill
from tests.support.for_each import for_each

ML = 1_000_000
MCG = 1_000
DRUG = 500_000  # ng/mL
DOSE = 250_000  # ng/day: a whole number of strokes at each concentration below
FG_PER_NG = 1_000_000
PATH_NL = 338_000
CATHETER_NL = 198_000
RINSED, NOT_RINSED = RefillFlag.RINSED_TWICE, RefillFlag(0)


class Entered(NamedTuple):
    """What the clinician tells the pump of a refill."""

    concentration_ng_per_ml: int
    dose_ng_per_day: int = DOSE
    drug_id: int = 1
    bridge: tuple[int, int] | None = None
    flags: RefillFlag = RINSED

    @property
    def rate_nl_per_day(self) -> int:
        return self.dose_ng_per_day * ML // self.concentration_ng_per_ml


def implanted(ng_per_ml: int = DRUG, dose_ng_per_day: int = DOSE, **model: int) -> Conversation:
    implant = Implant(concentration_ng_per_ml=ng_per_ml, dose_ng_per_day=dose_ng_per_day)
    return Conversation.with_new_pump(profile_of(implant=implant, **model))


def tell(talk: Conversation, entered: Entered, filled_nl: int = 18 * ML, aspirated_nl: int = 18 * ML) -> None:
    """A refill as it is entered, with its program where drug or concentration is another."""
    header = simple_header(entered.dose_ng_per_day, entered.concentration_ng_per_ml, entered.drug_id)
    program: tuple[ProgramHeader, tuple[Segment, ...]] = header, (Segment(0, entered.rate_nl_per_day),)
    if entered.bridge is not None:
        program = bridged(program, *entered.bridge)
    crc = talk.stage_program(*program, base_rev=1).staged_crc
    refill = Refill(
        1,
        aspirated_nl,
        filled_nl,
        entered.drug_id,
        entered.flags,
        entered.concentration_ng_per_ml,
        2 * ML,
        crc,
    )
    talk.granted(refill)


def fill(talk: Conversation, vial_ng_per_ml: int, entered: Entered) -> None:
    """The syringe takes all out and fills what is in the vial; the pump is told what the clinician read on it."""
    drawn_nl = talk.pump.aspirate(None)
    talk.pump.fill(18 * ML, vial_ng_per_ml)
    tell(talk, entered, aspirated_nl=drawn_nl)


def given_ng(talk: Conversation, ms: int) -> Fraction:
    """Drug that leaves the tip in the time to come."""
    before = talk.pump.truth().tip_fg_ppm
    talk.wait(ms)
    return Fraction(talk.pump.truth().tip_fg_ppm - before, PPM * FG_PER_NG)


def says_nothing(talk: Conversation) -> bool:
    return int(talk.granted(GetStatus()).alarm_active) == 0


def transit_ms(rate_nl_per_day: int, volume_nl: int = PATH_NL) -> int:
    return -(-volume_nl * MS_PER_DAY // rate_nl_per_day)


# FI 20, RH-20
@for_each(
    ("entered_ng_per_ml", "gets"),
    [
        (4 * DRUG, Fraction(1, 4)),
        (DRUG // 4, Fraction(4)),
        (10 * DRUG, Fraction(1, 10)),
        (DRUG // 10, Fraction(10)),
        (DRUG, Fraction(1)),
    ],
)
def test_of_a_concentration_that_was_read_wrongly_the_patient_gets_the_factor_and_the_pump_says_nothing(
    entered_ng_per_ml: int, gets: Fraction
) -> None:
    talk = implanted()
    entered = Entered(entered_ng_per_ml)
    fill(talk, DRUG, entered)
    assert doses.must_be_retyped(DRUG, entered_ng_per_ml) is (gets != 1), "the programmer asks for it twice"
    talk.wait(transit_ms(entered.rate_nl_per_day))
    assert given_ng(talk, MS_PER_DAY) == DOSE * gets
    assert doses.given_by_mistake_ng(DOSE, entered_ng_per_ml, DRUG) == DOSE * gets
    assert says_nothing(talk)


# FI 21
@for_each(
    ("old_ng_per_ml", "new_ng_per_ml", "gets_ng_per_day"),
    [(500_000, 2_000_000, 75_000), (2_000_000, 500_000, 1_200_000)],
    name=lambda row: f"WE-15, WE-17: {row[0]} to {row[1]}",
)
def test_we_15_and_17_without_a_bridge_the_old_drug_leaves_at_the_new_rate_for_a_path_volume(
    old_ng_per_ml: int, new_ng_per_ml: int, gets_ng_per_day: int
) -> None:
    dose = 300_000
    plan = bridge_for(
        FluidPath(CATHETER_NL),
        old_ng_per_ml=old_ng_per_ml,
        new_ng_per_ml=new_ng_per_ml,
        bridge_dose_ng_per_day=dose,
        new_dose_ng_per_day=dose,
    )
    assert plan.dose_without_ng_per_day == gets_ng_per_day
    old_rate = dose * ML // old_ng_per_ml
    for bridge, gets in ((None, gets_ng_per_day), ((PATH_NL, old_rate), dose)):
        talk = implanted(old_ng_per_ml, dose)
        entered = Entered(new_ng_per_ml, dose, bridge=bridge)
        fill(talk, new_ng_per_ml, entered)
        wrong_ms = int(plan.without_ms) if bridge is None else transit_ms(old_rate)
        assert given_ng(talk, wrong_ms) == Fraction(gets * wrong_ms, MS_PER_DAY)
        assert given_ng(talk, MS_PER_DAY) == dose
        assert says_nothing(talk)
    old, new = (InfusionProgram.simple(dose, ng_per_ml, 1) for ng_per_ml in (old_ng_per_ml, new_ng_per_ml))
    asked = {warned.name for warned in warnings(new, PumpNow(old, 18 * ML, 2 * ML))}
    assert "no-bridge" in asked


# FI 22, 70
@for_each(
    ("told_excess_nl", "gets_ng_per_day"),
    [(-66_000, 75_000), (66_000, 1_200_000), (0, 300_000)],
    name=lambda row: f"{row[0]} nL told beyond what it holds",
)
def test_a_bridge_for_a_catheter_of_another_length_gives_a_wrong_dose_for_the_difference(
    told_excess_nl: int, gets_ng_per_day: int
) -> None:
    """500 to 2000 mcg/mL: too short and a quarter, too long and four times the dose, of 30 cm of catheter."""
    talk = implanted(DRUG, 300_000, catheter_told_excess_nl=told_excess_nl)
    told_nl = int.from_bytes(talk.granted(ConfigRead(ConfigId.CATHETER_NL)).value, "little")
    assert told_nl == CATHETER_NL + told_excess_nl
    old_rate, new_rate = 600_000, 150_000
    plan = bridge_for(
        FluidPath(told_nl),
        old_ng_per_ml=DRUG,
        new_ng_per_ml=2_000_000,
        bridge_dose_ng_per_day=300_000,
        new_dose_ng_per_day=300_000,
    )
    fill(talk, 2_000_000, Entered(2_000_000, 300_000, bridge=(plan.volume_nl, plan.rate_nl_per_day)))
    right_nl = min(plan.volume_nl, PATH_NL)
    right_ms = transit_ms(old_rate, right_nl)
    assert given_ng(talk, right_ms) == Fraction(300_000 * right_ms, MS_PER_DAY)
    wrong_rate = new_rate if told_excess_nl < 0 else old_rate
    wrong_ms = transit_ms(wrong_rate, abs(told_excess_nl)) or MS_PER_DAY
    assert given_ng(talk, wrong_ms) == Fraction(gets_ng_per_day * wrong_ms, MS_PER_DAY)
    assert given_ng(talk, MS_PER_DAY) == 300_000
    assert says_nothing(talk)


# FI 70
@for_each("profile", ["old_catheter_volume", "implanted"])
def test_a_new_pump_that_was_told_the_volume_of_the_old_catheter_primes_drug_out_of_its_tip(
    profile: str,
) -> None:
    """The catheter was cut short when the pump was replaced; what it holds less leaves as drug."""
    talk = new_pump(load_profile(profile))
    told_nl = int.from_bytes(talk.granted(ConfigRead(ConfigId.CATHETER_NL)).value, "little")
    model = talk.pump.profile.model
    excess_nl = told_nl - model.catheter_nl
    assert excess_nl == (66_000 if profile == "old_catheter_volume" else 0)
    assert primed_ng(talk, FluidPath(told_nl)) == Fraction(excess_nl * DRUG, ML)
    assert says_nothing(talk)


# FI 23
@for_each(
    ("old_ng_per_ml", "new_ng_per_ml", "mixed_mcg_per_ml"),
    [(500_000, 2_000_000, 1901.87), (2_000_000, 500_000, 598.13)],
    name=lambda row: f"WE-18, WE-19: {row[1]} over {row[0]}",
)
def test_we_18_and_19_without_a_rinse_the_patient_gets_what_the_residual_volume_makes_of_it(
    old_ng_per_ml: int, new_ng_per_ml: int, mixed_mcg_per_ml: float
) -> None:
    residual_nl = 1_400_000
    dose = 300_000
    mixed = mixed_concentration_ng_per_ml(20 * ML, new_ng_per_ml, residual_nl, old_ng_per_ml)
    assert round(float(mixed) / MCG, 2) == mixed_mcg_per_ml
    for rinsed in (False, True):
        talk = implanted(old_ng_per_ml, dose, reservoir_size_nl=40 * ML)
        drawn_nl = talk.pump.aspirate(None if rinsed else 18 * ML - residual_nl)
        talk.pump.fill(20 * ML, new_ng_per_ml)
        entered = Entered(new_ng_per_ml, dose, flags=RINSED if rinsed else NOT_RINSED)
        tell(talk, entered, filled_nl=20 * ML, aspirated_nl=drawn_nl)
        talk.wait(transit_ms(entered.rate_nl_per_day))
        exact = Fraction(new_ng_per_ml) if rinsed else mixed
        given = given_ng(talk, MS_PER_DAY)
        assert abs(given - exact * entered.rate_nl_per_day / ML) < Fraction(1, FG_PER_NG)
        assert (given == dose) is rinsed
        assert says_nothing(talk)


# FI 24
def test_of_a_drug_of_another_name_the_pump_wants_a_program_and_then_gives_what_is_in_it() -> None:
    wrong, right = implanted(), implanted()
    error = wrong.refused(Refill(1, 18 * ML, 18 * ML, 2, RINSED, DRUG, 2 * ML))
    assert error.code is ErrorCode.CONC
    fill(wrong, DRUG, Entered(DRUG, drug_id=2))
    fill(right, DRUG, Entered(DRUG))
    assert given_ng(wrong, MS_PER_DAY) == given_ng(right, MS_PER_DAY) == DOSE, "nobody can see it"
    assert says_nothing(wrong)


# FI 25
@for_each(("typed_nl", "investigate"), [(12_500_000, False), (1_250_000, True), (15_200_000, True)])
def test_a_measured_volume_that_was_mistyped_is_called_to_be_investigated_and_changes_no_belief(
    typed_nl: int, investigate: bool
) -> None:
    talk = implanted()
    talk.wait(11 * MS_PER_DAY)
    expected_nl = 18 * ML - 11 * 500_000
    assert talk.pump.aspirate(None) == expected_nl == 12_500_000
    talk.pump.fill(18 * ML, DRUG)
    assert check_refill(18 * ML, expected_nl, typed_nl).investigate is investigate
    reply = talk.granted(Refill(1, typed_nl, 18 * ML, 1, NOT_RINSED, DRUG, 2 * ML))
    assert (reply.expected_nl, reply.diff_nl) == (expected_nl, typed_nl - expected_nl)
    assert reply.reservoir_calc_nl == 18 * ML
    assert talk.pump.truth().true_nl_ppm == 18 * ML * PPM
    (entry,) = [entry for entry in talk.log() if entry.type is LogType.REFILL][1:]
    assert entry.details().aspirated_nl == typed_nl, "the log has what was typed, for whoever looks into it"


def new_pump(profile: Profile) -> Conversation:
    """This pump as it comes from the factory, filled and not yet programmed: water is in its path."""
    talk = Conversation.with_new_pump(replace(profile, implant=None, wall_at_start_s=None))
    talk.granted(Refill(1, 0, 18 * ML, 1, NOT_RINSED, DRUG, 2 * ML))
    return talk


def primed_ng(talk: Conversation, path: FluidPath, cmd_id: int = 2) -> Fraction:
    """Drug that a prime of a new path puts out of the tip, computed from what is believed of the path."""
    plan = prime_for(PrimeKind.NEW, path, doses.RATE_MAX_NL_PER_DAY)
    duration_s = -(-plan.duration_ms // 1_000)
    talk.start_prime(cmd_id, plan.volume_nl, duration_s, program_rev=0)
    return given_ng(talk, duration_s * 1_000)


# FI 26
def test_a_path_that_is_primed_twice_gives_a_path_volume_of_drug_and_the_programmer_asks_first() -> None:
    talk = new_pump(factory_profile())
    path = FluidPath(CATHETER_NL)
    part = PrimePart(
        kind=PrimeKind.NEW.value,
        volume_nl=PATH_NL,
        duration_ms=1,
        tip_drug_ng=0,
        following_drug_ng=0,
        following_nominal_ng=0,
    )
    assert not given_into_the_path(part, path, talk.granted(GetDelivery()), DRUG)
    assert primed_ng(talk, path) == 0
    assert given_into_the_path(part, path, talk.granted(GetDelivery()), DRUG)
    assert primed_ng(talk, path, cmd_id=3) == 169_000
    assert says_nothing(talk)


# FI 27, RH-01
@for_each(("profile", "harm_ng"), [("old_tubing_volume", 29_500), ("implanted", 0)])
def test_rh_01_a_prime_by_the_tubing_volume_of_before_2016_gives_drug_that_nobody_asked_for(
    profile: str, harm_ng: int
) -> None:
    talk = new_pump(load_profile(profile))
    path = FluidPath(CATHETER_NL, talk.granted(GetInfo()).tubing_nl)
    assert (path.excess_before_2016_nl > 0) is (harm_ng > 0), "the programmer can tell"
    assert primed_ng(talk, path) == harm_ng
    assert says_nothing(talk)
    rev = 0
    talk.granted(ProgCommit(9, rev, talk.stage(300_000, DRUG, base_rev=rev).staged_crc, start=True))
    assert given_ng(talk, MS_PER_DAY) == 300_000, "the path is full either way"


# FI 70, RH-01
def test_a_volume_that_the_clinic_configures_replaces_the_one_that_was_told() -> None:
    talk = new_pump(load_profile("old_tubing_volume"))
    assert talk.granted(GetInfo()).tubing_nl == 199_000
    talk.granted(ConfigWrite(ConfigId.TUBING_NL, (140_000).to_bytes(4, "little")))
    for _ in range(2):
        assert talk.granted(GetInfo()).tubing_nl == 140_000
        talk.pump.cut_power()
        talk.pump.restore_power()
    assert not talk.granted(GetStatus()).alarm_active >> AlarmId.MEM_NONCRITICAL & 1
