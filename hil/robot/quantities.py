"""Quantities in the words of a Robot suite: `50 uL`, `10 min`, `300 mcg/day`, read exactly or refused.

Each is a whole number of the smallest part, which shows itself with its unit: what a keyword returns can be put into a
sentence, compared, and handed to the next keyword.
"""

from __future__ import annotations

from typing import Any, Final

from hil.programs.measures import DOSE_A_DAY, TIME, VOLUME, Measure, came
from hil.quantity_words import duration, mcg_per_day, ml

VOLUMES: Final = (VOLUME, Measure("a volume", "uL", 3, "50 uL"), Measure("a volume", "nL", 0, "2500 nL"))
"""A volume by each of its units, as nL."""


class Volume(int):
    """A volume: ``0.05 mL``, ``50 uL`` or ``2500 nL``, exact to a nanolitre."""

    def __str__(self) -> str:
        return ml(self)


class Duration(int):
    """A length of time: ``10 min``, ``1 h 30 min``, ``31 d``; whole numbers of d, h, min and s."""

    def __str__(self) -> str:
        return duration(self)


class DailyDose(int):
    """A dose a day: ``300 mcg/day``, exact to a nanogram."""

    def __str__(self) -> str:
        return mcg_per_day(self)


def volume(value: object) -> Volume:
    """A volume in nL; ValueError says why it is none."""
    measure = next((each for each in VOLUMES if each.has_unit_of(value)), None)
    if measure is None:
        raise ValueError(f"{came(value)} is no volume: write mL, uL or nL behind the number, as '50 uL'")
    return Volume(_read(measure, value))


def length_of_time(value: object) -> Duration:
    """A length of time in s; ValueError says why it is none."""
    return Duration(_read(TIME, value))


def daily_dose(value: object) -> DailyDose:
    """A dose a day in ng; ValueError says why it is none."""
    return DailyDose(_read(DOSE_A_DAY, value))


def _read(kind: Any, value: object) -> int:
    try:
        return int(kind.read(value))
    except ValueError as error:
        raise ValueError(f"{came(value)} is not {kind.words} as {kind.example!r} is: {error}") from None


CONVERTERS: Final = {Volume: volume, Duration: length_of_time, DailyDose: daily_dose}
"""What Robot Framework reads the arguments of these types by."""
