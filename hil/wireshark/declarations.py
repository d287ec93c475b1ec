"""The declarations of the messages as tables of Lua, for the dissector: every kind of frame, every record, every word.

Nothing of a message is written down here twice. What is: numbers whose meaning the declarations have in a comment
alone, such as a mask in which later versions may set more bits.
"""

from __future__ import annotations

import re
from enum import IntFlag
from typing import TYPE_CHECKING, Any, Final

from protocol.codec.atoms import Count, Mapped, Octets, Record, Reserved, Rows, atom
from protocol.codec.diagnostics import integer_range
from protocol.codec.field_words import bare_name_and_unit
from protocol.codec.layouts import declaration_of
from protocol.identifiers import (
    PROTOCOL_VERSION,
    AlarmId,
    Capability,
    ErrorCode,
    Handshake,
    Kind,
    Opcode,
    Suite,
)
from protocol.log.data import DATA_OF, CmdIntentData, CmdRefusedData, RoleDeniedData
from protocol.log.entry import ENTRY_BYTES, LogEntry, describe_actor
from protocol.messages.errors import ErrorReply
from protocol.messages.handshake import HANDSHAKE_MESSAGES, ClientHello, PumpHello
from protocol.messages.ledger import CommandResult, QueryCmdReply, VoidCmdReply
from protocol.messages.log import LogReadReply
from protocol.messages.program import Group
from protocol.messages.reading import GetStatusReply
from protocol.registry import EVENTS
from protocol.wire.frame import Fault
from protocol.wire.limits import MAX_PAYLOAD_BYTES, RECEIVE_LIMIT_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from protocol.messages.command import Command

IN_HEX: Final = re.compile(r"(^|_)(crc|crc32|token|memory_id)$")
HEX_FROM: Final = 0x20
"""Words of larger numbers are codewords and codes, which are known in hex."""
_DAYS: Final = {1 << n: day for n, day in enumerate(("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"))}
_ALARMS: Final = {1 << alarm: alarm.name for alarm in AlarmId}
# Plain numbers of which a comment says that their bits have names: others are no fault.
BITS_OF: Final[Mapping[tuple[type, str], Mapping[int, str]]] = {
    (ClientHello, "suites"): {bit.value: str(bit.name) for bit in Suite},
    (PumpHello, "caps"): {bit.value: str(bit.name) for bit in Capability},
    (GetStatusReply, "alarm_active"): _ALARMS,
    (GetStatusReply, "alarm_latched"): _ALARMS,
    (Group, "day_mask"): _DAYS,
}
_OPCODES: Final = {0: "none", **{opcode.value: opcode.name for opcode in Opcode}}
_REASONS: Final = {0: "none", **{code.value: code.name for code in ErrorCode}}
# Likewise numbers that are named elsewhere.
WORDS_OF: Final[Mapping[tuple[type, str], Mapping[int, str]]] = {
    (LogEntry, "actor"): {actor: describe_actor(actor) for actor in range(0x100)},
    **{(cls, "op"): _OPCODES for cls in (CmdIntentData, CmdRefusedData, QueryCmdReply, VoidCmdReply)},
    (RoleDeniedData, "opcode"): _OPCODES,
    **{(cls, "reason"): _REASONS for cls in (CommandResult, QueryCmdReply, VoidCmdReply)},
}
ENTRIES: Final = (LogReadReply, "entries")
"""Rows of bytes that are log entries, each with its check behind it."""


class _Raw(str):
    """Lua as it is, where a str would be quoted."""

    __slots__ = ()


def lua(value: Any) -> str:
    """A value as Lua: a dict with names or numbers as keys, a list, text, a number, a truth."""
    if isinstance(value, _Raw):
        return value
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_key(key)} = {lua(part)}' for key, part in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"{{ {', '.join(map(lua, value))} }}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    escaped = "".join(c if 32 <= ord(c) < 127 and c not in '"\\' else _octets(c) for c in value)
    return f'"{escaped}"'


def _octets(character: str) -> str:
    return "".join(f"\\{octet:03d}" for octet in character.encode("utf-8", "replace"))


def _key(key: Any) -> str:
    return str(key) if isinstance(key, str) else f"[{int(key)}]"


