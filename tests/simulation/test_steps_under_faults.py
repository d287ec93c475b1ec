"""With each fault of cell, clock, memory and sounder: however time is cut into steps, the same life, byte for byte."""

from __future__ import annotations

from typing import Any

import pytest

from firmware_emu.bench.trace_hash import trace_bytes
from firmware_emu.faults.catalogue import FAULTS
from firmware_emu.plant.plant import Plant
from firmware_emu.units import MS_PER_HOUR, MS_PER_MINUTE
from hil.campaign.conversation import Conversation, memory_of, profile_of, state_of
from tests.simulation.stepping import Act, cuts, played

END_MS = 30 * MS_PER_HOUR
STEPS = 1_500
FAULTY: dict[str, dict[str, Any]] = {
    "resistive-film": {"film_milliohm": 40_000, "growth_milliohm_per_day": 40_000},
    "battery-drain": {"leak_ua": 500_000},
    "feedthrough-short": {"period_ms": 2 * MS_PER_HOUR + 1, "stall_ms": 30 * MS_PER_MINUTE},
    "adc-stuck": {"reading_mv": 2_000},
    "sounder-dead": {},
    "clock-rate": {"drift_ppm": 99_999},
    "clock-stop": {"duration_ms": MS_PER_HOUR + 7},
    "clock-jump": {"jump_ms": -MS_PER_HOUR},
    "bit-flip": {"region": 8, "offset_bytes": 4},
    "stuck-page": {"offset_bytes": 256},
    "stuck-cell": {"region": 2, "offset_bytes": 20},
}


def injecting(name: str, given: dict[str, Any]) -> Act:
    return lambda talk: talk.pump.inject(name, given)


def restart(talk: Conversation) -> None:
    talk.pump.cut_power()
    talk.pump.restore_power()


def lived(name: str, given: dict[str, Any], seed: int | None) -> Conversation:
    """A day and more with a bolus, a stall with its alarm, and a loss of power, under this fault for most of it."""
    story = (
        (2 * MS_PER_HOUR + 50 * MS_PER_MINUTE, lambda talk: talk.start_bolus(1, 30_000, 1_800)),
        (3 * MS_PER_HOUR + 1_234, injecting(name, given)),
        (9 * MS_PER_HOUR, injecting("motor-stall", {"duration_ms": MS_PER_HOUR})),
        (15 * MS_PER_HOUR + 777, restart),
        (16 * MS_PER_HOUR, lambda talk: talk.pump.clear(name)),
    )
    talk = Conversation.with_new_pump(profile_of(wall_at_start_s=826_000_000))
    return played(talk, story, END_MS, () if seed is None else cuts(seed, END_MS, STEPS))


@pytest.mark.parametrize("name", FAULTY)
def test_a_life_with_a_fault_is_the_same_in_any_steps(name: str) -> None:
    once, stepped = (lived(name, FAULTY[name], seed) for seed in (None, 7))
    assert trace_bytes(stepped.trace) == trace_bytes(once.trace)
    assert state_of(stepped.pump) == state_of(once.pump)
    counts = [[each.effects for each in talk.pump.faults()] for talk in (once, stepped)]
    assert counts[0] == counts[1]
    assert next(each.effects for each in once.pump.faults() if each.fault.name == name) > 0, "it did act"
    assert stepped.pump.plant.to_json() == once.pump.plant.to_json()


@pytest.mark.parametrize("name", FAULTY)
def test_a_fork_and_a_file_in_the_middle_of_a_fault_have_the_same_future(name: str) -> None:
    talk = Conversation.with_new_pump(profile_of())
    talk.wait(3 * MS_PER_HOUR)
    talk.pump.inject(name, FAULTY[name])
    talk.wait(2 * MS_PER_HOUR)
    twin = talk.fork()
    filed = Plant.restored(
        talk.pump.profile.model, talk.pump.plant.to_json(), talk.pump.plant.flash.size_bytes
    )
    assert filed.to_json() == talk.pump.plant.to_json()
    assert filed.next_event_ms() == talk.pump.plant.next_event_ms()
    for each in (talk, twin):
        each.wait(4 * MS_PER_HOUR)
    assert memory_of(twin.pump) == memory_of(talk.pump)
    assert twin.pump.plant.to_json() == talk.pump.plant.to_json()
    assert FAULTS[name].effects(twin.pump.plant) == FAULTS[name].effects(talk.pump.plant)
