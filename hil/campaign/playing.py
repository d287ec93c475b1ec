"""One life of a plan: played from its seed, and what is kept of it."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.campaign.cohort import CohortLife
from hil.campaign.exploring import NOTHING_EXPLORED, Exploring, branch_text, row_of
from hil.campaign.life import Life
from hil.campaign.plan import POLICIES
from hil.campaign.properties import Broken
from hil.campaign.twins import hold_the_same

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.campaign.deed import Deed, Event
    from hil.campaign.exploring import Branch, Explored
    from hil.campaign.measuring import FaultLived
    from hil.campaign.plan import Plan

    AnyLife = Life | CohortLife
    Made = tuple[AnyLife, Callable[[Exploring, Branch], object]]
    """A life at its beginning, and what lives it, gone on from where it is rare, or as the fork of a branch."""

RAISED: Final = "LIFE"
"""Stands for an invariant where the pump, or the life itself, raised something that nobody expects."""
FOUND_CHARACTERS_MAX: Final = 4_000


class Wrong(NamedTuple):
    """What does not hold: of two lives it is the same where these two are."""

    invariant: str
    found: str
    place: str = ""
    """Of an error that the pump or the life raised: its kind and where; else empty."""

    def is_as(self, other: Wrong) -> bool:
        """Whether the same does not hold, whatever the numbers are."""
        return (self.invariant, self.place) == (other.invariant, other.place)


class Lived(NamedTuple):
    """What is kept of one life; the same for the same seed and plan."""

    seed: int
    pump_ms: int
    """Time of the pump that was played, also that of a twin."""
    marks: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    """Of fault and procedure, that the fault took effect in."""
    invariant: str | None = None
    """Name of the one that did not hold; None: all held."""
    found: str = ""
    """What was found instead, in words."""
    measured: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """What the life yielded in numbers, not that of a twin: names with their units, sorted, and the values."""
    faults: tuple[FaultLived, ...] = ()
    """Those that took effect, not in a twin; of a fork where the invariant did not hold in one."""
    story: tuple[Event, ...] = ()
    """All that was done in it, where an invariant did not hold; else nothing."""
    branch: str = ""
    """Of the fork in which the invariant did not hold; empty: it was the life itself, or all held."""
    deeds: int = 0
    """How many, also those of a twin; without those of forks."""
    cells: tuple[str, ...] = ()
    """Where its pump was (`cells`), without forks."""
    explored: Explored = NOTHING_EXPLORED
    """What came of its forks. `pump_ms` has their time too; marks, pairs, numbers and faults are the life's alone."""


class Played(NamedTuple):
    """A life, and all that was done in it."""

    lived: Lived
    story: tuple[Event, ...]
    row: tuple[Deed, ...] = ()
    """The deeds of it; none of a life that is no row of deeds."""


def played_life(plan: Plan, seed: int, branch: Branch = (), *, forks: int = 0) -> Played:
    """Play one life, with a twin where it is its turn. Raises nothing: what goes wrong is what is looked for.

    `branch`: of a fork of it, which is played from its beginning. `forks`: how often to go on from rare states of it;
    a life with a twin is not gone on from.
    """
    twins = not branch and plan.has_twin(seed)
    exploring = Exploring(0 if twins else forks)
    lives: list[AnyLife] = []
    marks: set[str] = set()
    wrong: Wrong | None = None
    try:
        for other_truth in (False, True)[: 1 + twins]:
            life, live = MADE_BY[plan.life](
                plan, seed, twins=twins, other_truth=other_truth, sometimes=lambda mark, _: marks.add(mark)
            )
            lives.append(life)
            live(exploring, branch)
        if twins:
            hold_the_same(*lives)
        exploring.go_on(marks)
    except Exception as error:  # noqa: BLE001 - whatever the pump raises is what is looked for
        wrong = wrong_of(error)
    broken_fork = exploring.fork if wrong is not None else None
    story = tuple((broken_fork or lives[-1]).story) if lives else ()
    faults = (broken_fork or lives[0]).measuring.faults if lives else ()
    for each in (*lives[:1], *((broken_fork,) if broken_fork else ())):
        each.measuring.finish()
    lived = Lived(
        seed,
        sum(each.talk.now_ms for each in lives) + exploring.pump_ms,
        tuple(sorted(exploring.marks_before if exploring.played else marks)),
        tuple(sorted({pair for each in lives for pair in each.pairs})),
        None if wrong is None else wrong.invariant,
        "" if wrong is None else wrong.found[:FOUND_CHARACTERS_MAX],
        tuple((name, tuple(values)) for name, values in sorted(lives[0].measured.items())) if lives else (),
        tuple(faults),
        () if wrong is None else story,
        "" if wrong is None else branch_text(branch or exploring.branch),
        sum(len(each.done) for each in lives),
        tuple(sorted(exploring.cells_before if exploring.played else exploring.cells)),
        exploring.explored(marks),
    )
    return Played(lived, story, tuple((broken_fork or lives[-1]).done) if lives else ())


def life_of(
    plan: Plan,
    seed: int,
    *,
    other_truth: bool = False,
    sometimes: Callable[[str, object], None] = lambda _mark, _happened: None,
) -> Life:
    """A life of a plan by chance, at its beginning."""
    return Life(
        seed,
        other_truth=other_truth,
        empty_policy=None if plan.empty_policy is None else POLICIES[plan.empty_policy],
        play=plan.play(),
        sometimes=sometimes,
    )


def _random_life(
    plan: Plan, seed: int, *, twins: bool, other_truth: bool, sometimes: Callable[[str, object], None]
) -> Made:
    life = life_of(plan, seed, other_truth=other_truth, sometimes=sometimes)

    def live(exploring: Exploring, branch: Branch) -> None:
        row = life.row(plan.deeds, () if twins else plan.pairs_of(seed), plan.quiet_stretches)
        exploring.live(life, row_of(life, row, branch) if branch else row)

    return life, live


def _cohort_life(plan: Plan, seed: int, **_: object) -> Made:
    life = CohortLife(seed, plan.clinic(), plan.play())
    return life, lambda _exploring, _branch: life.live()


MADE_BY: Final[dict[str, Callable[..., Made]]] = {
    "random": _random_life,
    "cohort": _cohort_life,
}
"""Who makes a life of each kind that a plan can name."""


def lived_by(plan: Plan, seed: int) -> Lived:
    """What a worker sends back: the life without its story, and what came of the forks that the plan asks for."""
    return played_life(plan, seed, forks=plan.explore).lived


def wrong_of(error: Exception) -> Wrong:
    """What does not hold where a life raised this."""
    if isinstance(error, Broken):
        return Wrong(error.invariant, str(error).partition(": ")[2])
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(frame.filename).name}, line {frame.lineno}"
    kind = type(error).__name__
    return Wrong(RAISED, f"{kind}: {error} ({place})", f"{kind}, {place}")
