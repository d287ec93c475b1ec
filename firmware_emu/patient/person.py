"""Whom the drug reaches: how fast a person loses it, how late it acts, and at which level somebody would worry.

Half-life and clearance in spinal fluid were measured in four patients after a bolus [Eur J Clin Pharmacol, BF00265844].
What else stands here nobody has published for this drug and route: it is assumed, or remembered, and marked so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from firmware_emu.units import PPM

if TYPE_CHECKING:
    from collections.abc import Callable

HALF_LIFE_H: Final = (0.9, 5.0)
"""Lowest and highest of four patients [Eur J Clin Pharmacol, BF00265844]."""
CLEARANCE_ML_PER_H: Final = (13.0, 80.0)
"""Of the same four."""
NO_DIAGNOSIS: Final = (
    "a model of risk, not of a person: concentrations of individuals do not follow the dose (Albright 2007: "
    "43 patients, 70 to 1,395 mcg a day, 0.2 to 20 mcg/mL, no correlation), and it diagnoses nothing"
)
"""Stands in every report that tells of the patient."""


@dataclass(frozen=True, slots=True)
class Person:
    """Pharmacokinetics of one person, by first order throughout; all times are half-lives and above 0."""

    half_life_h: float = sum(HALF_LIFE_H) / 2
    """In which half of the drug in the spinal fluid is lost; the middle of what is published."""
    clearance_ml_per_h: float = sum(CLEARANCE_ML_PER_H) / 2
    """Spinal fluid that is freed of drug in an hour; with the half-life it gives the volume of distribution."""
    effect_half_life_h: float = 1.8
    """By which the effect follows the fluid [assumed: with it a bolus and an infusion act when the label says]."""
    tolerance_half_life_days: float = 7.0
    """In which a person gets half used to another level [assumed]."""

    def __post_init__(self) -> None:
        wrong = [name for name in self.__slots__ if not getattr(self, name) > 0]
        if wrong:
            raise ValueError(f"{wrong[0]} of a person must be above 0, is {getattr(self, wrong[0])}")

    @classmethod
    def drawn(cls, uniform: Callable[[float, float], float]) -> Person:
        """Somebody from the published ranges, each number by itself; `uniform` draws from a lowest to a highest."""
        return cls(uniform(*HALF_LIFE_H), uniform(*CLEARANCE_ML_PER_H))


@dataclass(frozen=True, slots=True)
class Limits:
    """From which level on somebody would worry, against the level to which the person is used.

    ValueError where they are not 0 <= withdrawal < 10^6 < overdose.
    """

    withdrawal_below_ppm: int = 250_000
    """An effect below a quarter of the usual one [assumed]: reached some 10 h after an infusion ends, while signs of
    withdrawal are told from within a day on [RECALL] and are worst after 1 to 3 days [DOMAIN 1.7, S25]."""
    overdose_above_ppm: int = 2_000_000
    """An effect of more than twice the usual one [assumed]: a dose is raised by 30 % a day at most [DOMAIN 1.7, S24].
    """
    least_dose_ng_per_day: int = 24_000
    """What nobody who gets less is used to: the lowest maintenance dose that is published [DOMAIN 1.7, S25]."""

    def __post_init__(self) -> None:
        if not 0 <= self.withdrawal_below_ppm < PPM < self.overdose_above_ppm:
            raise ValueError(
                f"withdrawal must begin below {PPM} ppm of the usual level and overdose above, "
                f"are {self.withdrawal_below_ppm} and {self.overdose_above_ppm}"
            )
        if self.least_dose_ng_per_day < 1:
            raise ValueError(f"least_dose_ng_per_day must be 1 or more, is {self.least_dose_ng_per_day}")
