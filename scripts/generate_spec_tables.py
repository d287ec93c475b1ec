"""Fill the tables of protocol/SPEC.md from the declarations, between markers `<!-- table: ... -->` and `<!-- end -->`.

python scripts/generate_spec_tables.py           write the file
python scripts/generate_spec_tables.py --check   1 if the file is not what it would write
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator
from enum import IntEnum, IntFlag
from pathlib import Path
from typing import Any

import construct

from protocol import identifiers
from protocol.codec.atoms import Count, Mapped, Octets, Record, Reserved, Rows, atom
from protocol.codec.layouts import codec_of, declaration_of, declared_classes
from protocol.identifiers import ErrorCode, Handshake, Opcode, Role
from protocol.log import types as log_identifiers
from protocol.log.data import DATA_OF
from protocol.log.types import LogType
from protocol.messages.command import Command
from protocol.messages.handshake import HANDSHAKE_MESSAGES
from protocol.registry import COMMANDS, EVENTS

SPEC = Path(__file__).parents[1] / "protocol" / "SPEC.md"
MARKED = re.compile(r"<!-- table: ([^>]+) -->\n.*?<!-- end -->", re.DOTALL)
ENUM_LISTED_UP_TO = 9
FAMILIES = {"reading": (0x10, 0x1F), "therapy": (0x20, 0x2F), "other": (0x30, 0x7F)}
WITH_TABLES_OF_THEIR_OWN = {
    "CommandResult", "ProgramHeader", "PeriodicBlock", "PatientBlock", "BridgeBlock", "Group", "Segment"
}  # fmt: skip
INTEGER_NAMES = {"B": "u8", "H": "u16", "L": "u32", "Q": "u64", "b": "i8", "h": "i16", "l": "i32", "q": "i64"}
ENUMS = {
    name: value
    for module in (identifiers, log_identifiers)
    for name, value in vars(module).items()
    if isinstance(value, type) and issubclass(value, IntEnum | IntFlag)
}


def filled(text: str) -> str:
    """The specification with every table as the declarations have it."""
    return MARKED.sub(lambda match: f"<!-- table: {match[1]} -->\n{table(match[1])}\n<!-- end -->", text)


def table(name: str) -> str:
    """One marked table, by its name."""
    kind, _, argument = name.partition(" ")
    return TABLES[kind](argument)


def by_name(name: str) -> type:
    """The declared class of a name."""
    return next(cls for cls in declared_classes() if cls.__name__ == name)


def first_line(cls: type) -> str:
    """What a message is for."""
    return (cls.__doc__ or "").strip().splitlines()[0]


def size_of(cls: type) -> str:
    """`20 B`, or `at least 4 B`."""
    has_tail = any(in_tail(layout) for _, layout in declaration_of(cls).record.parts)
    return f"{'at least ' if has_tail else ''}{codec_of(cls).size} B"


def in_tail(layout: Any) -> bool:
    """Whether a field's length is counted by another."""
    return isinstance(layout, Octets) or (isinstance(layout, Rows) and isinstance(layout.count, str))


def layout_table(cls: type) -> str:
    """Offset, field, type and meaning of each field."""
    lines = ["| offset | field | type | meaning |", "| --- | --- | --- | --- |"]
    offset: int | None = 0
    record = declaration_of(cls).record
    for comment, (name, layout) in zip(record.comments, record.parts, strict=True):
        shown = f"`{name}`" if name else "reserved"
        note = meaning(layout, comment)
        lines.append(
            f"| {offset if offset is not None else '...'} | {shown} | {type_name(layout)} | {note} |"
        )
        offset = None if in_tail(layout) or offset is None else offset + layout.sizeof()
    return "\n".join(lines) if len(lines) > 2 else "(empty)"


def type_name(layout: Any) -> str:
    """A type in words: `u32`, `16 B`, `n x Segment`."""
    match layout:
        case Mapped():
            words = type_name(layout.subcon)
        case Count():
            words = "u8"
        case Octets():
            words = f"`{layout.count}` B"
        case Rows():
            count = layout.count if isinstance(layout.count, int) else f"`{layout.count}`"
            words = f"{count} x {type_name(atom(layout.row))}"
        case Record():
            words = f"{layout.cls.__name__}, {layout.sizeof()} B"
        case construct.FormatField():
            words = INTEGER_NAMES[layout.fmtstr[1:]]
        case _:
            words = f"{layout.sizeof()} B"
    return words


def meaning(layout: Any, note: str) -> str:
    """The values that a field may have, and the comment of its declaration."""
    if isinstance(layout, Reserved):
        return "0"
    if isinstance(layout, Count):
        return f"how many `{layout.of}`, at most {layout.maximum}"
    values = ""
    if isinstance(layout, Mapped):
        values = mapped_values(layout)
    return "; ".join(part for part in (values, note) if part)


