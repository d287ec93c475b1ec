"""Quantities as people write them, read exactly or refused: the types of every option that takes a number or a date.

ASCII digits with at most one point, no sign, exponent or underscore, within the range of the field that carries it on
the wire. Nothing else of the command line turns text into a number; `hil.quantity_reading` does it.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import click

from hil.outcome_store import LAST_CMD_ID
from hil.quantity_reading import exact, range_text, shown
from hil.quantity_words import PLACES_OF_MCG, PLACES_OF_ML, U32_MAX, WALL_EPOCH
from hil.targets.choices import whole_number

U16_MAX: Final = 0xFFFF
S_PER_HOUR: Final = 3_600
INTERVAL_HOURS_MAX: Final = 744  # of 31 days
LAST_MOMENT = WALL_EPOCH + timedelta(seconds=U32_MAX)
TZ_MINUTES = range(-720, 840 + 1)  # [SPEC 6], TIME_SET
_FINER_THAN_A_SECOND = re.compile("[.,]0*[1-9]")  # Python drops what is finer than a microsecond


class Quantity(click.ParamType[int]):
    """The type of an option: a number of a unit, exact, within the range of its field on the wire."""

    def __init__(self, unit: str = "", *, places: int = 0, low: int = 0, high: int = U32_MAX) -> None:
        self.name = unit or "number"
        self._unit, self._places, self._low, self._high = unit, places, low, high

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:  # noqa: ARG002
        """The range, as `--help` shows it behind the option; an argument keeps its name."""
        if isinstance(param, click.Argument):
            return None
        return f"[{range_text(self._places, self._unit, self._low, self._high)}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number in the unit's smallest part; an option's default is one already."""
        if isinstance(value, int):
            return value
        try:
            return exact(value, self._places, self._unit, self._low, self._high)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class WholeNumber(click.ParamType[int]):
    """The type of an option whose range is checked where its value is used: digits, also behind a minus."""

    name = "number"

    def __init__(self, shown_range: str) -> None:
        self._shown_range = shown_range

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:  # noqa: ARG002
        """The range, as `--help` shows it behind the option."""
        return f"[{self._shown_range}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number."""
        try:
            return value if isinstance(value, int) else whole_number(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


MCG = Quantity("mcg", places=PLACES_OF_MCG)
MCG_PER_DAY = Quantity("mcg/day", places=PLACES_OF_MCG)
MCG_PER_ML = Quantity("mcg/mL", places=PLACES_OF_MCG)
ML = Quantity("mL", places=PLACES_OF_ML)
U16 = Quantity(high=U16_MAX)
CMD_ID = Quantity(low=1, high=LAST_CMD_ID)


class WallTime(NamedTuple):
    """A moment as TIME_SET has it, and as a human reads it."""

    wall_s: int
    tz_minutes: int
    text: str


class Moment(click.ParamType[WallTime]):
    """The type of an argument: a date and time with its offset from UTC, that the pump's clock can hold."""

    name = "ISO time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> WallTime:
        """The moment in seconds since 2000, and its offset in minutes."""
        try:
            return wall_time(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def wall_time(text: str) -> WallTime:
    """An ISO date and time with an offset, as the pump's clock has it; ValueError says why that cannot be."""
    try:
        wanted = datetime.fromisoformat(text if text.isascii() else "")
    except ValueError:
        raise ValueError(f"{shown(text)} is no ISO time: write it as 2026-03-02T10:00:00+01:00") from None
    offset = wanted.utcoffset()
    if offset is None:
        raise ValueError(f"{shown(text)} has no offset from UTC; add +00:00 or your own")
    tz_minutes, odd = divmod(offset, timedelta(minutes=1))
    if odd or _FINER_THAN_A_SECOND.search(text):
        raise ValueError(
            f"{shown(text)} is finer than the pump's clock: whole seconds, whole minutes of offset"
        )
    if tz_minutes not in TZ_MINUTES:
        raise ValueError(f"{shown(text)} has an offset out of range: -12:00 to +14:00")
    if not WALL_EPOCH <= wanted <= LAST_MOMENT:
        last = f"{LAST_MOMENT:%Y-%m-%dT%H:%M:%S}+00:00"
        raise ValueError(f"{shown(text)} is out of range: 2000-01-01T00:00:00+00:00 to {last}")
    return WallTime((wanted - WALL_EPOCH) // timedelta(seconds=1), tz_minutes, wanted.isoformat())


class HoursMinutes(click.ParamType[int]):
    """A stretch of time as H:MM, in seconds: hours and minutes each in a place of its own [DOMAIN 6.8, RH-03]."""

    name = "H:MM"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Seconds."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"([0-9]{1,3}):([0-5][0-9])", value)
        seconds = (int(found[1]) * 60 + int(found[2])) * 60 if found else 0
        if not 0 < seconds <= INTERVAL_HOURS_MAX * S_PER_HOUR:
            self.fail(
                f"{value[:40]!r} is no time of 0:01 to {INTERVAL_HOURS_MAX}:00: write 6:00 for six hours",
                param,
                ctx,
            )
        return seconds


HOURS_MINUTES = HoursMinutes()
