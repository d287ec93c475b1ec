"""Rows of deeds of one life, each played from where it last was as in one that was played before."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.campaign.playing import life_of, wrong_of
from hil.campaign.twins import hold_the_same

if TYPE_CHECKING:
    from hil.campaign.deed import Deed
    from hil.campaign.life import Life
    from hil.campaign.plan import Plan
    from hil.campaign.playing import Wrong

FORKS_KEPT: Final = 200
"""Beginnings of rows that are kept; those that were not used for long go first."""


class RowPlayed(NamedTuple):
    """What came of a row."""

    row: tuple[Deed, ...]
    """Up to the deed after which it did not hold; all of it where everything held."""
    wrong: Wrong | None
    lives: tuple[Life, ...]
    """As they were then: the life, and its twin where it has one."""


class Rows:
    """Plays rows of one life, each from where it last was as in one that was played before."""

    def __init__(self, plan: Plan, seed: int, *, kept_max: int = FORKS_KEPT) -> None:
        """`kept_max`: of how many beginnings a fork is kept; 0: each row is played from the beginning."""
        self._plan, self._seed, self._kept_max = plan, seed, kept_max
        self._twins = (False, True) if plan.has_twin(seed) else (False,)
        self._kept: OrderedDict[tuple[Deed, ...], tuple[Life, ...]] = OrderedDict()
        self.deeds = 0
        """How many were played in all."""

    def play(self, row: tuple[Deed, ...], wanted: Wrong | None = None) -> RowPlayed:
        """Play it until something does not hold. A comparison of twins that is not `wanted` is passed over."""
        begun, lives = self._beginning(row)
        for index in range(begun, len(row)):
            try:
                self._do(row[index], lives, wanted)
            except Exception as error:  # noqa: BLE001 - whatever the pump raises is what is looked for
                return RowPlayed(row[: index + 1], wrong_of(error), lives)
            self._keep(row[: index + 1], lives)
        return RowPlayed(row, None, lives)

    def _do(self, deed: Deed, lives: tuple[Life, ...], wanted: Wrong | None) -> None:
        self.deeds += 1
        for life in lives:
            life.do(deed)
        if len(lives) > 1:
            try:
                hold_the_same(*lives)
            except AssertionError as error:
                if wanted is None or wrong_of(error).is_as(wanted):
                    raise

    def _beginning(self, row: tuple[Deed, ...]) -> tuple[int, tuple[Life, ...]]:
        for length in range(len(row), 0, -1):
            kept = self._kept.get(row[:length])
            if kept is not None:
                self._kept.move_to_end(row[:length])
                return length, tuple(life.fork() for life in kept)
        return 0, tuple(life_of(self._plan, self._seed, other_truth=other) for other in self._twins)

    def _keep(self, row: tuple[Deed, ...], lives: tuple[Life, ...]) -> None:
        if not self._kept_max:
            return
        self._kept[row] = tuple(life.fork() for life in lives)
        if len(self._kept) > self._kept_max:
            self._kept.popitem(last=False)