def mapped_values(layout: Mapped) -> str:
    """`1 BOLUS, 2 PRIME`, or where to find the list."""
    enum = ENUMS.get(layout.meaning.removeprefix("bits of ").split(",")[0])
    if enum is None:
        return layout.meaning if layout.meaning.startswith("0 ") else ""
    if issubclass(enum, IntFlag) and layout.meaning.startswith("bits of "):
        return ", ".join(f"b{bit.value.bit_length() - 1} {bit.name}" for bit in enum)
    if len(enum) > ENUM_LISTED_UP_TO:
        return f"{enum.__name__}"
    none = next((f", {wire:02X} none" for wire, value in layout.value_of.items() if value is None), "")
    return ", ".join(f"{value_in(enum, member)} {member.name}" for member in enum) + none


def value_in(enum: type[IntEnum | IntFlag], member: IntEnum | IntFlag) -> str:
    """Decimal for small numbers, hex for codewords and codes."""
    widest = max(int(other) for other in enum)
    digits = 2 if widest < 0x100 else 4
    return str(int(member)) if widest < 0x20 else f"0x{int(member):0{digits}X}"


def enum_table(enum: type[IntEnum | IntFlag]) -> str:
    """Value and name of each member."""
    lines = ["| value | name |", "| --- | --- |"]
    return "\n".join(lines + [f"| {value_in(enum, member)} | {member.name} |" for member in enum])


def roles_of(row: Command) -> str:
    """`[PC]`, in the order of the roles."""
    return "".join(role.name[0] for role in Role if role in row.roles)


def command_section(row: Command) -> str:
    """Heading, purpose, request and answer of one command, and the records inside them."""
    parts = [
        f"#### 0x{row.opcode:02X} {row.name} [{roles_of(row)}{' + pairing' if row.pairing else ''}]",
        first_line(row.request),
        *side("Request", row.request),
        *side("Answer", row.response),
    ]
    return "\n\n".join(parts)


def side(title: str, cls: type) -> Iterator[str]:
    """One direction of a command."""
    body = layout_table(cls)
    if body == "(empty)":
        yield f"{title}: empty."
        return
    yield f"{title}, {size_of(cls)}:"
    yield body
    for _, layout in declaration_of(cls).record.parts:
        row = atom(layout.row) if isinstance(layout, Rows) else layout
        if isinstance(row, Record) and row.cls.__name__ not in WITH_TABLES_OF_THEIR_OWN:
            yield f"{row.cls.__name__}, {row.sizeof()} B:"
            yield layout_table(row.cls)


def commands_table() -> str:
    """All commands at a glance."""
    lines = [
        "| opcode | name | roles | request | answer | cmd_id | while unknown | end of service |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| 0x{row.opcode:02X} | {row.name} | {roles_of(row)} | {size_of(row.request)} |"
        f" {size_of(row.response)} | {'yes' if row.carries_cmd_id else ''} |"
        f" {'allowed' if row.while_unknown else ''} | {'refused' if row.therapy else ''} |"
        for row in COMMANDS.values()
    ]
    return "\n".join(lines)


def errors_table() -> str:
    """Every code in its class."""
    lines = ["| class | code | name |", "| --- | --- | --- |"]
    lines += [
        f"| {code.error_class.value} {code.error_class.name.lower()} | 0x{code:04X} | {code.name} |"
        for code in sorted(ErrorCode)
    ]
    return "\n".join(lines)


def log_table() -> str:
    """Every type of entry with its data."""
    lines = ["| type | name | data | meaning |", "| --- | --- | --- | --- |"]
    for log_type in LogType:
        cls = DATA_OF[log_type]
        fields = []
        for name, layout in declaration_of(cls).record.parts:
            values = meaning(layout, "") if isinstance(layout, Mapped) else ""
            shown = f"`{name}` {type_name(layout)}" if name else f"{layout.length} B 0"
            fields.append(f"{shown} ({values})" if values else shown)
        said = first_line(cls) if fields else ""
        lines.append(f"| 0x{log_type:04X} | {log_type.name} | {', '.join(fields) or '-'} | {said} |")
    return "\n".join(lines)


def handshake_tables() -> str:
    """The five messages of a handshake."""
    sections = []
    for opcode, cls in HANDSHAKE_MESSAGES.items():
        name = "HS_REJECT" if opcode is Handshake.REJECT else opcode.name
        sections.append(
            f"**{name} 0x{opcode:02X}**, {size_of(cls)}. {first_line(cls)}\n\n{layout_table(cls)}"
        )
    return "\n\n".join(sections)


def messages_of(family: str) -> str:
    """Every command of one family."""
    first, last = FAMILIES[family]
    return "\n\n".join(command_section(row) for opcode, row in COMMANDS.items() if first <= opcode <= last)


TABLES: dict[str, Callable[[str], str]] = {
    "layout": lambda name: layout_table(by_name(name)),
    "enum": lambda name: enum_table(ENUMS[name]),
    "messages": messages_of,
    "commands": lambda _: commands_table(),
    "handshake": lambda _: handshake_tables(),
    "errors": lambda _: errors_table(),
    "log": lambda _: log_table(),
    "event": lambda _: layout_table(EVENTS[Opcode.EVENT_HINT]),
}


def main() -> int:
    """Write, or check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    before = SPEC.read_text()
    after = filled(before)
    if check and before != after:
        print(f"{SPEC} is not what the declarations say; run {Path(__file__).name}")
        return 1
    if not check:
        SPEC.write_text(after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
