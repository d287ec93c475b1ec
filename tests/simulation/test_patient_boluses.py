"""A patient asks for boluses: size, lockout, count and limits are the program's, and hold over restarts and clocks."""

from __future__ import annotations

from typing import Any

from firmware_emu.profile import Implant
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE, MS_PER_S
from hil.campaign.conversation import Conversation, flexible_program, profile_of
from hil.campaign.program_boluses import PATIENT, PERIODIC, PatientAndClinician, header_of
from protocol.identifiers import (
    Activity,
    AlarmId,
    DenyReason,
    ErrorCode,
    Outcome,
    RefillFlag,
    State,
    StopReason,
    TimeSetReason,
)
from protocol.log.data import BolusEndData, BolusStartData, CmdIntentData, PtmDenyData, PtmGrantData
from protocol.log.types import BolusEndReason, DeliveryKind, LogType
from protocol.messages.bolus import NOT_BY_WAITING_S, BolusCancel, PatientBolus
from protocol.messages.ledger import QueryCmd, VoidCmd
from protocol.messages.program import PatientBlock, ProgCommit
from protocol.messages.reading import GetDelivery, GetStatus
from protocol.messages.reservoir import GetReservoir, Refill
from protocol.messages.stop import Resume, Stop
from protocol.messages.time import TimeSet
from protocol.registry import cmd_crc
from tests.simulation.invariants import assert_log_is_whole, assert_volumes_agree
from tests.support.for_each import for_each

LOCKOUT_MS = PATIENT.lockout_s * MS_PER_S
DURATION_MS = PATIENT.duration_s * MS_PER_S
STROKE_NL = 500


def after_lockout(patient: PatientBlock = PATIENT, **model: Any) -> PatientAndClinician:
    """A pump whose patient may ask now."""
    talk = PatientAndClinician.with_program(patient, profile=profile_of(wall_at_start_s=826_000_000, **model))
    talk.wait_until(patient.lockout_s * MS_PER_S)
    return talk


def test_a_grant_gives_the_volume_of_the_program_and_is_a_command_like_any() -> None:
    talk = after_lockout()
    answer = talk.asks_for_bolus(7)
    assert (answer.result.outcome, answer.result.dup, answer.deny) == (
        Outcome.RUNNING,
        False,
        DenyReason.GRANTED,
    )
    assert (answer.volume_nl, answer.next_allowed_s) == (10_000, 3_600)
    assert talk.granted(GetStatus()).activity == Activity.PATIENT
    talk.wait(DURATION_MS - 1)
    assert talk.granted(GetDelivery()).patient_nl == 10_000 - STROKE_NL
    again = talk.asks_for_bolus(7)
    assert (again.result.dup, again.result.outcome, again.volume_nl) == (True, Outcome.RUNNING, 10_000)
    talk.wait(1)
    found = talk.patient_asks(QueryCmd(7))
    assert (found.outcome, found.delivered_nl) == (Outcome.DONE, 10_000)
    delivered = talk.granted(GetDelivery())
    assert (delivered.patient_nl, delivered.bolus_nl, delivered.day_used_nl) == (10_000, 0, 10_000)
    crc = cmd_crc(0x27, PatientBolus(7))
    entries = [entry for entry in talk.log() if entry.type >> 8 == 4]
    assert [(entry.type, entry.cmd_id, entry.details()) for entry in entries[1:]] == [
        (LogType.PTM_GRANT, 7, PtmGrantData(10_000, 600)),
        (LogType.CMD_INTENT, 7, CmdIntentData(0x27, crc, 10_000)),
        (LogType.BOLUS_START, 7, BolusStartData(10_000, 600, DeliveryKind.PATIENT)),
        (LogType.BOLUS_END, 7, BolusEndData(10_000, 0, BolusEndReason.COMPLETE)),
    ]
    assert entries[0].type is LogType.PTM_REQUEST
    assert_volumes_agree(talk)
    assert_log_is_whole(talk)


def nothing(talk: PatientAndClinician) -> None:
    """Nothing happens."""


def restart(talk: PatientAndClinician) -> None:
    talk.pump.cut_power()
    talk.pump.restore_power()


