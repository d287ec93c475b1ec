"""The plant as a whole: its pins, its power, and that its state is a value."""

from __future__ import annotations

import copy
import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from firmware_emu.pins import PowerCut
from firmware_emu.plant.component import StateError
from firmware_emu.plant.components import PARTS
from firmware_emu.plant.plant import Plant
from firmware_emu.profile import Implant, PumpModel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.plant.conftest import Strokes


@pytest.fixture
def worn(plant: Plant, strokes: Strokes) -> Plant:
    """A plant with something in every corner of its state."""
    plant.reboot(0)
    plant.crystal.offset_ms = 123
    plant.rotor.run(strokes(5_000))
    plant.aspirate(7_000_001)
    plant.fill(3_333_333, 1_999_999)
    plant.rotor.run(strokes(50_000, first_k=5_001))
    plant.aspirate(1)
    plant.set_accuracy(1_145_000)
    plant.power_lost(90_000_000)
    plant.reboot(90_500_000)
    plant.power_lost(91_000_000)
    plant.entropy.draw("nonce", 40)
    plant.set_entropy_stuck(True)
    plant.set_magnet(True)
    plant.set_stall(True, 91_000_000, 95_000_000)
    plant.cut_at_stroke(7)
    plant.cut_at_write(3, 9)
    plant.flash.write(100, b"remembered")
    return plant


def test_a_state_on_file_comes_back_to_the_letter(worn: Plant) -> None:
    text = json.dumps(worn.to_json())
    back = Plant.restored(PumpModel(), json.loads(text))
    assert json.dumps(back.to_json()) == text
    assert back.truth(92_000_000) == worn.truth(92_000_000)
    assert back.rotor.stroke_nl_ppm == worn.rotor.stroke_nl_ppm
    assert back.reservoir.dry_at_nl_ppm == worn.reservoir.dry_at_nl_ppm


@pytest.mark.parametrize("copied", ["deepcopy", "pickle", "json"])
def test_a_copy_has_the_same_future_and_does_not_touch_the_original(
    worn: Plant, strokes: Strokes, copied: str
) -> None:
    if copied == "json":
        twin = Plant.restored(PumpModel(), worn.to_json())
        twin.flash.load(worn.flash.contents())
    else:
        twin = copy.deepcopy(worn) if copied == "deepcopy" else pickle.loads(pickle.dumps(worn))  # noqa: S301
    before = worn.to_json()
    future = live_on(twin, strokes)
    assert worn.to_json() == before
    assert live_on(worn, strokes) == future


def live_on(plant: Plant, strokes: Strokes) -> tuple[object, ...]:
    plant.disarm()
    plant.set_entropy_stuck(False)
    plant.reboot(96_000_000)
    plant.advance_to(96_000_000)
    plant.fill(5_000_000, 500_000)
    edges = plant.rotor.run(strokes(6_000, first_k=55_001))
    plant.flash.write(102, b"X")
    random = plant.entropy.draw("nonce", 16)
    return edges, random, plant.truth(97_000_000), plant.flash.contents(), plant.to_json()


def test_pins_copied_before_their_plant_stay_its_pins(plant: Plant, strokes: Strokes) -> None:
    pins, twin = copy.deepcopy((plant.pins(), plant))
    pins.rotor.run(strokes(10))
    assert twin.truth(0).strokes_turned == 10
    assert plant.truth(0).strokes_turned == 0


def test_the_pins_are_the_parts(plant: Plant) -> None:
    pins = plant.pins()
    assert (pins.rotor, pins.memory, pins.entropy) == (plant.rotor, plant.flash, plant.entropy)
    assert (pins.battery, pins.crystal, pins.magnet) == (plant.battery, plant.crystal, plant.body)


def test_the_controller_sees_the_magnet(plant: Plant) -> None:
    assert not plant.pins().magnet.near()
    plant.set_magnet(True)
    assert plant.pins().magnet.near()


def test_every_state_of_a_part_is_saved(worn: Plant) -> None:
    """What is neither saved nor made by the constructor would be lost with a file."""
    fresh = Plant.restored(PumpModel(), worn.to_json())
    for part in PARTS:
        for slot in getattr(worn, part).__slots__:
            if (part, slot) in {("flash", "pages"), ("flash", "writes")} or slot in PARTS:
                continue
            assert getattr(getattr(fresh, part), slot) == getattr(getattr(worn, part), slot), (part, slot)


