"""What a power cut kept from the trace: entries that were durable before the program could tell of them.

The log is the witness, not the program that died. A commit whose journal was whole when power went is completed by
the next start, and starts may be cut themselves; so the next program that runs tells what stands in the log and was
never told, before it tells of itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from firmware_emu.controller.events import AlarmCleared, AlarmRaised, LogWritten
from firmware_emu.controller.memory.event_log import LogSeqs
from protocol.codec.atoms import Malformed
from protocol.log.types import LogName, LogType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from firmware_emu.controller.memory.event_log import EventLog
    from firmware_emu.events import Event
    from protocol.log.entry import LogEntry


def late_events(log: EventLog, told: LogSeqs) -> list[Event]:
    """The events of all entries that the log held at this start and of which nothing told, in the order of their ticks.

    `told` has the newest numbers that were told; of another epoch it says nothing. Damaged slots and checkpoints of
    the chain are not told. Of two logs at one tick the main one comes first, since which was entered first is nowhere.
    """
    if told.epoch != log.found.epoch:
        told = LogSeqs()
    entries = [
        entry
        for name in LogName
        for seq in range(told.of(name) + 1, log.found.of(name) + 1)
        if (entry := log.entry(name, seq)) is not None and entry.type is not LogType.LOG_CHECKPOINT
    ]
    entries.sort(key=lambda entry: (entry.t_mono_s, entry.t_ms))
    return [event for entry in entries for event in _events_of(entry)]


def _events_of(entry: LogEntry) -> Iterator[Event]:
    try:
        data = entry.details()
    except Malformed:
        return
    yield LogWritten(entry.seq, entry.type, entry.actor, entry.cmd_id, data)
    if entry.type is LogType.ALARM_ON:
        yield AlarmRaised(data.alarm_id, int(data.cause), data.value, entry.seq)
    elif entry.type is LogType.ALARM_OFF:
        yield AlarmCleared(data.alarm_id, entry.seq)
