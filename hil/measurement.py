"""Values that a test measures: judged by limits, and kept in the report whether the test passed or not.

Limits are inclusive. Beyond the marginal ones and within the limits a value passes, and that is told.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from fractions import Fraction
from numbers import Real
from typing import NamedTuple

from hil.errors import UsageError

Number = int | float
Limits = tuple[Number | None, Number | None]
"""The lowest and the highest value that is right; None where there is no such end."""


Given = Number | Fraction
GivenLimits = tuple[Given | None, Given | None]


class MeasuredVerdict(StrEnum):
    """What its limits make of a value."""

    PASSED = "passed"
    MARGINAL = "marginal"
    FAILED = "failed"
    UNJUDGED = "unjudged"


class Measurement(NamedTuple):
    """One value of a test, or a series of them against something, and what its limits made of it."""

    name: str
    unit: str
    verdict: MeasuredVerdict
    value: Number | None
    """None of a series."""
    limits: Limits = (None, None)
    marginal: Limits = (None, None)
    against: str = ""
    """What a series runs against, with its unit: `window_s`."""
    series: tuple[tuple[Number, Number], ...] = ()

    def in_words(self) -> str:
        """The measurement as a sentence, for a failure."""
        wanted = f"{_range_in_words(self.limits)} {self.unit} is expected"
        if self.value is not None:
            return f"{self.name} is {self.value} {self.unit}, and {wanted}"
        beyond = [(x, y) for x, y in self.series if not _within(y, self.limits)]
        if not beyond:
            return f"{self.name} is a series of {len(self.series)} values in {self.unit}, and {wanted}"
        x, y = beyond[0]
        return (
            f"{self.name} is {y} {self.unit} at {self.against} {x}, the first of {len(beyond)} among "
            f"{len(self.series)} values that are beyond, and {wanted}"
        )


def measured(
    name: str,
    value: Given | Sequence[tuple[Given, Given]],
    unit: str,
    limits: GivenLimits | None = None,
    marginal: GivenLimits | None = None,
    against: str = "",
) -> Measurement:
    """A value, or a series of (against, value), judged. UsageError for what is no measurement.

    A value that is no number at all (NaN) is beyond every limit.
    """
    if not name or not unit:
        raise UsageError("a measurement has a name and a unit", advice='write unit="1" where it has none')
    try:
        within, near = _ends(limits), _ends(marginal)
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"limits of {name} are two numbers, each of which may be None") from error
    for what, (lowest, highest) in (("limits", within), ("marginal", near)):
        ends = [end for end in (lowest, highest) if end is not None]
        if not all(map(math.isfinite, ends)) or ends != sorted(ends):
            raise UsageError(f"{what} of {name} are from {lowest} to {highest}, which nothing is within")
    single: Number | None = None
    series: tuple[tuple[Number, Number], ...] = ()
    try:
        if isinstance(value, Sequence):
            series = tuple((_number(x), _number(y)) for x, y in value)
        else:
            single = _number(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(
            f"{name} is measured as {value!r:.80}, which is no number and no sequence of pairs of numbers"
        ) from error
    if single is None and not (series and against):
        raise UsageError(
            f"{name} is a series without values, or of what it runs against nothing is said",
            advice='give pairs, and against="window_s"',
        )
    values = [y for _x, y in series] if single is None else [single]
    return Measurement(name, unit, _judged(values, within, near), single, within, near, against, series)


def _number(value: object) -> Number:
    """The value as JSON may have it; TypeError where it is none. An exact fraction is the float that is next to it."""
    if not isinstance(value, Real):
        raise TypeError
    as_float = float(value)  # also of an int: one that is larger than every float cannot be judged or drawn
    return int(value) if isinstance(value, int) else as_float


def _ends(limits: GivenLimits | None) -> Limits:
    """Limits without an end that lies at infinity: that is none."""
    lowest, highest = (None if end is None else _number(end) for end in limits or (None, None))
    return None if lowest == -math.inf else lowest, None if highest == math.inf else highest


def _judged(values: Sequence[Number], limits: Limits, marginal: Limits) -> MeasuredVerdict:
    if limits == marginal == (None, None):
        return MeasuredVerdict.UNJUDGED
    if not all(_within(each, limits) for each in values):
        return MeasuredVerdict.FAILED
    return (
        MeasuredVerdict.PASSED
        if all(_within(each, marginal) for each in values)
        else MeasuredVerdict.MARGINAL
    )


def _within(value: Number, limits: Limits) -> bool:
    lowest, highest = limits
    if math.isnan(value):
        return False
    return (lowest is None or value >= lowest) and (highest is None or value <= highest)


def _range_in_words(limits: Limits) -> str:
    lowest, highest = limits
    if lowest is None:
        return f"at most {highest}"
    return f"at least {lowest}" if highest is None else f"{lowest} to {highest}"


def as_plain(measurement: Measurement) -> dict[str, object]:
    """The measurement as JSON has it; a number that JSON does not know is its name."""
    return {
        "name": measurement.name,
        "unit": measurement.unit,
        "verdict": measurement.verdict.value,
        "value": _plain(measurement.value),
        "lowest": measurement.limits[0],
        "highest": measurement.limits[1],
        "marginal_lowest": measurement.marginal[0],
        "marginal_highest": measurement.marginal[1],
        "against": measurement.against or None,
        "series": [[_plain(x), _plain(y)] for x, y in measurement.series],
    }


def _plain(value: Number | None) -> Number | str | None:
    return value if value is None or math.isfinite(value) else str(value)
