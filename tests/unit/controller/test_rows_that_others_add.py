"""A delivery source, a timer and an alarm are each added by one registration, and then do what ours do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from firmware_emu.controller.alarms.alarm_table import ALARMS, AlarmRow, Priority, Remedy, register_alarm
from firmware_emu.controller.events import AlarmRaised, LogWritten, ProgramEvent
from firmware_emu.controller.therapy.bolus import ActiveBolus
from firmware_emu.controller.therapy.counters import Source
from firmware_emu.controller.therapy.delivery_sources import SOURCES, SourceRow, register_source
from firmware_emu.controller.timers import TIMERS, Timer
from firmware_emu.events import TraceEntry
from firmware_emu.now import Now
from firmware_emu.profile import Implant
from hil.campaign.conversation import Conversation, profile_of
from protocol.identifiers import Activity, AlarmClass, AlarmId, Outcome
from protocol.log.data import BolusEndData, BolusStartData
from protocol.log.types import Actor, BolusEndReason, DeliveryKind, LogType
from protocol.messages.alarms import AlarmAck, GetAlarms
from protocol.messages.ledger import QueryCmd
from protocol.messages.reading import GetDelivery, GetStatus
from tests.simulation.invariants import assert_log_is_whole, assert_volumes_agree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from firmware_emu.controller.timers import Schedule

SLOW = Implant(dose_ng_per_day=24_000)  # a basal stroke every 900 s
STROKE_NL = 500
PRIME_AT_MS = 61_000
PRIME_STROKES, PRIME_MS = 10, 20_000
PRIME = SourceRow(
    Source.PRIME,
    priority=1,
    unpack=ActiveBolus.unpack,
    activity=Activity.PRIME,
    log_kind=DeliveryKind.PRIME,
    start_type=LogType.PRIME_START,
    end_type=LogType.PRIME_END,
    counts_in_windows=False,
    partial_alarm=None,
    suspends=frozenset({Source.BOLUS}),
)


def prime_due_ms(schedule: Schedule) -> int | None:
    therapy = schedule.therapy
    begun = therapy.counters.seen[Source.PRIME] or therapy.deliveries.of_source(Source.PRIME) is not None
    return None if begun else PRIME_AT_MS


def begin_prime(schedule: Schedule, tick_ms: int) -> None:
    prime = ActiveBolus(Source.PRIME, 0, 0, STROKE_NL, PRIME_STROKES, PRIME_MS, tick_ms)
    schedule.therapy.start_delivery(prime, actor=Actor.PUMP)


@pytest.fixture
def third_source() -> Iterator[None]:
    """A prime that begins by itself, 61 s after the pump was started."""
    ours = SOURCES.pop(Source.PRIME)  # whose place it takes
    register_source(PRIME)
    timer = Timer("a prime", prime_due_ms, begin_prime)
    TIMERS.append(timer)
    yield
    TIMERS.remove(timer)
    SOURCES[Source.PRIME] = ours


@pytest.mark.usefixtures("third_source")
def test_a_third_source_delivers_suspends_a_bolus_and_lets_it_go_on() -> None:
    talk = Conversation.with_new_pump(profile_of(implant=SLOW))
    talk.wait_until(1_000)
    talk.start_bolus(1, 20_000, 400)  # a stroke every 10 s
    talk.wait_until(PRIME_AT_MS)
    assert talk.granted(GetStatus()).activity == Activity.PRIME | Activity.BOLUS | Activity.SUSPENDED_BOLUS
    talk.wait(PRIME_MS - 1)
    assert talk.granted(QueryCmd(1)).delivered_nl == 6 * STROKE_NL
    talk.wait(1)
    assert talk.granted(GetStatus()).activity == Activity.BOLUS
    talk.wait_until(1_000 + 400_000 + PRIME_MS - 1)
    assert talk.granted(QueryCmd(1)).outcome is Outcome.RUNNING
    talk.wait(1)
    assert (talk.granted(QueryCmd(1)).outcome, talk.granted(QueryCmd(1)).delivered_nl) == (
        Outcome.DONE,
        20_000,
    )
    delivered = talk.granted(GetDelivery())
    assert (delivered.bolus_nl, delivered.prime_nl) == (20_000, PRIME_STROKES * STROKE_NL)
    prime = {entry.type: entry.details() for entry in talk.log() if entry.type.name.startswith("PRIME")}
    assert prime == {
        LogType.PRIME_START: BolusStartData(5_000, 20, DeliveryKind.PRIME),
        LogType.PRIME_END: BolusEndData(5_000, 0, BolusEndReason.COMPLETE),
    }
    assert delivered.day_used_nl == 20_000, "a prime is in no window"
    told = [
        event.data for _, event in talk.trace if isinstance(event, LogWritten) and event.log_type in prime
    ]
    assert told == [*prime.values()]
    assert_volumes_agree(talk)
    assert_log_is_whole(talk)


@pytest.mark.usefixtures("third_source")
def test_a_power_cut_closes_a_third_source_and_what_it_had_suspended() -> None:
    talk = Conversation.with_new_pump(profile_of(implant=SLOW))
    talk.wait_until(1_000)
    talk.start_bolus(1, 20_000, 400)
    talk.wait_until(PRIME_AT_MS + 5_000)  # two strokes of the prime, six of the bolus
    talk.pump.cut_power()
    talk.pump.restore_power()
    found = talk.granted(QueryCmd(1))
    assert (found.outcome, found.delivered_nl, found.uncertain_nl) == (Outcome.PARTIAL, 3_000, 0)
    ends = {e.type: e.details() for e in talk.log() if e.type in (LogType.PRIME_END, LogType.BOLUS_END)}
    assert ends[LogType.PRIME_END] == BolusEndData(1_000, 0, BolusEndReason.POWER)
    assert ends[LogType.BOLUS_END] == BolusEndData(3_000, 0, BolusEndReason.POWER)


class Seen(ProgramEvent):
    """What the vendor's sensor has seen: an event of its own kind."""

    pressure_kpa: int


