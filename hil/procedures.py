"""Procedures of the clinic as computations: dose to rate, path volumes, priming, bridges, dates, refill checks.

Exact throughout: integers and fractions in, integers out where the wire wants integers; each function says how it
rounds. Nothing here talks to a pump or knows what time it is. Volumes in nL, rates in nL/day, doses in ng/day,
concentrations in ng/mL, times in ms unless the name says otherwise. 1 nL of c ng/mL holds c / 10^6 ng of drug.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

NL_PER_ML = 1_000_000
NG_PER_MCG = 1_000
MS_PER_S = 1_000
MS_PER_DAY = 86_400_000
S_PER_DAY = 86_400
MM_PER_CM = 10

TUBING_NL = 140_000  # pump tubing used for priming, as corrected in 2016 [DOMAIN 1.4, S6]
TUBING_BEFORE_2016_NL = 199_000  # as the programmer showed it before [DOMAIN 1.4, S6]
CATHETER_NL_PER_CM = 2_200  # 0.53 mm bore [DOMAIN 1.4]
LOWEST_RATIO = Fraction(855, 1000)  # labelled accuracy, 14.5 % either way [DOMAIN 1.3, S8]
HIGHEST_RATIO = Fraction(1145, 1000)
DELTA_LIMIT_NL = 2_000_000  # beyond 2 mL either way: investigate [DOMAIN 4.7, S19]
SHORT_EFFECT_H = 8  # a screening effect up to this long doubles the screening dose [DOMAIN 1.7, S24]


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
    """Drug not given while the motor stood still, exactly."""
    return Fraction(dose_ng_per_day * stopped_ms, MS_PER_DAY)


def periodic_total_ng_per_day(dose_ng: int, interval_s: int) -> Fraction:
    """What a bolus every interval adds up to in a day, exactly: minutes typed for hours show here."""
    return Fraction(dose_ng * S_PER_DAY, interval_s)


def starting_dose_ng_per_day(screening_dose_ng: int, effect_h: int) -> int:
    """First daily dose after a screening bolus: doubled unless its effect lasted longer than 8 hours [DOMAIN 1.7]."""
    return screening_dose_ng if effect_h > SHORT_EFFECT_H else 2 * screening_dose_ng


def bolus_rate_nl_per_day(volume_nl: int, duration_s: int) -> Fraction:
    """Rate of a bolus by itself, exactly."""
    return Fraction(volume_nl * S_PER_DAY, duration_s)


def shortest_bolus_s(volume_nl: int, rate_max_nl_per_day: int, basal_nl_per_day: int = 0) -> int:
    """Shortest duration of a bolus beside a basal rate, rounded up to a whole second."""
    return ceil(Fraction(volume_nl * S_PER_DAY, rate_max_nl_per_day - basal_nl_per_day))


def catheter_volume_nl(
    total_length_mm: int, trimmed_length_mm: int = 0, volume_nl_per_cm: int = CATHETER_NL_PER_CM
) -> int:
    """Volume of the implanted length, to the nearest nL, halves up [DOMAIN 4.2]."""
    return nearest(Fraction((total_length_mm - trimmed_length_mm) * volume_nl_per_cm, MM_PER_CM))


def path_volume_nl(catheter_nl: int, tubing_nl: int = TUBING_NL) -> int:
    """Everything between reservoir and catheter tip."""
    return tubing_nl + catheter_nl


def delivery_time_ms(volume_nl: int, rate_nl_per_day: int) -> int:
    """How long a volume takes at a rate, rounded up to a whole ms: a priming bolus, or the transit of a path."""
    return ceil(Fraction(volume_nl * MS_PER_DAY, rate_nl_per_day))


def mixed_concentration_ng_per_ml(
    fill_nl: int, fill_ng_per_ml: int, residual_nl: int, residual_ng_per_ml: int
) -> Fraction:
    """Concentration after a fill onto a residual without a rinse, exactly [DOMAIN 4.4]."""
    return Fraction(fill_nl * fill_ng_per_ml + residual_nl * residual_ng_per_ml, fill_nl + residual_nl)


@dataclass(frozen=True, slots=True)
class Bridge:
    """The old drug in the path, given at a rate of its own before the new rate begins [DOMAIN 4.4]."""

    volume_nl: int
    rate_nl_per_day: int
    duration_ms: int
    drug_ng: Fraction
    rate_after_nl_per_day: int


def bridge_for(
    path_nl: int,
    *,
    old_ng_per_ml: int,
    new_ng_per_ml: int,
    bridge_dose_ng_per_day: int,
    new_dose_ng_per_day: int,
) -> Bridge:
    """Bridge for a change of concentration. Rates to the nearest nL/day, the duration up to a whole ms at that rate."""
    rate_nl_per_day = rate_for_dose_nl_per_day(bridge_dose_ng_per_day, old_ng_per_ml)
    return Bridge(
        volume_nl=path_nl,
        rate_nl_per_day=rate_nl_per_day,
        duration_ms=delivery_time_ms(path_nl, rate_nl_per_day),
        drug_ng=drug_ng(path_nl, old_ng_per_ml),
        rate_after_nl_per_day=rate_for_dose_nl_per_day(new_dose_ng_per_day, new_ng_per_ml),
    )


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of constant rate. `volume_nl` ends it; None lasts for ever."""

    rate_nl_per_day: int
    volume_nl: int | None = None


