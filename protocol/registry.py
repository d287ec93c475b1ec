"""The table of commands: every message family collected, and what is asked of the table as a whole [SPEC 6, 9]."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from protocol.codec.layouts import declaration_of, encode, offset_of
from protocol.identifiers import Opcode
from protocol.messages import (
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
    from collections.abc import Mapping

FAMILIES = (
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
COMMANDS: Mapping[Opcode, Command] = MappingProxyType({row.opcode: row for row in declared_commands()})
EVENTS: Mapping[Opcode, type] = MappingProxyType({Opcode.EVENT_HINT: conversation.EventHint})

_BY_CLASS = {cls: row for row in COMMANDS.values() for cls in (row.request, row.response)}
_CRC_CUTS: dict[type, tuple[tuple[int, int], ...]] = {}


def command_of(message_type: type) -> Command:
    """The row of a request's or an answer's class."""
    return _BY_CLASS[message_type]


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
