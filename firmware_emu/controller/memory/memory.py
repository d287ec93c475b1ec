"""The memory of the controller: many records, one atomic commit. What the records mean is not its business.

A commit is a redo journal. All that was staged goes into the journal in one write, with a CRC over
everything, and is read back; then each item goes to its home and is read back; then the mark says that this journal is
done. Power may go at any byte of any of these writes: a journal that is not whole never happened, a whole one that is
newer than the mark is applied again at the next boot. There are two journals, and commits alternate between them: what
did not land in its home is still in the one before while the next is written, and where one takes no write the other
does. Counters that move with every stroke do not pay for that: they alternate between two checkpoint slots, one write
each.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from firmware_emu.controller.memory.memory_map import (
    CHECKPOINT_CAPACITY_BYTES,
    CHECKPOINT_OFFSETS,
    CHECKPOINT_SLOT_BYTES,
    JOURNAL_CAPACITY_BYTES,
    LOG_OFFSET,
    LOG_SLOT_BYTES,
    MARK_BYTES,
    MARK_OFFSET,
    PLACES,
    Place,
    Region,
    journal_offsets,
    log_ring,
    memory_size_bytes,
)
from protocol.log.types import LogName
from protocol.wire.checksum import crc32c

if TYPE_CHECKING:
    from collections.abc import Iterable

    from firmware_emu.pins import MemoryPin

_RECORD_HEADER: Final = Struct("<HB")  # length of the payload, version of its layout
_CRC: Final = Struct("<I")
_CHECKPOINT_HEADER: Final = Struct("<IH")  # sequence, length of the data
_MARK: Final = Struct("<II")  # sequence, its complement
_JOURNAL_HEADER: Final = Struct("<III")  # magic, sequence, length of the items
_JOURNAL_ITEM: Final = Struct("<IH")  # offset, length
_JOURNAL_MAGIC: Final = 0x4F444552  # "REDO"
_U32_MASK: Final = 0xFFFF_FFFF
_WIPE_CHUNK_BYTES: Final = 4_096
_REGION_AT: Final = {place.offset: region for region, place in PLACES.items()}


class RecoveryReport(NamedTuple):
    """What a boot found in the memory."""

    redone: bool  # a commit had been cut short of its end and was completed
    corrupt: tuple[Region, ...]  # records damaged or gone, in the order of Region
    checkpoint_lost: bool  # neither checkpoint slot holds a checkpoint
    checkpoint_doubted: bool = (
        False  # one slot holds what is no checkpoint: the newest, damaged, may have been there
    )


class Failure(NamedTuple):
    """Something that was written and cannot be read back: one of the three, or none: a journal or the mark."""

    region: Region | None = None
    checkpoint: bool = False
    log: LogName | None = None
    offset: int = 0


class Memory:
    """Records, log slots and checkpoints in a byte image behind the memory pin.

    Order at boot: `recover`; if `is_blank`, then `format`. Reading sees what is committed, never what is
    staged. After a PowerCut the object is of no use: boot another.
    """

    __slots__ = (
        "_checkpoint_sequence",
        "_failing",
        "_journal_offsets",
        "_log_capacity",
        "_pending",
        "_pin",
        "_sequence",
        "_staged",
        "_staged_checkpoint",
        "_staged_log",
        "failures",
    )

    def __init__(self, pin: MemoryPin, log_capacity: int) -> None:
        """A memory behind `pin`; nothing is read or written yet."""
        needed = memory_size_bytes(log_capacity)
        if pin.size_bytes < needed:
            raise ValueError(f"the memory holds {pin.size_bytes} B; a log of {log_capacity} needs {needed} B")
        self._pin = pin
        self._log_capacity = log_capacity
        self._journal_offsets = journal_offsets(log_capacity)
        self._sequence = 0
        self._checkpoint_sequence = 0
        self._staged: dict[int, bytes] = {}
        self._staged_log: dict[int, bytes] = {}
        self._staged_checkpoint: bytes | None = None
        self._pending: dict[int, bytes] = {}  # records that did not land: each commit tries them again
        self._failing: set[int] = set()
        self.failures: list[Failure] = []
        """What did not land since `take_failures`, each place once until it lands again."""

    # At boot

    def is_blank(self) -> bool:
        """Whether no commit ever reached this memory: all FF or all 00 but for the rest of a cut formatting.

        A formatted memory whose identity alone is gone is not blank: that is damage.
        """
        return (
            _is_erased(self._pin.read(MARK_OFFSET, MARK_BYTES))
            and _is_erased(self._pin.read(PLACES[Region.IDENTITY].offset, _RECORD_HEADER.size))
            and not any(map(self._whole_journal, self._journal_offsets))
        )

    def format(self) -> None:
        """Stage an empty record for every region of a blank memory.

        The caller stages what it has over them, and a checkpoint, and commits: that one commit makes the
        memory formatted, so that a cut anywhere before leaves it blank. b"" means nothing written yet.
        """
        if not self.is_blank():
            raise ValueError("only a blank memory may be formatted")
        self._wipe()
        self._sequence = 0
        self._checkpoint_sequence = 0
        for region in Region:
            self.stage(region, b"")

    def recover(self) -> RecoveryReport:
        """Complete a commit that was cut, then verify every record. Once, before anything is staged."""
        redone = self._redo()
        self._checkpoint_sequence = max(self._checkpoint_sequence_at(slot) for slot in range(2))
        if self.is_blank():
            return RecoveryReport(redone, (), checkpoint_lost=False)
        corrupt = tuple(region for region in Region if self.read_record(region) is None)
        slots = [self._read_checkpoint_slot(slot) for slot in range(2)]
        doubted = any(_parse_checkpoint(raw) is None and not _is_erased(raw) for raw in slots)
        return RecoveryReport(redone, corrupt, self._checkpoint_sequence == 0, doubted)

    # Reading

    def read_record(self, region: Region) -> bytes | None:
        """Payload of a region's record; None if it is damaged, gone, or of another version.

        Of one that did not land it is that of the journal: what lies in its place is older.
        """
        place = PLACES[region]
        room_bytes = _RECORD_HEADER.size + place.capacity_bytes + _CRC.size
        raw = self._pending.get(place.offset)
        return _parse_record(self._pin.read(place.offset, room_bytes) if raw is None else raw, place)

    def read_checkpoint(self) -> bytes | None:
        """The newest whole checkpoint; None if there is none."""
        first, second = (_parse_checkpoint(self._read_checkpoint_slot(slot)) for slot in range(2))
        newest = max(first or (0, None), second or (0, None), key=lambda found: found[0])
        return newest[1]

    def read_log(self, log: LogName, slot: int, count: int = 1) -> bytes:
        """`count` neighbouring slots of a log, as they lie there."""
        ring = log_ring(log, self._log_capacity)
        if not 0 <= slot <= slot + count <= ring.slots:
            raise IndexError(f"slots {slot} to {slot + count} of a log of {ring.slots}")
        return self._pin.read(ring.offset + slot * LOG_SLOT_BYTES, count * LOG_SLOT_BYTES)

    def log_slots(self, log: LogName) -> int:
        """How many entries a log can hold."""
        return log_ring(log, self._log_capacity).slots

    # Writing

    def stage(self, region: Region, data: bytes) -> None:
        """Put a region's next payload into the transaction; staged twice, the last one counts."""
        place = PLACES[region]
        if len(data) > place.capacity_bytes:
            raise ValueError(f"{region.name} holds {place.capacity_bytes} B, not {len(data)}")
        record = _RECORD_HEADER.pack(len(data), place.version) + data
        self._staged[place.offset] = record + _CRC.pack(crc32c(record))

    def stage_log(self, log: LogName, slot: int, data: bytes) -> None:
        """Put a log slot into the transaction."""
        ring = log_ring(log, self._log_capacity)
        if not 0 <= slot < ring.slots or len(data) != LOG_SLOT_BYTES:
            raise ValueError(f"slot {slot} of a log of {ring.slots}, {len(data)} B")
        self._staged_log[ring.offset + slot * LOG_SLOT_BYTES] = data

    def stage_checkpoint(self, data: bytes) -> None:
        """Put a checkpoint into the transaction; it becomes the newest when that is committed."""
        self._staged_checkpoint = data

    def commit(self) -> None:
        """Make all that was staged durable, or, if power goes, none of it.

        Where neither journal takes what is written, a cut can leave a part of it. Records are written in the order in
        which they were staged, then the log, then the checkpoint: what the first record and the checkpoint both hold
        tells at the next boot that only a part is there.
        """
        staged = self._pending | self._staged | self._staged_log
        if self._staged_checkpoint is not None:
            slot = (self._checkpoint_sequence + 1) % 2
            staged[CHECKPOINT_OFFSETS[slot]] = self._next_checkpoint(self._staged_checkpoint)
        if not staged:
            return
        self._sequence = (self._sequence + 1) & _U32_MASK
        in_journal = self._write_journal(staged)
        if not in_journal:  # no boot may lay an older journal over what is written now
            self._write_mark()
        pin_write = self._pin.write
        for offset, data in staged.items():
            pin_write(offset, data)
        self._pending = {
            offset: data
            for offset, data in staged.items()
            if not self._verify(offset, data) and offset in _REGION_AT
        }
        if not self._pending:  # else the journal is what a boot finds, and does again
            self._write_mark()
        self._staged = {}
        self._staged_log = {}
        self._staged_checkpoint = None

    def checkpoint(self, data: bytes) -> None:
        """Write a checkpoint now, on its own: one write, into the slot that does not hold the newest."""
        record = self._next_checkpoint(data)
        offset = CHECKPOINT_OFFSETS[self._checkpoint_sequence % 2]
        self._pin.write(offset, record)
        self._verify(offset, record)

    def checkpoints(self, row: Iterable[bytes]) -> None:
        """Write equally long checkpoints one after another, as `checkpoint` does each."""
        writes = []
        for data in row:
            record = self._next_checkpoint(data)
            writes.append((CHECKPOINT_OFFSETS[self._checkpoint_sequence % 2], record))
        self._pin.write_in_turn(writes)

    def take_failures(self) -> list[Failure]:
        """What was written since the last call and cannot be read back."""
        failures, self.failures = self.failures, []
        return failures

    # The parts

    def _write_journal(self, staged: dict[int, bytes]) -> bool:
        """Write the journal whose turn it is, or the other one; returns whether one of them holds it."""
        journal = _build_journal(self._sequence, staged)
        for turn in range(2):
            offset = self._journal_offsets[(self._sequence + turn) % 2]
            self._pin.write(offset, journal)
            if self._verify(offset, journal):
                return True
        return False

    def _write_mark(self) -> None:
        """Say that no journal up to the newest is to be applied again."""
        mark = _MARK.pack(self._sequence, self._sequence ^ _U32_MASK)
        self._pin.write(MARK_OFFSET, mark)
        self._verify(MARK_OFFSET, mark)

    def _verify(self, offset: int, data: bytes) -> bool:
        """Whether what was written there is what is read; a place that fails is told once, until it lands again."""
        if self._pin.read(offset, len(data)) == data:
            self._failing.discard(offset)
            return True
        if offset not in self._failing:
            self._failing.add(offset)
            self.failures.append(self._failure_at(offset))
        return False

    def _failure_at(self, offset: int) -> Failure:
        if offset in _REGION_AT:
            return Failure(region=_REGION_AT[offset], offset=offset)
        if offset in CHECKPOINT_OFFSETS:
            return Failure(checkpoint=True, offset=offset)
        if offset >= LOG_OFFSET and offset not in self._journal_offsets:
            main = log_ring(LogName.MAIN, self._log_capacity)
            in_main = offset < main.offset + main.slots * LOG_SLOT_BYTES
            return Failure(log=LogName.MAIN if in_main else LogName.SECURITY, offset=offset)
        return Failure(offset=offset)

    def _next_checkpoint(self, data: bytes) -> bytes:
        if len(data) > CHECKPOINT_CAPACITY_BYTES:
            raise ValueError(f"a checkpoint holds {CHECKPOINT_CAPACITY_BYTES} B, not {len(data)}")
        self._checkpoint_sequence += 1
        body = _CHECKPOINT_HEADER.pack(self._checkpoint_sequence, len(data)) + data
        return body + _CRC.pack(crc32c(body))

    def _read_checkpoint_slot(self, slot: int) -> bytes:
        return self._pin.read(CHECKPOINT_OFFSETS[slot], CHECKPOINT_SLOT_BYTES)

    def _checkpoint_sequence_at(self, slot: int) -> int:
        found = _parse_checkpoint(self._read_checkpoint_slot(slot))
        return 0 if found is None else found[0]

    def _whole_journal(self, at_offset: int) -> tuple[int, bytes] | None:
        """Sequence and items of the journal that lies there, if it is whole."""
        header = self._pin.read(at_offset, _JOURNAL_HEADER.size)
        magic, sequence, length = _JOURNAL_HEADER.unpack(header)
        if magic != _JOURNAL_MAGIC or length > JOURNAL_CAPACITY_BYTES - _JOURNAL_HEADER.size - _CRC.size:
            return None
        rest = self._pin.read(at_offset + _JOURNAL_HEADER.size, length + _CRC.size)
        if crc32c(header + rest[:-4]) != _CRC.unpack(rest[-4:])[0]:
            return None
        return sequence, rest[:-4]

    def _newest_journal(self) -> tuple[int, bytes] | None:
        """The newest whole journal; None if there is none."""
        first, second = map(self._whole_journal, self._journal_offsets)
        if first is None or second is None:
            return first or second
        return second if _is_newer(second[0], first[0]) else first

    def _redo(self) -> bool:
        """Apply the newest whole journal if the mark does not have it; idempotent, so that it may itself be cut."""
        done, complement = _MARK.unpack(self._pin.read(MARK_OFFSET, MARK_BYTES))
        marked = done ^ complement == _U32_MASK
        self._sequence = done if marked else 0
        journal = self._newest_journal()
        if journal is None:
            return False
        sequence, items = journal
        if marked and not _is_newer(sequence, done):
            return False
        self._sequence = sequence
        if not marked and self._has_damaged_journal():  # of a newer commit, which may be done
            return False
        position = 0
        while position < len(items):
            offset, length = _JOURNAL_ITEM.unpack_from(items, position)
            position += _JOURNAL_ITEM.size
            data = items[position : position + length]
            position += length
            if not self._is_superseded(offset, data):
                self._pin.write(offset, data)
                if offset in _REGION_AT and not self._verify(offset, data):
                    self._pending[offset] = data
        if not self._pending:
            self._write_mark()
        return True

    def _has_damaged_journal(self) -> bool:
        return any(
            self._whole_journal(offset) is None
            and not _is_erased(self._pin.read(offset, _JOURNAL_HEADER.size))
            for offset in self._journal_offsets
        )

    def _is_superseded(self, offset: int, data: bytes) -> bool:
        """Whether the slot holds a newer checkpoint already: only where a finished commit lost its mark."""
        if offset not in CHECKPOINT_OFFSETS:
            return False
        sequence, _length = _CHECKPOINT_HEADER.unpack_from(data)
        return self._checkpoint_sequence_at(CHECKPOINT_OFFSETS.index(offset)) > int(sequence)

    def _wipe(self) -> None:
        """Erase what a cut formatting or an earlier life left; a clean blank memory is not written at all."""
        for offset in range(0, memory_size_bytes(self._log_capacity), _WIPE_CHUNK_BYTES):
            length = min(_WIPE_CHUNK_BYTES, memory_size_bytes(self._log_capacity) - offset)
            if not _is_erased(self._pin.read(offset, length)):
                self._pin.write(offset, b"\xff" * length)


