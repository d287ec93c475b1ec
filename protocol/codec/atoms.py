"""The field types that message layouts are declared from: construct's, and ours that are stricter [SPEC 6].

They are not for the hot path: `derived` turns what is declared with them into `struct`.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import construct
from construct import Int8ul, Int16sl, Int16ul, Int32sl, Int32ul, Int64ul

from protocol.codec.sameness import EXACT, MONOTONIC, VOLATILE, Rule, Sameness
from protocol.errors import LocalError, RemoteError
from protocol.identifiers import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from enum import IntEnum, IntFlag

U8, U16, U32, U64 = Int8ul, Int16ul, Int32ul, Int64ul
I16, I32 = Int16sl, Int32sl


class Malformed(RemoteError):
    """A payload has no meaning in this version; holds the refusal's code, place and value [SPEC 7].

    `field_offset` counts bytes of the payload; None where no single field is at fault.
    """

    def __init__(self, code: ErrorCode, field_offset: int | None, detail: int, limit: int = 0) -> None:
        self.code = code
        self.field_offset = field_offset
        self.detail = detail
        self.limit = limit
        where = "" if field_offset is None else f" at byte {field_offset}"
        super().__init__(f"{code.name}{where}: value {detail}, limit {limit}")


class NotEncodable(LocalError):
    """A message of ours has a value that its field cannot carry."""


class Mapped(construct.Adapter):  # type: ignore[type-arg]
    """An integer of which only the listed values are allowed, each standing for a Python value.

    `values` gives the table when it is first needed: tables of flags are long.
    """

    def __init__(
        self, subcon: Any, values: Callable[[], Mapping[int, Any]], code: ErrorCode, meaning: str
    ) -> None:
        super().__init__(subcon)
        self._values = values
        self.code = code
        self.meaning = meaning

    @cached_property
    def value_of(self) -> dict[int, Any]:
        """From the number on the wire to its value."""
        return dict(self._values())

    @cached_property
    def wire_of(self) -> dict[Any, int]:
        """From the value to its number on the wire."""
        return {value: wire for wire, value in self.value_of.items()}

    def _decode(self, obj: int, context: Any, path: Any) -> Any:  # noqa: ARG002
        if obj not in self.value_of:
            raise construct.MappingError(f"{obj} is not one of {self.meaning}", path)
        return self.value_of[obj]

    def _encode(self, obj: Any, context: Any, path: Any) -> int:  # noqa: ARG002
        if obj not in self.wire_of:
            raise construct.MappingError(f"{obj!r} is not one of {self.meaning}", path)
        return self.wire_of[obj]


def enum_of(values: type[IntEnum | IntFlag], subcon: Any = U8) -> Mapped:
    """One member of an enum; any other value is refused, never a default [SPEC 5]."""
    return Mapped(
        subcon, lambda: {member.value: member for member in values}, ErrorCode.ENUM, values.__name__
    )


def enum_or_none(values: type[IntEnum], none: int, subcon: Any = U8) -> Mapped:
    """One member of an enum, or None, which travels as `none`."""
    return Mapped(
        subcon,
        lambda: {**{member.value: member for member in values}, none: None},
        ErrorCode.ENUM,
        f"{values.__name__}, or {none:#x} for none",
    )


def flags_of(flags: type[IntFlag], subcon: Any = U8) -> Mapped:
    """Any set of the named bits; every other bit is reserved and 0."""

    def sets() -> dict[int, IntFlag]:
        table = {0: flags(0)}
        for bit in flags:
            table |= {wire | bit.value: flags(wire | bit.value) for wire in list(table)}
        return table

    return Mapped(subcon, sets, ErrorCode.RESERVED_BITS, f"bits of {flags.__name__}")


def one_of(first: int, last: int, subcon: Any = U8) -> Mapped:
    """A small number with a range of its own, smaller than its field."""
    return Mapped(
        subcon, lambda: {n: n for n in range(first, last + 1)}, ErrorCode.ENUM, f"{first} to {last}"
    )


BOOLEAN = Mapped(U8, lambda: {0: False, 1: True}, ErrorCode.ENUM, "0 or 1")
OFFSET_OR_NONE = Mapped(
    U8,
    lambda: {**{n: n for n in range(0xFF)}, 0xFF: None},
    ErrorCode.ENUM,
    "0 to 254, or 0xff for none",
)


class Reserved(construct.Construct):  # type: ignore[type-arg]
    """Bytes without a meaning yet: sent as 0, refused otherwise."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length
        self.flagbuildnone = True

    def _parse(self, stream: Any, context: Any, path: Any) -> None:  # noqa: ARG002
        if any(construct.stream_read(stream, self.length, path)):
            raise construct.ValidationError("reserved bytes are not 0", path)

    def _build(self, obj: Any, stream: Any, context: Any, path: Any) -> Any:  # noqa: ARG002
        construct.stream_write(stream, bytes(self.length), self.length, path)
        return obj

    def _sizeof(self, context: Any, path: Any) -> int:  # noqa: ARG002
        return self.length


