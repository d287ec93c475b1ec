"""A record whose check is right and whose value no pump can have come to is damaged all the same, and is told so."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from firmware_emu.controller.alarms.alarms import Alarms
from firmware_emu.controller.memory.log_ring import ENTRIES_OF_A_LIFE_MAX, LIFE_MAX_S, LogRing
from firmware_emu.controller.memory.memory import Memory
from firmware_emu.controller.memory.memory_map import Region
from firmware_emu.controller.therapy.bolus_window import BolusWindow, Ended
from firmware_emu.controller.therapy.patient_requests import PatientRequests
from firmware_emu.controller.therapy.periodic_bolus import PeriodicSeries
from firmware_emu.controller.therapy.programs import Program
from firmware_emu.controller.therapy.therapy_record import TherapyRecord
from protocol.identifiers import AlarmId, ProgramFlag, ProgramSlot
from protocol.log.entry import LogEntry
from protocol.log.types import Actor, LogName, LogType
from protocol.messages.alarms import GetAlarms
from protocol.messages.log import LogStatus
from protocol.messages.program import GetProgram, PeriodicBlock
from protocol.messages.reading import GetDelivery, GetInfo, GetStatus
from protocol.messages.reservoir import GetReservoir
from protocol.messages.time import GetTime
from tests.unit.controller.test_commands_in_each_state import in_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.campaign.conversation import Conversation

FAR_MS = 1 << 44
READING = (
    GetStatus(),
    GetInfo(),
    GetTime(0),
    GetProgram(ProgramSlot.ACTIVE, 0),
    GetDelivery(),
    GetAlarms(),
    GetReservoir(),
    LogStatus(LogName.MAIN),
)


def therapy(**wrong: int) -> Callable[[bytes], bytes]:
    return lambda data: replace(TherapyRecord.unpack(data), **wrong).pack()  # type: ignore[arg-type]


def alarm_to_come(data: bytes) -> bytes:
    alarms = Alarms.unpack(data)
    for each in alarms.occurrences.values():
        each.on_ms = FAR_MS
    return alarms.pack()


def window_to_come(data: bytes) -> bytes:
    window = BolusWindow.unpack(data)
    window.ended = [Ended(FAR_MS, 500)]
    return window.pack()


def program_without_a_duration(data: bytes) -> bytes:
    """A periodic bolus of no duration, in a program that no PROG_VERIFY would have let through."""
    program = Program.unpack(data)
    block = PeriodicBlock(volume_nl=10_000, duration_s=0, interval_s=600, first_delay_s=0)
    return replace(program, header=program.header._replace(flags=ProgramFlag.PERIODIC, periodic=block)).pack()


def checkpoint(offset: int, layout: str, value: int) -> Callable[[bytes], bytes]:
    """The checkpoint with one of its numbers replaced: status_rev, tick, belief, commanded, seen ..."""
    return lambda data: data[:offset] + struct.pack(layout, value) + data[offset + struct.calcsize(layout) :]


RECORDS: list[tuple[Region, Callable[[bytes], bytes]]] = [
    (Region.THERAPY, therapy(stopped_at_ms=FAR_MS)),
    (Region.THERAPY, therapy(stop_expires_ms=FAR_MS)),
    (Region.THERAPY, therapy(boot_count=0xFFFF_FFFF)),
    (Region.ALARMS, alarm_to_come),
    (Region.BOLUS_WINDOW, window_to_come),
    (Region.PATIENT, lambda _: PatientRequests(locked_from_ms=FAR_MS).pack()),
    (Region.PATIENT, lambda _: PatientRequests(grants_ms=[FAR_MS]).pack()),
    (Region.PERIODIC, lambda _: PeriodicSeries(FAR_MS, 1_000).pack()),
    (Region.PERIODIC, lambda _: PeriodicSeries(1, 0).pack()),
    (Region.PROGRAM, program_without_a_duration),
]
CHECKPOINTS = [
    checkpoint(4, "<Q", (1 << 64) - 2),  # the tick
    checkpoint(12, "<q", 1 << 40),  # what is believed to be left
    checkpoint(20, "<Q", (1 << 64) - 1),  # strokes commanded
    checkpoint(28, "<Q", (1 << 64) - 1),  # basal strokes seen
]


def restarted_with(change: Callable[[Memory], None]) -> Conversation:
    """An empty, stopped pump after a loss of power in which somebody wrote to its memory, with right checks."""
    talk = in_state("empty stop").fork()
    talk.pump.cut_power()
    memory = Memory(talk.pump.plant.flash, talk.pump.profile.model.log_capacity)
    memory.recover()
    change(memory)
    talk.pump.restore_power()
    talk.wait(0)
    return talk


def forge_entry(memory: Memory, log: LogName, *, seq: int, t_mono_s: int) -> None:
    """Write an entry to the place of its number, with a right check."""
    entry = LogEntry(seq, t_mono_s, 0, LogType.RESUME, Actor.PUMP)
    memory.stage_log(log, (seq - 1) % memory.log_slots(log), entry.pack())
    memory.commit()


def check_that_it_is_told(talk: Conversation, region: Region) -> None:
    for message in READING:
        talk.granted(message)
    rows = {row.alarm_id: row.value for row in talk.granted(GetAlarms()).alarms}
    assert region in {rows.get(AlarmId.MEM_CRITICAL), rows.get(AlarmId.MEM_NONCRITICAL)}


@pytest.mark.parametrize(("region", "forge"), RECORDS)
def test_a_record_of_what_is_still_to_come_is_a_damaged_one(
    region: Region, forge: Callable[[bytes], bytes]
) -> None:
    def change(memory: Memory) -> None:
        data = memory.read_record(region)
        assert data
        memory.stage(region, forge(data))
        memory.commit()

    check_that_it_is_told(restarted_with(change), region)


@pytest.mark.parametrize("forge", CHECKPOINTS)
def test_a_checkpoint_that_no_pump_lives_to_write_is_a_damaged_one(forge: Callable[[bytes], bytes]) -> None:
    def change(memory: Memory) -> None:
        data = memory.read_checkpoint()
        assert data
        memory.checkpoint(forge(data))

    check_that_it_is_told(restarted_with(change), Region.RESERVOIR)


@pytest.mark.parametrize("log", list(LogName))
@pytest.mark.parametrize("t_mono_s", [LIFE_MAX_S + 1, 0xFFFF_FFFF])
def test_a_log_entry_of_a_time_that_no_pump_lives_to_see_is_a_damaged_one(
    log: LogName, t_mono_s: int
) -> None:
    forged: list[int] = []

    def change(memory: Memory) -> None:
        forged.append(LogRing(memory, log, b"").newest_seq + 1)
        forge_entry(memory, log, seq=forged[0], t_mono_s=t_mono_s)

    talk = restarted_with(change)
    for message in READING:
        talk.granted(message)
    assert talk.granted(GetStatus()).t_mono_s < LIFE_MAX_S
    found = talk.granted(LogStatus(log))
    assert (found.corrupt, found.first_bad_seq) == (1, forged[0])
    (told,) = [entry for entry in talk.log(log) if entry.type is LogType.LOG_CORRUPT]
    assert (told.details().first_seq, told.details().entries) == (forged[0], 1)


@pytest.mark.parametrize("log", list(LogName))
def test_a_log_entry_of_a_number_that_no_pump_lives_to_give_is_none(log: LogName) -> None:
    talk = restarted_with(lambda memory: forge_entry(memory, log, seq=0xFFFF_FFFF, t_mono_s=1))
    for message in READING:
        talk.granted(message)
    found = talk.granted(LogStatus(log))
    assert found.last_seq < ENTRIES_OF_A_LIFE_MAX
    assert found.lost_total == 0
