"""Power goes in each write of a boundary, a commit and a clock that is set, under a flexible program.

What is left is the old program, the new one, or the constant rate with its alarm; a clock that is set brings the
schedule back.
"""

from __future__ import annotations

from firmware_emu.controller.memory.memory_map import PLACES, Region
from firmware_emu.units import MS_PER_HOUR, MS_PER_MINUTE
from hil.campaign.conversation import Conversation, flexible_program, profile_of
from protocol.identifiers import AlarmId, InfusionMode, ProgramSlot, State, TimeSetReason
from protocol.messages.program import GetProgram, ProgCommit
from protocol.messages.reading import GetStatus
from protocol.messages.time import TimeSet
from tests.simulation.invariants import assert_log_is_whole, assert_volumes_agree
from tests.simulation.stepping import Act
from tests.simulation.test_flexible_programs import (
    EVERY_DAY,
    MIDNIGHT_S,
    WE_37,
    cut_and_restored,
    rate,
    running,
    set_time,
)


def _torn_at(length: int) -> set[int]:
    return {0, 1, length // 2, length - 1, length}


def _lengths_of_writes(base: Conversation, act: Act) -> list[int]:
    done = base.fork()
    before = len(done.writes)
    act(done)
    return [len(data) for _, data in done.writes[before:]]


def _assert_sound_after(talk: Conversation) -> None:
    """After a cut the constant rate runs; a clock that is set brings the schedule back."""
    status = talk.granted(GetStatus())
    assert (status.state, status.mode, status.rate_nl_per_day) == (State.RUN, InfusionMode.FLEX, 600_000)
    assert status.alarm_active >> AlarmId.WALL_INVALID & 1
    assert_log_is_whole(talk)
    assert_volumes_agree(talk)
    set_time(talk, 99, MIDNIGHT_S + 7 * 3_600)
    assert rate(talk) == 960_000
    talk.wait(MS_PER_HOUR)
    assert rate(talk) == 480_000
    assert_volumes_agree(talk)


def test_a_cut_in_any_write_of_a_boundary_leaves_a_therapy_that_is_known() -> None:
    base = running((EVERY_DAY, WE_37))
    base.wait_until(6 * MS_PER_HOUR - 1)
    lengths = _lengths_of_writes(base, lambda talk: talk.wait(1))
    assert len(lengths) >= 3
    for number, length in enumerate(lengths, 1):
        for torn in _torn_at(length):
            talk = base.fork()
            talk.pump.plant.cut_at_write(number, torn)
            talk.wait(1)
            _assert_sound_after(talk)


def test_a_cut_in_any_write_of_a_commit_leaves_the_old_program_or_the_new() -> None:
    base = Conversation.with_new_pump(profile_of(wall_at_start_s=MIDNIGHT_S))
    base.wait_until(3 * MS_PER_HOUR + 12_345)
    header, segments = flexible_program((EVERY_DAY, WE_37))
    message = ProgCommit(1, 1, base.stage_program(header, segments, base_rev=1).staged_crc, start=True)
    lengths = _lengths_of_writes(base, lambda talk: talk.granted(message))
    found = set()
    for number, length in enumerate(lengths, 1):
        for torn in _torn_at(length):
            talk = base.fork()
            talk.pump.plant.cut_at_write(number, torn)
            assert talk.ask(message) is None, "the answer left before the command was durable"
            status = talk.granted(GetStatus())
            found.add(status.program_rev)
            if status.program_rev == 1:
                assert (status.mode, status.rate_nl_per_day) == (InfusionMode.SIMPLE, 600_000)
                continue
            read = talk.granted(GetProgram(ProgramSlot.ACTIVE, 0))
            assert (read.header, read.segments) == (header, segments)
            _assert_sound_after(talk)
    assert found == {1, 2}


def test_a_cut_in_any_write_of_a_clock_that_is_set_leaves_a_therapy_that_is_known() -> None:
    base = running((EVERY_DAY, WE_37))
    base.wait_until(3 * MS_PER_HOUR + 12_345)
    base.granted(GetStatus())  # so that a session is open
    message = TimeSet(5, MIDNIGHT_S + 17 * 3_600, 0, TimeSetReason.ZONE, confirm=True)
    lengths = _lengths_of_writes(base, lambda talk: talk.granted(message))
    for number, length in enumerate(lengths, 1):
        for torn in _torn_at(length):
            talk = base.fork()
            talk.pump.plant.cut_at_write(number, torn)
            assert talk.ask(message) is None
            _assert_sound_after(talk)


def test_a_cut_in_each_write_of_the_restart_after_a_cut_at_a_boundary_changes_nothing_of_that() -> None:
    first = running((EVERY_DAY, WE_37))
    first.wait_until(6 * MS_PER_HOUR - 1)
    first.pump.inject("power-cut-at-write", {"writes": 2, "torn_after_bytes": 1})
    first.wait(1)
    assert not first.pump.powered

    def restart(talk: Conversation) -> None:
        talk.pump.restore_power()
        talk.wait(0)

    lengths = _lengths_of_writes(first, restart)
    assert lengths
    for number, length in enumerate(lengths, 1):
        again = first.fork()
        again.pump.inject("power-cut-at-write", {"writes": number, "torn_after_bytes": length // 2})
        again.pump.restore_power()
        assert not again.pump.powered
        again.wait(MS_PER_HOUR)
        again.pump.restore_power()
        _assert_sound_after(again)


def test_power_cuts_without_end_under_a_schedule_lose_no_therapy() -> None:
    """A cut every 40 minutes for three days, the clock set after each: the schedule goes on from where it is."""
    talk = running((EVERY_DAY, WE_37))
    wall_s = MIDNIGHT_S
    for number in range(1, 3 * 36):
        talk.wait(40 * MS_PER_MINUTE + number)
        wall_s += 40 * 60
        cut_and_restored(talk)
        assert rate(talk) == 600_000
        set_time(talk, number + 1, wall_s)
        minute = (wall_s - MIDNIGHT_S) // 60 % 1_440
        assert rate(talk) == [row_rate for start, row_rate in WE_37.items() if start <= minute][-1]
    assert_volumes_agree(talk)
    assert_log_is_whole(talk)


def test_a_plug_pulled_around_a_boundary_leaves_no_more_uncounted_than_the_restart_says() -> None:
    boundary_ms = 390 * MS_PER_MINUTE  # between two hourly checkpoints, which know the lower rate
    for after_ms in (-1_001, -1, 0, 1, 999, 1_000, 5_000, 29 * MS_PER_MINUTE, MS_PER_HOUR):
        talk = running((EVERY_DAY, {0: 48_000, 390: 5_000_000, 480: 48_000}))
        talk.wait_until(boundary_ms + after_ms)
        cut_and_restored(talk)
        assert_volumes_agree(talk)
        assert_log_is_whole(talk)
        assert rate(talk) == 600_000


def test_damaged_program_data_lead_to_the_safe_rate() -> None:
    talk = running((EVERY_DAY, WE_37))
    flash = talk.pump.plant.flash
    talk.pump.cut_power()
    offset = PLACES[Region.PROGRAM].offset + 60
    flash.write(offset, bytes([flash.read(offset, 1)[0] ^ 1]))
    talk.pump.restore_power()
    status = talk.granted(GetStatus())
    assert (status.state, status.rate_nl_per_day) == (State.SAFE_STATE, 6_000)
