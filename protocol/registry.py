"""The table of all commands, of this wire and of vendors, and the CRC of a command's content [SPEC 6, 9]."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from protocol.codec.layouts import declaration_of, encode, offset_of
from protocol.identifiers import VENDOR_OPCODES, Opcode
from protocol.messages import (  # noqa: F401 - each declares its messages
    alarms,
    bolus,
    configuration,
    conversation,
    errors,
    handshake,
    keys,
    ledger,
    log,
    program,
    reading,
    reservoir,
    stop,
    time,
)
from protocol.messages.command import Command, declared_commands
from protocol.wire.checksum import crc32c

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

COMMANDS: Mapping[Opcode, Command] = MappingProxyType(declared_commands())
EVENTS: Mapping[Opcode, type] = MappingProxyType({Opcode.EVENT_HINT: conversation.EventHint})

_BY_CLASS = {cls: row for row in COMMANDS.values() for cls in (row.request, row.response)}
_VENDOR_COMMANDS: dict[Opcode, Command] = {}
_CRC_CUTS: dict[type, tuple[tuple[int, int], ...]] = {}


def command_of(message_type: type) -> Command:
    """The row of a request's or an answer's class; KeyError where it has none."""
    return _BY_CLASS[message_type]


def command_at(opcode: int) -> Command | None:
    """The row of an opcode, of this wire or of a registered vendor; None where there is none."""
    return COMMANDS.get(opcode) or _VENDOR_COMMANDS.get(opcode)  # type: ignore[call-overload,no-any-return]


class VendorMessages(NamedTuple):
    """The messages that a package adds: the value of an entry point of the group `pumpbench.messages`."""

    name: str
    """As `vendor_messages` of a profile names it, and its entry point."""
    commands: tuple[Command, ...]
    handlers: Callable[[], Mapping[int, Callable[..., Any]]]
    """What the pump does, a function a command: `firmware_emu.controller.commands.table.Handler`. Called in a pump
    alone, so that a programmer imports none of it."""


MESSAGES_ENTRY_POINTS = "pumpbench.messages"
VENDORS: dict[str, VendorMessages] = {}


def register_vendor(vendor: VendorMessages) -> None:
    """Add a package's messages to both ends of the wire in this process, all of them or none.

    The same vendor once more changes nothing. ValueError where other messages have this name, where an opcode or a
    class belongs to another command, and where an opcode belongs to this wire.
    """
    if VENDORS.get(vendor.name, vendor) != vendor:
        raise ValueError(f"there are other messages of the name {vendor.name} already")
    for row in vendor.commands:
        _check_vendors_row(row)
    for row in vendor.commands:
        _check_vendors_row(row)  # again, beside the rows before it
        _VENDOR_COMMANDS[row.opcode] = row
        _BY_CLASS[row.request] = _BY_CLASS[row.response] = row
    VENDORS[vendor.name] = vendor


def _check_vendors_row(row: Command) -> None:
    if row.opcode not in VENDOR_OPCODES:
        raise ValueError(
            f"opcode 0x{row.opcode:02X} of {row.request.__name__} is not a vendor's; theirs are 0xC0 to 0xEF"
        )
    there = (_VENDOR_COMMANDS.get(row.opcode), _BY_CLASS.get(row.request), _BY_CLASS.get(row.response))
    for other in there:
        if other is not None and other != row:
            raise ValueError(
                f"{row.request.__module__}.{row.request.__name__} (0x{row.opcode:02X}) cannot be registered beside "
                f"{other.request.__module__}.{other.request.__name__} (0x{other.opcode:02X})"
            )


def cmd_crc(opcode: int, message: Any) -> int:
    """CRC-32C of opcode and payload without `confirm`: a command's content, the token that permits it too [SPEC 9]."""
    cls = type(message)
    if cls not in _CRC_CUTS:
        fields = declaration_of(cls).not_in_cmd_crc
        _CRC_CUTS[cls] = tuple(sorted((offset_of(cls, name) for name in fields), reverse=True))
    payload = encode(message)
    for first, end in _CRC_CUTS[cls]:
        payload = payload[:first] + payload[end:]
    return crc32c(bytes((opcode,)) + payload)
