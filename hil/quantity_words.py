"""Quantities as people read them, exactly: mcg and mL for the ng and nL within. No floats."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

PLACES_OF_MCG: Final = 3
PLACES_OF_ML: Final = 6
U32_MAX: Final = 0xFFFF_FFFF
I32_MAX: Final = 0x7FFF_FFFF
WALL_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)


def counted(count: int, what: str) -> str:
    """How many of something: one frame, 2 frames."""
    return f"one {what}" if count == 1 else f"{count} {what}s"


def are(count: int) -> str:
    """The verb to it."""
    return "is" if count == 1 else "are"


def at_least(text: str, value: int) -> str:
    """The text of a value; where the pump shows the most that its field holds, the true one may be larger."""
    return f"at least {text}" if value == U32_MAX else text


def moved(delta_s: int) -> str:
    """By how much a clock was moved, of a signed field of 32 bits, whose ends stand for more [SPEC 6], TIME_SET."""
    if abs(delta_s) < I32_MAX:
        return f"{delta_s} s"
    if delta_s < -I32_MAX:
        return "not known: it was not set before"
    return f"{delta_s} s or less" if delta_s < 0 else f"at least {delta_s} s"


def decimal_text(value: int, places: int) -> str:
    """Value / 10^places, exactly, without needless zeros."""
    sign, digits = "-" if value < 0 else "", str(abs(value)).rjust(places + 1, "0")
    point = len(digits) - places
    whole, part = digits[:point], digits[point:].rstrip("0")
    return f"{sign}{whole}.{part}" if part else f"{sign}{whole}"


def ml(volume_nl: int) -> str:
    """A volume in nL, as mL."""
    return f"{decimal_text(volume_nl, PLACES_OF_ML)} mL"


def ml_per_day(rate_nl_per_day: int) -> str:
    """A rate in nL/day, as mL/day."""
    return f"{decimal_text(rate_nl_per_day, PLACES_OF_ML)} mL/day"


def mcg(dose_ng: int) -> str:
    """A dose in ng, as mcg."""
    return f"{decimal_text(dose_ng, PLACES_OF_MCG)} mcg"


def mcg_per_day(dose_ng_per_day: int) -> str:
    """A dose in ng/day, as mcg/day."""
    return f"{decimal_text(dose_ng_per_day, PLACES_OF_MCG)} mcg/day"


def mcg_per_ml(concentration_ng_per_ml: int) -> str:
    """A concentration in ng/mL, as mcg/mL."""
    return f"{decimal_text(concentration_ng_per_ml, PLACES_OF_MCG)} mcg/mL"


def duration(seconds: int) -> str:
    """Seconds as days, hours, minutes, seconds, leaving out what is zero."""
    parts = []
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts) or "0 s"


def duration_of_ms(milliseconds: int) -> str:
    """Milliseconds as days, hours, minutes, seconds, rounded up to a whole second."""
    return duration(-(-milliseconds // 1_000))


def exact_duration_of_ms(milliseconds: int) -> str:
    """Milliseconds as days, hours, minutes, seconds and what is left: 7 h, 1 min 1 s 3 ms, 999 ms."""
    seconds, rest_ms = divmod(milliseconds, 1_000)
    parts = [duration(seconds)] if seconds or not rest_ms else []
    return " ".join([*parts, *([f"{rest_ms} ms"] if rest_ms else [])])


def percent(part: int, whole: int) -> str:
    """Part of a whole in percent, to the nearest hundredth, halves up; neither may be below 0."""
    return f"{decimal_text((20_000 * part + whole) // (2 * whole), 2)} %"
