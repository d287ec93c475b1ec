"""The messages that read and write the clinic's configuration [SPEC 6]."""

from typing import NamedTuple

from protocol.codec.atoms import U16, Count, Octets, enum_of
from protocol.codec.identities import Identity
from protocol.codec.layouts import message
from protocol.identifiers import ConfigId, Opcode
from protocol.messages.command import command

CONFIG_VALUE_MAX = 64


@command(Opcode.CONFIG_READ, "C", while_unknown=True)
@message("config_id" / enum_of(ConfigId, U16))
class ConfigRead(NamedTuple):
    """One item of the configuration."""

    config_id: ConfigId

    @staticmethod
    def reply_class() -> "type[ConfigReadReply]":
        return ConfigReadReply


@message(
    "config_id" / enum_of(ConfigId, U16),
    "length" / Count("value", CONFIG_VALUE_MAX),
    "value" / Octets("length") * "text, u32 or u8, as its item is",
    identities={"value": Identity.CONFIG},
)
class ConfigReadReply(NamedTuple):
    """One item of the configuration."""

    config_id: ConfigId
    value: bytes


@command(Opcode.CONFIG_WRITE, "C")
@message(
    "config_id" / enum_of(ConfigId, U16),
    "length" / Count("value", CONFIG_VALUE_MAX),
    "value" / Octets("length") * "text, u32 or u8, as its item is",
    identities={"value": Identity.CONFIG},
)
class ConfigWrite(NamedTuple):
    """Set one item of the configuration; absolute, so that writing twice is writing once."""

    config_id: ConfigId
    value: bytes

    @staticmethod
    def reply_class() -> "type[ConfigWriteReply]":
        return ConfigWriteReply


@message()
class ConfigWriteReply(NamedTuple):
    """The item is set."""
