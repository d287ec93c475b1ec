"""Everything that the program in the pump remembers, and the one commit by which it remembers it.

Whoever changes a record says so with `mark_dirty`; `commit` makes all that was changed and logged durable at once, so
that a power cut leaves the old state or the new one. Nothing here decides about therapy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from firmware_emu.controller.event_hints import EventHints
from firmware_emu.controller.events import AlarmCleared, AlarmRaised, LogWritten
from firmware_emu.controller.memory.event_log import LogSeqs
from firmware_emu.controller.memory.memory_map import Region
from firmware_emu.controller.refusal import saturated_u32
from protocol.identifiers import AlarmId
from protocol.log.data import AlarmOffData, AlarmOnData, LogErasedData, NoData
from protocol.log.entry import pack_data
from protocol.log.types import Actor, LogFlag, LogType, MemoryFault

if TYPE_CHECKING:
    from firmware_emu.controller.alarms.alarm_table import Remedy
    from firmware_emu.controller.alarms.alarms import Alarms
    from firmware_emu.controller.memory.event_log import EventLog, LogDamage
    from firmware_emu.controller.memory.identity import Identity
    from firmware_emu.controller.memory.key_ring import KeyRing
    from firmware_emu.controller.memory.ledger import Ledger
    from firmware_emu.controller.memory.memory import Memory
    from firmware_emu.controller.memory.settings import Settings, Texts
    from firmware_emu.controller.service_life import ServiceLife
    from firmware_emu.controller.therapy.bolus_window import BolusWindow
    from firmware_emu.controller.therapy.day_total import DayTotal
    from firmware_emu.controller.therapy.patient_requests import PatientRequests
    from firmware_emu.controller.therapy.periodic_bolus import PeriodicSeries
    from firmware_emu.controller.therapy.programs import Program
    from firmware_emu.controller.therapy.reservoir_belief import ReservoirBelief
    from firmware_emu.controller.therapy.therapy_record import TherapyRecord
    from firmware_emu.controller.wall_clock import WallClock
    from firmware_emu.events import Event
    from protocol.log.types import LogName

_NO_DATA: Final = NoData()


class Packable(Protocol):
    """Anything that has bytes for its region."""

    def pack(self) -> bytes: ...


@dataclass(slots=True, eq=False, repr=False)
class Records:
    """The records in RAM, each with its home in the memory. `tick_ms` is the moment that log entries bear."""

    memory: Memory
    log: EventLog
    identity: Identity
    therapy: TherapyRecord
    program: Program | None
    reservoir: ReservoirBelief
    ledger: Ledger
    alarms: Alarms
    window: BolusWindow
    wall_clock: WallClock
    service: ServiceLife
    day: DayTotal
    settings: Settings
    texts: Texts
    keys: KeyRing
    patient: PatientRequests
    periodic: PeriodicSeries
    tick_ms: int = 0
    recovered: bool = False
    events: list[Event] = field(default_factory=list)
    """What has happened since `take_events`, in this order; what was logged, once it is committed."""
    hints: EventHints = field(default_factory=EventHints)
    committed: LogSeqs = field(default_factory=LogSeqs)
    """The newest numbers of both logs that this run of the program has made durable, and so tells of in `events`."""
    _uncommitted: list[Event] = field(default_factory=list)
    _dirty: set[Region] = field(default_factory=set)

    # Changing

    def mark_dirty(self, *regions: Region) -> None:
        """These records have changed and belong into the next commit."""
        self._dirty.update(regions)

    def enter(
        self,
        log_type: LogType,
        data: tuple[object, ...] = _NO_DATA,
        *,
        actor: int = Actor.PUMP,
        cmd_id: int = 0,
        log: LogName | None = None,
    ) -> int:
        """Log an entry in the log of its type, or in the one that is named; returns its number.

        It is durable after the next commit.
        """
        flags = LogFlag.WALL_VALID if self.wall_clock.valid else LogFlag(0)
        if self.recovered:
            flags |= LogFlag.POWER_CUT_RECOVERED
        seq = self.log.append(
            log_type, pack_data(data), self.tick_ms, actor=actor, cmd_id=cmd_id, flags=flags, log=log
        )
        self.mark_dirty(Region.THERAPY)
        self.tell(LogWritten(seq, log_type, int(actor), cmd_id, data))
        return seq

    def begin_epoch(self) -> None:
        """Begin the epoch of the identity in a log that is empty; what was lost before it is not known."""
        self.log.begin_epoch(self.identity.epoch)
        self.enter(LogType.LOG_ERASED, LogErasedData(0, 0))

    def tell(self, event: Event) -> None:
        """Put an event into the trace: with the next commit if something waits for one, else at once."""
        (self._uncommitted if self._dirty else self.events).append(event)

    def raise_alarm(self, alarm_id: AlarmId, value: int = 0, cause: int = 0) -> bool:
        """Raise an alarm and log it; returns False, and does nothing, where it is on already."""
        if self.alarms.is_active(alarm_id):
            return False
        shown = saturated_u32(value)
        on_seq = self.enter(LogType.ALARM_ON, AlarmOnData(alarm_id, cause, shown))
        self.alarms.raise_(alarm_id, self.tick_ms, on_seq, shown, cause)
        self.tell(AlarmRaised(alarm_id, int(cause), int(shown), on_seq))
        self.mark_dirty(Region.ALARMS)
        return True

    def clear_alarm(self, alarm_id: AlarmId) -> None:
        """End an alarm whose condition has ceased, and log it; nothing where it is not on."""
        if not self.alarms.is_active(alarm_id):
            return
        self.alarms.clear(alarm_id, self.tick_ms)
        self._tell_cleared(alarm_id)
        self.mark_dirty(Region.ALARMS)

    def remedy(self, remedy: Remedy) -> None:
        """End the alarms that this remedy ends, and log it."""
        before = self.alarms.latched_mask
        ended = self.alarms.remedied(remedy, self.tick_ms)
        for alarm_id in ended:
            self._tell_cleared(alarm_id)
        if ended or before != self.alarms.latched_mask:
            self.mark_dirty(Region.ALARMS)

    def tell_log_damage(self, damage: LogDamage) -> bool:
        """Log damaged slots of the logs, each once, and raise the alarm; returns whether there are any, told or not."""
        for log, row in damage.untold:
            self.enter(LogType.LOG_CORRUPT, row, log=log)
        if damage.first_seq:
            self.raise_alarm(AlarmId.MEM_NONCRITICAL, damage.first_seq, MemoryFault.LOG)
        return bool(damage.first_seq)

    def _tell_cleared(self, alarm_id: AlarmId) -> None:
        seq = self.enter(LogType.ALARM_OFF, AlarmOffData(alarm_id))
        self.tell(AlarmCleared(alarm_id, seq))

    # Remembering

    @property
    def changed(self) -> bool:
        """Whether a commit would write anything."""
        return bool(self._dirty)

    def commit(self, checkpoint: bytes) -> None:
        """Make everything durable in one commit, with the counters as they stand. Raises PowerCut.

        The therapy is staged first and the counters last: both have `status_rev`, which tells at a start that a memory
        without a journal has only a part of a commit.
        """
        _epoch, self.therapy.main_log_seq, self.therapy.security_log_seq = self.log.newest_seqs()
        self._dirty.discard(Region.THERAPY)
        for region in (Region.THERAPY, *sorted(self._dirty)):
            self.memory.stage(region, self._packed(region))
        self.memory.stage_checkpoint(checkpoint)
        self.memory.commit()
        self._dirty.clear()
        if self.hints.mask:
            self.hints.note(self._uncommitted)
        self.events += self._uncommitted
        self.committed = self.log.newest_seqs()
        self._uncommitted.clear()

    def take_events(self) -> list[Event]:
        """What has happened since the last call, for the trace."""
        events, self.events = self.events, []
        return events

    def _packed(self, region: Region) -> bytes:
        record: Packable | None = getattr(self, _HOMES[region])
        return b"" if record is None else record.pack()


_HOMES: Final = {
    Region.IDENTITY: "identity",
    Region.THERAPY: "therapy",
    Region.PROGRAM: "program",
    Region.RESERVOIR: "reservoir",
    Region.LEDGER: "ledger",
    Region.ALARMS: "alarms",
    Region.BOLUS_WINDOW: "window",
    Region.WALL_CLOCK: "wall_clock",
    Region.SERVICE: "service",
    Region.DAY: "day",
    Region.SETTINGS: "settings",
    Region.TEXTS: "texts",
    Region.KEYS: "keys",
    Region.KEYS_COPY: "keys",
    Region.PATIENT: "patient",
    Region.PERIODIC: "periodic",
}
