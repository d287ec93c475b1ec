"""The controller's memory: what is read back, what is refused, what damage is found."""

from __future__ import annotations

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
    JOURNAL_OFFSET,
    LOG_OFFSET,
    LOG_SLOT_BYTES,
    MARK_BYTES,
    MARK_OFFSET,
    PLACES,
    RECORD_OVERHEAD_BYTES,
    Region,
    log_ring,
    memory_size_bytes,
)
from firmware_emu.plant.flash import Flash
from protocol.log.types import LogName
from tests.support.for_each import for_each

LOG_SLOTS_IN_ONE_COMMIT = (
    64  # a boot logs most: a dozen entries, one for each record lost, and chain checkpoints
)
LOG_CAPACITY = 40
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


def test_a_commit_is_one_journal_write_the_homes_and_one_mark() -> None:
    flash = formatted_flash()
    memory, _ = boot(flash)
    memory.stage(Region.THERAPY, b"next")
    memory.stage_log(LogName.MAIN, 0, ENTRY)
    flash.take_writes()
    memory.commit()
    offsets = [offset for offset, _ in flash.take_writes()]
    assert offsets == [JOURNAL_OFFSET, PLACES[Region.THERAPY].offset, LOG_OFFSET, MARK_OFFSET]


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
            flip_bit(flash, JOURNAL_OFFSET + 20, 3)
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
    for bit in range(0, 8 * 200, 7):
        flip_bit(flash, JOURNAL_OFFSET + bit // 8, bit % 8)
        memory, report = boot(flash)
        assert report == FOUND_WELL
        assert memory.read_record(Region.THERAPY) == b"therapy"
        flip_bit(flash, JOURNAL_OFFSET + bit // 8, bit % 8)


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
    spans = [(MARK_OFFSET, MARK_BYTES), (JOURNAL_OFFSET, JOURNAL_CAPACITY_BYTES)]
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
