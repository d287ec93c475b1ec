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
NOTHING_SENT = "nothing was sent"


def encoded(message: Request[Any]) -> bytes:
    """The payload of a request; UsageError names command, field, value and range where a field cannot carry its value.

    Stricter than the wire's own codec: True is no 1 where a number is wanted, nor 1 a True, nor 1.0 an enum's value.
    """
    try:
        record = declaration_of(type(message)).record
        command = command_of(type(message))
    except KeyError:
        raise UsageError(
            f"a request of protocol.messages is expected, and this is {shown(message)}", advice=NOTHING_SENT
        ) from None
    try:
        trouble = _of_another_type(record, message, "")
        if not trouble:
            return encode(message)
    except NotEncodable as error:
        trouble = str(error).partition(".")[2] or str(error)
    raise UsageError(f"{command.opcode.name} cannot be sent: {trouble}", advice=NOTHING_SENT)


def expect(name: str, value: object, kind: type[R], expected: str) -> R:
    """The value, which must be of this kind; UsageError says its name and what is expected."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        raise UsageError(f"{name} is {shown(value)}, and {expected} is expected", advice=NOTHING_SENT)
    return value


def expect_row(name: str, value: object, kind: type[R], expected: str) -> tuple[R, ...]:
    """The items of a list or tuple, each of this kind; UsageError where it, or one of them, is something else."""
    items = expect(name, value, list | tuple, f"a list or tuple, each item {expected},")  # type: ignore[arg-type]
    return tuple(expect(f"{name}[{index}]", item, kind, expected) for index, item in enumerate(items))


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
    elif isinstance(layout, Record):
        return f"{name} is {shown(value)}, not a {layout.cls.__name__}"
    else:
        return _misfit(layout, value, name)
    return next((trouble for part in parts if (trouble := _of_another_type(*part))), "")


def _misfit(layout: Any, value: Any, name: str) -> str:
    if isinstance(layout, Mapped):
        kinds = {type(known) for known in layout.wire_of}
        fits = type(value) in kinds or (type(value) is int and kinds != {bool})
        meaning = layout.meaning if kinds != {bool} else "True or False"
        return "" if fits and not _is_huge(value) else f"{name} is {shown(value)}, not one of {meaning}"
    if not hasattr(layout, "fmtstr") or (
        isinstance(value, int) and type(value) is not bool and not _is_huge(value)
    ):
        return ""
    low, high = integer_range(layout)
    return f"{name} is {shown(value)}, not an integer in {low} to {high}"


def _is_huge(value: object) -> bool:
    return isinstance(value, int) and value.bit_length() > HUGE_BITS


def shown(value: object) -> str:
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
        whole: Any = [plain(value) for value in args]
        named: Any = {name: plain(value) for name, value in kwargs.items()}
        return method(*whole, **named)

    return wrapped


def plain(value: Any) -> Any:
    """A whole number of another type as int, all else as it is."""
    if isinstance(value, int) or not hasattr(type(value), "__index__"):
        return value
    try:
        return operator.index(value)
    except TypeError:  # a truth value of numpy
        return value
