"""What an entry of the log says that a life has reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from protocol.identifiers import AlarmId
from protocol.log.types import BolusEndReason, LogType

if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware_emu.controller.events import LogWritten


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
