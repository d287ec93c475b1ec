"""What a life may reach, and what an entry of the log says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from protocol.identifiers import AlarmId
from protocol.log.types import BolusEndReason, LogType

if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware_emu.controller.events import LogWritten

MARKS: Final = (
    "a bolus cancelled",
    "a bolus interrupted by a power cut",
    "a bolus interrupted by a stall",
    "a bolus interrupted by a stop",
    "a bolus interrupted by an alarm",
    "a bolus under an old number was refused",
    "a bridge delivered",
    "a bridge replaced",
    "a bridge under way",
    "a clock that would go far was asked for, and then confirmed",
    "a number that was typed wrong",
    "a number used again",
    "a patient was told GRANTED",
    "a patient was told LOCKOUT",
    "a patient was told NOT_PROGRAMMED",
    "a patient was told STOPPED",
    "a patient's bolus suspended another",
    "a periodic bolus begun",
    "a periodic bolus passed over",
    "a prime delivered",
    "a prime interrupted",
    "a program of another drug was refused",
    "a pump stopped for too long",
    "a pump that gave no answer",
    "a refill of another concentration was refused",
    "a refill of another drug was refused",
    "a reservoir believed empty",
    "a reservoir that ran low",
    "a schedule refused because nobody knew the time",
    "a schedule without a time of day",
    "a slip in an interval was refused",
    "a slip in an interval was taken",
    "a slip of ten in a rate was refused",
    "a step of a schedule",
    "a stop that expired",
    "a warning was refused, and then accepted",
    "power went while a bolus was commanded",
    "power went while a prime was commanded",
    "work on another revision was refused",
)
"""All that a life may reach, here and in `Life` and `Slips`."""


def mark(written: LogWritten, sometimes: Callable[[str, object], None]) -> None:
    """Set the marks of one entry; most have none."""
    data: Any = written.data
    match written.log_type:
        case LogType.BOLUS_END:
            sometimes("a bolus interrupted by a stall", data.reason is BolusEndReason.MISSING_EDGES)
            sometimes("a bolus interrupted by a stop", data.reason is BolusEndReason.STOP)
            sometimes("a bolus interrupted by an alarm", data.reason is BolusEndReason.ALARM)
            sometimes("a bolus interrupted by a power cut", data.reason is BolusEndReason.POWER)
            sometimes("a bolus cancelled", data.reason is BolusEndReason.CANCELLED)
        case LogType.BRIDGE_END:
            sometimes("a bridge delivered", data.reason is BolusEndReason.COMPLETE)
            sometimes("a bridge replaced", data.reason is BolusEndReason.REPLACED)
        case LogType.PRIME_END:
            sometimes("a prime delivered", data.reason is BolusEndReason.COMPLETE)
            sometimes("a prime interrupted", data.reason is not BolusEndReason.COMPLETE)
        case LogType.ALARM_ON:
            sometimes("a reservoir that ran low", data.alarm_id is AlarmId.LOW_RESERVOIR)
            sometimes("a reservoir believed empty", data.alarm_id is AlarmId.EMPTY)
            sometimes("a stop that expired", data.alarm_id is AlarmId.STOP_EXPIRED)
            sometimes("a pump stopped for too long", data.alarm_id is AlarmId.STOPPED_TOO_LONG)
        case LogType.BOLUS_START:
            sometimes("a periodic bolus begun", not written.cmd_id)
        case LogType.CMD_REFUSED:
            sometimes("a periodic bolus passed over", not written.cmd_id)
        case _:
            pass