def set_the_clock_forward(talk: PatientAndClinician) -> None:
    talk.granted(TimeSet(50, 900_000_000, 60, TimeSetReason.DRIFT, confirm=True))


def set_the_clock_back(talk: PatientAndClinician) -> None:
    talk.granted(TimeSet(51, 700_000_000, -60, TimeSetReason.DRIFT, confirm=True))


@for_each("meanwhile", [nothing, restart, set_the_clock_forward, set_the_clock_back])
@for_each("beside_s", [-1, 0, 1])
def test_attack_5_8_the_lockout_ends_at_its_second_whatever_happens_to_power_and_clock(
    beside_s: int, meanwhile: Any
) -> None:
    talk = after_lockout()
    answer = talk.asks_for_bolus(1)
    assert answer.deny is DenyReason.GRANTED
    granted_s = talk.granted(GetStatus()).t_mono_s
    talk.wait(DURATION_MS + 5_000)
    meanwhile(talk)
    left_s = granted_s + PATIENT.lockout_s + beside_s - talk.granted(GetStatus()).t_mono_s
    talk.wait(left_s * MS_PER_S)
    answer = talk.asks_for_bolus(2)
    if beside_s < 0:
        assert (answer.deny, answer.next_allowed_s) == (DenyReason.LOCKOUT, 1)
        assert (answer.result.outcome, answer.result.reason) == (Outcome.REFUSED, ErrorCode.GAP)
    else:
        assert answer.deny is DenyReason.GRANTED


def commits_the_same_again(talk: PatientAndClinician) -> None:
    talk.programs(60, PATIENT)


def refills(talk: PatientAndClinician) -> None:
    talk.granted(Refill(61, 0, 18_000_000, 1, RefillFlag(0), 500_000, 2_000_000))


# FI 55
@for_each("procedure", [commits_the_same_again, refills])
def test_the_lockout_begins_anew_at_a_program_and_at_a_refill(procedure: Any) -> None:
    talk = after_lockout()
    procedure(talk)
    answer = talk.asks_for_bolus(1)
    assert (answer.deny, answer.next_allowed_s) == (DenyReason.LOCKOUT, PATIENT.lockout_s)
    talk.wait(LOCKOUT_MS)
    assert talk.asks_for_bolus(1).deny is DenyReason.GRANTED, "a denial used up no id"


def test_the_count_slides_over_its_window_and_remembers_grants_under_an_earlier_program() -> None:
    talk = after_lockout()
    starts_ms = []
    for cmd_id in range(1, 5):
        starts_ms.append(talk.now_ms)
        assert talk.asks_for_bolus(cmd_id).deny is DenyReason.GRANTED
        talk.wait(LOCKOUT_MS)
    answer = talk.asks_for_bolus(5)
    left_s = (starts_ms[0] + MS_PER_DAY - talk.now_ms) // MS_PER_S
    assert (answer.deny, answer.next_allowed_s) == (DenyReason.COUNT, left_s)
    restart(talk)
    talk.programs(60, PATIENT)
    talk.wait_until(starts_ms[0] + MS_PER_DAY - 2 * MS_PER_S)
    assert talk.asks_for_bolus(5).deny is DenyReason.COUNT
    talk.wait(3 * MS_PER_S)
    assert talk.asks_for_bolus(6).deny is DenyReason.GRANTED
    talk.wait(LOCKOUT_MS)
    assert talk.asks_for_bolus(7).deny is DenyReason.GRANTED, (
        "the second of the first day has left the window too"
    )


def stopped(talk: PatientAndClinician) -> None:
    talk.granted(Stop(70, 3_600, StopReason.CLINICAL))


def in_an_alarm(talk: PatientAndClinician) -> None:
    talk.pump.stall_motor(True)
    talk.wait(2 * MS_PER_HOUR)
    assert talk.granted(GetStatus()).alarm_active >> AlarmId.MOTOR_STALL & 1


def with_another(talk: PatientAndClinician) -> None:
    assert talk.asks_for_bolus(1).deny is DenyReason.GRANTED
    talk.wait(1_500)


def with_another_program(talk: PatientAndClinician) -> None:
    talk.programs(71, None, PERIODIC)


