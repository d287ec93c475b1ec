"""A recording as tables: its messages, the status that the pump told, its log and its alarms [hil/capture/README.md].

Rows are in the order of the recording. A value that is not there is None.
"""

from __future__ import annotations

import json
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hil.capture.messages import Many, NumberedMark, RecordedMessage
from hil.frame_words import opcode_name
from protocol.capture.recording import EVENT
from protocol.codec.atoms import Malformed
from protocol.identifiers import Opcode
from protocol.log.entry import CorruptEntry, LogEntry
from protocol.messages.alarms import GetAlarmsReply
from protocol.messages.log import LogReadReply
from protocol.messages.reading import GetStatusReply
from protocol.wire.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hil.capture.messages import Read

Value = int | str | None
SEQ_BYTES: Final = 4
"""Of an entry: its number comes first [SPEC 8]."""
Row = tuple[Value, ...]


class Column(NamedTuple):
    """One column: its name, whose last part is its unit, whether it holds numbers, and what it means."""

    name: str
    is_number: bool
    meaning: str


def _numbers(**meanings: str) -> tuple[Column, ...]:
    return tuple(Column(name, True, meaning) for name, meaning in meanings.items())


def _texts(**meanings: str) -> tuple[Column, ...]:
    return tuple(Column(name, False, meaning) for name, meaning in meanings.items())


PLACE: Final = _numbers(
    number="of the packet in the file, from 1",
    time_ns="when it passed, since 1970 UTC; absent where the file has no times",
    since_ns="the same since the first packet",
    pump_ms="the pump's own time; absent where it was not known",
)
MESSAGES: Final = (
    *PLACE,
    *_texts(
        way="to-pump or from-pump; absent where the file does not say",
        state="clear, opened, sealed, bad or delimiters",
        kind="of the frame; absent where it is none",
        opcode="of the frame, by name",
    ),
    *_numbers(
        sid="session",
        ctr="counter in its direction",
        ref="counter of the request that it answers",
        answers="number of the packet with that request",
    ),
    *_texts(
        message="name of the message; absent where it cannot be read",
        fields="its fields as JSON",
        trouble="why it cannot be read; empty where it can",
    ),
)
TELEMETRY: Final = (
    *PLACE,
    *(
        Column(
            name,
            name not in {"state", "state_reason", "mode", "flags", "activity", "stopped_by"},
            "as GET_STATUS [SPEC 6]",
        )
        for name in GetStatusReply._fields
    ),
)
LOG: Final = (
    *PLACE,
    *_texts(log="which log"),
    *_numbers(
        epoch="how often the log has begun anew",
        seq="number of the entry; each entry is a row once, where it was first read",
        t_mono_s="the pump's running time when it was made",
        t_ms="the same, ms within the second",
    ),
    *_texts(type="of the entry; absent, as all that follows, where the entry is corrupt"),
    *_numbers(actor="who did it [SPEC 8]", cmd_id="command that it belongs to; 0 none"),
    *_texts(
        flags="names of its flags, with + between them",
        fields="its data as JSON; absent where it cannot be read",
    ),
)
ALARMS: Final = (
    *PLACE,
    *_texts(
        what="raised or cleared, as the pump's world saw it; listed, as the pump told it",
        alarm="name of the alarm",
        alarm_class="its class; absent where it is not told",
        flags="of a listed one, names with + between them",
    ),
    *_numbers(seq="number of the log entry of its beginning", value="measured when it began"),
)


class Table(NamedTuple):
    """The columns of a table, and the rows that one entry of a recording gives."""

    columns: tuple[Column, ...]
    rows: Callable[[], Callable[[Read | Many], Iterable[Row]]]
    """Makes a function for one recording, which may remember what it has seen."""
    opcode: Opcode | None
    """In whose answers all is that it has of the line; None where it has all of it."""


def rows_of(table: Table, entries: Iterable[Read | Many]) -> Iterator[Row]:
    """The rows of a table, as they come."""
    rows = table.rows()
    for entry in entries:
        yield from rows(entry)


def _placed(entry: RecordedMessage | NumberedMark, pump_ms: int | None) -> Row:
    time_ns = entry.passed.time_ns if isinstance(entry, RecordedMessage) else entry.mark.time_ns
    return (entry.number, time_ns, entry.since_ns, pump_ms)


