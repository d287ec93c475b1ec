"""A refusal of the pump in words, with the units of the field that it points at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.codec.field_words import bare_name_and_unit
from protocol.codec.layouts import offset_of
from protocol.identifiers import ErrorCode
from protocol.registry import command_at

if TYPE_CHECKING:
    from protocol.identifiers import Opcode
    from protocol.messages.errors import ErrorReply


def sentence_of_refusal(opcode: Opcode, error: ErrorReply) -> str:
    """A refusal as a sentence: what was refused, why, the value, its limit and the nearest acceptable value."""
    name, value_unit = _refused_field(opcode, error)
    limit_unit = _LIMIT_UNITS.get(error.code, value_unit)
    parts = [f"{opcode.name} refused: {error.code.name}"]
    if error.detail:
        parts.append(f"{name} {error.detail} {value_unit}".rstrip())
    if error.limit:
        parts.append(f"limit {error.limit} {limit_unit}".rstrip())
    if error.nearest:
        parts.append(
            f"nearest acceptable {error.nearest} {_NEAREST_UNITS.get(error.code, value_unit)}".rstrip()
        )
    if error.retry_after_ms:
        parts.append(f"try again after {error.retry_after_ms} ms")
    sentence = ", ".join(parts)
    changed = error.state_changed.name
    return sentence if changed == "NO" else f"{sentence} (changed something: {changed})"


_LIMIT_UNITS = {ErrorCode.RATE: "nL/day", ErrorCode.GAP: "s"}
_NEAREST_UNITS = {ErrorCode.RATE: "s", ErrorCode.GAP: "s of the pump's monotonic time"}


def _refused_field(opcode: Opcode, error: ErrorReply) -> tuple[str, str]:
    """Name and unit of the value that was refused, as far as the refusal points at a field."""
    if error.code == ErrorCode.GAP:
        return "only", "s since the last bolus"
    command = command_at(opcode)
    request = type(None) if command is None else command.request
    for name in getattr(request, "_fields", ()):
        try:
            start, _ = offset_of(request, name)
        except KeyError:
            break
        if start == error.field_offset:
            return bare_name_and_unit(name)
    return "value", ""