def with_a_full_hour(talk: PatientAndClinician) -> None:
    talk.start_bolus(72, 15_000, 100, talk.granted(GetStatus()).program_rev)
    talk.wait(200_000)


# FI 55
@for_each(
    ("prepare", "deny", "code", "next_s"),
    [
        (stopped, DenyReason.STOPPED, ErrorCode.STOPPED, NOT_BY_WAITING_S),
        (in_an_alarm, DenyReason.ALARM, ErrorCode.ALARM_BLOCKS, NOT_BY_WAITING_S),
        (with_another, DenyReason.ANOTHER_ACTIVE, ErrorCode.BOLUS_ACTIVE, 3_599),
        (with_another_program, DenyReason.NOT_PROGRAMMED, ErrorCode.NO_STAGED, NOT_BY_WAITING_S),
        (with_a_full_hour, DenyReason.LIMIT, ErrorCode.HOUR_MAX, 3_500),
    ],
)
def test_a_denial_says_why_and_when_moves_nothing_and_is_no_entry_of_the_ledger(
    prepare: Any, deny: DenyReason, code: ErrorCode, next_s: int
) -> None:
    talk = after_lockout(hour_max_nl=20_000)
    prepare(talk)
    last_id = talk.patient_asks(GetStatus()).last_cmd_id
    before = talk.granted(GetDelivery()).patient_nl
    answer = talk.asks_for_bolus(9)
    assert (answer.deny, answer.result.reason, answer.next_allowed_s) == (deny, code, next_s)
    assert (answer.result.outcome, answer.result.dup) == (Outcome.REFUSED, False)
    assert talk.patient_asks(GetStatus()).last_cmd_id == last_id
    assert talk.granted(GetDelivery()).patient_nl == before
    found = talk.patient_asks(QueryCmd(9))
    assert (found.outcome, found.reason) == (Outcome.REFUSED, code)
    denied = talk.log()[-1] if talk.log()[-1].type is LogType.PTM_DENY else _last(talk, LogType.PTM_DENY)
    assert (denied.seq, denied.details()) == (answer.result.seq, PtmDenyData(deny, next_s))
    voided = talk.patient_asks(VoidCmd(9))
    assert voided.outcome is Outcome.VOIDED
    assert talk.handset.ask(PatientBolus(9)).code is ErrorCode.CMD_ID_MISMATCH, "a voided id is never granted"
    assert_log_is_whole(talk)


def _last(talk: PatientAndClinician, log_type: LogType) -> Any:
    return [entry for entry in talk.log() if entry.type is log_type][-1]


def test_what_next_allowed_promises_is_kept_to_the_second() -> None:
    """In each state that time ends: one second before it is denied still, at it granted."""
    for prepare in (with_another, with_a_full_hour, nothing):
        talk = after_lockout(hour_max_nl=20_000)
        prepare(talk)
        promised_s = talk.asks_for_bolus(20).next_allowed_s
        assert 0 < promised_s < NOT_BY_WAITING_S
        talk.wait((promised_s - 1) * MS_PER_S)
        assert talk.asks_for_bolus(21).deny is not DenyReason.GRANTED
        talk.wait(MS_PER_S)
        assert talk.asks_for_bolus(22).deny is DenyReason.GRANTED


def test_attack_5_5_boluses_under_new_ids_stop_at_the_hour_and_the_day_over_restarts_and_clocks() -> None:
    eager = PatientBlock(volume_nl=10_000, duration_s=60, lockout_s=600, window_s=600, max_count=1)
    talk = after_lockout(eager, hour_max_nl=50_000, day_max_nl=100_000)
    granted_ms: list[int] = []
    for cmd_id in range(1, 130):
        answer = talk.asks_for_bolus(cmd_id)
        if answer.deny is DenyReason.GRANTED:
            granted_ms.append(talk.now_ms)
        else:
            assert answer.deny in (DenyReason.LIMIT, DenyReason.LOCKOUT)
        talk.wait(600 * MS_PER_S)
        if cmd_id % 20 == 0:
            restart(talk)
            talk.granted(
                TimeSet(100 + cmd_id, 826_000_000 + cmd_id * 86_400, 0, TimeSetReason.DRIFT, confirm=True)
            )
        ticks = talk.granted(GetDelivery())
        assert ticks.hour_used_nl <= 50_000
        assert ticks.day_used_nl <= 100_000
    assert len(granted_ms) == 10
    assert talk.asks_for_bolus(300).result.reason == ErrorCode.DAY_MAX


