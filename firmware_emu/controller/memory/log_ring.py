"""One log as a ring of slots in the memory: numbers without a gap, and a chain that shows tampering.

What an entry says is not its business. Entry number n lies in slot (n - 1) mod slots, so the state of the
ring is found again by looking at its slots. Every number divisible by 64 is a LOG_CHECKPOINT: it carries the
link of the chain over the 63 entries before it, which starts from the checkpoint before those [SPEC 8].
"""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

from firmware_emu.controller.memory.memory_map import LOG_SLOT_BYTES
from firmware_emu.units import MS_PER_S
from protocol.codec.atoms import Malformed
from protocol.log.data import LogCheckpointData
from protocol.log.entry import CorruptEntry, LogEntry, entry_is_intact, pack_data
from protocol.log.types import Actor, LogType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from firmware_emu.controller.memory.memory import Memory
    from protocol.log.types import LogFlag, LogName

CHECKPOINT_INTERVAL: Final = 64
LIFE_MAX_S: Final = 1 << 31  # 68 years: no battery lasts so long, and the wire can tell twice that
ENTRIES_OF_A_LIFE_MAX: Final = 1 << 31  # one each second of it
_LINK_BYTES: Final = 8
_TYPE_BYTES: Final = slice(10, 12)  # of a slot: the type of its entry [SPEC 8]
_SEQS: Final = struct.Struct(f"<I{LOG_SLOT_BYTES - 4}x")
"""The number of each slot."""
_ERASED: Final = (b"\xff" * LOG_SLOT_BYTES, b"\x00" * LOG_SLOT_BYTES)


class RingCheck(NamedTuple):
    """What a ring finds when it verifies itself; `first_bad_seq` 0: nothing bad."""

    corrupt: int
    bad_checkpoints: int
    first_bad_seq: int


