"""A damaged slot of the log raises its alarm and is told once; numbers that must never begin anew outlive damage."""

from __future__ import annotations

from dataclasses import replace

from firmware_emu.controller.memory.memory_map import (
    LOG_SLOT_BYTES,
    PLACES,
    RECORD_OVERHEAD_BYTES,
    Region,
    log_ring,
)
from firmware_emu.now import Now
from firmware_emu.pump import Pump
from hil.campaign.conversation import Conversation, profile_of
from protocol.identifiers import AlarmId, OnExpiry, StopReason
from protocol.log.data import FwInfoData, LogCorruptData
from protocol.log.types import LogName, LogType, MemoryFault
from protocol.messages.alarms import GetAlarms
from protocol.messages.log import LogStatus
from protocol.messages.program import ProgCommit
from protocol.messages.reading import GetInfo, GetStatus
from protocol.messages.stop import Resume, Stop
from tests.support.for_each import for_each


def flip(talk: Conversation, offset: int) -> None:
    flash = talk.pump.plant.flash
    flash.load([(offset, bytes([flash.read(offset, 1)[0] ^ 1]))])


def damage(talk: Conversation, log: LogName, *seqs: int) -> None:
    """Flip a bit in the slots of these entries, which have not been overwritten yet."""
    ring = log_ring(log, talk.pump.profile.model.log_capacity)
    for seq in seqs:
        flip(talk, ring.offset + (seq - 1) % ring.slots * LOG_SLOT_BYTES + 20)


def restart(talk: Conversation) -> None:
    talk.pump.cut_power()
    talk.pump.restore_power()


def told(talk: Conversation, log: LogName = LogName.MAIN) -> list[LogCorruptData]:
    return [entry.details() for entry in talk.log(log) if entry.type is LogType.LOG_CORRUPT]


def written(entries: int = 40, log_capacity: int = 2_000) -> Conversation:
    """A pump whose main log has at least so many entries."""
    talk = Conversation.with_new_pump(profile_of(log_capacity=log_capacity))
    while (done := talk.granted(GetStatus()).last_seq) < entries:
        talk.granted(Stop(done, 60, StopReason.CLINICAL, OnExpiry.ALARM_ONLY))
        talk.granted(Resume(done + 1, 1))
    return talk


@for_each(
    ("log", "seqs", "rows"),
    [
        (LogName.MAIN, (5,), [(5, 1)]),
        (LogName.MAIN, (5, 6, 7, 9), [(5, 3), (9, 1)]),
        (LogName.MAIN, tuple(range(3, 39, 2)), [(seq, 1) for seq in range(3, 17, 2)] + [(17, 21)]),
        (LogName.SECURITY, (1,), [(1, 1)]),
    ],
)
def test_a_damaged_slot_is_told_at_the_next_start_once_and_raises_its_alarm(
    log: LogName, seqs: tuple[int, ...], rows: list[tuple[int, int]]
) -> None:
    talk = written()
    damage(talk, log, *seqs)
    for _ in range(3):
        restart(talk)
        assert told(talk, log) == [LogCorruptData(first, count) for first, count in rows]
        (alarm,) = [
            row for row in talk.granted(GetAlarms()).alarms if row.alarm_id is AlarmId.MEM_NONCRITICAL
        ]
        assert alarm.value == seqs[0]
    causes = [
        entry.details().cause
        for entry in talk.log()
        if entry.type is LogType.ALARM_ON and entry.details().alarm_id is AlarmId.MEM_NONCRITICAL
    ]
    assert causes == [MemoryFault.LOG]


@for_each("finder", ["status", "reading"])
def test_a_slot_that_is_damaged_while_the_pump_runs_is_told_when_it_is_found(finder: str) -> None:
    talk = written()
    damage(talk, LogName.MAIN, 5)
    assert not talk.granted(GetAlarms()).alarms
    for _ in range(2):
        if finder == "status":
            assert talk.granted(LogStatus(LogName.MAIN)).corrupt == 1
        else:
            talk.log()
    assert told(talk) == [LogCorruptData(5, 1)]
    assert [row.alarm_id for row in talk.granted(GetAlarms()).alarms] == [AlarmId.MEM_NONCRITICAL]


