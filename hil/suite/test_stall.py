"""A motor that stands still: how it is found, what is counted meanwhile, and that nothing is caught up [DOMAIN 3.4]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.plugin import needs, verifies
from hil.suite.observing import MS_PER_DAY, LogMark, alarm_row, is_active, is_latched, mono_ms, time_of_ms
from protocol.identifiers import AlarmClass, AlarmFlag, AlarmId, Outcome, State
from protocol.log.types import LogType

if TYPE_CHECKING:
    from hil.programmer.programmer import Programmer
    from hil.rig import Rig

HOUR_MS = 3_600_000
STROKE_MS = 72_000  # 500 nL at 600,000 nL/day
DETECT_MS = 1_200_000
LATEST_FOUND_MS = DETECT_MS + 2 * STROKE_MS  # from a stall just after a stroke

pytestmark = pytest.mark.needs("time", "stall", "reset")


@verifies("ALM-003")
@needs("truth")
def test_a_stalled_motor_is_found_by_its_missing_edges_within_the_detection_time(
    running: Programmer, pump_rig: Rig
) -> None:
    pump_rig.advance(10_000)
    mark = LogMark(running)
    pump_rig.stall(on=True)
    found = pump_rig.run_until("alarm", MS_PER_DAY)
    assert found.reached
    assert DETECT_MS <= found.now_ms - 10_000 <= LATEST_FOUND_MS
    row = alarm_row(running, AlarmId.MOTOR_STALL)
    assert row is not None
    assert (row.alarm_class, row.flags) == (AlarmClass.CRITICAL, AlarmFlag.ACTIVE | AlarmFlag.LATCHED)
    stall, alarm = mark.entries(running)
    assert (stall.type, alarm.type) == (LogType.STALL, LogType.ALARM_ON)
    missed = pump_rig.state().truth["strokes_missed"]
    assert (stall.details().missed_edges, alarm.details().value) == (missed, 500 * missed)
    assert time_of_ms(alarm) == mono_ms(running)


@verifies("ALM-003", "ALM-005")
@needs("truth")
def test_a_stall_costs_what_was_missed_and_nothing_of_it_is_caught_up(
    running: Programmer, pump_rig: Rig
) -> None:
    """WE-32: 25, 300, 600 mcg at 300 mcg/day: 50,000 nL, 600,000 nL, 1,200,000 nL at 500 mcg/mL."""
    for hours in (2, 24, 48):
        before, missed = running.delivery(), pump_rig.state().truth["strokes_missed"]
        mark = LogMark(running)
        pump_rig.stall(on=True)
        pump_rig.advance(hours * HOUR_MS)
        pump_rig.stall(on=False)
        assert running.delivery().basal_nl == before.basal_nl
        pump_rig.advance(HOUR_MS)
        (recovered,) = mark.entries(running, LogType.STALL_RECOVERED)
        assert recovered.details().missed_nl == 25_000 * hours
        assert running.delivery().basal_nl - before.basal_nl == 25_000  # one hour, and no more
        assert (pump_rig.state().truth["strokes_missed"] - missed) * 500 == 25_000 * hours
        pump_rig.advance(MS_PER_DAY)
        assert running.delivery().basal_nl - before.basal_nl == 625_000


@verifies("ALM-012")
def test_the_calculated_reservoir_counts_what_was_commanded_and_delivery_what_was_seen(
    running: Programmer, pump_rig: Rig
) -> None:
    before = running.status()
    pump_rig.stall(on=True)
    pump_rig.advance(2 * HOUR_MS)
    after = running.status()
    assert before.reservoir_calc_nl - after.reservoir_calc_nl == 50_000
    assert after.delivered_total_nl == before.delivered_total_nl


@verifies("ALM-003", "ALM-006")
def test_recovery_ends_the_alarm_by_itself_and_leaves_it_latched(running: Programmer, pump_rig: Rig) -> None:
    pump_rig.stall(on=True)
    pump_rig.advance(HOUR_MS)
    mark = LogMark(running)
    pump_rig.stall(on=False)
    pump_rig.advance(3 * STROKE_MS)
    status = running.status()
    assert not is_active(status, AlarmId.MOTOR_STALL)
    assert is_latched(status, AlarmId.MOTOR_STALL)
    assert status.state is State.RUN
    assert mark.types(running) == [LogType.STALL_RECOVERED, LogType.ALARM_OFF]
    running.acknowledge_alarm(AlarmId.MOTOR_STALL)
    assert not is_latched(running.status(), AlarmId.MOTOR_STALL)


@verifies("ALM-003")
@needs("truth")
def test_a_stall_shorter_than_the_detection_time_raises_nothing(running: Programmer, pump_rig: Rig) -> None:
    before, mark = running.delivery().basal_nl, LogMark(running)
    pump_rig.stall(on=True)
    pump_rig.advance(DETECT_MS - STROKE_MS)
    pump_rig.stall(on=False)
    pump_rig.advance(HOUR_MS)
    assert mark.entries(running) == []
    assert running.status().alarm_latched == 0
    missed_nl = pump_rig.state().truth["strokes_missed"] * 500
    assert missed_nl > 0
    assert (
        running.delivery().basal_nl - before
        == 25_000 + (DETECT_MS - STROKE_MS) // STROKE_MS * 500 - missed_nl
    )


@verifies("ALM-013")
def test_three_stalls_in_three_days_are_three_pairs_in_the_log(running: Programmer, pump_rig: Rig) -> None:
    mark = LogMark(running)
    for _ in range(3):
        pump_rig.stall(on=True)
        pump_rig.advance(HOUR_MS)
        pump_rig.stall(on=False)
        pump_rig.advance(MS_PER_DAY - HOUR_MS)
    types = [entry.type for entry in mark.entries(running, LogType.STALL, LogType.STALL_RECOVERED)]
    assert types == [LogType.STALL, LogType.STALL_RECOVERED] * 3


@verifies("ALM-004")
def test_a_stopped_pump_finds_no_stall_until_it_is_started_again(running: Programmer, pump_rig: Rig) -> None:
    running.stop(172_800)
    pump_rig.stall(on=True)
    pump_rig.advance(24 * HOUR_MS)
    assert running.status().alarm_latched == 0
    running.resume()
    resumed_ms = pump_rig.clock().now_ms
    found = pump_rig.run_until("alarm", MS_PER_DAY)
    assert found.reached
    assert DETECT_MS <= found.now_ms - resumed_ms <= LATEST_FOUND_MS
    assert is_active(running.status(), AlarmId.MOTOR_STALL)


@verifies("BOL-018", "ALM-005")
def test_a_bolus_during_a_stall_ends_partial_with_the_strokes_that_were_seen(
    running: Programmer, pump_rig: Rig
) -> None:
    before = running.delivery().bolus_nl
    bolus = running.bolus(100_000, 600)
    pump_rig.advance(300_000)
    pump_rig.stall(on=True)
    pump_rig.advance(150_000)
    pump_rig.stall(on=False)
    pump_rig.advance(HOUR_MS)
    query, delivered_nl = running.query(bolus.cmd_id), running.delivery().bolus_nl - before
    assert (query.outcome, query.delivered_nl, query.uncertain_nl) == (Outcome.PARTIAL, delivered_nl, 0)
    assert delivered_nl == 75_000
