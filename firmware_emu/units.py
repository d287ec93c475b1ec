"""Units of the pump and the exact conversions between them. Integers throughout; imports nothing of ours.

Time is milliseconds, commanded volume nanolitres, true volume nanolitre-ppm (nL x 10^-6), rates nanolitres per day,
concentration ng/mL, so that 1 nL x 1 ng/mL = 1 femtogram of drug.
"""

from __future__ import annotations

MS_PER_S = 1_000
MS_PER_MINUTE = 60_000
MS_PER_HOUR = 3_600_000
MS_PER_DAY = 86_400_000
MS_PER_WEEK = 604_800_000
S_PER_HOUR = 3_600
S_PER_DAY = 86_400
MINUTES_PER_DAY = 1_440
DAYS_PER_WEEK = 7
PPM = 1_000_000
NL_PER_ML = 1_000_000


def ceil_div(numerator: int, denominator: int) -> int:
    """Smallest integer not below numerator / denominator; denominator > 0."""
    return -(-numerator // denominator)


def earlier(one_ms: int | None, other_ms: int | None) -> int | None:
    """The earlier of two times, of which there may be none."""
    if one_ms is None or other_ms is None:
        return other_ms if one_ms is None else one_ms
    return min(one_ms, other_ms)
