"""A bad month from a shell: what was so, what the pump believed and what the picture shows, against sums of its own.

What the sums know stands here, from the script as a reader sees it; nothing of ours computes it.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.suite.scenarios import played

SCRIPT = Path(__file__).parents[2] / "fixtures/scenarios/bad_month.sh"
MS_PER_DAY = 86_400_000
FG_PPM_PER_MCG = 10**15
NL_PPM_PER_ML = 10**12
DOSE_MCG_PER_DAY = 300
ML_PER_DAY = Fraction(6, 10)  # of 500 mcg/mL
STROKE_MS = 72_000  # 500 nL of it
MRI_DAYS = Fraction(30 + 23 * 60 + 30, 24 * 60)
OCCLUDED_DAYS = 2
STORED_ML = Fraction(1, 10)
FILLED_ML, POCKET_PART, RESIDUAL_ML = 20, Fraction(4, 10), Fraction(14, 10)
BROWN_OUT_MS = 60_000
START = datetime(2026, 3, 2, 10)  # noqa: DTZ001 - the pump's own clock
IMPLANTED = START - timedelta(days=2_439)


class Month(NamedTuple):
    """What the script printed, and what it left behind."""

    said: str
    place: Path
    states: list[Any]
    events: list[Any]

    def at(self, day: float) -> Any:
        """The last state of that day of pump time."""
        return [state for state in self.states if state["now_ms"] == day * MS_PER_DAY][-1]

    def tip_mcg(self, begins_day: float, ends_day: float) -> Fraction:
        """Drug that left the tip between two days."""
        before, after = (self.at(day)["truth"]["tip_fg_ppm"] for day in (begins_day, ends_day))
        return Fraction(after - before, FG_PPM_PER_MCG)

    def moments(self, kind: str, name: str | None = None) -> list[int]:
        """When events of a kind were, of an alarm or a fault where one is named."""
        return [
            event["now_ms"]
            for event in self.events
            if event["kind"] == kind and name in {None, *map(str, event["fields"].values())}
        ]


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Month:
    place = tmp_path_factory.mktemp("month")
    said = played(SCRIPT, place)
    states = [json.loads(line) for line in (place / "states.jsonl").read_text().splitlines()]
    trace = json.loads((place / "events.json").read_text())
    assert trace["lost"] == 0
    return Month(said, place, states, trace["events"])


def true_ml(state: Any) -> Fraction:
    return Fraction(state["truth"]["true_nl_ppm"], NL_PPM_PER_ML)


def believed_ml(state: Any) -> Fraction:
    return Fraction(state["belief"]["reservoir_calc_nl"], 10**6)


# FI 02
def test_the_mri_and_its_late_restart_cost_the_dose_of_a_day(month: Month) -> None:
    missed_mcg = DOSE_MCG_PER_DAY * MRI_DAYS  # WE-32: 24 h are 300 mcg
    assert missed_mcg == 300
    assert month.tip_mcg(0, 8) == 8 * DOSE_MCG_PER_DAY - missed_mcg
    assert month.at(8)["truth"]["strokes_missed"] == MRI_DAYS * MS_PER_DAY / STROKE_MS
    assert len(month.moments("AlarmRaised", "MOTOR_STALL")) == 1
    assert "measured    13.8 mL where 13.2 mL was expected" in month.said


# FI 17
# RH-14
def test_what_went_into_the_pocket_is_in_the_pumps_belief_and_not_in_the_reservoir(month: Month) -> None:
    after = month.at(8)
    assert true_ml(after) == FILLED_ML * (1 - POCKET_PART)
    assert believed_ml(after) == FILLED_ML
    assert Fraction(after["truth"]["pocket_nl_ppm"], NL_PPM_PER_ML) == FILLED_ML * POCKET_PART
    assert after["truth"]["pocket_fg_ppm"] == FILLED_ML * POCKET_PART * 500 * FG_PPM_PER_MCG


# FI 10
def test_behind_the_occlusion_nothing_reaches_the_tip_and_at_its_release_all_that_was_stored(
    month: Month,
) -> None:
    assert month.tip_mcg(13, 14.75) == 0
    assert month.at(14.75)["truth"]["stored_nl_ppm"] == STORED_ML * NL_PPM_PER_ML
    assert month.tip_mcg(14.75, 15) == STORED_ML * 500
    assert month.tip_mcg(15, 16) == DOSE_MCG_PER_DAY
    assert believed_ml(month.at(13)) - believed_ml(month.at(15)) == OCCLUDED_DAYS * ML_PER_DAY
    assert not [at for at in month.moments("AlarmRaised") if 13 * MS_PER_DAY <= at <= 15 * MS_PER_DAY]


# FI 29
# RH-05
def test_the_film_browns_out_once_and_one_reset_is_told(month: Month) -> None:
    (lost_ms,) = month.moments("PowerLost")
    assert lost_ms == 20 * MS_PER_DAY + 101 * STROKE_MS, "the stroke behind the hundredth"
    assert month.moments("AlarmRaised", "RESET") == [lost_ms + BROWN_OUT_MS]
    assert month.at(21)["belief"]["boot_count"] == 2
    assert month.at(21)["belief"]["state"] == "RUN"


def test_the_reservoir_is_dry_when_all_that_can_be_pumped_is_gone_and_the_pump_does_not_know(
    month: Month,
) -> None:
    pumped_ml = FILLED_ML * (1 - POCKET_PART) - RESIDUAL_ML
    days = (pumped_ml - STORED_ML) / ML_PER_DAY + OCCLUDED_DAYS
    end = month.at(30)
    late_ms = end["truth"]["ran_dry_at_ms"] - (8 + days) * MS_PER_DAY
    assert 0 <= late_ms <= BROWN_OUT_MS + STROKE_MS, "a minute without power, and the stroke that it took"
    assert true_ml(end) == RESIDUAL_ML
    assert 0 <= believed_ml(end) - (FILLED_ML - 22 * ML_PER_DAY) <= Fraction(2 * 500, 10**6)
    assert month.tip_mcg(28, 30) == 0
    assert not month.moments("AlarmRaised", "EMPTY")


def test_the_pump_asks_to_be_replaced_90_days_before_the_end_of_its_84_months(month: Month) -> None:
    ends = IMPLANTED.replace(year=IMPLANTED.year + 7)
    eri_ms = (ends - timedelta(days=90) - START) // timedelta(milliseconds=1)
    (raised_ms,) = month.moments("AlarmRaised", "ERI")
    assert 0 <= raised_ms - eri_ms <= BROWN_OUT_MS, "it counts no time without power"
    assert raised_ms // MS_PER_DAY == 28


def test_truth_and_belief_stand_side_by_side_at_the_end(month: Month) -> None:
    table = (month.place / "state.txt").read_text()
    assert table in month.said
    rows = {line.split("  ")[0]: line.split() for line in table.splitlines()}
    assert rows["reservoir"] == ["reservoir", "1.4", "mL", "6.801", "mL"]
    effects = {
        line.split()[0]: line.split()[3] for line in (month.place / "faults.txt").read_text().splitlines()
    }
    assert {name: count for name, count in effects.items() if count not in {"0", "EFFECTS"}} == {
        "mri": "1200", "pocket-fill": "1", "occlusion": "2400", "resistive-film": "1",
    }  # fmt: skip


def test_the_picture_is_a_png_and_an_svg_that_names_all_of_it(month: Month) -> None:
    png = (month.place / "bad_month.png").read_bytes()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(png[16:20]) > 1_000
    svg = (month.place / "bad_month.svg").read_text()
    texts = set(re.findall(r"<text[^>]*>([^<]*)</text>", svg))
    assert texts >= {
        "A bad month", "Reservoir", "volume, mL", "true volume", "what the pump believes",
        "Drug at the catheter's tip", "dose, mcg/day", "delivered, mean of each day",
        "programmed rate x concentration in the reservoir", "Faults, events and alarms", "pump time, days",
        "mri", "pocket-fill", "occlusion", "resistive-film", "fill", "aspiration", "power lost",
        "MOTOR_STALL", "RESET", "WALL_INVALID", "ERI", "fault", "event", "alarm",
    }  # fmt: skip
