"""The messages that read both clocks and set the wall clock [SPEC 6]."""

from typing import NamedTuple

from protocol.codec.atoms import BOOLEAN, I16, I32, U16, U32, enum_of, monotonic, volatile
from protocol.codec.layouts import message, nested
from protocol.identifiers import Opcode, TimeSetReason
from protocol.messages.command import command
from protocol.messages.ledger import CMD_ID, CommandResult


@command(Opcode.GET_TIME, "OPCS", while_unknown=True)
@message("client_ms" / volatile(U32) * "the client's own time, returned unchanged")
class GetTime(NamedTuple):
    """Both clocks of the pump."""

    client_ms: int

    @staticmethod
    def reply_class() -> "type[GetTimeReply]":
        return GetTimeReply


@message(
    "client_ms" / volatile(U32) * "as it was asked",
    "t_mono_s" / monotonic(U32) * "running time",
    "t_ms" / volatile(U16) * "milliseconds of t_mono_s",
    "wall_s" / volatile(U32) * "seconds since 2000-01-01 UTC; 0 never set",
    "tz_minutes" / I16 * "local minus UTC",
    "boot_count" / monotonic(U32) * "starts of the program in the pump",
)
class GetTimeReply(NamedTuple):
    """Both clocks of the pump."""

    client_ms: int
    t_mono_s: int
    t_ms: int
    wall_s: int
    tz_minutes: int
    boot_count: int


@command(Opcode.TIME_SET, "C", therapy=True, carries_cmd_id=True)
@message(
    "cmd_id" / CMD_ID,
    "wall_s" / volatile(U32) * "seconds since 2000-01-01 UTC",
    "tz_minutes" / I16 * "-720 to 840, local minus UTC",
    "reason" / enum_of(TimeSetReason),
    "confirm" / BOOLEAN * "1: a change above 120 s, or from an invalid clock, is meant",
    not_in_cmd_crc=("confirm",),
)
class TimeSet(NamedTuple):
    """Set the wall clock and the time zone."""

    cmd_id: int
    wall_s: int
    tz_minutes: int
    reason: TimeSetReason
    confirm: bool = False

    @staticmethod
    def reply_class() -> "type[TimeSetReply]":
        return TimeSetReply


@message(
    "result" / nested(CommandResult),
    "delta_s"
    / volatile(I32)
    * "new - old of wall_s + 60 tz_minutes, saturated; 80000000 if the clock was invalid",
)
class TimeSetReply(NamedTuple):
    """The clock is set."""

    result: CommandResult
    delta_s: int
