"""Boluses that are refused: rate, size, windows, gap, state, token; each with the nearest that would do [SPEC 6]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.plugin import needs, starts_as, verifies
from hil.suite.observing import mono_ms
from hil.suite.raw_client import RawClient
from hil.suite.refusals import check_refusal, refused
from protocol.identifiers import AlarmId, BolusKind, ErrorCode, State
from protocol.messages.bolus import BolusCommit, BolusCommitReply, BolusPrepare, BolusPrepareReply

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.programmer.programmer import Programmer
    from hil.rig import Rig

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
TOKEN_MS = 10_000


NARROW = {
    "bolus_max_nl": 200_000,
    "hour_max_nl": 250_000,
    "day_max_nl": 400_000,
    "min_bolus_gap_s": 60,
}


def give(pump: Programmer, rig: Rig, volume_nl: int = 100_000, duration_s: int = 600) -> None:
    """A whole bolus, and then the least gap."""
    pump.bolus(volume_nl, duration_s)
    rig.advance(duration_s * 1_000 + pump.limits().min_bolus_gap_s * 1_000)


# Rate and size.


@verifies("BOL-003")
@needs("reset")
def test_25_mcg_over_10_minutes_is_accepted_and_over_2_minutes_refused(running: Programmer) -> None:
    assert running.prepare_bolus(50_000, 600).announced.quantised_nl == 50_000  # WE-34
    with refused(ErrorCode.RATE) as refusal:
        running.prepare_bolus(50_000, 120)
    # 50,000 nL x 86,400 s / (24,000,000 - 600,000) nL/day = 184.6 s
    assert (refusal.error.detail, refusal.error.nearest) == (120, 185)


@verifies("BOL-003")
def test_the_shortest_duration_that_a_refusal_names_is_accepted_and_one_second_less_is_not(
    running: Programmer,
) -> None:
    for volume_nl in (500, 10_000, 123_000):
        with refused(ErrorCode.RATE) as refusal:
            running.prepare_bolus(volume_nl, 0)
        shortest_s = refusal.error.nearest
        running.prepare_bolus(volume_nl, shortest_s)
        if shortest_s > 1:
            with refused(ErrorCode.RATE):
                running.prepare_bolus(volume_nl, shortest_s - 1)


@verifies("BOL-003")
def test_less_than_a_stroke_is_no_bolus(running: Programmer) -> None:
    for volume_nl in (0, 1, running.limits().stroke_nl - 1):
        with refused(ErrorCode.RATE) as refusal:
            running.prepare_bolus(volume_nl, 600)
        assert refusal.error.detail == volume_nl


@verifies("BOL-005")
def test_a_bolus_above_the_largest_is_refused_with_the_largest(running: Programmer) -> None:
    limits = running.limits()
    with refused(ErrorCode.BOLUS_MAX) as refusal:
        running.prepare_bolus(limits.bolus_max_nl + limits.stroke_nl, 86_400)
    assert (refusal.error.limit, refusal.error.nearest) == (limits.bolus_max_nl, limits.bolus_max_nl)
    assert running.prepare_bolus(limits.bolus_max_nl, 86_400).announced.quantised_nl == limits.bolus_max_nl


# Windows and gap.


@verifies("BOL-005")
@needs("time")
@starts_as(model=NARROW)
def test_boluses_of_an_hour_add_up_and_each_leaves_the_window_an_hour_after_its_end(
    running: Programmer, pump_rig: Rig
) -> None:
    began_ms = mono_ms(running)
    give(running, pump_rig)
    give(running, pump_rig)
    assert running.delivery().hour_used_nl == 200_000
    with refused(ErrorCode.HOUR_MAX) as refusal:
        running.prepare_bolus(100_000, 600)
    assert (refusal.error.limit, refusal.error.nearest) == (250_000, 50_000)
    running.prepare_bolus(50_000, 600)
    pump_rig.advance(began_ms + 600_000 + HOUR_MS - 1 - mono_ms(running))
    with refused(ErrorCode.HOUR_MAX):
        running.prepare_bolus(100_000, 600)
    pump_rig.advance(1)
    running.prepare_bolus(100_000, 600)
    assert running.delivery().hour_used_nl == 100_000


@verifies("BOL-005")
@needs("time")
@starts_as(model=NARROW)
def test_boluses_of_a_day_add_up_and_each_leaves_the_window_a_day_after_its_end(
    running: Programmer, pump_rig: Rig
) -> None:
    began_ms = mono_ms(running)
    give(running, pump_rig)
    for _ in range(3):
        pump_rig.advance(HOUR_MS)
        give(running, pump_rig)
    pump_rig.advance(HOUR_MS)
    with refused(ErrorCode.DAY_MAX) as refusal:
        running.prepare_bolus(500, 600)
    assert (refusal.error.limit, refusal.error.nearest) == (400_000, 0)
    pump_rig.advance(began_ms + 600_000 + DAY_MS - 1 - mono_ms(running))
    with refused(ErrorCode.DAY_MAX):
        running.prepare_bolus(500, 600)
    pump_rig.advance(1)
    assert running.prepare_bolus(100_000, 600).announced.day_used_nl == 300_000


@verifies("BOL-005")
@needs("time")
@starts_as(model=NARROW)
def test_a_bolus_counts_in_full_from_its_start_and_by_what_it_gave_from_its_end(
    running: Programmer, pump_rig: Rig
) -> None:
    running.bolus(100_000, 600)
    assert running.delivery().hour_used_nl == 100_000
    pump_rig.advance(60_000)
    assert running.delivery().hour_used_nl == 100_000
    running.cancel_bolus()
    delivery = running.delivery()
    assert (delivery.hour_used_nl, delivery.day_used_nl) == (10_000, 10_000)


@verifies("BOL-006")
@needs("time", "reset")
def test_the_next_bolus_may_start_at_the_very_millisecond_the_gap_ends(
    running: Programmer, pump_rig: Rig
) -> None:
    gap_s = running.limits().min_bolus_gap_s
    running.bolus(10_000, 60)
    pump_rig.advance(60_000 + gap_s * 1_000 - 1)
    with refused(ErrorCode.GAP) as refusal:
        running.prepare_bolus(10_000, 60)
    now_ms = mono_ms(running)
    assert (refusal.error.detail, refusal.error.limit) == (gap_s - 1, gap_s)
    assert refusal.error.nearest == -(-(now_ms + 1) // 1_000)
    pump_rig.advance(1)
    running.bolus(10_000, 60)


# State.


@verifies("BOL-004")
@needs("reset")
def test_a_second_bolus_is_refused_while_one_runs(running: Programmer) -> None:
    first = running.bolus(10_000, 600)
    with refused(ErrorCode.BOLUS_ACTIVE) as refusal:
        running.prepare_bolus(10_000, 600)
    assert refusal.error.detail == first.cmd_id
    assert running.status().bolus_cmd_id == first.cmd_id


@verifies("BOL-008")
def test_no_bolus_starts_in_a_stopped_pump(running: Programmer) -> None:
    running.stop(3_600)
    with refused(ErrorCode.STOPPED):
        running.prepare_bolus(10_000, 600)
    running.resume()
    assert running.prepare_bolus(10_000, 600).announced.token


@verifies("BOL-008", "BOL-009")
@needs("reset")
def test_a_bolus_that_was_prepared_before_a_stop_does_not_start_after_it(running: Programmer) -> None:
    prepared = running.prepare_bolus(10_000, 600)
    running.stop(3_600)
    with refused(ErrorCode.STOPPED):
        running.commit_bolus(prepared)
    assert running.status().state is State.STOP


@verifies("BOL-007")
@needs("time", "stall", "reset")
def test_no_bolus_starts_while_a_critical_alarm_is_active(running: Programmer, pump_rig: Rig) -> None:
    pump_rig.stall(on=True)
    assert pump_rig.run_until("alarm", HOUR_MS).reached
    with refused(ErrorCode.ALARM_BLOCKS) as refusal:
        running.prepare_bolus(10_000, 600)
    assert refusal.error.detail >> AlarmId.MOTOR_STALL & 1
    pump_rig.stall(on=False)
    pump_rig.advance(HOUR_MS)
    assert running.prepare_bolus(10_000, 600).announced.token


@verifies("BOL-015")
@needs("time", "reset")
def test_a_low_reservoir_does_not_refuse_a_bolus(running: Programmer, pump_rig: Rig) -> None:
    running.refill(2_000_500, aspirated_nl=0)
    assert pump_rig.run_until("alarm", HOUR_MS).reached
    assert running.prepare_bolus(10_000, 600).announced.token


# Token and revision.


def prepare(raw: RawClient, volume_nl: int = 10_000, duration_s: int = 600) -> BolusCommit:
    """The COMMIT that a PREPARE of now permits."""
    status = raw.status()
    answer = raw.say(BolusPrepare(BolusKind.BOLUS, volume_nl, duration_s, status.program_rev))
    assert isinstance(answer, BolusPrepareReply), answer
    return BolusCommit(
        status.last_cmd_id + 1, answer.quantised_nl, duration_s, answer.token, status.program_rev
    )


@verifies("BOL-009", "LED-006")
def test_a_commit_that_is_not_what_was_prepared_is_refused(raw: RawClient) -> None:
    before = raw.status()
    if before.state is not State.RUN:
        pytest.skip(f"needs a pump that runs; this one is in {before.state.name}")
    if before.bolus_cmd_id:
        pytest.skip(
            f"needs a pump without a bolus; in this one the bolus of command {before.bolus_cmd_id} is active"
        )
    for change in ({"volume_nl": 10_500}, {"duration_s": 601}, {"token": 0}):
        check_refusal(raw.say(prepare(raw)._replace(**change)), ErrorCode.TOKEN)
    after = raw.status()
    assert (after.bolus_cmd_id, after.last_cmd_id) == (0, before.last_cmd_id)


@verifies("BOL-009")
@needs("reset")
def test_a_token_is_good_for_one_bolus(raw: RawClient) -> None:
    commit = prepare(raw)
    assert isinstance(raw.say(commit), BolusCommitReply)
    check_refusal(raw.say(commit._replace(cmd_id=commit.cmd_id + 1)), ErrorCode.BOLUS_ACTIVE)


@verifies("BOL-009")
@needs("time", "reset")
def test_a_token_lasts_ten_seconds_to_the_millisecond(raw: RawClient, pump_rig: Rig) -> None:
    commit = prepare(raw)
    pump_rig.advance(TOKEN_MS)
    check_refusal(raw.say(commit), ErrorCode.TOKEN)
    commit = prepare(raw)
    pump_rig.advance(TOKEN_MS - 1)
    assert isinstance(raw.say(commit), BolusCommitReply)


@verifies("BOL-009")
@needs("reset")
def test_a_token_dies_with_its_session_and_with_the_next_prepare(
    raw: RawClient, make_raw: Callable[..., RawClient]
) -> None:
    first = prepare(raw)
    prepare(raw)
    check_refusal(raw.say(first), ErrorCode.TOKEN)
    last = prepare(raw)
    raw.end_session()
    other = make_raw()
    check_refusal(other.say(last), ErrorCode.TOKEN)
    assert other.status().bolus_cmd_id == 0


@verifies("BOL-009")
@needs("time", "reset")
def test_a_used_token_is_refused_when_the_pump_is_free_again(raw: RawClient, pump_rig: Rig) -> None:
    commit = prepare(raw, 500, 2)
    assert isinstance(raw.say(commit), BolusCommitReply)
    pump_rig.advance(5_000)
    check_refusal(raw.say(commit._replace(cmd_id=commit.cmd_id + 1)), ErrorCode.TOKEN)


@verifies("BOL-016")
def test_a_bolus_for_another_program_than_the_one_that_runs_is_refused(running: Programmer) -> None:
    rev = running.status().program_rev
    with refused(ErrorCode.REV_MISMATCH) as refusal:
        running.prepare_bolus(10_000, 600, program_rev=rev + 1)
    assert refusal.error.nearest == rev
