"""Reads a pump's log whole, page by page, and proves that no entry is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hil.errors import DeviceError
from protocol.errors import RemoteError
from protocol.log.entry import LogEntry
from protocol.log.types import LogName, LogType
from protocol.messages.log import LOG_READ_MAX, LogRead

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.messages.log import LogReadReply

    Progress = Callable[[int, int], None]

ANY_EPOCH = 0
OLDEST = 0
NO_FILTER = 0


class LostRange(NamedTuple):
    """Entries that the log had before it overwrote them: first to last, both included."""

    first_seq: int
    last_seq: int


class LogHistory(NamedTuple):
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


def read_log(
    ask: Callable[[LogRead], LogReadReply],
    log: LogName,
    from_seq: int,
    filter_bits: int = NO_FILTER,
    *,
    progress: Progress | None = None,
) -> LogHistory:
    """The log from an entry on, asked for page by page; each page is checked against those before it.

    `progress` is told after each page but the last how many entries have been read, and of how many.
    """
    first_seq = None if from_seq == OLDEST else from_seq
    next_seq, epoch = from_seq, ANY_EPOCH
    entries: list[LogEntry] = []
    lost: list[LostRange] = []
    while True:
        page = ask(LogRead(log, epoch, next_seq, LOG_READ_MAX, filter_bits))
        epoch = page.epoch
        start_seq = max(next_seq, page.oldest_seq)
        if first_seq is None:
            first_seq = start_seq
        elif page.oldest_seq > next_seq:
            lost.append(LostRange(next_seq, page.oldest_seq - 1))
        if page.next_seq <= next_seq and page.next_seq <= page.newest_seq:
            raise DeviceError(f"the log does not go on after entry {next_seq}: the pump repeats itself")
        entries += _entries_of(page, start_seq, filter_bits)
        next_seq = max(page.next_seq, next_seq)
        if page.next_seq > page.newest_seq:
            break
        if progress is not None:
            progress(next_seq - first_seq, page.newest_seq + 1 - first_seq)
    corrupt = tuple(entry.seq for entry in entries if entry.type == LogType.CORRUPT_SLOT)
    return LogHistory(log, epoch, first_seq, next_seq, tuple(entries), tuple(lost), corrupt)


def _entries_of(page: LogReadReply, start_seq: int, filter_bits: int) -> list[LogEntry]:
    """The entries of a page from `start_seq` on; DeviceError where one is missing or out of order."""
    entries = [_entry(data) for data in page.entries]
    seqs = [entry.seq for entry in entries]
    if filter_bits == NO_FILTER and page.newest_seq:
        if seqs != list(range(start_seq, page.next_seq)):
            raise DeviceError(
                f"the log has a gap: entries {seqs} where {start_seq} to {page.next_seq - 1} belong"
            )
    elif seqs != sorted(set(seqs)) or any(not start_seq <= seq < page.next_seq for seq in seqs):
        raise DeviceError(
            f"the log is out of order: entries {seqs} in a page from {start_seq} to {page.next_seq}"
        )
    return entries


def _entry(data: bytes) -> LogEntry:
    try:
        return LogEntry.unpack(data)
    except RemoteError as error:
        raise DeviceError(
            f"a log entry cannot be read ({error}): {data.hex(' ')}",
            advice="check the pump's firmware version",
        ) from error
