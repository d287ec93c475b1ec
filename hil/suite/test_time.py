"""The wall clock is an annotation: setting it moves no dose, no lockout, no window [SPEC 12]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.plugin import needs, starts_as, verifies
from hil.suite.observing import LogMark, alarm_row, mono_ms
from hil.suite.refusals import refused
from protocol.identifiers import AlarmId, ErrorCode, Outcome, State, StatusFlag, TimeSetReason
from protocol.log.data import TimeSetData
from protocol.log.types import LogType

if TYPE_CHECKING:
    from hil.programmer.programmer import Programmer
    from hil.rig import Rig

DAY_S, HOUR_MS = 86_400, 3_600_000
IN_2136 = 0xFFFF_FFF0
JUMPS = (3_600, -3_600, DAY_S, -DAY_S)


@verifies("TIM-003")
@needs("reset")
def test_a_small_correction_needs_no_confirmation_and_a_large_one_does(pump: Programmer) -> None:
    before = pump.time()
    assert pump.set_time(before.wall_s + 120, before.tz_minutes).reply.delta_s == 120
    for delta_s in (121, -121, DAY_S, -DAY_S):
        now = pump.time()
        with refused(ErrorCode.CONFIRM) as refusal:
            pump.set_time(now.wall_s + delta_s, now.tz_minutes)
        assert refusal.error.detail == delta_s & 0xFFFF_FFFF
        assert pump.time().wall_s == now.wall_s
    now = pump.time()
    assert pump.set_time(now.wall_s + DAY_S, now.tz_minutes, confirm=True).reply.delta_s == DAY_S
    assert pump.time().wall_s == now.wall_s + DAY_S


@verifies("TIM-003")
@needs("reset")
def test_a_change_of_zone_counts_as_a_change_of_the_clock(pump: Programmer) -> None:
    now = pump.time()
    with refused(ErrorCode.CONFIRM) as refusal:
        pump.set_time(now.wall_s, now.tz_minutes + 60, reason=TimeSetReason.ZONE)
    assert refusal.error.detail == 3_600
    done = pump.set_time(now.wall_s, now.tz_minutes + 60, reason=TimeSetReason.ZONE, confirm=True)
    assert done.reply.delta_s == 3_600
    assert pump.time().tz_minutes == now.tz_minutes + 60


@verifies("TIM-003")
def test_a_zone_that_is_nowhere_is_refused(pump: Programmer) -> None:
    now = pump.time()
    for tz_minutes in (-721, 841):
        with refused(ErrorCode.TIME_RANGE):
            pump.set_time(now.wall_s, tz_minutes, confirm=True)
    assert pump.time().tz_minutes == now.tz_minutes


@verifies("TIM-002", "LOG-001")
@needs("reset")
def test_setting_the_clock_is_logged_with_the_old_and_the_new_time(pump: Programmer) -> None:
    now, mark = pump.time(), LogMark(pump)
    done = pump.set_time(now.wall_s + 3_600, 60, confirm=True)
    (entry,) = mark.entries(pump)
    assert (entry.type, entry.seq, entry.cmd_id) == (LogType.TIME_SET, done.seq, done.cmd_id)
    assert entry.details() == TimeSetData(now.wall_s, now.wall_s + 3_600, now.tz_minutes, 60)
    assert StatusFlag.CLOCK_CHANGED in pump.status().flags


@verifies("TIM-002", "TIM-001")
@needs("time", "reset")
def test_a_clock_set_to_the_edge_of_time_changes_no_dose(running: Programmer, pump_rig: Rig) -> None:
    for target_s in (0, IN_2136):
        before_ms, basal_nl = mono_ms(running), running.delivery().basal_nl
        running.set_time(target_s, 0, confirm=True)
        assert mono_ms(running) == before_ms
        pump_rig.advance(24 * HOUR_MS)
        status = running.status()
        assert (status.state, status.rate_nl_per_day) == (State.RUN, 600_000)
        assert running.delivery().basal_nl - basal_nl == 600_000


@verifies("TIM-002")
@needs("time", "reset")
def test_a_clock_set_during_a_bolus_neither_shortens_nor_doubles_it(
    running: Programmer, pump_rig: Rig
) -> None:
    for jump_s in JUMPS:
        before_nl = running.delivery().bolus_nl
        bolus = running.bolus(100_000, 600)
        pump_rig.advance(300_000)
        running.set_time(running.time().wall_s + jump_s, 0, confirm=True)
        pump_rig.advance(299_999)
        assert running.query(bolus.cmd_id).outcome is Outcome.RUNNING
        pump_rig.advance(1)
        assert running.query(bolus.cmd_id).outcome is Outcome.DONE
        assert running.delivery().bolus_nl - before_nl == 100_000
        pump_rig.advance(HOUR_MS)


@verifies("TIM-002", "BOL-006")
@needs("time", "reset")
def test_a_clock_set_forward_does_not_shorten_a_gap_a_window_or_a_stop(
    running: Programmer, pump_rig: Rig
) -> None:
    running.bolus(100_000, 600)
    pump_rig.advance(600_000)
    used = running.delivery()
    running.set_time(running.time().wall_s + 2 * DAY_S, 0, confirm=True)
    with refused(ErrorCode.GAP):
        running.prepare_bolus(100_000, 600)
    after = running.delivery()
    assert (after.hour_used_nl, after.day_used_nl) == (used.hour_used_nl, used.day_used_nl) == (100_000,) * 2
    running.stop(3_600)
    running.set_time(running.time().wall_s + 3 * DAY_S, 0, confirm=True)
    assert running.status().stopped_s == 0
    pump_rig.advance(HOUR_MS - 1)
    assert running.status().alarm_active == 0
    pump_rig.advance(1)
    assert running.status().alarm_active >> AlarmId.STOP_EXPIRED & 1


@verifies("TIM-005")
@starts_as("factory")
def test_a_clock_that_was_never_set_is_invalid_until_it_is(pump: Programmer) -> None:
    assert StatusFlag.WALL_VALID not in pump.status().flags
    with refused(ErrorCode.CONFIRM):
        pump.set_time(800_000_000, 0, reason=TimeSetReason.FIRST_SET)
    first = pump.set_time(800_000_000, 60, reason=TimeSetReason.FIRST_SET, confirm=True)
    assert first.reply.delta_s == -(2**31)
    status = pump.status()
    assert StatusFlag.WALL_VALID in status.flags
    assert (status.wall_s, status.tz_minutes) == (800_000_000, 60)
    assert alarm_row(pump, AlarmId.WALL_INVALID) is None
