"""Limits, strokes and fills that are no multiples of each other: what is rounded, swapped or left over shows."""

from __future__ import annotations

from functools import cache

from firmware_emu.profile import Implant
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR
from hil.campaign.conversation import Conversation, profile_of
from protocol.identifiers import AlarmId, BolusKind, ErrorCode, Outcome
from protocol.log.types import LogType
from protocol.messages.bolus import BolusPrepare
from protocol.messages.errors import ErrorReply
from protocol.messages.ledger import QueryCmd
from protocol.messages.program import ProgCommit
from protocol.messages.reading import GetDelivery, GetLimits, GetStatus
from protocol.messages.reservoir import GetReservoir
from tests.simulation.invariants import assert_volumes_agree
from tests.support.for_each import for_each

STROKE_NL = 333
BOLUS_MAX_NL = 100_000  # 300 strokes are 99,900
HOUR_MAX_NL = 200_050  # 600 strokes are 199,800
DAY_MAX_NL = 450_101
PROGRAM_DAY_MAX_NL = 700_003
GIVEN_NL = 99 * STROKE_NL
FILLED_NL = 5_000_050
LOW_ALARM_NL = 1_999_999
RATE_NL_PER_DAY = 600_000


@cache
def implanted() -> Conversation:
    talk = Conversation.with_new_pump(
        profile_of(
            implant=Implant(filled_nl=FILLED_NL),
            stroke_nl=STROKE_NL,
            residual_nl=1_400_007,
            bolus_max_nl=BOLUS_MAX_NL,
            hour_max_nl=HOUR_MAX_NL,
            day_max_nl=DAY_MAX_NL,
            program_day_max_nl=PROGRAM_DAY_MAX_NL,
            low_reservoir_alarm_nl=LOW_ALARM_NL,
            min_bolus_gap_s=0,
            rate_min_nl_per_day=48_001,
            rate_max_nl_per_day=23_999_999,
            safe_rate_nl_per_day=6_007,
            max_stop_s=172_799,
            bolus_max_duration_s=86_399,
        )
    )
    talk.wait_until(MS_PER_HOUR)
    return talk


def prepared(talk: Conversation, volume_nl: int, duration_s: int = 900) -> object:
    return talk.ask(BolusPrepare(BolusKind.BOLUS, volume_nl, duration_s, 1))


def test_each_limit_is_told_in_its_own_field() -> None:
    limits = implanted().fork().granted(GetLimits())
    told = limits._asdict()
    assert {name: told[name] for name in told if name.endswith(("_nl", "_per_day", "_s"))} == {
        "rate_min_nl_per_day": 48_001,
        "rate_max_nl_per_day": 23_999_999,
        "safe_rate_nl_per_day": 6_007,
        "bolus_max_nl": BOLUS_MAX_NL,
        "hour_max_nl": HOUR_MAX_NL,
        "day_max_nl": DAY_MAX_NL,
        "min_bolus_gap_s": 0,
        "max_stop_s": 172_799,
        "stroke_nl": STROKE_NL,
        "program_day_max_nl": PROGRAM_DAY_MAX_NL,
        "hello_per_day": 1_000,
        "bolus_max_duration_s": 86_399,
    }
    assert (told["max_segments"], told["max_payload"]) == (91, 224)  # [SPEC 2, 6.2]
    assert (told["hello_per_min"], told["log_capacity"]) == (10, 2_000)
    delivery = implanted().fork().granted(GetDelivery())
    assert (delivery.hour_max_nl, delivery.day_max_nl) == (HOUR_MAX_NL, DAY_MAX_NL)


def test_a_bolus_is_rounded_to_strokes_before_it_is_held_against_its_maximum() -> None:
    talk = implanted().fork()
    answer = talk.granted(BolusPrepare(BolusKind.BOLUS, 100_232, 900, 1))
    assert answer.quantised_nl == 300 * STROKE_NL == 99_900
    assert (answer.hour_max_nl, answer.day_max_nl) == (HOUR_MAX_NL, DAY_MAX_NL)
    refusal = prepared(talk, 301 * STROKE_NL)
    assert isinstance(refusal, ErrorReply)
    assert (refusal.code, refusal.detail, refusal.limit, refusal.nearest) == (
        ErrorCode.BOLUS_MAX,
        100_233,
        BOLUS_MAX_NL,
        99_900,
    )


@for_each("volume_nl", [0, 1, STROKE_NL - 1])
def test_less_than_a_stroke_is_refused_with_the_stroke(volume_nl: int) -> None:
    refusal = prepared(implanted().fork(), volume_nl)
    assert isinstance(refusal, ErrorReply)
    assert (refusal.code, refusal.detail, refusal.limit) == (ErrorCode.RATE, volume_nl, STROKE_NL)


