"""What comes due by itself: finds the next event, runs it at its exact tick, once, and makes its outcome durable.

An event ends in one commit (`Records.commit`) or, where only strokes have moved, in a checkpoint. What happens in it is
`therapy`'s. Between two events nothing can happen that strokes would decide, so they are turned in runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from firmware_emu.controller.memory.memory_map import Region
from firmware_emu.controller.therapy.counters import Checkpoint
from firmware_emu.controller.therapy.modes import Trigger
from firmware_emu.profile import EmptyPolicy
from firmware_emu.units import MS_PER_HOUR, MS_PER_S
from protocol.identifiers import AlarmId, BatteryPhase, OnExpiry, State, StateReason
from protocol.log.data import BatteryData, StoppedTooLongData, TimeRefData, TubeSetData
from protocol.log.types import BolusEndReason, LogType, RateChangeReason

if TYPE_CHECKING:
    from firmware_emu.controller.memory.records import Records
    from firmware_emu.controller.therapy.therapy import Therapy
    from firmware_emu.pins import BatteryPin

CHECKPOINT_MS = MS_PER_HOUR  # basal strokes are checkpointed at least this often
TIME_REF_MS = 18 * MS_PER_HOUR  # [SPEC 8]
BATTERY_MS = 24 * MS_PER_HOUR  # its voltage falls over years; a sample is taken in passing
TOO_LONG_MS = 48 * MS_PER_HOUR  # [DOMAIN 3.5]
NEVER_MS = 1 << 62


class Schedule:
    """The next event of one run of the program. Ticks in ms."""

    __slots__ = (
        "_battery_due_ms",
        "_checkpoint_due_ms",
        "_next_ms",
        "_planned_ms",
        "_time_ref_due_ms",
        "battery",
        "records",
        "therapy",
    )

    def __init__(self, therapy: Therapy, battery: BatteryPin, tick_ms: int) -> None:
        self.therapy = therapy
        self.records: Records = therapy.records
        self.battery = battery
        self._checkpoint_due_ms = tick_ms
        self._time_ref_due_ms = tick_ms + TIME_REF_MS
        self._battery_due_ms = tick_ms
        self._planned_ms = tick_ms
        self._next_ms = tick_ms

    def next_event_ms(self, *, every_stroke: bool) -> int:
        """Tick of the next event. `every_stroke`: each stroke is one, because what the rotor shows may change."""
        detector = self.therapy.detector
        if (
            every_stroke or detector.stalled or detector.first_missed_ms is not None
        ):  # `watching`, without a call
            stroke_ms = self.therapy.basal.next_stroke_ms()
            if stroke_ms is not None and stroke_ms < self._next_ms:
                return stroke_ms
        return self._next_ms

    def plan(self) -> None:
        """Find the next event anew: something else than a run of basal strokes has happened."""
        therapy, records = self.therapy, self.records
        due = [
            self._time_ref_due_ms,
            self._battery_due_ms,
            records.service.next_ms(),
            self._tube_set_due_ms(),
        ]
        if therapy.bolus is not None:
            due.append(therapy.bolus.next_stroke_ms())
        if not records.alarms.is_active(AlarmId.LOW_RESERVOIR):
            due.append(therapy.basal.stroke_ms(max(1, records.reservoir.strokes_until_low())))
        if not records.alarms.is_active(AlarmId.EMPTY):
            due.append(therapy.basal.stroke_ms(max(1, records.reservoir.strokes_until_empty())))
        stopped = records.therapy
        if stopped.stopped_at_ms is not None:
            if not stopped.stop_expired:
                due.append(stopped.stop_expires_ms)
            if not stopped.stopped_too_long:
                due.append(stopped.stopped_at_ms + TOO_LONG_MS)
        self._planned_ms = min((at for at in due if at is not None), default=NEVER_MS)
        self._next_ms = min(self._planned_ms, self._checkpoint_due_ms)

    def run_event(self, tick_ms: int) -> None:
        """All that is due at `tick_ms`. Raises PowerCut."""
        therapy, records = self.therapy, self.records
        records.tick_ms = tick_ms
        therapy.turn_until(tick_ms)
        if self._only_strokes_are_due(tick_ms):
            self._save_counters(tick_ms)
            return
        if therapy.bolus is not None:
            if not therapy.bolus.strokes_left:
                therapy.end_bolus(None)
            elif records.alarms.critical_active:
                therapy.end_bolus(BolusEndReason.ALARM)
        therapy.check_reservoir()
        self._run_timers(tick_ms)
        if records.changed:
            self.commit(tick_ms)
        elif tick_ms >= self._checkpoint_due_ms or therapy.bolus is not None:
            self._save_counters(tick_ms)
        elif tick_ms >= self._planned_ms:
            self.plan()

    def _only_strokes_are_due(self, tick_ms: int) -> bool:
        """The usual case: an hour of basal rate has passed, and none of its strokes decided anything."""
        return (
            self._checkpoint_due_ms <= tick_ms < self._planned_ms
            and self.therapy.bolus is None
            and not self.records.changed
        )

    def commit(self, tick_ms: int) -> None:
        """Make everything that has changed durable, and look ahead anew. Raises PowerCut."""
        remembered = self.records.therapy
        remembered.status_rev = (remembered.status_rev + 1) & 0xFFFF_FFFF
        self.records.commit(self._checkpoint(tick_ms))
        self._checkpoint_due_ms = (tick_ms // CHECKPOINT_MS + 1) * CHECKPOINT_MS
        self.plan()

    def _save_counters(self, tick_ms: int) -> None:
        """Only strokes have moved: one small write. Raises PowerCut."""
        self.records.memory.checkpoint(self._checkpoint(tick_ms))
        self._checkpoint_due_ms = (tick_ms // CHECKPOINT_MS + 1) * CHECKPOINT_MS
        if self.therapy.bolus is None and tick_ms < self._planned_ms:
            checkpoint_ms, planned_ms = self._checkpoint_due_ms, self._planned_ms
            self._next_ms = min(planned_ms, checkpoint_ms)
        else:
            self.plan()

    def _checkpoint(self, tick_ms: int) -> bytes:
        therapy = self.therapy
        return Checkpoint(
            self.records.therapy.status_rev,
            tick_ms,
            self.records.reservoir.belief_nl,
            therapy.counters,
            therapy.basal,
            therapy.detector,
            therapy.bolus,
        ).pack()

    def _run_timers(self, tick_ms: int) -> None:
        records = self.records
        if records.therapy.stopped_at_ms is not None:
            self._run_stop_timers(tick_ms, records.therapy.stopped_at_ms)
        self._run_service(tick_ms)
        tube_set_ms = self._tube_set_due_ms()
        if tube_set_ms is not None and tick_ms >= tube_set_ms:
            stood_s = (tick_ms - self.therapy.detector.last_edge_ms) // MS_PER_S
            records.enter(LogType.TUBE_SET, TubeSetData(stood_s))
            records.raise_alarm(AlarmId.TUBE_SET, stood_s)
        if tick_ms >= self._time_ref_due_ms:
            self._time_ref_due_ms = tick_ms + TIME_REF_MS
            clock = records.wall_clock
            records.enter(LogType.TIME_REF, TimeRefData(clock.wall_s(tick_ms), clock.tz_minutes))

    def _tube_set_due_ms(self) -> int | None:
        """When a rotor that has turned will have stood too long; None where it never did, or that is told."""
        if not self.therapy.counters.commanded or self.records.therapy.state is State.EOS:
            return None
        last_edge_ms = self.therapy.detector.last_edge_ms
        told = self.records.alarms.occurrences.get(AlarmId.TUBE_SET)
        return None if told is not None and told.on_ms > last_edge_ms else self.therapy.detector.tube_set_ms()

    def _run_stop_timers(self, tick_ms: int, stopped_at_ms: int) -> None:
        stopped = self.records.therapy
        if not stopped.stopped_too_long and tick_ms >= stopped_at_ms + TOO_LONG_MS:
            stopped.stopped_too_long = True
            stopped_s = (tick_ms - stopped_at_ms) // MS_PER_S
            self.records.enter(LogType.STOPPED_TOO_LONG, StoppedTooLongData(stopped_s))
            self.records.raise_alarm(AlarmId.STOPPED_TOO_LONG, stopped_s)
        expires_ms = stopped.stop_expires_ms
        if not stopped.stop_expired and expires_ms is not None and tick_ms >= expires_ms:
            stopped.stop_expired = True
            self.records.raise_alarm(AlarmId.STOP_EXPIRED, (expires_ms - stopped_at_ms) // MS_PER_S)
            self._expire_stop(stopped.on_expiry)

    def _expire_stop(self, on_expiry: OnExpiry) -> None:
        """The alarm has sounded; then what the STOP said, as far as the reservoir's policy lets it [SPEC 6]."""
        change, policy = self.therapy.change, self.therapy.model.empty_policy
        empty = self.records.alarms.is_active(AlarmId.EMPTY)
        may_resume = self.records.program is not None and not (empty and policy is EmptyPolicy.MINIMUM_RATE)
        if on_expiry is OnExpiry.ALARM_ONLY or (empty and policy is EmptyPolicy.STOP):
            change(Trigger.STOP_EXPIRED, StateReason.COMMAND, RateChangeReason.STOP)
        elif on_expiry is OnExpiry.RESUME and may_resume:
            change(Trigger.STOP_EXPIRED_RESUME, StateReason.STOP_EXPIRED, RateChangeReason.RESUME)
        else:
            change(Trigger.STOP_EXPIRED_SAFE_RATE, StateReason.STOP_EXPIRED, RateChangeReason.SAFE_RATE)

    def _run_service(self, tick_ms: int) -> None:
        """The battery's two dates, by the calendar and, once a day, by its voltage [DOMAIN 1.5]."""
        service, model = self.records.service, self.therapy.model
        phase = service.arrive(tick_ms)
        if phase is None and tick_ms >= self._battery_due_ms:
            millivolts = self.battery.millivolts(tick_ms)
            phase = service.observe_battery(tick_ms, millivolts, model.battery_eri_mv, model.battery_eos_mv)
        if phase is not None:
            self._enter_phase(phase, tick_ms)
            self._run_service(tick_ms)
        elif tick_ms >= self._battery_due_ms:
            self._battery_due_ms = tick_ms + BATTERY_MS

    def _enter_phase(self, phase: BatteryPhase, tick_ms: int) -> None:
        records, therapy = self.records, self.therapy
        records.touch(Region.SERVICE)
        if phase is BatteryPhase.ERI:
            millivolts = self.battery.millivolts(tick_ms)
            records.enter(LogType.ERI, BatteryData(millivolts))
            records.raise_alarm(AlarmId.ERI, millivolts)
            return
        if therapy.bolus is not None:
            therapy.end_bolus(BolusEndReason.EOS)
        records.enter(LogType.EOS)
        records.raise_alarm(AlarmId.EOS)
        therapy.change(Trigger.SERVICE_ENDED, StateReason.EOS, RateChangeReason.EOS)
