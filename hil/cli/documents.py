"""The JSON documents of `pumpbench program --json`: what each begins with, and how the values of messages look in it.

A document has the fields of the pump's answer and those of a class below. `hil.cli.json_schema` describes both.
"""

from __future__ import annotations

import json
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Annotated, Any, Generic, NamedTuple, NotRequired, TypedDict, TypeVar

from hil.cli.tables import iso_time
from hil.errors import ExitCode, PumpbenchError
from protocol.identifiers import AlarmClass, ConfigId, DeviceKind, ErrorCode, Outcome, StatusFlag
from protocol.log.types import LogFlag, LogName
from protocol.messages.keys import KeyRow  # noqa: TC001 - the schema is made from it

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

VERSION = 1
"""Counts changes of a document that take something away or give it another meaning; a new field is none."""
Reply = TypeVar("Reply")


class Device(NamedTuple):
    """Which pump the status is of."""

    kind: Annotated[DeviceKind, "what answered: an emulated pump, or a board"]
    serial: Annotated[bytes, "serial number of the pump"]


class StatusPart(TypedDict):
    """What `status` adds to the pump's answer."""

    device: Annotated[Device, "which pump this is"]
    program: NotRequired[Annotated[Any, "the active program; absent where there is none"]]


class TimePart(TypedDict):
    """What `time` adds to the pump's answer."""

    wall_valid: Annotated[bool, "whether the wall clock is set and not in doubt"]


class ErrorFields(TypedDict):
    """What went wrong, whose fault it is and what to do."""

    accused: Annotated[str, "whose fault it is"]
    message: Annotated[str, "what is wrong"]
    advice: Annotated[str, "what to do; empty where nothing can be advised"]
    exit_code: Annotated[int, "the exit code of the command"]
    name: Annotated[str, "the exit code by its name, as on the page `pumpbench help exit-codes`"]
    cmd_id: NotRequired[Annotated[int, "id of the command that it is about"]]
    outcome: NotRequired[Annotated[Outcome, "what the pump said of that command"]]
    code: NotRequired[Annotated[ErrorCode, "why the pump refused"]]


class ErrorPart(TypedDict):
    """A document that says why there is no other."""

    error: Annotated[ErrorFields, "what went wrong"]


class LostEntries(TypedDict):
    """Entries that the log had before it overwrote them, both included."""

    first_seq: Annotated[int, "number of the first entry that is lost"]
    last_seq: Annotated[int, "number of the last entry that is lost"]


class AlarmTestPart(TypedDict):
    """A tone that was played."""

    alarm_class: Annotated[AlarmClass, "whose tone it was"]


class EntryPart(TypedDict):
    """What is added to each entry of a log."""

    text: Annotated[str, "the entry as one line for people"]
    time_iso: Annotated[str | None, "ISO 8601 time of the pump's clock then; null where it cannot be known"]
    fields: Annotated[Any, "the data of the entry by its type; null where it cannot be read"]


class LogPart(TypedDict):
    """Entries of a log, with proof that none is missing."""

    log: Annotated[LogName, "which log"]
    epoch: Annotated[int, "counts how often the log has begun anew"]
    first_seq: Annotated[int, "number of the first entry that was asked for"]
    next_seq: Annotated[int, "number of the entry that comes next"]
    complete: Annotated[bool, "whether nothing is lost and nothing is corrupt"]
    lost: Annotated[list[LostEntries], "entries that the log has overwritten"]
    corrupt_seqs: Annotated[list[int], "numbers of the entries that cannot be read"]
    entries: Annotated[list[Any], "the entries in order"]


class NoticesPart(TypedDict):
    """What a human should know of earlier commands."""

    notices: Annotated[list[str], "sentences on what was found out of earlier commands"]


class QueryPart(TypedDict):
    """What `query` adds: the command, and what is known of it here; null is not known."""

    cmd_id: Annotated[int, "id of the command"]
    outcome: Annotated[str, "what became of it, by all that is known here"]
    delivered_nl: Annotated[
        int | None, "volume delivered; null where it is not known, or the pump never received the command"
    ]
    uncertain_nl: Annotated[
        int | None, "delivered <= true <= delivered + uncertain; null where delivered_nl is null"
    ]
    pump_outcome: Annotated[str, "what the pump itself answered"]


class ExecutedPart(TypedDict, Generic[Reply]):
    """What a command did."""

    cmd_id: Annotated[int, "id of the command"]
    outcome: Annotated[Outcome, "what became of it"]
    delivered_nl: Annotated[int, "volume delivered so far"]
    uncertain_nl: Annotated[int, "delivered <= true <= delivered + uncertain"]
    reply: Annotated[
        Reply | None, "the pump's answer; null where it was lost and the outcome was learnt by asking"
    ]
    warnings: NotRequired[Annotated[list[str], "what was warned of and confirmed; present with a program"]]
    error: NotRequired[Annotated[ErrorFields, "present where the command did not do all that was asked for"]]