def test_what_is_left_of_the_hour_and_of_the_day_is_told_in_whole_strokes_and_can_be_given() -> None:
    talk = implanted().fork()
    given_nl = 0
    cmd_id = 0
    for code, limit_nl in ((ErrorCode.HOUR_MAX, HOUR_MAX_NL), (ErrorCode.DAY_MAX, DAY_MAX_NL)):
        while not isinstance(answer := prepared(talk, GIVEN_NL), ErrorReply) or answer.code is not code:
            if isinstance(answer, ErrorReply):
                assert (answer.code, code) == (ErrorCode.HOUR_MAX, ErrorCode.DAY_MAX)
                talk.wait(MS_PER_HOUR)
                continue
            cmd_id += 1
            talk.start_bolus(cmd_id, GIVEN_NL, 300)
            given_nl += GIVEN_NL
            talk.wait(300_000)
        left_nl = limit_nl - given_nl
        assert (answer.limit, answer.nearest) == (limit_nl, left_nl // STROKE_NL * STROKE_NL)
        assert 0 < answer.nearest < left_nl
        above = prepared(talk, answer.nearest + STROKE_NL)
        assert isinstance(above, ErrorReply)
        assert above.code is code
        assert not isinstance(prepared(talk, answer.nearest), ErrorReply)
    assert talk.granted(GetDelivery()).day_used_nl == given_nl


def test_a_bolus_that_is_exactly_what_is_left_is_given_whole() -> None:
    talk = Conversation.with_new_pump(
        profile_of(
            stroke_nl=STROKE_NL, hour_max_nl=3 * STROKE_NL, day_max_nl=4 * STROKE_NL, min_bolus_gap_s=0
        )
    )
    talk.start_bolus(1, 3 * STROKE_NL, 60)
    talk.wait(MS_PER_HOUR + 60_000)
    over = prepared(talk, 2 * STROKE_NL, 60)
    assert isinstance(over, ErrorReply)
    assert (over.code, over.nearest) == (ErrorCode.DAY_MAX, STROKE_NL)
    talk.start_bolus(2, STROKE_NL, 60)
    talk.wait(60_000)
    assert talk.granted(QueryCmd(2)).outcome is Outcome.DONE
    none_left = prepared(talk, STROKE_NL, 60)
    assert isinstance(none_left, ErrorReply)
    assert (none_left.code, none_left.nearest) == (ErrorCode.DAY_MAX, 0)


def test_low_and_empty_come_at_the_stroke_that_reaches_them() -> None:
    talk = implanted().fork()
    foretold = talk.granted(GetReservoir())
    for alarm_id, moment_s, volume_nl in (
        (AlarmId.LOW_RESERVOIR, foretold.low_t_mono_s, LOW_ALARM_NL),
        (AlarmId.EMPTY, foretold.empty_t_mono_s, 0),
    ):
        strokes = -(-(FILLED_NL - volume_nl) // STROKE_NL)
        due_ms = -(-strokes * STROKE_NL * MS_PER_DAY // RATE_NL_PER_DAY)
        assert due_ms // 1_000 == moment_s, alarm_id
        talk.wait_until(due_ms - 1)
        assert not talk.granted(GetStatus()).alarm_active >> alarm_id & 1
        talk.wait_until(due_ms)
        assert talk.granted(GetStatus()).alarm_active >> alarm_id & 1
        assert talk.granted(GetReservoir()).reservoir_calc_nl == max(0, FILLED_NL - strokes * STROKE_NL)
    assert_volumes_agree(talk)


def test_a_program_is_held_against_the_days_limit_of_programs_and_not_of_boluses() -> None:
    talk = implanted().fork()
    most_ng_per_day = PROGRAM_DAY_MAX_NL // 2  # 500 ng in a microlitre
    assert talk.stage(most_ng_per_day, 500_000, base_rev=1).refusals == ()
    (refused,) = talk.stage(most_ng_per_day + 2, 500_000, base_rev=1).refusals
    assert refused.limit == PROGRAM_DAY_MAX_NL
    crc = talk.stage(most_ng_per_day, 500_000, base_rev=1).staged_crc
    talk.granted(ProgCommit(1, 1, crc, start=True))
    assert talk.granted(GetStatus()).rate_nl_per_day == 700_002
    assert LogType.PROGRAM_COMMIT in {entry.type for entry in talk.log()}
