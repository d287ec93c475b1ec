"""The first field of a payload that is malformed, or of a message that cannot be encoded.

It is found from the declared layout, slowly, and only after `derived` has failed.
"""

from __future__ import annotations

from typing import Any

import construct

from protocol.codec.atoms import Count, Malformed, Mapped, NotEncodable, Octets, Record, Reserved, Rows, atom
from protocol.identifiers import ErrorCode


def first_fault(record: Record, payload: bytes) -> Malformed:
    """The refusal of a payload: its length before any of its values [SPEC 7]."""
    fault = _length_fault(record, payload) or _value_fault(record, payload)
    # Without either, declared and derived layout disagree, which the property test excludes.
    return fault or Malformed(ErrorCode.LENGTH, None, len(payload), len(payload))


def _length_fault(record: Record, payload: bytes) -> Malformed | None:
    wanted = 0
    counts: dict[str, int] = {}
    for name, layout in record.parts:
        if isinstance(layout, Count) and wanted < len(payload):
            counts[name] = payload[wanted]
            if payload[wanted] > layout.maximum:
                return Malformed(ErrorCode.LENGTH, wanted, payload[wanted], layout.maximum)
        rows, size = _repetitions(layout, counts)
        wanted += rows * size
    if wanted != len(payload):
        return Malformed(ErrorCode.LENGTH, None, len(payload), wanted)
    return None


def _value_fault(layout: Any, payload: bytes, offset: int = 0) -> Malformed | None:
    """The first bad value of a payload whose length is right; walks rows of a tail to the payload's end."""
    if isinstance(layout, Record):
        counts: dict[str, int] = {}
        for name, part in layout.parts:
            if isinstance(part, Count):
                counts[name] = payload[offset]
            rows, size = _repetitions(part, counts)
            for _ in range(rows):
                fault = _value_fault(part.row if isinstance(part, Rows) else part, payload, offset)
                if fault is not None:
                    return fault
                offset += size
        return None
    if isinstance(layout, Reserved):
        for place in range(offset, offset + layout.length):
            if payload[place]:
                return Malformed(ErrorCode.RESERVED_BITS, place, payload[place])
    if isinstance(layout, Mapped):
        number = layout.subcon.parse(payload[offset : offset + layout.sizeof()])
        if number not in layout.value_of:
            return Malformed(layout.code, offset, number, limit=max(layout.value_of))
    return None


def _repetitions(layout: Any, counts: dict[str, int]) -> tuple[int, int]:
    """How many parts of which size a field has; none where its count has not been read."""
    if isinstance(layout, Rows | Octets):
        number = layout.count if isinstance(layout.count, int) else counts.get(layout.count, 0)
        return number, layout.row.sizeof()
    return 1, layout.sizeof()


def first_unencodable(record: Record, message: Any) -> NotEncodable:
    """The error that names the first value that its field cannot carry."""
    name = record.cls.__name__
    reason = _unencodable(record, message, name)
    return NotEncodable(reason or f"{name}: a value of a type that no field carries: {message!r}")


def _unencodable(layout: Any, value: Any, name: str) -> str | None:
    if isinstance(layout, Record):
        return _unencodable_record(layout, value, name)
    if isinstance(layout, Rows):
        return _unencodable_rows(layout, value, name)
    if isinstance(layout, Mapped):
        good = _is_key_of(layout.wire_of, value)
        return None if good else f"{name} is {value!r}, not one of {layout.meaning}"
    if isinstance(layout, construct.Bytes | Octets):
        return _unencodable_bytes(layout, value, name)
    low, high = integer_range(layout)
    good = isinstance(value, int) and low <= value <= high
    return None if good else f"{name} is {value!r}, not an integer in {low} to {high}"


def _unencodable_bytes(layout: Any, value: Any, name: str) -> str | None:
    if not isinstance(value, bytes | bytearray | memoryview):
        return f"{name} is {value!r}, not bytes"
    if isinstance(layout, construct.Bytes) and len(value) != layout.length:
        return f"{name} has {len(value)} bytes, not {layout.length}"
    return None


def _unencodable_record(record: Record, message: Any, name: str) -> str | None:
    if not isinstance(message, record.cls):
        return f"{name} is {message!r}, not a {record.cls.__name__}"
    for part_name, layout in record.parts:
        if isinstance(layout, Reserved):
            continue
        if isinstance(layout, Count):
            rows = getattr(message, layout.of)
            if hasattr(rows, "__len__") and len(rows) > layout.maximum:
                return f"{name}.{layout.of} has {len(rows)} items, at most {layout.maximum} fit"
            continue
        reason = _unencodable(layout, getattr(message, part_name), f"{name}.{part_name}")
        if reason is not None:
            return reason
    return None


def _unencodable_rows(layout: Rows, value: Any, name: str) -> str | None:
    if not isinstance(value, tuple | list):
        return f"{name} is {value!r}, not a tuple"
    if isinstance(layout.count, int) and len(value) != layout.count:
        return f"{name} has {len(value)} items, not {layout.count}"
    for index, row in enumerate(value):
        reason = _unencodable(atom(layout.row), row, f"{name}[{index}]")
        if reason is not None:
            return reason
    return None


def _is_key_of(table: Any, value: Any) -> bool:
    try:
        return value in table
    except TypeError:
        return False


def integer_range(layout: Any) -> tuple[int, int]:
    """What an integer of this width holds; signed where its struct code is a small letter."""
    bits = 8 * layout.sizeof()
    if layout.fmtstr[-1].islower():
        return -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1
