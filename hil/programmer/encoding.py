"""A request as bytes, or whose fault it is that it cannot be: asked before anything is sent or filed."""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from hil.errors import UsageError
from protocol.codec.atoms import Count, Mapped, NotEncodable, Record, Rows, atom
from protocol.codec.diagnostics import integer_range
from protocol.codec.layouts import declaration_of, encode
from protocol.registry import command_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.messages.command import Request

P = ParamSpec("P")
R = TypeVar("R")
HUGE_BITS = 64  # wider than any field of the wire


def encoded(message: Request[Any]) -> bytes:
    """The payload of a request; UsageError names command, field, value and range where a field cannot carry its value.

    Stricter than the wire's own codec: True is no 1 where a number is wanted, nor 1 a True, nor 1.0 an enum's value.
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
    """What is wrong with the first value of another type than its field has; "" where none is."""
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
    if isinstance(layout, Mapped):
        kinds = {type(known) for known in layout.wire_of}
        fits = type(value) in kinds or (type(value) is int and kinds != {bool})
        meaning = layout.meaning if kinds != {bool} else "True or False"
        return "" if fits and not _is_huge(value) else f"{name} is {_shown(value)}, not one of {meaning}"
    if not hasattr(layout, "fmtstr") or (
        isinstance(value, int) and type(value) is not bool and not _is_huge(value)
    ):
        return ""
    low, high = integer_range(layout)
    return f"{name} is {_shown(value)}, not an integer in {low} to {high}"


def _is_huge(value: object) -> bool:
    return isinstance(value, int) and value.bit_length() > HUGE_BITS


def _shown(value: object) -> str:
    """A value in words; Python refuses to write very long numbers."""
    return (
        f"a number of {int(value).bit_length()} bits"
        if isinstance(value, int) and _is_huge(value)
        else repr(value)
    )


def with_plain_numbers(method: Callable[P, R]) -> Callable[P, R]:
    """The method, its whole numbers of other types (those of numpy) made int: what is filed and sent is plain."""

    @functools.wraps(method)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        whole: Any = [_plain(value) for value in args]
        named: Any = {name: _plain(value) for name, value in kwargs.items()}
        return method(*whole, **named)

    return wrapped


def _plain(value: Any) -> Any:
    """A whole number of another type as int, all else as it is."""
    if isinstance(value, int) or not hasattr(type(value), "__index__"):
        return value
    try:
        return operator.index(value)
    except TypeError:  # a truth value of numpy
        return value
