"""The event log of the pump: what is written where, and who may read what of it [SPEC 8].

Two rings with numbers of their own, so that a flood of refusals cannot push out the history of the therapy.
The rings themselves are `log_ring`; what the data of an entry mean is `protocol.log.data`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from firmware_emu.controller.memory.log_ring import LogRing
from protocol.codec.atoms import Malformed
from protocol.log.data import LogCorruptData
from protocol.log.entry import DATA_BYTES, LogEntry
from protocol.log.types import Actor, LogFlag, LogName, LogType
from protocol.messages.log import LogReadReply, LogStatusReply

if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware_emu.controller.memory.memory import Memory
    from protocol.messages.log import LogRead, LogStatus

_SECURITY_RANGE: Final = 0x08
_THERAPY_RANGES: Final = frozenset({0x03, 0x04})
_THERAPY_TYPES: Final = frozenset({LogType.DAY_TOTAL, LogType.REFILL})
_EPOCH_MASK: Final = 0xFFFF
_NO_FLAGS: Final = LogFlag(0)
CORRUPT_ROWS_MAX: Final = 8  # of one log at a time: all of them must fit into one commit


class LogDamage(NamedTuple):
    """Slots that cannot be read: the first, 0 for none, and what tells of those that nothing tells of yet."""

    first_seq: int
    untold: tuple[tuple[LogName, LogCorruptData], ...]


class LogSeqs(NamedTuple):
    """A number of each log in an epoch; 0: none yet."""

    epoch: int = 0
    main: int = 0
    security: int = 0

    def of(self, log: LogName) -> int:
        """The number of this log."""
        return self.main if log is LogName.MAIN else self.security


class EventLog:
    """Both logs; `append` stages into the memory for the caller to commit, reading sees what is committed."""

    __slots__ = ("_main", "_security", "epoch", "found")

    def __init__(self, memory: Memory, *, chain_key: bytes, epoch: int) -> None:
        """Find both logs in the memory; `chain_key` is the device's own and never leaves it."""
        self._main = LogRing(memory, LogName.MAIN, chain_key)
        self._security = LogRing(memory, LogName.SECURITY, chain_key)
        self.epoch = epoch
        self.found = self.newest_seqs()
        """The newest numbers that this start has found."""

    def newest_seqs(self) -> LogSeqs:
        """The newest numbers of both logs, staged ones too."""
        return LogSeqs(self.epoch, self._main.newest_seq, self._security.newest_seq)

    def go_on_behind(self, main_seq: int, security_seq: int) -> None:
        """Give no number up to these again: slots that do not hold such an entry have lost it."""
        self._main.go_on_behind(main_seq)
        self._security.go_on_behind(security_seq)
        self.found = self.newest_seqs()

    @property
    def is_empty(self) -> bool:
        """Whether the main log holds nothing: true of a new memory; in any other it was erased."""
        return self._main.newest_seq == 0

    @property
    def last_seq(self) -> int:
        """The newest number of the main log; 0 if it is empty."""
        return self._main.newest_seq

    @property
    def oldest_seq(self) -> int:
        """The oldest number that the main log still has; of an empty one that of its first entry."""
        return self._main.oldest_seq

    @property
    def is_wrapped(self) -> bool:
        """Whether the main log has overwritten its oldest entries."""
        return self._main.oldest_seq > 1

    @property
    def newest_tick_ms(self) -> int:
        """Time of the newest entry of both logs; a boot goes on behind it [SPEC 12]."""
        return max(self._main.newest_tick_ms, self._security.newest_tick_ms)

    def append(
        self,
        log_type: LogType,
        data: bytes,
        tick_ms: int,
        actor: int = Actor.PUMP,
        cmd_id: int = 0,
        flags: LogFlag = _NO_FLAGS,
        log: LogName | None = None,
    ) -> int:
        """Stage an entry in the log of its type, or in the one named; returns its number. `data`: up to 12 bytes."""
        if log is None:
            log = LogName.SECURITY if log_type >> 8 == _SECURITY_RANGE else LogName.MAIN
        return self._ring(log).append(log_type, data.ljust(DATA_BYTES, b"\0"), tick_ms, actor, cmd_id, flags)

    def number_told(self, log_type: LogType, number_of: Callable[[Any], int]) -> int:
        """What the newest entry of a type says, of a number that each such entry raises by at most 1.

        Where that entry may be one that is overwritten or damaged, the newest `seq`: the number was never higher.
        """
        for seq in range(self._main.newest_seq, self._main.oldest_seq - 1, -1) if self.last_seq else ():
            entry = self._main.read(seq)
            if entry is None:
                return self.last_seq
            if entry.type is log_type:
                data = _details_of(entry)
                return self.last_seq if data is None else number_of(data)
        return self.last_seq if self.is_wrapped else 0

    def rate_told_nl_per_day(self) -> int | None:
        """The basal rate by the newest entry that tells one; None where there is none, or damage may hide it."""
        for seq in range(self.last_seq, self.oldest_seq - 1, -1) if self.last_seq else ():
            entry = self._main.read(seq)
            if entry is None:
                return None
            if entry.type is LogType.RATE_CHANGE:
                data = _details_of(entry)
                return None if data is None else int(data.new_nl_per_day)
        return None

    def damage(self) -> LogDamage:
        """Damaged slots of both logs, told and untold. To be asked while no entry waits for its commit."""
        untold: list[tuple[LogName, LogCorruptData]] = []
        first_seq = 0
        for name in LogName:
            ring = self._ring(name)
            damaged = ring.damaged_seqs()
            first_seq = first_seq or next(iter(damaged), 0)
            rows = [_details_of(entry) for entry in ring.entries_of(LogType.LOG_CORRUPT)] if damaged else []
            told = [range(row.first_seq, row.first_seq + row.entries) for row in rows if row is not None]
            unknown = [seq for seq in damaged if not any(seq in seqs for seqs in told)]
            untold += [(name, row) for row in _rows_of(unknown)]
        return LogDamage(first_seq, tuple(untold))

    def begin_epoch(self, epoch: int) -> None:
        """Go on in a new epoch after the log was lost; `Records.begin_epoch` logs it as its first entry."""
        self.epoch = epoch & _EPOCH_MASK or 1

    def entry(self, log: LogName, seq: int) -> LogEntry | None:
        """A committed entry as it is; None where the ring has none of that number, or a damaged one."""
        ring = self._ring(log)
        return ring.read(seq) if ring.oldest_seq <= seq <= ring.newest_seq else None

    def read(self, request: LogRead, *, may_read_therapy: bool) -> LogReadReply:
        """The reply to LOG_READ of this epoch. The filter looks at types as answered; a damaged slot passes any filter.

        Nobody can know what a damaged slot was, so a reader who looks for boluses must hear of it.
        """
        ring = self._ring(request.log)
        oldest, newest = ring.oldest_seq, ring.newest_seq
        from_seq = request.from_seq or oldest
        entries: list[bytes] = []
        seq = max(from_seq, oldest, 1)
        while seq <= newest and len(entries) < request.count:
            entry = _shown(seq, ring.read(seq), may_read_therapy=may_read_therapy)
            if _passes(request.filter, entry.type):
                entries.append(entry.pack())
            seq += 1
        return LogReadReply(request.log, self.epoch, from_seq, seq, oldest, newest, tuple(entries))

    def status(self, request: LogStatus) -> LogStatusReply:
        """The reply to LOG_STATUS: the pump verifies the whole log that is asked for."""
        ring = self._ring(request.log)
        found = ring.check()
        return LogStatusReply(
            epoch=self.epoch,
            first_seq=ring.oldest_seq,
            last_seq=ring.newest_seq,
            lost_total=max(0, ring.oldest_seq - 1),
            corrupt=found.corrupt,
            bad_checkpoints=found.bad_checkpoints,
            first_bad_seq=found.first_bad_seq,
        )

    def _ring(self, log: LogName) -> LogRing:
        return self._main if log is LogName.MAIN else self._security


