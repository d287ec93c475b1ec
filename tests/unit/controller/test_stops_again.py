"""Another STOP while stopped: what a clinician's ends, and what a patient's leaves [SPEC 6]."""

from __future__ import annotations

import pytest

from firmware_emu.units import MS_PER_HOUR, MS_PER_S
from hil.campaign.conversation import Conversation, profile_of
from protocol.identifiers import AlarmId, OnExpiry, Role, StopReason
from protocol.messages.reading import GetStatus
from protocol.messages.stop import Stop

EXPIRED = 1 << AlarmId.STOP_EXPIRED


@pytest.fixture
def talk() -> Conversation:
    """A pump whose stop of an hour has expired ten minutes ago."""
    talk = Conversation.with_new_pump(profile_of())
    talk.wait_until(MS_PER_HOUR)
    talk.granted(stop(1))
    talk.wait(MS_PER_HOUR + 600_000)
    assert talk.granted(GetStatus()).alarm_active & EXPIRED
    return talk


def stop(cmd_id: int) -> Stop:
    return Stop(cmd_id, 3_600, StopReason.CLINICAL, OnExpiry.ALARM_ONLY)


def test_a_clinicians_stop_ends_the_alarm_of_one_that_expired_and_expires_in_its_turn(
    talk: Conversation,
) -> None:
    again = talk.granted(stop(2))
    assert again.expires_t_mono_s == talk.now_ms // MS_PER_S + 3_600
    assert not talk.granted(GetStatus()).alarm_active & EXPIRED
    talk.wait(MS_PER_HOUR - 1)
    assert not talk.granted(GetStatus()).alarm_active & EXPIRED
    talk.wait(1)
    assert talk.granted(GetStatus()).alarm_active & EXPIRED


def test_a_patients_stop_leaves_the_alarm_and_the_expiry_of_a_clinicians(talk: Conversation) -> None:
    before = talk.granted(GetStatus())
    patient = Conversation(talk.pump, Role.PATIENT)
    patient.wait(10_000)
    answered = patient.granted(stop(1))
    assert answered.expires_t_mono_s == 2 * 3_600
    assert patient.granted(GetStatus()).alarm_active == before.alarm_active
