"""Refills: what the pump believes of them, what it refuses, and what it cannot know [SPEC 6, DOMAIN 3.2, 4.7]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.plugin import needs, starts_as, verifies
from hil.suite.observing import MS_PER_DAY, LogMark, alarm_row, is_active, mono_ms
from hil.suite.refusals import refused
from protocol.identifiers import AlarmId, ErrorCode, Outcome, State
from protocol.log.data import RefillData
from protocol.log.types import LogType

if TYPE_CHECKING:
    from hil.programmer.programmer import Programmer
    from hil.rig import Rig

NL_PPM = 1_000_000
DAY = MS_PER_DAY


@verifies("RFL-001")
@needs("time", "reset")
def test_a_refill_is_believed_and_answers_what_was_expected_and_what_was_measured(
    running: Programmer, pump_rig: Rig
) -> None:
    pump_rig.advance(10 * DAY)
    mark, before = LogMark(running), running.reservoir()
    assert before.reservoir_calc_nl == 12_000_000
    refilled = running.refill(19_000_000, aspirated_nl=11_500_000).reply
    assert (refilled.reservoir_calc_nl, refilled.expected_nl) == (19_000_000, 12_000_000)
    assert refilled.diff_nl == -500_000
    after = running.reservoir()
    assert (after.reservoir_calc_nl, after.last_fill_nl) == (19_000_000, 19_000_000)
    assert (after.last_aspirated_nl, after.last_expected_nl) == (11_500_000, 12_000_000)
    assert after.last_refill_t_mono_s == mono_ms(running) // 1_000
    (entry,) = mark.entries(running)
    assert (entry.type, entry.details()) == (
        LogType.REFILL,
        RefillData(11_500_000, 19_000_000, 12_000_000),
    )


@verifies("RFL-001")
@needs("truth", "reset")
def test_the_bench_fills_what_the_refill_said(running: Programmer, pump_rig: Rig) -> None:
    running.refill(19_000_000, aspirated_nl=18_000_000)
    assert pump_rig.state().truth["true_nl_ppm"] == 19_000_000 * NL_PPM


@verifies("RFL-002")
def test_more_than_the_reservoir_holds_is_refused_with_what_it_holds(running: Programmer) -> None:
    size_nl, before = running.info().reservoir_size_nl, running.reservoir()
    for filled_nl in (size_nl + 1, 0xFFFF_FFFF):
        with refused(ErrorCode.RESERVOIR) as refusal:
            running.refill(filled_nl, aspirated_nl=0)
        assert (refusal.error.detail, refusal.error.nearest) == (filled_nl, size_nl)
    assert running.reservoir().last_fill_nl == before.last_fill_nl


@verifies("RFL-002")
@needs("reset")
def test_a_reservoir_may_be_filled_to_the_last_nanolitre(running: Programmer) -> None:
    size_nl = running.info().reservoir_size_nl
    assert running.refill(size_nl, aspirated_nl=0).reply.reservoir_calc_nl == size_nl


@verifies("RFL-006")
def test_an_alarm_volume_that_would_alarm_at_once_is_refused(running: Programmer) -> None:
    with refused(ErrorCode.RESERVOIR) as refusal:
        running.refill(10_000_000, aspirated_nl=0, low_alarm_nl=10_000_000)
    assert refusal.error.nearest == 9_999_999


@verifies("RFL-004")
@needs("time", "reset")
def test_a_refill_ends_the_low_reservoir_alarm_and_arms_it_anew(running: Programmer, pump_rig: Rig) -> None:
    running.refill(2_600_000, aspirated_nl=0)
    pump_rig.advance(DAY)
    assert is_active(running.status(), AlarmId.LOW_RESERVOIR)
    mark = LogMark(running)
    running.refill(2_600_000, aspirated_nl=0)
    assert not is_active(running.status(), AlarmId.LOW_RESERVOIR)
    assert sorted(mark.types(running)) == sorted([LogType.REFILL, LogType.ALARM_OFF])
    pump_rig.advance(DAY)
    row = alarm_row(running, AlarmId.LOW_RESERVOIR)
    assert row is not None
    assert row.on_seq > mark.seq


@verifies("RFL-004", "ALM-002")
@needs("time", "reset")
def test_a_refill_takes_an_empty_pump_back_to_its_program(running: Programmer, pump_rig: Rig) -> None:
    running.refill(300_000, aspirated_nl=0, low_alarm_nl=100_000)
    pump_rig.advance(DAY)
    assert running.status().state is State.SAFE_STATE
    with refused(ErrorCode.SAFE_STATE):
        running.prepare_bolus(10_000, 600)
    running.refill(18_000_000, aspirated_nl=0)
    status = running.status()
    assert (status.state, status.rate_nl_per_day, status.alarm_active) == (State.RUN, 600_000, 0)
    assert running.prepare_bolus(10_000, 600).announced.token


@verifies("RFL-004")
@needs("reset")
def test_a_refill_never_starts_a_pump_that_stands_still(running: Programmer) -> None:
    running.stop(3_600)
    running.refill(18_000_000, aspirated_nl=0)
    status = running.status()
    assert (status.state, status.rate_nl_per_day) == (State.STOP, 0)


@verifies("RFL-003")
@needs("reset")
def test_another_concentration_without_its_program_is_refused(running: Programmer) -> None:
    before = running.status()
    for drug_id, ng_per_ml in ((1, 2_000_000), (1, 50_000), (2, 500_000), (1, 0)):
        with refused(ErrorCode.CONC):
            running.refill(
                18_000_000, aspirated_nl=0, drug_id=drug_id, concentration_ng_per_ml=ng_per_ml or 1
            )
    after = running.status()
    assert (after.reservoir_calc_nl, after.program_rev) == (before.reservoir_calc_nl, before.program_rev)


@verifies("RFL-003", "PRG-007")
@needs("time", "truth", "reset")
def test_another_concentration_comes_with_its_program_in_one_stroke(
    running: Programmer, pump_rig: Rig
) -> None:
    before, mark = running.status(), LogMark(running)
    staged = running.stage_simple_program(300_000, concentration_ng_per_ml=2_000_000, drug_id=1)
    refilled = running.refill(
        18_000_000, aspirated_nl=0, drug_id=1, concentration_ng_per_ml=2_000_000, staged_crc=staged.crc
    )
    assert refilled.outcome is Outcome.DONE
    assert refilled.reply.program_rev == before.program_rev + 1
    status = running.status()
    assert (status.state, status.rate_nl_per_day) == (State.RUN, 150_000)  # WE-02
    assert running.program().header.concentration_ng_per_ml == 2_000_000
    assert pump_rig.state().truth["reservoir_ng_per_ml"] == 2_000_000
    assert mark.types(running) == [LogType.REFILL, LogType.PROGRAM_COMMIT, LogType.RATE_CHANGE]


@verifies("RFL-003")
@needs("reset")
def test_a_refill_with_a_program_that_was_not_verified_is_refused_whole(running: Programmer) -> None:
    before = running.status()
    staged = running.stage_simple_program(300_000, concentration_ng_per_ml=2_000_000, drug_id=1)
    with refused(ErrorCode.VERIFY_CRC):
        running.refill(
            18_000_000,
            aspirated_nl=0,
            drug_id=1,
            concentration_ng_per_ml=2_000_000,
            staged_crc=staged.crc ^ 1,
        )
    after = running.status()
    assert (after.reservoir_calc_nl, after.program_rev) == (before.reservoir_calc_nl, before.program_rev)


@verifies("RFL-007")
@needs("reset")
@starts_as("factory")
def test_a_new_pump_is_filled_then_programmed_then_started(pump: Programmer) -> None:
    pump.refill(
        18_000_000, aspirated_nl=0, drug_id=1, concentration_ng_per_ml=500_000, low_alarm_nl=2_000_000
    )
    assert pump.status().state is State.STOP
    started = pump.set_simple_program(300_000, concentration_ng_per_ml=500_000, drug_id=1)
    assert started.reply.state is State.RUN
    status = pump.status()
    assert (status.rate_nl_per_day, status.program_rev) == (600_000, 1)


# What the pump cannot know.


@verifies("RFL-005", "STA-007")
@needs("time", "truth", "faults", "reset")
def test_a_pocket_fill_is_believed_and_the_pump_runs_dry_without_knowing(
    running: Programmer, pump_rig: Rig
) -> None:
    pump_rig.aspirate(None)  # the syringe is used, so the REFILL is not carried out by hand: all of it misses
    running.refill(18_000_000, aspirated_nl=18_000_000)
    assert running.status().reservoir_calc_nl == 18_000_000
    before = pump_rig.state().truth["emitted_nl_ppm"]
    pump_rig.advance(10 * DAY)
    status, truth = running.status(), pump_rig.state().truth
    assert truth["emitted_nl_ppm"] == before
    assert (status.reservoir_calc_nl, status.alarm_active) == (12_000_000, 0)


@verifies("RFL-009", "RFL-001")
@needs("time", "truth", "faults", "reset")
def test_a_pump_that_gives_too_little_is_found_out_by_what_the_next_refill_draws(
    running: Programmer, pump_rig: Rig
) -> None:
    before = pump_rig.state().truth["emitted_nl_ppm"]
    pump_rig.inject("accuracy", accuracy_ppm=NL_PPM // 2)
    pump_rig.advance(10 * DAY)
    assert pump_rig.state().truth["emitted_nl_ppm"] - before == 3_000_000 * NL_PPM
    status = running.status()
    assert (status.state, status.alarm_active, status.reservoir_calc_nl) == (State.RUN, 0, 12_000_000)
    drawn_nl = pump_rig.aspirate()
    assert pump_rig.fill(18_000_000) == 18_000_000
    refilled = running.refill(18_000_000, aspirated_nl=drawn_nl).reply
    left_in_it_nl = 15_000_000 - drawn_nl  # what no syringe gets out
    assert refilled.diff_nl == 3_000_000 - left_in_it_nl
    assert 0 <= left_in_it_nl < 1_000_000


@verifies("RFL-005", "ALM-008")
@needs("time", "truth")
@starts_as(model={"accuracy_ppm": 1_145_000, "residual_nl": 0}, implant={"filled_nl": 20_000_000})
def test_a_pump_within_its_accuracy_runs_dry_before_its_low_alarm(running: Programmer, pump_rig: Rig) -> None:
    alarm = pump_rig.run_until("alarm", 40 * DAY)
    assert (alarm.reached, alarm.now_ms) == (True, 30 * DAY)  # 18 mL at 0.6 mL/day
    ran_dry_at_ms = pump_rig.state().truth["ran_dry_at_ms"]
    # WE-25: 20 mL of strokes of 572.5 nL, 72 s apart: the 34,935th takes the last of it, on day 29.112
    assert ran_dry_at_ms == 34_935 * 72_000
    assert is_active(running.status(), AlarmId.LOW_RESERVOIR)
    assert running.status().delivered_total_nl == 18_000_000


@verifies("ALM-008")
@needs("time", "truth")
@starts_as(implant={"filled_nl": 20_000_000})
def test_a_pump_of_perfect_accuracy_still_cannot_deliver_its_residual_volume(
    running: Programmer, pump_rig: Rig
) -> None:
    pump_rig.run_until("alarm", 40 * DAY)
    empty = pump_rig.run_until("alarm", 40 * DAY)
    assert empty.now_ms == 20_000_000 * DAY // 600_000
    assert is_active(running.status(), AlarmId.EMPTY)
    assert pump_rig.state().truth["ran_dry_at_ms"] == 31 * DAY  # 18.6 of 20 mL [DOMAIN 0.5]
