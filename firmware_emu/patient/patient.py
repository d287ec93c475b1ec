"""Drug in a patient's spinal fluid, its effect, the level the person is used to, and how long that was a risk.

Three first-order stages in a row, each following the one before it:

    amount' = infused - k amount        concentration = amount / volume, volume = clearance / k
    effect' = e (concentration - effect)
    usual'  = t (effect - usual)

Drug that comes evenly over a stretch of time has a closed form, a sum of exponentials, so there is no step size that
could be too large; drug that comes at once is added. Only where within a piece of 15 min a limit is crossed is read
off a straight line, which is wrong by less than 10 s.

Why floats, where the pump is exact: no dose depends on it, and no figure of it is known to two digits. It is the same
in every run and on every machine for all that: the exponentials come from `decimal`, which rounds them correctly, and
the rest is + - * /, which IEEE 754 defines to the bit.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from firmware_emu.patient.person import Limits
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE, PPM

if TYPE_CHECKING:
    from firmware_emu.patient.person import Person

PIECE_MS: Final = 15 * MS_PER_MINUTE
FG_PER_NG: Final = 1_000_000
HOURS_PER_DAY: Final = MS_PER_DAY // MS_PER_HOUR
LN_2: Final = Decimal(2).ln()
NUDGE: Final = 1 + Decimal("1e-6")
"""Two equal rates have another closed form; one of them is taken to be a millionth faster, which nobody could tell."""


class Rates(NamedTuple):
    """Of the three stages, each per hour, no two of them equal."""

    fluid: Decimal
    effect: Decimal
    usual: Decimal


class Course(NamedTuple):
    """What some time makes of each stage's distance from where it would settle: the lower triangle of a matrix."""

    fluid: float
    effect: float
    effect_by_fluid: float
    usual: float
    usual_by_effect: float
    usual_by_fluid: float


@lru_cache(maxsize=4_096)
def _course(rates: Rates, ms: int) -> Course:
    k, e, t = rates
    hours = Decimal(ms) / MS_PER_HOUR
    x, y, z = ((-rate * hours).exp() for rate in rates)
    followed = e / (e - k)
    return Course(
        *map(
            float,
            (
                x,
                y,
                followed * (x - y),
                z,
                t / (t - e) * (y - z),
                followed * (t / (t - k) * (x - z) - t / (t - e) * (y - z)),
            ),
        )
    )


def _rates(person: Person) -> Rates:
    half_lives_h = (
        Decimal(person.half_life_h),
        Decimal(person.effect_half_life_h),
        Decimal(person.tolerance_half_life_days) * HOURS_PER_DAY,
    )
    rates: list[Decimal] = []
    for half_life_h in half_lives_h:
        rate = LN_2 / half_life_h
        while rate in rates:
            rate *= NUDGE
        rates.append(rate)
    return Rates(*rates)


class Patient:
    """One person who has long had one dose, and gets what is handed in from then on."""

    def __init__(
        self, person: Person, dose_ng_per_day: int, limits: Limits | None = None, now_ms: int = 0
    ) -> None:
        """`dose_ng_per_day`: that of a pump that has run evenly for long; 0: nobody had any."""
        self.person = person
        self.limits = Limits() if limits is None else limits
        self.now_ms = now_ms
        self._rates = _rates(person)
        settled = dose_ng_per_day / HOURS_PER_DAY / person.clearance_ml_per_h
        self.fluid_ng_per_ml = self.effect_ng_per_ml = self.usual_ng_per_ml = settled
        self._volume_ml = person.clearance_ml_per_h / float(self._rates.fluid)
        self._least_ng_per_ml = self.limits.least_dose_ng_per_day / HOURS_PER_DAY / person.clearance_ml_per_h
        self._withdrawal_ms = self._overdose_ms = 0.0

    @property
    def withdrawal_risk_ms(self) -> int:
        """How long so far the effect was far below what the person is used to, to the ms below."""
        return int(self._withdrawal_ms)

    @property
    def overdose_risk_ms(self) -> int:
        """How long so far the effect was far above what the person is used to, to the ms below."""
        return int(self._overdose_ms)

    def take(self, drug_fg: int, until_ms: int) -> None:
        """Take this much drug, evenly from the last moment until this one; at once where that is the same moment.

        ValueError where time would go back, and for less than none.
        """
        if until_ms < self.now_ms or drug_fg < 0:
            raise ValueError(f"{drug_fg} fg until {until_ms} ms: the patient is at {self.now_ms} ms")
        drug_ng = drug_fg / FG_PER_NG
        if until_ms == self.now_ms:
            self.fluid_ng_per_ml += drug_ng / self._volume_ml
            return
        hours = (until_ms - self.now_ms) / MS_PER_HOUR
        settles_at = drug_ng / hours / self.person.clearance_ml_per_h
        while self.now_ms < until_ms:
            piece_ms = min(PIECE_MS, until_ms - self.now_ms)
            self._live(piece_ms, settles_at)
            self.now_ms += piece_ms

    def _live(self, ms: int, settles_at: float) -> None:
        course = _course(self._rates, ms)
        withdrawn, overdosed = self._beyond()
        fluid, effect, usual = (
            level - settles_at
            for level in (self.fluid_ng_per_ml, self.effect_ng_per_ml, self.usual_ng_per_ml)
        )
        self.fluid_ng_per_ml = settles_at + course.fluid * fluid
        self.effect_ng_per_ml = settles_at + course.effect * effect + course.effect_by_fluid * fluid
        self.usual_ng_per_ml = (
            settles_at
            + course.usual * usual
            + course.usual_by_effect * effect
            + course.usual_by_fluid * fluid
        )
        withdrawn_then, overdosed_then = self._beyond()
        self._withdrawal_ms += ms * _part_above_0(withdrawn, withdrawn_then)
        self._overdose_ms += ms * _part_above_0(overdosed, overdosed_then)

    def _beyond(self) -> tuple[float, float]:
        """How far the effect is below the one limit and above the other; where above 0 there is a risk."""
        usual, least, limits = self.usual_ng_per_ml, self._least_ng_per_ml, self.limits
        withdrawn = usual * limits.withdrawal_below_ppm / PPM - self.effect_ng_per_ml
        overdosed = self.effect_ng_per_ml - max(usual, least) * limits.overdose_above_ppm / PPM
        return (withdrawn if usual >= least else min(withdrawn, usual - least)), overdosed


def _part_above_0(first: float, last: float) -> float:
    """For which part of a stretch that goes straight from one value to the other it is above 0."""
    if first > 0 and last > 0:
        return 1.0
    if first <= 0 and last <= 0:
        return 0.0
    return max(first, last) / abs(last - first)
