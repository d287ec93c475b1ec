"""The run of a campaign: lives in the order of their seeds, on some processes, until the budget of the plan is spent.

What counts is the row of seeds from the first on, without a gap, up to where the budget is spent: so the result of a
plan in pump-days is the same on one worker or many, at once or after any number of resumptions.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import threading
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from firmware_emu.units import MS_PER_DAY, MS_PER_MINUTE
from hil.campaign.harm import Harm
from hil.campaign.plan import LAST_SEED
from hil.campaign.playing import lived_by
from hil.campaign.published import Cohort
from hil.errors import BenchLost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.campaign.lives_file import LivesFile
    from hil.campaign.plan import Plan
    from hil.campaign.playing import Lived

AHEAD: Final = 2
"""Lives that are handed out for each worker, so that none waits for another."""
CODE: Final = ("protocol", "firmware_emu", "hil")
"""What a life depends on."""


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
    harm: Harm = field(default_factory=Harm)
    cohort: Cohort = field(default_factory=Cohort)

    def add(self, lived: Lived) -> None:
        """The next life."""
        self.lives += 1
        self.pump_ms += lived.pump_ms
        self.marks.update(lived.marks)
        self.pairs.update(lived.pairs)
        self.harm.add(lived)
        self.cohort.add(lived)
        if lived.invariant is not None:
            self.violations.append(lived)


def processes(workers: int) -> Executor:
    """So many processes of this machine, begun anew: a fork would have the file of the lives open too."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent)


def _end_with_parent() -> None:
    """In a worker: Ctrl-C is the parent's business, and where that was killed the worker ends too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Campaign:
    """One run, at once or resumed. `clock_ms`: the host's clock; `pool_of`: who plays, where that are several."""

    def __init__(
        self,
        plan: Plan,
        file: LivesFile,
        clock_ms: Callable[[], int],
        pool_of: Callable[[int], Executor] = processes,
    ) -> None:
        self._pool_of = pool_of
        self._plan, self._file, self._clock_ms = plan, file, clock_ms
        self.result = Result()
        self._waiting: dict[int, Lived] = {}
        """Lives that are played, with one before them that is not yet."""
        self._next = plan.first_seed
        for lived in file.lives():
            self._waiting[lived.seed] = lived
        self._played = {*self._waiting}
        self._before_ms, self._began_ms = file.elapsed_ms(), clock_ms()
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
        """Play until the budget is spent, and call `tell` after each life.

        BenchLost where workers die again and again, or seeds run out.
        """
        if workers == 1:
            for seed in self._due():
                self._keep(lived_by(self._plan, seed))
                tell()
            return self._whole()
        while not self.spent():
            known = len(self._played)
            try:
                self._run_on(workers, tell)
                break
            except BrokenExecutor as error:
                if len(self._played) == known:
                    raise BenchLost(
                        "a worker of the campaign was killed, and none has played a life since",
                        advice="is there memory enough? try fewer with --workers, then --resume",
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

    def _run_on(self, workers: int, tell: Callable[[], None]) -> None:
        pool = self._pool_of(workers)
        try:
            due = self._due()
            playing: set[Future[Lived]] = set()
            while True:
                while len(playing) < AHEAD * workers and (seed := next(due, None)) is not None:
                    playing.add(pool.submit(lived_by, self._plan, seed))
                if not playing or (self._plan.pump_days is not None and self.spent()):
                    return  # of a budget in minutes each life that was begun counts, and what it found
                done, playing = wait(playing, return_when=FIRST_COMPLETED)
                for future in done:
                    self._keep(future.result())
                    tell()
        finally:
            pool.shutdown(cancel_futures=True)

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


def code_digest() -> str:
    """SHA-256, in hex, of our Python files: nobody lists well which of them decide how a life goes."""
    digest = hashlib.sha256()
    for package in CODE:
        _hash_files(resources.files(package), digest)
    return digest.hexdigest()


def _hash_files(place: Any, digest: Any) -> None:
    for each in sorted(place.iterdir(), key=lambda found: str(found.name)):
        if each.is_dir():
            _hash_files(each, digest)
        elif each.name.endswith(".py"):
            digest.update(each.name.encode() + b"\0" + each.read_bytes())
