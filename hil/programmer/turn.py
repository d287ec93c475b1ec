"""Whose turn it is with a programmer: one thread at a time, of the process that opened it.

A session answers one request at a time, and a command id is one command's. Two threads that ask at once would take
each other's answers and ids; a fork would go on with counters that its parent uses too.
"""

from __future__ import annotations

import functools
import os
import threading
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, Self, TypeVar

from hil.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable


class Turn:
    """A lock that its thread may take again; a thread that comes meanwhile waits. UsageError in a fork."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._process = os.getpid()

    def __enter__(self) -> Self:
        if os.getpid() != self._process:
            raise UsageError(
                f"this programmer belongs to process {self._process}, of which this one is a fork",
                advice="nothing was sent; let the fork connect anew, once its parent has closed",
            )
        self._lock.acquire()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._lock.release()


class HasTurn(Protocol):
    """What is used by one thread at a time."""

    @property
    def turn(self) -> Turn:
        """Whose turn it is."""


P = ParamSpec("P")
R = TypeVar("R")
Owner = TypeVar("Owner", bound=HasTurn)


def in_turn(method: Callable[Concatenate[Owner, P], R]) -> Callable[Concatenate[Owner, P], R]:
    """The method, for one thread at a time."""

    @functools.wraps(method)
    def wrapped(owner: Owner, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with owner.turn:
            return method(owner, *args, **kwargs)

    return wrapped
