"""Which rule holds for which field: that of its declaration, unless somebody has one of their own, with a reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from protocol.codec.atoms import Record, Rows, atom
from protocol.codec.layouts import declaration_of, declared_classes
from protocol.codec.sameness import EXACT, Rule
from protocol.log.entry import ENTRY_BYTES, LogEntry
from protocol.messages.log import LogReadReply

if TYPE_CHECKING:
    from collections.abc import Mapping

DECLARED: Final = "as declared"
BAD_FRAME: Final = "BadFrame"
"""Stands for what passed and is no frame, or a damaged one: its one field is `data`, every byte."""


class Override(NamedTuple):
    """A rule of somebody's own for a field of a message, or of a record in messages, such as CommandResult.

    `field_path` has names alone, with dots between those of records in each other.
    """

    message: str
    field_path: str
    rule: Rule
    reason: str

    @property
    def place(self) -> str:
        """As a person names the field."""
        return f"{self.message}.{self.field_path}"


@dataclass(frozen=True)
class Rules:
    """The rules of one comparison; without overrides those of the declarations."""

    overrides: Mapping[tuple[str, str], Override] = field(default_factory=dict)

    def of(self, message: type, field_path: str, owner: type, declared: Rule) -> tuple[Rule, Override | None]:
        """The rule of a field: of this message, else of the record that it stands in, else the declared one."""
        names = ((message.__name__, field_path), (owner.__name__, field_path.rpartition(".")[2]))
        for name in names:
            if name in self.overrides:
                return self.overrides[name].rule, self.overrides[name]
        return declared, None

    def of_bad_frames(self) -> tuple[Rule, Override | None]:
        """The rule for the bytes of what is no frame."""
        override = self.overrides.get((BAD_FRAME, "data"))
        return (EXACT, None) if override is None else (override.rule, override)


class FieldOfRecord(NamedTuple):
    """A field as it is declared: `rows_of` and `record` say what its value consists of, where it is no plain value."""

    name: str
    rule: Rule
    record: type | None
    is_rows: bool
    is_log_entry: bool


def fields_of(cls: type) -> tuple[FieldOfRecord, ...]:
    """The fields of a declared class, in their order; reserved bytes and counts are none."""
    record = declaration_of(cls).record
    layouts = dict(record.parts)
    rules = dict(zip((name for name, _ in record.parts), record.rules, strict=True))
    names: tuple[str, ...] = record.cls._fields
    return tuple(_field(cls, name, layouts[name], rules[name]) for name in names)


def _field(cls: type, name: str, layout: Any, rule: Rule) -> FieldOfRecord:
    is_rows = isinstance(layout, Rows)
    row = atom(layout.row) if isinstance(layout, Rows) else layout
    record = row.cls if isinstance(row, Record) else None
    is_log_entry = cls is LogReadReply and is_rows and row.sizeof() == ENTRY_BYTES
    return FieldOfRecord(name, rule, LogEntry if is_log_entry else record, is_rows, is_log_entry)


def declared_at(message: str, field_path: str) -> list[tuple[type, FieldOfRecord]]:
    """The record and the field in it that a path leads to, of each class with that name. KeyError: no such class."""
    classes = [cls for cls in declared_classes() if cls.__name__ == message]
    if not classes:
        raise KeyError(message)
    found = (_at(cls, field_path.split(".")) for cls in classes)
    return [each for each in found if each is not None]


def _at(cls: type, names: list[str]) -> tuple[type, FieldOfRecord] | None:
    for each in fields_of(cls):
        if each.name == names[0]:
            if len(names) == 1:
                return cls, each
            return None if each.record is None else _at(each.record, names[1:])
    return None
