"""Quantities as people write and read them, exactly: mcg and mL on the outside, ng and nL within. No floats."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

PLACES_OF_MCG = 3
PLACES_OF_ML = 6


def exact(text: str, scale: int, unit: str) -> int:
    """A decimal number of a unit as a whole number of its smallest part; ValueError if it does not come out even."""
    try:
        value = Decimal(text) * scale
    except InvalidOperation:
        raise ValueError(f"{text!r} is no number of {unit}") from None
    if not value.is_finite() or value != value.to_integral_value() or value < 0:
        raise ValueError(f"{text!r} is no amount in {unit} that can be told exactly; at most {scale} parts")
    return int(value)


def decimal_text(value: int, places: int) -> str:
    """Value / 10^places, exactly, without needless zeros."""
    sign, digits = "-" if value < 0 else "", str(abs(value)).rjust(places + 1, "0")
    whole, part = digits[:-places], digits[-places:].rstrip("0")
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
