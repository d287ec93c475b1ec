"""What a person writes in a program file, with its unit: read exactly or refused, and written back as it is read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from hil.quantity_reading import exact, shown
from hil.quantity_words import PLACES_OF_MCG, PLACES_OF_ML, U32_MAX, decimal_text, duration

MINUTES_PER_HOUR: Final = 60
_PARTS = re.compile(r"(?P<number>[0-9.,+\-]*) *(?P<unit>.*)", re.DOTALL)
_MISTAKEN: Final = (
    ("mg", "milligrams are not read, so that nobody takes them for micrograms: 1 mg is 1000 mcg"),
    ("g", "grams are not read: 1 g is 1000000 mcg"),
    ("ug", "write mcg for micrograms"),
    ("µg", "write mcg for micrograms"),
    ("μg", "write mcg for micrograms"),
    ("ng", "nanograms are not read: 1000 ng are 1 mcg"),
)
"""Masses that are written elsewhere, and what to do."""
_TIME_UNITS: Final = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}
_TIME_WORDS: Final = {"d": "days", "h": "hours", "min": "minutes", "s": "seconds"}


def came(value: object) -> str:
    """What stood in a file, as a person finds it there again."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return shown(value)
        case int() | float():
            return f"the number {value}"
        case dict():
            return "a table"
        case list():
            return f"a list of {len(value)}"
    return shown(str(value))


@dataclass(frozen=True, slots=True)
class Measure:
    """A quantity with one unit. In the code it is a whole number of the unit's smallest part."""

    words: str
    unit: str
    places: int
    example: str
    low: int = 0

    @property
    def pattern(self) -> str:
        """The regular expression of how it is written, for editors."""
        return rf"^([0-9]+(\.[0-9]*)?|\.[0-9]+) *{re.escape(self.unit)}$"

    def has_unit_of(self, value: object) -> bool:
        """Whether something is written with this unit."""
        return isinstance(value, str) and _parts(value)[1] == self.unit

    def read(self, value: object) -> int:
        """The number; ValueError says why there is none."""
        number, unit = _parts(value)
        if unit != self.unit:
            raise ValueError(_wrong_unit(unit))
        return exact(number, self.places, self.unit, self.low, U32_MAX)

    def text(self, number: int) -> str:
        """A number as it is written in a file."""
        return f"{decimal_text(number, self.places)} {self.unit}"


@dataclass(frozen=True, slots=True)
class LengthOfTime:
    """A length of time in s, each part of it with its unit: `6 h`, `1 h 30 min`."""

    words: str
    example: str

    @property
    def pattern(self) -> str:
        """The regular expression of how it is written, for editors."""
        parts = "( *".join(f"[0-9]+ *{unit})?" for unit in _TIME_UNITS)
        return f"^(?=[0-9])({parts}$"

    def read(self, value: object) -> int:
        """The number of seconds; ValueError says why there is none."""
        if not isinstance(value, str) or re.fullmatch("[0-9.:]*", value.strip()):
            raise ValueError("without a unit nobody can tell hours, minutes and seconds apart")
        found = re.fullmatch(r"(?:[0-9]+ *[^0-9 .,]+ *)+", value.strip())
        if found is None:
            raise ValueError(f"write whole numbers with a unit each, as {self.example!r}")
        parts = re.findall(r"([0-9]+) *([^0-9 ]+)", value)
        units = [unit for _, unit in parts]
        if odd := [unit for unit in units if unit not in _TIME_UNITS]:
            raise ValueError(_wrong_time_unit(odd[0]))
        if units != [unit for unit in _TIME_UNITS if unit in units]:
            raise ValueError("each unit stands there once, the largest first")
        return sum(
            exact(number, 0, _TIME_WORDS[unit], 0, U32_MAX // _TIME_UNITS[unit]) * _TIME_UNITS[unit]
            for number, unit in parts
        )

    def text(self, number: int) -> str:
        """A number of seconds as it is written in a file."""
        return duration(number)


@dataclass(frozen=True, slots=True)
class WholeNumber:
    """A number that counts or names something, and has no unit."""

    words: str
    example: str
    low: int
    high: int

    def read(self, value: object) -> int:
        """The number; ValueError says why there is none."""
        if type(value) is not int:
            raise ValueError("a whole number has no quotes, no point and no unit")
        if not self.low <= value <= self.high:
            raise ValueError(f"it is out of range: {self.low} to {self.high}")
        return value

    def text(self, number: int) -> str:
        """A number as it is written in a file."""
        return str(number)


Kind = Measure | LengthOfTime | WholeNumber

DOSE = Measure("a dose", "mcg", PLACES_OF_MCG, "25 mcg", low=1)
DOSE_A_DAY = Measure("a dose a day", "mcg/day", PLACES_OF_MCG, "300 mcg/day")
DOSE_AN_HOUR = Measure("a dose an hour", "mcg/h", PLACES_OF_MCG, "8 mcg/h")
CONCENTRATION = Measure("a concentration", "mcg/mL", PLACES_OF_MCG, "500 mcg/mL", low=1)
VOLUME = Measure("a volume", "mL", PLACES_OF_ML, "0.05 mL")
RATE = Measure("a rate", "mL/day", PLACES_OF_ML, "0.6 mL/day")
TIME = LengthOfTime("a length of time", "6 h")
TIME_OF_DAY_PATTERN: Final = "^([01][0-9]|2[0-3]):[0-5][0-9]$"


def minute_of(text: str) -> int | None:
    """The minute of the day of `06:30`; None where it is none."""
    if not re.fullmatch(TIME_OF_DAY_PATTERN, text):
        return None
    hours, minutes = text.split(":")
    return int(hours) * MINUTES_PER_HOUR + int(minutes)


def time_of_day(minute: int) -> str:
    """A minute of the day as `06:30`."""
    return f"{minute // MINUTES_PER_HOUR:02}:{minute % MINUTES_PER_HOUR:02}"


def _parts(value: object) -> tuple[str, str]:
    """What stands there as number and as unit; of a bare number no unit."""
    if not isinstance(value, str):
        return "", ""
    found = _PARTS.fullmatch(value.strip())
    return (found["number"], found["unit"]) if found else ("", "")


def _wrong_unit(unit: str) -> str:
    if not unit:
        return "a number without a unit is not read"
    for mass, words in _MISTAKEN:
        if unit == mass or unit.startswith(f"{mass}/"):
            return words
    return f"{shown(unit)} is not its unit"


def _wrong_time_unit(unit: str) -> str:
    """Why a unit of time is not read, with the one that may have been meant."""
    if unit == "m":
        return "m may be minutes or months: write min for minutes"
    near = [
        short for short, words in _TIME_WORDS.items() if len(unit) > 1 and words.startswith(unit[:2].lower())
    ]
    return (
        f"write {near[0]} for {_TIME_WORDS[near[0]]}"
        if near
        else f"{shown(unit)} is no unit of time: d, h, min, s"
    )
