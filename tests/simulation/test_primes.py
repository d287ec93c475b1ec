"""Primes: a volume of their own, in RUN or STOP, in no window, and never a bolus that comes back [SPEC 6; RH-19]."""

from __future__ import annotations

import pytest

from firmware_emu.profile import Implant
from firmware_emu.units import MS_PER_HOUR, MS_PER_S
from hil.campaign.conversation import Conversation, factory_profile, profile_of
from protocol.identifiers import (
    Activity,
    AlarmId,
    BolusKind,
    ErrorCode,
    OnExpiry,
    Outcome,
    RefillFlag,
    State,
    StopReason,
)
from protocol.log.data import BolusEndData, BolusStartData
from protocol.log.types import BolusEndReason, DeliveryKind, LogType
from protocol.messages.bolus import BolusCancel, BolusCommit, BolusPrepare, Prime
from protocol.messages.ledger import QueryCmd
from protocol.messages.program import ProgCommit
from protocol.messages.reading import GetDelivery, GetStatus
from protocol.messages.reservoir import Refill
from protocol.messages.stop import Resume, Stop
from tests.simulation.invariants import assert_log_is_whole, assert_volumes_agree
from tests.support.for_each import for_each

PATH_NL, PATH_S = 338_000, 1_300
SLOW = Implant(dose_ng_per_day=24_000)


def running() -> Conversation:
    talk = Conversation.with_new_pump(profile_of(implant=SLOW))
    talk.wait_until(MS_PER_HOUR)
    return talk


def stopped(max_stop_s: int = 86_400, on_expiry: OnExpiry = OnExpiry.ALARM_ONLY) -> Conversation:
    talk = running()
    talk.granted(Stop(1, max_stop_s, StopReason.CLINICAL, on_expiry))
    return talk


def prepare(volume_nl: int = PATH_NL, duration_s: int = PATH_S, rev: int = 1) -> BolusPrepare:
    return BolusPrepare(BolusKind.PRIME, volume_nl, duration_s, rev)


def ends(talk: Conversation) -> list[BolusEndData]:
    found: list[BolusEndData] = [e.details() for e in talk.log() if e.type is LogType.PRIME_END]
    return found


