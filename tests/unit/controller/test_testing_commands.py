"""ALARM_TEST plays the tone of a class, SELF_TEST says what is wrong; both are in the log, and neither delivers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firmware_emu.controller.memory.memory_map import LOG_OFFSET, LOG_SLOT_BYTES, PLACES, Region
from firmware_emu.pins import Tone
from firmware_emu.profile import Implant
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR
from hil.campaign.conversation import MARCH_2_S, Conversation, profile_of
from protocol.identifiers import (
    AlarmClass,
    AlarmId,
    ErrorCode,
    OnExpiry,
    Role,
    SelfTestFault,
    State,
    StopReason,
)
from protocol.log.data import AlarmOnData
from protocol.log.types import LogType, MemoryFault
from protocol.messages.alarms import AlarmTest
from protocol.messages.conversation import SelfTest
from protocol.messages.reading import GetStatus
from protocol.messages.stop import Stop
from tests.support.for_each import for_each

if TYPE_CHECKING:
    from collections.abc import Callable

DAY_50_MS = 50 * MS_PER_DAY  # beyond what 32 bits of milliseconds can count


def at_work() -> Conversation:
    """A pump that delivers so little that it lasts for 150 days."""
    return Conversation.with_new_pump(
        profile_of(wall_at_start_s=MARCH_2_S, implant=Implant(dose_ng_per_day=60_000))
    )


def as_role(talk: Conversation, role: Role) -> Conversation:
    """Another programmer, once the session of the first has idled long enough to be taken over [SPEC 4, H2]."""
    talk.wait(10_000)
    return Conversation(talk.pump, role)


def as_service(talk: Conversation) -> Conversation:
    return as_role(talk, Role.SERVICE)


def stopped() -> Conversation:
    """A service technician's conversation with a pump that a clinician has stopped."""
    talk = at_work()
    talk.granted(Stop(1, 172_800, StopReason.SERVICE, OnExpiry.ALARM_ONLY))
    return as_service(talk)


@for_each(("alarm_class", "duration_ms"), [(AlarmClass.CRITICAL, 3_000), (AlarmClass.NON_CRITICAL, 1_000)])
def test_the_tone_of_a_class_is_heard_once_and_who_played_it_is_in_the_log(
    alarm_class: AlarmClass, duration_ms: int
) -> None:
    for at_ms in (MS_PER_HOUR, DAY_50_MS):
        talk = at_work()
        talk.wait_until(at_ms)
        heard_before = talk.pump.truth().tones_played
        talk.granted(AlarmTest(alarm_class))
        talk.wait(1)
        assert talk.pump.tones()[-1] == Tone(at_ms, alarm_class is AlarmClass.CRITICAL, duration_ms)
        assert talk.pump.truth().tones_played == heard_before + 1
        last = [entry for entry in talk.log() if entry.type is LogType.ALARM_TEST]
        assert [(entry.actor >> 4, entry.details().alarm_class) for entry in last] == [
            (Role.CLINICIAN, alarm_class)
        ]


def test_a_test_of_tones_leaves_the_tones_of_an_alarm_at_their_times() -> None:
    base = at_work()
    base.pump.cut_power()
    base.pump.restore_power()  # RESET: critical, latching
    base.wait(MS_PER_HOUR + 30_000)
    other = base.fork()
    other.granted(AlarmTest(AlarmClass.CRITICAL))
    for talk in (base, other):
        talk.wait(2 * MS_PER_HOUR)
    expected = [tone.at_ms for tone in base.pump.tones()]
    assert [tone.at_ms for tone in other.pump.tones() if tone.at_ms in expected] == expected


# FI 36
def test_a_tone_that_nobody_can_have_heard_is_told_in_the_log() -> None:
    talk = at_work()
    talk.pump.inject("sounder-dead", {})
    talk.granted(AlarmTest(AlarmClass.CRITICAL))
    told = [entry.details().failed for entry in talk.log() if entry.type is LogType.POST_FAIL]
    assert told == [SelfTestFault.SOUNDER]


