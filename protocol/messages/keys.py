"""The messages that add, revoke and list paired keys [SPEC 6, 11]."""

from typing import NamedTuple

from construct import Bytes

from protocol.codec.atoms import U8, U16, Count, Reserved, Rows, enum_of
from protocol.codec.layouts import message, nested
from protocol.identifiers import Opcode, Role
from protocol.messages.command import command

WRAPPED_KEY_BYTES = 24
KEYS_MAX = 8


@command(Opcode.KEY_ADD, "C", pairing=True)
@message(
    "key_id" / U16,
    "role" / enum_of(Role),
    Reserved(1),
    "wrapped" / Bytes(WRAPPED_KEY_BYTES) * "the new key, sealed under Kpair",
)
class KeyAdd(NamedTuple):
    """Pair another programmer."""

    key_id: int
    role: Role
    wrapped: bytes

    @staticmethod
    def reply_class() -> "type[KeyAddReply]":
        return KeyAddReply


@message()
class KeyAddReply(NamedTuple):
    """The programmer is paired."""


@command(Opcode.KEY_REVOKE, "C", pairing=True)
@message("key_id" / U16)
class KeyRevoke(NamedTuple):
    """Forget a paired programmer."""

    key_id: int

    @staticmethod
    def reply_class() -> "type[KeyRevokeReply]":
        return KeyRevokeReply


@message()
class KeyRevokeReply(NamedTuple):
    """The programmer is forgotten."""


@message("key_id" / U16, "role" / enum_of(Role), "slot" / U8)
class KeyRow(NamedTuple):
    """One paired programmer."""

    key_id: int
    role: Role
    slot: int


@command(Opcode.KEY_LIST, "C", pairing=True, while_unknown=True)
@message()
class KeyList(NamedTuple):
    """Ask who is paired. No key material is ever readable."""

    @staticmethod
    def reply_class() -> "type[KeyListReply]":
        return KeyListReply


@message("n" / Count("keys", KEYS_MAX), "keys" / Rows("n", nested(KeyRow)))
class KeyListReply(NamedTuple):
    """Who is paired."""

    keys: tuple[KeyRow, ...]
