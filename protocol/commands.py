"""Every request that a client may send [SPEC 6]: here reading and therapy; `upkeep_commands` has the others.

The answers are in `reports`, the rights in `registry`.
"""

from typing import NamedTuple

from protocol.identifiers import BolusKind, OnExpiry, ProgramSlot, StopReason
from protocol.layout_atoms import BOOLEAN, U8, U16, U32, Count, Rows, enum_of
from protocol.layouts import message, nested
from protocol.program import ProgramHeader, Segment
from protocol.upkeep_commands import (
    CONFIG_VALUE_MAX,
    LOG_READ_MAX,
    AlarmAck,
    AlarmTest,
    ConfigRead,
    ConfigWrite,
    EndSession,
    KeyAdd,
    KeyList,
    KeyRevoke,
    LogRead,
    LogStatus,
    Ping,
    Refill,
    SelfTest,
    Subscribe,
    TimeSet,
)

__all__ = [
    "CMD_ID_FIRST",
    "CMD_ID_LAST",
    "CONFIG_VALUE_MAX",
    "LOG_READ_MAX",
    "OWN_KEY",
    "SEGMENTS_PER_WRITE_MAX",
    "AlarmAck",
    "AlarmTest",
    "BolusCancel",
    "BolusCommit",
    "BolusPrepare",
    "ConfigRead",
    "ConfigWrite",
    "EndSession",
    "GetAlarms",
    "GetDelivery",
    "GetInfo",
    "GetLimits",
    "GetLinkStats",
    "GetProgram",
    "GetReservoir",
    "GetStatus",
    "GetTime",
    "KeyAdd",
    "KeyList",
    "KeyRevoke",
    "LogRead",
    "LogStatus",
    "PatientBolus",
    "Ping",
    "Prime",
    "ProgAbort",
    "ProgBegin",
    "ProgCommit",
    "ProgVerify",
    "ProgWrite",
    "QueryCmd",
    "Refill",
    "Resume",
    "SelfTest",
    "Stop",
    "Subscribe",
    "TimeSet",
    "VoidCmd",
]

OWN_KEY = 0xFFFF
CMD_ID_FIRST = 1
CMD_ID_LAST = 0xFFFF_FFFE
SEGMENTS_PER_WRITE_MAX = 30


@message()
class GetStatus(NamedTuple):
    """What the pump believes and does."""


@message()
class GetInfo(NamedTuple):
    """Which pump this is."""


@message()
class GetLimits(NamedTuple):
    """What this pump refuses to exceed."""


@message("client_ms" / U32 * "the client's own time, returned unchanged")
class GetTime(NamedTuple):
    """Both clocks of the pump."""

    client_ms: int


@message(
    "slot" / enum_of(ProgramSlot),
    "from_index" / U8 * "first segment wanted",
)
class GetProgram(NamedTuple):
    """The active or the staged program, up to 19 segments at a time."""

    slot: ProgramSlot
    from_index: int


@message()
class GetDelivery(NamedTuple):
    """What was delivered since the pump was made, by source."""


@message("clear" / BOOLEAN * "1: set all counters to 0 after reading")
class GetLinkStats(NamedTuple):
    """What the link has seen go wrong."""

    clear: bool


@message()
class GetAlarms(NamedTuple):
    """Each alarm that is active or latched."""


@message()
class GetReservoir(NamedTuple):
    """The calculated reservoir and what follows from it."""


@message(
    "kind" / enum_of(BolusKind),
    "volume_nl" / U32,
    "duration_s" / U32,
    "program_rev" / U32 * "the revision that the clinician saw",
)
class BolusPrepare(NamedTuple):
    """Ask whether a bolus or a prime would be accepted; the token permits one."""

    kind: BolusKind
    volume_nl: int
    duration_s: int
    program_rev: int


@message(
    "cmd_id" / U32,
    "volume_nl" / U32 * "= quantised_nl of the PREPARE",
    "duration_s" / U32,
    "token" / U32,
    "program_rev" / U32,
    not_in_cmd_crc=("token",),
)
class BolusCommit(NamedTuple):
    """Deliver the prepared bolus."""

    cmd_id: int
    volume_nl: int
    duration_s: int
    token: int
    program_rev: int


@message(
    "cmd_id" / U32,
    "key_id" / U16 * "FFFF the own key; another key's: clinician only",
)
class QueryCmd(NamedTuple):
    """Ask what became of a command."""

    cmd_id: int
    key_id: int = OWN_KEY


@message("cmd_id" / U32)
class VoidCmd(NamedTuple):
    """Make sure that a command which was never received never will be."""

    cmd_id: int


@message(
    "cmd_id" / U32,
    "target_cmd_id" / U32 * "0 the active bolus, whosever it is",
    "target_key_id" / U16 * "whose command the target is",
)
class BolusCancel(NamedTuple):
    """End a bolus now. Never refused for its cmd_id."""

    cmd_id: int
    target_cmd_id: int
    target_key_id: int


@message(
    "cmd_id" / U32,
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


@message(
    "cmd_id" / U32,
    "program_rev" / U32,
)
class Resume(NamedTuple):
    """Start the active program again."""

    cmd_id: int
    program_rev: int


@message("cmd_id" / U32)
class PatientBolus(NamedTuple):
    """The patient asks for the bolus that the program allows."""

    cmd_id: int


@message(
    "base_rev" / U32 * "the revision that the new program follows",
    "header" / nested(ProgramHeader),
)
class ProgBegin(NamedTuple):
    """Start staging a program; replaces any staging."""

    base_rev: int
    header: ProgramHeader


@message(
    "index" / U8 * "count so far, or below to rewrite",
    "n" / Count("segments", SEGMENTS_PER_WRITE_MAX),
    "segments" / Rows("n", nested(Segment)),
)
class ProgWrite(NamedTuple):
    """Stage segments from an index on."""

    index: int  # type: ignore[assignment] # hides a method of tuple that nobody calls
    segments: tuple[Segment, ...]


@message()
class ProgVerify(NamedTuple):
    """Ask how the pump reads what is staged."""


@message(
    "cmd_id" / U32,
    "base_rev" / U32 * "must be the active revision",
    "staged_crc" / U32 * "of the program that was verified",
    "start" / BOOLEAN * "1 run, 0 keep the state",
)
class ProgCommit(NamedTuple):
    """Replace the active program by the staged one, in one stroke."""

    cmd_id: int
    base_rev: int
    staged_crc: int
    start: bool


@message()
class ProgAbort(NamedTuple):
    """Throw the staged program away."""


@message(
    "cmd_id" / U32,
    "volume_nl" / U32 * "= quantised_nl of the PREPARE",
    "duration_s" / U32,
    "token" / U32 * "of a PREPARE of kind 2",
    "program_rev" / U32,
    not_in_cmd_crc=("token",),
)
class Prime(NamedTuple):
    """Fill the tubing: its own accounting, outside the bolus windows."""

    cmd_id: int
    volume_nl: int
    duration_s: int
    token: int
    program_rev: int