BROKEN: list[tuple[str, Any, str]] = [
    ("schema", 3, "schema must be 4"),
    ("rotor", None, "rotor must be an object"),
    ("rotor.strokes_turned", "many", "rotor: strokes_turned must be an integer"),
    ("rotor.strokes_turned", None, "rotor: strokes_turned must be an integer"),
    ("rotor.accuracy_ppm", 0, "rotor: accuracy_ppm must be an integer from 1 to"),
    ("rotor.stall", 5, "rotor: stall must be an object"),
    ("rotor.cut", [1], "rotor: cut must be 2 values"),
    ("flash.cut", [1], "flash: cut must be 3 values"),
    ("catheter.batches", [], "catheter: batches must be fluids"),
    ("catheter.batches", [[0, 0, 0, 0]], "catheter: batches.denominator must be an integer from 1 to"),
    ("catheter.batches", [[1, 0, 0, 1], [0, 0, 0, 1]], "catheter: batches must be fluids in their order"),
    ("rotor.inaccurate_since", 10**9, "rotor: inaccurate_since must be at most strokes_turned"),
    (
        "reservoir.emitted_nl_ppm",
        10**18,
        "reservoir: filled_nl_ppm less aspirated_nl_ppm and emitted_nl_ppm must",
    ),
    ("catheter.batches", 1, "catheter: batches must be a list"),
    ("entropy.seed", "xyz", "entropy: seed must be hex"),
    ("entropy.seed", 5, "entropy: seed must be hex"),
    ("entropy.blocks_drawn", {"nonce": "x"}, "entropy: nonce must be an integer"),
]


@pytest.mark.parametrize(("place", "value", "complaint"), BROKEN)
def test_a_broken_state_is_refused_by_the_name_of_its_field(
    plant: Plant, place: str, value: object, complaint: str
) -> None:
    state = plant.to_json()
    *path, last = place.split(".")
    target = state
    for name in path:
        target = target[name]
    target[last] = value
    with pytest.raises(StateError, match=complaint):
        Plant.restored(PumpModel(), state)
    del target[last]
    with pytest.raises(StateError, match="schema must be" if last == "schema" else f"{last} is missing"):
        Plant.restored(PumpModel(), state)


def places_of_values(state: Any, *place: str | int) -> Iterator[tuple[str | int, ...]]:
    """Where each single value of a saved state stands."""
    if isinstance(state, dict | list):
        for key, value in state.items() if isinstance(state, dict) else enumerate(state):
            yield from places_of_values(value, *place, key)
    else:
        yield place


def test_no_saved_value_is_taken_that_it_can_never_have(worn: Plant) -> None:
    """Each value of the state in turn, with the rest as it is: nothing stands on file that nobody looks at."""
    state = worn.to_json()
    for place in places_of_values(state):
        *path, last = place
        name = next(part for part in reversed(place) if isinstance(part, str))
        target: Any = state
        for part in path:
            target = target[part]
        before = target[last]
        wrong: list[object] = ["x", 1.5, [], 0 if isinstance(before, bool) else True]
        if isinstance(before, int) and not isinstance(before, bool):
            wrong += [-(10**60), 10**60]
        for value in wrong:
            target[last] = value
            with pytest.raises(StateError, match=name):
                Plant.restored(PumpModel(), state)
        target[last] = before
    Plant.restored(PumpModel(), state)


@pytest.mark.parametrize(
    ("place", "value", "field"),
    [
        ("catheter.batches", [[0, 0, 500_000, 1]], "tip_fg_ppm"),
        ("reservoir.filled_fg_ppm", 0, "reservoir_fg_ppm"),
        ("battery.unpowered_ms", 10**15, "battery_percent"),
    ],
)
def test_parts_that_are_possible_each_and_not_together_are_refused_by_what_would_be_wrong(
    plant: Plant, place: str, value: object, field: str
) -> None:
    state = plant.to_json()
    plant.check(1_000)
    part, name = place.split(".")
    state[part][name] = value
    restored = Plant.restored(PumpModel(), state)
    with pytest.raises(StateError, match=f"^plant state: {field} of the truth would be "):
        restored.check(1_000)


def test_the_crystal_latches_the_last_whole_second_of_ticks(plant: Plant) -> None:
    assert plant.pins().crystal.latched_ms() == 0
    plant.crystal.offset_ms = 1_000
    plant.power_lost(119_999)
    assert plant.pins().crystal.latched_ms() == 120_000
    plant.power_lost(600_000)
    assert plant.pins().crystal.latched_ms() == 120_000


def test_a_cut_at_a_write_is_armed_until_it_has_fired(plant: Plant) -> None:
    plant.cut_at_write(1, torn_after_bytes=2)
    assert plant.truth(0).power_cut_armed
    with pytest.raises(PowerCut):
        plant.pins().memory.write(0, b"abc")
    assert not plant.truth(0).power_cut_armed
    assert plant.flash.read(0, 3) == b"ab\xff"


@pytest.mark.parametrize(("n", "torn"), [(0, 0), (1, -1)])
def test_a_write_that_never_comes_cannot_be_armed(plant: Plant, n: int, torn: int) -> None:
    with pytest.raises(ValueError, match="cannot cut"):
        plant.cut_at_write(n, torn)


def test_each_reboot_starts_new_random_streams(plant: Plant) -> None:
    before = plant.entropy.draw("nonce", 16)
    plant.reboot(0)
    assert plant.entropy.draw("nonce", 16) != before


def test_truth_is_plain_integers(worn: Plant) -> None:
    assert all(isinstance(value, int | None) for value in worn.truth(92_000_000))


def test_a_smaller_memory_can_be_asked_for() -> None:
    plant = Plant(PumpModel(), b"", implant=Implant(), memory_bytes=4_096)
    assert plant.pins().memory.size_bytes == 4_096
