"""A clinic's month from a shell: the numbers of its session report are those of an independent sum.

What the sum knows stands here, from the script and its programs as a reader sees them; nothing of ours computes it.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.suite.scenarios import played

SCRIPT = Path(__file__).parents[2] / "fixtures/scenarios/clinic_month.sh"
STROKE_NL = 500
FILLED_NL = 20_000_000
PATIENT_NL = 2 * 10_000  # of the first concentration; two of four requests were granted
PRIME_NL = BRIDGE_NL = 90 * 2_200 + 140_000
HOURS_OF_DOSES = ((100, 24), (120, 24), (144, 24), (172, 72))  # mcg a day
START = datetime(2026, 3, 2, 9, 30)  # noqa: DTZ001 - the pump's own clock, which nobody moves
REFILLED = datetime(2026, 3, 30, 8, 0)  # noqa: DTZ001
REPORTED = REFILLED + timedelta(hours=24)
EVENING_H = range(17, 22)
SATURDAY = 5


class Month(NamedTuple):
    """What the script printed, and what it left behind."""

    said: str
    page: str
    report: Any


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Month:
    place = tmp_path_factory.mktemp("month")
    said = played(SCRIPT, place)
    report = json.loads((place / "report_day_29.json").read_text())
    return Month(said, (place / "report_day_29.txt").read_text(), report)


def flexible_nl() -> Fraction:
    """What the flexible program gives from its commit to the refill, hour by hour; 500 mcg/mL are 2 nL for each ng."""
    given_nl = Fraction(0)
    now = START + timedelta(hours=sum(hours for _, hours in HOURS_OF_DOSES))
    while now < REFILLED:
        weekend = now.weekday() >= SATURDAY
        mcg_per_hour = Fraction(15, 2) if weekend else Fraction(10 if now.hour in EVENING_H else 7)
        given_nl += mcg_per_hour * 2_000 / 2  # half an hour
        now += timedelta(minutes=30)
    return given_nl


def simple_nl() -> Fraction:
    """What the doses of the first days give."""
    return sum((Fraction(mcg * 2_000 * hours, 24) for mcg, hours in HOURS_OF_DOSES), Fraction(0))


def after_the_bridge_nl() -> Fraction:
    """200 mcg a day: 0.4 mL a day of the old drug until the bridge is over, then 0.2 mL a day of the new one."""
    bridge_days = Fraction(BRIDGE_NL, 400_000)
    days = Fraction((REPORTED - REFILLED) // timedelta(hours=1), 24)
    return (days - bridge_days) * 200_000


def test_what_was_delivered_is_what_was_programmed_to_less_than_a_stroke(month: Month) -> None:
    delivery = month.report["delivery"]
    basal_nl = simple_nl() + flexible_nl() + after_the_bridge_nl()
    assert 0 <= basal_nl - delivery["basal_nl"] < STROKE_NL
    assert (delivery["prime_nl"], delivery["bridge_nl"]) == (PRIME_NL, BRIDGE_NL)
    assert (delivery["patient_nl"], delivery["bolus_nl"], delivery["periodic_nl"]) == (PATIENT_NL, 0, 0)


def test_what_came_out_at_the_refill_is_what_the_month_had_left(month: Month) -> None:
    before_nl = simple_nl() + flexible_nl() + PRIME_NL + PATIENT_NL
    reservoir = month.report["reservoir"]
    assert 0 <= reservoir["last_expected_nl"] - (FILLED_NL - before_nl) < 2 * STROKE_NL
    assert abs(reservoir["last_aspirated_nl"] - reservoir["last_expected_nl"]) < STROKE_NL
    assert month.report["investigate"] == ""


def test_what_is_left_and_when_it_runs_low_follows_from_the_last_program(month: Month) -> None:
    since_nl = BRIDGE_NL + after_the_bridge_nl()
    left_nl = month.report["reservoir"]["reservoir_calc_nl"]
    assert 0 <= left_nl - (FILLED_NL - since_nl) < 2 * STROKE_NL
    low_in_days = Fraction(left_nl - 2_000_000, 200_000)
    assert abs(Fraction(month.report["dates"]["low_in_ms"], 86_400_000) - low_in_days) < Fraction(1, 1_000)


def test_a_day_holds_the_drug_that_was_prescribed(month: Month) -> None:
    header = month.report["program"]["header"]
    assert header["concentration_ng_per_ml"] * 200_000 == 200_000 * 1_000_000, (
        "ng/mL x nL/day = ng/day x 10^6"
    )
    assert header["groups"][0]["dose_ng_per_day"] == 200_000
    assert "basal    200 mcg (0.2 mL)" in month.page


def test_the_page_says_who_the_patient_is_what_changed_and_that_all_is_well(month: Month) -> None:
    for line in (
        "clinic Example clinic",
        "result completed",
        "patient-id example 17",
        "* concentration 500 mcg/mL 1000 mcg/mL",
        "bridge 0.338 mL, delivered or ended",
        "aspirated 9.9025 mL where 9.9025 mL was expected: as expected",
        "ALARMS THAT ARE ON",
    ):
        assert line in [" ".join(each.split()) for each in month.page.splitlines()], line
    assert max(map(len, month.page.splitlines())) <= 80
    assert month.said.count("PATIENT_BOLUS") == 4
