"""The patient outside the pump: held against the intervals of the label, and against nothing else that is published.

Intrathecal baclofen [DOMAIN 1.7, S25]: a bolus acts from 0.5 to 1 h on, most at about 4 h, for 4 to 8 h; an infusion
acts from 6 to 8 h on, and most at 24 to 48 h, at twice the bolus a day, as one begins
[DOMAIN 1.7, S24].
"""

from __future__ import annotations

from random import Random
from statistics import median
from typing import NamedTuple

import pytest

from firmware_emu.patient.patient import Patient
from firmware_emu.patient.person import CLEARANCE_ML_PER_H, HALF_LIFE_H, Limits, Person
from tests.support.for_each import for_each

HOUR_MS = 3_600_000
MINUTE_MS = 60_000
DAY_MS = 24 * HOUR_MS
BOLUS_FG = 50_000 * 1_000_000
"""50 mcg: the first that is tried [DOMAIN 1.7, S25]."""
ACTS_FROM = 0.678
"""Of the level at which twice the bolus a day settles: where an effect is seen. One number for all of the label's
intervals; no other decides onset, duration and first effect together."""
MOST = 0.995
"""Of the level at which an infusion settles: nobody would see that it still grows."""


def settles_at(person: Person) -> float:
    """At which effect an infusion of twice the bolus a day settles."""
    patient = Patient(person, 2 * BOLUS_FG // 1_000_000)
    return patient.effect_ng_per_ml


class AfterBolus(NamedTuple):
    """Hours after a bolus."""

    onset_h: float
    peak_h: float
    lasts_h: float


def after_bolus(person: Person) -> AfterBolus:
    """What a bolus does, minute by minute."""
    patient = Patient(person, 0)
    patient.take(BOLUS_FG, 0)
    effects = []
    for minute in range(1, 24 * 60):
        patient.take(0, minute * MINUTE_MS)
        effects.append(patient.effect_ng_per_ml)
    acts = [minute for minute, effect in enumerate(effects, 1) if effect >= ACTS_FROM * settles_at(person)]
    assert acts == [*range(acts[0], acts[-1] + 1)]
    return AfterBolus(acts[0] / 60, (1 + effects.index(max(effects))) / 60, (acts[-1] - acts[0]) / 60)


def under_infusion(person: Person) -> tuple[float, float]:
    """In how many hours an infusion of twice the bolus a day first acts, and acts most."""
    patient, settled = Patient(person, 0), settles_at(person)
    moments = [ACTS_FROM * settled, MOST * settled]
    reached_h: list[float] = []
    each_fg = 2 * BOLUS_FG // (24 * 12)
    for five_minutes in range(1, 72 * 12):
        patient.take(each_fg, five_minutes * 5 * MINUTE_MS)
        while len(reached_h) < len(moments) and patient.effect_ng_per_ml >= moments[len(reached_h)]:
            reached_h.append(five_minutes / 12)
    first_h, most_h = reached_h
    return first_h, most_h


def test_the_middle_of_the_published_ranges_acts_when_the_label_says() -> None:
    onset_h, peak_h, lasts_h = after_bolus(Person())
    first_h, most_h = under_infusion(Person())
    assert 0.5 <= onset_h <= 1
    assert 3 <= peak_h <= 5
    assert 4 <= lasts_h <= 8
    assert 6 <= first_h <= 8
    assert 24 <= most_h <= 48


def test_half_of_those_who_are_drawn_lie_on_either_side_of_a_moment_within_the_label() -> None:
    random = Random(1)
    people = [Person.drawn(random.uniform) for _ in range(41)]
    boluses = [after_bolus(person) for person in people]
    infusions = [under_infusion(person) for person in people[:21]]
    assert 0.5 <= median(each.onset_h for each in boluses) <= 1
    assert 3 <= median(each.peak_h for each in boluses) <= 5
    assert 4 <= median(each.lasts_h for each in boluses) <= 8
    assert 6 <= median(first_h for first_h, _ in infusions) <= 8
    assert 24 <= median(most_h for _, most_h in infusions) <= 48


def test_people_are_drawn_from_the_published_ranges_and_differ() -> None:
    random = Random(1)
    people = [Person.drawn(random.uniform) for _ in range(200)]
    for name, (low, high) in (("half_life_h", HALF_LIFE_H), ("clearance_ml_per_h", CLEARANCE_ML_PER_H)):
        values = [getattr(person, name) for person in people]
        assert low <= min(values) < low + (high - low) / 10
        assert high - (high - low) / 10 < max(values) <= high


@for_each(
    "person",
    [Person(), Person(2.0, 20.0, 2.0, 1.0), Person(1.0, 30.0, 1.0, 1 / 24)],
    name=lambda person: f"{person.half_life_h} {person.effect_half_life_h}",
)
def test_the_closed_form_is_what_small_steps_come_to(person: Person) -> None:
    """Two and three equal rates too, of which the usual closed form divides by 0."""
    patient = Patient(person, 100_000)
    ln_2 = 0.6931471805599453
    k, e, t = (
        ln_2 / half_life_h
        for half_life_h in (
            person.half_life_h,
            person.effect_half_life_h,
            person.tolerance_half_life_days * 24,
        )
    )
    volume_ml = person.clearance_ml_per_h / k
    fluid = effect = usual = patient.effect_ng_per_ml
    for rate_ng_per_h, hours in ((0.0, 5), (200_000.0, 1), (30_000.0, 7)):
        patient.take(int(rate_ng_per_h * hours) * 1_000_000, patient.now_ms + hours * HOUR_MS)
        steps = 2_000 * hours
        for _ in range(steps):
            dt = hours / steps
            middle = fluid + dt / 2 * (rate_ng_per_h / volume_ml - k * fluid)
            effect_then = effect + dt / 2 * e * (fluid - effect)
            usual_then = usual + dt / 2 * t * (effect - usual)
            fluid += dt * (rate_ng_per_h / volume_ml - k * middle)
            usual += dt * t * (effect_then - usual_then)
            effect += dt * e * (middle - effect_then)
    assert patient.fluid_ng_per_ml == pytest.approx(fluid, rel=1e-4)
    assert patient.effect_ng_per_ml == pytest.approx(effect, rel=1e-4)
    assert patient.usual_ng_per_ml == pytest.approx(usual, rel=1e-4)


def test_how_time_is_cut_makes_no_difference() -> None:
    whole, cut = Patient(Person(), 300_000), Patient(Person(), 300_000)
    for day, dose_fg in enumerate((0, 300_000_000_000, 3_000_000_000_000), 1):
        whole.take(dose_fg, day * DAY_MS)
        for piece in range(1, 1_001):
            cut.take(dose_fg // 1_000, (day - 1) * DAY_MS + piece * DAY_MS // 1_000)
    assert cut.effect_ng_per_ml == pytest.approx(whole.effect_ng_per_ml, rel=1e-9)
    assert abs(cut.withdrawal_risk_ms - whole.withdrawal_risk_ms) < 10_000
    assert abs(cut.overdose_risk_ms - whole.overdose_risk_ms) < 10_000
    assert whole.withdrawal_risk_ms > 10 * HOUR_MS
    assert whole.overdose_risk_ms > 10 * HOUR_MS


def test_a_dose_that_goes_on_as_usual_is_no_risk_whatever_the_dose() -> None:
    for dose_ng_per_day in (24_000, 300_000, 2_000_000):
        patient = Patient(Person(), dose_ng_per_day)
        before = patient.effect_ng_per_ml
        for hour in range(1, 24 * 30):
            patient.take(dose_ng_per_day * 1_000_000 // 24, hour * HOUR_MS)
        assert (patient.withdrawal_risk_ms, patient.overdose_risk_ms) == (0, 0)
        assert patient.effect_ng_per_ml == pytest.approx(before, rel=1e-6)


def test_withdrawal_is_a_risk_some_hours_after_the_last_drop_and_until_the_drug_is_back() -> None:
    patient = Patient(Person(), 300_000)
    patient.take(0, 6 * HOUR_MS)
    assert patient.withdrawal_risk_ms == 0
    patient.take(0, 48 * HOUR_MS)
    began_h = 48 - patient.withdrawal_risk_ms / HOUR_MS
    assert 6 < began_h < 24
    patient.take(300_000_000_000, 72 * HOUR_MS)
    risk_ms = patient.withdrawal_risk_ms
    patient.take(300_000_000_000, 96 * HOUR_MS)
    assert risk_ms < 54 * HOUR_MS
    assert patient.withdrawal_risk_ms == risk_ms
    assert patient.overdose_risk_ms == 0


def test_who_is_used_to_nothing_has_nothing_withdrawn_and_a_risk_that_lasts_ends_with_being_used_to_it() -> (
    None
):
    patient = Patient(Person(), 0)
    patient.take(0, 30 * DAY_MS)
    assert patient.withdrawal_risk_ms == 0
    patient = Patient(Person(), 300_000)
    patient.take(0, 60 * DAY_MS)
    assert 20 * DAY_MS < patient.withdrawal_risk_ms < 30 * DAY_MS


def test_a_bolus_far_above_what_somebody_is_used_to_is_a_risk_for_hours_and_a_usual_one_is_none() -> None:
    patient = Patient(Person(), 300_000)
    for dose_fg, hours in (
        (25_000_000_000, 0),
        (300_000_000_000, 24),
        (600_000_000_000, 0),
        (300_000_000_000, 24),
    ):
        before_ms = patient.overdose_risk_ms
        patient.take(dose_fg, patient.now_ms + hours * HOUR_MS)
        if dose_fg == 600_000_000_000:
            assert before_ms == 0
    assert 3 * HOUR_MS < patient.overdose_risk_ms < 20 * HOUR_MS


def test_limits_say_where_a_risk_begins() -> None:
    def risks_ms(limits: Limits) -> tuple[int, int]:
        patient = Patient(Person(), 300_000, limits)
        patient.take(0, DAY_MS)
        patient.take(900_000_000_000, 2 * DAY_MS)
        return patient.withdrawal_risk_ms, patient.overdose_risk_ms

    usual, wider, narrower = (
        risks_ms(limits)
        for limits in (
            Limits(),
            Limits(withdrawal_below_ppm=0, overdose_above_ppm=4_000_000),
            Limits(withdrawal_below_ppm=500_000, overdose_above_ppm=1_500_000),
        )
    )
    assert wider == (0, 0) < usual
    assert narrower > usual
    assert narrower[1] > usual[1] > 0


def test_what_cannot_be_is_refused() -> None:
    patient = Patient(Person(), 300_000, now_ms=5)
    with pytest.raises(ValueError, match="0 fg until 4 ms: the patient is at 5 ms"):
        patient.take(0, 4)
    with pytest.raises(ValueError, match="-1 fg"):
        patient.take(-1, 6)
    with pytest.raises(ValueError, match=r"half_life_h of a person must be above 0, is 0"):
        Person(half_life_h=0)
    with pytest.raises(ValueError, match="must begin below"):
        Limits(withdrawal_below_ppm=1_000_000)
    with pytest.raises(ValueError, match="must begin below"):
        Limits(overdose_above_ppm=1_000_000)
    with pytest.raises(ValueError, match="least_dose_ng_per_day"):
        Limits(least_dose_ng_per_day=0)
