"""Why a command is refused, what the refusal tells, and that it changed nothing: limits, windows, tokens, ids."""

from __future__ import annotations

import pytest

from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_S
from hil.campaign.conversation import Conversation, profile_of, simple_header
from protocol.codec.layouts import offset_of
from protocol.identifiers import (
    AlarmId,
    BolusKind,
    ErrorCode,
    OnExpiry,
    Outcome,
    RefillFlag,
    Role,
    State,
    StateChanged,
    StopReason,
    TimeSetReason,
)
from protocol.log.types import LogName, LogType
from protocol.messages.alarms import AlarmAck, GetAlarms
from protocol.messages.bolus import BolusCancel, BolusCommit, BolusPrepare
from protocol.messages.ledger import QueryCmd, VoidCmd
from protocol.messages.log import LogRead
from protocol.messages.program import ProgBegin, ProgCommit, ProgVerify, ProgWrite, Segment
from protocol.messages.reading import GetDelivery, GetStatus
from protocol.messages.reservoir import Refill
from protocol.messages.stop import Resume, Stop
from protocol.messages.time import TimeSet
from tests.support.for_each import for_each

WALL_S = 826_000_000
E = ErrorCode


@pytest.fixture
def talk() -> Conversation:
    talk = Conversation.with_new_pump(profile_of(wall_at_start_s=WALL_S))
    talk.wait_until(MS_PER_HOUR)
    return talk


def prepare(volume_nl: int, duration_s: int, rev: int = 1, kind: BolusKind = BolusKind.BOLUS) -> BolusPrepare:
    return BolusPrepare(kind, volume_nl, duration_s, rev)


def start_of(cls: type, name: str) -> int:
    return offset_of(cls, name)[0]


@pytest.mark.parametrize(
    ("message", "code", "field", "limit", "nearest"),
    [
        (prepare(499, 600), E.RATE, "volume_nl", 500, 2),
        (prepare(0, 600), E.RATE, "volume_nl", 500, 2),
        (prepare(20_000, 0), E.RATE, "duration_s", 24_000_000, 74),
        (prepare(20_000, 73), E.RATE, "duration_s", 24_000_000, 74),
        (prepare(4_294_967_000, 0xFFFF_FFFF), E.BOLUS_MAX, "volume_nl", 500_000, 500_000),
        (prepare(500_500, 7_200), E.BOLUS_MAX, "volume_nl", 500_000, 500_000),
        (prepare(20_000, 600, rev=2), E.REV_MISMATCH, "program_rev", 1, 1),
        (prepare(20_000, 86_401), E.TIME_RANGE, "duration_s", 86_400, 86_400),
        (prepare(20_000, 86_401, kind=BolusKind.PRIME), E.TIME_RANGE, "duration_s", 86_400, 86_400),
        (prepare(499, 600, kind=BolusKind.PRIME), E.RATE, "volume_nl", 500, 2),
        (prepare(338_000, 1_247, kind=BolusKind.PRIME), E.RATE, "duration_s", 24_000_000, 1_248),
        (prepare(500_500, 7_200, kind=BolusKind.PRIME), E.BOLUS_MAX, "volume_nl", 500_000, 500_000),
        (prepare(338_000, 1_500, rev=0, kind=BolusKind.PRIME), E.REV_MISMATCH, "program_rev", 1, 1),
    ],
)
def test_prepare_names_the_field_the_limit_and_the_nearest_value(
    talk: Conversation, message: BolusPrepare, code: ErrorCode, field: str, limit: int, nearest: int
) -> None:
    error = talk.refused(message)
    assert (error.code, error.error_class) == (code, code.error_class)
    assert (error.limit, error.nearest) == (limit, nearest)
    assert error.field_offset == start_of(BolusPrepare, field)
    assert error.state_changed is StateChanged.NO
    assert error.detail == getattr(message, field)


def test_the_nearest_duration_is_accepted_and_one_second_less_is_not(talk: Conversation) -> None:
    nearest = talk.refused(prepare(500_000, 1)).nearest
    assert talk.code(prepare(500_000, nearest)) is None
    assert talk.code(prepare(500_000, nearest - 1)) is E.RATE