# FI 55
def test_fi_55_a_thousand_requests_leave_the_history_of_the_therapy_where_it_is() -> None:
    talk = after_lockout()
    talk.asks_for_bolus(1)
    talk.wait(DURATION_MS)
    before = talk.log()
    turned = talk.pump.truth().strokes_turned
    handset = talk.takes_the_handset()
    for cmd_id in range(2, 1_002):
        answer = handset.ask(PatientBolus(cmd_id))
        assert answer.deny is DenyReason.LOCKOUT
        assert answer.result.outcome is Outcome.REFUSED
    talk.wait(15_000)
    after = talk.log()
    assert after[: len(before)] == before, "nothing of the history is overwritten"
    added = [entry.type for entry in after[len(before) :]]
    assert (added.count(LogType.PTM_REQUEST), added.count(LogType.PTM_DENY)) == (12, 12)
    reservoir = talk.granted(GetReservoir())
    assert (reservoir.ptm_granted, reservoir.ptm_denied) == (0, 1_000), "since the session that read the log"
    assert talk.pump.truth().strokes_turned - turned <= 1
    restart(talk)
    handset = talk.takes_the_handset()
    assert handset.ask(PatientBolus(2_000)).deny is DenyReason.LOCKOUT
    assert [entry.type for entry in handset.log()].count(LogType.PTM_DENY) == 0, "hidden from a patient"
    talk.wait(15_000)
    assert [entry.type for entry in talk.log()].count(LogType.PTM_DENY) == 12, "a restart frees no more"
    talk.wait(MS_PER_DAY)
    stopped(talk)
    talk.asks_for_bolus(2_001)
    assert [entry.type for entry in talk.log()].count(LogType.PTM_DENY) == 13


def test_grants_and_denials_are_counted_until_a_clinicians_session_is_closed() -> None:
    talk = after_lockout()
    talk.asks_for_bolus(1)
    handset = talk.takes_the_handset()
    handset.ask(PatientBolus(2))
    handset.ask(PatientBolus(3))
    restart(talk)
    for _ in range(2):
        counted = talk.granted(GetReservoir())
        assert (counted.ptm_granted, counted.ptm_denied) == (1, 2)
    denied = talk.asks_for_bolus(4)
    assert denied.deny is not DenyReason.GRANTED
    counted = talk.granted(GetReservoir())
    assert (counted.ptm_granted, counted.ptm_denied) == (0, 1)


def test_a_patients_bolus_suspends_a_clinicians_which_resumes_with_its_total_and_the_other_way_it_waits() -> (
    None
):
    talk = after_lockout()
    rev = talk.granted(GetStatus()).program_rev
    talk.start_bolus(80, 20_000, 4_000, rev)  # a stroke each 100 s
    talk.wait(1_050_000)
    assert talk.asks_for_bolus(1).deny is DenyReason.GRANTED
    status = talk.granted(GetStatus())
    assert status.activity == Activity.PATIENT | Activity.BOLUS | Activity.SUSPENDED_BOLUS
    talk.wait(DURATION_MS - 1)
    assert talk.granted(QueryCmd(80)).delivered_nl == 5_000
    talk.wait(1)
    assert talk.granted(GetStatus()).activity == Activity.BOLUS
    talk.wait(2_950_000 - 1)
    assert talk.granted(QueryCmd(80)).delivered_nl == 20_000 - STROKE_NL
    talk.wait(1)
    assert talk.granted(QueryCmd(80)).outcome is Outcome.DONE
    delivered = talk.granted(GetDelivery())
    assert (delivered.bolus_nl, delivered.patient_nl) == (20_000, 10_000)
    talk.wait(MS_PER_HOUR)
    assert talk.asks_for_bolus(2).deny is DenyReason.GRANTED
    began_ms = talk.now_ms
    talk.wait(100_000)
    talk.start_bolus(81, 1_000, 100, rev)
    talk.wait_until(began_ms + DURATION_MS)
    assert talk.granted(QueryCmd(81)).delivered_nl == 0, "it waits for the patient's"
    talk.wait(100_000)
    assert talk.granted(QueryCmd(81)).outcome is Outcome.DONE
    assert_volumes_agree(talk)


