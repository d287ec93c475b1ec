"""One bit of the memory turns over while power is off: the pump knows, or it does not matter.

Never a dose that looks right and is wrong: after the restart the pump gives what was prescribed, or its safe rate under
MEM_CRITICAL.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from firmware_emu.controller.memory.memory_map import (
    CHECKPOINT_OFFSETS,
    CRITICAL_REGIONS,
    FIRST_JOURNAL_OFFSET,
    LOG_OFFSET,
    LOG_SLOT_BYTES,
    MARK_BYTES,
    MARK_OFFSET,
    PLACES,
    Region,
)
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR
from hil.campaign.conversation import Conversation, profile_of
from protocol.identifiers import AlarmId, ErrorCode, ProgramSlot, RefillFlag, State, StatusFlag, StopReason
from protocol.log.types import LogName, LogType
from protocol.messages.log import LogStatus
from protocol.messages.program import GetProgram, ProgCommit
from protocol.messages.reading import GetInfo, GetStatus
from protocol.messages.reservoir import GetReservoir, Refill
from protocol.messages.stop import Stop
from tests.simulation.invariants import assert_volumes_agree
from tests.support.soak import part_of

RATE_NL_PER_DAY = 600_000
SAFE_RATE_NL_PER_DAY = 6_000
EMPTY_RECORD_BYTES = 7


@cache
def lived() -> Conversation:
    """A pump that has done a little of everything, and runs."""
    talk = Conversation.with_new_pump(profile_of(wall_at_start_s=826_000_000))
    talk.wait_until(MS_PER_HOUR)
    talk.start_bolus(1, 20_000, 600)
    talk.wait(MS_PER_HOUR)
    talk.granted(Stop(2, 600, StopReason.MRI))
    crc = talk.stage(300_000, 500_000, base_rev=1).staged_crc
    talk.granted(ProgCommit(3, 1, crc, start=True))
    talk.wait(5 * MS_PER_HOUR)
    talk.granted(Refill(4, 0, 12_000_000, 1, RefillFlag(0), 500_000, 1_000_000))
    talk.wait(MS_PER_HOUR + 600_000)
    talk.granted(GetStatus())
    return talk


def flipped(base: Conversation, offset: int, bit: int) -> Conversation:
    """The pump after a restart in which one bit of its memory turned over."""
    talk = base.fork()
    talk.pump.cut_power()
    talk.pump.inject("bit-flip", {"offset_bytes": offset, "bit": bit})
    talk.pump.restore_power()
    return talk


def bits_of(offset: int, length: int, every: int) -> Iterator[tuple[int, int]]:
    """Bits spread over a stretch of the memory, its first and last bytes whole."""
    edge = set(range(min(6, length))) | set(range(max(0, length - 4), length))
    for number in range(0, length * 8, every):
        yield offset + number // 8, number % 8
    for byte in edge:
        for bit in (0, 3, 7):
            yield offset + byte, bit


def record_bytes(region: Region) -> int:
    flash = lived().pump.plant.flash
    return int.from_bytes(flash.read(PLACES[region].offset, 2), "little") + EMPTY_RECORD_BYTES


def region_bits(region: Region) -> list[tuple[int, int]]:
    length = record_bytes(region)
    return list(bits_of(PLACES[region].offset, length, max(7, length * 8 // 24 | 1)))


@pytest.mark.parametrize("region", sorted(CRITICAL_REGIONS), ids=lambda region: region.name)
def test_damage_to_therapy_data_ends_in_the_safe_state_with_its_alarm(region: Region) -> None:
    for offset, bit in part_of(f"damage to {region.name}", region_bits(region), one_in=6):
        talk = flipped(lived(), offset, bit)
        status = talk.granted(GetStatus())
        assert (status.state, status.rate_nl_per_day) == (State.SAFE_STATE, SAFE_RATE_NL_PER_DAY)
        assert status.alarm_active >> AlarmId.MEM_CRITICAL & 1
        faults = [entry.details().region for entry in talk.log() if entry.type is LogType.NVM_FAULT]
        assert faults == [region]
        assert talk.granted(LogStatus(LogName.MAIN)).corrupt == 0
        before = talk.pump.truth().strokes_turned
        talk.wait(MS_PER_DAY)
        assert talk.pump.truth().strokes_turned - before == SAFE_RATE_NL_PER_DAY // 500


@pytest.mark.parametrize("region", sorted(set(Region) - CRITICAL_REGIONS), ids=lambda region: region.name)
def test_damage_to_other_data_leaves_the_therapy_as_it_was(region: Region) -> None:
    for offset, bit in part_of(f"damage to {region.name}", region_bits(region), one_in=6):
        talk = flipped(lived(), offset, bit)
        status = talk.granted(GetStatus())
        assert (status.state, status.rate_nl_per_day) == (State.RUN, RATE_NL_PER_DAY)
        assert status.alarm_active >> AlarmId.MEM_NONCRITICAL & 1
        assert not status.alarm_active >> AlarmId.MEM_CRITICAL & 1
        assert_volumes_agree(talk)


@pytest.mark.parametrize("region", sorted(CRITICAL_REGIONS), ids=lambda region: region.name)
def test_a_clinician_can_bring_the_pump_back(region: Region) -> None:
    talk = flipped(lived(), PLACES[region].offset + 3, 2)
    rev = talk.granted(GetStatus()).program_rev
    talk.granted(Refill(5, 0, 15_000_000, 1, RefillFlag(0), 500_000, 1_000_000))
    crc = talk.stage(300_000, 500_000, base_rev=rev).staged_crc
    talk.granted(ProgCommit(6, rev, crc, start=True))
    status = talk.granted(GetStatus())
    assert (status.state, status.rate_nl_per_day) == (State.RUN, RATE_NL_PER_DAY)
    assert not (status.alarm_active | status.alarm_latched) >> AlarmId.MEM_CRITICAL & 1
    talk.pump.cut_power()
    talk.pump.restore_power()
    status = talk.granted(GetStatus())
    assert (status.state, status.program_rev) == (State.RUN, rev + 1)
    assert not status.alarm_active >> AlarmId.MEM_CRITICAL & 1


def test_a_stopped_pump_does_not_begin_to_deliver_for_a_damaged_record() -> None:
    base = lived().fork()
    base.granted(Stop(5, 7_200, StopReason.CLINICAL))
    for region in CRITICAL_REGIONS - {Region.THERAPY}:  # which alone knows that the pump was stopped
        talk = flipped(base, PLACES[region].offset, 0)
        status = talk.granted(GetStatus())
        assert (status.state, status.rate_nl_per_day) == (State.FAULT_STOP, 0)
        before = talk.pump.truth().strokes_turned
        talk.wait(MS_PER_HOUR)
        assert talk.pump.truth().strokes_turned == before


@cache
def at_its_end() -> Conversation:
    """A pump whose time of service is over."""
    talk = Conversation.with_new_pump(profile_of(wall_at_start_s=826_000_000, service_life_months=1))
    talk.wait_until(40 * MS_PER_DAY)
    assert talk.granted(GetStatus()).state is State.EOS
    return talk


@pytest.mark.parametrize("region", Region, ids=lambda region: region.name)
def test_a_pump_at_its_end_stays_at_its_end(region: Region) -> None:
    talk = flipped(at_its_end(), PLACES[region].offset, 1)
    status = talk.granted(GetStatus())
    assert (status.state, status.rate_nl_per_day) == (State.EOS, 0)
    assert status.alarm_active >> AlarmId.EOS & 1
    assert talk.refused(Refill(9, 0, 15_000_000, 1, RefillFlag(0), 500_000, 1_000_000)).code is ErrorCode.EOS


def test_the_clock_is_doubted_where_its_record_is_damaged() -> None:
    talk = flipped(lived(), PLACES[Region.WALL_CLOCK].offset + 5, 0)
    status = talk.granted(GetStatus())
    assert not status.flags & StatusFlag.WALL_VALID
    assert status.alarm_active >> AlarmId.WALL_INVALID & 1


def test_the_end_of_service_is_found_again_where_its_record_is_damaged() -> None:
    wanted = lived().fork().granted(GetReservoir()).replace_by_wall_s
    talk = flipped(lived(), PLACES[Region.SERVICE].offset + 5, 0)
    assert talk.granted(GetReservoir()).replace_by_wall_s == wanted


@pytest.mark.parametrize("region", [Region.IDENTITY, Region.LEDGER], ids=lambda region: region.name)
def test_a_pump_that_has_forgotten_its_commands_is_another_memory(region: Region) -> None:
    before = lived().fork().granted(GetInfo()).memory_id
    talk = flipped(lived(), PLACES[region].offset + 5, 0)
    after = talk.granted(GetInfo()).memory_id
    assert after not in (0, before)
    talk.pump.cut_power()
    talk.pump.restore_power()
    talk.open()
    assert talk.granted(GetInfo()).memory_id == after, "what a start has found out is forgotten at the next"


def test_a_pump_that_has_lost_its_log_is_another_memory() -> None:
    talk = lived().fork()
    before = talk.granted(GetInfo()).memory_id
    talk.pump.cut_power()
    slots = talk.pump.profile.model.log_capacity * LOG_SLOT_BYTES
    talk.pump.plant.flash.write(LOG_OFFSET, b"\xff" * slots)
    talk.pump.restore_power()
    talk.open()
    assert talk.granted(GetInfo()).memory_id not in (0, before)
    assert talk.granted(LogStatus(LogName.MAIN)).epoch == 2


def test_alarms_that_last_are_raised_again_where_their_record_is_damaged() -> None:
    base = Conversation.with_new_pump(profile_of())
    base.pump.stall_motor(True)
    base.wait(2 * MS_PER_HOUR)
    base.granted(Stop(1, 60, StopReason.MRI))
    base.wait(49 * MS_PER_HOUR)
    wanted = base.granted(GetStatus()).alarm_active
    ids = (AlarmId.MOTOR_STALL, AlarmId.STOP_EXPIRED, AlarmId.STOPPED_TOO_LONG)
    assert wanted == sum(1 << alarm_id for alarm_id in ids)
    talk = flipped(base, PLACES[Region.ALARMS].offset, 0)
    assert talk.granted(GetStatus()).alarm_active & wanted == wanted
    talk.pump.stall_motor(False)
    rev = talk.granted(GetStatus()).program_rev
    crc = talk.stage(300_000, 500_000, base_rev=rev).staged_crc
    talk.granted(ProgCommit(2, rev, crc, start=True))
    talk.wait(MS_PER_HOUR)
    assert not talk.granted(GetStatus()).alarm_active & wanted


def _outside_the_records() -> dict[str, list[tuple[int, int]]]:
    newest_slot = LOG_OFFSET + 12 * LOG_SLOT_BYTES
    return {
        "mark": list(bits_of(MARK_OFFSET, MARK_BYTES, 3)),
        "checkpoint A": list(bits_of(CHECKPOINT_OFFSETS[0], 140, 53)),
        "checkpoint B": list(bits_of(CHECKPOINT_OFFSETS[1], 140, 53)),
        "journal": list(bits_of(FIRST_JOURNAL_OFFSET, 400, 101)),
        "log": list(bits_of(newest_slot, LOG_SLOT_BYTES, 11)),
    }


@pytest.mark.parametrize("place", _outside_the_records())
def test_damage_outside_the_records_never_gives_a_wrong_dose_or_a_wrong_belief(place: str) -> None:
    """A refill was the last commit: the belief before it would look right, and be wrong."""
    base = lived().fork()
    base.granted(Refill(5, 0, 5_000_000, 1, RefillFlag(0), 500_000, 500_000))
    program = base.granted(GetProgram(ProgramSlot.ACTIVE, 0))
    for offset, bit in part_of(f"damage to {place}", _outside_the_records()[place], one_in=6):
        talk = flipped(base, offset, bit)
        status = talk.granted(GetStatus())
        if status.state is State.SAFE_STATE:
            assert status.alarm_active >> AlarmId.MEM_CRITICAL & 1
            assert status.rate_nl_per_day == SAFE_RATE_NL_PER_DAY
        else:
            assert (status.state, status.rate_nl_per_day) == (State.RUN, RATE_NL_PER_DAY)
            assert status.reservoir_calc_nl == 5_000_000
            assert talk.granted(GetProgram(ProgramSlot.ACTIVE, 0)) == program


def test_a_damaged_log_entry_is_told_by_its_number_and_the_others_are_intact() -> None:
    seq = 6
    before = lived().fork().log()
    for offset, bit in bits_of(LOG_OFFSET + (seq - 1) * LOG_SLOT_BYTES, LOG_SLOT_BYTES, 13):
        talk = flipped(lived(), offset, bit)
        assert talk.granted(GetStatus()).state is State.RUN
        entries = talk.log()
        assert entries[seq - 1].type is LogType.CORRUPT_SLOT
        assert entries[: seq - 1] + entries[seq : len(before)] == before[: seq - 1] + before[seq:]
        status = talk.granted(LogStatus(LogName.MAIN))
        assert (status.corrupt, status.first_bad_seq) == (1, seq)