class Count(construct.Rebuild):  # type: ignore[type-arg]
    """How many rows (or bytes) the field `of` has; on the wire only, since the rows themselves say it."""

    def __init__(self, of: str, maximum: int) -> None:
        super().__init__(U8, lambda context: len(context[of]))
        self.of = of
        self.maximum = maximum

    def _parse(self, stream: Any, context: Any, path: Any) -> int:
        number: int = super()._parse(stream, context, path)
        self._check(number, path)
        return number

    def _build(self, obj: Any, stream: Any, context: Any, path: Any) -> Any:
        self._check(len(context[self.of]), path)
        return super()._build(obj, stream, context, path)

    def _check(self, number: int, path: Any) -> None:
        if number > self.maximum:
            raise construct.ValidationError(f"{number} of {self.of}, at most {self.maximum}", path)


class Rows(construct.Adapter):  # type: ignore[type-arg]
    """A tuple of rows: `count` many, or as many as the field named `count` says (then at the tail)."""

    def __init__(self, count: int | str, row: Any) -> None:
        number = count if isinstance(count, int) else lambda context: context[count]
        super().__init__(construct.Array(number, row))
        self.count = count
        self.row = row

    def _decode(self, obj: Any, context: Any, path: Any) -> tuple[Any, ...]:  # noqa: ARG002
        return tuple(obj)

    def _encode(self, obj: Any, context: Any, path: Any) -> list[Any]:  # noqa: ARG002
        return list(obj)


class Octets(construct.Subconstruct):  # type: ignore[type-arg]
    """Bytes at the tail, as many as the field named `count` says."""

    row = U8

    def __init__(self, count: str) -> None:
        super().__init__(construct.Bytes(lambda context: context[count]))
        self.count = count


class Record(construct.Adapter):  # type: ignore[type-arg]
    """A construct Struct whose value is a typed tuple; `parts` has each name (reserved bytes: "") and layout."""

    def __init__(self, cls: Any, fields: Sequence[Any]) -> None:
        super().__init__(construct.Struct(*fields))
        self.cls = cls
        self.parts: tuple[tuple[str, Any], ...] = tuple(
            ("" if field.name is None else field.name, atom(field)) for field in fields
        )
        self.comments = tuple((field.docs or "").strip() for field in fields)
        self.rules: tuple[Rule, ...] = tuple(
            field.rule if isinstance(field, construct.Renamed) and hasattr(field, "rule") else EXACT
            for field in fields
        )

    def _decode(self, obj: Any, context: Any, path: Any) -> Any:  # noqa: ARG002
        return self.cls(*(obj[name] for name in self.cls._fields))

    def _encode(self, obj: Any, context: Any, path: Any) -> dict[str, Any]:  # noqa: ARG002
        return dict(zip(self.cls._fields, obj, strict=True))


class Compared(construct.Renamed):  # type: ignore[type-arg]
    """A layout whose values are compared by a rule of its own; on the wire it is what it was."""

    def __init__(self, layout: Any, rule: Rule) -> None:
        super().__init__(layout)
        self.rule = rule


def volatile(layout: Any) -> Compared:
    """A field that is other each time: drawn, sealed, or a moment."""
    return Compared(layout, VOLATILE)


def monotonic(layout: Any) -> Compared:
    """A field that counts up, from wherever the device was."""
    return Compared(layout, MONOTONIC)


def delta(layout: Any, tolerance: int) -> Compared:
    """A number that follows from the moment of asking, and so is a little more or less each time."""
    return Compared(layout, Rule(Sameness.DELTA, tolerance=tolerance))


def naming(layout: Any, what: str) -> Compared:
    """A number that one side gives out, and by which both mean `what` from then on; 0 names none."""
    return Compared(layout, Rule(Sameness.MAPPED, names=what))


COMMAND, TOKEN, PROGRAM_REVISION = "command", "token", "revision of the program"
LOG_ENTRY, COMMAND_CHECK, MEMORY = "log entry", "check of a command", "memory"
ASKED_S: Final = 2
"""How far apart two spans of time may be that were counted up to the moment of asking."""


def atom(field: Any) -> Any:
    """A field's layout without its name and its comment."""
    while isinstance(field, construct.Renamed):
        field = field.subcon
    return field


def fixed_size(layout: Any) -> int | None:
    """Bytes of a field; None where a count before it says how many there are."""
    try:
        size: int = layout.sizeof()
    except construct.SizeofError:
        return None
    return size
