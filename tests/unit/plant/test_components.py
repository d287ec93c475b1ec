"""Kinds of component: another is one registration, goes on file and is copied, and no image changes its kind."""

from __future__ import annotations

import copy
import json
import pickle
from typing import TYPE_CHECKING

import pytest

from firmware_emu.plant.catheter import Catheter
from firmware_emu.plant.component import Json, StateError, integer
from firmware_emu.plant.components import (
    COMPONENTS,
    DEFAULT_KINDS,
    ComponentRow,
    kinds_of,
    register_component,
)
from firmware_emu.plant.plant import Plant
from firmware_emu.profile import Implant, PumpModel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.plant.conftest import Strokes

NARROW = PumpModel(components=(("catheter", "narrowing"),))


class NarrowingCatheter(Catheter):
    """A catheter with a state of its own beside that of ours."""

    __slots__ = ("fills",)

    def __init__(self, path_nl_ppm: int, concentration_ng_per_ml: int) -> None:
        super().__init__(path_nl_ppm, concentration_ng_per_ml)
        self.fills = 0

    def follow_with(self, position_nl_ppm: int, drug_fg_ppm: int, volume_nl_ppm: int) -> None:
        self.fills += 1
        super().follow_with(position_nl_ppm, drug_fg_ppm, volume_nl_ppm)

    def to_json(self) -> Json:
        return {**super().to_json(), "fills": self.fills}

    def from_json(self, state: Json) -> None:
        super().from_json(state)
        self.fills = integer(state, "fills")


@pytest.fixture
def narrow() -> Iterator[Plant]:
    """A plant with a catheter that is not ours."""
    register_component(
        ComponentRow(
            "catheter", "narrowing", lambda _p, given: NarrowingCatheter.of(given.model, given.implant)
        )
    )
    yield Plant(NARROW, b"seed", implant=Implant())
    del COMPONENTS["catheter", "narrowing"]


def fills(plant: Plant) -> int:
    assert isinstance(plant.catheter, NarrowingCatheter)
    return plant.catheter.fills


@pytest.mark.parametrize("copied", ["deepcopy", "pickle", "json"])
def test_another_kind_is_part_of_the_plant_and_of_each_copy(
    narrow: Plant, strokes: Strokes, copied: str
) -> None:
    narrow.rotor.run(strokes(1_000))
    narrow.fill(1_000_000, 2_000_000)
    if copied == "json":
        twin = Plant.restored(NARROW, json.loads(json.dumps(narrow.to_json())))
    else:
        twin = copy.deepcopy(narrow) if copied == "deepcopy" else pickle.loads(pickle.dumps(narrow))  # noqa: S301
    assert fills(twin) == fills(narrow) == 2
    twin.fill(1_000_000, 1_000_000)
    assert (fills(twin), fills(narrow)) == (3, 2)
    assert narrow.truth(0).lost_fg_ppm == 0


def test_an_image_of_one_kind_is_refused_by_a_profile_of_another(narrow: Plant, plant: Plant) -> None:
    with pytest.raises(
        StateError, match=r"^plant state: the catheter is narrowing, and plug-flow in the profile$"
    ):
        Plant.restored(PumpModel(), narrow.to_json())
    with pytest.raises(
        StateError, match=r"^plant state: the catheter is plug-flow, and narrowing in the profile$"
    ):
        Plant.restored(NARROW, plant.to_json())


def test_a_kind_that_nobody_registered_is_named_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"^there is no catheter 'narrowing'; there are plug-flow$"):
        Plant(NARROW, b"")


def test_each_part_has_the_kind_that_a_profile_gets_unasked() -> None:
    assert {part: kinds_of(part) for part in DEFAULT_KINDS} == {
        part: (kind,) for part, kind in DEFAULT_KINDS.items()
    }


@pytest.mark.parametrize(
    ("part", "kind", "complaint"),
    [
        ("catheter", "plug-flow", "the catheter plug-flow is there already"),
        ("gearbox", "plug-flow", "a plant has no part 'gearbox'; it has catheter, crystal"),
        ("catheter", "Two Lumen", "'Two Lumen' is no name of a kind"),
    ],
)
def test_a_row_that_cannot_be_is_refused(part: str, kind: str, complaint: str) -> None:
    row = ComponentRow(part, kind, COMPONENTS["catheter", "plug-flow"].make)
    with pytest.raises(ValueError, match=complaint):
        register_component(row)
