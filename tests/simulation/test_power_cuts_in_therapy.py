"""Power goes at each stroke and each memory write of a bolus, and in every event that comes by itself.

The bolus is closed with the truth and never resumed; what the pump was about to say, it says after the restart.
"""

from __future__ import annotations

from functools import cache

import pytest

from firmware_emu.profile import EmptyPolicy, Implant
from firmware_emu.units import MS_PER_HOUR, MS_PER_MINUTE
from hil.campaign.conversation import Conversation, profile_of
from protocol.identifiers import AlarmId, BolusKind, OnExpiry, Outcome, State, StopReason
from protocol.log.types import LogType
from protocol.messages.bolus import BolusPrepare
from protocol.messages.ledger import QueryCmd
from protocol.messages.reading import GetDelivery, GetStatus
from protocol.messages.stop import Stop
from tests.simulation.invariants import (
    assert_log_is_whole,
    assert_the_trace_tells_the_log,
    assert_volumes_agree,
)
from tests.support.soak import part_of

STROKE_NL = 500
STROKES = 8
SLOW = Implant(dose_ng_per_day=24_000)  # a basal stroke every 900 s: none falls into the bolus


@cache
def bolus_at_work() -> Conversation:
    """A bolus of eight strokes in 80 s, begun between two basal strokes; the answer has arrived."""
    talk = Conversation.with_new_pump(profile_of(implant=SLOW, wall_at_start_s=826_000_000))
    talk.wait_until(MS_PER_HOUR + 1_000)
    talk.granted(GetStatus())
    talk.start_bolus(1, STROKES * STROKE_NL, 80)
    return talk


def _check_closed(talk: Conversation, turned_before: int) -> None:
    """After the restart: the ledger tells the truth of the bolus, and nothing of it comes later."""
    bolus_nl = (talk.pump.truth().strokes_turned - turned_before) * STROKE_NL
    found = talk.granted(QueryCmd(1))
    assert found.delivered_nl <= bolus_nl <= found.delivered_nl + found.uncertain_nl
    assert found.uncertain_nl <= STROKE_NL
    if found.outcome is Outcome.NOT_STARTED:
        assert bolus_nl == 0
    elif found.outcome is Outcome.DONE:
        assert (found.delivered_nl, found.uncertain_nl) == (STROKES * STROKE_NL, 0)
    else:
        assert found.outcome is Outcome.PARTIAL
    status = talk.granted(GetStatus())
    assert status.bolus_cmd_id == 0
    assert (status.alarm_latched >> AlarmId.BOLUS_PARTIAL & 1) == (found.outcome is Outcome.PARTIAL)
    ends = [entry for entry in talk.log() if entry.type is LogType.BOLUS_END]
    assert [(end.cmd_id, end.details().delivered_nl) for end in ends] == [(1, found.delivered_nl)]
    assert_log_is_whole(talk)
    assert_the_trace_tells_the_log(talk)
    assert_volumes_agree(talk)
    delivered_nl = talk.granted(GetDelivery()).bolus_nl
    assert delivered_nl == found.delivered_nl
    talk.wait(MS_PER_HOUR)
    assert talk.granted(GetDelivery()).bolus_nl == delivered_nl
    later = talk.pump.truth().strokes_turned - turned_before - bolus_nl // STROKE_NL
    assert later == 4, "after the restart an hour of basal strokes, and nothing else"


@pytest.mark.parametrize("off_ms", [0, 1, MS_PER_HOUR])
def test_a_cut_at_each_stroke_of_a_bolus(off_ms: int) -> None:
    outcomes = set()
    for stroke in range(1, STROKES + 1):
        talk = bolus_at_work().fork()
        turned_before = talk.pump.truth().strokes_turned
        talk.pump.inject("power-cut-at-stroke", {"strokes": stroke})
        talk.wait(80_000)
        assert not talk.pump.powered
        assert talk.pump.truth().strokes_turned - turned_before == stroke - 1
        talk.wait(off_ms)
        talk.pump.restore_power()
        outcomes.add(talk.granted(QueryCmd(1)).outcome)
        _check_closed(talk, turned_before)
    assert outcomes == {Outcome.PARTIAL}


@pytest.mark.parametrize("offset_ms", [0, 1, 999, 1_000, 8_999, 9_000, 9_999, 10_000, 10_001, 79_999, 80_000])
def test_a_plug_pulled_between_strokes(offset_ms: int) -> None:
    talk = bolus_at_work().fork()
    turned_before = talk.pump.truth().strokes_turned
    talk.wait(offset_ms)
    talk.pump.cut_power()
    talk.pump.restore_power()
    outcome = talk.granted(QueryCmd(1)).outcome
    if offset_ms < 9_000:  # a whole second before the first stroke it is certain that none was turned
        assert outcome is Outcome.NOT_STARTED
    assert (outcome is Outcome.DONE) == (offset_ms == 80_000)
    _check_closed(talk, turned_before)


