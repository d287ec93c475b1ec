"""What a program or a refill leaves behind beside its answer: alarms that end or begin, and what may be committed."""

from __future__ import annotations

import pytest

from firmware_emu.units import MS_PER_HOUR
from hil.campaign.conversation import Conversation, profile_of
from protocol.identifiers import AlarmId, ErrorCode, RefillFlag, TimeSetReason
from protocol.messages.program import ProgCommit
from protocol.messages.reading import GetStatus
from protocol.messages.reservoir import Refill
from protocol.messages.time import TimeSet

CONCENTRATION = 500_000


@pytest.fixture
def talk() -> Conversation:
    talk = Conversation.with_new_pump(profile_of(wall_at_start_s=826_000_000))
    talk.wait_until(MS_PER_HOUR)
    return talk


def test_a_program_that_was_refused_when_it_was_read_back_cannot_be_committed(talk: Conversation) -> None:
    staged = talk.stage(1, CONCENTRATION, base_rev=1)
    assert staged.refusals
    error = talk.refused(ProgCommit(1, 1, staged.staged_crc, True))
    assert (error.code, error.nearest) == (ErrorCode.VERIFY_CRC, 0)
    assert talk.granted(GetStatus()).program_rev == 1


def test_the_alarm_of_a_reset_ends_with_the_next_program(talk: Conversation) -> None:
    talk.pump.cut_power()
    talk.pump.restore_power()
    reset = 1 << AlarmId.RESET
    assert talk.granted(GetStatus()).alarm_latched & reset
    staged = talk.stage(350_000, CONCENTRATION, base_rev=1)
    talk.granted(ProgCommit(1, 1, staged.staged_crc, False))
    assert not talk.granted(GetStatus()).alarm_latched & reset


def test_a_clock_that_was_set_goes_on_from_there_after_a_loss_of_power(talk: Conversation) -> None:
    wall_s = talk.granted(GetStatus()).wall_s + 100
    talk.granted(TimeSet(1, wall_s, 60, TimeSetReason.ZONE, confirm=True))
    talk.pump.cut_power()
    talk.pump.restore_power()
    status = talk.granted(GetStatus())
    assert wall_s <= status.wall_s <= wall_s + 2
    assert status.tz_minutes == 60


def test_a_refill_of_nothing_leaves_an_empty_pump_at_once(talk: Conversation) -> None:
    talk.granted(Refill(1, 17_000_000, 0, 1, RefillFlag(0), CONCENTRATION, 0))
    assert talk.granted(GetStatus()).alarm_active >> AlarmId.EMPTY & 1
