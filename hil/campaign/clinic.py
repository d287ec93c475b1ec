"""The clinic around a cohort of pumps: whom it treats, when it books a refill, and the syringes that it reads.

Each number is a key of `[cohort]` in a plan. Where nothing is published it is assumed, or remembered, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from firmware_emu.units import MS_PER_DAY, PPM

if TYPE_CHECKING:
    from random import Random

LOWEST_PPM: Final = 855_000
HIGHEST_PPM: Final = 1_145_000
"""The labelled accuracy, 14.5 % either way [DOMAIN 1.3, S8]: a pump beyond it would have been sent back."""
CONCENTRATIONS_NG_PER_ML: Final = (500_000, 1_000_000, 2_000_000)
"""Of baclofen for pumps [DOMAIN 1.7, S25], the weakest first."""
WORTH_A_JOURNEY_DAYS: Final = 60
"""Refills are 2 to 6 months apart [DOMAIN 1.7, S22]: a drug that would not last so long is taken stronger."""


@dataclass(frozen=True, slots=True)
class Clinic:
    """How a cohort is treated. Volumes in nL; parts in millionths."""

    days: int = 365
    """Each pump is followed for so long; Wesemann 2014 did for 12 months [DOMAIN 1.3, S18]."""
    accuracy_mean_ppm: int = 976_000
    """Of the pumps, as weighed in the laboratory: 2.4 % too little [DOMAIN 1.3, S18]."""
    accuracy_sd_ppm: int = 48_000
    """By which pumps differ; not published. A third of the labelled 14.5 % [DOMAIN 1.3, S8], assumed."""
    dose_ng_per_day_min: int = 90_000
    dose_ng_per_day_max: int = 800_000
    """Maintenance doses, of cerebral and spinal origin [DOMAIN 1.7, S25], each as often."""
    fill_nl: int = 18_000_000
    low_alarm_nl: int = 2_000_000
    """As pumps are delivered [DOMAIN 0.5]."""
    booked_days_before_low_min: int = 3
    booked_days_before_low_max: int = 10
    """A refill is booked so long before the low-reservoir date [DOMAIN 4.5, S5]."""
    interval_days_max: int = 180
    """And never later than 6 months after the last [DOMAIN 1.7, S22]."""
    syringe_scale_ppm: int = 40_000
    """A syringe shows up to so much too much or too little: 4 % from half of its capacity on [RECALL: ISO 7886-1]."""
    syringe_reading_sd_nl: int = 200_000
    """By which people miss its scale of 1 mL; assumed."""
    syringe_read_to_nl: int = 500_000
    """What people round to: half of a scale of 1 mL, as 20 mL syringes have [RECALL]."""
    left_behind_nl_max: int = 500_000
    """Fluid that a syringe may leave in the reservoir, from none to this; Wesemann 2014 names it as possible [DOMAIN
    1.3, S18], how much is assumed."""
    unseen_nl: int = 0
    """Fluid that is drawn at each refill and never seen in the syringe, in needle, filter and tubing; not published."""

    def accuracy_ppm(self, random: Random) -> int:
        """The accuracy of a pump, within its label."""
        while True:
            ppm = round(random.gauss(self.accuracy_mean_ppm, self.accuracy_sd_ppm))
            if LOWEST_PPM <= ppm <= HIGHEST_PPM:
                return ppm

    def concentration_ng_per_ml(self, dose_ng_per_day: int) -> int:
        """The weakest drug of which a fill lasts as long as is worth a journey; else the strongest."""
        usable_nl = self.fill_nl - self.low_alarm_nl
        for concentration in CONCENTRATIONS_NG_PER_ML:
            if dose_ng_per_day * PPM * WORTH_A_JOURNEY_DAYS <= usable_nl * concentration:
                return concentration
        return CONCENTRATIONS_NG_PER_ML[-1]

    def next_visit_ms(self, now_ms: int, low_in_ms: int, random: Random) -> int:
        """When the next refill is booked; tomorrow at the earliest."""
        before_ms = random.randint(
            self.booked_days_before_low_min * MS_PER_DAY, self.booked_days_before_low_max * MS_PER_DAY
        )
        in_ms = min(low_in_ms - before_ms, self.interval_days_max * MS_PER_DAY)
        return now_ms + max(in_ms, MS_PER_DAY)


class Syringe:
    """One syringe, with a scale of its own, in the hands of somebody."""

    def __init__(self, clinic: Clinic, random: Random) -> None:
        self._clinic, self._random = clinic, random
        self._shows_ppm = PPM + random.randint(-clinic.syringe_scale_ppm, clinic.syringe_scale_ppm)

    def reading_nl(self, volume_nl: int) -> int:
        """What somebody reads of a volume that is in it."""
        to_nl = self._clinic.syringe_read_to_nl
        shown_nl = volume_nl * self._shows_ppm // PPM + self._missed_nl()
        return max(0, (shown_nl + to_nl // 2) // to_nl * to_nl)

    def volume_nl(self, reading_nl: int) -> int:
        """What is in it where somebody has filled it up to this reading."""
        return max(0, (reading_nl + self._missed_nl()) * PPM // self._shows_ppm)

    def _missed_nl(self) -> int:
        return round(self._random.gauss(0, self._clinic.syringe_reading_sd_nl))