def test_a_bolus_is_whole_strokes_and_prepare_says_so(talk: Conversation) -> None:
    assert talk.granted(prepare(20_499, 600)).quantised_nl == 20_000


# Tokens


def test_a_token_is_good_once_and_for_what_it_was_given_for(talk: Conversation) -> None:
    def attempt(**changed: int) -> ErrorCode | None:
        token = talk.granted(prepare(20_000, 600)).token
        wanted = {"cmd_id": 1, "volume_nl": 20_000, "duration_s": 600, "token": token, "program_rev": 1}
        return talk.code(BolusCommit(**{**wanted, **changed}))

    assert attempt(volume_nl=20_500) is E.TOKEN
    assert attempt(volume_nl=19_500) is E.TOKEN
    assert attempt(duration_s=599) is E.TOKEN
    assert attempt(token=0) is E.TOKEN
    assert attempt(program_rev=2) is E.REV_MISMATCH
    assert talk.granted(GetStatus()).last_cmd_id == 0
    assert attempt() is None
    assert talk.granted(GetStatus()).bolus_cmd_id == 1


def test_a_token_presented_wrongly_is_spent(talk: Conversation) -> None:
    token = talk.granted(prepare(20_000, 600)).token
    assert talk.code(BolusCommit(1, 20_500, 600, token, 1)) is E.TOKEN
    error = talk.refused(BolusCommit(1, 20_000, 600, token, 1))
    assert (error.code, error.field_offset) == (E.TOKEN, start_of(BolusCommit, "token"))


@pytest.mark.parametrize(("wait_ms", "good"), [(9_999, True), (10_000, False)])
def test_a_token_lives_for_ten_seconds(talk: Conversation, wait_ms: int, good: bool) -> None:
    token = talk.granted(prepare(20_000, 600)).token
    talk.wait(wait_ms)
    assert talk.code(BolusCommit(1, 20_000, 600, token, 1)) is (None if good else E.TOKEN)


def test_a_token_dies_with_the_next_prepare_and_with_the_session(talk: Conversation) -> None:
    first = talk.granted(prepare(20_000, 600)).token
    second = talk.granted(prepare(20_000, 600)).token
    assert talk.code(BolusCommit(1, 20_000, 600, first, 1)) is E.TOKEN
    talk.open()
    assert talk.code(BolusCommit(1, 20_000, 600, second, 1)) is E.TOKEN


def test_a_token_dies_with_the_next_prepare_also_where_that_is_refused(talk: Conversation) -> None:
    for volume_nl, duration_s, program_rev, why in (
        (20_000, 0, 1, E.RATE),
        (600_000, 86_400, 1, E.BOLUS_MAX),
        (20_000, 600, 9, E.REV_MISMATCH),
    ):
        token = talk.granted(prepare(20_000, 600)).token
        assert talk.code(prepare(volume_nl, duration_s)._replace(program_rev=program_rev)) is why
        assert talk.code(BolusCommit(1, 20_000, 600, token, 1)) is E.TOKEN


# Windows and gap


def give(talk: Conversation, cmd_id: int, volume_nl: int, duration_s: int = 1_900) -> None:
    talk.start_bolus(cmd_id, volume_nl, duration_s)
    talk.wait(duration_s * MS_PER_S)