def _details_of(entry: LogEntry) -> Any:
    """The data of an entry; None where they are not what its type says."""
    try:
        return entry.details()
    except Malformed:
        return None


def _rows_of(seqs: list[int]) -> list[LogCorruptData]:
    """A row for each run of damaged slots; where there are many, the last takes in all the rest."""
    rows: list[LogCorruptData] = []
    for seq in seqs:
        if rows and (seq == rows[-1].first_seq + rows[-1].entries or len(rows) == CORRUPT_ROWS_MAX):
            rows[-1] = rows[-1]._replace(entries=seq + 1 - rows[-1].first_seq)
        else:
            rows.append(LogCorruptData(seq, 1))
    return rows


def _passes(ranges: int, log_type: LogType) -> bool:
    return ranges == 0 or log_type is LogType.CORRUPT_SLOT or bool(ranges >> (log_type >> 8) & 1)


def _shown(seq: int, entry: LogEntry | None, *, may_read_therapy: bool) -> LogEntry:
    """An entry as this reader may see it: itself, its number and time alone, or its number alone."""
    if entry is None:
        return LogEntry(seq, 0, 0, LogType.CORRUPT_SLOT, Actor.PUMP)
    if may_read_therapy or not _is_therapy(entry.type):
        return entry
    return LogEntry(seq, entry.t_mono_s, entry.t_ms, LogType.HIDDEN, Actor.PUMP)


def _is_therapy(log_type: LogType) -> bool:
    return log_type >> 8 in _THERAPY_RANGES or log_type in _THERAPY_TYPES
