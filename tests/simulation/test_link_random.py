"""Many stories, each from its seed, with several faults at once; a failing one tells itself, and its seed."""

from __future__ import annotations

import pytest

from tests.simulation.link_random import Mix, Story
from tests.simulation.scenario import simulated_profile

SEEDS_A_TEST = 20


def _play_all(first: int, mix: Mix, *, secured: bool = True) -> None:
    for seed in range(first, first + SEEDS_A_TEST):
        story = Story(seed, mix, profile=simulated_profile(secured=secured))
        try:
            story.play()
        except Exception as error:
            raise AssertionError(f"{error}\n{story.text()}") from error


@pytest.mark.parametrize("first", range(0, 160, SEEDS_A_TEST))
def test_whatever_happens_to_line_power_and_programmer_everybody_knows_the_truth(first: int) -> None:
    _play_all(first, Mix())


@pytest.mark.parametrize("first", range(1_000, 1_080, SEEDS_A_TEST))
def test_boluses_over_a_bad_line_are_given_once_or_not_at_all(first: int) -> None:
    _play_all(first, Mix(power_cuts=False, second_person=False, boluses_only=True))


@pytest.mark.parametrize("first", range(2_000, 2_040, SEEDS_A_TEST))
def test_the_open_profile_keeps_the_same_promises_on_a_line_without_an_enemy(first: int) -> None:
    _play_all(first, Mix(), secured=False)
