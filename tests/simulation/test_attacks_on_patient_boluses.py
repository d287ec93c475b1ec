"""Mishaps while a patient's bolus holds up a clinician's: each of both ends once, with what really went out."""

from __future__ import annotations

from typing import Any

from firmware_emu.profile import EmptyPolicy, Implant
from firmware_emu.units import MS_PER_HOUR, MS_PER_S
from hil.campaign.conversation import profile_of
from hil.campaign.program_boluses import PATIENT, PatientAndClinician
from protocol.identifiers import (
    Activity,
    AlarmId,
    BolusKind,
    DenyReason,
    ErrorCode,
    Outcome,
    Role,
    StopReason,
)
from protocol.link.development_keys import development_key
from protocol.log.types import BolusEndReason, LogType
from protocol.messages.bolus import BolusCancel, BolusPrepare, Prime
from protocol.messages.ledger import QueryCmd
from protocol.messages.reading import GetDelivery, GetStatus
from protocol.messages.stop import Resume, Stop
from tests.simulation.invariants import assert_log_is_whole, assert_volumes_agree
from tests.support.for_each import for_each

CLINICIANS, PATIENTS = 80, 1  # the cmd_id of each bolus
PATIENT_KEY_ID = development_key(Role.PATIENT).key_id
DURATION_MS = PATIENT.duration_s * MS_PER_S
WAITED_MS = 1_050_000
STROKE_MS = 100_000  # of the clinician's bolus: 40 strokes in 4,000 s


def one_bolus_holds_up_another(**model: Any) -> PatientAndClinician:
    """A clinician's bolus has given 5,000 of 20,000 nL, and the patient's of 10,000 nL has just begun."""
    talk = PatientAndClinician.with_program(PATIENT, profile=profile_of(**model))
    talk.wait_until(PATIENT.lockout_s * MS_PER_S)
    talk.start_bolus(CLINICIANS, 20_000, 4_000, talk.granted(GetStatus()).program_rev)
    talk.wait(WAITED_MS)
    assert talk.asks_for_bolus(PATIENTS).deny is DenyReason.GRANTED
    both = Activity.PATIENT | Activity.BOLUS | Activity.SUSPENDED_BOLUS
    assert talk.granted(GetStatus()).activity == both
    return talk


def ends_of(talk: PatientAndClinician) -> dict[int, Any]:
    """The one end of each bolus, by its cmd_id."""
    entries = [entry for entry in talk.log() if entry.type is LogType.BOLUS_END]
    assert len({entry.cmd_id for entry in entries}) == len(entries), "a bolus ended twice"
    return {entry.cmd_id: entry.details() for entry in entries}


@for_each("policy", EmptyPolicy)
def test_attack_5_11_a_reservoir_that_empties_in_a_patients_bolus_ends_both_once(policy: EmptyPolicy) -> None:
    talk = one_bolus_holds_up_another(
        implant=Implant(filled_nl=40_000), low_reservoir_alarm_nl=1_000, residual_nl=0, empty_policy=policy
    )
    talk.wait(DURATION_MS)
    assert talk.granted(GetStatus()).alarm_active >> AlarmId.EMPTY & 1
    assert talk.granted(GetStatus()).activity == Activity(0)
    ended = ends_of(talk)
    assert {found.reason for found in ended.values()} == {BolusEndReason.ALARM}
    assert ended[CLINICIANS].delivered_nl == 5_000
    assert 0 < ended[PATIENTS].delivered_nl < PATIENT.volume_nl
    talk.wait(MS_PER_HOUR)
    delivered = talk.granted(GetDelivery())
    assert (delivered.bolus_nl, delivered.patient_nl) == (5_000, ended[PATIENTS].delivered_nl)
    assert talk.granted(QueryCmd(CLINICIANS)).outcome is Outcome.PARTIAL
    assert talk.patient_asks(QueryCmd(PATIENTS)).delivered_nl == ended[PATIENTS].delivered_nl
    assert_volumes_agree(talk)
    assert_log_is_whole(talk)


