"""Alarms of the reservoir, and what every alarm has in common: active, latched, acknowledged [SPEC 6, DOMAIN 3]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.plugin import needs, verifies
from hil.suite.observing import MS_PER_DAY, LogMark, alarm_row, is_active, is_latched
from hil.suite.refusals import check_refusal, refused
from protocol.identifiers import AlarmClass, AlarmFlag, AlarmId, ErrorCode, Outcome, Role, State, StateReason
from protocol.log.types import BolusEndReason, LogType
from protocol.messages.alarms import AlarmAck

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.programmer.programmer import Programmer
    from hil.rig import Rig
    from hil.suite.raw_client import RawClient

DAY = MS_PER_DAY


def filled_with(fill_nl: int, alarm_nl: int, dose_ng_per_day: int, ng_per_ml: int) -> pytest.MarkDecorator:
    """Start with this fill, in the smallest reservoir that holds it."""
    size_nl = 20_000_000 if fill_nl <= 20_000_000 else 40_000_000
    return pytest.mark.starts_as(
        "implanted",
        model={"reservoir_size_nl": size_nl, "low_reservoir_alarm_nl": alarm_nl},
        implant={
            "filled_nl": fill_nl,
            "dose_ng_per_day": dose_ng_per_day,
            "concentration_ng_per_ml": ng_per_ml,
        },
    )


# Worked examples of DOMAIN 7: what is filled, the alarm volume (nL), the rate (nL/day), and how it starts.
FILLS = (
    pytest.param(
        20_000_000, 2_000_000, 600_000, marks=filled_with(20_000_000, 2_000_000, 300_000, 500_000), id="WE-20"
    ),
    pytest.param(
        40_000_000, 2_000_000, 600_000, marks=filled_with(40_000_000, 2_000_000, 300_000, 500_000), id="WE-21"
    ),
    pytest.param(
        20_000_000,
        2_000_000,
        150_000,
        marks=filled_with(20_000_000, 2_000_000, 300_000, 2_000_000),
        id="WE-21 at 0.15 mL a day",
    ),
    pytest.param(
        40_000_000,
        2_000_000,
        1_100_000,
        marks=filled_with(40_000_000, 2_000_000, 550_000, 500_000),
        id="WE-22 at 1.1 mL a day",
    ),
)


@verifies("ALM-001", "ALM-002")
@needs("time")
@pytest.mark.parametrize(("fill_nl", "alarm_nl", "rate_nl_per_day"), FILLS)
def test_low_and_empty_come_at_the_millisecond_of_the_stroke_that_reaches_them(
    pump: Programmer, pump_rig: Rig, fill_nl: int, alarm_nl: int, rate_nl_per_day: int
) -> None:
    assert pump.status().rate_nl_per_day == rate_nl_per_day
    for alarm, volume_nl in ((AlarmId.LOW_RESERVOIR, fill_nl - alarm_nl), (AlarmId.EMPTY, fill_nl)):
        due_ms = -(-volume_nl * DAY // rate_nl_per_day)
        pump_rig.advance(due_ms - 1 - pump_rig.clock().now_ms)
        assert not is_active(pump.status(), alarm)
        pump_rig.advance(1)
        status = pump.status()
        assert is_active(status, alarm)
        assert status.reservoir_calc_nl == fill_nl - volume_nl


@verifies("ALM-002")
@needs("time", "reset")
def test_a_pump_believed_empty_goes_on_at_its_safe_rate_and_says_why(pump: Programmer, pump_rig: Rig) -> None:
    mark = LogMark(pump)
    pump_rig.advance(30 * DAY)
    status = pump.status()
    assert (status.state, status.state_reason) == (State.SAFE_STATE, StateReason.EMPTY_POLICY)
    assert (status.rate_nl_per_day, status.reservoir_calc_nl) == (6_000, 0)
    delivered_nl = status.delivered_total_nl
    pump_rig.advance(DAY)
    assert abs(pump.status().delivered_total_nl - delivered_nl - 6_000) <= 500
    assert mark.types(pump) == [
        LogType.ALARM_ON,
        LogType.ALARM_ON,
        LogType.SAFE_STATE_ENTER,
        LogType.RATE_CHANGE,
    ]


@verifies("ALM-002", "BOL-017")
@needs("time", "reset")
def test_a_bolus_that_empties_the_reservoir_ends_there_and_is_told_once(
    pump: Programmer, pump_rig: Rig
) -> None:
    pump.refill(60_000, aspirated_nl=0, low_alarm_nl=1_000)
    mark = LogMark(pump)
    bolus = pump.bolus(100_000, 600)
    pump_rig.advance(DAY // 24)
    query = pump.query(bolus.cmd_id)
    assert query.outcome is Outcome.PARTIAL
    assert 50_000 < query.delivered_nl < 60_000
    (end,) = mark.entries(pump, LogType.BOLUS_END)
    assert (end.details().delivered_nl, end.details().reason) == (query.delivered_nl, BolusEndReason.ALARM)
    assert pump.status().state is State.SAFE_STATE


@verifies("ALM-006", "ALM-007")
@needs("time", "reset")
def test_an_acknowledged_alarm_is_silent_and_unlatched_and_its_condition_lasts(
    pump: Programmer, pump_rig: Rig
) -> None:
    assert pump_rig.run_until("alarm", 40 * DAY).reached
    status, row = pump.status(), alarm_row(pump, AlarmId.LOW_RESERVOIR)
    assert row is not None
    assert (row.alarm_class, row.value) == (AlarmClass.NON_CRITICAL, 2_000_000)
    assert row.flags == AlarmFlag.ACTIVE | AlarmFlag.LATCHED
    assert is_active(status, AlarmId.LOW_RESERVOIR)
    assert is_latched(status, AlarmId.LOW_RESERVOIR)
    assert pump.acknowledge_alarm(AlarmId.LOW_RESERVOIR).still_active
    after, row = pump.status(), alarm_row(pump, AlarmId.LOW_RESERVOIR)
    assert row is not None
    assert row.flags == AlarmFlag.ACTIVE | AlarmFlag.SILENCED
    assert is_active(after, AlarmId.LOW_RESERVOIR)
    assert not is_latched(after, AlarmId.LOW_RESERVOIR)


@verifies("ALM-006", "LOG-001")
@needs("time", "reset")
def test_an_alarm_names_itself_in_the_log_when_it_begins_and_when_it_is_acknowledged(
    pump: Programmer, pump_rig: Rig
) -> None:
    mark = LogMark(pump)
    assert pump_rig.run_until("alarm", 40 * DAY).reached
    pump.acknowledge_alarm(AlarmId.LOW_RESERVOIR)
    on, ack = mark.entries(pump)
    assert (on.type, on.details().alarm_id, on.details().value) == (
        LogType.ALARM_ON,
        AlarmId.LOW_RESERVOIR,
        2_000_000,
    )
    assert (ack.type, ack.details().alarm_id, ack.details().on_seq) == (
        LogType.ALARM_ACK,
        AlarmId.LOW_RESERVOIR,
        on.seq,
    )


@verifies("ALM-009")
@needs("time", "reset")
def test_a_critical_alarm_that_was_silenced_sounds_again_when_the_session_is_over(
    pump: Programmer, pump_rig: Rig
) -> None:
    pump_rig.advance(30 * DAY)
    answer = pump.acknowledge_alarm(AlarmId.EMPTY)
    assert answer.still_active
    assert answer.silenced_until_t_mono_s > pump.status().t_mono_s
    row = alarm_row(pump, AlarmId.EMPTY)
    assert row is not None
    assert AlarmFlag.SILENCED in row.flags
    pump.end_session()
    row = alarm_row(pump, AlarmId.EMPTY)
    assert row is not None
    assert AlarmFlag.SILENCED not in row.flags


@verifies("ALM-010")
@needs("time", "reset")
def test_only_the_occurrence_that_was_seen_can_be_acknowledged(
    pump: Programmer, make_raw: Callable[..., RawClient], pump_rig: Rig
) -> None:
    assert pump_rig.run_until("alarm", 40 * DAY).reached
    row = alarm_row(pump, AlarmId.LOW_RESERVOIR)
    assert row is not None
    with refused(ErrorCode.RANGE) as refusal:
        pump.acknowledge_alarm(AlarmId.LOW_RESERVOIR, row.on_seq - 1)
    assert refusal.error.nearest == row.on_seq
    assert is_latched(pump.status(), AlarmId.LOW_RESERVOIR)
    pump.end_session()
    observer = make_raw(Role.OBSERVER)
    check_refusal(observer.say(AlarmAck(AlarmId.LOW_RESERVOIR, row.on_seq)), ErrorCode.ROLE)


@verifies("ALM-010")
def test_an_alarm_that_never_was_cannot_be_acknowledged(pump: Programmer) -> None:
    listed = {row.alarm_id for row in pump.alarms().alarms}
    absent = next(alarm for alarm in (AlarmId.EOS, AlarmId.KEY_RECOVERY) if alarm not in listed)
    with refused(ErrorCode.RANGE):
        pump.acknowledge_alarm(absent, 1)


@verifies("ALM-011")
@needs("time", "reset")
def test_a_patient_may_acknowledge_an_alarm(pump_as: Callable[[Role], Programmer], pump_rig: Rig) -> None:
    assert pump_rig.run_until("alarm", 40 * DAY).reached
    assert pump_as(Role.PATIENT).acknowledge_alarm(AlarmId.LOW_RESERVOIR).still_active


@verifies("ALM-006")
def test_the_bits_of_the_status_are_the_rows_of_the_alarm_list(pump: Programmer) -> None:
    check_that_bits_and_rows_agree(pump)


@verifies("ALM-006")
@needs("time", "reset")
def test_the_bits_of_the_status_are_the_rows_of_the_alarm_list_while_alarms_last(
    pump: Programmer, pump_rig: Rig
) -> None:
    assert pump_rig.run_until("alarm", 40 * DAY).reached
    assert AlarmId.LOW_RESERVOIR in check_that_bits_and_rows_agree(pump)
    pump.acknowledge_alarm(AlarmId.LOW_RESERVOIR)
    assert pump_rig.run_until("alarm", 40 * DAY).reached
    assert check_that_bits_and_rows_agree(pump) >= {AlarmId.LOW_RESERVOIR, AlarmId.EMPTY}


def check_that_bits_and_rows_agree(pump: Programmer) -> set[AlarmId]:
    """The alarms that the list shows; each is active and latched as its bits say."""
    status, rows = pump.status(), pump.alarms().alarms
    listed = {row.alarm_id for row in rows}
    assert listed == {alarm for alarm in AlarmId if is_active(status, alarm) or is_latched(status, alarm)}
    for row in rows:
        assert (AlarmFlag.ACTIVE in row.flags) == is_active(status, row.alarm_id)
        assert (AlarmFlag.LATCHED in row.flags) == is_latched(status, row.alarm_id)
    return listed
