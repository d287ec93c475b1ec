"""The messages of the command ledger: the result of a command, QUERY_CMD and VOID_CMD [SPEC 6, 9]."""

from typing import NamedTuple

from protocol.codec.atoms import BOOLEAN, COMMAND, COMMAND_CHECK, LOG_ENTRY, U8, U16, U32, enum_of, naming
from protocol.codec.identities import Identity
from protocol.codec.layouts import message
from protocol.identifiers import Opcode, Outcome
from protocol.messages.command import command

OWN_KEY = 0xFFFF
CMD_ID_FIRST = 1
CMD_ID_LAST = 0xFFFF_FFFE
CMD_ID = naming(U32, COMMAND) * "1 to FFFFFFFE, rising for each key [SPEC 9]"


@message(
    "dup" / BOOLEAN * "1: this is the recorded outcome of an earlier arrival",
    "outcome" / enum_of(Outcome),
    "reason" / U16 * "error code, or 0",
    "seq" / naming(U32, LOG_ENTRY) * "of the log entry",
)
class CommandResult(NamedTuple):
    """The result of a command (CR): the first field of each reply to a command with a cmd_id."""

    dup: bool
    outcome: Outcome
    reason: int
    seq: int


_RECORDED = (  # what the ledger holds of a command
    "outcome" / enum_of(Outcome),
    "op" / U8 * "opcode recorded; 0 where nothing is",
    "reason" / U16 * "error code, or 0",
    "cmd_crc" / naming(U32, COMMAND_CHECK) * "of the command recorded",
    "delivered_nl" / U32 * "volume delivered so far",
    "uncertain_nl" / U32 * "delivered <= true <= delivered + uncertain",
    "start_seq" / naming(U32, LOG_ENTRY) * "log entry of the start",
    "end_seq" / naming(U32, LOG_ENTRY) * "log entry of the end; 0 while open",
)


@command(Opcode.QUERY_CMD, "PCS", while_unknown=True)
@message(
    "cmd_id" / CMD_ID,
    "key_id" / U16 * "FFFF the own key; another key's: clinician only",
    identities={"key_id": Identity.KEY_ID},
)
class QueryCmd(NamedTuple):
    """Ask what became of a command."""

    cmd_id: int
    key_id: int = OWN_KEY

    @staticmethod
    def reply_class() -> "type[QueryCmdReply]":
        return QueryCmdReply


@message(*_RECORDED)
class QueryCmdReply(NamedTuple):
    """What became of a command; it is your own only if op and cmd_crc match what you sent."""

    outcome: Outcome
    op: int
    reason: int
    cmd_crc: int
    delivered_nl: int
    uncertain_nl: int
    start_seq: int
    end_seq: int


@command(Opcode.VOID_CMD, "PCS", while_unknown=True)
@message("cmd_id" / CMD_ID)
class VoidCmd(NamedTuple):
    """Make sure that a command which was never received never will be."""

    cmd_id: int

    @staticmethod
    def reply_class() -> "type[VoidCmdReply]":
        return VoidCmdReply


@message(*_RECORDED)
class VoidCmdReply(NamedTuple):
    """What became of the command, after voiding."""

    outcome: Outcome
    op: int
    reason: int
    cmd_crc: int
    delivered_nl: int
    uncertain_nl: int
    start_seq: int
    end_seq: int
