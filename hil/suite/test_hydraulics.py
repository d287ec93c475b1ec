"""What goes wrong with motor, fluid and surroundings, by what a programmer sees of it and what is so [DOMAIN 8.1, 6.8].

All of it needs a rig that causes `faults`, reads the `truth` beside the belief and turns the patient's `time`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.plugin import needs, verifies
from hil.suite.observing import MS_PER_DAY, LogMark, is_active
from protocol.identifiers import AlarmId, OnExpiry
from protocol.log.types import LogType

if TYPE_CHECKING:
    from hil.programmer.programmer import Programmer
    from hil.rig import Rig

pytestmark = pytest.mark.needs("time", "faults", "reset")

HOUR_MS, STROKE_MS, STROKE_NL, PPM, ML = 3_600_000, 72_000, 500, 1_000_000, 1_000_000
DAY_NL = 600_000
TWO_DAYS_S = 172_800


def moved_nl_ppm(pump_rig: Rig, ms: int) -> int:
    """What really leaves the reservoir in the time to come."""
    before = pump_rig.state().truth["emitted_nl_ppm"]
    pump_rig.advance(ms)
    return int(pump_rig.state().truth["emitted_nl_ppm"] - before)


# RH-12
@verifies("HYD-001")
def test_worn_gears_are_a_stall_each_time_that_they_bind_and_for_good_in_the_end(
    running: Programmer, pump_rig: Rig
) -> None:
    mark = LogMark(running)
    pump_rig.inject("wear", free_strokes=100, held_strokes=40, fewer_strokes=40)
    pump_rig.advance(MS_PER_DAY)
    types = [entry.type for entry in mark.entries(running, LogType.STALL, LogType.STALL_RECOVERED)]
    assert types == [LogType.STALL, LogType.STALL_RECOVERED] * 2 + [LogType.STALL]
    assert is_active(running.status(), AlarmId.MOTOR_STALL)


# FI 10, RH-15
@verifies("HYD-002")
@needs("truth")
def test_behind_an_occlusion_nothing_is_told_and_its_release_is_a_bolus(
    running: Programmer, pump_rig: Rig
) -> None:
    pump_rig.advance(HOUR_MS)
    ng_per_ml = running.program().header.concentration_ng_per_ml
    before, at_tip = running.status(), pump_rig.state().truth["tip_fg_ppm"]
    pump_rig.inject("occlusion", compliance_nl=100_000)
    pump_rig.advance(MS_PER_DAY)
    after = running.status()
    assert (after.alarm_active, after.delivered_total_nl - before.delivered_total_nl) == (0, DAY_NL)
    assert pump_rig.state().truth["tip_fg_ppm"] == at_tip
    pump_rig.clear("occlusion")
    assert pump_rig.state().truth["tip_fg_ppm"] - at_tip == 100_000 * PPM * ng_per_ml


# FI 16, RH-17
@verifies("HYD-003")
@needs("truth")
def test_a_tube_that_was_dented_by_48_hours_gives_more_and_is_suspect_until_it_is_measured(
    running: Programmer, pump_rig: Rig
) -> None:
    pump_rig.advance(HOUR_MS)
    mark = LogMark(running)
    pump_rig.inject("tube-set", accuracy_ppm=1_300_000)
    running.stop(TWO_DAYS_S, on_expiry=OnExpiry.ALARM_ONLY)
    pump_rig.advance(TWO_DAYS_S * 1_000 - 1)
    assert not pump_rig.state().truth["accuracy_suspect"]
    pump_rig.advance(HOUR_MS)
    assert pump_rig.state().truth["accuracy_suspect"]
    assert len(mark.entries(running, LogType.TUBE_SET)) == 1
    running.resume()
    assert moved_nl_ppm(pump_rig, MS_PER_DAY) == DAY_NL * 1_300_000
    pump_rig.clear("tube-set")
    assert not pump_rig.state().truth["accuracy_suspect"]
    assert moved_nl_ppm(pump_rig, MS_PER_DAY) == DAY_NL * PPM


# FI 18, RH-21
@verifies("HYD-004")
@needs("truth")
def test_a_pump_that_was_overfilled_believes_what_it_was_told_and_is_suspect(
    running: Programmer, pump_rig: Rig
) -> None:
    assert not pump_rig.state().truth["accuracy_suspect"]
    pump_rig.inject("overfill", extra_nl=4 * ML)
    running.refill(18 * ML, aspirated_nl=18 * ML)
    truth = pump_rig.state().truth
    assert (truth["true_nl_ppm"], truth["accuracy_suspect"]) == (22 * ML * PPM, True)
    assert running.status().reservoir_calc_nl == 18 * ML


# FI 15, RH-22
@verifies("HYD-005")
@needs("truth")
def test_above_two_atmospheres_fluid_goes_back_and_the_belief_stays(
    running: Programmer, pump_rig: Rig
) -> None:
    before, true_nl_ppm = running.status(), pump_rig.state().truth["true_nl_ppm"]
    pump_rig.inject("ambient-pressure", pressure_pa=405_200, backflow_nl_per_day=2_400_000)
    pump_rig.advance(2 * HOUR_MS)
    pump_rig.clear("ambient-pressure")
    after = running.status()
    assert before.reservoir_calc_nl - after.reservoir_calc_nl == 50_000
    assert after.alarm_active == 0
    assert pump_rig.state().truth["true_nl_ppm"] - true_nl_ppm == (200_000 - 50_000) * PPM


# FI 05
@verifies("HYD-006")
def test_a_rotor_that_turns_backwards_delivers_nothing_and_is_told_as_a_stall(
    running: Programmer, pump_rig: Rig
) -> None:
    pump_rig.advance(HOUR_MS)
    before = running.status().delivered_total_nl
    pump_rig.inject("rotor-backward", strokes=40)
    pump_rig.advance(40 * STROKE_MS)
    status = running.status()
    assert (status.delivered_total_nl, is_active(status, AlarmId.MOTOR_STALL)) == (before, True)
    pump_rig.advance(3 * STROKE_MS)
    status = running.status()
    assert status.delivered_total_nl > before
    assert not is_active(status, AlarmId.MOTOR_STALL)


# FI 07
@verifies("SAF-005")
@needs("truth")
def test_edges_without_a_stroke_are_told_at_the_end_of_the_day_and_never_counted(
    running: Programmer, pump_rig: Rig
) -> None:
    mark, before = LogMark(running), running.status().delivered_total_nl
    turned = pump_rig.state().truth["strokes_turned"]
    pump_rig.inject("edge-false", every_strokes=10)
    pump_rig.advance(2 * MS_PER_DAY)
    turned = pump_rig.state().truth["strokes_turned"] - turned
    assert running.status().delivered_total_nl - before == turned * STROKE_NL == 2 * DAY_NL
    told = [entry.details() for entry in mark.entries(running, LogType.STROKE_MISMATCH)]
    assert told
    assert all(each.seen > each.commanded for each in told)
