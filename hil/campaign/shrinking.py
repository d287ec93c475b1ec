"""A life in which an invariant does not hold, cut down to the fewest deeds in which the same one does not hold.

First the deeds that are not needed are left out (delta debugging: ddmin, Zeller and Hildebrandt 2002), each try played
from the fork of what it has in common with one before. Then what remains is made simpler: a deed by its parts, a wait
by a shorter one, a fault by one at once. It ends where nothing can be left out or made simpler, or where its bound is
reached, which is said.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.campaign.exploring import read_branch
from hil.campaign.plan import KINDS
from hil.campaign.playing import Wrong, played_life
from hil.campaign.row_text import planned_row, row_text
from hil.campaign.rows import FORKS_KEPT, Rows
from hil.campaign.simpler import simpler

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hil.campaign.deed import Deed, Event
    from hil.campaign.plan import Plan
    from hil.campaign.playing import Lived

    Row = tuple[Deed, ...]

SHRUNK_MAX: Final = 3
"""Lives that a run or a report shrinks by itself."""
SHRUNK_TIME_MAX_MS: Final = 20_000
PLAYS_MAX: Final = 4_000
PARTS_MAX: Final = 10
"""A deed is told by its parts where no more deeds than so many come of it."""
TIME_MAX_MS: Final = 60_000


class Shrunk(NamedTuple):
    """What is left of a life."""

    seed: int
    invariant: str
    found: str
    row: tuple[Deed, ...]
    text: str
    """The row as `--deeds` takes it."""
    story: tuple[Event, ...]
    before: int
    """Deeds of the life until the invariant did not hold."""
    plays: int
    elapsed_ms: int
    stopped_early: bool
    """The bound was reached: fewer deeds might do."""
    faults: frozenset[str] = frozenset()
    """Those that took effect in these deeds: without any other the invariant does not hold either."""


class _OverBound(Exception):
    """As many plays, or as long, as was allowed."""


class Shrinking:
    """Cuts one life down, within so many plays and so much time.

    `clock_ms`: the host's clock, of which `time_max_ms` may pass.
    """

    def __init__(
        self,
        plan: Plan,
        seed: int,
        clock_ms: Callable[[], int],
        *,
        plays_max: int = PLAYS_MAX,
        time_max_ms: int = TIME_MAX_MS,
    ) -> None:
        self._plan, self._seed, self._clock_ms = plan, seed, clock_ms
        self._plays_max, self._until_ms = plays_max, clock_ms() + time_max_ms
        self._began_ms = clock_ms()
        self._rows = Rows(plan, seed)
        self._tried: dict[Row, Row | None] = {}
        """What came of each: the row up to where the same did not hold; None: that held."""
        self._drew: dict[Row, list[dict[str, object]]] = {}
        self._wanted = Wrong("", "")
        self.plays = 0

    def shrink(self, row: Row, invariant: str) -> Shrunk | None:
        """The least of this row in which the invariant does not hold; None where it holds in the whole of it.

        What was found from forks is played from the beginning; where it holds then, all is tried without forks.
        """
        first = self._rows.play(row, Wrong(invariant, ""))
        self.plays += 1
        if first.wrong is None or first.wrong.invariant != invariant:
            return None
        self._wanted = first.wrong
        for kept_max in (FORKS_KEPT, 0):
            self._rows = Rows(self._plan, self._seed, kept_max=kept_max)
            self._tried.clear()
            self._best = first.row
            self._drew[first.row] = first.lives[0].drawn_in
            least, stopped_early = self._least(first.row)
            last = Rows(self._plan, self._seed, kept_max=0).play(least, self._wanted)
            if last.wrong is not None and last.wrong.is_as(self._wanted):
                break
        else:
            least, last, stopped_early = first.row, first, True
        life = last.lives[0]
        life.measuring.finish()
        return Shrunk(
            self._seed,
            self._wanted.invariant,
            self._wanted.found if last.wrong is None else last.wrong.found,
            least,
            row_text(least, planned_row(self._plan, self._seed)),
            life.story,
            len(first.row),
            self.plays,
            self._clock_ms() - self._began_ms,
            stopped_early,
            frozenset(each.name for each in life.measuring.faults),
        )

    def _least(self, row: Row) -> tuple[Row, bool]:
        """The least that was found, and whether the bound was reached."""
        try:
            return self._simplest(self._fewest(self._last_ones(row))), False
        except _OverBound:
            return self._best, True

    def _breaks(self, row: Row) -> Row | None:
        """The row up to where the same does not hold; None where that holds, or something else does not."""
        if row in self._tried:
            return self._tried[row]
        if self.plays >= self._plays_max or self._clock_ms() >= self._until_ms:
            raise _OverBound
        self.plays += 1
        played = self._rows.play(row, self._wanted)
        broken = played.row if played.wrong is not None and played.wrong.is_as(self._wanted) else None
        self._tried[row] = broken
        if broken is not None:
            self._best = self._tried[broken] = broken
            self._drew[broken] = played.lives[0].drawn_in
        return broken

    def _last_ones(self, row: Row) -> Row:
        """As few of the last deeds as do, doubled from one on: what broke it is mostly near its end."""
        count = 1
        while count < len(row):
            broken = self._breaks(row[-count:])
            if broken is not None:
                return broken
            count *= 2
        return row

    def _fewest(self, row: Row) -> Row:
        """Of which no deed can be left out any more."""
        parts = 2
        while len(row) > 1:
            size = -(-len(row) // parts)
            for begin in range(0, len(row), size):
                broken = self._breaks(row[:begin] + row[begin + size :])
                if broken is not None:
                    row, parts = broken, max(2, parts - 1)
                    break
            else:
                if size == 1:
                    break
                parts = min(len(row), 2 * parts)
        return row

    def _simplest(self, row: Row) -> Row:
        """In which no deed can be made simpler any more."""
        at = len(row) - 1
        while at >= 0:
            for other in simpler(row[at], self._drew[row][at]):
                broken = self._breaks(row[:at] + other + row[at + 1 :])
                if broken is None or broken == row:
                    continue
                fewest = self._fewest(broken)
                if len(fewest) <= max(len(row), PARTS_MAX):
                    row = self._best = fewest
                    at = len(row)
                    break
                self._best = row
            at -= 1
        return row


def shrink_first(
    plan: Plan,
    violations: Sequence[Lived],
    clock_ms: Callable[[], int],
    tell: Callable[[Lived], None] = lambda _: None,
) -> dict[int, Shrunk]:
    """The first lives that broke an invariant, shrunk, by seed: of each invariant one before others have two.

    `tell` is called before each. None where lives are no rows of deeds. To be called where this code played them.
    """
    if not KINDS[plan.life].of_deeds:
        return {}
    earliest = {lived.invariant: lived for lived in reversed(violations)}.values()
    chosen = {lived.seed: lived for lived in (*sorted(earliest), *violations)}
    shrunk = {}
    for lived in islice(chosen.values(), SHRUNK_MAX):
        tell(lived)
        row = played_life(plan, lived.seed, read_branch(lived.branch) if lived.branch else ()).row
        shrinking = Shrinking(plan, lived.seed, clock_ms, time_max_ms=SHRUNK_TIME_MAX_MS)
        if (least := shrinking.shrink(row, lived.invariant or "")) is not None:
            shrunk[lived.seed] = least
    return shrunk
