"""Tests with very many cases play a part of them in the ordinary check, and every case under `make soak`.

The part is the same in every run and on every machine, spread over all cases; the end of a run says how many there
were.
"""

from __future__ import annotations

import os
from collections import defaultdict
from random import Random
from typing import TYPE_CHECKING, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

Case = TypeVar("Case")
PLAYS_ALL = os.environ.get("PUMPBENCH_SOAK") == "1"

PLAYED: dict[str, tuple[int, int]] = {}
"""Of each test that asked in this process: how many cases it played, and how many there are."""


def part_of(what: str, cases: Iterable[Case], one_in: int) -> list[Case]:
    """The cases to play of those of `what`: one in so many, the first and the last; all of them in a long run."""
    every = list(cases)
    if PLAYS_ALL or one_in == 1 or not every:
        return every
    chosen = sorted({0, len(every) - 1, *Random(what).sample(range(len(every)), len(every) // one_in)})
    PLAYED[what] = (len(chosen), len(every))
    return [every[index] for index in chosen]


def rounds_of(what: str, every: int, ordinary: int) -> int:
    """How many rounds to play of a loop that has no cases; all of them in a long run."""
    if PLAYS_ALL:
        return every
    PLAYED[what] = (ordinary, every)
    return ordinary


def stride_of(what: str, ordinary: int) -> int:
    """Of a loop that finds out while it runs how many cases it has: play one in so many; 1 in a long run."""
    if PLAYS_ALL:
        return 1
    PLAYED[what] = (1, ordinary)
    return ordinary


def left_out(items: list[pytest.Item]) -> list[pytest.Item]:
    """Of what was collected, the cases that are not played of tests marked `one_in(N)`; none in a long run."""
    cases = defaultdict(list)
    for item in items:
        mark = item.get_closest_marker("one_in")
        if mark is not None:
            cases[item.nodeid.partition("[")[0], mark.args[0]].append(item)
    left = []
    for (name, one_in), of_one_test in cases.items():
        played = part_of(name, of_one_test, one_in)
        left += [item for item in of_one_test if item not in played]
    return left


def told(played: dict[str, tuple[int, int]]) -> str:
    """One line about the tests that played a part; empty where there were none."""
    if not played:
        return ""
    some, every = (sum(counts) for counts in zip(*played.values(), strict=True))
    return f"{some:,} of {every:,} cases and rounds of {len(played)} long loops were played; `make soak` plays all"