@for_each("state", [State.RUN, State.STOP])
def test_a_prime_delivers_its_volume_beside_the_therapy_and_leaves_the_state(state: State) -> None:
    talk = running() if state is State.RUN else stopped()
    before = talk.granted(GetDelivery())
    assert talk.start_prime(7, PATH_NL, PATH_S).result.outcome is Outcome.RUNNING
    talk.wait(PATH_S * MS_PER_S - 1)
    status = talk.granted(GetStatus())
    assert (status.state, status.activity, status.bolus_cmd_id) == (state, Activity.PRIME, 7)
    assert talk.granted(QueryCmd(7)).delivered_nl == PATH_NL - 500
    talk.wait(1)
    found = talk.granted(QueryCmd(7))
    assert (found.outcome, found.delivered_nl, found.uncertain_nl) == (Outcome.DONE, PATH_NL, 0)
    after, status = talk.granted(GetDelivery()), talk.granted(GetStatus())
    assert (status.state, status.activity) == (state, Activity(0))
    assert after.prime_nl - before.prime_nl == PATH_NL
    assert (after.bolus_nl, after.hour_used_nl, after.day_used_nl) == (0, 0, 0), "a prime is in no window"
    asked_nl_ms = 48_000 * PATH_S * MS_PER_S if state is State.RUN else 0
    assert abs(after.basal_nl - before.basal_nl - asked_nl_ms // 86_400_000) < 500
    start = next(e.details() for e in talk.log() if e.type is LogType.PRIME_START)
    assert start == BolusStartData(PATH_NL, PATH_S, DeliveryKind.PRIME)
    assert ends(talk) == [BolusEndData(PATH_NL, 0, BolusEndReason.COMPLETE)]
    assert_volumes_agree(talk)
    assert_log_is_whole(talk)


def test_a_prime_is_even_and_never_more_than_a_stroke_from_what_was_asked_for() -> None:
    talk = stopped()
    talk.start_prime(7, PATH_NL, PATH_S)
    for second in range(1, PATH_S + 1):
        talk.wait(MS_PER_S)
        asked_nl = PATH_NL * second // PATH_S
        assert asked_nl // 500 * 500 == talk.granted(QueryCmd(7)).delivered_nl


# FI 67, RH-19
def test_rh_19_an_interrupted_bolus_a_prime_and_a_resume_give_each_what_it_was_asked_and_catch_nothing_up() -> (
    None
):
    """Attack 5.6: the accounts of a bolus and a prime are apart."""
    talk = running()
    talk.start_bolus(1, 100_000, 3_600)
    talk.wait(MS_PER_HOUR // 2)
    talk.granted(Stop(2, 86_400, StopReason.CLINICAL))
    bolus = talk.granted(QueryCmd(1))
    assert (bolus.outcome, bolus.delivered_nl) == (Outcome.PARTIAL, 50_000)
    basal_nl = talk.granted(GetDelivery()).basal_nl
    talk.start_prime(3, PATH_NL, PATH_S)
    talk.wait(PATH_S * MS_PER_S)
    talk.granted(Resume(4, 1))
    talk.wait(10 * MS_PER_HOUR)
    after = talk.granted(GetDelivery())
    assert (after.bolus_nl, after.prime_nl) == (50_000, PATH_NL)
    assert after.basal_nl - basal_nl == 20_000
    assert talk.granted(QueryCmd(1)) == bolus
    assert after.day_used_nl == 50_000
    truth = talk.pump.truth()
    assert truth.strokes_turned * 500 == after.basal_nl + after.bolus_nl + after.prime_nl
    assert_volumes_agree(talk)


def test_a_token_is_of_its_own_kind() -> None:
    talk = running()
    prime = talk.granted(prepare(20_000, 600))
    assert talk.code(BolusCommit(1, 20_000, 600, prime.token, 1)) is ErrorCode.TOKEN
    bolus = talk.granted(BolusPrepare(BolusKind.BOLUS, 20_000, 600, 1))
    assert talk.code(Prime(1, 20_000, 600, bolus.token, 1)) is ErrorCode.TOKEN
    assert talk.granted(GetStatus()).activity == Activity(0)


def _with_bolus() -> Conversation:
    talk = running()
    talk.start_bolus(1, 20_000, 3_600)
    return talk


def _with_prime() -> Conversation:
    talk = running()
    talk.start_prime(1, 20_000, 3_600)
    return talk


def _safe_state() -> Conversation:
    talk = stopped(60, OnExpiry.SAFE_RATE)
    talk.wait(60 * MS_PER_S)
    return talk


def _stalled() -> Conversation:
    talk = running()
    talk.pump.stall_motor(True)
    talk.wait(10 * MS_PER_HOUR)
    return talk


@for_each(
    ("name", "talk_of", "code", "detail"),
    [
        ("beside a bolus", _with_bolus, ErrorCode.BOLUS_ACTIVE, 1),
        ("beside another prime", _with_prime, ErrorCode.BOLUS_ACTIVE, 1),
        ("in the safe state", _safe_state, ErrorCode.SAFE_STATE, State.SAFE_STATE),
        ("in a critical alarm", _stalled, ErrorCode.ALARM_BLOCKS, 1 << AlarmId.MOTOR_STALL),
    ],
    name=lambda case: case[0],
)
def test_a_prime_is_refused(name: str, talk_of: object, code: ErrorCode, detail: int) -> None:
    assert callable(talk_of), name
    error = talk_of().refused(prepare())
    assert (error.code, error.detail) == (code, detail)


def test_a_bolus_is_refused_beside_a_prime() -> None:
    talk = _with_prime()
    assert talk.code(BolusPrepare(BolusKind.BOLUS, 20_000, 600, 1)) is ErrorCode.BOLUS_ACTIVE


def test_a_prime_of_more_than_the_reservoir_is_believed_to_hold_is_refused() -> None:
    talk = Conversation.with_new_pump(factory_profile())
    error = talk.refused(prepare(rev=0))
    assert (error.code, error.detail, error.limit) == (ErrorCode.RESERVOIR, PATH_NL, 0)
    talk.granted(Refill(1, 0, 200_250, 1, RefillFlag(0), 500_000, 100_000))
    error = talk.refused(prepare(rev=0))
    assert (error.code, error.limit, error.nearest) == (ErrorCode.RESERVOIR, 200_250, 200_000)


def test_a_filled_pump_that_was_never_programmed_can_be_primed_and_stopped() -> None:
    talk = Conversation.with_new_pump(factory_profile())
    talk.granted(Refill(1, 0, 18_000_000, 1, RefillFlag(0), 500_000, 2_000_000))
    talk.start_prime(2, PATH_NL, PATH_S, program_rev=0)
    talk.wait(650 * MS_PER_S)
    talk.granted(Stop(3, 60, StopReason.CLINICAL))
    found = talk.granted(QueryCmd(2))
    assert (found.outcome, found.delivered_nl) == (Outcome.PARTIAL, PATH_NL // 2)
    talk.wait(MS_PER_HOUR)
    assert talk.granted(GetDelivery()).prime_nl == PATH_NL // 2
    assert_volumes_agree(talk)


@for_each(
    ("reason", "message"),
    [
        (BolusEndReason.CANCELLED, BolusCancel(8, 7, 0xFFFF)),
        (BolusEndReason.CANCELLED, BolusCancel(8, 0, 0xFFFF)),
        (BolusEndReason.STOP, Stop(8, 3_600, StopReason.OVERDOSE)),
    ],
)
def test_a_prime_that_is_ended_early_is_partial_for_good(reason: BolusEndReason, message: object) -> None:
    talk = stopped()
    talk.start_prime(7, PATH_NL, PATH_S)
    talk.wait(650 * MS_PER_S)
    answer = talk.granted(message)
    if isinstance(message, BolusCancel):
        assert (answer.target_outcome, answer.delivered_nl) == (Outcome.PARTIAL, PATH_NL // 2)
    talk.wait(MS_PER_HOUR)
    assert ends(talk) == [BolusEndData(PATH_NL // 2, 0, reason)]
    assert talk.granted(QueryCmd(7)).outcome is Outcome.PARTIAL
    assert talk.granted(GetDelivery()).prime_nl == PATH_NL // 2
    assert talk.granted(GetStatus()).alarm_latched >> AlarmId.BOLUS_PARTIAL & 1


def test_no_therapy_starts_beside_a_prime_that_left_it_no_room() -> None:
    talk = stopped()
    talk.start_prime(7, PATH_NL, 1_217)  # as fast as the pump can
    error = talk.refused(Resume(8, 1))
    assert (error.code, error.detail) == (ErrorCode.BOLUS_ACTIVE, 7)
    crc = talk.stage(300_000, 500_000, base_rev=1).staged_crc
    assert talk.code(ProgCommit(8, 1, crc, start=True)) is ErrorCode.BOLUS_ACTIVE
    talk.wait(1_217 * MS_PER_S)
    assert talk.granted(Resume(8, 1)).state is State.RUN


@pytest.mark.parametrize("on_expiry", tuple(OnExpiry))
def test_a_stop_that_expires_ends_a_prime_before_anything_else_flows(on_expiry: OnExpiry) -> None:
    talk = stopped(900, on_expiry)
    talk.start_prime(7, PATH_NL, 1_217)
    talk.wait(900 * MS_PER_S - 1)
    nearly_nl = talk.granted(QueryCmd(7)).delivered_nl
    talk.wait(1)
    found = talk.granted(QueryCmd(7))
    assert found.outcome is Outcome.PARTIAL
    assert 0 <= found.delivered_nl - nearly_nl <= 500
    assert ends(talk)[-1].reason is BolusEndReason.ALARM
    talk.wait(MS_PER_HOUR)
    assert talk.granted(GetDelivery()).prime_nl == found.delivered_nl


def test_a_prime_that_reaches_the_empty_reservoir_ends_with_its_alarm() -> None:
    talk = Conversation.with_new_pump(factory_profile())
    talk.granted(Refill(1, 0, 340_000, 1, RefillFlag(0), 500_000, 100_000))
    talk.start_prime(2, PATH_NL, PATH_S, program_rev=0)
    talk.wait(PATH_S * MS_PER_S)
    assert talk.granted(QueryCmd(2)).outcome is Outcome.DONE
    assert talk.granted(GetStatus()).reservoir_calc_nl == 2_000
    assert talk.granted(GetStatus()).alarm_active >> AlarmId.LOW_RESERVOIR & 1


def test_a_power_cut_at_each_stroke_of_a_prime_leaves_at_most_one_uncertain_and_never_goes_on() -> None:
    base = stopped()
    base.start_prime(7, 10_000, 600)
    for strokes in range(1, 21):
        for before in (False, True):
            talk = base.fork()
            if before:
                talk.wait(strokes * 30 * MS_PER_S - 1)
                talk.pump.cut_power()
                talk.pump.restore_power()
            else:
                talk.pump.plant.cut_at_stroke(strokes)
                talk.wait(600 * MS_PER_S)
            turned_nl = talk.granted(GetDelivery()).prime_nl
            talk.wait(MS_PER_HOUR)
            found = talk.granted(QueryCmd(7))
            assert found.outcome in (Outcome.PARTIAL, Outcome.NOT_STARTED, Outcome.DONE)
            assert found.uncertain_nl <= 500
            assert talk.granted(GetDelivery()).prime_nl == turned_nl == found.delivered_nl
            assert_volumes_agree(talk)
            assert_log_is_whole(talk)