class LogRing:
    """Append and read one log. Appended entries are staged; whoever calls commits the memory."""

    __slots__ = ("_chain_key", "_link", "_log", "_memory", "_slots", "newest_seq")

    def __init__(self, memory: Memory, log: LogName, chain_key: bytes) -> None:
        """Find the state of the ring by looking at its slots."""
        self._memory = memory
        self._log = log
        self._chain_key = chain_key
        self._slots = memory.log_slots(log)
        raw = memory.read_log(log, 0, self._slots)
        self.newest_seq = self._find_newest(raw)
        self._link = self._find_link()

    @property
    def oldest_seq(self) -> int:
        """The oldest number still in the ring; 0 if the log is empty."""
        return max(1, self.newest_seq - self._slots + 1) if self.newest_seq else 0

    @property
    def newest_tick_ms(self) -> int:
        """Time of the newest entry that can be read; 0 if there is none."""
        for seq in range(self.newest_seq, self.oldest_seq - 1, -1):
            entry = self.read(seq)
            if entry is not None:
                return entry.t_mono_s * MS_PER_S + entry.t_ms
        return 0

    def append(
        self, log_type: LogType, data: bytes, tick_ms: int, actor: int, cmd_id: int, flags: LogFlag
    ) -> int:
        """Stage the next entry, before it the checkpoint where one is due; returns the entry's number."""
        if (self.newest_seq + 1) % CHECKPOINT_INTERVAL == 0:
            mac = pack_data(LogCheckpointData(self._link))
            self._stage(LogType.LOG_CHECKPOINT, mac, tick_ms, Actor.PUMP, 0, flags)
        return self._stage(log_type, data, tick_ms, actor, cmd_id, flags)

    def go_on_behind(self, seq: int) -> None:
        """Take this number for the newest where the slots have none so high; an empty ring begins anew."""
        if 0 < self.newest_seq < seq:
            self.newest_seq = seq
            self._link = self._find_link()

    def read(self, seq: int) -> LogEntry | None:
        """An entry between oldest and newest; None if its slot is damaged or holds another one."""
        return _parse(self._memory.read_log(self._log, self._slot_of(seq)), seq)

    def check(self) -> RingCheck:
        """Verify every slot, every checkpoint whose span is still in the ring, and the span still open."""
        corrupt = bad_checkpoints = first_bad_seq = 0
        span_start = 1
        link = self._first_link() if self.oldest_seq == 1 else None
        for seq, raw in self._raw_entries():
            entry = _parse(raw, seq)
            if entry is None:
                corrupt += 1
                first_bad_seq = first_bad_seq or seq
            if seq % CHECKPOINT_INTERVAL:
                link = link and self._linked(link, raw)
                continue
            if link is not None and not _closes_with(entry, link):
                bad_checkpoints += 1
                first_bad_seq = first_bad_seq or span_start
            link = self._linked(self._first_link(), raw)
            span_start = seq + 1
        if link is not None and link != self._link:
            bad_checkpoints += 1
            first_bad_seq = first_bad_seq or span_start
        return RingCheck(corrupt, bad_checkpoints, first_bad_seq)

    def damaged_seqs(self) -> list[int]:
        """Numbers from oldest to newest whose slot does not hold the entry whole."""
        return [
            seq
            for seq, raw in self._raw_entries()
            if _seq_of(raw) != seq or not entry_is_intact(raw) or _second_of(raw) > LIFE_MAX_S
        ]

    def entries_of(self, log_type: LogType) -> Iterator[LogEntry]:
        """The entries of one type that can be read, from the oldest to the newest."""
        wanted = log_type.to_bytes(2, "little")
        for seq, raw in self._raw_entries():
            if raw[_TYPE_BYTES] == wanted and (entry := _parse(raw, seq)) is not None:
                yield entry

    # The parts

    def _slot_of(self, seq: int) -> int:
        return (seq - 1) % self._slots

    def _stage(
        self, log_type: LogType, data: bytes, tick_ms: int, actor: int, cmd_id: int, flags: LogFlag
    ) -> int:
        seq = self.newest_seq + 1
        t_mono_s, t_ms = divmod(tick_ms, MS_PER_S)
        raw = LogEntry(seq, t_mono_s, t_ms, log_type, actor, flags, cmd_id, data).pack()
        self._memory.stage_log(self._log, self._slot_of(seq), raw)
        start = self._link if seq % CHECKPOINT_INTERVAL else self._first_link()
        self._link = self._linked(start, raw)
        self.newest_seq = seq
        return seq

    def _raw_entries(self) -> Iterator[tuple[int, bytes]]:
        """Numbers and slots from the oldest to the newest, damaged or not."""
        raw = self._memory.read_log(self._log, 0, self._slots)
        for seq in range(self.oldest_seq, self.newest_seq + 1) if self.newest_seq else ():
            start = self._slot_of(seq) * LOG_SLOT_BYTES
            yield seq, raw[start : start + LOG_SLOT_BYTES]

    def _find_newest(self, raw: bytes) -> int:
        """The highest number in its own slot, and damaged slots right behind it.

        Whether such a slot held the newest entry or the oldest cannot be known. A number given twice would be
        worse than one that was never given, so they count as the newest.
        """
        in_place = [
            seq
            for slot, (seq,) in enumerate(_SEQS.iter_unpack(raw))
            if 0 < seq <= ENTRIES_OF_A_LIFE_MAX and self._slot_of(seq) == slot
        ]
        in_place.sort(reverse=True)  # one check is enough, unless the newest is damaged
        starts = ((seq, self._slot_of(seq) * LOG_SLOT_BYTES) for seq in in_place)
        newest = next(
            (seq for seq, start in starts if entry_is_intact(raw[start : start + LOG_SLOT_BYTES])), 0
        )
        was_ever_full = newest >= self._slots
        for _ in range(self._slots - 1):
            start = self._slot_of(newest + 1) * LOG_SLOT_BYTES
            follower = raw[start : start + LOG_SLOT_BYTES]
            is_free = follower in _ERASED and not was_ever_full
            if is_free or _parse(follower, newest + 1 - self._slots) is not None:
                break
            newest += 1
        return newest

    def _find_link(self) -> bytes:
        """The link of the chain after the newest entry, over what lies in the slots."""
        link = self._first_link()
        start = max(self.oldest_seq, self.newest_seq // CHECKPOINT_INTERVAL * CHECKPOINT_INTERVAL)
        for seq in range(start, self.newest_seq + 1) if self.newest_seq else ():
            link = self._linked(link, self._memory.read_log(self._log, self._slot_of(seq)))
        return link

    def _first_link(self) -> bytes:
        return self._linked(b"", bytes([self._log]))

    def _linked(self, link: bytes, raw: bytes) -> bytes:
        return blake2b(link + raw, digest_size=_LINK_BYTES, key=self._chain_key).digest()


def _seq_of(raw: bytes) -> int:
    return int.from_bytes(raw[:4], "little")


def _second_of(raw: bytes) -> int:
    return int.from_bytes(raw[4:8], "little")


def _parse(raw: bytes, seq: int) -> LogEntry | None:
    """The entry in a slot, if it is whole, has this number, and is of a time that a pump can live to see."""
    if _seq_of(raw) != seq or _second_of(raw) > LIFE_MAX_S:
        return None
    try:
        return LogEntry.unpack(raw)
    except (CorruptEntry, Malformed):
        return None


def _closes_with(entry: LogEntry | None, link: bytes) -> bool:
    """Whether this is the checkpoint that carries this link."""
    if entry is None:
        return False
    return entry.type is LogType.LOG_CHECKPOINT and entry.data == pack_data(LogCheckpointData(link))