def time_to_deliver_ms(volume_nl: int, phases: Sequence[Phase]) -> int | None:
    """When a volume has left the reservoir under these phases, rounded up to a whole ms; None if it never will."""
    left_nl, elapsed = volume_nl, Fraction(0)
    for phase in phases:
        part_nl = left_nl if phase.volume_nl is None else min(left_nl, phase.volume_nl)
        if part_nl and not phase.rate_nl_per_day:
            return None
        if part_nl:
            elapsed += Fraction(part_nl * MS_PER_DAY, phase.rate_nl_per_day)
        left_nl -= part_nl
        if not left_nl:
            return ceil(elapsed)
    return None


@dataclass(frozen=True, slots=True)
class RefillDates:
    """When the low-reservoir alarm and the calculated emptiness fall, in ms after the refill; None means never."""

    low_ms: int | None
    empty_ms: int | None


def refill_dates(fill_nl: int, alarm_nl: int, phases: Sequence[Phase]) -> RefillDates:
    """Dates by volume alone. The pump acts at the stroke that reaches the threshold: at most one stroke later."""
    return RefillDates(
        low_ms=time_to_deliver_ms(fill_nl - alarm_nl, phases),
        empty_ms=time_to_deliver_ms(fill_nl, phases),
    )


@dataclass(frozen=True, slots=True)
class RefillCheck:
    """Measured against expected at a refill [DOMAIN 4.7]. `ratio` is delivered / programmed; None if none was due."""

    ratio: Fraction | None
    delta_nl: int

    @property
    def outside_accuracy(self) -> bool:
        """The ratio is outside the labelled accuracy of 14.5 %; both bounds are inside."""
        return self.ratio is not None and not LOWEST_RATIO <= self.ratio <= HIGHEST_RATIO

    @property
    def beyond_delta(self) -> bool:
        """The difference is more than 2 mL; 2 mL itself is not beyond."""
        return abs(self.delta_nl) > DELTA_LIMIT_NL

    @property
    def at_delta_limit(self) -> bool:
        """The difference is 2 mL exactly: sources differ on which side that is."""
        return abs(self.delta_nl) == DELTA_LIMIT_NL

    @property
    def investigate(self) -> bool:
        """Either criterion is met. They disagree in both directions, so neither stands for the other."""
        return self.outside_accuracy or self.beyond_delta


def check_refill(fill_nl: int, expected_nl: int, measured_nl: int) -> RefillCheck:
    """Compare what was aspirated with what should have been left of the last fill."""
    programmed_nl = fill_nl - expected_nl
    ratio = Fraction(fill_nl - measured_nl, programmed_nl) if programmed_nl else None
    return RefillCheck(ratio, measured_nl - expected_nl)
