"""Values for every declared layout: hypothesis strategies, and the declared reading to compare with."""

from __future__ import annotations

from typing import Any

import construct
from hypothesis import strategies as st

from protocol import registry
from protocol.codec.atoms import Count, Mapped, Octets, Record, Rows, atom
from protocol.codec.diagnostics import integer_range
from protocol.codec.layouts import declaration_of, declared_classes
from protocol.log import entry

MODULES = (registry, entry)  # importing them declares every layout
CLASSES = tuple(
    cls for cls in declared_classes() if cls.__module__.startswith("protocol.")
)  # not those of tests


def record_of(cls: type) -> Record:
    return declaration_of(cls).record


def messages(cls: type) -> st.SearchStrategy[Any]:
    """Any message of a class."""
    return _values(record_of(cls), {})


def _values(layout: Any, counts: dict[str, Count]) -> st.SearchStrategy[Any]:
    match layout:
        case Record():
            inner = {name: part for name, part in layout.parts if isinstance(part, Count)}
            fields = [_values(part, inner) for name, part in layout.parts if name and name not in inner]
            values = st.tuples(*fields).map(lambda row: layout.cls(*row))
        case Mapped():
            values = st.sampled_from(list(layout.value_of.values()))
        case Octets():
            values = st.binary(max_size=counts[layout.count].maximum)
        case Rows(count=int(number)):
            values = st.tuples(*[_values(atom(layout.row), {})] * number)
        case Rows():
            row = _values(atom(layout.row), {})
            values = st.lists(row, max_size=counts[str(layout.count)].maximum).map(tuple)
        case construct.Bytes():
            length = layout.sizeof()
            values = st.binary(min_size=length, max_size=length)
        case _:
            values = st.integers(*integer_range(layout))
    return values


def declared_parse(cls: type, payload: bytes) -> Any:
    """The message as construct itself reads the declaration."""
    return construct.Struct("message" / record_of(cls), construct.Terminated).parse(payload).message


def declared_build(message: object) -> bytes:
    """The payload as construct itself writes the declaration."""
    return bytes(record_of(type(message)).build(message))


def fixed_places(cls: type) -> list[tuple[str, Any, int]]:
    """(name, layout, offset) of each field in the fixed part, records opened."""
    found: list[tuple[str, Any, int]] = []
    _collect(record_of(cls), 0, "", found)
    return found


def _collect(record: Record, offset: int, prefix: str, found: list[tuple[str, Any, int]]) -> int:
    for name, part in record.parts:
        if isinstance(part, Octets) or (isinstance(part, Rows) and isinstance(part.count, str)):
            continue
        rows = [atom(part.row)] * int(part.count) if isinstance(part, Rows) else [part]
        for row in rows:
            if isinstance(row, Record):
                offset = _collect(row, offset, f"{prefix}{name}.", found)
            else:
                found.append((f"{prefix}{name}", row, offset))
                offset += row.sizeof()
    return offset