def test_boluses_keep_the_gap_to_the_second(talk: Conversation) -> None:
    give(talk, 1, 20_000, 600)
    talk.wait(899_999)
    error = talk.refused(prepare(20_000, 600))
    assert (error.code, error.limit, error.nearest) == (E.GAP, 900, (talk.now_ms + 1) // MS_PER_S)
    assert error.field_offset is None, "the time is wrong, and no field of the request"
    talk.wait(1)
    assert talk.code(prepare(20_000, 600)) is None


def test_the_hour_is_full_until_an_hour_after_the_end(talk: Conversation) -> None:
    give(talk, 1, 500_000, 1_200 + 650)
    first_end_ms = talk.now_ms
    talk.wait(900_000)
    give(talk, 2, 500_000, 1_200 + 650)
    talk.wait_until(first_end_ms + MS_PER_HOUR - 1)
    assert talk.granted(GetDelivery()).hour_used_nl == 1_000_000
    error = talk.refused(prepare(500, 60))
    assert (error.code, error.limit, error.nearest) == (E.HOUR_MAX, 1_000_000, 0)
    talk.wait(1)
    assert talk.granted(GetDelivery()).hour_used_nl == 500_000
    assert talk.refused(prepare(500, 60)).code is E.GAP  # the hour has room again
    talk.wait(60_000)
    assert talk.code(prepare(500_000, 1_850)) is None
    error = talk.refused(prepare(500_500, 1_900))
    assert error.code is E.BOLUS_MAX


def test_the_day_limit_holds_across_a_power_cut_and_a_clock_that_was_set(talk: Conversation) -> None:
    cmd_id = 0
    while (code := talk.code(prepare(500_000, 1_900))) is not E.DAY_MAX:
        if code is None:
            cmd_id += 1
            give(talk, cmd_id, 500_000)
        talk.wait(900_000)
        assert cmd_id <= 10
    assert talk.granted(GetDelivery()).day_used_nl == 5_000_000
    talk.pump.cut_power()
    talk.pump.restore_power()
    assert talk.code(prepare(500_000, 1_900)) is E.DAY_MAX
    talk.granted(TimeSet(cmd_id + 1, WALL_S + 10 * 86_400, 0, TimeSetReason.DRIFT, confirm=True))
    error = talk.refused(prepare(500, 1_900))
    assert (error.code, error.detail, error.limit, error.nearest) == (E.DAY_MAX, 500, 5_000_000, 0)
    talk.wait(MS_PER_DAY)
    assert talk.code(prepare(500_000, 1_900)) is None


# Ids


def test_ids_that_cannot_be_used(talk: Conversation) -> None:
    stop = Stop(5, 600, StopReason.MRI)
    talk.granted(stop)
    assert talk.code(Resume(0, 1)) is E.CMD_ID_RANGE
    assert talk.code(Resume(0xFFFF_FFFF, 1)) is E.CMD_ID_RANGE
    assert talk.code(Resume(5 + 65_537, 1)) is E.CMD_ID_RANGE
    assert talk.code(Resume(5, 1)) is E.CMD_ID_MISMATCH
    error = talk.refused(Resume(4, 1))
    assert (error.code, error.nearest, error.limit) == (E.CMD_ID_OLD, 6, 5 + 65_536)
    assert talk.granted(GetStatus()).state is State.STOP
    assert talk.granted(Resume(5 + 65_536, 1)).state is State.RUN


def test_a_repeat_is_answered_from_the_ledger_and_does_nothing(talk: Conversation) -> None:
    token = talk.granted(prepare(20_000, 600)).token
    commit = BolusCommit(1, 20_000, 600, token, 1)
    first = talk.granted(commit)
    talk.wait(300_000)
    again = talk.granted(commit)
    assert (again.result.dup, again.result.outcome, again.delivered_nl) == (True, Outcome.RUNNING, 10_000)
    assert again.result.seq == first.result.seq
    talk.wait(301_000)
    after = talk.granted(commit)
    assert (after.result.dup, after.result.outcome, after.delivered_nl) == (True, Outcome.DONE, 20_000)
    assert talk.code(commit._replace(duration_s=601)) is E.CMD_ID_MISMATCH
    assert (
        talk.code(commit._replace(token=token ^ 1)) is E.CMD_ID_MISMATCH
    )  # the same bolus, of somebody else
    talk.wait(MS_PER_HOUR)
    assert talk.granted(GetDelivery()).bolus_nl == 20_000


def test_a_voided_id_can_never_act(talk: Conversation) -> None:
    assert talk.granted(VoidCmd(1)).outcome is Outcome.VOIDED
    token = talk.granted(prepare(20_000, 600)).token
    assert talk.code(BolusCommit(1, 20_000, 600, token, 1)) is E.CMD_ID_MISMATCH
    assert talk.granted(QueryCmd(1)).outcome is Outcome.VOIDED
    assert talk.granted(BolusCancel(2, 1, 0xFFFF)).target_outcome is Outcome.VOIDED


def test_an_id_out_of_range_is_told_as_refused_and_cannot_be_voided_before_it_is_in_range(
    talk: Conversation,
) -> None:
    far_id = 70_000
    assert talk.code(Resume(far_id, 1)) is E.CMD_ID_RANGE
    assert talk.granted(QueryCmd(far_id)).outcome is Outcome.REFUSED
    for cmd_id in (far_id, 0, 0xFFFF_FFFF):
        assert talk.code(VoidCmd(cmd_id)) is E.CMD_ID_RANGE
    assert talk.granted(Resume(65_536, 1)).result.outcome is Outcome.DONE
    assert talk.granted(VoidCmd(far_id)).outcome is Outcome.VOIDED


def test_a_refused_id_is_told_as_refused_with_its_reason(talk: Conversation) -> None:
    talk.refused(Resume(1, 9))
    found = talk.granted(QueryCmd(1))
    assert (found.outcome, found.reason) == (Outcome.REFUSED, E.REV_MISMATCH)
    assert talk.granted(Resume(1, 1)).result.outcome is Outcome.DONE


# Program, refill, clock, alarms, log


def test_staging_is_refused_piece_by_piece(talk: Conversation) -> None:
    header = simple_header(300_000, 500_000)
    assert talk.code(ProgVerify()) is E.NO_STAGED
    assert talk.code(ProgWrite(0, (Segment(0, 600_000),))) is E.NO_STAGED
    assert talk.code(ProgCommit(1, 1, 0, start=True)) is E.NO_STAGED
    assert talk.code(ProgBegin(0, header)) is E.REV_MISMATCH
    talk.granted(ProgBegin(1, header))
    assert talk.code(ProgWrite(1, (Segment(0, 600_000),))) is E.SEGMENTS
    assert talk.code(ProgWrite(0, (Segment(0, 600_000),) * 2)) is E.SEGMENTS
    assert [row.code for row in talk.granted(ProgVerify()).refusals] == [E.SEGMENTS, E.DOSE]
    talk.granted(ProgWrite(0, (Segment(0, 600_000),)))
    crc = talk.granted(ProgVerify()).staged_crc
    assert talk.code(ProgCommit(1, 1, crc ^ 1, start=True)) is E.VERIFY_CRC
    assert talk.code(ProgCommit(1, 2, crc, start=True)) is E.REV_MISMATCH
    talk.granted(ProgWrite(0, (Segment(0, 600_000),)))
    assert talk.code(ProgCommit(1, 1, crc, start=True)) is E.VERIFY_CRC, "written after it was verified"


def test_a_write_of_no_segment_stages_nothing_and_asks_to_be_verified_all_the_same(
    talk: Conversation,
) -> None:
    talk.granted(ProgBegin(1, simple_header(300_000, 500_000)))
    talk.granted(ProgWrite(0, (Segment(0, 600_000),)))
    crc = talk.granted(ProgVerify()).staged_crc
    assert talk.granted(ProgWrite(0, ())).count == 1
    assert talk.granted(ProgWrite(1, ())).count == 1
    refused = talk.refused(ProgCommit(1, 1, crc, start=True))
    assert (refused.code, refused.nearest) == (E.VERIFY_CRC, 0)
    assert refused.field_offset == start_of(ProgCommit, "staged_crc")
    assert talk.granted(ProgVerify()).staged_crc == crc
    assert talk.granted(ProgCommit(1, 1, crc, start=True)).program_rev == 2


def test_a_commit_that_nothing_verified_is_refused_and_names_no_crc(talk: Conversation) -> None:
    talk.granted(ProgBegin(1, simple_header(300_000, 500_000)))
    talk.granted(ProgWrite(0, (Segment(0, 600_000),)))
    refused = talk.refused(ProgCommit(1, 1, 0, start=True))
    assert (refused.code, refused.nearest) == (E.VERIFY_CRC, 0)
    assert refused.field_offset == start_of(ProgCommit, "staged_crc")


@pytest.mark.parametrize("rate", [0, 1, 47_999, 24_000_001, 0xFFFF_FFFF])
def test_a_rate_out_of_range_is_refused_with_the_nearest(talk: Conversation, rate: int) -> None:
    talk.granted(ProgBegin(1, simple_header(300_000, 500_000)))
    talk.granted(ProgWrite(0, (Segment(0, rate),)))
    refusals = {row.code: row for row in talk.granted(ProgVerify()).refusals}
    assert refusals[E.RATE].nearest == (48_000 if rate < 48_000 else 24_000_000)
    assert talk.granted(GetStatus()).rate_nl_per_day == 600_000


def refill(
    filled_nl: int, *, concentration: int = 500_000, low_nl: int = 2_000_000, crc: int = 0, drug_id: int = 1
) -> Refill:
    return Refill(1, 0, filled_nl, drug_id, RefillFlag(0), concentration, low_nl, crc)


@pytest.mark.parametrize(
    ("message", "code", "field", "nearest"),
    [
        (refill(20_000_001), E.RESERVOIR, "filled_nl", 20_000_000),
        (refill(0xFFFF_FFFF), E.RESERVOIR, "filled_nl", 20_000_000),
        (refill(18_000_000, low_nl=18_000_000), E.RESERVOIR, "low_alarm_nl", 17_999_999),
        (refill(18_000_000, concentration=2_000_000), E.CONC, "concentration_ng_per_ml", 500_000),
        (refill(18_000_000, concentration=0), E.CONC, "concentration_ng_per_ml", 500_000),
        (refill(18_000_000, drug_id=2), E.CONC, "drug_id", 1),
        (refill(18_000_000, drug_id=2, concentration=2_000_000), E.CONC, "drug_id", 1),
    ],
)
def test_a_refill_is_refused_with_the_field(
    talk: Conversation, message: Refill, code: ErrorCode, field: str, nearest: int
) -> None:
    error = talk.refused(message)
    assert (error.code, error.field_offset, error.nearest) == (code, start_of(Refill, field), nearest)
    assert error.detail == getattr(message, field)
    assert talk.granted(GetStatus()).reservoir_calc_nl == 17_975_000
    assert talk.pump.truth().filled_nl_ppm == 18_000_000 * 1_000_000


def test_a_refill_with_a_program_that_is_not_staged_is_refused(talk: Conversation) -> None:
    assert talk.code(refill(18_000_000, crc=1)) is E.NO_STAGED


def test_a_clock_that_moves_far_wants_a_confirmation(talk: Conversation) -> None:
    now_s = WALL_S + 3_600
    error = talk.refused(TimeSet(1, now_s + 121, 0, TimeSetReason.DRIFT))
    assert (error.code, error.detail) == (E.CONFIRM, 121)
    assert talk.code(TimeSet(1, now_s, 841, TimeSetReason.ZONE, confirm=True)) is E.TIME_RANGE
    assert talk.granted(TimeSet(1, now_s + 120, 0, TimeSetReason.DRIFT)).delta_s == 120


@for_each(
    ("moved_s", "zone_min", "field"),
    [(121, 0, "wall_s"), (0, 60, "tz_minutes"), (120, 1, "tz_minutes"), (3_600, 60, "wall_s")],
)
def test_a_clock_that_moves_far_names_what_moves_it(moved_s: int, zone_min: int, field: str) -> None:
    talk = Conversation.with_new_pump(profile_of(wall_at_start_s=WALL_S))
    error = talk.refused(TimeSet(1, WALL_S + moved_s, zone_min, TimeSetReason.DRIFT))
    assert (error.code, error.detail) == (E.CONFIRM, moved_s + 60 * zone_min)
    assert error.field_offset == start_of(TimeSet, field)


def test_another_drug_of_the_same_concentration_cannot_be_programmed_and_the_refusal_says_that_it_is_the_drug(
    talk: Conversation,
) -> None:
    for drug_id, concentration, told in ((2, 500_000, 500_000), (1, 2_000_000, 2_000_000)):
        crc = talk.stage(300_000, concentration, base_rev=1, drug_id=drug_id).staged_crc
        error = talk.refused(ProgCommit(1, 1, crc, start=True))
        assert (error.code, error.detail, error.limit, error.field_offset) == (E.CONC, told, 500_000, None)


def test_an_alarm_that_did_not_occur_cannot_be_acknowledged(talk: Conversation) -> None:
    assert talk.code(AlarmAck(AlarmId.LOW_RESERVOIR, 1)) is E.RANGE
    talk.start_bolus(1, 20_000, 600)
    talk.wait(60_000)
    talk.granted(BolusCancel(2, 1, 0xFFFF))
    row = talk.granted(GetAlarms()).alarms[0]
    error = talk.refused(AlarmAck(AlarmId.BOLUS_PARTIAL, row.on_seq + 1))
    assert (error.code, error.nearest) == (E.RANGE, row.on_seq)
    talk.granted(AlarmAck(AlarmId.BOLUS_PARTIAL, row.on_seq))
    assert talk.granted(GetAlarms()).alarms == ()


def test_a_log_of_another_epoch_is_refused(talk: Conversation) -> None:
    assert talk.code(LogRead(LogName.MAIN, 2, 0, 6)) is E.EPOCH


@for_each(
    ("role", "granted"),
    [(Role.OBSERVER, False), (Role.PATIENT, True), (Role.SERVICE, True), (Role.CLINICIAN, True)],
)
def test_only_an_observer_may_not_stop(role: Role, granted: bool) -> None:
    talk = Conversation(Conversation.with_new_pump(profile_of()).pump, role)
    assert talk.code(Stop(1, 600, StopReason.PATIENT)) is (None if granted else E.ROLE)
    assert (talk.granted(GetStatus()).state is State.STOP) == granted


def test_a_patient_resumes_only_the_patients_own_stop() -> None:
    pump = Conversation.with_new_pump(profile_of()).pump
    patient, clinician = Conversation(pump, Role.PATIENT), Conversation(pump)
    patient.granted(Stop(1, 600, StopReason.PATIENT, OnExpiry.RESUME))
    assert patient.granted(Resume(2, 1)).state is State.RUN
    patient.granted(Stop(3, 600, StopReason.PATIENT))
    clinician.granted(Stop(1, 600, StopReason.CLINICAL))
    pump.step(pump.now.later(11_000))
    assert patient.code(Resume(4, 1)) is E.ROLE
    pump.step(pump.now.later(11_000))
    assert clinician.granted(Resume(2, 1)).state is State.RUN


def test_refusals_cannot_push_the_history_out_of_the_log(talk: Conversation) -> None:
    before = talk.granted(GetStatus()).last_seq
    for _ in range(200):
        talk.refused(prepare(0, 0))
    entries = talk.log()[before:]
    assert [entry.type for entry in entries] == [LogType.CMD_REFUSED] * 10


def test_no_hour_holds_more_than_ten_logged_refusals_wherever_it_begins(talk: Conversation) -> None:
    before = talk.granted(GetStatus()).last_seq
    for wait_ms, tries in ((0, 1), (3_599_000, 20), (1_000, 20)):
        talk.wait(wait_ms)
        for _ in range(tries):
            talk.refused(prepare(0, 0))
    told_s = [entry.t_mono_s for entry in talk.log()[before:] if entry.type is LogType.CMD_REFUSED]
    assert [at_s - told_s[0] for at_s in told_s] == [0] + [3_599] * 9 + [3_600]


@pytest.mark.parametrize("role", [Role.PATIENT, Role.SERVICE])
def test_what_another_key_commanded_is_told_to_a_clinician_only(talk: Conversation, role: Role) -> None:
    talk.granted(Stop(1, 3_600, StopReason.CLINICAL, OnExpiry.ALARM_ONLY))
    clinician_id = talk.key.key_id
    other = Conversation(talk.pump, role)
    other.wait(10_000)
    error = other.refused(QueryCmd(1, clinician_id))
    assert (error.code, error.field_offset) == (E.ROLE, start_of(QueryCmd, "key_id"))
    talk.wait(10_000)
    assert talk.granted(QueryCmd(1, other.key.key_id)).outcome is Outcome.NEVER_RECEIVED
