"""Jobs that other threads leave for the runner, which does them between two steps of the pump.

The pump and everything around it belong to the runner's thread. Another thread leaves a job and holds a
future; a byte on a pipe wakes the selector.
"""

from __future__ import annotations

import contextlib
import os
import selectors
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from firmware_emu.bench.errors import BenchLostError, ClosingError, NotNowError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

WAITING_MAX = 256  # no client has so many requests under way; beyond it something runs wild

Owner = TypeVar("Owner")


class CommandQueue(Generic[Owner]):
    """Jobs for its owner, the runner. `leave` and `wake` may be called from any thread and from a signal handler."""

    def __init__(self) -> None:
        self._jobs: deque[tuple[Callable[[Owner, Future[Any]], None], Future[Any]]] = deque()
        self._read_end, self.wake_descriptor = os.pipe()
        """A byte written to `wake_descriptor` lets the selector return: for `signal.set_wakeup_fd`."""
        os.set_blocking(self._read_end, False)
        os.set_blocking(self.wake_descriptor, False)
        self._closed = False

    def leave(self, job: Callable[[Owner, Future[Any]], None]) -> Future[Any]:
        """Leave a job that sets the future, now or later; it has NotNowError where nobody will do the job."""
        from concurrent.futures import Future  # noqa: PLC0415 - 6 ms that a start without rig control should not pay

        future: Future[Any] = Future()
        if self._closed or len(self._jobs) >= WAITING_MAX:
            future.set_exception(
                ClosingError("the bench is closing") if self._closed else NotNowError("the bench is too busy")
            )
        else:
            self._jobs.append((job, future))
            self.wake()
        return future

    def wake(self) -> None:
        """Let the selector return."""
        with contextlib.suppress(BlockingIOError):  # full: it will wake anyway
            os.write(self.wake_descriptor, b"!")

    def attach(self, selector: selectors.BaseSelector) -> None:
        """Register with the loop that will call."""
        selector.register(self._read_end, selectors.EVENT_READ, self._empty_pipe)

    def run(self, owner: Owner) -> None:
        """Do what was left, in order. What a job raises goes to who left it; what ends the bench, into the loop too."""
        while self._jobs:
            job, future = self._jobs.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                job(owner, future)
            except BenchLostError as error:
                future.set_exception(error)
                raise
            except Exception as error:  # noqa: BLE001 - handed on whole
                future.set_exception(error)

    def close(self) -> None:
        """Refuse what is left and what will come."""
        self._closed = True
        while self._jobs:
            _job, future = self._jobs.popleft()
            if future.set_running_or_notify_cancel():
                future.set_exception(ClosingError("the bench is closing"))

    def _empty_pipe(self, _events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._read_end, 4_096)
