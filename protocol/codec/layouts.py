"""Declares the layouts of messages with `@message`, and turns messages into payloads and back.

A layout is declared in construct, once, directly above the fields and in their order. A message is a typed,
frozen tuple: three times as fast to make as a frozen dataclass, and one that `struct` packs as it is.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

from protocol.codec.atoms import Count, Record, fixed_size
from protocol.codec.derived import Codec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from protocol.codec.identities import Identity

Message = TypeVar("Message")
MessageClass = TypeVar("MessageClass", bound=type)


NO_IDENTITIES: Final[Mapping[str, Identity]] = MappingProxyType({})


class Declaration(NamedTuple):
    """A message's layout, which of its fields `cmd_crc` leaves out [SPEC 9], and which tell who was there."""

    record: Record
    not_in_cmd_crc: tuple[str, ...]
    identities: Mapping[str, Identity]


_DECLARATIONS: dict[type, Declaration] = {}


def message(
    *fields: Any, not_in_cmd_crc: tuple[str, ...] = (), identities: Mapping[str, Identity] = NO_IDENTITIES
) -> Callable[[MessageClass], MessageClass]:
    """Declare the layout of the typed tuple below: same names, same order, or the module does not import.

    `identities` says of fields, by name, what is replaced where a recording is made safe to share; none by default.
    """

    def declare(cls: MessageClass) -> MessageClass:
        record = Record(cls, fields)
        names = tuple(name for name, layout in record.parts if name and not isinstance(layout, Count))
        if names != record.cls._fields:
            raise TypeError(f"{cls.__name__} has fields {record.cls._fields}, its layout {names}")
        if not set(not_in_cmd_crc) <= set(names):
            raise TypeError(f"{cls.__name__} has no fields {not_in_cmd_crc}")
        if not set(identities) <= set(names):
            raise TypeError(f"{cls.__name__} has no fields {set(identities) - set(names)}")
        _DECLARATIONS[cls] = Declaration(record, not_in_cmd_crc, identities)
        return equal_by_class(cls)

    return declare


def declaration_of(cls: type) -> Declaration:
    """The declaration of a message class."""
    return _DECLARATIONS[cls]


def declared_classes() -> tuple[type, ...]:
    """Every class with a layout in the modules imported so far: messages, and the records inside them."""
    return tuple(_DECLARATIONS)


def nested(cls: type) -> Record:
    """The layout of one message class as a field of another."""
    return _DECLARATIONS[cls].record


_CODECS: dict[type, Codec] = {}


def codec_of(cls: type) -> Codec:
    """The codec of a message class, derived now if this is its first use."""
    if cls not in _CODECS:
        _CODECS[cls] = Codec(_DECLARATIONS[cls].record)
    return _CODECS[cls]


def encode(message: object) -> bytes:
    """The payload of a message; raises NotEncodable, naming the field, where a value does not fit."""
    try:
        build = _CODECS[message.__class__].build
    except KeyError:
        build = codec_of(message.__class__).build
    return build(message)


def decode(cls: type[Message], payload: bytes, *, allow_tail: bool = False) -> Message:
    """The message in a payload; raises Malformed for anything but its exact length and known values.

    `allow_tail` is for responses, which a later version may have made longer [SPEC 5].
    """
    try:
        codec = _CODECS[cls]
    except KeyError:
        codec = codec_of(cls)
    if allow_tail:
        payload = codec.without_tail(payload)
    message: Message = codec.parse(payload)
    return message


def offset_of(cls: type, name: str) -> tuple[int, int]:
    """Where a field of the fixed part begins and ends in the payload; KeyError for any other name."""
    offset = _begin_of(cls, name)
    size = fixed_size(dict(_DECLARATIONS[cls].record.parts)[name])
    if size is None:
        raise KeyError(name)
    return offset, offset + size


def _begin_of(cls: type, name: str) -> int:
    """Where a field begins, also one of a length that is told before it; KeyError for any other name."""
    offset = 0
    for part_name, layout in _DECLARATIONS[cls].record.parts:
        if part_name == name:
            return offset
        size = fixed_size(layout)
        if size is None:
            break
        offset += size
    raise KeyError(name)


def path_offset(cls: type, path: str) -> int:
    """Where a field begins in the payload, also one of a part (`header.groups.1`); KeyError for what is no field."""
    first, _, rest = path.partition(".")
    if first.isdecimal():
        return int(first) * (fixed_size(_DECLARATIONS[cls].record) or 0)
    offset = _begin_of(cls, first)
    if not rest:
        return offset
    part = get_type_hints(cls)[first]
    return offset + path_offset(get_args(part)[0] if get_origin(part) is tuple else part, rest)


def equal_by_class(cls: MessageClass) -> MessageClass:
    """Make a typed tuple equal to tuples of its own class alone, true even when empty, and shared by deep copies."""
    typed: Any = cls
    typed.__eq__, typed.__ne__, typed.__hash__ = _equal, _different, tuple.__hash__
    typed.__bool__, typed.__deepcopy__ = _always_true, _itself
    return cls


def _equal(one: tuple[Any, ...], other: object) -> bool:
    return type(one) is type(other) and tuple.__eq__(one, other)


def _different(one: tuple[Any, ...], other: object) -> bool:
    return not _equal(one, other)


def _always_true(_value: object) -> bool:
    return True


def _itself(value: object, _memo: object) -> object:
    return value
