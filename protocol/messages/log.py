"""The messages that read a log and its state [SPEC 6]."""

from typing import NamedTuple

from construct import Bytes

from protocol.codec.atoms import U16, U32, Count, Rows, enum_of, one_of, volatile
from protocol.codec.identities import Identity
from protocol.codec.layouts import message
from protocol.identifiers import Opcode
from protocol.log.entry import ENTRY_BYTES
from protocol.log.types import LogName
from protocol.messages.command import command

LOG_READ_MAX = 6


@command(Opcode.LOG_READ, "OPCS", while_unknown=True)
@message(
    "log" / enum_of(LogName),
    "epoch" / U16 * "0 any",
    "from_seq" / volatile(U32) * "0 the oldest",
    "count" / one_of(1, LOG_READ_MAX) * "1 to 6",
    "filter" / U16 * "bit k: entries of types 0x0kxx; 0 all",
)
class LogRead(NamedTuple):
    """Entries of a log from a number on."""

    log: LogName
    epoch: int
    from_seq: int
    count: int  # type: ignore[assignment] # hides a method of tuple that nobody calls
    filter: int = 0

    @staticmethod
    def reply_class() -> "type[LogReadReply]":
        return LogReadReply


@message(
    "log" / enum_of(LogName),
    "n" / Count("entries", LOG_READ_MAX),
    "epoch" / U16 * "of this log, from 1",
    "from_seq" / volatile(U32) * "as asked; the oldest for 0",
    "next_seq" / volatile(U32) * "everything before it was scanned",
    "oldest_seq" / volatile(U32) * "0: the log is empty",
    "newest_seq" / volatile(U32) * "0: the log is empty",
    "entries" / Rows("n", Bytes(ENTRY_BYTES)) * "section 8",
    identities={"entries": Identity.LOG_ENTRIES},
)
class LogReadReply(NamedTuple):
    """Entries as stored; `LogEntry.unpack` of `protocol.log.entry` checks and reads each."""

    log: LogName
    epoch: int
    from_seq: int
    next_seq: int
    oldest_seq: int
    newest_seq: int
    entries: tuple[bytes, ...]


@command(Opcode.LOG_STATUS, "OPCS", while_unknown=True)
@message("log" / enum_of(LogName))
class LogStatus(NamedTuple):
    """What a log holds and what it has lost."""

    log: LogName

    @staticmethod
    def reply_class() -> "type[LogStatusReply]":
        return LogStatusReply


@message(
    "epoch" / U16 * "of this log, from 1",
    "first_seq" / volatile(U32) * "the oldest entry; 0: the log is empty",
    "last_seq" / volatile(U32) * "the newest entry; 0: the log is empty",
    "lost_total" / U32 * "entries of this epoch that newer ones took the place of",
    "corrupt" / U16 * "slots with a bad check",
    "bad_checkpoints" / U16 * "chain checkpoints that do not match",
    "first_bad_seq" / volatile(U32) * "0 none",
)
class LogStatusReply(NamedTuple):
    """What a log holds and what it has lost; the pump checks its own chain."""

    epoch: int
    first_seq: int
    last_seq: int
    lost_total: int
    corrupt: int
    bad_checkpoints: int
    first_bad_seq: int
