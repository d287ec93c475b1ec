"""What a patient hears: when a tone begins, how often it comes again, and how long it can be silenced [DOMAIN 3]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.plugin import starts_as, verifies
from hil.suite.observing import MS_PER_DAY, LogMark, time_of_ms
from protocol.identifiers import AlarmId
from protocol.log.types import LogType

if TYPE_CHECKING:
    from hil.programmer.programmer import Programmer
    from hil.rig import Rig

CRITICAL_MS, NON_CRITICAL_MS = 900_000, 5_400_000
TOLERANCE_MS = 10
"""How far apart the pump's clock and the bench's may be; the length of a tone is held to 10 % [DOMAIN SR-54]."""

pytestmark = pytest.mark.needs("time", "tones", "reset")
quick_to_sound = starts_as(model={"critical_interval_s": 900, "noncritical_interval_s": 5_400})


def new_tones_ms(pump_rig: Rig, after_ms: int, *, critical: bool) -> list[int]:
    """When the tones of a class began since then; each has the length of its class."""
    tones = [tone for tone in pump_rig.tones() if tone.at_ms > after_ms and tone.critical == critical]
    length_ms = 3_000 if critical else 1_000
    assert all(abs(tone.duration_ms - length_ms) <= length_ms // 10 for tone in tones)
    return [tone.at_ms for tone in tones]


def assert_begin_at(heard_ms: list[int], *expected_ms: int) -> None:
    assert len(heard_ms) == len(expected_ms), (heard_ms, expected_ms)
    assert all(abs(heard - told) <= TOLERANCE_MS for heard, told in zip(heard_ms, expected_ms, strict=True))


@verifies("ALM-014", "ALM-016")
@quick_to_sound
def test_a_non_critical_alarm_sounds_when_it_begins_and_each_interval(
    pump: Programmer, pump_rig: Rig
) -> None:
    mark = LogMark(pump)
    assert pump_rig.run_until("alarm", 40 * MS_PER_DAY).reached
    (alarm,) = mark.entries(pump, LogType.ALARM_ON)
    pump_rig.advance(2 * NON_CRITICAL_MS)
    began_ms = time_of_ms(alarm)
    assert_begin_at(
        new_tones_ms(pump_rig, 0, critical=False), *(began_ms + n * NON_CRITICAL_MS for n in range(3))
    )


@verifies("ALM-014", "ALM-015", "ALM-016")
@pytest.mark.needs("faults")
@quick_to_sound
def test_a_critical_alarm_alone_is_heard_until_it_ends(running: Programmer, pump_rig: Rig) -> None:
    assert pump_rig.run_until("alarm", 40 * MS_PER_DAY).reached  # the reservoir is low: not critical
    mark = LogMark(running)
    pump_rig.inject("motor-stall")
    found = pump_rig.run_until("alarm", MS_PER_DAY)
    pump_rig.advance(8 * CRITICAL_MS)
    (stall,) = mark.entries(running, LogType.ALARM_ON)
    began_ms = time_of_ms(stall)
    assert_begin_at(
        new_tones_ms(pump_rig, found.now_ms - 1, critical=True),
        *(began_ms + n * CRITICAL_MS for n in range(9)),
    )
    assert new_tones_ms(pump_rig, found.now_ms, critical=False) == []
    pump_rig.clear("motor-stall")
    pump_rig.advance(MS_PER_DAY // 4)
    (over,) = mark.entries(running, LogType.ALARM_OFF)
    assert new_tones_ms(pump_rig, time_of_ms(over), critical=True) == []
    assert new_tones_ms(pump_rig, time_of_ms(over), critical=False), "the low reservoir is heard again"


@verifies("ALM-007", "ALM-009")
@pytest.mark.needs("faults")
@quick_to_sound
def test_a_critical_alarm_that_was_silenced_is_heard_again_when_the_session_is_over(
    running: Programmer, pump_rig: Rig
) -> None:
    pump_rig.inject("motor-stall")
    assert pump_rig.run_until("alarm", MS_PER_DAY).reached
    assert running.acknowledge_alarm(AlarmId.MOTOR_STALL).still_active
    silenced_ms = pump_rig.advance(CRITICAL_MS // 10)
    running.end_session()
    pump_rig.advance(CRITICAL_MS // 2)
    assert_begin_at(new_tones_ms(pump_rig, silenced_ms - 1, critical=True), silenced_ms)


@verifies("ALM-007")
@quick_to_sound
def test_a_non_critical_alarm_that_was_silenced_is_not_heard_again(pump: Programmer, pump_rig: Rig) -> None:
    assert pump_rig.run_until("alarm", 40 * MS_PER_DAY).reached
    pump.acknowledge_alarm(AlarmId.LOW_RESERVOIR)
    silenced_ms = pump_rig.clock().now_ms
    pump.end_session()
    pump_rig.advance(MS_PER_DAY // 2)
    assert new_tones_ms(pump_rig, silenced_ms, critical=False) == []


@verifies("ALM-014")
@pytest.mark.needs("power")
@quick_to_sound
def test_a_pump_without_power_is_not_heard(running: Programmer, pump_rig: Rig) -> None:
    assert running.status().rate_nl_per_day
    pump_rig.power_cut()
    off_ms = pump_rig.clock().now_ms
    pump_rig.power_restore(off_ms=MS_PER_DAY)
    pump_rig.advance(1_000)
    heard_ms = [tone.at_ms for tone in pump_rig.tones()]
    assert heard_ms, "a reset sounds"
    assert min(heard_ms) >= off_ms + MS_PER_DAY
