"""Rare states of a life, kept as forks and gone on from: most of a life is where every life has been.

A life is played as ever, and at each moment whose cells are new to it a fork of it is kept. Then the rarest of these
are gone on from, each time by some deeds of another chance; what they reach is kept too. A life with its forks is of
its seed and the plan alone, so that it can be played anywhere and again.

A branch says of a fork how it came to be, "12:3" or "12:3,2:7": after 12 deeds of the life as its third fork, and after
two deeds of that the seventh one.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.campaign.cells import cells_of
from hil.campaign.usual_cells import USUAL_CELLS
from hil.errors import BadConfiguration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from hil.campaign.deed import Deed
    from hil.campaign.life import Life
    from hil.campaign.playing import Lived

FORK_DEEDS: Final = 4
USUAL_FORKS: Final = 48
"""With 4,800 deeds 48 forks of 4 reached 765 cells, 24 of them 659, 12 of them 584, 12 of 8 deeds 613; none 304."""
FORKS_MAX: Final = 1_000
KEPT_MAX: Final = 48
"""Forks of a life that are kept at once; the most common go first."""
NUMBERS: Final = 1_000_000
"""What lies between the numbers of deeds of two forks, so that none has the chance of another's."""
BRANCH: Final = "[0-9]{1,7}:[0-9]{1,5}(,[0-9]{1,3}:[0-9]{1,5})*"
Branch = tuple[tuple[int, int], ...]
"""After how many deeds, and of which number; from the life to the fork, () is the life itself."""


class Explored(NamedTuple):
    """What came of the forks of a life, beside what came of the life."""

    forks: int = 0
    deeds: int = 0
    pump_ms: int = 0
    """Time of pumps that was played in them."""
    marks: tuple[str, ...] = ()
    """Reached in forks alone."""
    cells: tuple[str, ...] = ()
    """Likewise."""


NOTHING_EXPLORED: Final = Explored()


@dataclass
class _Kept:
    """A fork that stands where its life was somewhere new."""

    life: Life
    branch: Branch
    deeds: int
    """Of this branch, up to there."""
    usual: int
    """In how many of the lives that were counted its rarest cell was reached, and how often it was gone on from."""


class Exploring:
    """One life, and what is gone on from in it: `forks` times, from the rarest moments of what was played so far."""

    def __init__(self, forks: int, common: Mapping[str, int] = USUAL_CELLS) -> None:
        """`common`: in how many lives each cell is reached, as far as that was counted."""
        self.forks = forks
        self.cells: set[str] = set()
        """What the life has reached, and each fork so far."""
        self.branch: Branch = ()
        """Of what is being played."""
        self.fork: Life | None = None
        """What is being played, where that is a fork."""
        self.played = 0
        """Forks, so far."""
        self.deeds = 0
        """Of all of them."""
        self.pump_ms = 0
        self.marks_before: set[str] = set()
        """What the life itself had reached before it was gone on from."""
        self.cells_before: set[str] = set()
        self._common = common
        self._kept: list[_Kept] = []

    def look(self, life: Life, deeds: int) -> None:
        """Note where a life is after so many deeds, and keep a fork of it where it is somewhere new."""
        cells = cells_of(life.talk.pump)
        if self.forks > self.played and not self.cells.issuperset(cells):
            usual = min(self._common.get(cell, 0) for cell in cells)
            self._kept.append(_Kept(life.fork(), self.branch, deeds, usual))
            if len(self._kept) > KEPT_MAX:
                self._kept.remove(max(reversed(self._kept), key=_usual))
        self.cells.update(cells)

    def live(self, life: Life, row: Iterable[Deed]) -> None:
        """Live the life itself; Broken where something does not hold in it."""
        for number, deed in enumerate(row, 1):
            life.do(deed)
            self.look(life, number)

    def go_on(self, marks: Iterable[str]) -> None:
        """Go on from the rarest states that were kept; Broken where something does not hold in a fork.

        `marks`: those that were reached so far; of one who is told those of forks too.
        """
        self.marks_before, self.cells_before = set(marks), set(self.cells)
        while self.played < self.forks and self._kept:
            kept = min(self._kept, key=_usual)
            kept.usual += 1
            self.go_on_in(kept.life.fork(), (*kept.branch, (kept.deeds, self.played + 1)))

    def go_on_in(self, fork: Life, branch: Branch) -> None:
        """Do the deeds of a fork; Broken where something does not hold in it."""
        self.fork, self.branch = fork, branch
        self.played += 1
        for each in range(1, FORK_DEEDS + 1):
            began_ms = fork.talk.now_ms
            self.deeds += 1
            try:
                fork.do(fork.deed_of(number_of(branch, each)))
            finally:
                self.pump_ms += fork.talk.now_ms - began_ms
            self.look(fork, each)

    def explored(self, marks: Iterable[str]) -> Explored:
        """What came of the forks; `marks`: all that were reached."""
        if not self.played:
            return NOTHING_EXPLORED
        return Explored(
            self.played,
            self.deeds,
            self.pump_ms,
            tuple(sorted({*marks} - self.marks_before)),
            tuple(sorted(self.cells - self.cells_before)),
        )


