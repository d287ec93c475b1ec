"""Turns a message into plain data for JSON: names of enums, hex of bytes, lists of rows."""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Any


def plain(value: Any) -> Any:
    """A message as a dict of its fields, in their order; any other value as JSON knows it."""
    if hasattr(value, "_fields"):
        return {name: plain(part) for name, part in zip(value._fields, value, strict=True)}
    if isinstance(value, tuple):
        return [plain(row) for row in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, IntFlag):
        return [bit.name for bit in type(value) if bit in value]
    if isinstance(value, IntEnum):
        return value.name
    return value
