"""A bolus that an empty reservoir, a stall or a cancel ends: closed once, with the amount that really went out."""

from __future__ import annotations

import pytest

from firmware_emu.profile import EmptyPolicy, Implant
from firmware_emu.units import MS_PER_HOUR
from hil.campaign.conversation import Conversation, profile_of
from protocol.identifiers import AlarmId, Outcome
from protocol.log.data import BolusEndData
from protocol.log.types import BolusEndReason, LogType
from protocol.messages.bolus import BolusCancel
from protocol.messages.ledger import QueryCmd
from protocol.messages.reading import GetDelivery, GetStatus
from tests.simulation.invariants import assert_log_is_whole, assert_volumes_agree

SLOW = 24_000  # ng/day: a basal stroke every 900 s


def ends_of(talk: Conversation) -> list[BolusEndData]:
    return [entry.details() for entry in talk.log() if entry.type is LogType.BOLUS_END]


@pytest.mark.parametrize("policy", EmptyPolicy)
def test_a_reservoir_believed_empty_ends_a_bolus_at_the_stroke_that_empties_it(policy: EmptyPolicy) -> None:
    implant = Implant(dose_ng_per_day=SLOW, filled_nl=7_000)
    profile = profile_of(implant=implant, empty_policy=policy, low_reservoir_alarm_nl=5_000, residual_nl=0)
    talk = Conversation.with_new_pump(profile)
    talk.wait_until(1_000)
    talk.start_bolus(1, 20_000, 400)  # a stroke every 10 s; the 14th empties the reservoir
    talk.wait_until(1_000 + 139_999)
    assert talk.granted(GetStatus()).bolus_cmd_id == 1
    talk.wait(1)
    found = talk.granted(QueryCmd(1))
    assert (found.outcome, found.delivered_nl, found.uncertain_nl) == (Outcome.PARTIAL, 7_000, 0)
    assert ends_of(talk) == [BolusEndData(7_000, 0, BolusEndReason.ALARM)]
    assert talk.granted(GetStatus()).alarm_active >> AlarmId.EMPTY & 1
    talk.wait(MS_PER_HOUR)
    assert talk.granted(GetDelivery()).bolus_nl == 7_000
    assert_volumes_agree(talk)


def test_a_pump_that_gives_more_runs_dry_in_a_bolus_and_cannot_know() -> None:
    implant = Implant(dose_ng_per_day=SLOW, filled_nl=10_000)
    profile = profile_of(implant=implant, accuracy_ppm=2_000_000, low_reservoir_alarm_nl=0, residual_nl=0)
    talk = Conversation.with_new_pump(profile)
    talk.wait_until(1_000)
    talk.start_bolus(1, 9_000, 180)
    talk.wait(180_000)
    found = talk.granted(QueryCmd(1))
    assert (found.outcome, found.delivered_nl) == (Outcome.DONE, 9_000)
    truth = talk.pump.truth()
    assert truth.ran_dry_at_ms == 1_000 + 10 * 10_000
    assert truth.emitted_nl_ppm == 10_000 * 1_000_000


def test_a_stall_ends_a_bolus_when_it_is_proven_and_the_missing_strokes_are_not_delivered() -> None:
    talk = Conversation.with_new_pump(profile_of(implant=Implant(dose_ng_per_day=SLOW)))
    talk.wait_until(1_000)
    talk.start_bolus(1, 200_000, 4_000)  # a stroke every 10 s
    talk.wait_until(1_000 + 505_000)
    talk.pump.stall_motor(True)
    first_missed_ms = 1_000 + 510_000
    talk.wait_until(first_missed_ms + 1_200_000 - 1)
    assert talk.granted(GetStatus()).bolus_cmd_id == 1
    talk.wait(1)
    found = talk.granted(QueryCmd(1))
    assert (found.outcome, found.delivered_nl, found.uncertain_nl) == (Outcome.PARTIAL, 25_000, 0)
    assert ends_of(talk) == [BolusEndData(25_000, 0, BolusEndReason.ALARM)]
    talk.pump.stall_motor(False)
    talk.wait(MS_PER_HOUR)
    assert talk.granted(GetDelivery()).bolus_nl == 25_000
    assert_volumes_agree(talk)


def test_a_short_stall_leaves_a_bolus_partial_for_its_missing_edges() -> None:
    talk = Conversation.with_new_pump(profile_of(implant=Implant(dose_ng_per_day=SLOW)))
    talk.wait_until(1_000)
    talk.start_bolus(1, 20_000, 400)
    talk.wait(100_000)
    talk.pump.stall_motor(True)
    talk.wait(30_000)
    talk.pump.stall_motor(False)
    talk.wait(270_000)
    found = talk.granted(QueryCmd(1))
    assert (found.outcome, found.delivered_nl, found.uncertain_nl) == (Outcome.PARTIAL, 18_500, 0)
    assert ends_of(talk) == [BolusEndData(18_500, 0, BolusEndReason.MISSING_EDGES)]
    assert_volumes_agree(talk)


@pytest.mark.parametrize("beside_ms", [-1, 0, 1])
def test_a_cancel_that_races_with_the_end_leaves_one_end_and_one_amount(beside_ms: int) -> None:
    talk = Conversation.with_new_pump(profile_of(implant=Implant(dose_ng_per_day=SLOW)))
    talk.wait_until(1_000)
    talk.start_bolus(1, 20_000, 400)
    talk.wait(400_000 + beside_ms)
    reply = talk.granted(BolusCancel(2, 1, 0xFFFF))
    delivered_nl = 19_500 if beside_ms < 0 else 20_000
    outcome = Outcome.PARTIAL if beside_ms < 0 else Outcome.DONE
    assert (reply.target_outcome, reply.delivered_nl) == (outcome, delivered_nl)
    assert [end.delivered_nl for end in ends_of(talk)] == [delivered_nl]
    assert talk.granted(QueryCmd(1)).delivered_nl == delivered_nl
    talk.wait(MS_PER_HOUR)
    assert talk.granted(GetDelivery()).bolus_nl == delivered_nl
    assert_log_is_whole(talk)
