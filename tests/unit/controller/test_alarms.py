"""Alarms: condition, occurrence, signal, latching, acknowledgement."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_emu.controller.alarms.alarm_table import ALARMS, Priority, Remedy
from firmware_emu.controller.alarms.alarms import Acknowledged, Alarms
from firmware_emu.controller.alarms.tones import ToneIntervals, next_tone
from firmware_emu.controller.memory.memory_map import PLACES, Region
from firmware_emu.pins import Tone
from protocol.identifiers import AlarmClass, AlarmFlag, AlarmId
from tests.support.for_each import for_each

CRITICAL_SILENCE_MAX_MS = 1_800_000  # [SPEC 6.3, ALARM_ACK]

INTERVALS = ToneIntervals(critical_ms=600_000, non_critical_ms=3_600_000)
CRITICAL = {2, 3, 4, 5, 7, 9, 10, 15, 17}


def test_every_alarm_has_a_row_and_its_class_is_the_wires() -> None:
    assert set(ALARMS) == {alarm for alarm in AlarmId if not alarm.name.startswith("VENDOR_")}
    assert {id_ for id_, row in ALARMS.items() if row.alarm_class is AlarmClass.CRITICAL} == CRITICAL


def test_what_kills_when_nobody_comes_has_high_priority() -> None:
    for row in ALARMS.values():
        assert (row.priority is Priority.HIGH) == (row.alarm_class is AlarmClass.CRITICAL)


def test_a_momentary_alarm_latches_its_signal_or_nobody_would_hear_it() -> None:
    assert all(row.latching for row in ALARMS.values() if row.momentary)


def test_a_condition_that_begins_is_active_and_latched() -> None:
    alarms = Alarms()
    assert alarms.raise_(AlarmId.MOTOR_STALL, 1_000, on_seq=17, value=5, cause=2)
    assert (alarms.active_mask, alarms.latched_mask) == (1 << 3, 1 << 3)
    assert alarms.critical_active
    ((occurrence, flags),) = alarms.listed(1_000)
    assert (occurrence.on_seq, occurrence.on_ms, occurrence.value, occurrence.cause) == (17, 1_000, 5, 2)
    assert flags == AlarmFlag.ACTIVE | AlarmFlag.LATCHED


def test_a_condition_that_lasts_is_one_occurrence() -> None:
    alarms = Alarms()
    alarms.raise_(AlarmId.MOTOR_STALL, 1_000, on_seq=17)
    assert not alarms.raise_(AlarmId.MOTOR_STALL, 2_000, on_seq=18)
    assert alarms.occurrences[AlarmId.MOTOR_STALL].on_seq == 17


def test_a_condition_that_ends_stays_latched_until_it_is_acknowledged() -> None:
    alarms = Alarms()
    alarms.raise_(AlarmId.MOTOR_STALL, 1_000, on_seq=17)
    assert alarms.clear(AlarmId.MOTOR_STALL, 2_000)
    assert not alarms.clear(AlarmId.MOTOR_STALL, 2_000)
    assert (alarms.active_mask, alarms.latched_mask, alarms.critical_active) == (0, 1 << 3, False)
    assert alarms.acknowledge(AlarmId.MOTOR_STALL, 17, 9_000) == Acknowledged(False, None)
    assert alarms.latched_mask == 0
    assert alarms.listed(9_000) == ()


@for_each("alarm_id", [AlarmId.RESET, AlarmId.BOLUS_PARTIAL])
def test_a_momentary_alarm_is_latched_but_blocks_nothing(alarm_id: AlarmId) -> None:
    alarms = Alarms()
    assert alarms.raise_(alarm_id, 0, on_seq=1)
    assert not alarms.critical_active
    assert (alarms.is_active(alarm_id), alarms.is_latched(alarm_id)) == (False, True)
    assert next_tone(alarms, 0, INTERVALS) is not None
    assert alarms.raise_(alarm_id, 5, on_seq=2)
    assert alarms.acknowledge(alarm_id, 1, 10) is None
    alarms.acknowledge(alarm_id, 2, 10)
    assert next_tone(alarms, 10, INTERVALS) is None
    assert alarms.is_latched(alarm_id) == (alarm_id is AlarmId.RESET)


def test_only_the_last_occurrence_can_be_acknowledged() -> None:
    alarms = Alarms()
    assert alarms.acknowledge(AlarmId.EMPTY, 0, 0) is None
    alarms.raise_(AlarmId.EMPTY, 0, on_seq=4)
    assert alarms.acknowledge(AlarmId.EMPTY, 3, 0) is None
    assert alarms.is_latched(AlarmId.EMPTY)


@for_each("alarm_id", [AlarmId.ERI, AlarmId.EOS, AlarmId.MEM_CRITICAL, AlarmId.RESET])
def test_what_must_not_be_forgotten_stays_latched_until_its_remedy(alarm_id: AlarmId) -> None:
    alarms = Alarms()
    alarms.raise_(alarm_id, 0, on_seq=1)
    alarms.acknowledge(alarm_id, 1, 10)
    assert alarms.is_latched(alarm_id)
    was_active = alarms.is_active(alarm_id)
    assert alarms.remedied(ALARMS[alarm_id].remedy, 20) == ((alarm_id,) if was_active else ())
    assert (alarms.active_mask, alarms.latched_mask) == (0, 0)


def test_a_refill_ends_low_and_empty_and_nothing_else() -> None:
    alarms = Alarms()
    for alarm_id in (AlarmId.EMPTY, AlarmId.LOW_RESERVOIR, AlarmId.MOTOR_STALL):
        alarms.raise_(alarm_id, 0, on_seq=alarm_id)
    assert alarms.remedied(Remedy.REFILL, 9) == (AlarmId.LOW_RESERVOIR, AlarmId.EMPTY)
    assert alarms.active_mask == 1 << AlarmId.MOTOR_STALL
    assert alarms.is_latched(AlarmId.EMPTY)
    assert alarms.remedied(Remedy.REFILL, 9) == ()


# --- the signal -----------------------------------------------------------------------------------------


def critical(at_ms: int) -> Tone:
    return Tone(at_ms, critical=True, duration_ms=3_000)


def non_critical(at_ms: int) -> Tone:
    return Tone(at_ms, critical=False, duration_ms=1_000)


@pytest.mark.parametrize(
    ("from_ms", "at_ms"),
    [(0, 1_000), (1_000, 1_000), (1_001, 601_000), (601_000, 601_000), (601_001, 1_201_000)],
)
def test_a_critical_tone_begins_with_its_condition_and_then_every_interval(from_ms: int, at_ms: int) -> None:
    alarms = Alarms()
    alarms.raise_(AlarmId.EMPTY, 1_000, on_seq=1)
    assert next_tone(alarms, from_ms, INTERVALS) == critical(at_ms)


def test_a_non_critical_tone_has_an_interval_of_its_own() -> None:
    alarms = Alarms()
    alarms.raise_(AlarmId.LOW_RESERVOIR, 0, on_seq=1)
    assert next_tone(alarms, 0, INTERVALS) == non_critical(0)
    assert next_tone(alarms, 1, INTERVALS) == non_critical(3_600_000)


def test_nothing_sounds_without_an_alarm() -> None:
    assert next_tone(Alarms(), 0, INTERVALS) is None


def test_the_highest_class_sounds_and_the_other_goes_on_at_its_own_pace() -> None:
    alarms = Alarms()
    alarms.raise_(AlarmId.LOW_RESERVOIR, 0, on_seq=1)
    alarms.raise_(AlarmId.MOTOR_STALL, 500, on_seq=2)
    assert next_tone(alarms, 500, INTERVALS) == critical(500)
    assert next_tone(alarms, 3_000_501, INTERVALS) == critical(3_600_500), "nothing of the other at 3,600,000"
    alarms.clear(AlarmId.MOTOR_STALL, 3_000_501)
    assert next_tone(alarms, 3_000_501, INTERVALS) == non_critical(3_600_000)


def test_two_alarms_of_a_class_sound_at_the_pace_of_the_first() -> None:
    alarms = Alarms()
    alarms.raise_(AlarmId.EMPTY, 0, on_seq=1)
    alarms.raise_(AlarmId.MOTOR_STALL, 500, on_seq=2)
    assert next_tone(alarms, 500, INTERVALS) == critical(600_000)


def test_a_silenced_non_critical_alarm_sounds_when_its_condition_begins_anew() -> None:
    alarms = Alarms()
    alarms.raise_(AlarmId.LOW_RESERVOIR, 0, on_seq=1)
    assert alarms.acknowledge(AlarmId.LOW_RESERVOIR, 1, 10) == Acknowledged(True, None)
    alarms.end_session(20)
    assert next_tone(alarms, 20, INTERVALS) is None
    ((_, flags),) = alarms.listed(20)
    assert flags == AlarmFlag.ACTIVE | AlarmFlag.SILENCED
    alarms.remedied(Remedy.REFILL, 30)
    alarms.raise_(AlarmId.LOW_RESERVOIR, 30, on_seq=2)
    assert next_tone(alarms, 30, INTERVALS) == non_critical(30)


def test_a_silenced_critical_alarm_sounds_again_when_the_session_ends() -> None:
    alarms = Alarms()
    alarms.raise_(AlarmId.EMPTY, 0, on_seq=1)
    until_ms = 10 + CRITICAL_SILENCE_MAX_MS
    assert alarms.acknowledge(AlarmId.EMPTY, 1, 10) == Acknowledged(True, until_ms)
    assert next_tone(alarms, 20, INTERVALS) == critical(until_ms), "after half an hour at the latest"
    assert AlarmFlag.SILENCED in alarms.listed(20)[0][1]
    alarms.end_session(5_000)
    assert next_tone(alarms, 5_000, INTERVALS) == critical(5_000)
    assert AlarmFlag.SILENCED not in alarms.listed(5_000)[0][1]


def test_a_tone_is_due_when_a_silence_ends_though_another_alarm_sounds_meanwhile() -> None:
    alarms = Alarms()
    alarms.raise_(AlarmId.EMPTY, 0, on_seq=1)
    alarms.raise_(AlarmId.LOW_RESERVOIR, 0, on_seq=2)
    alarms.acknowledge(AlarmId.EMPTY, 1, 0)
    assert next_tone(alarms, 0, INTERVALS) == non_critical(0)
    assert next_tone(alarms, 500, INTERVALS) == critical(CRITICAL_SILENCE_MAX_MS)


@given(st.lists(st.tuples(st.integers(0, 10**7), st.sampled_from(sorted(CRITICAL))), min_size=1))
def test_while_a_critical_condition_lasts_the_next_tone_is_never_more_than_an_interval_away(
    raised: list[tuple[int, int]],
) -> None:
    alarms = Alarms()
    for seq, (tick_ms, alarm_id) in enumerate(sorted(raised)):
        alarms.raise_(AlarmId(alarm_id), tick_ms, on_seq=seq)
        tone = next_tone(alarms, tick_ms + 1, INTERVALS)
        assert tone is not None
        assert tone.critical
        assert tick_ms < tone.at_ms <= tick_ms + INTERVALS.critical_ms


@for_each("alarm_id", [AlarmId.KEY_RECOVERY, AlarmId.TUBE_SET])
def test_what_a_clinician_must_see_is_silenced_by_a_patient_and_stays_latched(alarm_id: AlarmId) -> None:
    alarms = Alarms()
    alarms.raise_(alarm_id, 0, on_seq=1)
    assert alarms.acknowledge(alarm_id, 1, 10, by_clinician=False) == Acknowledged(False, None)
    assert next_tone(alarms, 10, INTERVALS) is None
    ((_, flags),) = alarms.listed(10)
    assert flags == AlarmFlag.LATCHED | AlarmFlag.SILENCED
    alarms.acknowledge(alarm_id, 1, 20)
    assert alarms.listed(20) == ()


def test_every_other_alarm_is_acknowledged_by_a_patient_as_by_a_clinician() -> None:
    for alarm_id in set(ALARMS) - {AlarmId.KEY_RECOVERY, AlarmId.TUBE_SET}:
        by_patient, by_clinician = Alarms(), Alarms()
        for alarms in (by_patient, by_clinician):
            alarms.raise_(alarm_id, 0, on_seq=1)
            alarms.acknowledge(alarm_id, 1, 10, by_clinician=alarms is by_clinician)
        assert by_patient == by_clinician


@pytest.mark.parametrize(
    ("first", "second"),
    [(AlarmId.EMPTY, AlarmId.MOTOR_STALL), (AlarmId.LOW_RESERVOIR, AlarmId.WALL_INVALID)],
)
def test_where_one_alarm_ends_and_another_lasts_the_next_tone_is_an_interval_after_the_last(
    first: AlarmId, second: AlarmId
) -> None:
    """[DOMAIN SR-55, P7]: else a patient hears nothing for nearly two intervals though an alarm was on all the time."""
    for over in (False, True):
        alarms = Alarms()
        alarms.raise_(first, 0, on_seq=1)
        interval_ms = 600_000 if first in CRITICAL else 3_600_000
        alarms.raise_(second, interval_ms - 2, on_seq=2)
        if over:
            alarms.clear(first, interval_ms - 1)
        else:
            alarms.acknowledge(first, 1, interval_ms - 1)
        tone = next_tone(alarms, interval_ms - 1, INTERVALS)
        assert tone is not None
        assert tone.at_ms == interval_ms


def test_an_alarm_that_begins_while_another_is_silenced_for_a_time_is_heard_at_once() -> None:
    alarms = Alarms()
    alarms.raise_(AlarmId.EMPTY, 0, on_seq=1)
    alarms.acknowledge(AlarmId.EMPTY, 1, 100)
    alarms.raise_(AlarmId.MOTOR_STALL, 5_000, on_seq=2)
    assert next_tone(alarms, 5_000, INTERVALS) == critical(5_000)
    alarms.end_session(6_000)
    assert next_tone(alarms, 6_000, INTERVALS) == critical(605_000), "the class has not been silent since"


def test_a_momentary_alarm_that_occurs_again_is_heard_at_once() -> None:
    alarms = Alarms()
    alarms.raise_(AlarmId.RESET, 0, on_seq=1)
    alarms.raise_(AlarmId.RESET, 1_000, on_seq=2)
    assert next_tone(alarms, 1_000, INTERVALS) == critical(1_000)


# --- memory ---------------------------------------------------------------------------------------------


def test_alarms_survive_packing_but_a_critical_silence_does_not() -> None:
    alarms = Alarms()
    alarms.raise_(AlarmId.EMPTY, 10**11, on_seq=1, value=2**40, cause=9)
    alarms.raise_(AlarmId.LOW_RESERVOIR, 0, on_seq=2)
    alarms.raise_(AlarmId.BOLUS_PARTIAL, 0, on_seq=3)
    alarms.acknowledge(AlarmId.LOW_RESERVOIR, 2, 5)
    assert len(alarms.pack()) == 3 * 17
    assert PLACES[Region.ALARMS].capacity_bytes >= 31 * 17, "there is room for as many as there are bits"
    again = Alarms.unpack(alarms.pack())
    assert again == alarms
    assert copy.deepcopy(alarms) == alarms
    assert again.occurrences[AlarmId.EMPTY].value == 0xFFFF_FFFF
    alarms.acknowledge(AlarmId.EMPTY, 1, 10**11)
    assert next_tone(Alarms.unpack(alarms.pack()), 10**11, INTERVALS) == critical(10**11)


def test_damaged_alarms_are_refused() -> None:
    with pytest.raises(ValueError, match="alarms in 3 bytes"):
        Alarms.unpack(b"abc")
    with pytest.raises(ValueError, match="LOW_RESERVOIR with flags 0x8"):
        Alarms.unpack(b"\x01\x08" + bytes(15))