def test_no_other_tone_is_played_while_a_critical_alarm_sounds() -> None:
    talk = at_work()
    talk.pump.cut_power()
    talk.pump.restore_power()
    talk.wait(MS_PER_HOUR)
    heard = talk.pump.truth().tones_played
    refusal = talk.refused(AlarmTest(AlarmClass.NON_CRITICAL))
    assert (refusal.code, refusal.nearest) == (ErrorCode.ALARM_BLOCKS, AlarmClass.CRITICAL)
    assert talk.pump.truth().tones_played == heard


def test_a_pump_that_is_whole_passes_and_the_log_names_who_tested_it() -> None:
    talk = stopped()
    strokes = talk.pump.truth().strokes_turned
    assert talk.granted(SelfTest()).failed == SelfTestFault(0)
    (entry,) = [entry for entry in talk.log() if entry.type is LogType.SELF_TEST]
    assert (entry.actor >> 4, entry.details().failed) == (Role.SERVICE, SelfTestFault(0))
    assert talk.pump.truth().strokes_turned == strokes


def test_a_pump_passes_after_50_days_of_running_time_too() -> None:
    talk = at_work()
    talk.wait_until(20 * MS_PER_DAY)
    talk.granted(Stop(1, 172_800, StopReason.SERVICE, OnExpiry.ALARM_ONLY))
    talk.wait_until(DAY_50_MS)
    assert as_service(talk).granted(SelfTest()).failed == SelfTestFault(0)


def _flip(talk: Conversation, offset: int) -> None:
    talk.pump.inject("bit-flip", {"offset_bytes": offset})


def _lose_power(talk: Conversation) -> None:
    talk.pump.cut_power()
    talk.pump.restore_power()


FAULTS: dict[str, tuple[Callable[[Conversation], None], SelfTestFault]] = {
    "a record": (lambda talk: _flip(talk, PLACES[Region.ALARMS].offset), SelfTestFault.MEMORY),
    "a slot of the log": (lambda talk: _flip(talk, LOG_OFFSET + 3 * LOG_SLOT_BYTES + 20), SelfTestFault.LOG),
    "the clock": (_lose_power, SelfTestFault.CLOCK),
    "the random source": (lambda talk: talk.pump.inject("entropy-stuck", {}), SelfTestFault.ENTROPY),
    "the converter": (
        lambda talk: talk.pump.inject("adc-stuck", {"reading_mv": 2_700}),
        SelfTestFault.BATTERY,
    ),
    "the code": (lambda talk: talk.pump.inject("code-flip", {"bit": 3}), SelfTestFault.FIRMWARE),
    "the arithmetic": (lambda talk: talk.pump.inject("cpu-fault", {}), SelfTestFault.CPU),
    "a cell of RAM": (
        lambda talk: talk.pump.inject("ram-stuck", {"cell": 23, "bit": 71}),
        SelfTestFault.RAM,
    ),
    "the watchdog": (lambda talk: talk.pump.inject("watchdog-dead", {}), SelfTestFault.WATCHDOG),
    "the sounder": (lambda talk: talk.pump.inject("sounder-dead", {}), SelfTestFault.SOUNDER),  # FI 36
}


ALARMS = {
    SelfTestFault.MEMORY: AlarmId.MEM_NONCRITICAL,
    SelfTestFault.LOG: AlarmId.MEM_NONCRITICAL,
    SelfTestFault.ENTROPY: AlarmId.RNG_FAILED,
    SelfTestFault.FIRMWARE: AlarmId.SELF_TEST,
    SelfTestFault.CPU: AlarmId.SELF_TEST,
    SelfTestFault.RAM: AlarmId.SELF_TEST,
    SelfTestFault.WATCHDOG: AlarmId.SELF_TEST,
}


