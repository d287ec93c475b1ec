"""A bolus that is given: what PREPARE announced, once, evenly, beside the basal, and how it ends [SPEC 6, 9]."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from hil.plugin import needs, verifies
from hil.suite.observing import LogMark, alarm_row, is_latched, mono_ms, time_of_ms, volume_at_rate_nl
from hil.suite.refusals import refused
from protocol.identifiers import Activity, AlarmId, ErrorCode, Outcome, Role, State
from protocol.log.data import BolusEndData, BolusStartData, CmdIntentData
from protocol.log.types import BolusEndReason, LogType

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.programmer.programmer import Programmer
    from hil.rig import Rig

VOLUME_NL, DURATION_S = 100_000, 600  # 50 mcg of 500 mcg/mL over 10 min: clinical use [DOMAIN WE-36]
DURATION_MS = DURATION_S * 1_000
NL_PPM = 1_000_000


@verifies("BOL-001")
def test_prepare_announces_the_whole_strokes_below_what_was_asked_for(running: Programmer) -> None:
    stroke_nl = running.limits().stroke_nl
    for volume_nl in (stroke_nl, 2 * stroke_nl - 1, VOLUME_NL, VOLUME_NL + stroke_nl - 1):
        prepared = running.prepare_bolus(volume_nl, 600)
        assert prepared.announced.quantised_nl == volume_nl // stroke_nl * stroke_nl


@verifies("BOL-001")
def test_prepare_says_when_the_bolus_would_end_and_what_the_windows_hold(running: Programmer) -> None:
    delivery, now_ms = running.delivery(), mono_ms(running)
    announced = running.prepare_bolus(VOLUME_NL, DURATION_S).announced
    assert announced.token
    assert 0 <= announced.end_t_mono_s - (now_ms + DURATION_MS) // 1_000 <= 5
    windows = (announced.hour_used_nl, announced.hour_max_nl, announced.day_used_nl, announced.day_max_nl)
    used = (delivery.hour_used_nl, delivery.hour_max_nl, delivery.day_used_nl, delivery.day_max_nl)
    assert windows == used


@verifies("BOL-013")
def test_preparing_delivers_nothing(running: Programmer) -> None:
    before = running.status()
    running.prepare_bolus(VOLUME_NL, DURATION_S)
    after = running.status()
    assert (after.bolus_cmd_id, after.bolus_left_nl, after.last_cmd_id) == (0, 0, before.last_cmd_id)


@verifies("BOL-001", "LED-001")
@needs("time", "reset")
def test_a_bolus_delivers_exactly_what_was_announced_and_ends_at_its_very_millisecond(
    running: Programmer, pump_rig: Rig
) -> None:
    before = running.delivery()
    bolus = running.bolus(VOLUME_NL, DURATION_S)
    assert (bolus.outcome, bolus.dup, bolus.delivered_nl) == (Outcome.RUNNING, False, 0)
    pump_rig.advance(DURATION_MS - 1)
    running_still = running.query(bolus.cmd_id)
    assert (running_still.outcome, running_still.delivered_nl) == (Outcome.RUNNING, VOLUME_NL - 500)
    pump_rig.advance(1)
    over = running.query(bolus.cmd_id)
    assert (over.outcome, over.delivered_nl, over.uncertain_nl) == (Outcome.DONE, VOLUME_NL, 0)
    pump_rig.advance(86_400_000)
    assert running.delivery().bolus_nl - before.bolus_nl == VOLUME_NL


@verifies("BOL-001")
@needs("time", "truth", "reset")
def test_the_strokes_of_a_bolus_are_really_turned(running: Programmer, pump_rig: Rig) -> None:
    before, basal_before = pump_rig.state().truth, running.delivery().basal_nl
    running.bolus(VOLUME_NL, DURATION_S)
    pump_rig.advance(DURATION_MS)
    after = pump_rig.state().truth
    basal_nl = running.delivery().basal_nl - basal_before
    assert (after["strokes_turned"] - before["strokes_turned"]) * 500 == VOLUME_NL + basal_nl
    assert after["emitted_nl_ppm"] - before["emitted_nl_ppm"] == (VOLUME_NL + basal_nl) * NL_PPM


@verifies("BOL-001")
@needs("time", "reset")
def test_any_equal_part_of_a_bolus_delivers_the_same_volume_within_a_stroke(
    running: Programmer, pump_rig: Rig
) -> None:
    parts = 24
    seen_nl = [running.delivery().bolus_nl]
    running.bolus(VOLUME_NL, DURATION_S)
    for _ in range(parts):
        pump_rig.advance(DURATION_MS // parts)
        seen_nl.append(running.delivery().bolus_nl)
    gains_nl = [after - before for before, after in pairwise(seen_nl)]
    assert sum(gains_nl) == VOLUME_NL
    assert all(abs(gain_nl - VOLUME_NL // parts) <= 500 for gain_nl in gains_nl), gains_nl


@verifies("BOL-002", "STA-004")
@needs("time", "reset")
def test_a_bolus_comes_on_top_of_the_basal_rate_and_leaves_it_as_it_is(
    running: Programmer, pump_rig: Rig
) -> None:
    before, program = running.delivery(), running.program()
    running.bolus(VOLUME_NL, 3_600)
    during = running.status()
    assert (during.rate_nl_per_day, during.activity) == (600_000, Activity.BOLUS)
    pump_rig.advance(3_600_000)
    after = running.delivery()
    assert abs(after.basal_nl - before.basal_nl - volume_at_rate_nl(600_000, 3_600_000)) < 500
    assert running.status().rate_nl_per_day == 600_000
    assert running.program() == program


@verifies("BOL-012")
@needs("time", "reset")
def test_the_fastest_bolus_beside_the_basal_never_exceeds_the_fastest_flow(
    running: Programmer, pump_rig: Rig
) -> None:
    with refused(ErrorCode.RATE) as refusal:
        running.prepare_bolus(VOLUME_NL, 1)
    running.bolus(VOLUME_NL, refusal.error.nearest)
    window_ms = 20_000
    most_nl = volume_at_rate_nl(running.limits().rate_max_nl_per_day, window_ms) + 2 * 500
    total_nl = running.status().delivered_total_nl
    for _ in range(refusal.error.nearest // 20 + 2):
        pump_rig.advance(window_ms)
        now_nl = running.status().delivered_total_nl
        assert now_nl - total_nl <= most_nl
        total_nl = now_nl


@verifies("LOG-001", "LED-007")
@needs("time", "reset")
def test_a_bolus_leaves_intent_start_and_end_in_the_log_each_once_and_in_order(
    running: Programmer, pump_rig: Rig
) -> None:
    mark, began_ms = LogMark(running), mono_ms(running)
    bolus = running.bolus(VOLUME_NL, DURATION_S)
    pump_rig.advance(2 * DURATION_MS)
    intent, start, end = mark.entries(running)
    assert [intent.type, start.type, end.type] == [
        LogType.CMD_INTENT,
        LogType.BOLUS_START,
        LogType.BOLUS_END,
    ]
    query = running.query(bolus.cmd_id)
    assert intent.details() == CmdIntentData(query.op, query.cmd_crc, VOLUME_NL)
    assert start.details() == BolusStartData(VOLUME_NL, DURATION_S, start.details().kind)
    assert end.details() == BolusEndData(VOLUME_NL, 0, BolusEndReason.COMPLETE)
    assert [intent.cmd_id, start.cmd_id, end.cmd_id] == [bolus.cmd_id] * 3
    assert (query.start_seq, query.end_seq) == (start.seq, end.seq)
    assert [time_of_ms(entry) - began_ms for entry in (intent, start, end)] == [0, 0, DURATION_MS]


# How it ends early.


@verifies("BOL-010")
@needs("time", "reset")
def test_a_cancelled_bolus_stops_at_once_and_tells_what_was_delivered(
    running: Programmer, pump_rig: Rig
) -> None:
    before_nl, mark = running.delivery().bolus_nl, LogMark(running)
    bolus = running.bolus(VOLUME_NL, DURATION_S)
    pump_rig.advance(DURATION_MS // 4)
    cancelled = running.cancel_bolus(bolus.cmd_id)
    assert cancelled.reply.target_outcome is Outcome.PARTIAL
    assert cancelled.delivered_nl == VOLUME_NL // 4
    pump_rig.advance(DURATION_MS)
    assert running.delivery().bolus_nl - before_nl == VOLUME_NL // 4
    query = running.query(bolus.cmd_id)
    assert (query.outcome, query.delivered_nl, query.uncertain_nl) == (Outcome.PARTIAL, VOLUME_NL // 4, 0)
    (end,) = mark.entries(running, LogType.BOLUS_END)
    assert end.details() == BolusEndData(VOLUME_NL // 4, 0, BolusEndReason.CANCELLED)
    assert running.status().state is State.RUN


@verifies("BOL-010")
@needs("time", "reset")
def test_a_cancel_that_races_with_the_end_leaves_one_end_and_one_truth(
    running: Programmer, pump_rig: Rig
) -> None:
    for early_ms in (-1, 0, 1, 3_000):
        before_nl, mark = running.delivery().bolus_nl, LogMark(running)
        bolus = running.bolus(VOLUME_NL, DURATION_S)
        pump_rig.advance(DURATION_MS - early_ms)
        cancelled = running.cancel_bolus(bolus.cmd_id)
        pump_rig.advance(3_600_000)
        delivered_nl = running.delivery().bolus_nl - before_nl
        whole = early_ms <= 0
        assert cancelled.reply.target_outcome is (Outcome.DONE if whole else Outcome.PARTIAL)
        assert (delivered_nl == VOLUME_NL) is whole
        assert cancelled.delivered_nl == delivered_nl == running.query(bolus.cmd_id).delivered_nl
        ends = [entry.details().delivered_nl for entry in mark.entries(running, LogType.BOLUS_END)]
        assert ends == [delivered_nl]


@verifies("BOL-010")
def test_cancelling_where_there_is_no_bolus_acts_on_nothing_and_says_so(running: Programmer) -> None:
    cancelled = running.cancel_bolus()
    assert (cancelled.outcome, cancelled.reply.target_outcome) == (Outcome.DONE, Outcome.NEVER_RECEIVED)
    assert running.status().state is State.RUN


@verifies("BOL-014")
@needs("time", "reset")
def test_a_patient_and_a_service_key_may_cancel_whatever_bolus_is_active(
    running: Programmer, pump_as: Callable[[Role], Programmer], pump_rig: Rig
) -> None:
    for role in (Role.PATIENT, Role.SERVICE):
        bolus = running.bolus(VOLUME_NL, DURATION_S)
        pump_rig.advance(60_000)
        running.end_session()
        other = pump_as(role)
        assert other.cancel_bolus().reply.target_outcome is Outcome.PARTIAL
        assert other.status().bolus_cmd_id == 0
        other.end_session()
        assert running.query(bolus.cmd_id).outcome is Outcome.PARTIAL
        pump_rig.advance(3_600_000)


@verifies("BOL-010", "ALM-006")
@needs("time", "reset")
def test_a_bolus_that_ended_early_raises_an_alarm_until_somebody_has_seen_it(
    running: Programmer, pump_rig: Rig
) -> None:
    running.bolus(VOLUME_NL, DURATION_S)
    pump_rig.advance(60_000)
    running.cancel_bolus()
    row = alarm_row(running, AlarmId.BOLUS_PARTIAL)
    assert row is not None
    assert row.value == VOLUME_NL // 10
    running.acknowledge_alarm(AlarmId.BOLUS_PARTIAL)
    assert not is_latched(running.status(), AlarmId.BOLUS_PARTIAL)
    assert alarm_row(running, AlarmId.BOLUS_PARTIAL) is None


@verifies("SES-010", "BOL-001")
@needs("time", "reset")
def test_a_bolus_goes_on_when_its_session_ends(running: Programmer, pump_rig: Rig) -> None:
    bolus = running.bolus(VOLUME_NL, DURATION_S)
    running.end_session()
    pump_rig.advance(DURATION_MS)
    over = running.query(bolus.cmd_id)
    assert (over.outcome, over.delivered_nl) == (Outcome.DONE, VOLUME_NL)
