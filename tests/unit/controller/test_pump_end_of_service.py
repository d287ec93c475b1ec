"""The pump's last years: ERI 90 days before the end, the end 84 months after the implant, and nothing after it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from firmware_emu.profile import Implant
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_S
from hil.campaign.conversation import Conversation, profile_of
from protocol.identifiers import (
    AlarmId,
    BatteryPhase,
    BolusKind,
    ErrorCode,
    Outcome,
    RefillFlag,
    State,
    StateReason,
    TimeSetReason,
)
from protocol.log.types import BolusEndReason, LogType
from protocol.messages.bolus import BolusPrepare
from protocol.messages.ledger import QueryCmd
from protocol.messages.program import ProgCommit
from protocol.messages.reading import GetStatus
from protocol.messages.reservoir import GetReservoir, Refill
from protocol.messages.stop import Resume
from protocol.messages.time import TimeSet
from tests.simulation.invariants import assert_log_is_whole, assert_volumes_agree

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
SLOW = 24_000  # ng/day, so that no battery ends before its calendar


def wall_s(text: str) -> int:
    return int((datetime.fromisoformat(f"{text}+00:00") - EPOCH).total_seconds())


def implanted(days_ago: int = 0, **model: int) -> Conversation:
    """WE-38: a pump implanted on 2020-01-15 at 09:00."""
    now_s = wall_s("2020-01-15 09:00:00") + days_ago * 86_400
    implant = Implant(dose_ng_per_day=SLOW, filled_nl=20_000_000, implant_days_ago=days_ago)
    return Conversation.with_new_pump(
        profile_of(
            implant=implant,
            wall_at_start_s=now_s,
            battery_capacity_mah=5_000,
            critical_interval_s=86_400,  # it is empty for years, and each tone is an event
            **model,
        )
    )


def test_we_38_the_dates_of_a_pump_implanted_on_the_15th_of_january_2020() -> None:
    talk = implanted()
    eos_ms = (wall_s("2027-01-15 09:00:00") - wall_s("2020-01-15 09:00:00")) * MS_PER_S
    eri_ms = eos_ms - 90 * MS_PER_DAY
    assert talk.granted(GetReservoir()).replace_by_wall_s == wall_s("2027-01-15 09:00:00")
    talk.wait_until(eri_ms - 1)
    assert not talk.granted(GetStatus()).alarm_active >> AlarmId.ERI & 1
    talk.wait_until(eri_ms)
    status = talk.granted(GetStatus())
    assert status.wall_s == wall_s("2026-10-17 09:00:00")
    assert status.alarm_active >> AlarmId.ERI & 1
    talk.wait_until(eos_ms - 1)
    assert talk.granted(GetStatus()).state in (State.RUN, State.SAFE_STATE)
    talk.wait_until(eos_ms)
    status = talk.granted(GetStatus())
    assert (status.state, status.state_reason, status.rate_nl_per_day) == (State.EOS, StateReason.EOS, 0)
    assert status.alarm_active >> AlarmId.EOS & 1
    assert talk.granted(GetReservoir()).battery_phase is BatteryPhase.EOS
    assert_volumes_agree(talk)


@pytest.fixture(scope="module")
def near_the_end() -> Conversation:
    """A day before the end of a pump that was implanted nearly seven years ago."""
    talk = implanted(days_ago=2_555)
    talk.wait_until(MS_PER_DAY)
    return talk


def test_a_bolus_in_work_at_the_end_is_partial(near_the_end: Conversation) -> None:
    talk = near_the_end.fork()
    end_ms = (wall_s("2027-01-15 09:00:00") - wall_s("2020-01-15 09:00:00") - 2_555 * 86_400) * MS_PER_S
    talk.wait_until(end_ms - 300_000)
    talk.start_bolus(1, 20_000, 600)
    talk.wait_until(end_ms)
    found = talk.granted(QueryCmd(1))
    assert (found.outcome, found.delivered_nl, found.uncertain_nl) == (Outcome.PARTIAL, 10_000, 0)
    assert talk.granted(GetStatus()).state is State.EOS
    ends = [entry.details().reason for entry in talk.log() if entry.type is LogType.BOLUS_END]
    assert ends == [BolusEndReason.EOS]


def test_after_the_end_nothing_is_delivered_and_all_therapy_is_refused(near_the_end: Conversation) -> None:
    talk = near_the_end.fork()
    talk.wait(10 * MS_PER_DAY)
    turned = talk.pump.truth().strokes_turned
    crc = talk.stage(300_000, 500_000, base_rev=1).staged_crc
    for message in (
        BolusPrepare(BolusKind.BOLUS, 20_000, 600, 1),
        ProgCommit(1, 1, crc, start=True),
        Resume(1, 1),
        Refill(1, 0, 18_000_000, 1, RefillFlag(0), 500_000, 2_000_000),
    ):
        assert talk.code(message) is ErrorCode.EOS
    talk.pump.cut_power()
    talk.wait(MS_PER_HOUR)
    talk.pump.restore_power()
    status = talk.granted(GetStatus())
    assert (status.state, status.rate_nl_per_day) == (State.EOS, 0)
    talk.wait(100 * MS_PER_DAY)
    assert talk.pump.truth().strokes_turned == turned
    assert_log_is_whole(talk)


def test_a_cell_that_gives_out_early_counts_down_ninety_days() -> None:
    talk = Conversation.with_new_pump(profile_of(wall_at_start_s=826_000_000, battery_capacity_mah=40))
    talk.wait_until(240 * MS_PER_DAY)
    on = {entry.type: entry for entry in talk.log() if entry.type in (LogType.ERI, LogType.EOS)}
    eri_s, eos_s = on[LogType.ERI].t_mono_s, on[LogType.EOS].t_mono_s
    assert eri_s < 365 * 86_400
    assert eos_s - eri_s <= 90 * 86_400
    assert on[LogType.ERI].details().batt_mv <= 2_550
    assert talk.granted(GetStatus()).state is State.EOS


def test_a_clock_set_back_prolongs_no_pump() -> None:
    talk = implanted(days_ago=2_555)
    talk.granted(TimeSet(1, 0, 0, TimeSetReason.DRIFT, confirm=True))
    talk.wait_until(4 * MS_PER_DAY)
    assert talk.granted(GetStatus()).state is State.EOS


def test_a_clock_set_forward_ends_no_pump() -> None:
    talk = implanted()
    talk.granted(TimeSet(1, wall_s("2030-01-01 00:00:00"), 0, TimeSetReason.DRIFT, confirm=True))
    talk.wait_until(10 * MS_PER_DAY)
    assert talk.granted(GetStatus()).state is State.RUN
