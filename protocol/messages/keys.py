"""The messages that add, revoke and list paired keys [SPEC 6, 11]."""

from typing import NamedTuple

from construct import Bytes

from protocol.codec.atoms import U8, U16, Count, Reserved, Rows, enum_of, volatile
from protocol.codec.identities import Identity
from protocol.codec.layouts import encode, message, nested
from protocol.identifiers import Opcode, Role
from protocol.messages.command import command

WRAPPED_KEY_BYTES = 24
KEYS_MAX = 8
PAIRED_KEY_IDS = range(1, 0xFFFF)  # 0 is the implant card, FFFF means one's own [SPEC 11]


@command(Opcode.KEY_ADD, "C", pairing=True)
@message(
    "key_id" / U16 * "1 to FFFE, of no other key",
    "role" / enum_of(Role),
    Reserved(1),
    "wrapped" / volatile(Bytes(WRAPPED_KEY_BYTES)) * "the new key, sealed under Kpair",
    identities={"key_id": Identity.KEY_ID, "wrapped": Identity.PROOF},
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


def sealed_with(key_id: int, role: Role) -> bytes:
    """The associated data of a wrapped key: the fields of KEY_ADD before it, as they are on the wire."""
    return encode(KeyAdd(key_id, role, bytes(WRAPPED_KEY_BYTES)))[:-WRAPPED_KEY_BYTES]


@command(Opcode.KEY_REVOKE, "C", pairing=True)
@message("key_id" / U16 * "whose key is forgotten", identities={"key_id": Identity.KEY_ID})
class KeyRevoke(NamedTuple):
    """Forget a paired programmer."""

    key_id: int

    @staticmethod
    def reply_class() -> "type[KeyRevokeReply]":
        return KeyRevokeReply


@message()
class KeyRevokeReply(NamedTuple):
    """The programmer is forgotten."""


@message(
    "key_id" / U16 * "by which its programmer greets",
    "role" / enum_of(Role),
    "slot" / U8 * "0 to 7",
    identities={"key_id": Identity.KEY_ID},
)
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


@command(Opcode.PAIRING_OPEN, "C")
@message()
class PairingOpen(NamedTuple):
    """Open the pairing window, with a magnet over the pump; the implant card may ask for it too [SPEC 11]."""

    @staticmethod
    def reply_class() -> "type[PairingOpenReply]":
        return PairingOpenReply


@message(
    "opens_in_s" / U16 * "0: it is open; else a recovery that waits so long still",
    "open_for_s" / U16 * "how long it is open, from then on",
)
class PairingOpenReply(NamedTuple):
    """When the window is open, and for how long."""

    opens_in_s: int
    open_for_s: int
