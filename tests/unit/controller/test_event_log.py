"""The event log: numbers without a gap, rings that name what they lost, a chain that shows tampering."""

from __future__ import annotations

import copy

from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_emu.controller.memory.event_log import EventLog
from firmware_emu.controller.memory.memory import Memory
from firmware_emu.controller.memory.memory_map import LOG_SLOT_BYTES, log_ring
from firmware_emu.plant.flash import Flash
from protocol.log.data import LogErasedData
from protocol.log.entry import LogEntry, pack_data
from protocol.log.types import Actor, LogFlag, LogName, LogType
from protocol.messages.log import LogRead, LogReadReply, LogStatus, LogStatusReply
from protocol.wire.checksum import crc16_ccitt_false
from tests.support.for_each import for_each

CAPACITY = 200
CHAIN_KEY = bytes(range(16))
EPOCH = 3
CLEAN = {"corrupt": 0, "bad_checkpoints": 0, "first_bad_seq": 0}


class Bench:
    """A formatted memory with a log on it; `reboot` finds the log again as a pump would."""

    def __init__(self) -> None:
        self.flash = Flash()
        self.memory = Memory(self.flash, CAPACITY)
        self.memory.recover()
        self.memory.format()
        self.memory.commit()
        self.log = self.new_log()

    def new_log(self) -> EventLog:
        return EventLog(self.memory, chain_key=CHAIN_KEY, epoch=EPOCH)

    def reboot(self) -> None:
        self.memory = Memory(self.flash, CAPACITY)
        self.memory.recover()
        self.log = self.new_log()

    def append(self, count: int, log_type: LogType = LogType.TIME_REF) -> list[int]:
        numbers = [self.log.append(log_type, b"%d" % number, 1_000 * number) for number in range(count)]
        self.memory.commit()
        return numbers

    def offset_of(self, seq: int, log: LogName = LogName.MAIN) -> int:
        ring = log_ring(log, CAPACITY)
        return ring.offset + (seq - 1) % ring.slots * LOG_SLOT_BYTES

    def damage(self, seq: int, log: LogName = LogName.MAIN) -> None:
        offset = self.offset_of(seq, log) + 20
        self.flash.load([(offset, bytes([self.flash.read(offset, 1)[0] ^ 4]))])

    def edit_with_good_check(self, seq: int) -> None:
        offset = self.offset_of(seq)
        body = bytearray(self.flash.read(offset, 30))
        body[18] ^= 1
        self.flash.load([(offset, bytes(body) + crc16_ccitt_false(bytes(body)).to_bytes(2, "little"))])

    def read(
        self,
        from_seq: int = 0,
        count: int = 6,
        type_filter: int = 0,
        log: LogName = LogName.MAIN,
        *,
        may_read_therapy: bool = True,
    ) -> LogReadReply:
        request = LogRead(log, 0, from_seq, count, type_filter)
        return self.log.read(request, may_read_therapy=may_read_therapy)

    def entries(self, *args: int, **kwargs: bool) -> list[LogEntry]:
        return [LogEntry.unpack(raw) for raw in self.read(*args, **kwargs).entries]  # type: ignore[arg-type]

    def whole_log(self) -> list[LogEntry]:
        """Everything, as a client collects it."""
        collected: list[LogEntry] = []
        reply = self.read()
        while reply.entries:
            collected += [LogEntry.unpack(raw) for raw in reply.entries]
            reply = self.read(reply.next_seq)
        return collected

    def status(self, log: LogName = LogName.MAIN) -> LogStatusReply:
        return self.log.status(LogStatus(log))

    def verdict(self) -> dict[str, int]:
        status = self.status()
        return {name: getattr(status, name) for name in CLEAN}


def test_an_entry_is_read_back_as_it_was_appended() -> None:
    bench = Bench()
    seq = bench.log.append(LogType.STOP, b"\x01\x02", 12_345, 0x23, 77, LogFlag.WALL_VALID)
    bench.memory.commit()
    assert seq == 1
    assert bench.entries() == [
        LogEntry(1, 12, 345, LogType.STOP, 0x23, LogFlag.WALL_VALID, 77, b"\x01\x02" + bytes(10))
    ]


def test_an_empty_log_says_so() -> None:
    bench = Bench()
    assert bench.log.is_empty
    assert bench.read() == LogReadReply(LogName.MAIN, EPOCH, 0, 1, 0, 0, ())
    assert bench.status() == LogStatusReply(EPOCH, 0, 0, 0, 0, 0, 0)
    assert bench.log.newest_tick_ms == 0


