"""What a test looks at before and after: the pump's own time, new log entries, volumes to one stroke."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.errors import NotOnThisRig
from hil.rig import UG_PER_NL
from protocol.identifiers import AlarmId
from protocol.log.types import LogName, LogType

if TYPE_CHECKING:
    from hil.programmer.programmer import Programmer
    from hil.rig import Rig
    from protocol.log.entry import LogEntry
    from protocol.messages.alarms import AlarmRow
    from protocol.messages.reading import GetStatusReply

MS_PER_S = 1_000
MS_PER_DAY = 86_400_000


def mono_ms(pump: Programmer) -> int:
    """The pump's monotonic time."""
    time = pump.time()
    return time.t_mono_s * MS_PER_S + time.t_ms


class LogMark:
    """A place in the main log: what is written behind it is what happened since."""

    def __init__(self, pump: Programmer) -> None:
        self.seq = pump.status().last_seq

    def entries(self, pump: Programmer, *types: LogType) -> list[LogEntry]:
        """Entries since, all or of these types; housekeeping (time references, chain checkpoints) left out."""
        newest = pump.status().last_seq
        if newest == self.seq:
            return []
        since = pump.read_log(LogName.MAIN, from_seq=self.seq + 1).entries
        wanted = [entry for entry in since if entry.type not in _HOUSEKEEPING]
        return [entry for entry in wanted if not types or entry.type in types]

    def types(self, pump: Programmer) -> list[LogType]:
        """Types of the entries since."""
        return [entry.type for entry in self.entries(pump)]


_HOUSEKEEPING = frozenset({LogType.TIME_REF, LogType.LOG_CHECKPOINT, LogType.DAY_TOTAL})


def time_of_ms(entry: LogEntry) -> int:
    """When an entry was written, in monotonic time."""
    return entry.t_mono_s * MS_PER_S + entry.t_ms


def is_active(status: GetStatusReply, alarm: AlarmId) -> bool:
    """Whether the condition of an alarm lasts."""
    return bool(status.alarm_active >> alarm & 1)


def is_latched(status: GetStatusReply, alarm: AlarmId) -> bool:
    """Whether an alarm has occurred and not been acknowledged since."""
    return bool(status.alarm_latched >> alarm & 1)


def alarm_row(pump: Programmer, alarm: AlarmId) -> AlarmRow | None:
    """The row of an alarm in GET_ALARMS, if it is listed."""
    return next((row for row in pump.alarms().alarms if row.alarm_id is alarm), None)


def volume_at_rate_nl(rate_nl_per_day: int, duration_ms: int) -> int:
    """What a rate gives in a time, rounded down."""
    return rate_nl_per_day * duration_ms // MS_PER_DAY


class Scale:
    """What a pump has given since this was made, as a balance weighs it."""

    def __init__(self, rig: Rig, stroke_nl: int) -> None:
        """NotOnThisRig where the balance cannot tell one stroke."""
        self._rig = rig
        self._before_ug, resolution_ug, _ = rig.weigh()
        self.within_nl = resolution_ug // UG_PER_NL
        """How far what it says may be from what was given: half a step at each end."""
        if 2 * self.within_nl >= stroke_nl:
            raise NotOnThisRig(
                f"the balance shows steps of {resolution_ug} ug, too coarse for a stroke of {stroke_nl} nL"
            )

    def given_nl(self) -> int:
        """Volume since then."""
        return (self._rig.weigh().mass_ug - self._before_ug) // UG_PER_NL
