"""Whatever goes wrong with motor, fluid and surroundings: nothing is made or lost, and no cut of a row matters."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_emu.plant.plant import Plant
from firmware_emu.profile import PumpModel
from tests.support.soak import rounds_of
from tests.unit.plant.hydraulic_stories import CAUSES, FILL_DEPENDENT, MIXING, SMALL, Act, Player, acts
from tests.unit.plant.test_reservoir import assert_conserved

MODELS = st.sampled_from([SMALL, FILL_DEPENDENT, MIXING])


# FI 05, 07, 08, 09, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 28
@settings(max_examples=rounds_of("stories of faults", 150, 60))
@given(model=MODELS, story=acts())
def test_fluid_and_drug_are_conserved_to_the_last_unit_under_any_faults(
    model: PumpModel, story: list[Act]
) -> None:
    for truth in Player(model).play(story):
        assert_conserved(truth)


@settings(max_examples=rounds_of("stories of faults", 150, 60))
@given(model=MODELS, story=acts())
def test_any_story_of_faults_is_the_same_in_any_steps(model: PumpModel, story: list[Act]) -> None:
    whole, stepped = Player(model), Player(model, in_steps=True)
    assert list(whole.play(story)) == list(stepped.play(story))
    assert stepped.edges == whole.edges
    assert stepped.plant.to_json() == whole.plant.to_json()


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: f"{cause.name} {cause.parameters}")
def test_a_fault_on_file_has_the_same_future(cause: object) -> None:
    before: list[Act] = [("run", 40), ("inject", cause), ("run", 15)]
    after: list[Act] = [
        ("fill", (60_000, 900_000)),
        ("run", 60),
        ("stand", 200_000_000),
        ("run", 9),
        ("clear", cause),
    ]
    whole, other = Player(SMALL), Player(SMALL)
    for player in (whole, other):
        list(player.play(before))
    other.plant = Plant.restored(SMALL, json.loads(json.dumps(other.plant.to_json())))
    assert list(other.play(after)) == list(whole.play(after))
    assert other.plant.to_json() == whole.plant.to_json()
