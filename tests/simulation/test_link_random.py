"""Many stories, each from its seed, with several faults at once; a failing one tells itself, and its seed."""

from __future__ import annotations

import pytest

from tests.simulation.link_random import Mix, Story
from tests.simulation.scenario import simulated_profile
from tests.support.for_each import for_each
from tests.support.sometimes import reaches

# A few dozen seconds on a busy machine, and one test: what its seeds reach is known in one place.
pytestmark = pytest.mark.timeout(600)


def _play(seed: int, mix: Mix, *, secured: bool = True) -> None:
    story = Story(seed, mix, profile=simulated_profile(secured=secured))
    try:
        story.play()
    except Exception as error:
        raise AssertionError(f"{error}\n{story.text()}") from error


@reaches(
    "a bolus to its end",
    "a bolus interrupted by a stall",
    "a bolus interrupted by a power cut",
    "a bolus cancelled",
    "a power cut in the middle of a commit",
    "a command that never arrived",
    "a command that was certainly not carried out",
    "a programmer killed with a command under way",
    "a retransmission answered from the cache",
    "a session taken over by somebody else",
    "an outcome unknown until the next connection",
)
@for_each("seed", range(160), one_in=5)
def test_whatever_happens_to_line_power_and_programmer_everybody_knows_the_truth(seed: int) -> None:
    _play(seed, Mix())


@reaches(
    "a bolus to its end",
    "a bolus interrupted by a stall",
    "a programmer killed with a command under way",
    "a retransmission answered from the cache",
)
@for_each("seed", range(1_000, 1_080), one_in=2)
def test_boluses_over_a_bad_line_are_given_once_or_not_at_all(seed: int) -> None:
    _play(seed, Mix(power_cuts=False, second_person=False, boluses_only=True))


@reaches(
    "a bolus to its end",
    "a bolus interrupted by a stall",
    "a programmer killed with a command under way",
    "a retransmission answered from the cache",
)
@for_each("seed", range(2_000, 2_040), one_in=5)
def test_the_open_profile_keeps_the_same_promises_on_a_line_without_an_enemy(seed: int) -> None:
    _play(seed, Mix(), secured=False)
