"""A moment as one value, and the moments between two."""

from __future__ import annotations

import pytest

from firmware_emu.now import Now


def test_a_moment_may_be_the_same_for_both() -> None:
    assert Now.both(5) == Now(5, 5)
    assert Now.both(5).is_same
    assert not Now(5, 4).is_same


def test_time_that_passes_for_both_keeps_them_apart() -> None:
    assert Now(500, 20).later(30) == Now(530, 50)


@pytest.mark.parametrize(
    ("before", "after", "pump_ms", "line_ms"),
    [
        (Now(0, 0), Now(10, 10), 7, 7),
        (Now(1_000, 5), Now(1_010, 15), 1_003, 8),
        (Now(0, 0), Now(3_600, 1), 3_599, 0),
        (Now(0, 0), Now(3_600, 100), 1_800, 50),
        (Now(10, 3), Now(10, 9), 10, 9),
    ],
)
def test_between_two_moments_the_line_passes_in_proportion(
    before: Now, after: Now, pump_ms: int, line_ms: int
) -> None:
    assert before.on_the_way_to(after, pump_ms) == Now(pump_ms, line_ms)
