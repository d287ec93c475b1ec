"""When two values of a field are the same for who compares two conversations: said where the field is declared.

A field of which nothing is said is compared exactly: what a dose follows from always is.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple


class Sameness(StrEnum):
    """How the values of a field, one of each conversation, are compared."""

    EXACT = "exact"  # equal
    VOLATILE = "volatile"  # never looked at: drawn anew each time, or a moment
    DELTA = "delta"  # numbers that are not further apart than a tolerance
    MONOTONIC = "monotonic"  # a counter: goes back in both conversations or in neither
    MAPPED = "mapped"  # a name: whatever is called so in one has one name in the other


class Rule(NamedTuple):
    """How a field is compared; `tolerance` of DELTA, in the unit of the field; `names` of MAPPED: what it names."""

    sameness: Sameness
    tolerance: int = 0
    names: str = ""

    def __str__(self) -> str:
        return f"{self.sameness} {self.tolerance}" if self.sameness is Sameness.DELTA else str(self.sameness)


EXACT: Final = Rule(Sameness.EXACT)
VOLATILE: Final = Rule(Sameness.VOLATILE)
MONOTONIC: Final = Rule(Sameness.MONOTONIC)
