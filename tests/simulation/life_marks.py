"""What an entry of the log says that a life has reached: the names of its marks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from protocol.identifiers import AlarmId
from protocol.log.types import BolusEndReason, LogType

if TYPE_CHECKING:
    from firmware_emu.controller.events import LogWritten

BOLUS_ENDS: Final = {
    BolusEndReason.MISSING_EDGES: "a bolus interrupted by a stall",
    BolusEndReason.STOP: "a bolus interrupted by a stop",
    BolusEndReason.ALARM: "a bolus interrupted by an alarm",
    BolusEndReason.POWER: "a bolus interrupted by a power cut",
    BolusEndReason.CANCELLED: "a bolus cancelled",
}
BRIDGE_ENDS: Final = {
    BolusEndReason.COMPLETE: "a bridge delivered",
    BolusEndReason.REPLACED: "a bridge replaced",
}
ALARMS: Final = {
    AlarmId.LOW_RESERVOIR: "a reservoir that ran low",
    AlarmId.EMPTY: "a reservoir believed empty",
    AlarmId.STOP_EXPIRED: "a stop that expired",
    AlarmId.STOPPED_TOO_LONG: "a pump stopped for too long",
}
PUMPS_OWN: Final = {
    LogType.BOLUS_START: "a periodic bolus begun",
    LogType.CMD_REFUSED: "a periodic bolus passed over",
}


def marks_of(written: LogWritten) -> tuple[str, ...]:
    """The marks of one entry; most have none."""
    data: Any = written.data
    kind = written.log_type
    found: list[str | None] = [None if written.cmd_id else PUMPS_OWN.get(kind)]
    match kind:
        case LogType.BOLUS_END:
            found.append(BOLUS_ENDS.get(data.reason))
        case LogType.BRIDGE_END:
            found.append(BRIDGE_ENDS.get(data.reason))
        case LogType.PRIME_END:
            whole = data.reason is BolusEndReason.COMPLETE
            found.append("a prime delivered" if whole else "a prime interrupted")
        case LogType.ALARM_ON:
            found.append(ALARMS.get(data.alarm_id))
        case _:
            pass
    return tuple(mark for mark in found if mark is not None)
