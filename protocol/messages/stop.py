"""The messages STOP and RESUME [SPEC 6]."""

from typing import NamedTuple

from protocol.codec.atoms import (
    ASKED_S,
    PROGRAM_REVISION,
    U32,
    Reserved,
    delta,
    enum_of,
    enum_or_none,
    naming,
    volatile,
)
from protocol.codec.layouts import message, nested
from protocol.identifiers import OnExpiry, Opcode, Role, State, StopReason
from protocol.messages.command import command
from protocol.messages.ledger import CMD_ID, CommandResult

NOBODY = 0xFF


@command(Opcode.STOP, "PCS", carries_cmd_id=True, while_unknown=True)
@message(
    "cmd_id" / CMD_ID,
    "max_stop_s" / U32 * "when the stop expires",
    "reason" / enum_of(StopReason),
    "on_expiry" / enum_of(OnExpiry) * "2 and 3 only for a clinician and reason other than 2",
)
class Stop(NamedTuple):
    """Stop all delivery. Acts each time, in every state."""

    cmd_id: int
    max_stop_s: int
    reason: StopReason
    on_expiry: OnExpiry = OnExpiry.ALARM_ONLY

    @staticmethod
    def reply_class() -> "type[StopReply]":
        return StopReply


@message(
    "result" / nested(CommandResult),
    "state" / enum_of(State) * "after acting",
    "on_expiry" / enum_of(OnExpiry),
    "stopped_by" / enum_or_none(Role, NOBODY) * "who stopped it",
    Reserved(1),
    "stopped_s" / delta(U32, ASKED_S) * "how long it has been stopped",
    "expires_t_mono_s" / volatile(U32) * "running time at which it expires; 0 never",
)
class StopReply(NamedTuple):
    """The state after the stop acted."""

    result: CommandResult
    state: State
    on_expiry: OnExpiry
    stopped_by: Role | None
    stopped_s: int
    expires_t_mono_s: int


@command(Opcode.RESUME, "PC", therapy=True, carries_cmd_id=True)
@message("cmd_id" / CMD_ID, "program_rev" / naming(U32, PROGRAM_REVISION) * "the revision that waits")
class Resume(NamedTuple):
    """Start the active program again."""

    cmd_id: int
    program_rev: int

    @staticmethod
    def reply_class() -> "type[ResumeReply]":
        return ResumeReply


@message(
    "result" / nested(CommandResult),
    "state" / enum_of(State),
    Reserved(3),
    "rate_nl_per_day" / U32 * "the basal rate in effect",
)
class ResumeReply(NamedTuple):
    """The state after resuming."""

    result: CommandResult
    state: State
    rate_nl_per_day: int
