"""A frame in words: what it is called, the message in it, and its fields by name."""

from __future__ import annotations

import textwrap
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Final

from hil.known_commands import known_command
from protocol.codec.identities import Identity
from protocol.codec.layouts import declaration_of, declared_classes, decode
from protocol.errors import RemoteError
from protocol.identifiers import VENDOR_OPCODES, Handshake, Kind, Opcode
from protocol.log.entry import LogEntry
from protocol.messages.errors import ErrorReply
from protocol.messages.handshake import HANDSHAKE_MESSAGES
from protocol.registry import EVENTS

if TYPE_CHECKING:
    from protocol.wire.frame import Frame

FRAME_COLUMNS: Final = 100
TEXTS: Final = frozenset({Identity.SERIAL, Identity.NAME, Identity.CONFIG})
"""Fields that are texts; of a configuration where all of it can be printed, as no number of it can."""


def opcode_name(frame: Frame) -> str:
    """The name of a frame's opcode; its number for a vendor's, and where nobody knows it."""
    names: type[Handshake | Opcode] = Handshake if frame.kind == Kind.HANDSHAKE else Opcode
    try:
        return names(frame.opcode).name
    except ValueError:
        return f"0x{frame.opcode:02X}"


def message_in(frame: Frame, payload: bytes) -> tuple[object, ...]:
    """The message in a payload, that of a later version without what it has more. ValueError says why there is none."""
    try:
        message: tuple[object, ...] = decode(_message_class(frame), payload, allow_tail=True)
    except KeyError as error:
        raise ValueError(f"no message of opcode 0x{frame.opcode:02X} is known") from error
    except RemoteError as error:
        raise ValueError(str(error)) from error
    return message


def _message_class(frame: Frame) -> type:
    if frame.kind == Kind.HANDSHAKE:
        return HANDSHAKE_MESSAGES[Handshake(frame.opcode)]
    if frame.kind == Kind.ERROR:
        return ErrorReply
    if frame.kind == Kind.EVENT:
        return EVENTS[Opcode(frame.opcode)]
    command = known_command(frame.opcode)
    return command.request if frame.kind == Kind.REQUEST else command.response


def frame_text(frame: Frame, payload: bytes | None) -> str:
    """A frame as its kind, its name, its number, and what it says; in hex where no key opened it (`payload` None)."""
    name = opcode_name(frame)
    head = name if frame.kind == Kind.HANDSHAKE else f"{frame.kind.name} {name} #{frame.ctr}"
    if payload is None:
        return f"{head} not decrypted: {frame.raw.hex(' ')}"
    try:
        message = message_in(frame, payload)
    except ValueError as error:
        return f"{head} {payload.hex(' ')} ({error})"
    own_name = f"{type(message).__name__} " if frame.opcode in VENDOR_OPCODES else ""
    return f"{head} {own_name}{fields_text(message)}"


def fields_text(message: tuple[object, ...]) -> str:
    """A message as name=value; enums by name, entries of a log by what they say, bytes in hex."""
    names: tuple[str, ...] = getattr(message, "_fields", ())
    pairs = zip(names, message, strict=True)
    return " ".join(f"{name}={field_text(type(message), name, value)}" for name, value in pairs)


def field_text(message: type, name: str, value: object) -> str:
    """One field of a message: as `value_text`, but a text in quotes, and entries of a log by what they say."""
    identity = declaration_of(message).identities.get(name) if message in declared_classes() else None
    if identity is Identity.LOG_ENTRIES and isinstance(value, tuple):
        return f"[{', '.join(map(entry_text, value))}]"
    if identity in TEXTS and isinstance(value, bytes):
        return _in_quotes(value)
    return value_text(value)


def text_at(place: str, value: object) -> str:
    """One value in words, by the place of its field as rules name it: `GetInfoReply.serial`; none for None."""
    message_name, _, name = place.partition(".")
    message = next((cls for cls in declared_classes() if cls.__name__ == message_name), None)
    if value is None:
        return "none"
    return value_text(value) if message is None else field_text(message, name, value)


def entry_text(raw: bytes) -> str:
    """An entry of a log: number, running time, what it is, whose command, and its data; in hex where it is corrupt."""
    try:
        entry = LogEntry.unpack(raw)
        details = entry.details()
    except (RemoteError, KeyError):
        return raw.hex()
    command = f" of command {entry.cmd_id}" if entry.cmd_id else ""
    said = f": {fields_text(details)}" if details else ""
    return f"#{entry.seq} at {entry.t_mono_s}.{entry.t_ms:03} s {entry.type.name}{command}{said}"


def _in_quotes(value: bytes) -> str:
    """A text that is filled up with zeros; in hex where it is none."""
    text = value.rstrip(b"\0").decode("utf-8", "replace")
    return f'"{text}"' if text.isprintable() and "\ufffd" not in text else value.hex()


def value_text(value: object) -> str:
    """One value of a field: enums by name, bytes in hex, lists in brackets."""
    match value:
        case IntFlag():
            return "+".join(flag.name or "" for flag in value) or "none"
        case IntEnum():
            return value.name
        case bytes():
            return value.hex()
        case tuple() if hasattr(value, "_fields"):
            return f"({fields_text(value)})"
        case tuple():
            return f"[{', '.join(value_text(part) for part in value)}]"
    return str(value)


def folded(line: str) -> list[str]:
    """A decoded frame in lines of a terminal's width; what goes on is indented."""
    return textwrap.wrap(
        line, FRAME_COLUMNS, subsequent_indent="    ", break_on_hyphens=False, drop_whitespace=True
    )
