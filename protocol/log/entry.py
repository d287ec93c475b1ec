"""One entry of a log, as stored and as LOG_READ carries it, and who made it in words [SPEC 8]."""

from typing import Any, NamedTuple

from construct import Bytes

from protocol.codec.atoms import COMMAND, U8, U16, U32, Malformed, enum_of, flags_of, naming, volatile
from protocol.codec.layouts import codec_of, decode, encode, message
from protocol.errors import RemoteError
from protocol.identifiers import CARD_KEY_ID, ErrorCode, Role
from protocol.log.data import DATA_OF
from protocol.log.types import Actor, LogFlag, LogType
from protocol.wire.checksum import crc16_ccitt_false

ENTRY_BYTES = 32
DATA_BYTES = 12
_BODY_BYTES = ENTRY_BYTES - 2
_DATA_OFFSET = 18
NO_DATA = bytes(DATA_BYTES)
_ACTORS = {actor.value: actor.name.lower() for actor in Actor}
_ROLES = {role.value: role.name.lower() for role in Role}


class CorruptEntry(RemoteError):
    """An entry whose check does not match its bytes."""


@message(
    "seq" / volatile(U32) * "from 1 in each epoch, never reset within it",
    "t_mono_s" / volatile(U32) * "running time",
    "t_ms" / volatile(U16) * "milliseconds of t_mono_s",
    "type" / enum_of(LogType, U16) * "what happened",
    "actor" / U8 * "role << 4 | key slot 0 to 7; F0 pump, F1 unauthenticated, F2 proximity: the implant card",
    "flags" / flags_of(LogFlag) * "what else is so of it",
    "cmd_id" / naming(U32, COMMAND) * "0 none",
    "data" / Bytes(DATA_BYTES) * "by type; the rest 0",
)
class LogEntry(NamedTuple):
    """What happened, when, and by whom; the 16-bit check that follows it is computed, not kept."""

    seq: int
    t_mono_s: int
    t_ms: int
    type: LogType
    actor: int
    flags: LogFlag = LogFlag(0)
    cmd_id: int = 0
    data: bytes = NO_DATA

    def pack(self) -> bytes:
        """The 32 bytes, check included."""
        body = encode(self)
        return body + crc16_ccitt_false(body).to_bytes(2, "little")

    @classmethod
    def unpack(cls, raw: bytes) -> "LogEntry":
        """The entry in 32 bytes; raises CorruptEntry or Malformed."""
        if len(raw) != ENTRY_BYTES:
            raise Malformed(ErrorCode.LENGTH, None, len(raw), ENTRY_BYTES)
        if not entry_is_intact(raw):
            raise CorruptEntry(f"the check of entry {int.from_bytes(raw[:4], 'little')} does not match")
        return decode(cls, raw[:_BODY_BYTES])

    def details(self) -> Any:
        """The typed record in `data`; bytes after it must be 0."""
        record = DATA_OF[self.type]
        size = codec_of(record).size
        if any(self.data[size:]):
            raise Malformed(ErrorCode.RESERVED_BITS, _DATA_OFFSET + size, max(self.data[size:]))
        return decode(record, self.data[:size])


def entry_is_intact(raw: bytes) -> bool:
    """Whether 32 bytes carry their own check."""
    return crc16_ccitt_false(raw[:_BODY_BYTES]) == int.from_bytes(raw[_BODY_BYTES:], "little")


def pack_data(record: object) -> bytes:
    """A record of `log.data` as the 12 bytes of an entry, filled up with zeros."""
    return encode(record).ljust(DATA_BYTES, b"\0")


def actor_of(key_id: int, role: Role, slot: int) -> int:
    """The actor byte of a paired key, or of the implant card, which counts as whoever stands near."""
    return Actor.PROXIMITY if key_id == CARD_KEY_ID else role << 4 | slot


def describe_actor(actor: int) -> str:
    """Who did it, in words."""
    if actor in _ACTORS:
        return _ACTORS[actor]
    role = actor >> 4
    if role in _ROLES:
        return f"{_ROLES[role]}, key slot {actor & 0xF}"
    return f"unknown actor {actor:#04x}"