def lua_declarations(commands: Iterable[Command]) -> str:
    """The tables for these commands, and for all that is no command: handshake, events, refusals, log entries."""
    return _Tables().text(list(commands))


class _Tables:
    """Collects records and words as they are met, each once."""

    def __init__(self) -> None:
        self._words: dict[str, str] = {}
        self._records: dict[str, list[dict[str, Any]]] = {}
        self._classes: dict[str, type] = {}

    def text(self, commands: list[Command]) -> str:
        """Everything, as Lua."""
        declared = {kind: dict(rows) for kind, rows in self._declared(commands).items()}
        log_data = {
            log_type.value: {"name": log_type.name, "record": self._record(DATA_OF[log_type])}
            for log_type in DATA_OF
        }
        refusal = self._record(ErrorReply)
        opcodes = {row.opcode.value: _title(row) for row in commands}
        opcodes |= {opcode.value: opcode.name for opcode in EVENTS}
        return "\n".join(
            (
                f"local VERSION = {PROTOCOL_VERSION}",
                f"local PAYLOAD_MAX, RECEIVE_LIMIT = {MAX_PAYLOAD_BYTES}, {RECEIVE_LIMIT_BYTES}",
                f"local KINDS = {lua({kind.value: kind.name for kind in Kind})}",
                f"local FAULTS = {lua({fault.name: fault.value for fault in Fault})}",
                f"local HANDSHAKES = {lua({each.value: _handshake_name(each) for each in HANDSHAKE_MESSAGES})}",
                f"local OPCODES = {lua(opcodes)}",
                "-- words of numbers",
                "local WORDS = {}",
                *(f"WORDS.{name} = {table}" for table, name in self._words.items()),
                "-- records: their fields in order",
                "local RECORDS = {",
                *(f"    {name} = {{\n{_rows(fields)}    }}," for name, fields in self._records.items()),
                "}",
                "-- messages by kind of frame and opcode",
                "local DECLARED = {",
                *(f"    [{int(kind)}] = {{\n{_by_number(rows)}    }}," for kind, rows in declared.items()),
                "}",
                f"local LOG_DATA = {{\n{_by_number(log_data)}}}",
                f"local REFUSAL_RECORD = {lua(refusal)}",
            )
        )

    def _declared(self, commands: list[Command]) -> dict[int, Iterator[tuple[int, dict[str, str]]]]:
        return {
            Kind.HANDSHAKE: (
                (each.value, self._message(_handshake_name(each), "hs." + _handshake_name(each).lower(), cls))
                for each, cls in HANDSHAKE_MESSAGES.items()
            ),
            Kind.REQUEST: (
                (row.opcode.value, self._message(_title(row), row.name.lower() + ".req", row.request))
                for row in commands
            ),
            Kind.RESPONSE: (
                (row.opcode.value, self._message(_title(row), row.name.lower() + ".rsp", row.response))
                for row in commands
            ),
            Kind.EVENT: (
                (opcode.value, self._message(opcode.name, opcode.name.lower() + ".evt", cls))
                for opcode, cls in EVENTS.items()
            ),
        }

    def _message(self, name: str, prefix: str, cls: type) -> dict[str, str]:
        return {"name": name, "prefix": prefix, "record": self._record(cls)}

    def _record(self, cls: type) -> str:
        """The name under which a class is among the records; two packages may have classes of one name."""
        name = cls.__name__
        while self._classes.get(name, cls) is not cls:
            name += "_"
        if name not in self._classes:
            self._classes[name] = cls
            fields = [self._field(cls, *part) for part in declaration_of(cls).record.parts]
            if cls is LogEntry:
                covers = sum(field["bytes"] for field in fields)
                fields.append({"kind": "check", "name": "check", "bytes": 2, "covers": covers})
            self._records[name] = fields
        return name

    def _field(self, cls: type, name: str, layout: Any) -> dict[str, Any]:
        named = {"name": name, **self._shape(cls, name, layout)}
        return named if name else {key: value for key, value in named.items() if key != "name"}

    def _shape(self, cls: type, name: str, layout: Any) -> dict[str, Any]:
        """What the dissector has to know of one field."""
        match layout:
            case Reserved():
                shape = {"kind": "reserved", "bytes": layout.length}
            case Count():
                shape = {"kind": "count", "bytes": 1, "high": layout.maximum}
            case Octets():
                shape = {"kind": "octets", "times": layout.count, "told": True}
            case Record():
                shape = {"kind": "record", "bytes": layout.sizeof(), "record": self._record(layout.cls)}
            case Rows():
                shape = self._rows_of(cls, name, layout)
            case Mapped():
                shape = self._number(layout.subcon, name) | self._values(layout)
            case _ if hasattr(layout, "fmtstr"):
                shape = self._number(layout, name) | self._named_elsewhere(cls, name)
            case _:
                kind = "log_data" if (cls, name) == (LogEntry, "data") else "bytes"
                shape = {"kind": kind, "bytes": layout.sizeof()}
        return shape

    def _named_elsewhere(self, cls: type, name: str) -> dict[str, Any]:
        if bits := BITS_OF.get((cls, name)):
            return {"bits": [[bit, word] for bit, word in bits.items()]}
        if words := WORDS_OF.get((cls, name)):
            return {"words": self._word_table(words), "hex": True}
        return {}

    def _rows_of(self, cls: type, name: str, layout: Rows) -> dict[str, Any]:
        row = atom(layout.row)
        shape = {"kind": "rows", "times": layout.count, "bytes": row.sizeof()}
        if (cls, name) == ENTRIES:
            if row.sizeof() != ENTRY_BYTES:
                raise TypeError(
                    f"{cls.__name__}.{name} has rows of {row.sizeof()} bytes, a log entry {ENTRY_BYTES}"
                )
            return shape | {"record": self._record(LogEntry), "prefix": "pumpbench.log"}
        if isinstance(row, Record):
            return shape | {"record": self._record(row.cls)}
        return shape | {"row": self._field(cls, name, row)}

    def _number(self, layout: Any, name: str) -> dict[str, Any]:
        low, _high = integer_range(layout)
        shape: dict[str, Any] = {"kind": "number", "bytes": layout.sizeof()}
        if low < 0:
            shape["signed"] = True
        if IN_HEX.search(name):
            shape["hex"] = True
        elif unit := bare_name_and_unit(name)[1]:
            shape["unit"] = unit
        if name == "wall_s" or name.endswith("_wall_s"):
            shape["wall"] = True
        return shape

    def _values(self, layout: Mapped) -> dict[str, Any]:
        """Of a number with listed values: its bits, or its words and the numbers that stand for themselves."""
        values = layout.value_of
        mask = max(values)
        if isinstance(values.get(0), IntFlag) and len(values) == 1 << mask.bit_count():
            return {"bits": [[bit.value, bit.name] for bit in type(values[0])], "mask": mask}
        plain = [wire for wire, value in values.items() if type(value) is int]
        words = {wire: _word(value) for wire, value in values.items() if type(value) is not int}
        shape: dict[str, Any] = {"closed": True}
        if plain:
            if plain != list(range(plain[0], plain[-1] + 1)):
                raise TypeError(f"{layout.meaning}: numbers with gaps between them")
            shape = {"low": plain[0], "high": plain[-1]}
        if words:
            shape["words"] = self._word_table(words)
            if max(words) >= HEX_FROM:
                shape["hex"] = True
        return shape

    def _word_table(self, words: Mapping[int, str]) -> _Raw:
        table = lua(dict(words))
        if table not in self._words:
            self._words[table] = f"w{len(self._words) + 1}"
        return _Raw(f"WORDS.{self._words[table]}")


def _word(value: Any) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value.name)


def _title(row: Command) -> str:
    """The name of a command; a vendor's opcode says less than its request."""
    return row.name if row.opcode in _OPCODES else f"{row.name} {row.request.__name__}"


def _handshake_name(opcode: Handshake) -> str:
    """As in the tables of SPEC 4.2."""
    return "HS_REJECT" if opcode is Handshake.REJECT else opcode.name


def _rows(fields: list[dict[str, Any]]) -> str:
    return "".join(f"        {lua(field)},\n" for field in fields)


def _by_number(rows: Mapping[int, Any]) -> str:
    return "".join(f"        [{int(number)}] = {lua(row)},\n" for number, row in rows.items())