def test_the_alarm_ends_at_the_start_at_which_the_slot_has_been_written_anew() -> None:
    talk = written(40, log_capacity=64)
    damage(talk, LogName.MAIN, 5)
    restart(talk)
    assert talk.granted(GetStatus()).alarm_active >> AlarmId.MEM_NONCRITICAL & 1
    while (done := talk.granted(GetStatus()).last_seq) < 80:
        talk.granted(Stop(done, 60, StopReason.CLINICAL, OnExpiry.ALARM_ONLY))
        talk.granted(Resume(done + 1, 1))
    restart(talk)
    assert not talk.granted(GetStatus()).alarm_active >> AlarmId.MEM_NONCRITICAL & 1


def committed(talk: Conversation, revisions: int) -> int:
    for _ in range(revisions):
        status = talk.granted(GetStatus())
        verified = talk.stage(300_000, 500_000, base_rev=status.program_rev)
        talk.granted(ProgCommit(status.last_cmd_id + 1, status.program_rev, verified.staged_crc, start=True))
    return int(talk.granted(GetStatus()).program_rev)


def test_the_revision_of_the_program_and_the_number_of_starts_never_begin_anew_after_damage() -> None:
    talk = Conversation.with_new_pump()
    before = committed(talk, 3)
    assert before == 4
    restart(talk)
    talk.pump.cut_power()
    flip(talk, PLACES[Region.THERAPY].offset + RECORD_OVERHEAD_BYTES)
    talk.pump.restore_power()
    status = talk.granted(GetStatus())
    assert status.program_rev == before
    boots = [entry.details().boot_count for entry in talk.log() if entry.type is LogType.BOOT]
    assert boots == [1, 2, 3]
    assert committed(talk, 1) == before + 1


def test_where_the_log_may_have_lost_the_last_revision_it_goes_on_above_all_that_there_were() -> None:
    talk = written(200, log_capacity=64)  # the log has overwritten its only PROGRAM_COMMIT
    last_seq = talk.granted(GetStatus()).last_seq
    talk.pump.cut_power()
    flip(talk, PLACES[Region.THERAPY].offset + RECORD_OVERHEAD_BYTES)
    talk.pump.restore_power()
    assert talk.granted(GetStatus()).program_rev == last_seq
    other = Conversation.with_new_pump()
    committed(other, 3)
    (newest,) = [entry.seq for entry in other.log() if entry.type is LogType.PROGRAM_COMMIT][-1:]
    last_seq = other.granted(GetStatus()).last_seq
    other.pump.cut_power()
    flip(other, PLACES[Region.THERAPY].offset + RECORD_OVERHEAD_BYTES)
    damage(other, LogName.MAIN, newest)
    other.pump.restore_power()
    assert other.granted(GetStatus()).program_rev == last_seq


def test_the_revision_of_the_status_goes_on_where_the_counters_know_it() -> None:
    talk = written()
    before = talk.granted(GetStatus()).status_rev
    talk.pump.cut_power()
    flip(talk, PLACES[Region.THERAPY].offset + RECORD_OVERHEAD_BYTES)
    talk.pump.restore_power()
    assert talk.granted(GetStatus()).status_rev > before


def test_the_log_says_which_firmware_runs_since_when_and_says_it_again_when_that_changes() -> None:
    talk = Conversation.with_new_pump()
    restart(talk)
    pump = talk.pump
    pump.cut_power()
    model = replace(pump.profile.model, firmware_version=0x0001_0001)
    talk.pump = Pump.restore(replace(pump.profile, model=model), pump.plant, Now.both(pump.now_ms))
    info = talk.granted(GetInfo())
    restart(talk)
    rows = [(entry.seq, entry.details()) for entry in talk.log() if entry.type is LogType.FW_INFO]
    assert [data.fw for _, data in rows] == [0x0001_0000, 0x0001_0001]
    assert rows[-1][1] == FwInfoData(info.fw, info.fw_crc32, info.hw)
    boots = [entry.seq for entry in talk.log() if entry.type is LogType.BOOT]
    assert (rows[0][0], rows[1][0]) == (boots[0] + 1, boots[2] + 2)