def _message_rows() -> Callable[[Read | Many], Iterable[Row]]:
    def rows(entry: Read | Many) -> Iterator[Row]:
        if not isinstance(entry, RecordedMessage):
            return
        passed, frame = entry.passed, entry.frame
        header: Row = (None,) * 5
        if isinstance(frame, Frame):
            header = (frame.kind.name, opcode_name(frame), frame.sid, frame.ctr, frame.ref)
        message = entry.message
        yield (
            *_placed(entry, passed.pump_ms),
            None if passed.way is None else passed.way.words,
            entry.state.value,
            *header,
            entry.answers,
            None if message is None else type(message).__name__,
            None if message is None else _json(message),
            entry.trouble,
        )

    return rows


def _telemetry_rows() -> Callable[[Read | Many], Iterable[Row]]:
    def rows(entry: Read | Many) -> Iterator[Row]:
        if isinstance(entry, Many):
            yield from entry.statuses.rows(entry.began_ns)
        elif isinstance(entry, RecordedMessage) and isinstance(entry.message, GetStatusReply):
            yield (*_placed(entry, entry.passed.pump_ms), *map(cell, entry.message))

    return rows


def _log_rows() -> Callable[[Read | Many], Iterable[Row]]:
    seen: set[tuple[int, int, int]] = set()

    def rows(entry: Read | Many) -> Iterator[Row]:
        if not isinstance(entry, RecordedMessage) or not isinstance(entry.message, LogReadReply):
            return
        page = entry.message
        for raw in page.entries:
            seq = int.from_bytes(raw[:SEQ_BYTES], "little")
            if (page.log, page.epoch, seq) not in seen:
                seen.add((page.log, page.epoch, seq))
                place = (*_placed(entry, entry.passed.pump_ms), page.log.name, page.epoch, seq)
                yield place + _entry_cells(raw)

    return rows


def _entry_cells(raw: bytes) -> Row:
    try:
        entry = LogEntry.unpack(raw)
    except (CorruptEntry, Malformed):
        return (None,) * 7
    try:
        details: str | None = _json(entry.details())
    except (Malformed, KeyError):
        details = None
    told = (entry.t_mono_s, entry.t_ms, entry.type, entry.actor, entry.cmd_id, entry.flags)
    return (*map(cell, told), details)


def _alarm_rows() -> Callable[[Read | Many], Iterable[Row]]:
    def rows(entry: Read | Many) -> Iterator[Row]:
        if isinstance(entry, NumberedMark):
            yield from _alarm_of_mark(entry)
        elif isinstance(entry, RecordedMessage) and isinstance(entry.message, GetAlarmsReply):
            for alarm in entry.message.alarms:
                said = (alarm.alarm_id, alarm.alarm_class, alarm.flags, alarm.on_seq, alarm.value)
                yield (*_placed(entry, entry.passed.pump_ms), "listed", *map(cell, said))

    return rows


_ALARM_EVENTS: Final = {"AlarmRaised": "raised", "AlarmCleared": "cleared"}


def _alarm_of_mark(entry: NumberedMark) -> Iterator[Row]:
    if entry.mark.kind != EVENT:
        return
    try:
        event = json.loads(entry.mark.text)
        what, fields = _ALARM_EVENTS.get(event["kind"]), event["fields"]
        if what is not None:
            said = (fields["alarm_id"], None, None, fields.get("log_seq"), fields.get("value"))
            yield (*_placed(entry, event["now_ms"]), what, *said)
    except (ValueError, KeyError, TypeError, AttributeError):
        return  # a mark of somebody else, who calls it an event


def cell(value: object) -> Value:
    """A field as a cell: enums and flags by name, the rest as it is."""
    if type(value) is int:  # as nearly all
        return value
    match value:
        case IntFlag():
            return "+".join(flag.name or "" for flag in value)
        case IntEnum():
            return value.name
        case bool():
            return int(value)
        case None | int() | str():
            return value
    return _json(value)


def _json(value: object) -> str:
    return json.dumps(_plain(value), separators=(",", ":"))


def _plain(value: object) -> Any:
    match value:
        case IntFlag():
            return [flag.name for flag in value]
        case IntEnum():
            return value.name
        case bytes():
            return value.hex()
        case tuple() if hasattr(value, "_asdict"):
            return {name: _plain(each) for name, each in value._asdict().items()}
        case tuple():
            return [_plain(each) for each in value]
    return value


TABLES: Final = {
    "messages": Table(MESSAGES, _message_rows, None),
    "telemetry": Table(TELEMETRY, _telemetry_rows, Opcode.GET_STATUS),
    "log": Table(LOG, _log_rows, Opcode.LOG_READ),
    "alarms": Table(ALARMS, _alarm_rows, Opcode.GET_ALARMS),
}
