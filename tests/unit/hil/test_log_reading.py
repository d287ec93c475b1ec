"""A log is whole, or it is said what is missing."""

from collections.abc import Callable
from typing import Any

import pytest

from hil.errors import DeviceError, LinkError
from hil.programmer.log_reading import LogHistory, LogReader, LostRange
from protocol.log.entry import LogEntry
from protocol.log.types import Actor, LogName, LogType
from protocol.messages.log import LogRead, LogReadReply


def entry(seq: int, log_type: LogType = LogType.STALL) -> bytes:
    return LogEntry(seq, seq * 10, 0, log_type, Actor.PUMP).pack()


class Log:
    """A ring with numbers, read as a pump answers."""

    def __init__(self, oldest: int, newest: int) -> None:
        self.oldest, self.newest = oldest, newest
        self.missing: set[int] = set()
        self.on_page: Callable[[], None] = lambda: None

    def page(self, request: LogRead) -> LogReadReply:
        self.on_page()
        start = max(request.from_seq, self.oldest)
        seqs = [s for s in range(start, min(start + request.count, self.newest + 1)) if s not in self.missing]
        after = min(start + request.count, self.newest + 1)
        entries = tuple(entry(s) for s in seqs)
        return LogReadReply(request.log, 1, request.from_seq, after, self.oldest, self.newest, entries)


def read(log: Log, from_seq: int = 0) -> LogHistory:
    return LogReader(log.page, LogName.MAIN, from_seq).history()


@pytest.mark.parametrize(("oldest", "newest"), [(1, 1), (1, 6), (1, 7), (1, 100), (51, 60)])
def test_the_whole_log_is_read_page_by_page(oldest: int, newest: int) -> None:
    history = read(Log(oldest, newest))
    assert [e.seq for e in history.entries] == list(range(oldest, newest + 1))
    assert (history.first_seq, history.next_seq, history.complete) == (oldest, newest + 1, True)


def test_reading_goes_on_from_where_it_was() -> None:
    history = read(Log(1, 20), from_seq=15)
    assert [e.seq for e in history.entries] == [15, 16, 17, 18, 19, 20]
    assert history.complete


def test_nothing_new_is_no_entries() -> None:
    assert read(Log(1, 20), from_seq=21).entries == ()
    assert read(Log(1, 20), from_seq=50).next_seq == 50, "and reading never goes back"


def test_each_page_after_the_first_is_asked_for_in_its_epoch() -> None:
    log, asked = Log(1, 20), []

    def page(request: LogRead) -> LogReadReply:
        asked.append(request.epoch)
        return log.page(request)._replace(epoch=7)

    assert LogReader(page, LogName.MAIN, 0).history().epoch == 7
    assert asked == [0, *[7] * (len(asked) - 1)]
    assert len(asked) > 1


def test_a_filtered_page_that_is_out_of_order_or_beyond_its_end_is_an_error_of_the_device() -> None:
    for seqs in ((2, 1), (1, 1), (1, 9), (0,)):

        def page(request: LogRead, seqs: tuple[int, ...] = seqs) -> LogReadReply:
            return LogReadReply(request.log, 1, 1, 7, 1, 6, tuple(entry(seq) for seq in seqs))

        with pytest.raises(DeviceError, match="out of order"):
            LogReader(page, LogName.MAIN, 0, filter_bits=4).history()


def test_what_was_overwritten_is_named() -> None:
    history = read(Log(51, 60), from_seq=11)
    assert history.lost == (LostRange(11, 50),)
    assert not history.complete


def test_what_is_overwritten_while_we_read_is_named() -> None:
    log = Log(1, 30)
    pages = iter(range(100))

    def overwrite() -> None:
        if next(pages) == 1:
            log.oldest, log.newest = 20, 49

    log.on_page = overwrite
    history = read(log)
    assert history.lost == (LostRange(7, 19),)
    assert [e.seq for e in history.entries] == [*range(1, 7), *range(20, 50)]


def test_a_gap_is_an_error_of_the_device() -> None:
    log = Log(1, 30)
    log.missing = {9}
    with pytest.raises(DeviceError, match="gap"):
        read(log)


def test_a_pump_that_repeats_itself_does_not_hang_us() -> Any:
    log = Log(1, 30)

    def again(request: LogRead) -> LogReadReply:
        return log.page(request)._replace(next_seq=7)

    with pytest.raises(DeviceError, match="repeats itself"):
        LogReader(again, LogName.MAIN, 0).history()


def test_a_damaged_entry_is_an_error_of_the_device() -> Any:
    def damaged(request: LogRead) -> LogReadReply:
        return LogReadReply(request.log, 1, 1, 2, 1, 1, (entry(1)[:-1] + b"\0",))

    with pytest.raises(DeviceError, match="cannot be read"):
        LogReader(damaged, LogName.MAIN, 0).history()


def test_a_corrupt_slot_is_counted_and_is_no_gap() -> Any:
    def page(request: LogRead) -> LogReadReply:
        return LogReadReply(request.log, 1, 1, 3, 1, 2, (entry(1), entry(2, LogType.CORRUPT_SLOT)))

    history = LogReader(page, LogName.MAIN, 0).history()
    assert history.corrupt_seqs == (2,)
    assert not history.complete


def test_an_empty_log_is_empty() -> Any:
    def page(request: LogRead) -> LogReadReply:
        return LogReadReply(request.log, 1, 0, 1, 0, 0, ())

    history = LogReader(page, LogName.MAIN, 0).history()
    assert history.entries == ()
    assert history.complete


def test_entries_and_what_is_lost_come_in_their_order() -> None:
    log = Log(1, 30)
    pages = iter(range(100))

    def overwrite() -> None:
        if next(pages) == 1:
            log.oldest, log.newest = 20, 24

    log.on_page = overwrite
    reader = LogReader(log.page, LogName.MAIN)
    items = [item if isinstance(item, LostRange) else item.seq for item in reader]
    assert items == [*range(1, 7), LostRange(7, 19), *range(20, 25)]
    assert (reader.first_seq, reader.next_seq, reader.at_end) == (1, 25, True)


def test_a_reader_that_lost_its_line_goes_on_where_it_was() -> None:
    log = Log(1, 40)
    calls = iter(range(100))

    def fail_at_times() -> None:
        if next(calls) % 3 == 1:
            raise LinkError("the line is gone")

    log.on_page = fail_at_times
    reader = LogReader(log.page, LogName.MAIN)
    seqs: list[int] = []
    losses = 0
    while not reader.at_end:
        try:
            for item in reader:
                assert isinstance(item, LogEntry)
                seqs.append(item.seq)
        except LinkError:
            losses += 1
            assert reader.next_seq == seqs[-1] + 1
    assert losses >= 2
    assert seqs == list(range(1, 41))
