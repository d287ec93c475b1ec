"""Reads a pump's log page by page, and proves that no entry is missing.

The proof stands on three numbers of each page: all from the one that was asked for to `next_seq` was looked at, and
what lies below `oldest_seq` is gone, and is given as a `LostRange` in its place.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Self

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


class LogReader:
    """An iterator over a log: each `LogEntry` in order, and where some are gone a `LostRange` in their place.

    A LinkError leaves it where it is: whoever asks it again goes on at `next_seq`, over whatever line there is then.
    Any other error is for good: the log has another epoch (DeviceRefused), or contradicts itself (DeviceError).
    """

    def __init__(
        self,
        ask: Callable[[LogRead], LogReadReply],
        log: LogName,
        from_seq: int = OLDEST,
        filter_bits: int = NO_FILTER,
        *,
        progress: Progress | None = None,
    ) -> None:
        """`progress` is told after each page but the last how many numbers have been looked at, and of how many."""
        self.log = log
        self.epoch = ANY_EPOCH
        """The log's epoch; 0 until the first page is there."""
        self.first_seq = from_seq
        """The number of the first item, lost or not; 0 until the first page is there where the oldest was asked for."""
        self.next_seq = from_seq
        """The number from which on nothing has been given yet."""
        self.at_end = False
        """Whether everything up to the newest entry has been asked for."""
        self._ask = ask
        self._filter_bits = filter_bits
        self._progress = progress
        self._asked_to = from_seq
        self._waiting: deque[LogEntry | LostRange] = deque()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> LogEntry | LostRange:
        while not self._waiting:
            self.next_seq = self._asked_to
            if self.at_end:
                raise StopIteration
            self._read_page()
        item = self._waiting.popleft()
        self.next_seq = (item.last_seq if isinstance(item, LostRange) else item.seq) + 1
        return item

    def history(self) -> LogHistory:
        """All that is left, in one piece, with the proof that nothing is missing but what it names."""
        first_seq = self.next_seq
        items = tuple(self)
        entries = tuple(item for item in items if isinstance(item, LogEntry))
        lost = tuple(item for item in items if isinstance(item, LostRange))
        corrupt = tuple(entry.seq for entry in entries if entry.type == LogType.CORRUPT_SLOT)
        return LogHistory(
            self.log, self.epoch, first_seq or self.first_seq, self.next_seq, entries, lost, corrupt
        )

    def _read_page(self) -> None:
        """Ask for the next page, and check it against those before it."""
        asked = self._asked_to
        page = self._ask(LogRead(self.log, self.epoch, asked, LOG_READ_MAX, self._filter_bits))
        start_seq = max(asked, page.oldest_seq)
        if page.next_seq <= asked and page.next_seq <= page.newest_seq:
            raise DeviceError(f"the log does not go on after entry {asked}: the pump repeats itself")
        entries = _entries_of(page, start_seq, self._filter_bits)
        if self.first_seq == OLDEST:
            self.first_seq = start_seq
        elif page.oldest_seq > asked:
            self._waiting.append(LostRange(asked, page.oldest_seq - 1))
        self._waiting += entries
        self.epoch = page.epoch
        self._asked_to = max(page.next_seq, asked)
        self.at_end = page.next_seq > page.newest_seq
        if not self.at_end and self._progress is not None:
            self._progress(self._asked_to - self.first_seq, page.newest_seq + 1 - self.first_seq)


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
