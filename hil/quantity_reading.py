"""Numbers as people write them, read exactly or refused: ASCII digits with at most one point, within a range."""

from __future__ import annotations

import re

from hil.quantity_words import U32_MAX, decimal_text

_NUMBER = re.compile(r"(?P<whole>[0-9]*)(\.(?P<part>[0-9]*))?")


def exact(text: str, places: int, unit: str, low: int = 0, high: int = U32_MAX) -> int:
    """A decimal number of a unit, as a whole number of its 10^-places; ValueError says why it is none, or too large."""
    found = _NUMBER.fullmatch(text)
    whole, part = (found["whole"], (found["part"] or "").rstrip("0")) if found else ("", "")
    if found is None or not (whole or found["part"]):
        example = "25 or 0.5" if places else "25"
        raise ValueError(f"{shown(text)} is no number{_of(unit)}: write digits, as {example}")
    if len(part) > places:
        decimals = f"at most {places} decimals" if places else "no decimals"
        raise ValueError(f"{shown(text)} cannot be told exactly{_in(unit)}: {decimals}")
    digits = (whole + part.ljust(places, "0")).lstrip("0") or "0"
    if len(digits) > len(str(high)) or not low <= int(digits) <= high:
        raise ValueError(f"{shown(text)} is out of range: {range_text(places, unit, low, high)}")
    return int(digits)


def range_text(places: int, unit: str, low: int, high: int) -> str:
    """The range of a quantity: `0 to 4294.967295 mL`."""
    return f"{decimal_text(low, places)} to {decimal_text(high, places)} {unit}".rstrip()


def _of(unit: str) -> str:
    return f" of {unit}" if unit else ""


def _in(unit: str) -> str:
    return f" in {unit}" if unit else ""


def shown(text: str) -> str:
    """What was written, cut where it is long: it is there to be found again."""
    longest = 40
    return repr(text) if len(text) <= longest else f"{text[:longest]!r}..."
