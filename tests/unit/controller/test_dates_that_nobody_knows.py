"""A date that the pump keeps or tells is 0 where its clock is not valid: an estimate would look like a date."""

from __future__ import annotations

import pytest

from firmware_emu.units import MS_PER_HOUR
from hil.campaign.conversation import Conversation, profile_of
from protocol.identifiers import AlarmId, RefillFlag, TimeSetReason
from protocol.messages.program import ProgCommit
from protocol.messages.reading import GetStatus
from protocol.messages.reservoir import GetReservoir, Refill
from protocol.messages.time import TimeSet

WALL_S = 826_000_000


def refill_and_program(talk: Conversation) -> None:
    talk.granted(Refill(1, 17_000_000, 20_000_000, 1, RefillFlag(0), 500_000, 2_000_000))
    staged = talk.stage(350_000, 500_000, base_rev=1)
    talk.granted(ProgCommit(2, 1, staged.staged_crc, True))


@pytest.mark.parametrize("wall_s", [None, WALL_S], ids=["never set", "an estimate"])
def test_a_clock_that_is_not_valid_dates_no_refill_and_no_program(wall_s: int | None) -> None:
    talk = Conversation.with_new_pump(profile_of(wall_at_start_s=wall_s))
    talk.wait_until(MS_PER_HOUR)
    talk.pump.cut_power()
    talk.pump.restore_power()
    refill_and_program(talk)
    found = talk.granted(GetReservoir())
    assert (found.last_refill_wall_s, found.last_program_wall_s) == (0, 0)
    assert found.last_refill_t_mono_s == talk.granted(GetStatus()).t_mono_s


def test_a_valid_clock_dates_both() -> None:
    talk = Conversation.with_new_pump(profile_of(wall_at_start_s=WALL_S))
    talk.wait_until(MS_PER_HOUR)
    refill_and_program(talk)
    found = talk.granted(GetReservoir())
    assert (found.last_refill_wall_s, found.last_program_wall_s) == (WALL_S + 3_600, WALL_S + 3_600)


def test_a_countdown_of_the_battery_has_a_date_only_while_the_clock_is_valid() -> None:
    talk = Conversation.with_new_pump(profile_of(wall_at_start_s=None, battery_eri_mv=5_000))
    talk.wait_until(MS_PER_HOUR)
    assert talk.granted(GetStatus()).alarm_active >> AlarmId.ERI & 1
    assert talk.granted(GetReservoir()).replace_by_wall_s == 0
    talk.granted(TimeSet(1, WALL_S, 0, TimeSetReason.FIRST_SET, confirm=True))
    assert talk.granted(GetReservoir()).replace_by_wall_s == WALL_S + 90 * 86_400 - 3_600
    talk.pump.cut_power()
    talk.pump.restore_power()
    assert talk.granted(GetReservoir()).replace_by_wall_s == 0
