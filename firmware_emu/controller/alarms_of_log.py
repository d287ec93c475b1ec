"""The alarms as the log tells them: a witness where their record is damaged, or is older than the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from firmware_emu.controller.alarms.alarm_table import ALARMS
from firmware_emu.controller.alarms.alarms import Alarms
from firmware_emu.units import MS_PER_S
from protocol.log.types import LogName, LogType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from firmware_emu.controller.memory.event_log import EventLog
    from protocol.log.entry import LogEntry


def are_older_than_log(alarms: Alarms, log: EventLog) -> bool:
    """Whether the newest alarm entry of the log is not in the alarms: each belongs to one commit with them.

    False where a damaged entry leaves that open.
    """
    for entry in _newest_first(log):
        if entry is None:
            return False
        if entry.type not in (LogType.ALARM_ON, LogType.ALARM_OFF):
            continue
        data: Any = entry.details()
        occurrence = alarms.occurrences.get(data.alarm_id)
        if entry.type is LogType.ALARM_ON:
            return occurrence is None or occurrence.on_seq < entry.seq
        return occurrence is not None and occurrence.active and occurrence.on_seq < entry.seq
    return False


def alarms_of(log: EventLog) -> Alarms:
    """What lasts by the log: each alarm whose newest entry says that it began. Whoever silenced one is not known."""
    alarms, told = Alarms(), set()
    for entry in _newest_first(log):
        if entry is None or entry.type not in (LogType.ALARM_ON, LogType.ALARM_OFF):
            continue
        data: Any = entry.details()
        if data.alarm_id in told or ALARMS[data.alarm_id].momentary:
            continue
        told.add(data.alarm_id)
        if entry.type is LogType.ALARM_ON:
            on_ms = entry.t_mono_s * MS_PER_S + entry.t_ms
            alarms.raise_(data.alarm_id, on_ms, entry.seq, data.value, data.cause)
    return alarms


def _newest_first(log: EventLog) -> Iterator[LogEntry | None]:
    """The entries of the main log, back to the oldest; None for a damaged one."""
    return (log.entry(LogName.MAIN, seq) for seq in range(log.last_seq, log.oldest_seq - 1, -1) if seq)
