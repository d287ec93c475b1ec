"""The messages that read, stage, verify and commit infusion programs [SPEC 6]."""

from collections.abc import Iterable
from typing import NamedTuple

from protocol.codec.atoms import (
    BOOLEAN,
    PROGRAM_REVISION,
    U8,
    U16,
    U32,
    Count,
    Reserved,
    Rows,
    enum_of,
    flags_of,
    naming,
)
from protocol.codec.layouts import encode, message, nested
from protocol.identifiers import ErrorCode, InfusionMode, Opcode, ProgramFlag, ProgramSlot, State
from protocol.messages.command import command
from protocol.messages.ledger import CMD_ID, CommandResult
from protocol.wire.checksum import crc32c

GROUPS_MAX = 7
SEGMENTS_PER_DAY_MAX = 13  # [DOMAIN 2.1]
SEGMENTS_MAX = GROUPS_MAX * SEGMENTS_PER_DAY_MAX
SEGMENTS_PER_WRITE_MAX = 30
SEGMENTS_PER_REPLY_MAX = 19
REFUSALS_MAX = 8
NO_GROUP = 0xFF  # of a refusal that concerns none in particular


@message(
    "volume_nl" / U32 * "one bolus of the series",
    "duration_s" / U32 * "over which each is given",
    "interval_s" / U32 * "start to start",
    "first_delay_s" / U32 * "from the commit to the first",
)
class PeriodicBlock(NamedTuple):
    """Boluses that come by themselves; all 0 without the flag PERIODIC."""

    volume_nl: int = 0
    duration_s: int = 0
    interval_s: int = 0
    first_delay_s: int = 0


@message(
    "volume_nl" / U32 * "of one grant",
    "duration_s" / U32 * "over which it is given",
    "lockout_s" / U32 * "start to start",
    "window_s" / U32 * "in which at most max_count are granted",
    "max_count" / U8 * "grants in a window",
    Reserved(3),
)
class PatientBlock(NamedTuple):
    """Boluses that the patient may ask for; all 0 without the flag PATIENT."""

    volume_nl: int = 0
    duration_s: int = 0
    lockout_s: int = 0
    window_s: int = 0
    max_count: int = 0


@message(
    "volume_nl" / U32 * "delivered before the program starts",
    "rate_nl_per_day" / U32 * "at which it is delivered",
)
class BridgeBlock(NamedTuple):
    """The old drug's way out of the tubing, before the program starts; all 0 without the flag BRIDGE."""

    volume_nl: int = 0
    rate_nl_per_day: int = 0


@message(
    "day_mask" / U8 * "bit 0 Monday to bit 6 Sunday",
    "n_segments" / U8 * "taken from the list of segments, in order",
    "dose_ng_per_day" / U32 * "what was prescribed; shown, and checked against the rates",
)
class Group(NamedTuple):
    """Days that share one course of the day; all 0 beyond n_groups."""

    day_mask: int = 0
    n_segments: int = 0
    dose_ng_per_day: int = 0


@message("start_min" / U16 * "minute of the local day", "rate_nl_per_day" / U32 * "from then on")
class Segment(NamedTuple):
    """A rate and the minute of the local day from which it holds; 6 bytes."""

    start_min: int
    rate_nl_per_day: int


@message(
    "mode" / enum_of(InfusionMode) * "how it infuses",
    "n_groups" / U8 * "1 to 7",
    "n_segments" / U8 * "1 to 91, of all groups together",
    "flags" / flags_of(ProgramFlag) * "which blocks it has",
    "drug_id" / U16 * "number of the drug",
    Reserved(2),
    "concentration_ng_per_ml" / U32 * "of the drug",
    "periodic" / nested(PeriodicBlock),
    "patient" / nested(PatientBlock),
    "bridge" / nested(BridgeBlock),
    "groups" / Rows(GROUPS_MAX, nested(Group)) * "unused groups 0",
)
class ProgramHeader(NamedTuple):
    """Everything of a program but its segments, in 98 bytes; `groups` has seven rows, the unused ones 0."""

    mode: InfusionMode
    n_groups: int
    n_segments: int
    flags: ProgramFlag
    drug_id: int
    concentration_ng_per_ml: int
    periodic: PeriodicBlock = PeriodicBlock()
    patient: PatientBlock = PatientBlock()
    bridge: BridgeBlock = BridgeBlock()
    groups: tuple[Group, ...] = (Group(),) * GROUPS_MAX


def staged_crc(header: ProgramHeader, segments: Iterable[Segment]) -> int:
    """CRC-32C of header and segments as they travel: names the staged program in PROG_COMMIT and REFILL."""
    return crc32c(encode(header) + b"".join(encode(segment) for segment in segments))


def padded_groups(groups: Iterable[Group]) -> tuple[Group, ...]:
    """The used groups, and empty ones up to seven."""
    used = tuple(groups)
    return used + (Group(),) * (GROUPS_MAX - len(used))


