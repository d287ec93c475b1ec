"""Which item of one sequence is which of another, so that an item too many is one insertion and no more.

The shortest edit script (Myers 1986), in steps of a bounded number of edits: two sequences that have nothing in common
cost time in proportion to their length, and are then aligned less well than could be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

Pair = tuple[int | None, int | None]
"""Places of an item in both sequences; None where one has none."""
EDITS_MAX: Final = 128
"""Edits that are tried in one step: its cost goes with their square."""
Reached = list[dict[int, int]]
"""For each number of edits: by diagonal, how far in the first sequence one comes."""


def aligned(one: Sequence[Hashable], other: Sequence[Hashable]) -> Iterator[Pair]:
    """Each item of both once, in order: pairs of equal items, and what only one of them has."""
    numbers: dict[Hashable, int] = {}
    first = [numbers.setdefault(item, len(numbers)) for item in one]
    second = [numbers.setdefault(item, len(numbers)) for item in other]
    at, to = 0, 0
    while at < len(first) or to < len(second):
        for pair in _step(first, second, at, to):
            yield pair
            at += pair[0] is not None
            to += pair[1] is not None


def aligned_in_gaps(
    pairs: Iterator[Pair], one: Sequence[Hashable], other: Sequence[Hashable]
) -> Iterator[Pair]:
    """The same pairs, but what stands alone between two of them is aligned once more by these, coarser items."""
    lone_one: list[int] = []
    lone_other: list[int] = []
    for at, to in pairs:
        if at is not None and to is not None:
            yield from _gap(lone_one, lone_other, one, other)
            lone_one, lone_other = [], []
            yield at, to
        elif at is not None:
            lone_one.append(at)
        elif to is not None:
            lone_other.append(to)
    yield from _gap(lone_one, lone_other, one, other)


def _gap(
    lone_one: list[int], lone_other: list[int], one: Sequence[Hashable], other: Sequence[Hashable]
) -> Iterator[Pair]:
    if not lone_one or not lone_other:
        yield from ((at, None) for at in lone_one)
        yield from ((None, to) for to in lone_other)
        return
    for at, to in aligned([one[place] for place in lone_one], [other[place] for place in lone_other]):
        yield None if at is None else lone_one[at], None if to is None else lone_other[to]


def _step(first: Sequence[int], second: Sequence[int], at: int, to: int) -> list[Pair]:
    """The pairs from here to the end, or to where most is behind us after EDITS_MAX edits."""
    left, right = len(first) - at, len(second) - to
    furthest: dict[int, int] = {1: 0}
    reached: Reached = []
    for edits in range(EDITS_MAX + 1):
        now: dict[int, int] = {}
        for diagonal in range(-edits, edits + 1, 2):
            down = furthest.get(diagonal + 1, -1)
            along = furthest.get(diagonal - 1, -2) + 1
            x = max(down, along)
            y = x - diagonal
            if x < 0 or y < 0 or x > left or y > right:
                continue
            while x < left and y < right and first[at + x] == second[to + y]:
                x, y = x + 1, y + 1
            now[diagonal] = x
            if x == left and y == right:
                return _traced([*reached, now], diagonal, at, to)
        reached.append(now)
        furthest = now
    best = max(furthest, key=lambda diagonal: 2 * furthest[diagonal] - diagonal)
    return _traced(reached, best, at, to)


def _traced(reached: Reached, diagonal: int, at: int, to: int) -> list[Pair]:
    """The way back from the last place that was reached, as pairs from the front."""
    pairs: list[Pair] = []
    x = reached[-1][diagonal]
    for edits in range(len(reached) - 1, 0, -1):
        before = reached[edits - 1]
        down, along = before.get(diagonal + 1, -1), before.get(diagonal - 1, -2) + 1
        start = max(down, along)
        pairs.extend((at + i - 1, to + i - 1 - diagonal) for i in range(x, start, -1))
        if down >= along:
            pairs.append((None, to + start - diagonal - 1))
            diagonal, x = diagonal + 1, down
        else:
            pairs.append((at + along - 1, None))
            diagonal, x = diagonal - 1, along - 1
    pairs.extend((at + i - 1, to + i - 1 - diagonal) for i in range(x, 0, -1))
    pairs.reverse()
    return pairs
