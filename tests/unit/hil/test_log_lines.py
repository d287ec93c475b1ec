"""Lines of the log for people: when it was by the pump's clock, what it was, in columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hil.bench_of_test import TestBench
from hil.cli.log_lines import LogLines, cells, completeness, history_lines
from hil.programmer.log_reading import LogHistory, LostRange
from protocol.codec.layouts import decode
from protocol.identifiers import DenyReason, Role
from protocol.log.data import (
    DATA_OF,
    BolusStartData,
    BootData,
    CmdIntentData,
    NoData,
    PtmDenyData,
    SessionOpenData,
    TimeRefData,
    TimeSetData,
    WallInvalidData,
)
from protocol.log.entry import LogEntry, actor_of, pack_data
from protocol.log.types import Actor, BootCause, DeliveryKind, LogFlag, LogName, LogType
from tests.support.for_each import for_each
from tests.unit.protocol.test_derived_codec import smallest

VALID = LogFlag.WALL_VALID
NOON_S = 825_768_000  # 2026-03-02 12:00:00 UTC
BOOT = BootData(BootCause.POWER, 3)


def entries(*rows: tuple[int, LogType, Any, LogFlag]) -> list[LogEntry]:
    """Entries numbered from 1, each of a second of running time, a type, a record and flags."""
    return [
        LogEntry(seq, t_mono_s, 250, log_type, Actor.PUMP, flags, data=pack_data(record))
        for seq, (t_mono_s, log_type, record, flags) in enumerate(rows, start=1)
    ]


def rows_of(made: Sequence[LogEntry]) -> list[tuple[str, ...]]:
    return [cells(entry, clock) for entry, clock in LogLines().timed(made)]


def times(made: list[LogEntry]) -> list[str]:
    return [row[1] for row in rows_of(made)]


def test_an_entry_has_the_time_of_the_last_reference_before_it() -> None:
    made = entries(
        (100, LogType.TIME_REF, TimeRefData(NOON_S, 60), VALID),
        (130, LogType.WATCHDOG, NoData(), VALID),
        (140, LogType.TIME_SET, TimeSetData(NOON_S + 40, NOON_S + 100, 60, 120), VALID),
        (141, LogType.WATCHDOG, NoData(), VALID),
    )
    assert times(made) == [
        "2026-03-02 13:00:00 UTC+01:00",
        "2026-03-02 13:00:30 UTC+01:00",
        "2026-03-02 14:01:40 UTC+02:00",
        "2026-03-02 14:01:41 UTC+02:00",
    ]


def test_what_lies_before_the_first_reference_has_the_time_of_the_nearest_later_one() -> None:
    made = entries(
        (90, LogType.WATCHDOG, NoData(), VALID), (100, LogType.TIME_REF, TimeRefData(NOON_S, 0), VALID)
    )
    assert times(made)[0] == "2026-03-02 11:59:50 UTC+00:00"


def test_what_lies_before_a_change_of_a_valid_clock_has_the_time_before_the_change() -> None:
    made = entries(
        (90, LogType.WATCHDOG, NoData(), VALID),
        (100, LogType.TIME_SET, TimeSetData(NOON_S, NOON_S + 3_600, 0, 0), VALID),
    )
    assert times(made) == ["2026-03-02 11:59:50 UTC+00:00", "2026-03-02 13:00:00 UTC+00:00"]


def test_a_clock_in_doubt_is_not_believed_until_it_is_set_again_and_then_also_for_what_came_before() -> None:
    made = entries(
        (100, LogType.TIME_REF, TimeRefData(NOON_S, 0), VALID),
        (110, LogType.BOOT, BOOT, VALID),
        (110, LogType.WALL_INVALID, WallInvalidData(NOON_S + 10), LogFlag(0)),
        (120, LogType.TIME_REF, TimeRefData(NOON_S + 20, 0), LogFlag(0)),
        (130, LogType.TIME_SET, TimeSetData(NOON_S + 30, NOON_S + 630, 0, 0), VALID),
    )
    assert [time[11:19] for time in times(made)] == [
        "12:00:00",
        "12:10:10",
        "12:10:10",
        "12:10:20",
        "12:10:30",
    ]


def test_without_a_reference_in_its_boot_an_entry_has_the_span_since_the_start() -> None:
    made = entries(
        (183_845, LogType.BOOT, BOOT, VALID),
        (183_845, LogType.WALL_INVALID, WallInvalidData(NOON_S), LogFlag(0)),
        (183_900, LogType.BOOT, BOOT, LogFlag(0)),
        (183_900, LogType.TIME_SET, TimeSetData(0, NOON_S, 0, 0), VALID),
    )
    assert times(made)[:2] == ["+2 d 03:04:05.250"] * 2
    assert times(made)[2:] == ["2026-03-02 12:00:00 UTC+00:00"] * 2


def test_a_reference_does_not_reach_over_entries_that_are_lost() -> None:
    first, second, third = entries(
        (100, LogType.TIME_REF, TimeRefData(NOON_S, 0), VALID),
        (110, LogType.WATCHDOG, NoData(), VALID),
        (120, LogType.WATCHDOG, NoData(), VALID),
    )
    assert times([first, third])[1] == "+0 d 00:02:00.250"
    assert times([first, second, third])[1].startswith("2026")
    reference = first._replace(seq=3, t_mono_s=130)
    assert times([second._replace(seq=1), reference])[0] == "+0 d 00:01:50.250"


def test_an_entry_that_says_that_the_clock_is_in_doubt_ends_what_was_known() -> None:
    made = entries(
        (100, LogType.TIME_REF, TimeRefData(NOON_S, 0), VALID),
        (110, LogType.WATCHDOG, NoData(), LogFlag(0)),
        (120, LogType.TIME_REF, TimeRefData(NOON_S + 20, 0), LogFlag(0)),
    )
    assert [time[0] for time in times(made)] == ["2", "+", "+"]


def test_entries_that_are_read_later_go_on_with_the_clock_and_the_columns_of_those_before() -> None:
    first, second = entries(
        (100, LogType.SAFE_STATE_ENTER, decode(DATA_OF[LogType.SAFE_STATE_ENTER], b"\x01"), VALID),
        (110, LogType.TIME_REF, TimeRefData(NOON_S, 0), VALID),
    )
    later = LogEntry(3, 111, 0, LogType.STOPPED_TOO_LONG, Actor.PUMP, VALID)
    log = LogLines()
    before = log.lines([first, second])
    (line,) = log.lines([later])
    assert "2026-03-02 12:00:01" in line
    assert line.index("STOPPED_TOO_LONG") == before[0].index("SAFE_STATE_ENTER")


def test_the_times_of_a_real_log_are_those_of_the_pumps_clock(bench: TestBench) -> None:
    pump = bench.open_programmer()
    pump.stop()
    history = pump.read_log()
    rows = rows_of(history.entries)
    now = pump.time()
    *_, (_, clock) = LogLines().timed(history.entries)
    assert clock is not None
    assert clock.ahead_s + now.t_mono_s - now.wall_s in {-1, 0, 1}
    assert all(row[1].startswith("2026-03-02 10:00:0") for row in rows if row[3] in {"STOP", "TIME_SET"})


def test_one_entry_is_one_line_and_its_columns_stand_below_each_other(bench: TestBench) -> None:
    pump = bench.open_programmer()
    pump.stop()
    lines = LogLines().lines(pump.read_log().entries)
    assert not any("\n" in line for line in lines)
    starts = {re.match(r"(#\d+ +)(\S.*?  +)(\S.*?  +)(?=[A-Z]{2})", line) for line in lines}
    assert len({found.end() for found in starts if found}) == 1
    assert None not in starts


DETAILS = [
    (
        LogType.BOLUS_START,
        BolusStartData(20_000, 600, DeliveryKind.BOLUS),
        "volume 0.02 mL, duration 10 min, kind BOLUS",
    ),
    (LogType.BOOT, BootData(BootCause.POWER, 3), "cause POWER, boot count 3"),
    (
        LogType.CMD_INTENT,
        CmdIntentData(0x21, 0x53EEF4C8, 500),
        "op 0x21, cmd crc 0x53eef4c8, volume 0.0005 mL",
    ),
    (LogType.WATCHDOG, NoData(), ""),
    (
        LogType.SESSION_OPEN,
        SessionOpenData(7, Role.PATIENT, bytes(range(8))),
        "key id 7, role patient, nonce start 0001020304050607",
    ),
    (
        LogType.TIME_SET,
        TimeSetData(0, NOON_S, 0, 60),
        "old wall not set, new wall 2026-03-02 13:00:00 UTC+01:00",
    ),
]


@for_each(("log_type", "record", "words"), DETAILS, name=lambda case: case[2])
def test_the_data_of_an_entry_is_said_in_words(log_type: LogType, record: Any, words: str) -> None:
    (row,) = rows_of([LogEntry(1, 0, 0, log_type, Actor.PUMP, data=pack_data(record))])
    assert row[2:] == ("pump", log_type.name, words)


def test_a_person_reads_who_did_it_by_which_command_and_what_was_recovered() -> None:
    entry = LogEntry(
        12, 3600, 250, LogType.WATCHDOG, actor_of(3, Role.CLINICIAN, 2), LogFlag.POWER_CUT_RECOVERED, 81
    )
    assert LogLines().lines([entry]) == [
        "#12  +0 d 01:00:00.250  clinician, key slot 2  WATCHDOG  command 81, recovered after a power cut"
    ]


@for_each("log_type", LogType)
def test_data_of_every_type_reads_as_one_line(log_type: LogType) -> None:
    record: Any = decode(DATA_OF[log_type], smallest(DATA_OF[log_type]))
    (row,) = rows_of([LogEntry(1, 2, 3, log_type, Actor.PUMP, data=pack_data(record))])
    assert row[:1] + row[2:4] == ("#1", "pump", log_type.name)
    assert row[1] == "+0 d 00:00:02.003" or log_type is LogType.TIME_SET
    assert "\n" not in row[4]
    assert "no meaning" not in row[4]


def test_data_without_meaning_is_shown_in_hex_and_does_not_raise() -> None:
    (line,) = LogLines().lines([LogEntry(1, 2, 3, LogType.BOOT, Actor.PUMP, data=b"\xff" * 12)])
    assert "ff" * 12 in line


def test_lines_from_an_entry_on_leave_out_neither_what_is_lost_after_it_nor_the_entry_itself() -> None:
    kept = tuple(LogEntry(seq, 2, 3, LogType.WATCHDOG, Actor.PUMP) for seq in (3, 4, 9))
    history = LogHistory(LogName.MAIN, 1, 1, 10, kept, (LostRange(1, 2), LostRange(5, 8)), ())
    shown = [line.split("  ")[0] for line in history_lines(history, LogLines(), 4)]
    assert shown == ["#4", "entries 5 to 8 are lost: the log overwrote them", "#9"]
    assert [line.split("  ")[0] for line in history_lines(history, LogLines(), 2)][:2] == [
        "entries 1 to 2 are lost: the log overwrote them",
        "#3",
    ]


def test_a_time_that_never_comes_is_not_told_as_one_of_136_years() -> None:
    data = pack_data(PtmDenyData(DenyReason.NOT_PROGRAMMED, 0xFFFF_FFFF))
    (line,) = LogLines().lines([LogEntry(1, 2, 3, LogType.PTM_DENY, Actor.PUMP, data=data)])
    assert line.endswith("deny NOT_PROGRAMMED, next allowed not by waiting alone")


@for_each(
    ("lost", "corrupt", "said"),
    [
        ((), (), "0 entries, no gap"),
        ((LostRange(1, 41),), (), "0 entries, 41 lost"),
        ((), (7,), "0 entries, 1 that cannot be read"),
        ((LostRange(1, 2), LostRange(4, 4)), (7, 9), "0 entries, 3 lost and 2 that cannot be read"),
    ],
)
def test_a_log_that_misses_what_was_asked_for_is_not_called_one_without_a_gap(
    lost: tuple[LostRange, ...], corrupt: tuple[int, ...], said: str
) -> None:
    assert completeness(LogHistory(LogName.MAIN, 1, 1, 1, (), lost, corrupt)) == said
