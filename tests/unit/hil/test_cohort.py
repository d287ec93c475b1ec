"""A cohort of pumps in a clinic: what syringes and a balance say of them, over the wire, beside what is published."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING

import jsonschema
import pytest
from click.testing import CliRunner

from firmware_emu.units import MS_PER_DAY
from hil.campaign.clinic import Clinic, Syringe
from hil.campaign.cohort import CohortLife
from hil.campaign.cohort_told import cohort_lines, cohort_part
from hil.campaign.life import Play
from hil.campaign.plan import COHORT_KEYS, KINDS, load_plan, read_plan
from hil.campaign.playing import MADE_BY, Lived, lived_by
from hil.campaign.published import BETWEEN_PPM, COHORT_MEASURES, Cohort
from hil.cli.json_schema import json_schema
from hil.cli.main import cli
from hil.errors import BadConfiguration
from tests.simulation.life_mutants import MUTANTS
from tests.support.for_each import for_each
from tests.support.soak import rounds_of

if TYPE_CHECKING:
    from pathlib import Path

FEW = b'pump_days = 1_095\nlife = "cohort"\n'
EXACT = Clinic(
    accuracy_mean_ppm=1_000_000,
    accuracy_sd_ppm=0,
    syringe_scale_ppm=0,
    syringe_reading_sd_nl=0,
    syringe_read_to_nl=1,
    left_behind_nl_max=0,
)
"""A clinic in which nobody errs, and pumps that are exact."""


def lived(clinic: Clinic, seed: int = 1) -> dict[str, list[int]]:
    """What a pump yields in such a clinic."""
    life = CohortLife(seed, clinic, Play())
    life.live()
    assert life.talk.now_ms == clinic.days * MS_PER_DAY
    life.measuring.finish()
    return life.measured


def of_clinic(**keys: int) -> Clinic:
    """The exact clinic, but for these."""
    return Clinic(**{name: getattr(EXACT, name) for name in Clinic.__slots__} | keys)


def test_exact_pumps_in_a_clinic_that_never_errs_have_no_error() -> None:
    measured = lived(EXACT)
    assert len(measured["read_error_at_refill_ppm"]) >= 2
    for name in ("read_error_at_refill_ppm", "weighed_error_at_refill_ppm"):
        assert all(abs(ppm) < 100 for ppm in measured[name]), name  # a stroke of those that were due
    assert "refill_to_investigate_nl" not in measured
    assert {*measured} <= {*COHORT_MEASURES}


def test_a_pump_that_gives_less_is_read_and_weighed_alike() -> None:
    measured = lived(of_clinic(accuracy_mean_ppm=976_000))
    (drawn_ppm,) = measured["accuracy_error_ppm"]
    assert drawn_ppm == -24_000
    for name in ("weighed_error_at_refill_ppm", "read_error_at_refill_ppm", "read_error_at_12_months_ppm"):
        assert all(ppm == pytest.approx(drawn_ppm, abs=200) for ppm in measured[name]), name


def test_what_is_drawn_and_never_seen_looks_like_too_much_given_at_each_refill() -> None:
    measured = lived(of_clinic(unseen_nl=500_000))
    for read_ppm, programmed_nl in zip(
        measured["read_error_at_refill_ppm"], measured["programmed_at_refill_nl"], strict=True
    ):
        assert read_ppm == pytest.approx(500_000 * 1_000_000 / programmed_nl, abs=100)
    assert all(abs(ppm) < 100 for ppm in measured["weighed_error_at_refill_ppm"])


def test_what_is_left_behind_is_counted_back_at_the_next_refill() -> None:
    measured = lived(of_clinic(left_behind_nl_max=1_000_000))
    read_nl = [
        ppm * programmed_nl // 1_000_000
        for ppm, programmed_nl in zip(
            measured["read_error_at_refill_ppm"], measured["programmed_at_refill_nl"], strict=True
        )
    ]
    assert max(map(abs, read_nl)) > 100_000
    assert 0 <= sum(read_nl) <= 1_000_000 + 10_000


def test_a_pump_far_off_is_called_to_be_investigated_with_what_the_pump_told() -> None:
    measured = lived(of_clinic(accuracy_mean_ppm=860_000))
    told_nl = measured["refill_to_investigate_nl"]
    assert len(told_nl) == len(measured["read_error_at_refill_ppm"])
    assert all(
        nl == pytest.approx(0.14 * programmed_nl, abs=1_000)
        for nl, programmed_nl in zip(told_nl, measured["programmed_at_refill_nl"], strict=True)
    )


def test_refills_are_booked_before_the_low_alarm_and_within_half_a_year() -> None:
    measured = lived(EXACT)
    latest_ms = (Clinic().interval_days_max + 1) * MS_PER_DAY
    assert all(30 * MS_PER_DAY < ms <= latest_ms for ms in measured["refill_interval_ms"])
    slow = of_clinic(dose_ng_per_day_min=24_000, dose_ng_per_day_max=24_000)
    assert lived(slow)["refill_interval_ms"] == [180 * MS_PER_DAY] * 2
    clinic = Clinic()
    assert clinic.next_visit_ms(5, 2 * MS_PER_DAY, Random(1)) == 5 + MS_PER_DAY


def test_the_weakest_drug_that_lasts_is_chosen() -> None:
    chosen = [Clinic().concentration_ng_per_ml(dose) for dose in (90_000, 133_000, 134_000, 800_000)]
    assert chosen == [500_000, 500_000, 1_000_000, 2_000_000]


def test_accuracies_are_drawn_about_the_mean_and_within_the_label() -> None:
    random = Random(1)
    drawn = [Clinic().accuracy_ppm(random) for _ in range(2_000)]
    assert 855_000 <= min(drawn) < 880_000
    assert max(drawn) <= 1_145_000
    assert sum(drawn) / len(drawn) == pytest.approx(976_000, abs=3_000)


def test_a_syringe_is_read_in_steps_and_each_has_a_scale_of_its_own() -> None:
    random, clinic = Random(1), of_clinic(syringe_read_to_nl=500_000)
    assert [Syringe(clinic, random).reading_nl(nl) for nl in (0, 249_999, 250_000, 3_700_000)] == [
        0,
        0,
        500_000,
        3_500_000,
    ]
    scaled = [Syringe(of_clinic(syringe_scale_ppm=40_000), random) for _ in range(50)]
    readings = [each.reading_nl(10_000_000) for each in scaled]
    assert 9_600_000 <= min(readings) < 9_800_000
    assert 10_200_000 < max(readings) <= 10_400_000
    for each in scaled:
        assert each.reading_nl(each.volume_nl(10_000_000)) == pytest.approx(10_000_000, abs=2)


def test_what_would_explain_the_rest_explains_it_when_it_is_put_in() -> None:
    def cohort_of(unseen_nl: int) -> Cohort:
        text = FEW + f"[cohort]\nunseen_nl = {unseen_nl}\nsyringe_read_to_nl = 1\n".encode()
        cohort = Cohort()
        for seed in (1, 2):
            cohort.add(lived_by(read_plan(text, "few", "few.toml"), seed))
        return cohort

    before = cohort_of(0)
    assert (before.pumps, before.refills) == (2, len(before.values_ppm["read_error_at_refill_ppm"]))
    would_nl = before.would_explain_nl()
    assert would_nl is not None
    assert before.explained_ppm() != BETWEEN_PPM
    assert cohort_of(would_nl).explained_ppm() == pytest.approx(BETWEEN_PPM, rel=0.01)


def test_a_volume_that_would_explain_the_rest_is_a_larger_part_of_an_early_refill() -> None:
    values = {
        "accuracy_error_ppm": (0,),
        "programmed_at_refill_nl": (1_000_000, 10_000_000),
        "read_error_at_refill_ppm": (1_000, 1_000),
        "weighed_error_at_refill_ppm": (-1_000, -1_000),
    }
    cohort = Cohort()
    cohort.add(Lived(1, 1, (), (), measured=tuple(values.items())))
    assert cohort.explained_ppm() == 2_000
    assert cohort.would_explain_nl() == 85_455  # 4.7 % is the mean of 8.5 % of 1 mL and 0.85 % of 10 mL


def test_a_cohort_without_a_refill_explains_nothing_and_other_lives_are_none_of_it() -> None:
    cohort = Cohort()
    cohort.add(Lived(1, 1, (), (), measured=(("accuracy_error_ppm", (5,)),)))
    cohort.add(Lived(2, 1, (), (), measured=(("dry_ms", (5,)),)))
    assert (cohort.pumps, cohort.refills, cohort.figures()) == (1, 0, {})
    assert cohort.explained_ppm() is None
    assert cohort.would_explain_nl() is None


def test_a_cohort_is_run_replayed_and_told_beside_what_is_published(tmp_path: Path) -> None:
    plan = tmp_path / "few.toml"
    plan.write_bytes(b'pump_days = 300\nlife = "cohort"\npatient = true\n[cohort]\ndays = 150\n')
    told = {
        out: CliRunner().invoke(
            cli, ["campaign", "run", str(plan), "--workers", "1", "--out", str(tmp_path / out), *more]
        )
        for out, more in (("words", []), ("json", ["--json", "--report", str(tmp_path / "report")]))
    }
    document = json.loads(told["json"].stdout)
    jsonschema.validate(document, json_schema("campaign-run"))
    assert document["lives"] == document["cohort"]["pumps"] == 2
    assert document["violations"] == []
    assert {each["published_ppm"] for each in document["cohort"]["figures"]} == {25_000, -24_000}
    for words in (
        "cohort: 2 pumps, ",
        "each refill, by syringe: ",
        "published +2.5 %",
        "published -2.4 %, pumps in a laboratory",
        "mL more were drawn and never seen",
        "8 invariants held against each life: no invariant was violated",
    ):
        assert words in told["words"].output
    assert "of 0 marks" not in told["words"].output
    report = json.loads((tmp_path / "report/campaign.json").read_text())
    assert report["cohort"] == document["cohort"]
    assert {each["meaning"] for each in report["measured"] if each["name"] in COHORT_MEASURES} <= {
        *COHORT_MEASURES.values()
    }
    page = (tmp_path / "report/campaign.html").read_text()
    for words in (
        "The cohort",
        "each refill, by syringe",
        "mL more were drawn and never seen",
        "diagnoses nothing",
    ):
        assert words in page
    replayed = CliRunner().invoke(cli, ["campaign", "replay", "2", "--plan", str(plan)])
    assert "refill: " in replayed.output
    assert " mL expected; filled to 18 mL" in replayed.output
    assert "in 150 days; every invariant held" in replayed.output


def test_a_pump_that_foresees_to_be_empty_before_it_is_low_breaks_an_invariant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner, name, made_from = next(
        mutant for mutant in MUTANTS if mutant.what == "empty comes before low"
    ).change
    monkeypatch.setattr(owner, name, made_from(getattr(owner, name)))
    broken = lived_by(read_plan(FEW, "few", "few.toml"), 1)
    assert broken.invariant == "P9"
    assert broken.pump_ms < 365 * MS_PER_DAY


def test_the_shipped_cohort_is_as_fidelity_tells_of_it(request: pytest.FixtureRequest) -> None:
    """All of it in a long run; otherwise so few pumps that only what does not depend on the drawn ones is seen."""
    pumps = rounds_of("pumps of the cohort", 65, 3)
    plan, cohort = load_plan("cohort"), Cohort()
    for seed in range(1, pumps + 1):
        cohort.add(lived_by(plan, seed))
    explained_ppm = cohort.explained_ppm()
    assert explained_ppm is not None
    assert abs(explained_ppm) < BETWEEN_PPM / 4
    if pumps == 65:
        told = request.config.rootpath.joinpath("firmware_emu/FIDELITY.md").read_text()
        for line in cohort_lines(cohort_part(cohort)):
            assert line in told


def test_each_kind_of_life_has_somebody_who_makes_it_and_each_number_of_a_clinic_a_key() -> None:
    assert {*MADE_BY} == {*KINDS}
    assert {*COHORT_KEYS} == {*Clinic.__slots__}
    plan = load_plan("cohort")
    assert plan.pump_days == 65 * plan.clinic().days


@for_each(
    ("text", "words"),
    [
        (b"deeds = 3", "deeds is of random lives, and those of this plan are cohort"),
        (b"twins_every = 1", "twins_every is of random lives"),
        (b'invariants = ["L1", "P4"]', "nothing looks at L1 in cohort lives"),
        (b'invariants = ["P4"]', "nothing would look at P4"),
        (b"[cohort]\ndays = 0", "cohort: days must be a whole number from 1"),
        (b"[cohort]\ndays = 1\npumps = 2", "cohort: there is no key 'pumps'"),
        (
            b"[cohort]\ndose_ng_per_day_min = 900_000",
            "dose_ng_per_day_min must not be above dose_ng_per_day_max",
        ),
    ],
)
def test_a_plan_of_a_cohort_that_cannot_be_right_is_refused(text: bytes, words: str) -> None:
    with pytest.raises(BadConfiguration, match=words):
        read_plan(FEW + text, "few", "few.toml")


def test_a_life_that_is_no_row_of_deeds_is_not_gone_on_from() -> None:
    for words in (["run", "cohort", "--explore"], ["replay", "2", "--plan", "cohort", "--branch", "1:1"]):
        done = CliRunner().invoke(cli, ["campaign", *words])
        assert isinstance(done.exception, BadConfiguration), done.output
        assert "cohort lives, which are no rows of deeds" in str(done.exception)


def test_a_table_of_a_clinic_in_a_plan_of_random_lives_is_refused() -> None:
    with pytest.raises(
        BadConfiguration, match="cohort is of cohort lives, and those of this plan are random"
    ):
        read_plan(b"pump_days = 1\n[cohort]\ndays = 3\n", "it", "it.toml")
    with pytest.raises(BadConfiguration, match="life must be one of random, cohort, is 'clinic'"):
        read_plan(b'pump_days = 1\nlife = "clinic"\n', "it", "it.toml")