def test_numbers_go_on_after_every_boot() -> None:
    bench = Bench()
    for expected in range(1, 60):
        assert bench.append(1) == [expected]
        bench.reboot()
        assert bench.log.last_seq == expected


def test_security_entries_have_a_ring_and_numbers_of_their_own() -> None:
    bench = Bench()
    bench.append(2)
    assert bench.log.append(LogType.SESSION_OPEN, b"", 0) == 1
    assert bench.log.append(LogType.HS_FAIL, b"", 0, Actor.UNAUTHENTICATED) == 2
    bench.memory.commit()
    assert [entry.type for entry in bench.entries()] == [LogType.TIME_REF] * 2
    reply = bench.read(log=LogName.SECURITY)
    types = [LogEntry.unpack(raw).type for raw in reply.entries]
    assert types == [LogType.SESSION_OPEN, LogType.HS_FAIL]


def test_a_flood_of_security_entries_leaves_the_main_log_alone() -> None:
    bench = Bench()
    bench.append(10)
    for _ in range(100):
        bench.append(5, LogType.HS_FAIL)
    status = bench.status(LogName.SECURITY)
    assert status.lost_total == status.first_seq - 1 > 400
    assert status.last_seq - status.first_seq + 1 == CAPACITY // 10
    assert bench.status().first_seq == 1
    assert len(bench.whole_log()) == 10


def test_every_64th_number_is_a_chain_checkpoint_and_the_numbers_have_no_gap() -> None:
    bench = Bench()
    numbers = [bench.append(1)[0] for _ in range(150)]
    assert 64 not in numbers
    assert 128 not in numbers
    entries = bench.whole_log()
    assert [entry.seq for entry in entries] == list(range(1, 153))
    assert [entry.seq for entry in entries if entry.type is LogType.LOG_CHECKPOINT] == [64, 128]
    assert bench.verdict() == CLEAN


def test_a_ring_that_wrapped_names_what_it_lost() -> None:
    bench = Bench()
    for _ in range(300):
        bench.append(1)
    status = bench.status()
    newest = bench.log.last_seq
    assert bench.log.is_wrapped
    assert (status.first_seq, status.last_seq) == (newest - CAPACITY + 1, newest)
    assert status.lost_total == newest - CAPACITY
    reply = bench.read(from_seq=5)
    assert reply.from_seq == 5
    assert reply.oldest_seq == status.first_seq
    assert LogEntry.unpack(reply.entries[0]).seq == reply.oldest_seq
    assert bench.verdict() == CLEAN


def test_the_ring_turning_under_a_reader_shows_as_a_lost_range() -> None:
    bench = Bench()
    bench.append(60)
    first = bench.read()
    for _ in range(CAPACITY):
        bench.append(1)
    second = bench.read(first.next_seq)
    assert second.oldest_seq > first.next_seq
    assert LogEntry.unpack(second.entries[0]).seq == second.oldest_seq


@for_each("from_seq", [21, 22, 1_000, 0xFFFF_FFFF])
def test_reading_behind_the_end_is_empty_and_says_where_the_end_is(from_seq: int) -> None:
    bench = Bench()
    bench.append(20)
    reply = bench.read(from_seq)
    assert reply.entries == ()
    assert (reply.next_seq, reply.newest_seq) == (from_seq, 20)


def test_a_filter_answers_its_types_alone_and_says_how_far_it_looked() -> None:
    bench = Bench()
    bench.append(3)
    bench.append(1, LogType.BOLUS_START)
    bench.append(20)
    bench.append(1, LogType.STOP)
    reply = bench.read(type_filter=1 << 4 | 1 << 3)
    assert [LogEntry.unpack(raw).seq for raw in reply.entries] == [4, 25]
    assert reply.next_seq == 26
    reply = bench.read(count=1, type_filter=1 << 4 | 1 << 3)
    assert [LogEntry.unpack(raw).seq for raw in reply.entries] == [4]
    assert reply.next_seq == 5


