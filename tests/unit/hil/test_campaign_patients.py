"""Patients beside the pumps of a campaign: what the tip gives reaches them, and the lives are the same without them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import jsonschema
import pytest
from click.testing import CliRunner

from firmware_emu.patient.person import NO_DIAGNOSIS, Limits
from firmware_emu.profile import Implant
from hil.campaign.bedside import Bedside
from hil.campaign.conversation import Conversation, profile_of
from hil.campaign.harm_told import patient_lines, patient_part
from hil.campaign.life import Life, Play
from hil.campaign.lives_file import lives_file
from hil.campaign.measuring import FaultLived
from hil.campaign.patient_watch import RISKS, PatientWatch
from hil.campaign.plan import read_plan
from hil.campaign.playing import Lived, lived_by
from hil.campaign.report.findings import findings_of
from hil.campaign.report.json_report import faults_of
from hil.cli.json_schema import json_schema
from hil.cli.main import cli
from hil.errors import BadConfiguration
from tests.support.for_each import for_each

if TYPE_CHECKING:
    from pathlib import Path

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
LIVES = b"pump_days = 1\ndeeds = 6\nquiet_stretches = 0\ntwins_every = 0\n"


def bedside(seed: int = 1, **implant: int) -> Bedside:
    """A pump that runs, and a patient beside it."""
    pump = Conversation.with_new_pump(profile_of(implant=Implant(**implant))).pump
    talk = Bedside(pump)
    talk.patient = PatientWatch(pump, seed, Limits())
    return talk


def watch_of(talk: Bedside) -> PatientWatch:
    """Whoever sits beside the patient."""
    assert talk.patient is not None
    return talk.patient


def test_a_life_is_the_same_with_a_patient_and_without() -> None:
    for seed in (1, 2, 3):
        without = lived_by(read_plan(LIVES, "it", "it"), seed)
        with_one = lived_by(read_plan(LIVES + b"patient = true\n", "it", "it"), seed)
        rest = tuple(each for each in with_one.measured if each[0] not in RISKS)
        faults = tuple(each._replace(withdrawal_ms=0, overdose_ms=0) for each in with_one.faults)
        assert with_one._replace(measured=rest, faults=faults) == without


def test_all_that_leaves_the_tip_reaches_the_patient_and_a_pump_as_usual_is_no_risk() -> None:
    talk = bedside(dose_ng_per_day=300_000)
    before = watch_of(talk).patient.effect_ng_per_ml
    talk.wait(5 * DAY_MS + 37 * 60_000)
    assert watch_of(talk).tip_fg == talk.pump.truth().tip_fg_ppm // 1_000_000 > 1_400_000_000_000
    assert watch_of(talk).patient.now_ms == talk.now_ms
    assert watch_of(talk).patient.effect_ng_per_ml == pytest.approx(before, rel=0.01)
    assert watch_of(talk).risks == {name: [] for name in RISKS}


def test_a_stalled_motor_is_a_risk_of_withdrawal_from_some_hours_on() -> None:
    talk = bedside()
    talk.wait(DAY_MS)
    talk.pump.inject("motor-stall", {})
    talk.wait(2 * DAY_MS)
    talk.pump.clear("motor-stall")
    talk.wait(2 * DAY_MS)
    (stretch,) = watch_of(talk).risks["withdrawal_risk_ms"]
    assert DAY_MS + 3 * HOUR_MS < stretch.from_ms < 2 * DAY_MS
    assert 3 * DAY_MS < stretch.until_ms < 4 * DAY_MS
    assert 0 <= stretch.until_ms - stretch.from_ms - stretch.lasted_ms < 2 * 15 * 60_000
    assert watch_of(talk).risks["overdose_risk_ms"] == []


def test_an_occlusion_that_opens_is_a_risk_of_an_overdose() -> None:
    talk = bedside(dose_ng_per_day=400_000, concentration_ng_per_ml=2_000_000)
    talk.pump.inject("occlusion", {"compliance_nl": 1_000_000})
    talk.wait(4 * DAY_MS)
    assert watch_of(talk).risks["withdrawal_risk_ms"]
    talk.pump.clear("occlusion")
    talk.wait(DAY_MS)
    (stretch,) = watch_of(talk).risks["overdose_risk_ms"]
    assert 4 * DAY_MS <= stretch.from_ms < 4 * DAY_MS + HOUR_MS
    assert stretch.lasted_ms > HOUR_MS


def test_fluid_that_goes_back_takes_nothing_from_the_patient() -> None:
    talk = bedside()
    talk.pump.inject("ambient-pressure", {"pressure_pa": 400_000, "backflow_nl_per_day": 3_000_000})
    talk.wait(6 * HOUR_MS)
    talk.pump.clear("ambient-pressure")
    talk.wait(HOUR_MS)
    watch = watch_of(talk)
    assert 0 < watch.patient.effect_ng_per_ml < watch.patient.usual_ng_per_ml


def test_a_fork_of_a_life_has_a_patient_of_its_own_and_the_same_future() -> None:
    life = Life(3, play=Play(patient=Limits()))
    life.live(4)
    fork = life.fork()
    forked, stayed = fork.talk.patient, life.talk.patient
    assert forked is not None
    assert stayed is not None
    then = (stayed.patient.now_ms, stayed.patient.effect_ng_per_ml)
    fork.live(4)
    assert (stayed.patient.now_ms, stayed.patient.effect_ng_per_ml) == then
    life.live(4)
    assert (stayed.patient.now_ms, stayed.patient.effect_ng_per_ml) == (
        forked.patient.now_ms,
        forked.patient.effect_ng_per_ml,
    )


def test_the_same_seed_has_the_same_patient_and_another_seed_another() -> None:
    assert watch_of(bedside(1)).patient.person == watch_of(bedside(1)).patient.person
    assert watch_of(bedside(1)).patient.person != watch_of(bedside(2)).patient.person


def test_faults_with_more_risk_than_usual_are_told_the_worst_first(tmp_path: Path) -> None:
    """Of lives in a file, as no plan of a test is as long as it takes."""
    plan = read_plan(LIVES.replace(b"pump_days = 1", b"pump_days = 3") + b"patient = true\n", "it", "it")
    with lives_file(tmp_path / "lives", plan=plan.digest(), code="", resume=False, now_s=0) as file:
        for seed, (fault, at_work_ms, withdrawal_ms, overdose_ms) in enumerate(
            (("siphon", DAY_MS // 2, 5 * HOUR_MS, 0), ("wear", DAY_MS, 0, 0), ("mri", HOUR_MS, 0, HOUR_MS)), 1
        ):
            risk = FaultLived(
                fault, 1, at_work_ms, 0, 0, at_end=False, withdrawal_ms=withdrawal_ms, overdose_ms=overdose_ms
            )
            risks = {"overdose_risk_ms": overdose_ms, "withdrawal_risk_ms": withdrawal_ms}
            measured = tuple((name, (ms,)) for name, ms in risks.items() if ms)
            file.add(Lived(seed, DAY_MS, (), (), measured=measured, faults=(risk,)), 0)
        found = findings_of(plan, "it", file)
    part = patient_part(found.result.harm)
    lines = [*patient_lines(part, faults_of(found))]
    assert lines[0] == (
        "patients: at risk of withdrawal for 5.0 h (lives: 1), of an overdose for 1.0 h (lives: 1)"
    )
    assert "time at risk beyond the usual, in the mean of its lives" in lines[1]
    assert lines[2] == "  siphon: 4.0 h (lives: 1; in all withdrawal 5.0 h, overdose 0.0 h)"
    assert lines[3].startswith("  mri: 0.9 h (lives: 1; ")
    assert lines[4:] == [f"  {NO_DIAGNOSIS}"]


def test_whoever_is_told_of_patients_is_told_that_it_is_no_diagnosis(tmp_path: Path) -> None:
    plan = tmp_path / "it.toml"
    plan.write_bytes(LIVES + b"patient = true\n[patient_limits]\nwithdrawal_below_ppm = 999_999\n")
    told = [
        CliRunner().invoke(
            cli, ["campaign", "run", str(plan), "--workers", "1", "--out", str(tmp_path / out), *more]
        )
        for out, more in (("words", []), ("json", ["--json"]))
    ]
    document = json.loads(told[1].stdout)
    jsonschema.validate(document, json_schema("campaign-run"))
    assert document["patient"]["note"] == NO_DIAGNOSIS
    assert document["patient"]["withdrawal_risk_ms"] > 0
    assert NO_DIAGNOSIS in told[0].output
    hours = f"{document['patient']['withdrawal_risk_ms'] / HOUR_MS:,.1f} h"
    assert f"patients: at risk of withdrawal for {hours}" in told[0].output


@for_each(
    ("text", "words"),
    [
        ("patient = 1", "patient must be true or false, is 1"),
        ("[patient_limits]\noverdose_above_ppm = 3_000_000", "patient_limits are of no patient"),
        (
            "patient = true\n[patient_limits]\noverdose_above_ppm = 1",
            "patient_limits: overdose_above_ppm must be",
        ),
        ("patient = true\n[patient_limits]\noverdose = 1", "patient_limits: there is no key 'overdose'"),
    ],
)
def test_limits_that_cannot_be_are_refused(text: str, words: str) -> None:
    with pytest.raises(BadConfiguration, match=words):
        read_plan(LIVES + text.encode(), "it", "it.toml")
