"""However time is cut into steps: the same trace, log, memory, truth and belief, byte for byte."""

from __future__ import annotations

from functools import cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_emu.bench.trace_hash import trace_bytes
from firmware_emu.controller.events import AlarmRaised, ProgramEvent
from firmware_emu.now import Now
from firmware_emu.profile import Implant
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE
from hil.campaign.conversation import Conversation, bridged, profile_of, simple_header, state_of
from protocol.identifiers import AlarmId, OnExpiry, RefillFlag, StopReason
from protocol.log.types import LogType
from protocol.messages.bolus import BolusCancel
from protocol.messages.program import ProgCommit, Segment
from protocol.messages.reading import GetDelivery, GetStatus
from protocol.messages.reservoir import Refill
from protocol.messages.stop import Resume, Stop
from tests.simulation.stepping import Act, Story, alarms_in, cuts, played
from tests.support.soak import rounds_of

DAY_STEPS = 10_000
WE_20 = Implant(filled_nl=20_000_000)


def assert_same(one: Conversation, other: Conversation) -> None:
    assert trace_bytes(one.trace) == trace_bytes(other.trace)
    assert state_of(one.pump) == state_of(other.pump)
    assert one.log() == other.log()


def bolus(cmd_id: int, volume_nl: int, duration_s: int) -> Act:
    """An act of a story."""
    return lambda talk: talk.start_bolus(cmd_id, volume_nl, duration_s, talk.granted(GetStatus()).program_rev)


def asking(message: object) -> Act:
    return lambda talk: talk.granted(message)


def stall(on: bool) -> Act:
    return lambda talk: talk.pump.stall_motor(on)


def new_program(cmd_id: int, dose_ng_per_day: int) -> Act:
    def act(talk: Conversation) -> None:
        rev = talk.granted(GetStatus()).program_rev
        crc = talk.stage(dose_ng_per_day, 500_000, base_rev=rev).staged_crc
        talk.granted(ProgCommit(cmd_id, rev, crc, start=True))

    return act


