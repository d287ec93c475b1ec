"""Doses, rates and boluses: what one is in terms of another, and what slips of unit or concentration make of it."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import Final

NL_PER_ML: Final = 1_000_000
MS_PER_DAY: Final = 86_400_000
S_PER_DAY: Final = 86_400
SHORT_EFFECT_H: Final = 8  # a screening effect up to this long doubles the screening dose [DOMAIN 1.7, S24]
RATE_MIN_NL_PER_DAY: Final = 48_000  # [DOMAIN 0.3, C3]
RATE_MAX_NL_PER_DAY: Final = 24_000_000  # [DOMAIN 0.3, C4]
SAFE_RATE_NL_PER_DAY: Final = 6_000  # [DOMAIN 0.3, C5]
RETYPE_FACTOR: Final = (
    2  # a concentration that changes by so much or more is asked for twice [DOMAIN 6.8, RH-20]
)


def nearest(value: Fraction) -> int:
    """The nearest integer, halves up."""
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def rate_for_dose_nl_per_day(dose_ng_per_day: int, concentration_ng_per_ml: int) -> int:
    """Rate for a dose, to the nearest nL/day, halves up: the formula of [SPEC 6]."""
    return (2 * dose_ng_per_day * NL_PER_ML + concentration_ng_per_ml) // (2 * concentration_ng_per_ml)


def dose_for_rate_ng_per_day(rate_nl_per_day: int, concentration_ng_per_ml: int) -> Fraction:
    """Dose that a rate gives, exactly."""
    return Fraction(rate_nl_per_day * concentration_ng_per_ml, NL_PER_ML)


def volume_for_dose_nl(dose_ng: int, concentration_ng_per_ml: int) -> int:
    """Volume that holds a dose, to the nearest nL, halves up; the pump rounds down to whole strokes."""
    return nearest(Fraction(dose_ng * NL_PER_ML, concentration_ng_per_ml))


def drug_ng(volume_nl: int, concentration_ng_per_ml: int) -> Fraction:
    """Drug in a volume, exactly."""
    return Fraction(volume_nl * concentration_ng_per_ml, NL_PER_ML)


def missed_dose_ng(dose_ng_per_day: int, stopped_ms: int) -> Fraction:
    """Drug not given while nothing was delivered, exactly."""
    return Fraction(dose_ng_per_day * stopped_ms, MS_PER_DAY)


def delivery_time_ms(volume_nl: int, rate_nl_per_day: int) -> int:
    """How long a volume takes at a rate, rounded up to a whole ms: a fill, a prime, the transit of a path."""
    return ceil(Fraction(volume_nl * MS_PER_DAY, rate_nl_per_day))


def periodic_total_ng_per_day(dose_ng: int, interval_s: int) -> Fraction:
    """What a bolus every interval adds up to in a day, exactly: minutes typed for hours show here."""
    return Fraction(dose_ng * S_PER_DAY, interval_s)


def starting_dose_ng_per_day(screening_dose_ng: int, effect_h: int) -> int:
    """First daily dose after a screening bolus: doubled unless its effect lasted longer than 8 hours [DOMAIN 1.7]."""
    return screening_dose_ng if effect_h > SHORT_EFFECT_H else 2 * screening_dose_ng


def bolus_rate_nl_per_day(volume_nl: int, duration_s: int) -> Fraction:
    """Rate of a bolus by itself, exactly."""
    return Fraction(volume_nl * S_PER_DAY, duration_s)


def shortest_bolus_s(volume_nl: int, rate_max_nl_per_day: int, basal_nl_per_day: int = 0) -> int | None:
    """Shortest duration of a bolus beside a basal rate, rounded up to a whole second; None where none is left."""
    room_nl_per_day = rate_max_nl_per_day - basal_nl_per_day
    return ceil(Fraction(volume_nl * S_PER_DAY, room_nl_per_day)) if room_nl_per_day > 0 else None


def dose_in_range_ng_per_day(
    dose_ng_per_day: int, concentration_ng_per_ml: int, rate_min_nl_per_day: int, rate_max_nl_per_day: int
) -> int:
    """The dose nearest to the one wanted whose rate a pump runs, in whole ng/day; the same where it runs that."""
    if rate_for_dose_nl_per_day(dose_ng_per_day, concentration_ng_per_ml) < rate_min_nl_per_day:
        return ceil(dose_for_rate_ng_per_day(rate_min_nl_per_day, concentration_ng_per_ml))
    most = dose_for_rate_ng_per_day(rate_max_nl_per_day, concentration_ng_per_ml)
    return min(dose_ng_per_day, floor(most))


def given_by_mistake_ng(dose_ng: int, believed_ng_per_ml: int, real_ng_per_ml: int) -> Fraction:
    """Drug that reaches the patient where the drug is of another concentration than was entered, exactly."""
    return Fraction(dose_ng * real_ng_per_ml, believed_ng_per_ml)


def must_be_retyped(old_ng_per_ml: int, new_ng_per_ml: int) -> bool:
    """Whether a concentration changes by a factor of 2 or more either way, and no old one of 0 [DOMAIN 6.8, RH-20]."""
    least, most = sorted((old_ng_per_ml, new_ng_per_ml))
    return least > 0 and most >= RETYPE_FACTOR * least
