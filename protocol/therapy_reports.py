"""Answers to the commands that touch therapy [SPEC 6]; each with a cmd_id opens with a `CommandResult`."""

from typing import NamedTuple

from protocol.identifiers import DenyReason, ErrorCode, OnExpiry, Outcome, Role, State
from protocol.layout_atoms import BOOLEAN, U8, U16, U32, Count, Reserved, Rows, enum_of, enum_or_none
from protocol.layouts import message, nested
from protocol.program import GROUPS_MAX

REFUSALS_MAX = 8
NOBODY = 0xFF


@message(
    "dup" / BOOLEAN * "1: this is the recorded outcome of an earlier arrival",
    "outcome" / enum_of(Outcome),
    "reason" / U16 * "error code, or 0",
    "seq" / U32 * "of the log entry",
)
class CommandResult(NamedTuple):
    """CR: opens the answer to every message that has a cmd_id."""

    dup: bool
    outcome: Outcome
    reason: int
    seq: int


@message(
    "token" / U32 * "10 s, one use",
    "quantised_nl" / U32 * "rounded down to whole strokes",
    "end_t_mono_s" / U32 * "if it started now",
    "hour_used_nl" / U32,
    "hour_max_nl" / U32,
    "day_used_nl" / U32,
    "day_max_nl" / U32,
)
class BolusPrepareReply(NamedTuple):
    """It would be accepted; this is what would be delivered."""

    token: int
    quantised_nl: int
    end_t_mono_s: int
    hour_used_nl: int
    hour_max_nl: int
    day_used_nl: int
    day_max_nl: int


@message("result" / nested(CommandResult), "delivered_nl" / U32)
class BolusCommitReply(NamedTuple):
    """The bolus has started."""

    result: CommandResult
    delivered_nl: int


@message(
    "outcome" / enum_of(Outcome),
    "op" / U8 * "opcode recorded; 0 where nothing is",
    "reason" / U16 * "error code, or 0",
    "cmd_crc" / U32 * "of the command recorded",
    "delivered_nl" / U32,
    "uncertain_nl" / U32 * "delivered <= true <= delivered + uncertain",
    "start_seq" / U32 * "log entry of the start",
    "end_seq" / U32 * "log entry of the end; 0 while open",
)
class QueryCmdReply(NamedTuple):
    """What became of a command. Take it as your own only if op and cmd_crc match what you sent."""

    outcome: Outcome
    op: int
    reason: int
    cmd_crc: int
    delivered_nl: int
    uncertain_nl: int
    start_seq: int
    end_seq: int


@message(
    "outcome" / enum_of(Outcome),
    "op" / U8 * "opcode recorded; 0 where nothing is",
    "reason" / U16 * "error code, or 0",
    "cmd_crc" / U32 * "of the command recorded",
    "delivered_nl" / U32,
    "uncertain_nl" / U32 * "delivered <= true <= delivered + uncertain",
    "start_seq" / U32 * "log entry of the start",
    "end_seq" / U32 * "log entry of the end; 0 while open",
)
class VoidCmdReply(NamedTuple):
    """The same answer, after voiding."""

    outcome: Outcome
    op: int
    reason: int
    cmd_crc: int
    delivered_nl: int
    uncertain_nl: int
    start_seq: int
    end_seq: int


@message(
    "result" / nested(CommandResult),
    "target_outcome" / enum_of(Outcome) * "NEVER_RECEIVED where there is no such bolus",
    Reserved(3),
    "delivered_nl" / U32 * "final, after the motor stopped",
)
class BolusCancelReply(NamedTuple):
    """What the bolus had delivered when it ended."""

    result: CommandResult
    target_outcome: Outcome
    delivered_nl: int


@message(
    "result" / nested(CommandResult),
    "state" / enum_of(State) * "after acting",
    "on_expiry" / enum_of(OnExpiry),
    "stopped_by" / enum_or_none(Role, NOBODY),
    Reserved(1),
    "stopped_s" / U32,
    "expires_t_mono_s" / U32,
)
class StopReply(NamedTuple):
    """The state after the stop acted."""

    result: CommandResult
    state: State
    on_expiry: OnExpiry
    stopped_by: Role | None
    stopped_s: int
    expires_t_mono_s: int


@message(
    "result" / nested(CommandResult),
    "state" / enum_of(State),
    Reserved(3),
    "rate_nl_per_day" / U32,
)
class ResumeReply(NamedTuple):
    """The state after resuming."""

    result: CommandResult
    state: State
    rate_nl_per_day: int


@message(
    "result" / nested(CommandResult) * "RUNNING or REFUSED",
    "deny" / enum_of(DenyReason),
    Reserved(3),
    "volume_nl" / U32,
    "next_allowed_s" / U32 * "from now; 0 at once",
)
class PatientBolusReply(NamedTuple):
    """Granted, or why not and when next."""

    result: CommandResult
    deny: DenyReason
    volume_nl: int
    next_allowed_s: int


@message()
class ProgBeginReply(NamedTuple):
    """Staging has begun."""


@message("count" / U8 * "segments staged so far")
class ProgWriteReply(NamedTuple):
    """How far staging is."""

    count: int  # type: ignore[assignment] # hides a method of tuple that nobody calls


@message(
    "code" / enum_of(ErrorCode, U16),
    "group" / U8 * "FF: no group",
    "index" / U8 * "of the segment; FF: no segment",
    "value" / U32,
    "limit" / U32,
    "nearest" / U32 * "the nearest acceptable value",
)
class ProgramRefusal(NamedTuple):
    """One thing for which the staged program would be refused."""

    code: ErrorCode
    group: int
    index: int  # type: ignore[assignment] # hides a method of tuple that nobody calls
    value: int
    limit: int
    nearest: int


@message(
    "n_groups" / Count("day_totals_nl", GROUPS_MAX),
    "n_refusals" / Count("refusals", REFUSALS_MAX),
    "peak_rate_nl_per_day" / U32,
    "staged_crc" / U32 * "what PROG_COMMIT must name",
    "day_totals_nl" / Rows("n_groups", U32),
    "refusals" / Rows("n_refusals", nested(ProgramRefusal)),
)
class ProgVerifyReply(NamedTuple):
    """The pump's own reading of what is staged."""

    peak_rate_nl_per_day: int
    staged_crc: int
    day_totals_nl: tuple[int, ...]
    refusals: tuple[ProgramRefusal, ...]


@message(
    "result" / nested(CommandResult),
    "program_rev" / U32,
    "state" / enum_of(State),
)
class ProgCommitReply(NamedTuple):
    """The new program is the active one."""

    result: CommandResult
    program_rev: int
    state: State


@message()
class ProgAbortReply(NamedTuple):
    """Nothing is staged any more."""


@message("result" / nested(CommandResult), "delivered_nl" / U32)
class PrimeReply(NamedTuple):
    """The prime has started."""

    result: CommandResult
    delivered_nl: int