def refill(cmd_id: int, filled_nl: int, ng_per_ml: int = 500_000) -> Act:
    low_alarm_nl = min(2_000_000, filled_nl // 2)
    return asking(Refill(cmd_id, 0, filled_nl, 1, RefillFlag(0), ng_per_ml, low_alarm_nl))


def busy_week() -> Story:
    """A bolus through a stall, a stop that expires and lasts too long, cancel, new rate, low, empty, refill."""
    hour = MS_PER_HOUR
    return (
        (2 * hour + 17, bolus(1, 40_000, 1_800)),
        (5 * hour + 1, bolus(2, 60_500, 7_200)),
        (5 * hour + 20 * MS_PER_MINUTE + 3, stall(True)),
        (7 * hour + 1, stall(False)),
        (10 * hour, bolus(3, 20_000, 3_600)),
        (10 * hour + 1_000_001, asking(BolusCancel(4, 3, 0xFFFF))),
        (12 * hour, asking(Stop(5, 3_600, StopReason.MRI, OnExpiry.RESUME))),
        (20 * hour, asking(Stop(6, 7_200, StopReason.CLINICAL))),
        (20 * hour + 49 * hour, asking(Resume(7, 1))),
        (72 * hour, new_program(8, 1_234_567)),
        (75 * hour + 1, asking(Stop(9, 100, StopReason.MRI, OnExpiry.SAFE_RATE))),
        (77 * hour, new_program(10, 2_000_000)),
        (160 * hour, refill(11, 9_000_001)),
        (161 * hour, stall(True)),
        (161 * hour + 13 * MS_PER_MINUTE, stall(False)),
    )


WEEK_END_MS = 170 * MS_PER_HOUR
WEEK_PROFILE = profile_of(
    implant=Implant(filled_nl=12_000_000), wall_at_start_s=826_000_000, accuracy_ppm=1_037_000
)


@cache
def week_in_one_go() -> Conversation:
    return played(Conversation.with_new_pump(WEEK_PROFILE), busy_week(), WEEK_END_MS)


def test_the_busy_week_holds_what_it_promises() -> None:
    talk = week_in_one_go().fork()
    seen = {entry.type for entry in talk.log()}
    assert seen >= {
        LogType.STALL,
        LogType.STALL_RECOVERED,
        LogType.BOLUS_CANCEL,
        LogType.BOLUS_END,
        LogType.STOPPED_TOO_LONG,
        LogType.SAFE_STATE_ENTER,
        LogType.REFILL,
    }
    raised = {entry.details().alarm_id for entry in talk.log() if entry.type is LogType.ALARM_ON}
    assert raised >= {
        AlarmId.LOW_RESERVOIR,
        AlarmId.EMPTY,
        AlarmId.MOTOR_STALL,
        AlarmId.STOP_EXPIRED,
        AlarmId.STOPPED_TOO_LONG,
        AlarmId.BOLUS_PARTIAL,
    }


@pytest.mark.parametrize("seed", range(3))
def test_a_busy_week_in_ten_thousand_steps_is_the_same_week(seed: int) -> None:
    reference = week_in_one_go()
    events_ms = {entry.now.pump_ms for entry in reference.trace if isinstance(entry.event, ProgramEvent)}
    instants = cuts(seed, WEEK_END_MS, DAY_STEPS, events_ms)
    stepped = played(Conversation.with_new_pump(WEEK_PROFILE), busy_week(), WEEK_END_MS, instants)
    assert_same(stepped, reference.fork())


@settings(max_examples=15)
@given(st.lists(st.integers(1, WEEK_END_MS - 1), max_size=60, unique=True), st.integers(0, 2**32))
def test_a_busy_week_in_any_steps_with_any_looks_is_the_same_week(instants: list[int], seed: int) -> None:
    """Looking at truth and belief between the steps changes nothing either."""
    random = Random(seed)
    acts = [*busy_week()]
    talk = Conversation.with_new_pump(WEEK_PROFILE)
    for ms in sorted(instants):
        while acts and acts[0][0] <= ms:
            at_ms, act = acts.pop(0)
            talk.wait_until(at_ms)
            act(talk)
        talk.wait_until(ms)
        if random.random() < 0.5:
            talk.pump.truth()
        if random.random() < 0.5:
            talk.pump.belief()
    assert_same(played(talk, acts, WEEK_END_MS), week_in_one_go().fork())


def primed_and_bridged() -> Story:
    """A prime while stopped, a change of concentration with its bridge through a stop and a stall, and a bolus."""
    hour = MS_PER_HOUR

    def change(talk: Conversation) -> None:
        program = (simple_header(300_000, 2_000_000), (Segment(0, 150_000),))
        crc = talk.stage_program(*bridged(program, 338_250, 601_234), base_rev=1).staged_crc
        talk.granted(Refill(4, 0, 1_500_000, 1, RefillFlag.RINSED_TWICE, 2_000_000, 900_000, crc))

    return (
        (hour + 17, asking(Stop(1, 7_200, StopReason.CLINICAL))),
        (hour + 1_001, lambda talk: talk.start_prime(2, 338_000, 1_300)),
        (2 * hour, asking(Resume(3, 1))),
        (2 * hour + 123_457, change),
        (5 * hour, asking(Stop(5, 86_000, StopReason.MRI, OnExpiry.RESUME))),
        (6 * hour + 7, asking(Resume(6, 2))),
        (8 * hour, stall(True)),
        (10 * hour + 3, stall(False)),
        (22 * hour, lambda talk: talk.start_prime(7, 20_500, 3_600, 2)),
        (26 * hour, bolus(8, 40_000, 7_200)),
        (30 * hour, refill(9, 1_000_000, 2_000_000)),
    )


@pytest.mark.parametrize("seed", range(3))
def test_a_prime_and_a_bridge_in_ten_thousand_steps_are_the_same(seed: int) -> None:
    end_ms = 40 * MS_PER_HOUR
    once, stepped = (Conversation.with_new_pump(profile_of()) for _ in range(2))
    played(once, primed_and_bridged(), end_ms)
    delivered = once.fork().granted(GetDelivery())
    assert (delivered.prime_nl, delivered.bridge_nl, delivered.bolus_nl) == (358_500, 338_000, 40_000)
    events_ms = {entry.now.pump_ms for entry in once.trace if isinstance(entry.event, ProgramEvent)}
    played(stepped, primed_and_bridged(), end_ms, cuts(seed, end_ms, DAY_STEPS, events_ms))
    assert_same(stepped, once)


@pytest.mark.parametrize("residual_nl", [0, 1_400_000])
@pytest.mark.parametrize("accuracy_ppm", [1_145_000, 1_250_000, 1_500_000, 2_000_000])
def test_we_25_and_26_in_ten_thousand_random_steps(accuracy_ppm: int, residual_nl: int) -> None:
    profile = profile_of(implant=WE_20, accuracy_ppm=accuracy_ppm, residual_nl=residual_nl)
    end_ms = 35 * MS_PER_DAY
    once = Conversation.with_new_pump(profile)
    once.wait_until(end_ms)
    dry_ms = once.pump.truth().ran_dry_at_ms
    assert dry_ms is not None
    events_ms = {entry.now.pump_ms for entry in once.trace} | {dry_ms}
    stepped = Conversation.with_new_pump(profile)
    for ms in cuts(accuracy_ppm, end_ms, DAY_STEPS, events_ms):
        stepped.wait_until(ms)
        if ms in {dry_ms - 1, dry_ms}:
            assert (stepped.pump.truth().deliverable_nl_ppm == 0) == (ms == dry_ms)
    stepped.wait_until(end_ms)
    assert_same(stepped, once)


def test_we_20_in_very_many_steps_is_we_20_in_one() -> None:
    end_ms = 34 * MS_PER_DAY
    once, often = (Conversation.with_new_pump(profile_of(implant=WE_20)) for _ in range(2))
    once.wait_until(end_ms)
    random = Random(20)
    events_ms = [30 * MS_PER_DAY, 2_880_000_000]
    instants = sorted(
        {random.randrange(1, end_ms) for _ in range(rounds_of("steps of WE-20", 1_000_000, 100_000))}
        | {ms + beside for ms in events_ms for beside in (-1, 0, 1)}
    )
    step = often.pump.step
    for ms in instants:
        done = step(Now.both(ms))
        if done.trace:
            often.trace += done.trace
    often.wait_until(end_ms)
    assert alarms_in(often.trace) == [(ms, AlarmRaised) for ms in events_ms]
    assert_same(often, once)
