"""Answers of a pump as JSON: raw integers under names with their units, enums by name, flags as lists of names."""

from __future__ import annotations

import json
from enum import IntEnum, IntFlag
from typing import Any

FIRST_PRINTABLE, LAST_PRINTABLE = 0x20, 0x7E


def json_text(document: object) -> str:
    """One JSON document, with its newline left to the caller."""
    return json.dumps(plain(document), indent=2)


def plain(value: Any) -> Any:
    """A message, or anything made of messages, as what JSON has."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    match value:
        case IntFlag():
            return [flag.name for flag in value]
        case IntEnum():
            return value.name
        case dict():
            return {name: plain(part) for name, part in value.items()}
        case tuple() | list():
            return [plain(part) for part in value]
        case bytes():
            return _text_or_hex(value)
    return value


def _text_or_hex(value: bytes) -> str:
    """A serial number is text, a check value is not."""
    stripped = value.rstrip(b"\x00")
    if stripped and all(FIRST_PRINTABLE <= byte <= LAST_PRINTABLE for byte in stripped):
        return stripped.decode("ascii")
    return value.hex()
