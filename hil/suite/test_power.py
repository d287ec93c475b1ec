"""Loss of power: the old therapy or the safe state, nothing twice, no gap, and time that goes on [SPEC 9, 12]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.errors import NotExecuted, OutcomeUnknown
from hil.plugin import needs, verifies
from hil.suite.observing import MS_PER_DAY, LogMark, Scale, alarm_row, is_latched, mono_ms
from hil.suite.refusals import refused
from protocol.identifiers import AlarmClass, AlarmFlag, AlarmId, ErrorCode, Outcome, State, StatusFlag
from protocol.log.types import BolusEndReason, LogFlag, LogType

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.programmer.programmer import Programmer
    from hil.rig import Rig

HOUR_MS = 3_600_000
VOLUME_NL, DURATION_S = 100_000, 600

pytestmark = pytest.mark.needs("time", "power", "reset")


def cut_and_restore(rig: Rig, off_ms: int = 0) -> None:
    """Pull the plug, and put it back."""
    rig.power_cut()
    assert rig.power_restore(off_ms)


@verifies("PWR-001", "PWR-005")
def test_the_old_therapy_goes_on_after_a_loss_of_power(running: Programmer, pump_rig: Rig) -> None:
    running.set_simple_program(275_000)
    before, program = running.status(), running.program()
    pump_rig.advance(10 * HOUR_MS + 12_345)
    delivered_nl, believed_nl = running.delivery().basal_nl, running.status().reservoir_calc_nl
    cut_and_restore(pump_rig)
    after = running.status()
    assert (after.state, after.rate_nl_per_day) == (State.RUN, 550_000)
    assert (after.program_rev, running.program()) == (before.program_rev, program)
    reset = alarm_row(running, AlarmId.RESET)
    assert reset is not None
    assert reset.flags == AlarmFlag.LATCHED
    assert reset.alarm_class is AlarmClass.CRITICAL
    # what was delivered since the last checkpoint, at most an hour ago, may be forgotten; nothing is invented
    hourly_nl = 550_000 // 24 + 500
    assert delivered_nl - hourly_nl <= running.delivery().basal_nl <= delivered_nl
    assert believed_nl <= after.reservoir_calc_nl <= believed_nl + hourly_nl


@verifies("LOG-003", "LOG-007")
def test_the_log_goes_on_without_a_gap_and_tells_of_the_restart(running: Programmer, pump_rig: Rig) -> None:
    pump_rig.advance(HOUR_MS)
    mark, kept = LogMark(running), running.read_log().entries
    cut_and_restore(pump_rig)
    log = running.read_log()
    assert log.complete
    assert log.entries[: len(kept)] == kept
    types = mark.types(running)
    assert types[:2] == [LogType.BOOT, LogType.RESET_BROWNOUT]
    assert types.count(LogType.BOOT) == 1
    boot = mark.entries(running, LogType.BOOT)[0]
    assert boot.details().boot_count == running.time().boot_count == 2
    assert LogFlag.POWER_CUT_RECOVERED in boot.flags
    status = running.log_status()
    assert (status.corrupt, status.bad_checkpoints) == (0, 0)


@verifies("TIM-001")
def test_monotonic_time_never_goes_back_over_a_restart_and_does_not_count_the_time_without_power(
    running: Programmer, pump_rig: Rig
) -> None:
    for on_ms, off_ms in ((1, 0), (500, 0), (999, 0), (12_345_678, 0), (100, 5 * HOUR_MS), (0, 0)):
        pump_rig.advance(on_ms)
        before_ms = mono_ms(running)
        cut_and_restore(pump_rig, off_ms)
        assert before_ms < mono_ms(running) <= before_ms + 2_000


@verifies("TIM-005")
def test_after_a_restart_the_wall_clock_is_doubted_until_it_is_set(
    running: Programmer, pump_rig: Rig
) -> None:
    assert StatusFlag.WALL_VALID in running.status().flags
    cut_and_restore(pump_rig, off_ms=HOUR_MS)
    status = running.status()
    assert StatusFlag.WALL_VALID not in status.flags
    assert alarm_row(running, AlarmId.WALL_INVALID) is not None
    with refused(ErrorCode.CONFIRM):
        running.set_time(status.wall_s + 3_600, status.tz_minutes)
    running.set_time(status.wall_s + 3_600, status.tz_minutes, confirm=True)
    after = running.status()
    assert StatusFlag.WALL_VALID in after.flags
    row = alarm_row(running, AlarmId.WALL_INVALID)
    assert row is None or AlarmFlag.ACTIVE not in row.flags


@verifies("PWR-002", "PWR-004")
@needs("balance")
@pytest.mark.parametrize("after_ms", [0, 2_999, 3_000, 599_999])
def test_a_bolus_that_power_interrupts_is_told_to_a_stroke_and_never_resumed(
    running: Programmer, pump_rig: Rig, after_ms: int
) -> None:
    mark, before = LogMark(running), running.delivery().bolus_nl
    scale, basal_before = Scale(pump_rig, running.limits().stroke_nl), running.delivery().basal_nl
    bolus = running.bolus(VOLUME_NL, DURATION_S)
    pump_rig.advance(after_ms)
    cut_and_restore(pump_rig)
    query = running.query(bolus.cmd_id)
    weighed_nl = scale.given_nl()
    basal_nl = after_ms // 72_000 * 500 - basal_before
    assert query.outcome in (Outcome.PARTIAL, Outcome.NOT_STARTED)
    assert query.uncertain_nl <= 500
    bolus_nl = weighed_nl - basal_nl
    assert query.delivered_nl - scale.within_nl <= bolus_nl
    assert bolus_nl <= query.delivered_nl + query.uncertain_nl + scale.within_nl
    assert is_latched(running.status(), AlarmId.BOLUS_PARTIAL) == (query.outcome is Outcome.PARTIAL)
    pump_rig.advance(HOUR_MS)
    assert running.delivery().bolus_nl - before == query.delivered_nl
    (end,) = mark.entries(running, LogType.BOLUS_END)
    assert (end.details().delivered_nl, end.details().uncertain_nl) == (
        query.delivered_nl,
        query.uncertain_nl,
    )
    assert end.details().reason is BolusEndReason.POWER
    assert end.cmd_id == bolus.cmd_id


@verifies("PWR-002", "LED-002")
def test_a_bolus_that_was_whole_before_the_cut_stays_done(running: Programmer, pump_rig: Rig) -> None:
    bolus = running.bolus(VOLUME_NL, DURATION_S)
    pump_rig.advance(DURATION_S * 1_000)
    cut_and_restore(pump_rig)
    query = running.query(bolus.cmd_id)
    assert (query.outcome, query.delivered_nl, query.uncertain_nl) == (Outcome.DONE, VOLUME_NL, 0)
    assert running.delivery().bolus_nl == VOLUME_NL


@verifies("PWR-006")
def test_stops_alarms_windows_and_refills_survive_a_loss_of_power(running: Programmer, pump_rig: Rig) -> None:
    running.refill(2_010_000, aspirated_nl=0)
    running.bolus(20_000, 120)
    pump_rig.advance(HOUR_MS // 2)
    running.stop(7_200)
    before, reservoir, delivery = running.status(), running.reservoir(), running.delivery()
    cut_and_restore(pump_rig)
    after = running.status()
    assert (after.state, after.stopped_by, after.rate_nl_per_day) == (State.STOP, before.stopped_by, 0)
    assert after.stop_expires_t_mono_s == before.stop_expires_t_mono_s
    assert after.reservoir_calc_nl == before.reservoir_calc_nl
    assert after.alarm_active & before.alarm_active == before.alarm_active != 0
    assert running.reservoir().last_fill_nl == reservoir.last_fill_nl
    assert running.delivery().day_used_nl == delivery.day_used_nl == 20_000
    assert after.last_cmd_id == before.last_cmd_id


@verifies("PWR-006", "BOL-006")
def test_the_least_gap_between_boluses_survives_a_loss_of_power(running: Programmer, pump_rig: Rig) -> None:
    running.bolus(20_000, 120)
    pump_rig.advance(120_000)
    cut_and_restore(pump_rig)
    with refused(ErrorCode.GAP):
        running.prepare_bolus(20_000, 120)


@verifies("PWR-001")
@needs("truth")
def test_a_pump_without_power_says_nothing_and_delivers_nothing(
    open_programmer: Callable[..., Programmer], pump_rig: Rig
) -> None:
    pump = open_programmer()
    pump_rig.power_cut()
    turned = pump_rig.state().truth["strokes_turned"]
    assert (pump_rig.state().powered, pump_rig.state().belief) == (False, None)
    pump_rig.advance(MS_PER_DAY)
    assert pump_rig.state().truth["strokes_turned"] == turned
    assert pump_rig.power_restore()
    assert pump.status().state is State.RUN


def _stop(pump: Programmer) -> None:
    pump.stop(3_600)


def _program(pump: Programmer) -> None:
    pump.commit_program(pump.stage_simple_program(275_000))


def _bolus(pump: Programmer) -> None:
    pump.bolus(20_000, 120)


def _refill(pump: Programmer) -> None:
    pump.refill(17_000_000, aspirated_nl=0)


COMMANDS: dict[str, Callable[[Programmer], None]] = {
    "stop": _stop,
    "program": _program,
    "bolus": _bolus,
    "refill": _refill,
}


@verifies("PWR-003", "LOG-003")
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_power_cut_in_a_memory_write_of_a_command_leaves_the_old_state_or_the_new_one(
    open_programmer: Callable[..., Programmer], pump_rig: Rig, command: Callable[[Programmer], None]
) -> None:
    pump = open_programmer(patience_ms=500)
    before = pump.status()
    pump_rig.power_cut(after_writes=2, torn_after_bytes=3)
    try:
        command(pump)
    except (NotExecuted, OutcomeUnknown):
        pump_rig.power_restore()
    else:
        assert not pump_rig.power_restore()
        pytest.fail("the command was over before its second write: this proves nothing")
    after = open_programmer().status()
    old = (before.state, before.program_rev, before.rate_nl_per_day)
    new = old
    if command is _stop:
        new = (State.STOP, before.program_rev, 0)
    elif command is _program:
        new = (State.RUN, before.program_rev + 1, 550_000)
    assert (after.state, after.program_rev, after.rate_nl_per_day) in (old, new)
    assert after.bolus_cmd_id == 0
    assert after.alarm_latched >> AlarmId.RESET & 1
    again = open_programmer()
    log = again.log_status()
    assert (log.corrupt, log.bad_checkpoints) == (0, 0)
    assert again.read_log().complete