def _usual(kept: _Kept) -> int:
    return kept.usual


def row_of(life: Life, row: Iterable[Deed], branch: Branch) -> Iterator[Deed]:
    """The deeds of a fork from the beginning, which `life` does one by one; `row`: those of the life itself."""
    yield from islice(row, branch[0][0])
    for place in range(len(branch)):
        lasts = branch[place + 1][0] if place + 1 < len(branch) else FORK_DEEDS
        for each in range(1, lasts + 1):
            yield life.deed_of(number_of(branch[: place + 1], each))


def number_of(branch: Branch, deed: int) -> int:
    """The number of a deed of a fork, from 1; none of the same life has it too."""
    return branch[-1][1] * NUMBERS + deed


def branch_text(branch: Branch) -> str:
    """A branch as people write it; empty: the life itself."""
    return ",".join(f"{after}:{number}" for after, number in branch)


def read_branch(text: str) -> Branch:
    """The branch in a text; BadConfiguration where no fork of any life is named so."""
    pairs = [each.split(":") for each in text.split(",")] if re.fullmatch(BRANCH, text) else []
    branch = tuple((int(after), int(number)) for after, number in pairs)
    numbers = [0, *(number for _, number in branch)]
    in_order = all(one < other for one, other in pairwise(numbers)) and numbers[-1] <= FORKS_MAX
    if not branch or not in_order or not all(1 <= after <= FORK_DEEDS for after, _ in branch[1:]):
        raise BadConfiguration(
            f"{text[:80]!r} is no branch of a life", advice='name one as the campaign did, such as "12:3"'
        )
    return branch


@dataclass
class Reached:
    """What some lives have reached."""

    lives: int = 0
    cells: set[str] = field(default_factory=set)
    marks: set[str] = field(default_factory=set)
    pairs: set[tuple[str, str]] = field(default_factory=set)

    def add(self, cells: Iterable[str], marks: Iterable[str], pairs: Iterable[tuple[str, str]]) -> None:
        """One more life."""
        self.lives += 1
        self.cells.update(cells)
        self.marks.update(marks)
        self.pairs.update(pairs)


@dataclass
class SameBudget:
    """Lives alone against lives with their forks: of these so many, from the first on, as cost no more than those."""

    budget: int = 0
    """What all lives alone have cost."""
    spent: int = 0
    """What those with forks have cost that are counted."""
    alone: Reached = field(default_factory=Reached)
    forked: Reached = field(default_factory=Reached)
    _waiting: deque[tuple[int, Lived]] = field(default_factory=deque)
    """For which the budget has not been enough yet."""

    def add(self, lived: Lived, cost: int, cost_of_forks: int) -> None:
        """The next life, and its forks."""
        self.budget += cost
        self.alone.add(lived.cells, lived.marks, lived.pairs)
        self._waiting.append((cost + cost_of_forks, lived))
        while self._waiting and self.spent + self._waiting[0][0] <= self.budget:
            spent, first = self._waiting.popleft()
            self.spent += spent
            of_forks = first.explored
            self.forked.add((*first.cells, *of_forks.cells), (*first.marks, *of_forks.marks), first.pairs)