@for_each("beside_ms", [-1, 0, 1])
def test_attack_5_12_a_cancel_that_races_with_the_end_of_a_patients_bolus_spares_the_one_that_goes_on(
    beside_ms: int,
) -> None:
    talk = one_bolus_holds_up_another()
    talk.wait(DURATION_MS + beside_ms)
    answer = talk.granted(BolusCancel(90, PATIENTS, PATIENT_KEY_ID))
    told = (Outcome.PARTIAL, 9_500) if beside_ms < 0 else (Outcome.DONE, 10_000)
    assert (answer.target_outcome, answer.delivered_nl) == told
    assert talk.granted(GetStatus()).activity == Activity.BOLUS
    talk.wait(4_000 * MS_PER_S)
    assert talk.granted(QueryCmd(CLINICIANS)).outcome is Outcome.DONE
    ended = ends_of(talk)
    assert (ended[PATIENTS].delivered_nl, ended[CLINICIANS].delivered_nl) == (told[1], 20_000)
    assert_volumes_agree(talk)
    assert_log_is_whole(talk)


# FI 67, RH-19
def test_attack_5_6_an_interrupted_patients_bolus_a_prime_and_a_resume_are_three_accounts() -> None:
    talk = one_bolus_holds_up_another()
    talk.wait(DURATION_MS // 2)
    rev = talk.granted(GetStatus()).program_rev
    talk.granted(Stop(90, 86_400, StopReason.CLINICAL))
    offered = talk.granted(BolusPrepare(BolusKind.PRIME, 140_000, 600, rev))
    talk.granted(Prime(91, 140_000, 600, offered.token, rev))
    denied = talk.asks_for_bolus(PATIENTS + 1)
    assert (denied.deny, denied.result.reason) == (DenyReason.STOPPED, ErrorCode.STOPPED)
    talk.wait(600 * MS_PER_S)
    talk.granted(Resume(92, rev))
    denied = talk.asks_for_bolus(PATIENTS + 2)
    assert (denied.deny, denied.next_allowed_s) == (
        DenyReason.LOCKOUT,
        PATIENT.lockout_s - (DURATION_MS // 2 + 600 * MS_PER_S) // MS_PER_S,
    ), "the lockout counts from the start of the bolus that was stopped"
    talk.wait(MS_PER_HOUR)
    delivered = talk.granted(GetDelivery())
    assert (delivered.bolus_nl, delivered.patient_nl, delivered.prime_nl) == (5_000, 5_000, 140_000)
    assert {found.reason for found in ends_of(talk).values()} == {BolusEndReason.STOP}
    assert_volumes_agree(talk)
    assert_log_is_whole(talk)


# FI 55
def test_a_request_beside_a_prime_is_denied_and_one_at_a_low_reservoir_is_granted() -> None:
    talk = PatientAndClinician.with_program(
        PATIENT, profile=profile_of(implant=Implant(filled_nl=2_010_000), low_reservoir_alarm_nl=2_000_000)
    )
    talk.wait_until(PATIENT.lockout_s * MS_PER_S)
    rev = talk.granted(GetStatus()).program_rev
    offered = talk.granted(BolusPrepare(BolusKind.PRIME, 140_000, 600, rev))
    talk.granted(Prime(80, 140_000, 600, offered.token, rev))
    denied = talk.asks_for_bolus(PATIENTS)
    assert (denied.deny, denied.result.reason) == (DenyReason.ANOTHER_ACTIVE, ErrorCode.BOLUS_ACTIVE)
    talk.wait(600 * MS_PER_S)
    assert talk.granted(GetStatus()).alarm_active == 1 << AlarmId.LOW_RESERVOIR
    assert talk.asks_for_bolus(PATIENTS).deny is DenyReason.GRANTED, "the denial used up no id"
    talk.wait(DURATION_MS)
    delivered = talk.granted(GetDelivery())
    assert (delivered.patient_nl, delivered.prime_nl) == (PATIENT.volume_nl, 140_000)
    assert_volumes_agree(talk)