def test_a_cancel_and_a_stop_end_a_patients_bolus_and_let_the_other_go_on_or_end() -> None:
    for end in (BolusCancel(90, 0, 0), Stop(90, 3_600, StopReason.PATIENT)):
        talk = after_lockout()
        talk.start_bolus(80, 20_000, 4_000, talk.granted(GetStatus()).program_rev)
        talk.wait(1_050_000)
        talk.asks_for_bolus(1)
        talk.wait(301_000)
        answer = talk.granted(end)
        found = talk.patient_asks(QueryCmd(1))
        assert (found.outcome, found.delivered_nl) == (Outcome.PARTIAL, 5_000)
        if isinstance(end, BolusCancel):
            assert (answer.target_outcome, answer.delivered_nl) == (Outcome.PARTIAL, 5_000)
            assert talk.granted(GetStatus()).activity == Activity.BOLUS
            talk.wait(2_950_000)
            assert talk.granted(QueryCmd(80)).delivered_nl == 20_000
        else:
            assert talk.granted(QueryCmd(80)).outcome is Outcome.PARTIAL
            assert talk.granted(GetStatus()).activity == Activity(0)
        assert_volumes_agree(talk)


def test_a_patient_is_denied_where_the_bolus_that_would_wait_falls_into_too_fast_a_basal_rate() -> None:
    midnight_s = 825_760_800 - 10 * 3_600
    profile = profile_of(wall_at_start_s=midnight_s)
    talk = PatientAndClinician(Conversation.with_new_pump(profile).pump)
    header, segments = flexible_program((0x7F, {0: 48_000, 180: 14_200_000, 190: 48_000}))
    block = PatientBlock(10_000, 600, 3_600, 86_400, 4)
    header = header._replace(flags=header_of(block).flags, patient=block)
    verified = talk.stage_program(header, segments, base_rev=1)
    assert verified.refusals == ()
    talk.granted(ProgCommit(1, 1, verified.staged_crc, start=True))
    talk.wait_until(165 * MS_PER_MINUTE)
    talk.start_bolus(2, 100_000, 870, 2)  # 9.9 mL a day, over half a minute before the steep segment
    talk.wait(MS_PER_S)
    answer = talk.asks_for_bolus(1)
    assert (answer.deny, answer.result.reason) == (DenyReason.LIMIT, ErrorCode.RATE)
    assert talk.granted(GetStatus()).activity == Activity.BOLUS


def test_the_date_with_all_that_the_patient_may_ask_for_is_the_date_of_a_patient_who_does() -> None:
    quick = PatientBlock(volume_nl=100_000, duration_s=600, lockout_s=7_200, window_s=43_200, max_count=3)
    talk = PatientAndClinician.with_program(
        quick, profile=profile_of(implant=Implant(filled_nl=5_000_000), day_max_nl=5_000_000)
    )
    foreseen = talk.granted(GetReservoir())
    assert foreseen.low_all_patient_t_mono_s < foreseen.low_t_mono_s
    cmd_id = 0
    while not talk.granted(GetStatus()).alarm_active >> AlarmId.LOW_RESERVOIR & 1:
        cmd_id += 1
        wait_s = talk.asks_for_bolus(cmd_id).next_allowed_s
        now = talk.granted(GetReservoir())
        assert now.low_all_patient_t_mono_s == foreseen.low_all_patient_t_mono_s
        talk.wait(min(wait_s * MS_PER_S, max(1, now.low_t_mono_s * MS_PER_S - talk.now_ms)))
    raised = next(
        e for e in talk.log() if e.type is LogType.ALARM_ON and e.details().alarm_id is AlarmId.LOW_RESERVOIR
    )
    assert raised.t_mono_s == foreseen.low_all_patient_t_mono_s
    assert talk.granted(GetStatus()).state is State.RUN


