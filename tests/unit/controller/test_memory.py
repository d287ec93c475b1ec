"""The controller's memory: what is read back, what is refused, what damage is found."""

from __future__ import annotations

import contextlib
import copy
import pickle
from itertools import pairwise, product

import pytest

from firmware_emu.controller.memory.memory import Memory, RecoveryReport
from firmware_emu.controller.memory.memory_map import (
    CHECKPOINT_CAPACITY_BYTES,
    CHECKPOINT_OFFSETS,
    CHECKPOINT_SLOT_BYTES,
    CRITICAL_REGIONS,
    JOURNAL_CAPACITY_BYTES,
    LOG_OFFSET,
    LOG_SLOT_BYTES,
    MARK_BYTES,
    MARK_OFFSET,
    PLACES,
    RECORD_OVERHEAD_BYTES,
    Region,
    journal_offsets,
    log_ring,
    memory_size_bytes,
)
from firmware_emu.pins import PowerCut
from firmware_emu.plant.fault_records import CutAtWrite
from firmware_emu.plant.flash import PAGE_BYTES, Flash
from protocol.log.types import LogName
from tests.support.for_each import for_each

LOG_SLOTS_IN_ONE_COMMIT = (
    64  # a boot logs most: a dozen entries, one for each record lost, and chain checkpoints
)
LOG_CAPACITY = 40
JOURNAL_OFFSETS = journal_offsets(LOG_CAPACITY)
ENTRY = bytes(range(LOG_SLOT_BYTES))
FOUND_WELL = RecoveryReport(redone=False, corrupt=(), checkpoint_lost=False)


def formatted_flash() -> Flash:
    flash = Flash()
    memory = Memory(flash, LOG_CAPACITY)
    memory.recover()
    memory.format()
    memory.stage(Region.IDENTITY, b"identity")
    memory.stage(Region.THERAPY, b"therapy")
    memory.stage_checkpoint(b"counters 1")
    memory.commit()
    return flash


def boot(flash: Flash) -> tuple[Memory, RecoveryReport]:
    memory = Memory(flash, LOG_CAPACITY)
    return memory, memory.recover()


def written_journal(flash: Flash) -> int:
    """Where the journal of the only commit lies."""
    return next(offset for offset in JOURNAL_OFFSETS if flash.read(offset, 4) != b"\xff" * 4)


def flip_bit(flash: Flash, offset: int, bit: int) -> None:
    flash.load([(offset, bytes([flash.read(offset, 1)[0] ^ 1 << bit]))])


def test_records_log_slots_and_the_checkpoint_survive_a_boot() -> None:
    flash = formatted_flash()
    memory, _ = boot(flash)
    memory.stage(Region.PROGRAM, b"program")
    memory.stage_log(LogName.MAIN, 39, ENTRY)
    memory.stage_log(LogName.SECURITY, 3, ENTRY[::-1])
    memory.commit()
    memory.checkpoint(b"counters 2")

    again, report = boot(flash)
    assert report == FOUND_WELL
    assert again.read_record(Region.IDENTITY) == b"identity"
    assert again.read_record(Region.THERAPY) == b"therapy"
    assert again.read_record(Region.PROGRAM) == b"program"
    assert again.read_log(LogName.MAIN, 39) == ENTRY
    assert again.read_log(LogName.SECURITY, 3) == ENTRY[::-1]
    assert again.read_checkpoint() == b"counters 2"


def test_what_is_staged_is_not_read_before_it_is_committed() -> None:
    memory, _ = boot(formatted_flash())
    memory.stage(Region.THERAPY, b"next")
    memory.stage_checkpoint(b"next")
    assert memory.read_record(Region.THERAPY) == b"therapy"
    assert memory.read_checkpoint() == b"counters 1"
    memory.commit()
    assert memory.read_record(Region.THERAPY) == b"next"
    assert memory.read_checkpoint() == b"next"


