"""A pump's log read whole, page by page, with proof that nothing is missing between the first and the last entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.errors import DeviceError
from protocol.errors import RemoteError
from protocol.log.entry import LogEntry
from protocol.log.types import LogName, LogType
from protocol.messages.log import LOG_READ_MAX, LogRead

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.messages.log import LogReadReply

ANY_EPOCH = 0
OLDEST = 0
NO_FILTER = 0


@dataclass(frozen=True, slots=True)
class LostRange:
    """Entries that the log had before it overwrote them: first to last, both included."""

    first_seq: int
    last_seq: int


@dataclass(frozen=True, slots=True)
class LogHistory:
    """Entries from `first_seq` to `next_seq` - 1 without a gap, but for what is named in `lost` and `corrupt_seqs`."""

    log: LogName
    epoch: int
    first_seq: int
    next_seq: int
    entries: tuple[LogEntry, ...]
    lost: tuple[LostRange, ...]
    corrupt_seqs: tuple[int, ...]

    @property
    def complete(self) -> bool:
        """True if nothing is lost and nothing is corrupt."""
        return not self.lost and not self.corrupt_seqs


class LogReader:
    """Collects pages and checks each against what came before it."""

    def __init__(self, log: LogName, from_seq: int, filter_bits: int = NO_FILTER) -> None:
        self._log = log
        self._filter = filter_bits
        self._first_seq = None if from_seq == OLDEST else from_seq
        self._next_seq = from_seq
        self._epoch = ANY_EPOCH
        self._entries: list[LogEntry] = []
        self._lost: list[LostRange] = []

    def read(self, ask: Callable[[LogRead], LogReadReply]) -> LogHistory:
        """Ask for page after page until the newest entry."""
        while True:
            page = ask(LogRead(self._log, self._epoch, self._next_seq, LOG_READ_MAX, self._filter))
            self._take(page)
            if page.next_seq > page.newest_seq:
                return self._history()

    def _take(self, page: LogReadReply) -> None:
        self._epoch = page.epoch
        start_seq = max(self._next_seq, page.oldest_seq)
        if self._first_seq is None:
            self._first_seq = start_seq
        elif page.oldest_seq > self._next_seq:
            self._lost.append(LostRange(self._next_seq, page.oldest_seq - 1))
        if page.next_seq <= self._next_seq and page.next_seq <= page.newest_seq:
            raise DeviceError(f"the log does not go on after entry {self._next_seq}: the pump repeats itself")
        entries = [self._entry(data) for data in page.entries]
        seqs = [entry.seq for entry in entries]
        if self._filter == NO_FILTER and page.newest_seq:
            wanted = list(range(start_seq, page.next_seq))
            if seqs != wanted:
                raise DeviceError(
                    f"the log has a gap: entries {seqs} where {start_seq} to {page.next_seq - 1} belong"
                )
        elif seqs != sorted(set(seqs)) or any(not start_seq <= seq < page.next_seq for seq in seqs):
            raise DeviceError(
                f"the log is out of order: entries {seqs} in a page from {start_seq} to {page.next_seq}"
            )
        self._entries += entries
        self._next_seq = max(page.next_seq, self._next_seq)

    def _entry(self, data: bytes) -> LogEntry:
        try:
            return LogEntry.unpack(data)
        except RemoteError as error:
            raise DeviceError(
                f"a log entry cannot be read ({error}): {data.hex(' ')}",
                advice="check the pump's firmware version",
            ) from error

    def _history(self) -> LogHistory:
        corrupt = tuple(entry.seq for entry in self._entries if entry.type == LogType.CORRUPT_SLOT)
        return LogHistory(
            self._log,
            self._epoch,
            self._next_seq if self._first_seq is None else self._first_seq,
            self._next_seq,
            tuple(self._entries),
            tuple(self._lost),
            corrupt,
        )