def test_the_patient_resumes_only_an_own_stop_and_then_may_ask_again() -> None:
    talk = after_lockout()
    talk.patient_asks(Stop(5, 3_600, StopReason.PATIENT))
    assert talk.asks_for_bolus(6).deny is DenyReason.STOPPED
    talk.patient_asks(Resume(7, talk.granted(GetStatus()).program_rev))
    assert talk.asks_for_bolus(8).deny is DenyReason.GRANTED


def test_a_cut_in_any_write_of_a_grant_leaves_a_bolus_that_was_never_granted_or_is_closed() -> None:
    base = after_lockout()
    base.start_bolus(80, 20_000, 4_000, base.granted(GetStatus()).program_rev)
    base.wait(1_050_000)
    base.patient_asks(GetStatus())
    base.takes_the_handset().granted(GetStatus())
    done = base.fork()
    before = len(done.handset.writes)
    done.handset.granted(PatientBolus(1))
    lengths = [len(data) for _, data in done.handset.writes[before:]]
    assert len(lengths) >= 4
    found = set()
    for number, length in enumerate(lengths, 1):
        for torn in {0, 1, length // 2, length - 1, length}:
            talk = base.fork()
            talk.pump.plant.cut_at_write(number, torn)
            assert talk.handset.ask(PatientBolus(1)) is None, "the answer left before the grant was durable"
            outcome = talk.handset.granted(QueryCmd(1))
            found.add(outcome.outcome)
            assert (outcome.delivered_nl, outcome.uncertain_nl) == (0, 0)
            again = talk.handset.granted(PatientBolus(2))
            granted = outcome.outcome is not Outcome.NEVER_RECEIVED
            assert again.deny is (DenyReason.LOCKOUT if granted else DenyReason.GRANTED)
            assert talk.granted(QueryCmd(80)).outcome is Outcome.PARTIAL
            assert_volumes_agree(talk)
            assert_log_is_whole(talk)
    assert found == {Outcome.NEVER_RECEIVED, Outcome.NOT_STARTED}


def test_a_cut_at_any_stroke_and_write_of_a_patients_bolus_leaves_the_truth_in_the_ledger() -> None:
    base = after_lockout(PATIENT._replace(volume_nl=2_000, duration_s=80))
    base.start_bolus(80, 20_000, 4_000, base.granted(GetStatus()).program_rev)
    base.wait(1_050_000)
    base.asks_for_bolus(1)
    done = base.fork()
    before = len(done.writes)
    done.wait(200_000)
    lengths = [len(data) for _, data in done.writes[before:]]
    for number, length in enumerate(lengths, 1):
        for torn in {0, 1, length // 2, length}:
            _assert_closed(base, lambda talk, at=(number, torn): talk.pump.plant.cut_at_write(*at))
    for stroke in range(1, 6):
        _assert_closed(base, lambda talk, at=stroke: talk.pump.plant.cut_at_stroke(at))


def _assert_closed(base: PatientAndClinician, cut: Any) -> None:
    """Each of both boluses ends once, with what was turned of it; none goes on after the restart."""
    talk = base.fork()
    cut(talk)
    talk.wait(200_000)
    talk.pump.restore_power()
    for _ in range(2):
        patients, clinicians = talk.patient_asks(QueryCmd(1)), talk.granted(QueryCmd(80))
        assert clinicians.outcome is Outcome.PARTIAL
        assert patients.outcome in (Outcome.PARTIAL, Outcome.DONE, Outcome.NOT_STARTED)
        delivered = talk.granted(GetDelivery())
        assert (delivered.patient_nl, delivered.bolus_nl) == (patients.delivered_nl, clinicians.delivered_nl)
        assert patients.delivered_nl + patients.uncertain_nl <= 2_000
        assert_volumes_agree(talk)
        talk.wait(MS_PER_HOUR)
    ends = [entry.cmd_id for entry in talk.log() if entry.type is LogType.BOLUS_END]
    assert sorted(ends) == [1, 80]
    assert_log_is_whole(talk)
