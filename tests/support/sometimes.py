"""Marks of what a simulation has reached: a test that never comes where it means to go shows nothing.

The story says `sometimes("a session taken over")` where that happens; the test over its seeds says
`@reaches("a session taken over")`, and fails if not one of them got there. Both are one test in one process, so that
the verdict is the same on one worker or many, and with any selection of tests.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_watching: list[set[str]] = []


def sometimes(mark: str, happened: object = True) -> None:
    """Note that a story has reached this, if it did. Outside of a test that asks, nobody minds."""
    if happened:
        for reached in _watching:
            reached.add(mark)


def reaches(*marks: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a test fail that passed without having reached each of these at least once."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def watched(*args: Any, **kwargs: Any) -> None:
            reached: set[str] = set()
            _watching.append(reached)
            try:
                test(*args, **kwargs)
            finally:
                # the innermost; `remove` would take an equal set of another test
                _watching.pop()
            missed = [mark for mark in marks if mark not in reached]
            assert not missed, f"{test.__name__} never reached: {'; '.join(missed)}"

        return watched

    return decorate
