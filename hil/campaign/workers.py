"""Who plays the lives of a campaign: what it asks of an executor, and the processes of this machine.

Workers are handed batches of seeds and send back what is kept of each life; how they share the work among themselves
is the business of `concurrent.futures`, or of Dask (`dask_workers.py`).
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any, Final, Protocol

from hil.campaign.playing import lived_by

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from hil.campaign.plan import Plan
    from hil.campaign.playing import Lived


class Workers(Protocol):
    """An executor as of `concurrent.futures`, which also says how many workers it has."""

    @property
    def batch_ms(self) -> int:
        """How long a worker should play what it is handed at once: long against what handing out costs."""

    def count(self) -> int:
        """How many lives are played at the same time, now. BenchLost where nobody has been there for too long."""

    def submit(self, call: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Have it called by one of them. BrokenExecutor, here or by the future, where new workers may do it."""

    def shutdown(self, *, cancel_futures: bool) -> None:
        """Give up what was not begun, and let the workers go."""


class Processes(ProcessPoolExecutor):
    """So many processes of this machine, begun anew: a fork would have the file of the lives open too."""

    batch_ms: Final = 200
    """Handing out takes less than 1 ms, and at the end nobody waits long for the others."""

    def __init__(self, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        super().__init__(count, mp_context=context, initializer=_begin_worker)
        self._count = count

    def count(self) -> int:
        """As many as were asked for."""
        return self._count


def batch_by(plan: Plan, seeds: Sequence[int]) -> list[Lived]:
    """Play these lives one after another: what a worker does."""
    return [lived_by(plan, seed) for seed in seeds]


def _begin_worker() -> None:
    """In a worker: Ctrl-C is the parent's business, and where that was killed the worker ends too."""
    gc.freeze()
    gc.set_threshold(200_000, 50, 100)  # pumps hold no cycles worth looking for more often: 3 % of a life
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
