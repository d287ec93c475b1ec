"""What two recordings have for differences, summed up by field: how often, the first ten, how many more."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hil.comparison.differences import Difference, How

SHOWN: Final = 10
_ROW: Final = re.compile(r"\[\d+\]")


@dataclass
class OfField:
    """All differences of one kind at one field, whatever row it stands in; `shown` has the first of them."""

    how: How
    place: str
    count: int = 0
    shown: list[Difference] = field(default_factory=list)

    @property
    def more(self) -> int:
        """How many there are besides those shown."""
        return self.count - len(self.shown)


@dataclass
class Summary:
    """The first difference, and all of them by field, in the order in which the fields first differed."""

    first: Difference | None = None
    count: int = 0
    by_field: dict[tuple[How, str], OfField] = field(default_factory=dict)


def without_rows(place: str) -> str:
    """A place without the numbers of its rows."""
    return _ROW.sub("", place)


def summed_up(differences: Iterable[Difference]) -> Summary:
    """The sum of differences, of which no more are kept than are shown."""
    summary = Summary()
    for difference in differences:
        summary.count += 1
        summary.first = summary.first or difference
        key = (difference.how, without_rows(difference.place))
        of_field = summary.by_field.setdefault(key, OfField(*key))
        of_field.count += 1
        if len(of_field.shown) < SHOWN:
            of_field.shown.append(difference)
    return summary