def raise_vendors_alarm(schedule: Schedule, _tick_ms: int) -> None:
    schedule.records.raise_alarm(AlarmId.VENDOR_1, 7)
    schedule.records.tell(Seen(pressure_kpa=7))


def test_an_alarm_of_a_vendor_sounds_blocks_a_bolus_and_survives_a_power_cut() -> None:
    row = AlarmRow(AlarmClass.CRITICAL, Priority.HIGH, Remedy.ACKNOWLEDGE)
    timer = Timer(
        "raise it",
        lambda schedule: None if schedule.records.alarms.is_active(AlarmId.VENDOR_1) else 61_000,
        raise_vendors_alarm,
    )
    register_alarm(AlarmId.VENDOR_1, row)
    TIMERS.append(timer)
    try:
        talk = Conversation.with_new_pump(profile_of(implant=SLOW))
        talk.wait_until(1_000)
        talk.start_bolus(1, 20_000, 400)
        talk.wait_until(71_000)
        told = [entry for entry in talk.trace if isinstance(entry.event, AlarmRaised | Seen)]
        alarm_seq = next(e.seq for e in talk.log() if e.type is LogType.ALARM_ON)
        assert told[:2] == [
            TraceEntry(Now.both(61_000), AlarmRaised(AlarmId.VENDOR_1, 0, 7, alarm_seq)),
            TraceEntry(Now.both(61_000), Seen(pressure_kpa=7)),
        ]
        assert talk.granted(QueryCmd(1)).outcome is Outcome.PARTIAL
        talk.pump.cut_power()
        talk.pump.restore_power()
        assert talk.granted(GetStatus()).alarm_active >> AlarmId.VENDOR_1 & 1
        rows = {each.alarm_id: each for each in talk.granted(GetAlarms()).alarms}
        assert rows[AlarmId.VENDOR_1].alarm_class is AlarmClass.CRITICAL
        assert rows[AlarmId.VENDOR_1].value == 7
        assert talk.granted(AlarmAck(AlarmId.VENDOR_1, rows[AlarmId.VENDOR_1].on_seq)).still_active
        with pytest.raises(ValueError, match="the alarm VENDOR_1 is there already"):
            register_alarm(AlarmId.VENDOR_1, row)
    finally:
        TIMERS.remove(timer)
        del ALARMS[AlarmId.VENDOR_1]


def test_a_timer_that_stays_due_is_named_and_does_not_hang_the_pump() -> None:
    timer = Timer("my own", lambda _schedule: 5_000, lambda _schedule, _tick_ms: None)
    TIMERS.append(timer)
    try:
        with pytest.raises(RuntimeError, match="the timer 'my own' is still due at 5000 ms after it ran"):
            Conversation.with_new_pump().wait_until(10_000)
    finally:
        TIMERS.remove(timer)


def test_a_source_is_registered_once_and_never_suspends_the_basal_rate() -> None:
    with pytest.raises(ValueError, match="the source BOLUS is there already"):
        register_source(SOURCES[Source.BOLUS])
    with pytest.raises(ValueError, match="BRIDGE cannot suspend the basal rate"):
        register_source(SourceRow(Source.BRIDGE, 1, ActiveBolus.unpack, suspends=frozenset({Source.BASAL})))