class CheckedPart(TypedDict):
    """What `write --check` prints: how the pump reads the program, and what has to be confirmed."""

    checked: Annotated[bool, "always true: nothing was changed"]
    day_totals_nl: Annotated[
        list[int], "the pump's own reading: volume of the basal rate, a day of each group"
    ]
    peak_rate_nl_per_day: Annotated[int, "the pump's own reading: the fastest rate, boluses aside"]
    staged_crc: Annotated[int, "CRC-32C of the program, as GET_PROGRAM tells it once it is active"]
    warnings: Annotated[list[str], "what has to be confirmed where it is written"]


class VoidPart(NoticesPart):
    """What `void` adds to the pump's answer."""

    error: NotRequired[Annotated[ErrorFields, "present where the command was not voided"]]


class PingPart(TypedDict):
    """That somebody is there."""

    answered: Annotated[bool, "always true: no answer is an error"]


class AcceptPart(TypedDict):
    """That an unknown outcome blocks no more."""

    cmd_id: Annotated[int, "id of the command"]
    accepted: Annotated[bool, "always true: it is filed as unknown for ever"]


class ConfigItem(NamedTuple):
    """One item of the configuration."""

    config_id: Annotated[ConfigId, "which item; the unit of a number is the last part of its name"]
    value: Annotated[str | int | bool, "a text, a number in that unit, or whether"]


class ConfigPart(TypedDict):
    """What the clinic has set."""

    items: Annotated[list[ConfigItem], "the items that were asked for, or the one that was set"]
    before: NotRequired[Annotated[str | int | bool, "what the item was before it was set"]]


class KeysPart(TypedDict):
    """Who is paired; empty where a programmer has revoked its own key."""

    keys: Annotated[list[KeyRow], "the paired keys, in the order of their slots"]
    added: NotRequired[Annotated[int, "id of the key that was paired"]]
    revoked: NotRequired[Annotated[int, "id of the key that was revoked"]]


def json_text(name: str, document: object) -> str:
    """The document of a name as JSON: raw integers with units in their names, enums by name, flags as lists."""
    return json.dumps({"schema": f"pumpbench/{name}", "version": VERSION, **_plain(document)}, indent=2)


def json_line(name: str, document: object) -> str:
    """The same on one line, where documents follow one another."""
    return json.dumps({"schema": f"pumpbench/{name}", "version": VERSION, **_plain(document)})


def error_fields(error: PumpbenchError) -> ErrorFields:
    """An error of ours as a part of a document."""
    fields = ErrorFields(
        accused=error.accused,
        message=error.message,
        advice=error.advice,
        exit_code=int(error.exit_code),
        name=ExitCode(error.exit_code).name,
    )
    known = {name: getattr(error, name, None) for name in ("cmd_id", "outcome", "code")}
    more: Any = {name: value for name, value in known.items() if value is not None}
    fields.update(more)
    return fields


def is_wall_time(field_name: str) -> bool:
    """Whether a field is a moment of the wall clock, which a document has as an ISO 8601 time too."""
    return field_name == "wall_s" or field_name.endswith("_wall_s")


def iso_name(field_name: str) -> str:
    """The name of the ISO 8601 time beside a field."""
    return f"{field_name}_iso"


def _plain(value: Any, *, clock_is_valid: bool = True) -> Any:
    """A message, or anything made of messages, as what JSON has."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    match value:
        case IntFlag():
            return [flag.name for flag in value]
        case IntEnum():
            return value.name
        case dict():
            return dict(_with_iso_times(value, clock_is_valid=clock_is_valid and _clock_is_valid(value)))
        case tuple() | list():
            return [_plain(part, clock_is_valid=clock_is_valid) for part in value]
        case bytes():
            return value.hex()
    return _text(value) if isinstance(value, str) else value


def _text(value: str) -> str:
    """A text; half of a character, from a file's name that is none, is told by its number, since readers refuse it."""
    return value.encode("utf-8", "backslashreplace").decode()


def _clock_is_valid(fields: Mapping[str, Any]) -> bool:
    """Whether the wall clock is to be believed, where the fields of an object say so."""
    match fields.get("flags"):
        case StatusFlag() as flags:
            return StatusFlag.WALL_VALID in flags
        case LogFlag() as flags:
            return LogFlag.WALL_VALID in flags
    return bool(fields.get("wall_valid", True))


def _with_iso_times(fields: Mapping[str, Any], *, clock_is_valid: bool) -> Iterator[tuple[str, Any]]:
    """The fields of an object, with an ISO 8601 time beside each moment of the wall clock.

    It is in the pump's own zone where the object has that, else in UTC.
    """
    for name, value in fields.items():
        is_serial = name == "serial" and isinstance(value, bytes)
        yield name, _serial(value) if is_serial else _plain(value, clock_is_valid=clock_is_valid)
        if is_wall_time(name):
            own_zone = name.removesuffix("wall_s") + "tz_minutes"
            zone = fields.get(own_zone, fields.get("tz_minutes", 0))
            yield iso_name(name), iso_time(value, zone) if clock_is_valid and value else None


def _serial(value: bytes) -> str:
    """A serial number as text; in hexadecimal where it is none."""
    text = value.rstrip(b"\x00").decode("latin-1")
    return text if text and text.isascii() and text.isprintable() else value.hex()
