"""Rules that bind all alarms: the pace of a class, silence, a loss of power, a tube that was set [DOMAIN 3].

What needs the rig's `tones` listens to the transducer; `faults` holds the rotor; `power` takes the supply away.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from hil.plugin import needs, starts_as, verifies
from hil.suite.observing import MS_PER_DAY, MS_PER_S, LogMark, is_active, is_latched
from protocol.identifiers import AlarmId, ConfigId, OnExpiry, Role, State, StopReason
from protocol.log.data import ConfigWriteData
from protocol.log.types import LogType

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.programmer.programmer import Programmer
    from hil.rig import Rig

HOUR_S, HOUR_MS = 3_600, 3_600_000
MINUTE_MS = 60_000
CRITICAL_MS = 10 * MINUTE_MS
TOLERANCE_MS = 10

pytestmark = pytest.mark.needs("reset")


def critical_tones_ms(pump_rig: Rig, since_ms: int) -> list[int]:
    return [tone.at_ms for tone in pump_rig.tones() if tone.critical and tone.at_ms >= since_ms]


@verifies("ALM-018")
@needs("time", "tones", "stall", "power")
def test_where_one_critical_alarm_ends_and_another_lasts_no_interval_is_without_a_tone(
    running: Programmer, pump_rig: Rig
) -> None:
    """A stall that ends eight minutes after it was found, and a reset in between that lasts."""
    pump_rig.stall(on=True)
    found = pump_rig.run_until("alarm", MS_PER_DAY)
    assert found.reached
    pump_rig.advance(5 * MINUTE_MS)
    pump_rig.stall(on=False)
    pump_rig.advance(90_000)
    pump_rig.power_cut()
    pump_rig.power_restore()
    pump_rig.advance(2 * HOUR_MS)
    status = running.status()
    assert not is_active(status, AlarmId.MOTOR_STALL)
    assert is_latched(status, AlarmId.RESET)
    heard_ms = critical_tones_ms(pump_rig, found.now_ms)
    assert len(heard_ms) >= 12
    assert max(late - early for early, late in pairwise(heard_ms)) <= CRITICAL_MS + TOLERANCE_MS


@verifies("ALM-019")
@needs("time", "tones", "stall")
def test_an_alarm_that_is_silenced_three_times_in_ten_minutes_is_heard_three_times_again(
    running: Programmer, pump_rig: Rig
) -> None:
    pump_rig.stall(on=True)
    assert pump_rig.run_until("alarm", MS_PER_DAY).reached
    for _ in range(3):
        pump_rig.advance(2 * MINUTE_MS)
        assert running.acknowledge_alarm(AlarmId.MOTOR_STALL).still_active
        pump_rig.advance(MINUTE_MS)
        ended_ms = pump_rig.clock().now_ms
        running.end_session()
        pump_rig.advance(1_000)
        (heard_ms,) = critical_tones_ms(pump_rig, ended_ms)
        assert heard_ms - ended_ms <= TOLERANCE_MS


@verifies("ALM-020")
@needs("time", "tones", "stall", "power")
def test_a_silenced_alarm_is_heard_within_an_interval_after_a_loss_of_power(
    running: Programmer, pump_rig: Rig
) -> None:
    pump_rig.stall(on=True)
    assert pump_rig.run_until("alarm", MS_PER_DAY).reached
    running.acknowledge_alarm(AlarmId.MOTOR_STALL)
    pump_rig.power_cut()
    pump_rig.power_restore(off_ms=MINUTE_MS)
    restored_ms = pump_rig.clock().now_ms
    pump_rig.advance(CRITICAL_MS)
    assert critical_tones_ms(pump_rig, restored_ms)
    assert is_active(running.status(), AlarmId.MOTOR_STALL)


@verifies("ALM-021")
@needs("time")
def test_a_tube_that_was_set_is_told_once_and_no_patient_takes_the_mark_away(
    running: Programmer, pump_rig: Rig, pump_as: Callable[[Role], Programmer]
) -> None:
    pump_rig.advance(HOUR_MS)  # a rotor that has never turned sets no tube
    mark = LogMark(running)
    running.stop(48 * HOUR_S, reason=StopReason.CLINICAL)
    pump_rig.advance(48 * HOUR_MS)
    assert is_latched(running.status(), AlarmId.TUBE_SET)
    running.end_session()
    pump_as(Role.PATIENT).acknowledge_alarm(AlarmId.TUBE_SET)
    pump_as(Role.PATIENT).end_session()
    pump_rig.advance(24 * HOUR_MS)
    assert is_latched(running.status(), AlarmId.TUBE_SET)
    running.resume()
    pump_rig.advance(24 * HOUR_MS)
    assert is_latched(running.status(), AlarmId.TUBE_SET)
    running.acknowledge_alarm(AlarmId.TUBE_SET)
    assert not is_latched(running.status(), AlarmId.TUBE_SET)
    assert len(mark.entries(running, LogType.TUBE_SET)) == 1


@verifies("ALM-022")
@needs("time", "tones")
def test_a_stop_that_ended_at_the_safe_rate_is_heard_until_the_program_runs(
    running: Programmer, pump_rig: Rig
) -> None:
    running.stop(HOUR_S, on_expiry=OnExpiry.SAFE_RATE)
    running.end_session()
    pump_rig.advance(HOUR_MS)
    expired_ms = pump_rig.clock().now_ms
    pump_rig.advance(HOUR_MS)
    heard_ms = critical_tones_ms(pump_rig, expired_ms - TOLERANCE_MS)
    assert len(heard_ms) == 7
    status = running.status()
    assert status.state is State.SAFE_STATE
    assert is_active(status, AlarmId.STOP_EXPIRED)
    running.set_simple_program(300_000, start=True)
    assert not is_active(running.status(), AlarmId.STOP_EXPIRED)


@verifies("ALM-017")
@needs("time", "tones")
@starts_as(implant={"filled_nl": 2_100_000})
@pytest.mark.parametrize("interval_s", [60, 86_400])
def test_the_shortest_and_the_longest_interval_of_a_non_critical_alarm_are_heard(
    pump: Programmer, pump_rig: Rig, interval_s: int
) -> None:
    pump.configure(ConfigId.NONCRITICAL_INTERVAL_S, interval_s)
    found = pump_rig.run_until("alarm", MS_PER_DAY)
    assert found.reached
    pump.end_session()
    pump_rig.advance(2 * interval_s * MS_PER_S)
    heard_ms = [tone.at_ms for tone in pump_rig.tones() if not tone.critical]
    assert [at_ms - heard_ms[0] for at_ms in heard_ms] == [
        0,
        interval_s * MS_PER_S,
        2 * interval_s * MS_PER_S,
    ]


@verifies("LOG-017")
def test_what_was_configured_is_in_the_log_once_with_before_and_after(running: Programmer) -> None:
    mark, before = LogMark(running), running.limits().bolus_max_nl
    for _ in range(2):
        running.configure(ConfigId.BOLUS_MAX_NL, before - 1_000)
        running.configure(ConfigId.PATIENT_ID, "Meier")
    entries = mark.entries(running, LogType.CONFIG_WRITE)
    assert [entry.details() for entry in entries] == [
        ConfigWriteData(ConfigId.BOLUS_MAX_NL, before, before - 1_000),
        ConfigWriteData(ConfigId.PATIENT_ID, len(""), len("Meier")),
    ]
    assert all(entry.actor >> 4 == Role.CLINICIAN for entry in entries)