def test_what_is_uncertain_after_a_cut_counts_for_the_limits_as_delivered() -> None:
    talk = bolus_at_work().fork()
    talk.pump.inject("power-cut-at-stroke", {"strokes": 4})
    talk.wait(80_000)
    talk.pump.restore_power()
    talk.wait(MS_PER_HOUR // 4)
    prepared = talk.granted(BolusPrepare(BolusKind.BOLUS, STROKE_NL, 80, 1))
    assert (prepared.hour_used_nl, prepared.day_used_nl) == (1_500 + 500, 1_500 + 500)


def _writes_until(talk: Conversation, ms: int) -> list[int]:
    done = talk.fork()
    before = len(done.writes)
    done.wait(ms)
    return [len(data) for _, data in done.writes[before:]]


def test_a_cut_in_each_memory_write_of_a_bolus() -> None:
    lengths = _writes_until(bolus_at_work(), 80_000)
    assert len(lengths) >= STROKES
    outcomes = set()
    for number, length in enumerate(lengths, 1):
        for torn in (0, 1, length // 2, length):
            talk = bolus_at_work().fork()
            turned_before = talk.pump.truth().strokes_turned
            talk.pump.plant.cut_at_write(number, torn)
            talk.wait(80_000)
            assert talk.pump.powered
            outcomes.add(talk.granted(QueryCmd(1)).outcome)
            _check_closed_in_time(talk, turned_before)
    assert outcomes == {Outcome.PARTIAL, Outcome.DONE}


def _check_closed_in_time(talk: Conversation, turned_before: int) -> None:
    found = talk.granted(QueryCmd(1))
    bolus_nl = (talk.pump.truth().strokes_turned - turned_before) * STROKE_NL
    assert found.delivered_nl <= bolus_nl <= found.delivered_nl + found.uncertain_nl
    assert [entry.type for entry in talk.log()].count(LogType.BOLUS_END) == 1
    assert_log_is_whole(talk)
    assert_the_trace_tells_the_log(talk)
    assert_volumes_agree(talk)
    assert talk.granted(GetStatus()).bolus_cmd_id == 0


def test_a_cut_in_the_restart_does_not_lose_the_bolus() -> None:
    """Power goes at the fourth stroke, and again in each write of each restart that follows."""
    talk = bolus_at_work().fork()
    turned_before = talk.pump.truth().strokes_turned
    talk.pump.inject("power-cut-at-stroke", {"strokes": 4})
    talk.wait(80_000)
    started = talk.fork()
    started.pump.restore_power()
    started.wait(0)
    writes = len(started.writes) - len(talk.writes)
    assert writes
    for number in range(1, writes + 1):
        again = talk.fork()
        again.pump.plant.cut_at_write(number, 3)  # the second restart comes at once
        again.pump.restore_power()
        assert again.pump.powered
        found = again.granted(QueryCmd(1))
        assert (found.outcome, found.delivered_nl, found.uncertain_nl) == (Outcome.PARTIAL, 1_500, 500)
        _check_closed(again, turned_before)


# What comes by itself


def _hourly() -> tuple[Conversation, int]:
    talk = Conversation.with_new_pump()
    talk.wait_until(MS_PER_HOUR - 1)
    return talk, 1


def _low() -> tuple[Conversation, int]:
    talk = Conversation.with_new_pump(profile_of(implant=Implant(filled_nl=2_100_000)))
    talk.wait_until(4 * MS_PER_HOUR - 1)
    return talk, 1


def _empty(policy: EmptyPolicy) -> tuple[Conversation, int]:
    talk = Conversation.with_new_pump(profile_of(implant=Implant(filled_nl=2_100_000), empty_policy=policy))
    talk.wait_until(84 * MS_PER_HOUR - 1)
    return talk, 1


def _stop_expiry(on_expiry: OnExpiry) -> tuple[Conversation, int]:
    talk = Conversation.with_new_pump()
    talk.wait_until(MS_PER_HOUR)
    talk.granted(Stop(1, 600, StopReason.MRI, on_expiry))
    talk.wait(10 * MS_PER_MINUTE - 1)
    return talk, 1


def _too_long() -> tuple[Conversation, int]:
    talk = Conversation.with_new_pump()
    talk.granted(Stop(1, 600, StopReason.MRI))
    talk.wait_until(48 * MS_PER_HOUR - 1)
    return talk, 1


def _stall() -> tuple[Conversation, int]:
    talk = Conversation.with_new_pump()
    talk.wait_until(10 * MS_PER_HOUR)
    talk.pump.stall_motor(True)
    talk.wait(18 * 72_000 - 1)
    return talk, 1


EVENTS = {
    "the hourly checkpoint": (_hourly, None),
    "low": (_low, AlarmId.LOW_RESERVOIR),
    "empty, minimum rate": (lambda: _empty(EmptyPolicy.MINIMUM_RATE), AlarmId.EMPTY),
    "empty, stop": (lambda: _empty(EmptyPolicy.STOP), AlarmId.EMPTY),
    "empty, continue": (lambda: _empty(EmptyPolicy.CONTINUE), AlarmId.EMPTY),
    "stop expires with an alarm": (lambda: _stop_expiry(OnExpiry.ALARM_ONLY), AlarmId.STOP_EXPIRED),
    "stop expires to the safe rate": (lambda: _stop_expiry(OnExpiry.SAFE_RATE), AlarmId.STOP_EXPIRED),
    "stop expires to therapy": (lambda: _stop_expiry(OnExpiry.RESUME), AlarmId.STOP_EXPIRED),
    "stopped too long": (_too_long, AlarmId.STOPPED_TOO_LONG),
    "stall": (_stall, AlarmId.MOTOR_STALL),
}


@pytest.mark.parametrize("name", EVENTS)
def test_a_cut_in_an_event_that_comes_by_itself(name: str) -> None:
    """A while after the restart the pump is where it would be without the cut, but for the reset's own marks."""
    make, alarm = EVENTS[name]
    base, step_ms = make()
    lengths = _writes_until(base, step_ms)
    assert lengths
    plain = base.fork()
    plain.wait(2 * MS_PER_HOUR)
    wanted = plain.granted(GetStatus())
    cuts = [(n, torn) for n, length in enumerate(lengths, 1) for torn in (0, 1, length // 2, length)]
    for number, torn in part_of(f"a cut in {name}", cuts, one_in=2):
        talk = base.fork()
        before = talk.granted(GetStatus())
        talk.pump.plant.cut_at_write(number, torn)
        talk.wait(step_ms)
        status = talk.granted(GetStatus())
        assert status.t_mono_s >= before.t_mono_s
        assert status.state in (before.state, wanted.state)
        talk.wait(2 * MS_PER_HOUR)
        status = talk.granted(GetStatus())
        assert (status.state, status.rate_nl_per_day) == (wanted.state, wanted.rate_nl_per_day)
        if alarm is not None:
            assert status.alarm_latched >> alarm & 1
            assert (status.alarm_active ^ wanted.alarm_active) >> alarm & 1 == 0
        assert_log_is_whole(talk)
        assert_the_trace_tells_the_log(talk)
        assert_volumes_agree(talk)


def test_power_cuts_without_end_lose_no_therapy() -> None:
    """A cut every 40 minutes for a week, at any place: the accumulator goes on, an hour at most is uncertain."""
    talk = Conversation.with_new_pump()
    for number in range(1, 7 * 36):
        talk.wait(40 * MS_PER_MINUTE + number)
        talk.pump.cut_power()
        talk.pump.restore_power()
        belief = talk.pump.belief()
        assert belief is not None
        assert belief.state is State.RUN
    assert_volumes_agree(talk)
    assert_log_is_whole(talk)
    assert_the_trace_tells_the_log(talk)


@pytest.mark.parametrize("rate_nl_per_day", [48_000, 600_000, 5_000_000])
@pytest.mark.parametrize("after_ms", [1, 71_999, 72_000, MS_PER_HOUR - 1, MS_PER_HOUR, 5 * MS_PER_HOUR + 17])
def test_basal_that_a_power_loss_leaves_uncounted_is_at_most_what_the_restart_says_and_an_hour_of_it(
    rate_nl_per_day: int, after_ms: int
) -> None:
    implant = Implant(dose_ng_per_day=rate_nl_per_day // 2)
    talk = Conversation.with_new_pump(profile_of(implant=implant, wall_at_start_s=826_000_000))
    talk.wait(after_ms)
    talk.pump.cut_power()
    talk.pump.restore_power()
    counted_nl = talk.granted(GetDelivery()).basal_nl
    true_nl = talk.pump.truth().strokes_turned * STROKE_NL
    (brownout,) = [entry.details() for entry in talk.log() if entry.type is LogType.RESET_BROWNOUT]
    assert counted_nl <= true_nl <= counted_nl + brownout.uncertain_nl
    assert brownout.uncertain_nl <= rate_nl_per_day * 3_601 // 86_400 + STROKE_NL
