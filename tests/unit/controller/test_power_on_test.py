"""The test at each start: what it finds, what that leads to, and that the first part which fails ends it [SR-60]."""

from __future__ import annotations

from collections.abc import Callable

from firmware_emu.controller.events import LogWritten
from firmware_emu.controller.power_on_test import STEPS
from firmware_emu.units import MS_PER_HOUR
from hil.campaign.conversation import MARCH_2_S, Conversation, profile_of
from hil.plugin import verifies
from protocol.identifiers import (
    AlarmId,
    BolusKind,
    ErrorCode,
    OnExpiry,
    Role,
    SelfTestFault,
    State,
    StateReason,
    StopReason,
)
from protocol.log.data import PostFailData
from protocol.messages.bolus import BolusPrepare
from protocol.messages.conversation import SelfTest
from protocol.messages.reading import GetStatus
from protocol.messages.stop import Stop
from tests.support.for_each import for_each

HOUR = MS_PER_HOUR


def injecting(name: str, **parameters: int) -> Callable[[Conversation], None]:
    return lambda talk: talk.pump.inject(name, parameters)


def _lose_register(talk: Conversation) -> None:
    talk.pump.plant.crystal.latch_ms = 0


FAULTS: dict[SelfTestFault, Callable[[Conversation], None]] = {
    SelfTestFault.CPU: injecting("cpu-fault"),
    SelfTestFault.FIRMWARE: injecting("code-flip", bit=31),
    SelfTestFault.RAM: injecting("ram-stuck", cell=23, bit=71),
    SelfTestFault.WATCHDOG: injecting("watchdog-dead"),
    SelfTestFault.CLOCK: _lose_register,
    SelfTestFault.ENTROPY: injecting("entropy-stuck"),
}
SAFE = {SelfTestFault.CPU, SelfTestFault.FIRMWARE, SelfTestFault.RAM}
OWN_ALARM = dict.fromkeys(FAULTS, AlarmId.SELF_TEST) | {
    SelfTestFault.CLOCK: AlarmId.WALL_INVALID,
    SelfTestFault.ENTROPY: AlarmId.RNG_FAILED,
}


def restarted(*faults: Callable[[Conversation], None]) -> Conversation:
    """A pump that was at work for ten hours, without power when these faults came, and started anew."""
    talk = Conversation.with_new_pump(profile_of(wall_at_start_s=MARCH_2_S))
    talk.wait(10 * HOUR)
    talk.pump.cut_power()
    for fault in faults:
        fault(talk)
    talk.pump.restore_power()
    talk.wait(0)
    return talk


def told(talk: Conversation) -> list[SelfTestFault]:
    """The parts that starts found wrong, by the trace: after a failed random source nobody can read the log."""
    events = [entry.event for entry in talk.trace]
    return [
        event.data.failed
        for event in events
        if isinstance(event, LogWritten) and isinstance(event.data, PostFailData)
    ]


@verifies("SAF-001", "SAF-006")
@for_each("part", list(FAULTS))
def test_a_part_that_fails_at_the_start_is_named_with_its_own_alarm_before_anything_is_delivered(
    part: SelfTestFault,
) -> None:
    talk = restarted(FAULTS[part])
    belief = talk.pump.belief()
    assert belief is not None
    assert told(talk) == [part]
    assert belief.alarm_active >> OWN_ALARM[part] & 1
    wanted = (State.SAFE_STATE, StateReason.SELF_TEST) if part in SAFE else (State.RUN, StateReason.COMMAND)
    assert (belief.state, belief.reason) == wanted
    assert belief.strokes_commanded == talk.pump.truth().strokes_turned


@verifies("SAF-001")
def test_every_part_of_the_test_can_be_seen_failing() -> None:
    assert {step.part for step in STEPS} == {*FAULTS, SelfTestFault.BATTERY}


@verifies("SAF-001")
def test_a_battery_at_its_end_fails_at_the_start_and_the_service_ends_at_once() -> None:
    talk = Conversation.with_new_pump(
        profile_of(battery_eri_mv=3_100, battery_eos_mv=3_099, battery_capacity_mah=20)
    )
    talk.wait(6 * HOUR)  # before the sample of the day
    assert talk.granted(GetStatus()).state is State.RUN
    talk.pump.cut_power()
    talk.pump.restore_power()
    talk.wait(0)
    assert told(talk) == [SelfTestFault.BATTERY]
    assert talk.granted(GetStatus()).state is State.EOS


@verifies("SAF-002")
@for_each("parts", [tuple(FAULTS)[n : n + 2] for n in range(len(FAULTS) - 1)])
def test_the_first_part_that_fails_ends_the_test(parts: tuple[SelfTestFault, SelfTestFault]) -> None:
    talk = restarted(*(FAULTS[part] for part in reversed(parts)))
    assert told(talk) == [parts[0]]


@verifies("SAF-016")
@for_each("part", [SelfTestFault.CPU, SelfTestFault.FIRMWARE, SelfTestFault.RAM, SelfTestFault.WATCHDOG])
def test_a_bolus_that_is_asked_for_in_the_millisecond_of_the_start_meets_what_the_test_has_found(
    part: SelfTestFault,
) -> None:
    talk = restarted(FAULTS[part])
    wanted = ErrorCode.SAFE_STATE if part in SAFE else ErrorCode.ALARM_BLOCKS
    assert talk.code(BolusPrepare(BolusKind.BOLUS, 20_000, 2_400, 1)) is wanted


@verifies("SAF-002")
def test_a_test_that_ended_early_opens_no_session_with_a_stuck_random_source() -> None:
    talk = restarted(FAULTS[SelfTestFault.CPU], FAULTS[SelfTestFault.ENTROPY])
    belief = talk.pump.belief()
    assert belief is not None
    assert belief.alarm_active >> AlarmId.RNG_FAILED & 1


@verifies("SAF-001")
@for_each("part", [part for part in FAULTS if part is not SelfTestFault.CLOCK])
def test_a_start_that_finds_all_in_order_ends_the_alarm_and_the_safe_state_stays(part: SelfTestFault) -> None:
    talk = restarted(FAULTS[part])
    talk.pump.cut_power()
    for each in talk.pump.faults():
        if each.on:
            talk.pump.clear(each.fault.name)
    talk.pump.restore_power()
    status = talk.granted(GetStatus())
    assert not status.alarm_active >> OWN_ALARM[part] & 1
    assert status.state is (State.SAFE_STATE if part in SAFE else State.RUN)


@verifies("SAF-001", "SAF-003")
@for_each("part", [part for part in FAULTS if part is not SelfTestFault.CLOCK])
def test_a_technician_finds_by_self_test_what_a_start_would(part: SelfTestFault) -> None:
    talk = Conversation.with_new_pump(profile_of(wall_at_start_s=MARCH_2_S))
    talk.granted(Stop(1, 172_800, StopReason.SERVICE, OnExpiry.ALARM_ONLY))
    talk.wait(10_000)  # until the clinician's session may be taken over
    talk = Conversation(talk.pump, Role.SERVICE)
    talk.open()
    assert talk.granted(SelfTest()).failed == SelfTestFault(0)
    FAULTS[part](talk)
    assert part in talk.granted(SelfTest()).failed