def test_therapy_is_hidden_from_those_who_may_not_read_it_and_the_numbers_stay() -> None:
    bench = Bench()
    for log_type in (
        LogType.BOOT,
        LogType.BOLUS_START,
        LogType.STOP,
        LogType.REFILL,
        LogType.DAY_TOTAL,
        LogType.STALL,
    ):
        bench.log.append(log_type, b"secret", 7_250, 0x21, 99)
    bench.memory.commit()
    shown = bench.entries(may_read_therapy=False)
    hidden = LogType.HIDDEN
    assert [entry.type for entry in shown] == [LogType.BOOT, hidden, hidden, hidden, hidden, LogType.STALL]
    assert [entry.seq for entry in shown] == [1, 2, 3, 4, 5, 6]
    assert shown[1] == LogEntry(2, 7, 250, LogType.HIDDEN, Actor.PUMP)


def test_a_filter_tells_nobody_what_is_hidden_from_them() -> None:
    bench = Bench()
    bench.append(1, LogType.BOLUS_START)
    assert bench.entries(0, 6, 1 << 4, may_read_therapy=False) == []
    assert [e.type for e in bench.entries(0, 6, 1 << 9, may_read_therapy=False)] == [LogType.HIDDEN]


def test_every_flipped_bit_of_an_entry_is_reported_and_its_neighbours_are_intact() -> None:
    bench = Bench()
    bench.append(70)
    good = bench.whole_log()
    offset = bench.offset_of(33)
    for bit in range(8 * LOG_SLOT_BYTES):
        before = bench.flash.read(offset + bit // 8, 1)
        bench.flash.load([(offset + bit // 8, bytes([before[0] ^ 1 << bit % 8]))])
        found = bench.whole_log()
        assert found[32] == LogEntry(33, 0, 0, LogType.CORRUPT_SLOT, Actor.PUMP), bit
        assert found[:32] + found[33:] == good[:32] + good[33:]
        assert bench.verdict() == {"corrupt": 1, "bad_checkpoints": 1, "first_bad_seq": 33}, bit
        bench.flash.load([(offset + bit // 8, before)])
    assert bench.verdict() == CLEAN


def test_a_damaged_slot_passes_every_filter() -> None:
    bench = Bench()
    bench.append(5)
    bench.damage(3)
    assert [e.type for e in bench.entries(0, 6, 1 << 4)] == [LogType.CORRUPT_SLOT]


def test_an_entry_edited_with_a_good_check_breaks_the_chain() -> None:
    bench = Bench()
    bench.append(150)
    bench.edit_with_good_check(100)
    assert bench.verdict() == {"corrupt": 0, "bad_checkpoints": 1, "first_bad_seq": 65}
    bench.reboot()
    assert bench.verdict() == {"corrupt": 0, "bad_checkpoints": 1, "first_bad_seq": 65}


def test_an_entry_edited_behind_the_last_checkpoint_is_seen_while_the_pump_runs() -> None:
    bench = Bench()
    bench.append(70)
    bench.edit_with_good_check(66)
    assert bench.verdict() == {"corrupt": 0, "bad_checkpoints": 1, "first_bad_seq": 65}


def test_an_edited_checkpoint_breaks_the_chain() -> None:
    bench = Bench()
    bench.append(150)
    bench.edit_with_good_check(64)
    # Its own link is wrong, and so is what the next span was chained to.
    assert bench.verdict() == {"corrupt": 0, "bad_checkpoints": 2, "first_bad_seq": 1}


def test_two_slots_that_were_swapped_are_reported() -> None:
    bench = Bench()
    bench.append(150)
    one, other = bench.offset_of(10), bench.offset_of(20)
    raw_one, raw_other = (bench.flash.read(offset, LOG_SLOT_BYTES) for offset in (one, other))
    bench.flash.load([(one, raw_other), (other, raw_one)])
    assert bench.verdict() == {"corrupt": 2, "bad_checkpoints": 1, "first_bad_seq": 10}


def test_an_entry_of_a_type_that_nobody_knows_is_a_damaged_slot() -> None:
    bench = Bench()
    bench.append(5)
    offset = bench.offset_of(2)
    body = bytearray(bench.flash.read(offset, 30))
    body[10:12] = b"\xee\x0e"
    bench.flash.load([(offset, bytes(body) + crc16_ccitt_false(bytes(body)).to_bytes(2, "little"))])
    assert bench.entries()[1].type is LogType.CORRUPT_SLOT


def test_a_chain_made_with_another_key_does_not_verify() -> None:
    bench = Bench()
    bench.append(70)
    other = EventLog(bench.memory, chain_key=bytes(16), epoch=EPOCH)
    assert other.status(LogStatus(LogName.MAIN)).bad_checkpoints == 1


@for_each("count", [20, 150, 260, 330])
def test_a_damaged_newest_entry_never_gives_its_number_away(count: int) -> None:
    bench = Bench()
    for _ in range(count):
        bench.append(1)
    newest = bench.log.last_seq
    for seq in (newest, newest - 1):
        bench.damage(seq)
    bench.reboot()
    assert bench.log.last_seq == newest
    assert bench.append(1)[0] > newest
    assert bench.status().corrupt == 2


def test_a_full_ring_with_an_erased_page_never_gives_numbers_away() -> None:
    bench = Bench()
    for _ in range(230):
        bench.append(1)
    newest = bench.log.last_seq
    for seq in range(newest - 4, newest + 1):
        bench.flash.load([(bench.offset_of(seq), b"\xff" * LOG_SLOT_BYTES)])
    bench.reboot()
    assert bench.log.last_seq == newest
    assert bench.status().corrupt == 5


def test_the_newest_time_is_that_of_the_newest_entry_that_can_be_read() -> None:
    bench = Bench()
    bench.log.append(LogType.TIME_REF, b"", 5_001)
    bench.log.append(LogType.TIME_REF, b"", 9_999_999_999)
    bench.memory.commit()
    assert bench.log.newest_tick_ms == 9_999_999_999
    bench.damage(2)
    assert bench.log.newest_tick_ms == 5_001
    bench.log.append(LogType.SESSION_OPEN, b"", 6_002)
    bench.memory.commit()
    assert bench.log.newest_tick_ms == 6_002


def test_a_lost_log_goes_on_in_a_new_epoch_that_begins_with_the_loss() -> None:
    bench = Bench()
    bench.append(30)
    ring = log_ring(LogName.MAIN, CAPACITY)
    bench.flash.load([(ring.offset, b"\xff" * ring.slots * LOG_SLOT_BYTES)])
    bench.reboot()
    assert bench.log.is_empty
    bench.log.begin_epoch(EPOCH + 1)
    assert bench.log.append(LogType.LOG_ERASED, pack_data(LogErasedData(1, 30)), 40_000) == 1
    bench.memory.commit()
    assert bench.log.epoch == EPOCH + 1
    entry = bench.entries()[0]
    assert entry.type is LogType.LOG_ERASED
    assert entry.details() == LogErasedData(1, 30)
    assert bench.read().epoch == EPOCH + 1


def test_epochs_begin_again_at_1() -> None:
    bench = Bench()
    bench.log.begin_epoch(0x1_0000)
    assert bench.log.epoch == 1


def test_a_copied_log_goes_on_alike() -> None:
    bench = Bench()
    bench.append(63)
    twin = copy.deepcopy(bench)
    for one in (bench, twin):
        one.append(3)
    assert bench.flash.contents() == twin.flash.contents()
    assert twin.verdict() == CLEAN


@settings(max_examples=40)
@given(batches=st.lists(st.tuples(st.integers(1, 40), st.booleans()), max_size=20))
def test_a_log_reads_the_same_whatever_the_batches_and_the_boots(batches: list[tuple[int, bool]]) -> None:
    bench = Bench()
    for count, boots in batches:
        bench.append(count)
        if boots:
            bench.reboot()
    entries = bench.whole_log()
    newest = bench.log.last_seq
    assert [entry.seq for entry in entries] == list(range(max(1, newest - CAPACITY + 1), newest + 1))
    assert all((entry.type is LogType.LOG_CHECKPOINT) == (entry.seq % 64 == 0) for entry in entries)
    assert bench.verdict() == CLEAN


def test_a_slot_of_noise_with_a_high_number_is_not_the_newest_entry() -> None:
    bench = Bench()
    bench.append(5)
    bench.flash.load([(bench.offset_of(11), b"\x99" * LOG_SLOT_BYTES)])
    bench.reboot()
    assert bench.append(1) == [6]


def test_a_ring_that_is_just_full_and_loses_its_first_slot_gives_no_number_away() -> None:
    bench = Bench()
    while bench.log.last_seq < CAPACITY:
        bench.append(1)
    assert bench.log.last_seq == CAPACITY
    bench.flash.load([(bench.offset_of(1), b"\xff" * LOG_SLOT_BYTES)])
    bench.reboot()
    assert bench.append(1) == [CAPACITY + 2], "number 201 may have been there"
