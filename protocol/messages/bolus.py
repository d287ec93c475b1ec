"""The messages that prepare, commit and cancel boluses and primes, and the patient's request [SPEC 6]."""

from typing import NamedTuple

from protocol.codec.atoms import (
    ASKED_S,
    COMMAND,
    PROGRAM_REVISION,
    TOKEN,
    U16,
    U32,
    Reserved,
    delta,
    enum_of,
    naming,
    volatile,
)
from protocol.codec.identities import Identity
from protocol.codec.layouts import message, nested
from protocol.identifiers import BolusKind, DenyReason, Opcode, Outcome
from protocol.messages.command import command
from protocol.messages.ledger import CMD_ID, CommandResult

NOT_BY_WAITING_S = 0xFFFF_FFFF  # in place of a time: nobody knows when, or never


@command(Opcode.BOLUS_PREPARE, "C", therapy=True)
@message(
    "kind" / enum_of(BolusKind),
    "volume_nl" / U32 * "a stroke to bolus_max_nl of GET_LIMITS",
    "duration_s" / U32 * "1 to bolus_max_duration_s of GET_LIMITS",
    "program_rev" / naming(U32, PROGRAM_REVISION) * "the revision that the clinician saw",
)
class BolusPrepare(NamedTuple):
    """Ask whether a bolus or a prime would be accepted; the token permits one."""

    kind: BolusKind
    volume_nl: int
    duration_s: int
    program_rev: int

    @staticmethod
    def reply_class() -> "type[BolusPrepareReply]":
        return BolusPrepareReply


@message(
    "token" / naming(U32, TOKEN) * "10 s, one use",
    "quantised_nl" / U32 * "rounded down to whole strokes",
    "end_t_mono_s" / volatile(U32) * "if it started now",
    "hour_used_nl" / U32 * "boluses in the last 60 min, without this one",
    "hour_max_nl" / U32 * "boluses allowed in any 60 min",
    "day_used_nl" / U32 * "boluses in the last 24 h, without this one",
    "day_max_nl" / U32 * "boluses allowed in any 24 h",
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


@command(Opcode.BOLUS_COMMIT, "C", therapy=True, carries_cmd_id=True)
@message(
    "cmd_id" / CMD_ID,
    "volume_nl" / U32 * "= quantised_nl of the PREPARE",
    "duration_s" / U32 * "as prepared",
    "token" / naming(U32, TOKEN) * "of a PREPARE of kind 1",
    "program_rev" / naming(U32, PROGRAM_REVISION) * "the revision that the clinician saw",
)
class BolusCommit(NamedTuple):
    """Deliver the prepared bolus."""

    cmd_id: int
    volume_nl: int
    duration_s: int
    token: int
    program_rev: int

    @staticmethod
    def reply_class() -> "type[BolusCommitReply]":
        return BolusCommitReply


@message("result" / nested(CommandResult), "delivered_nl" / U32 * "volume delivered so far")
class BolusCommitReply(NamedTuple):
    """The bolus has started."""

    result: CommandResult
    delivered_nl: int


@command(Opcode.BOLUS_CANCEL, "PCS", carries_cmd_id=True, while_unknown=True)
@message(
    "cmd_id" / CMD_ID,
    "target_cmd_id" / naming(U32, COMMAND) * "0 the active bolus, whosever it is",
    "target_key_id" / U16 * "whose command the target is",
    identities={"target_key_id": Identity.KEY_ID},
)
class BolusCancel(NamedTuple):
    """End a bolus now. Never refused for its cmd_id."""

    cmd_id: int
    target_cmd_id: int
    target_key_id: int

    @staticmethod
    def reply_class() -> "type[BolusCancelReply]":
        return BolusCancelReply


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


@command(Opcode.PATIENT_BOLUS, "P", therapy=True, carries_cmd_id=True)
@message("cmd_id" / CMD_ID)
class PatientBolus(NamedTuple):
    """The patient asks for the bolus that the program allows."""

    cmd_id: int

    @staticmethod
    def reply_class() -> "type[PatientBolusReply]":
        return PatientBolusReply


@message(
    "result" / nested(CommandResult) * "RUNNING or REFUSED",
    "deny" / enum_of(DenyReason),
    Reserved(3),
    "volume_nl" / U32 * "of one bolus of the program, in whole strokes; 0 where it has none",
    "next_allowed_s" / delta(U32, ASKED_S) * "from now, rounded up; 0 at once, FFFFFFFF not by waiting alone",
)
class PatientBolusReply(NamedTuple):
    """Granted, or why not and when next."""

    result: CommandResult
    deny: DenyReason
    volume_nl: int
    next_allowed_s: int


@command(Opcode.PRIME, "C", therapy=True, carries_cmd_id=True)
@message(
    "cmd_id" / CMD_ID,
    "volume_nl" / U32 * "= quantised_nl of the PREPARE",
    "duration_s" / U32 * "as prepared",
    "token" / naming(U32, TOKEN) * "of a PREPARE of kind 2",
    "program_rev" / naming(U32, PROGRAM_REVISION) * "the revision that the clinician saw",
)
class Prime(NamedTuple):
    """Fill the tubing: its own accounting, outside the bolus windows."""

    cmd_id: int
    volume_nl: int
    duration_s: int
    token: int
    program_rev: int

    @staticmethod
    def reply_class() -> "type[PrimeReply]":
        return PrimeReply


@message("result" / nested(CommandResult), "delivered_nl" / U32 * "volume delivered so far")
class PrimeReply(NamedTuple):
    """The prime has started."""

    result: CommandResult
    delivered_nl: int