@command(Opcode.GET_PROGRAM, "OPCS", while_unknown=True)
@message("slot" / enum_of(ProgramSlot), "from_index" / U8 * "first segment wanted")
class GetProgram(NamedTuple):
    """The active or the staged program, up to 19 segments at a time."""

    slot: ProgramSlot
    from_index: int

    @staticmethod
    def reply_class() -> "type[GetProgramReply]":
        return GetProgramReply


@message(
    "slot" / enum_of(ProgramSlot) * "active or staged",
    "from_index" / U8 * "of the first segment here",
    "n" / Count("segments", SEGMENTS_PER_REPLY_MAX),
    Reserved(1),
    "program_rev" / naming(U32, PROGRAM_REVISION) * "of the active program; 0 none yet",
    "crc" / U32 * "CRC-32C of header and all segments",
    "header" / nested(ProgramHeader),
    "segments" / Rows("n", nested(Segment)),
)
class GetProgramReply(NamedTuple):
    """A program, up to 19 segments at a time."""

    slot: ProgramSlot
    from_index: int
    program_rev: int
    crc: int
    header: ProgramHeader
    segments: tuple[Segment, ...]


@command(Opcode.PROG_BEGIN, "C")
@message(
    "base_rev" / naming(U32, PROGRAM_REVISION) * "the revision that the new program follows",
    "header" / nested(ProgramHeader),
)
class ProgBegin(NamedTuple):
    """Start staging a program; replaces any staging."""

    base_rev: int
    header: ProgramHeader

    @staticmethod
    def reply_class() -> "type[ProgBeginReply]":
        return ProgBeginReply


@message()
class ProgBeginReply(NamedTuple):
    """Staging has begun."""


@command(Opcode.PROG_WRITE, "C")
@message(
    "index" / U8 * "count so far, or below to rewrite",
    "n" / Count("segments", SEGMENTS_PER_WRITE_MAX),
    "segments" / Rows("n", nested(Segment)),
)
class ProgWrite(NamedTuple):
    """Stage segments from an index on."""

    index: int  # type: ignore[assignment] # hides a method of tuple that nobody calls
    segments: tuple[Segment, ...]

    @staticmethod
    def reply_class() -> "type[ProgWriteReply]":
        return ProgWriteReply


@message("count" / U8 * "segments staged so far")
class ProgWriteReply(NamedTuple):
    """The number of segments staged so far."""

    count: int  # type: ignore[assignment] # hides a method of tuple that nobody calls


@command(Opcode.PROG_VERIFY, "C")
@message()
class ProgVerify(NamedTuple):
    """Ask how the pump reads what is staged."""

    @staticmethod
    def reply_class() -> "type[ProgVerifyReply]":
        return ProgVerifyReply


@message(
    "code" / enum_of(ErrorCode, U16),
    "group" / U8 * "FF: no group",
    "index" / U8 * "of the segment; without a group the refused field's offset in the header; FF: neither",
    "value" / U32 * "what was staged",
    "limit" / U32 * "the bound that it passed",
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
    "peak_rate_nl_per_day" / U32 * "the highest rate of the segments and the bridge",
    "staged_crc" / U32 * "what PROG_COMMIT must name",
    "day_totals_nl" / Rows("n_groups", U32) * "basal volume of a day of each group",
    "refusals" / Rows("n_refusals", nested(ProgramRefusal)),
)
class ProgVerifyReply(NamedTuple):
    """The pump's own reading of what is staged."""

    peak_rate_nl_per_day: int
    staged_crc: int
    day_totals_nl: tuple[int, ...]
    refusals: tuple[ProgramRefusal, ...]


@command(Opcode.PROG_COMMIT, "C", therapy=True, carries_cmd_id=True)
@message(
    "cmd_id" / CMD_ID,
    "base_rev" / naming(U32, PROGRAM_REVISION) * "must be the active revision",
    "staged_crc" / U32 * "of the program that was verified",
    "start" / BOOLEAN * "1 run, 0 keep the state",
)
class ProgCommit(NamedTuple):
    """Replace the active program by the staged one, in one stroke."""

    cmd_id: int
    base_rev: int
    staged_crc: int
    start: bool

    @staticmethod
    def reply_class() -> "type[ProgCommitReply]":
        return ProgCommitReply


@message(
    "result" / nested(CommandResult),
    "program_rev" / naming(U32, PROGRAM_REVISION) * "of the new program",
    "state" / enum_of(State) * "after the commit",
)
class ProgCommitReply(NamedTuple):
    """The new program is the active one."""

    result: CommandResult
    program_rev: int
    state: State


@command(Opcode.PROG_ABORT, "C")
@message()
class ProgAbort(NamedTuple):
    """Throw the staged program away."""

    @staticmethod
    def reply_class() -> "type[ProgAbortReply]":
        return ProgAbortReply


@message()
class ProgAbortReply(NamedTuple):
    """Nothing is staged any more."""
