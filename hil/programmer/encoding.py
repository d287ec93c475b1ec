"""A request as bytes, or whose fault it is that it cannot be: asked before anything is sent or filed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hil.errors import UsageError
from protocol.codec.atoms import Count, Mapped, NotEncodable, Record, Rows, atom
from protocol.codec.diagnostics import integer_range
from protocol.codec.layouts import declaration_of, encode
from protocol.registry import command_of

if TYPE_CHECKING:
    from protocol.messages.command import Request


def encoded(message: Request[Any]) -> bytes:
    """The payload of a request; UsageError names command, field, value and range where a field cannot carry its value.

    Stricter than the wire's own codec: True is no 1 where a number is wanted, nor 1.0 an enum's value.
    """
    try:
        trouble = _of_another_type(declaration_of(type(message)).record, message, "")
        if not trouble:
            return encode(message)
    except NotEncodable as error:
        trouble = str(error).partition(".")[2] or str(error)
    name = command_of(type(message)).opcode.name
    raise UsageError(f"{name} cannot be sent: {trouble}", advice="nothing was sent")


def _of_another_type(layout: Any, value: Any, name: str) -> str:
    """What is wrong with the first truth value or float that stands where a number is wanted; "" where none does."""
    if isinstance(layout, Record) and isinstance(value, layout.cls):
        parts = [
            (part, getattr(value, field), f"{name}.{field}" if name else field)
            for field, part in layout.parts
            if field and not isinstance(part, Count)
        ]
    elif isinstance(layout, Rows) and isinstance(value, tuple):
        parts = [(atom(layout.row), row, f"{name}[{index}]") for index, row in enumerate(value)]
    else:
        return _misfit(layout, value, name)
    return next((trouble for part in parts if (trouble := _of_another_type(*part))), "")


def _misfit(layout: Any, value: Any, name: str) -> str:
    if type(value) not in {bool, float}:
        return ""
    if isinstance(layout, Mapped):
        as_it_is = type(value) in {type(known) for known in layout.wire_of}
        return "" if as_it_is else f"{name} is {value!r}, not one of {layout.meaning}"
    low, high = integer_range(layout)
    return f"{name} is {value!r}, not an integer in {low} to {high}"
