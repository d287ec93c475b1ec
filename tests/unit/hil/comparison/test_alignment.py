"""Alignment: which item of one sequence is which of another, with as few left alone as can be."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from hil.comparison.alignment import EDITS_MAX, aligned, aligned_in_gaps


def alone(one: list[int], other: list[int]) -> int:
    """How many items are alone; that each is there once, in order, and pairs are equal, is checked."""
    pairs = list(aligned(one, other))
    assert [at for at, _ in pairs if at is not None] == list(range(len(one)))
    assert [to for _, to in pairs if to is not None] == list(range(len(other)))
    assert all(one[at] == other[to] for at, to in pairs if at is not None and to is not None)
    return sum(at is None or to is None for at, to in pairs)


def fewest_alone(one: list[int], other: list[int]) -> int:
    """By the longest common subsequence, from its definition."""
    longest = [0] * (len(other) + 1)
    for item in one:
        before = list(longest)
        for place, its in enumerate(other):
            longest[place + 1] = before[place] + 1 if item == its else max(before[place + 1], longest[place])
    return len(one) + len(other) - 2 * longest[-1]


def test_as_few_items_as_can_be_are_alone() -> None:
    chance = Random(20)
    for _ in range(300):
        one, other = ([chance.randrange(3) for _ in range(chance.randrange(9))] for _ in range(2))
        assert alone(one, other) == fewest_alone(one, other), (one, other)


@pytest.mark.parametrize("more", [1, 10, EDITS_MAX - 1])
def test_items_too_many_are_insertions_and_not_the_end_of_the_comparison(more: int) -> None:
    one = [number % 50 for number in range(5_000)]
    assert alone(one, [*one[:2_000], *([99] * more), *one[2_000:]]) == more
    assert alone([*one[:2_000], *([99] * more), *one[2_000:]], one) == more


def test_sequences_with_nothing_in_common_are_aligned_in_steps_of_a_bounded_size() -> None:
    """Edits beyond one step: a run of items that the other does not have, longer than is tried at once."""
    one, other = list(range(3 * EDITS_MAX)), list(range(10_000, 10_000 + 4 * EDITS_MAX))
    assert alone(one, other) == len(one) + len(other)
    assert alone([*one, 1, 2, 3], [*other, 1, 2, 3]) <= len(one) + len(other) + 6


def test_what_stands_alone_in_one_gap_is_paired_by_coarser_items() -> None:
    fine = (["a1", "b1", "c1", "d1"], ["a1", "b2", "x9", "c2", "d1"])
    coarse = [[name[0] for name in side] for side in fine]
    pairs = list(aligned_in_gaps(aligned(*fine), *coarse))
    assert pairs == [(0, 0), (1, 1), (None, 2), (2, 3), (3, 4)]
    assert all(each != (None, None) for each in pairs)
    assert all(one[0] != other[0] for one, other in pairwise(pairs) if one[0] is not None)