@for_each("what", list(FAULTS))
def test_what_a_self_test_finds_raises_the_alarm_that_it_raises_at_a_start(what: str) -> None:
    fault, wanted = FAULTS[what]
    talk = stopped()
    talk.open()
    fault(talk)
    before = talk.granted(GetStatus()).alarm_active
    talk.granted(SelfTest())
    status = talk.granted(GetStatus())
    raised = 1 << ALARMS[wanted] if wanted in ALARMS else 0
    assert status.alarm_active == before | raised
    untrusted = wanted in (SelfTestFault.FIRMWARE, SelfTestFault.CPU, SelfTestFault.RAM)
    assert status.state is (State.FAULT_STOP if untrusted else State.STOP)


def test_the_alarm_of_a_damaged_record_ends_with_a_self_test_that_finds_all_whole() -> None:
    for region in (Region.TEXTS, Region.PROGRAM, Region.LEDGER):
        talk = stopped()
        _flip(talk, PLACES[region].offset + 1)
        talk.granted(SelfTest())
        (told,) = [entry.details() for entry in talk.log() if entry.type is LogType.ALARM_ON]
        assert told == AlarmOnData(AlarmId.MEM_NONCRITICAL, MemoryFault.RECORD, region)
        assert talk.granted(SelfTest()).failed == SelfTestFault(0)
        assert talk.granted(GetStatus()).alarm_active == 0


@for_each("what", list(FAULTS))
def test_what_is_wrong_has_its_bit(what: str) -> None:
    fault, wanted = FAULTS[what]
    talk = stopped()
    talk.open()
    fault(talk)
    assert talk.granted(SelfTest()).failed == wanted


def test_a_record_that_was_damaged_while_the_pump_runs_is_logged_and_written_anew() -> None:
    talk = stopped()
    _flip(talk, PLACES[Region.LEDGER].offset + 1)
    assert talk.granted(SelfTest()).failed == SelfTestFault.MEMORY
    assert talk.granted(SelfTest()).failed == SelfTestFault(0)
    (fault,) = [entry.details() for entry in talk.log() if entry.type is LogType.NVM_FAULT]
    assert fault.region == Region.LEDGER
    _lose_power(talk)
    assert talk.granted(GetStatus()).state is State.STOP


def test_a_battery_that_must_be_replaced_has_its_bit() -> None:
    talk = Conversation.with_new_pump(
        profile_of(wall_at_start_s=MARCH_2_S, battery_eri_mv=3_101, battery_eos_mv=100)
    )
    talk.granted(Stop(1, 172_800, StopReason.SERVICE, OnExpiry.ALARM_ONLY))
    assert as_service(talk).granted(SelfTest()).failed == SelfTestFault.BATTERY


def test_a_pump_that_delivers_is_not_tested() -> None:
    talk = at_work()
    refusal = as_service(talk).refused(SelfTest())
    assert (refusal.code, refusal.detail) == (ErrorCode.RUNNING, State.RUN)
    assert not [entry for entry in talk.log() if entry.type is LogType.SELF_TEST]


@for_each("role", [Role.OBSERVER, Role.PATIENT, Role.CLINICIAN])
def test_only_a_service_key_tests(role: Role) -> None:
    talk = stopped()
    assert as_role(talk, role).code(SelfTest()) is ErrorCode.ROLE


@for_each("role", [Role.OBSERVER, Role.PATIENT, Role.SERVICE])
def test_only_a_clinician_plays_tones(role: Role) -> None:
    assert Conversation(at_work().pump, role).code(AlarmTest(AlarmClass.CRITICAL)) is ErrorCode.ROLE


def test_a_damaged_slot_that_a_self_test_finds_raises_its_alarm() -> None:
    talk = stopped()
    _flip(talk, LOG_OFFSET + 3 * LOG_SLOT_BYTES + 20)
    talk.granted(SelfTest())
    assert talk.granted(GetStatus()).alarm_active == 1 << AlarmId.MEM_NONCRITICAL