def test_of_two_stagings_of_a_region_the_last_counts() -> None:
    memory, _ = boot(formatted_flash())
    memory.stage(Region.THERAPY, b"first")
    memory.stage(Region.THERAPY, b"second")
    memory.commit()
    assert memory.read_record(Region.THERAPY) == b"second"


def test_a_commit_of_nothing_writes_nothing() -> None:
    flash = formatted_flash()
    memory, _ = boot(flash)
    flash.take_writes()
    memory.commit()
    assert flash.take_writes() == ()


def test_a_commit_is_one_write_of_either_journal_in_turn_the_homes_and_one_mark() -> None:
    flash = formatted_flash()
    memory, _ = boot(flash)
    journals = []
    for _ in range(4):
        memory.stage_log(LogName.MAIN, 0, ENTRY)
        memory.stage(Region.THERAPY, b"next")
        flash.take_writes()
        memory.commit()
        journal, *rest = (offset for offset, _ in flash.take_writes())
        assert rest == [PLACES[Region.THERAPY].offset, LOG_OFFSET, MARK_OFFSET]
        journals.append(journal)
    assert set(journals[:2]) == set(JOURNAL_OFFSETS)
    assert journals[2:] == journals[:2]


def test_checkpoints_alternate_and_cost_one_write() -> None:
    flash = formatted_flash()
    memory, _ = boot(flash)
    flash.take_writes()
    for number in range(2, 6):
        memory.checkpoint(b"counters %d" % number)
        assert memory.read_checkpoint() == b"counters %d" % number
    offsets = [offset for offset, _ in flash.take_writes()]
    assert offsets == [*CHECKPOINT_OFFSETS, *CHECKPOINT_OFFSETS]


@for_each("erased", [b"\xff", b"\x00"])
def test_a_blank_memory_is_formatted_whichever_way_it_is_blank(erased: bytes) -> None:
    flash = Flash()
    flash.load([(0, erased * flash.size_bytes)])
    memory, report = boot(flash)
    assert memory.is_blank()
    assert report == FOUND_WELL
    assert memory.read_checkpoint() is None
    memory.format()
    assert memory.is_blank()
    memory.stage_checkpoint(b"zero")
    memory.commit()
    again, report = boot(flash)
    assert not again.is_blank()
    assert report == FOUND_WELL
    assert [again.read_record(region) for region in Region] == [b""] * len(Region)


def test_formatting_erases_what_an_earlier_life_left_in_the_log() -> None:
    flash = Flash()
    flash.load([(LOG_OFFSET + LOG_SLOT_BYTES, ENTRY)])
    memory, _ = boot(flash)
    memory.format()
    memory.commit()
    assert memory.read_log(LogName.MAIN, 1) == b"\xff" * LOG_SLOT_BYTES


def test_a_formatted_memory_is_not_formatted_again() -> None:
    memory, _ = boot(formatted_flash())
    with pytest.raises(ValueError, match="blank"):
        memory.format()


def test_a_lost_identity_is_damage_and_not_a_blank_memory() -> None:
    flash = formatted_flash()
    flash.load([(PLACES[Region.IDENTITY].offset, b"\xff" * 64)])
    for journal_is_damaged in (False, True):
        if journal_is_damaged:
            flip_bit(flash, written_journal(flash) + 20, 3)
        memory, report = boot(flash)
        assert not memory.is_blank()
        assert report.corrupt == (Region.IDENTITY,)


