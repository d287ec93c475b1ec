"""A bridge with the boluses of its program: none is given until it is over, and the dates know that."""

from __future__ import annotations

from firmware_emu.profile import Implant
from firmware_emu.units import MS_PER_S
from hil.campaign.conversation import bridged, profile_of
from hil.campaign.program_boluses import (
    PATIENT,
    PERIODIC,
    RATE_NL_PER_DAY,
    PatientAndClinician,
    header_of,
)
from protocol.identifiers import AlarmId, DenyReason, ErrorCode
from protocol.log.data import CmdRefusedData
from protocol.log.types import LogType
from protocol.messages.program import PatientBlock, PeriodicBlock, ProgCommit, Segment
from protocol.messages.reading import GetDelivery, GetStatus
from protocol.messages.reservoir import GetReservoir
from tests.simulation.invariants import assert_log_is_whole, assert_volumes_agree

BRIDGE_NL, BRIDGE_RATE = 50_000, 600_000
BRIDGE_S = 7_200  # 100 strokes, one each 72 s


def bridging(
    patient: PatientBlock | None = None, periodic: PeriodicBlock | None = None
) -> PatientAndClinician:
    """A bridge of two hours has just begun, and behind it comes a program with these boluses."""
    talk = PatientAndClinician(
        PatientAndClinician.with_new_pump(profile_of(implant=Implant(filled_nl=2_300_000))).pump
    )
    program = bridged((header_of(patient, periodic), (Segment(0, RATE_NL_PER_DAY),)), BRIDGE_NL, BRIDGE_RATE)
    verified = talk.stage_program(*program, base_rev=1)
    assert verified.refusals == ()
    talk.granted(ProgCommit(1, 1, verified.staged_crc, start=True))
    return talk


# FI 55
def test_a_patient_is_denied_until_the_bridge_is_over_and_is_told_the_second() -> None:
    talk = bridging(PATIENT._replace(lockout_s=601))
    talk.wait(700 * MS_PER_S)
    denied = talk.asks_for_bolus(1)
    assert (denied.deny, denied.next_allowed_s) == (DenyReason.ANOTHER_ACTIVE, BRIDGE_S - 700)
    talk.wait((denied.next_allowed_s - 1) * MS_PER_S)
    assert talk.asks_for_bolus(2).deny is DenyReason.ANOTHER_ACTIVE
    talk.wait(MS_PER_S)
    assert talk.asks_for_bolus(3).deny is DenyReason.GRANTED
    talk.wait(601 * MS_PER_S)
    delivery = talk.granted(GetDelivery())
    assert (delivery.bridge_nl, delivery.patient_nl) == (BRIDGE_NL, PATIENT.volume_nl)


def test_periodic_boluses_that_fall_into_a_bridge_are_passed_over_and_logged_once() -> None:
    talk = bridging(periodic=PERIODIC._replace(first_delay_s=1_800, interval_s=3_600))
    talk.wait((BRIDGE_S + 3_600) * MS_PER_S)
    refused = [entry.details() for entry in talk.log() if entry.type is LogType.CMD_REFUSED]
    assert [each.code for each in refused if isinstance(each, CmdRefusedData)] == [ErrorCode.BRIDGE_ACTIVE]
    delivery = talk.granted(GetDelivery())
    assert (delivery.bridge_nl, delivery.periodic_nl) == (BRIDGE_NL, PERIODIC.volume_nl), (
        "at 2 h 30 min, once"
    )
    assert_log_is_whole(talk)
    assert_volumes_agree(talk)


def test_low_is_foretold_over_a_bridge_and_the_periodic_boluses_behind_it_to_the_second() -> None:
    talk = bridging(periodic=PERIODIC._replace(first_delay_s=1_800, interval_s=3_600))
    low_s = talk.granted(GetReservoir()).low_t_mono_s
    assert low_s > BRIDGE_S
    talk.wait_until(low_s * MS_PER_S - 1)
    assert not talk.granted(GetStatus()).alarm_active & 1 << AlarmId.LOW_RESERVOIR
    talk.wait_until((low_s + 1) * MS_PER_S)
    assert talk.granted(GetStatus()).alarm_active & 1 << AlarmId.LOW_RESERVOIR


def test_low_with_all_that_the_patient_may_ask_for_is_the_date_of_one_who_asks_from_the_end_of_the_bridge_on() -> (
    None
):
    talk = bridging(PATIENT._replace(max_count=24))
    foretold_s = talk.granted(GetReservoir()).low_all_patient_t_mono_s
    talk.wait(BRIDGE_S * MS_PER_S)
    last_ms = foretold_s * MS_PER_S - 1
    for cmd_id in range(1, 24):
        if talk.now_ms == last_ms:
            break
        assert talk.asks_for_bolus(cmd_id).deny is DenyReason.GRANTED
        talk.wait_until(min(talk.now_ms + PATIENT.lockout_s * MS_PER_S, last_ms))
        assert not talk.granted(GetStatus()).alarm_active & 1 << AlarmId.LOW_RESERVOIR
    talk.wait(MS_PER_S)
    assert talk.granted(GetStatus()).alarm_active & 1 << AlarmId.LOW_RESERVOIR