def _is_newer(sequence: int, than: int) -> bool:
    """Whether a sequence number follows another, also where it began anew between them."""
    return 0 < (sequence - than) & _U32_MASK < 1 << 31


def _is_erased(data: bytes) -> bool:
    return data.count(0xFF) == len(data) or data.count(0) == len(data)


def _parse_record(raw: bytes, place: Place) -> bytes | None:
    length, version = _RECORD_HEADER.unpack_from(raw)
    if length > place.capacity_bytes or version != place.version:
        return None
    end = _RECORD_HEADER.size + length
    if crc32c(raw[:end]) != _CRC.unpack_from(raw, end)[0]:
        return None
    return raw[_RECORD_HEADER.size : end]


def _parse_checkpoint(raw: bytes) -> tuple[int, bytes] | None:
    """Sequence and data of a checkpoint slot; None if it holds no whole one."""
    sequence, length = _CHECKPOINT_HEADER.unpack_from(raw)
    if length > CHECKPOINT_CAPACITY_BYTES:
        return None
    end = _CHECKPOINT_HEADER.size + length
    if crc32c(raw[:end]) != _CRC.unpack_from(raw, end)[0]:
        return None
    return sequence, raw[_CHECKPOINT_HEADER.size : end]


def _build_journal(sequence: int, staged: dict[int, bytes]) -> bytes:
    parts = [b""]
    length = 0
    for offset, data in staged.items():
        parts += (_JOURNAL_ITEM.pack(offset, len(data)), data)
        length += _JOURNAL_ITEM.size + len(data)
    if length > JOURNAL_CAPACITY_BYTES - _JOURNAL_HEADER.size - _CRC.size:
        raise ValueError(f"a commit of {length} B is more than the journal holds")
    parts[0] = _JOURNAL_HEADER.pack(_JOURNAL_MAGIC, sequence, length)
    body = b"".join(parts)
    return body + _CRC.pack(crc32c(body))
