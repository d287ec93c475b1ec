"""The run of a campaign: lives in the order of their seeds, on some processes, until the budget of the plan is spent.

What counts is the row of seeds from the first on, without a gap, up to where the budget is spent: so the result of a
plan in pump-days is the same on one worker or many, at once or after any number of resumptions.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final

from firmware_emu.units import MS_PER_DAY, MS_PER_MINUTE
from hil.campaign.exploring import SameBudget
from hil.campaign.harm import Harm
from hil.campaign.plan import LAST_SEED
from hil.campaign.playing import lived_by
from hil.campaign.published import Cohort
from hil.campaign.workers import Processes, batch_by
from hil.errors import BenchLost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from hil.campaign.lives_file import LivesFile
    from hil.campaign.plan import Plan
    from hil.campaign.playing import Lived
    from hil.campaign.workers import Workers

MS_PER_YEAR: Final = 365 * MS_PER_DAY
AHEAD: Final = 2
"""Batches of lives that are handed out for each worker, so that none waits for another."""
BATCH_LIVES_MAX: Final = 1_000
LOOK_S: Final = 1.0
"""Without a batch that ends, how often it is looked whether anybody still plays."""


@dataclass
class Result:
    """What came of a campaign so far: lives without a gap from the first seed on."""

    lives: int = 0
    pump_ms: int = 0
    marks: Counter[str] = field(default_factory=Counter)
    """In how many lives each was reached."""
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    """In how many lives each fault took effect in each procedure."""
    violations: list[Lived] = field(default_factory=list)
    cells: set[str] = field(default_factory=set)
    """All that were reached, in forks too."""
    forks: int = 0
    """Of lives, from rare states."""
    fork_deeds: int = 0
    fork_ms: int = 0
    """Time of pumps that was played in them."""
    fork_marks: Counter[str] = field(default_factory=Counter)
    """In how many lives each was reached by forks and not by the life itself."""
    fork_cells: Counter[str] = field(default_factory=Counter)
    """Likewise."""
    same_pump_days: SameBudget = field(default_factory=SameBudget)
    """What lives reached by themselves and with their forks, for the same time of pumps."""
    same_deeds: SameBudget = field(default_factory=SameBudget)
    """The same for as many deeds."""
    harm: Harm = field(default_factory=Harm)
    cohort: Cohort = field(default_factory=Cohort)

    @property
    def pump_days(self) -> int:
        """Days of pumps that were played, rounded down."""
        return self.pump_ms // MS_PER_DAY

    def add(self, lived: Lived) -> None:
        """The next life."""
        self.lives += 1
        self.pump_ms += lived.pump_ms
        self.marks.update(lived.marks + lived.explored.marks)
        self.pairs.update(lived.pairs)
        self.harm.add(lived)
        self.cohort.add(lived)
        self.cells.update(lived.cells, lived.explored.cells)
        forks, deeds, forks_ms, marks, cells = lived.explored
        self.forks += forks
        self.fork_marks.update(marks)
        self.fork_cells.update(cells)
        self.fork_deeds += deeds
        self.fork_ms += forks_ms
        self.same_pump_days.add(lived, lived.pump_ms - forks_ms, forks_ms)
        self.same_deeds.add(lived, lived.deeds, deeds)
        if lived.invariant is not None:
            self.violations.append(lived)


def pump_years_per_s(pump_ms: int, elapsed_ms: int) -> float:
    """How fast was played, in years of pumps for each second; `elapsed_ms` is of the host."""
    return round(pump_ms / MS_PER_YEAR * 1_000 / max(elapsed_ms, 1), 3)


class Campaign:
    """A run of a campaign, begun anew or resumed; `clock_ms` is the host's clock."""

    def __init__(self, plan: Plan, file: LivesFile, clock_ms: Callable[[], int]) -> None:
        self._plan, self._file, self._clock_ms = plan, file, clock_ms
        self.result = Result()
        self._waiting: dict[int, Lived] = {}
        """Lives that are played, with one before them that is not yet."""
        self._next = plan.first_seed
        for lived in file.lives():
            self._waiting[lived.seed] = lived
        self._played = {*self._waiting}
        self._resumed_lives = len(self._played)
        self._before_ms, self._began_ms = file.origin().elapsed_ms, clock_ms()
        self.resumed_pump_ms = 0
        """What was there before this run."""
        self._count()
        self.resumed_pump_ms = self.result.pump_ms

    def elapsed_ms(self) -> int:
        """How long has been played, over all runs."""
        return self._before_ms + self._clock_ms() - self._began_ms

    def spent(self) -> bool:
        """Whether the budget is spent; at least one life is always played."""
        if not self.result.lives:
            return False
        if self._plan.pump_days is not None:
            return self.result.pump_ms >= self._plan.pump_days * MS_PER_DAY
        return self.elapsed_ms() >= (self._plan.minutes or 0) * MS_PER_MINUTE or self._next > LAST_SEED

    def run(self, workers: int, tell: Callable[[], None]) -> Result:
        """Play in so many processes until the budget is spent, here where it is one, and call `tell` after each life.

        BenchLost where workers die again and again, or seeds run out.
        """
        if workers == 1:
            for seed in self._due():
                self._keep(lived_by(self._plan, seed))
                tell()
            return self._whole()
        return self.run_on(lambda: Processes(workers), tell)

    def run_on(self, workers_of: Callable[[], Workers], tell: Callable[[], None]) -> Result:
        """The same by workers, which are made anew when they are lost."""
        while not self.spent():
            known = len(self._played)
            try:
                self._play_on(workers_of(), tell)
                break
            except BrokenExecutor as error:
                if len(self._played) == known:
                    raise BenchLost(
                        "the workers of the campaign were lost or killed, and none has played a life since",
                        advice="is there memory enough? try fewer of them, then --resume",
                    ) from error
        return self._whole()

    def _whole(self) -> Result:
        if self.spent():
            return self.result
        raise BenchLost(
            f"seed {LAST_SEED} was played and the budget is not spent", advice="begin with another first_seed"
        )

    def _due(self) -> Iterator[int]:
        """The seeds that are not played yet, in their order, until the budget is spent."""
        for seed in range(self._plan.first_seed, LAST_SEED + 1):
            if self.spent():
                return
            if seed not in self._played:
                yield seed

    def _play_on(self, workers: Workers, tell: Callable[[], None]) -> None:
        try:
            due = self._due()
            playing: set[Future[list[Lived]]] = set()
            while True:
                count = workers.count()
                while len(playing) < AHEAD * count and (
                    seeds := [*islice(due, self._batch_lives(count, workers.batch_ms))]
                ):
                    playing.add(workers.submit(batch_by, self._plan, seeds))
                if not playing or (self._plan.pump_days is not None and self.spent()):
                    return  # of a budget in minutes each life that was begun counts, and what it found
                done, playing = wait(playing, LOOK_S, FIRST_COMPLETED)
                for future in done:
                    for lived in future.result():
                        self._keep(lived)
                        tell()
        finally:
            workers.shutdown(cancel_futures=True)

    def _batch_lives(self, workers: int, batch_ms: int) -> int:
        """How many lives are handed out at once: by how long those of this run took, and how much is left to play.

        Never more than were played in this run: the first few say little about either.
        """
        lives = len(self._played) - self._resumed_lives
        if not lives or not self.result.lives:
            return 1
        took_ms = (self._clock_ms() - self._began_ms) * workers
        batch = min(batch_ms * lives // max(took_ms, 1) + 1, lives, BATCH_LIVES_MAX)
        if self._plan.pump_days is None:
            return batch
        left_ms = self._plan.pump_days * MS_PER_DAY - self.result.pump_ms
        left = left_ms * self.result.lives // max(self.result.pump_ms, 1)
        return max(1, min(batch, left // (AHEAD * workers)))

    def _keep(self, lived: Lived) -> None:
        self._file.add(lived, self.elapsed_ms())
        self._played.add(lived.seed)
        self._waiting[lived.seed] = lived
        self._count()

    def _count(self) -> None:
        """Count what is without a gap; of a budget in days nothing beyond it."""
        while self._next in self._waiting and not (self._plan.pump_days is not None and self.spent()):
            self.result.add(self._waiting.pop(self._next))
            self._next += 1
