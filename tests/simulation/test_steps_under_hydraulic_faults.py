"""However time is cut into steps, with each fault of motor, fluid and surroundings on: the same pump, byte for byte."""

from __future__ import annotations

import pytest

from firmware_emu.controller.events import ProgramEvent
from firmware_emu.profile import Implant
from firmware_emu.units import MS_PER_HOUR
from hil.campaign.conversation import Conversation, profile_of
from protocol.identifiers import OnExpiry, StopReason
from protocol.messages.stop import Resume, Stop
from tests.simulation.stepping import Story, cuts, played
from tests.simulation.test_steps import asking, assert_same, bolus, new_program, refill
from tests.support.soak import rounds_of
from tests.unit.plant.hydraulic_stories import CAUSES, Cause

END_MS = 90 * MS_PER_HOUR
PROFILE = profile_of(
    implant=Implant(filled_nl=3_000_000),
    wall_at_start_s=826_000_000,
    accuracy_per_kelvin_ppm=3_000,
    accuracy_per_atmosphere_ppm=-20_000,
    accuracy_per_fill_ppm=50_000,
)


def story_of(cause: Cause) -> Story:
    """The fault through boluses, a long stop, another rate and a refill, then a while without it, then again."""
    hour = MS_PER_HOUR

    def inject(talk: Conversation) -> None:
        talk.pump.inject(cause.name, cause.parameters)

    def clear(talk: Conversation) -> None:
        talk.pump.clear(cause.name)

    return (
        (hour - 600_000, bolus(1, 30_500, 1_800)),
        (hour + 12_345, inject),
        (5 * hour + 1, asking(Stop(2, 172_000, StopReason.MRI, OnExpiry.ALARM_ONLY))),
        (54 * hour, asking(Resume(3, 1))),
        (56 * hour, new_program(4, 1_234_567)),
        (60 * hour, refill(5, 3_000_001)),
        (62 * hour + 333, clear),
        (66 * hour + 7, bolus(6, 40_000, 3_600)),
        (70 * hour + 77_777, inject),
        (75 * hour, refill(7, 2_000_000)),
    )


def took_effect(talk: Conversation, cause: Cause) -> bool:
    return next(state.effects for state in talk.pump.faults() if state.fault.name == cause.name) > 0


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: f"{cause.name} {cause.parameters}")
def test_a_fault_of_motor_or_fluid_is_the_same_in_any_steps(cause: Cause) -> None:
    once, stepped = (Conversation.with_new_pump(PROFILE) for _ in range(2))
    played(once, story_of(cause), END_MS)
    assert took_effect(once, cause)
    events_ms = {entry.now.pump_ms for entry in once.trace if isinstance(entry.event, ProgramEvent)}
    instants = cuts(
        len(repr(cause)), END_MS, rounds_of(f"steps with {cause}", 600, 150), sorted(events_ms)[:40]
    )
    acts = list(story_of(cause))
    for ms in instants:
        while acts and acts[0][0] <= ms:
            at_ms, act = acts.pop(0)
            stepped.wait_until(at_ms)
            act(stepped)
        if ms > stepped.now_ms:
            stepped.wait_until(ms)
        stepped.pump.truth()
    played(stepped, acts, END_MS)
    assert_same(stepped, once)
    assert stepped.pump.faults() == once.pump.faults()
    assert stepped.pump.plant.to_json() == once.pump.plant.to_json()
