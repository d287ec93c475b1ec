"""A handset asks once: what becomes of a request whose answer is lost; its id is never sent again [SPEC 6, 9]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.errors import NotExecuted, OutcomeUnknown, RefusalLost
from hil.noise import Direction
from protocol.identifiers import DenyReason, Outcome, Role
from protocol.messages.program import PatientBlock

if TYPE_CHECKING:
    from hil.bench_of_test import TestBench
    from hil.programmer.programmer import Programmer

BLOCK = PatientBlock(volume_nl=10_000, duration_s=600, lockout_s=3_600, window_s=86_400, max_count=4)
LOCKOUT_MS = 3_600_000
THE_REQUEST = 1  # what is sent before it: the program is read


def handset(bench: TestBench, *, wait_ms: int = LOCKOUT_MS) -> Programmer:
    """A patient's programmer, with an open session and what it looks at first behind it."""
    clinician = bench.open_programmer()
    clinician.set_simple_program(300_000, patient=BLOCK)
    clinician.end_session()
    bench.target.rig.advance(wait_ms)
    patient = bench.open_programmer(role=Role.PATIENT)
    patient.ledger.unknown()
    return patient


def test_a_grant_is_filed_with_its_volume_and_a_denial_as_refused(bench: TestBench) -> None:
    patient = handset(bench)
    granted = patient.patient_bolus()
    denied = patient.patient_bolus()
    assert (granted.outcome, granted.reply.deny) == (Outcome.RUNNING, DenyReason.GRANTED)
    assert (denied.outcome, denied.reply.deny) == (Outcome.REFUSED, DenyReason.ANOTHER_ACTIVE)
    filed = patient.store.commands(patient.info().memory_id)
    assert [(command.outcome, command.volume_nl) for command in filed] == [
        ("RUNNING", 10_000),
        ("REFUSED", 10_000),
    ]
    bench.target.rig.advance(LOCKOUT_MS)
    assert patient.patient_bolus().reply.deny is DenyReason.GRANTED, (
        "after a denial the memory is known still"
    )
    assert patient.query(granted.cmd_id).delivered_nl == 10_000


def test_a_request_that_never_arrived_is_voided_and_not_sent_again(bench: TestBench) -> None:
    patient = handset(bench)
    before = patient.status().last_cmd_id
    bench.line.drop(Direction.TO_PUMP, 3, skip=_frames_before(patient))
    with pytest.raises(NotExecuted) as caught:
        patient.patient_bolus()
    assert patient.query(caught.value.cmd_id).outcome is Outcome.VOIDED
    assert patient.status().last_cmd_id == caught.value.cmd_id > before
    assert patient.delivery().patient_nl == 0
    assert patient.patient_bolus().reply.deny is DenyReason.GRANTED


def test_a_grant_whose_answer_is_lost_is_found_out_and_given_once(bench: TestBench) -> None:
    patient = handset(bench)
    bench.line.drop(Direction.FROM_PUMP, 3, skip=_frames_before(patient))
    granted = patient.patient_bolus()
    assert (granted.outcome, granted.answer) == (Outcome.RUNNING, None)
    bench.target.rig.advance(700_000)
    assert patient.delivery().patient_nl == 10_000


def test_a_denial_whose_answer_is_lost_is_told_as_one(bench: TestBench) -> None:
    patient = handset(bench, wait_ms=60_000)
    bench.line.drop(Direction.FROM_PUMP, 3, skip=_frames_before(patient))
    with pytest.raises(RefusalLost):
        patient.patient_bolus()
    assert patient.delivery().patient_nl == 0


def test_a_handset_that_gave_up_says_that_it_may_have_been_given(bench: TestBench) -> None:
    patient = handset(bench)
    bench.line.drop(Direction.FROM_PUMP, 500, skip=_frames_before(patient))
    with pytest.raises(OutcomeUnknown) as caught:
        patient.patient_bolus()
    bench.line.clear()
    bench.target.rig.advance(60_000)
    assert patient.query(caught.value.cmd_id).outcome is Outcome.RUNNING


def _frames_before(patient: Programmer) -> int:
    """How many answers come before that of the request: what is asked for in front of it, once a session is open."""
    patient.ledger.recognition.know(patient.requester.deadline())
    return THE_REQUEST