@for_each("region", Region)
def test_every_single_bit_flip_in_a_record_is_found(region: Region) -> None:
    flash = formatted_flash()
    memory, _ = boot(flash)
    memory.stage(region, b"\x00\xffpayload")
    memory.commit()
    for bit in range(8 * (RECORD_OVERHEAD_BYTES + 9)):
        flip_bit(flash, PLACES[region].offset + bit // 8, bit % 8)
        assert memory.read_record(region) is None, bit
        assert boot(flash)[1].corrupt == (region,), bit
        flip_bit(flash, PLACES[region].offset + bit // 8, bit % 8)
    assert boot(flash)[1] == FOUND_WELL


def test_a_record_stuck_at_zero_or_at_one_is_found() -> None:
    for value in (b"\x00", b"\xff"):
        flash = formatted_flash()
        flash.load([(PLACES[Region.PROGRAM].offset, value * 64)])
        assert boot(flash)[1].corrupt == (Region.PROGRAM,)


def test_a_record_of_another_version_is_not_read() -> None:
    flash = formatted_flash()
    place = PLACES[Region.THERAPY]
    memory, _ = boot(flash)
    memory.stage(Region.THERAPY, b"abc")
    record = bytearray(memory._staged[place.offset])
    record[2] += 1
    flash.load([(place.offset, bytes(record))])
    assert memory.read_record(Region.THERAPY) is None


def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before() -> None:
    flash = formatted_flash()
    boot(flash)[0].checkpoint(b"counters 2")
    newest = next(at for at in CHECKPOINT_OFFSETS if flash.read(at + 6, 10) == b"counters 2")
    for bit in range(8 * (10 + 10)):
        flip_bit(flash, newest + bit // 8, bit % 8)
        memory, report = boot(flash)
        assert memory.read_checkpoint() == b"counters 1", bit
        assert report == FOUND_WELL._replace(checkpoint_doubted=True)
        flip_bit(flash, newest + bit // 8, bit % 8)


def test_the_loss_of_both_checkpoints_is_reported() -> None:
    flash = formatted_flash()
    for offset in CHECKPOINT_OFFSETS:
        flip_bit(flash, offset + 7, 0)
    memory, report = boot(flash)
    assert report.checkpoint_lost
    assert memory.read_checkpoint() is None
    memory.checkpoint(b"anew")
    assert memory.read_checkpoint() == b"anew"


def test_a_damaged_mark_repeats_the_last_commit_but_no_older_checkpoint() -> None:
    for bit, newest in product(range(8 * MARK_BYTES), (4, 5)):
        flash = formatted_flash()
        memory, _ = boot(flash)
        for number in range(2, newest + 1):
            memory.checkpoint(b"counters %d" % number)
        flip_bit(flash, MARK_OFFSET + bit // 8, bit % 8)
        memory, report = boot(flash)
        assert report == RecoveryReport(redone=True, corrupt=(), checkpoint_lost=False)
        assert memory.read_checkpoint() == b"counters %d" % newest
        assert memory.read_record(Region.THERAPY) == b"therapy"
        assert boot(flash)[1] == FOUND_WELL


def test_a_damaged_journal_of_a_finished_commit_changes_nothing() -> None:
    flash = formatted_flash()
    memory, _ = boot(flash)
    memory.stage(Region.THERAPY, b"therapy 2")
    memory.commit()
    for journal, bit in product(JOURNAL_OFFSETS, range(0, 8 * 60, 7)):
        flip_bit(flash, journal + bit // 8, bit % 8)
        memory, report = boot(flash)
        assert report == FOUND_WELL
        assert memory.read_record(Region.THERAPY) == b"therapy 2"
        flip_bit(flash, journal + bit // 8, bit % 8)


def test_with_mark_and_newest_journal_damaged_no_older_commit_is_laid_over_the_newest() -> None:
    flash = formatted_flash()
    memory, _ = boot(flash)
    for value in (b"therapy 2", b"therapy 3"):
        memory.stage(Region.THERAPY, value)
        flash.take_writes()
        memory.commit()
    newest_offset, _ = flash.take_writes()[0]
    flip_bit(flash, MARK_OFFSET + 1, 0)
    flip_bit(flash, newest_offset + 20, 0)
    memory, _ = boot(flash)
    assert memory.read_record(Region.THERAPY) == b"therapy 3"


def held(memory: Memory) -> tuple[bytes | None, ...]:
    return (
        memory.read_record(Region.THERAPY),
        memory.read_record(Region.LEDGER),
        memory.read_checkpoint(),
        memory.read_log(LogName.MAIN, 3),
    )


def commit_of(number: int) -> tuple[bytes, bytes, bytes, bytes]:
    return (
        b"therapy %d" % number,
        b"ledger %d" % number,
        b"counters %d" % number,
        bytes([number]) * LOG_SLOT_BYTES,
    )


def commit(memory: Memory, number: int) -> None:
    therapy, ledger, counters, entry = commit_of(number)
    memory.stage(Region.THERAPY, therapy)
    memory.stage(Region.LEDGER, ledger)
    memory.stage_log(LogName.MAIN, 3, entry)
    memory.stage_checkpoint(counters)
    memory.commit()


THERAPY_OFFSET, LEDGER_OFFSET = PLACES[Region.THERAPY].offset, PLACES[Region.LEDGER].offset
STUCK = {
    "the first journal": [JOURNAL_OFFSETS[0] + 20],
    "the second journal": [JOURNAL_OFFSETS[1] + 33],
    "the mark": [MARK_OFFSET + 4],
    "the therapy": [THERAPY_OFFSET + 11],
    "the ledger and the mark": [LEDGER_OFFSET + 10, MARK_OFFSET + 4],
    "the therapy and the first journal": [THERAPY_OFFSET + 11, JOURNAL_OFFSETS[0] + 20],
}


@for_each("where", STUCK)
def test_a_commit_that_is_cut_is_whole_or_never_was_whatever_cell_is_stuck(where: str) -> None:
    ends = set()
    for newest, write, torn_bytes in product((3, 4), range(1, 9), (0, 3, 25)):
        flash = formatted_flash()
        memory, _ = boot(flash)
        commit(memory, 1)
        for offset in STUCK[where]:
            flash.stick("stuck_cells", offset, offset + 1)
        for number in range(2, newest):
            commit(memory, number)
        flash.cut = CutAtWrite(write, torn_bytes, stays_off=False)
        with contextlib.suppress(PowerCut):
            commit(memory, newest)
        flash.cut = None
        found = held(boot(flash)[0])
        assert found in (commit_of(newest - 1), commit_of(newest)), (newest, write, torn_bytes)
        ends.add(found)
    assert ends == {commit_of(number) for number in (2, 3, 4)}, "cut in time, and too late"


@for_each("page", [*JOURNAL_OFFSETS, MARK_OFFSET])
def test_no_older_journal_is_laid_over_newer_records_where_a_page_takes_no_write(page: int) -> None:
    for since, therapy_since in product(range(1, 6), range(1, 6)):
        flash = formatted_flash()
        memory, _ = boot(flash)
        for number in range(1, 6):
            if number == since:
                flash.stick("stuck_pages", page, page + PAGE_BYTES)
            if number == therapy_since:
                flash.stick("stuck_cells", THERAPY_OFFSET + 11, THERAPY_OFFSET + 12)
            commit(memory, number)
            assert held(boot(copy.deepcopy(flash))[0]) == commit_of(number), (since, therapy_since, number)


def test_with_both_journals_stuck_no_older_one_is_laid_over_newer_records() -> None:
    flash = formatted_flash()
    memory, _ = boot(flash)
    flash.stick("stuck_cells", THERAPY_OFFSET + 11, THERAPY_OFFSET + 12)
    commit(memory, 1)
    for offset in JOURNAL_OFFSETS:
        flash.stick("stuck_pages", offset, offset + PAGE_BYTES)
    commit(memory, 2)
    assert held(boot(flash)[0])[1:] == commit_of(2)[1:]


def test_with_both_journals_stuck_a_part_of_a_commit_is_known_by_its_first_record_and_its_checkpoint() -> (
    None
):
    told = set()
    for write in range(1, 9):
        flash = formatted_flash()
        memory, _ = boot(flash)
        commit(memory, 1)
        for offset in JOURNAL_OFFSETS:
            flash.stick("stuck_pages", offset, offset + PAGE_BYTES)
        flash.cut = CutAtWrite(write, 0, stays_off=False)
        with contextlib.suppress(PowerCut):
            commit(memory, 2)
        flash.cut = None
        therapy, ledger, counters, entry = held(boot(flash)[0])
        is_part = (therapy == commit_of(2)[0]) is not (counters == commit_of(2)[2])
        assert is_part or (therapy, ledger, counters, entry) in (commit_of(1), commit_of(2)), write
        told.add(is_part)
    assert told == {False, True}


def test_the_journal_holds_everything_at_once() -> None:
    flash = formatted_flash()
    memory, _ = boot(flash)
    for region, place in PLACES.items():
        memory.stage(region, bytes([region]) * place.capacity_bytes)
    for number in range(LOG_SLOTS_IN_ONE_COMMIT):
        memory.stage_log(LogName.MAIN, number % LOG_CAPACITY, ENTRY)
    memory.stage_checkpoint(bytes(CHECKPOINT_CAPACITY_BYTES))
    memory.commit()
    again, report = boot(flash)
    assert report == FOUND_WELL
    for region, place in PLACES.items():
        assert again.read_record(region) == bytes([region]) * place.capacity_bytes


def test_too_long_a_record_or_checkpoint_is_a_mistake_of_ours() -> None:
    memory, _ = boot(formatted_flash())
    for region, place in PLACES.items():
        with pytest.raises(ValueError, match=region.name):
            memory.stage(region, bytes(place.capacity_bytes + 1))
    with pytest.raises(ValueError, match="checkpoint"):
        memory.checkpoint(bytes(CHECKPOINT_CAPACITY_BYTES + 1))


def test_a_slot_outside_its_log_is_a_mistake_of_ours() -> None:
    memory, _ = boot(formatted_flash())
    for log, slots in ((LogName.MAIN, LOG_CAPACITY), (LogName.SECURITY, LOG_CAPACITY // 10)):
        assert memory.log_slots(log) == slots
        for slot in (-1, slots):
            with pytest.raises(ValueError, match="slot"):
                memory.stage_log(log, slot, ENTRY)
            with pytest.raises(IndexError):
                memory.read_log(log, slot)


def test_a_memory_that_is_too_small_is_refused() -> None:
    size_bytes = memory_size_bytes(1_000)
    Memory(Flash(size_bytes), 1_000)
    with pytest.raises(ValueError, match="needs"):
        Memory(Flash(size_bytes - 1), 1_000)


def test_no_two_places_overlap() -> None:
    spans = [(MARK_OFFSET, MARK_BYTES)]
    spans += [(offset, JOURNAL_CAPACITY_BYTES) for offset in JOURNAL_OFFSETS]
    spans += [(offset, CHECKPOINT_SLOT_BYTES) for offset in CHECKPOINT_OFFSETS]
    spans += [(place.offset, RECORD_OVERHEAD_BYTES + place.capacity_bytes) for place in PLACES.values()]
    for log in LogName:
        ring = log_ring(log, LOG_CAPACITY)
        spans.append((ring.offset, ring.slots * LOG_SLOT_BYTES))
    spans.sort()
    for (offset, length), (following, _) in pairwise(spans):
        assert offset + length <= following
    assert sum(spans[-1]) == memory_size_bytes(LOG_CAPACITY)


def test_therapy_is_critical_and_comfort_is_not() -> None:
    assert {Region.IDENTITY, Region.THERAPY, Region.PROGRAM, Region.LEDGER} <= CRITICAL_REGIONS
    assert not {Region.TEXTS, Region.WALL_CLOCK, Region.ALARMS, Region.SERVICE} & CRITICAL_REGIONS


def test_a_copied_memory_goes_on_alike() -> None:
    flash = formatted_flash()
    memory, _ = boot(flash)
    memory.stage(Region.THERAPY, b"staged")
    twin_flash, twin = copy.deepcopy((flash, memory))
    assert pickle.dumps(twin)
    for one in (memory, twin):
        one.commit()
        one.checkpoint(b"later")
    assert flash.contents() == twin_flash.contents()
