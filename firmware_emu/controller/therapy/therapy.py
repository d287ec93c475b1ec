"""What the pump delivers and why: the verbs of therapy, and what they change in the records.

When something is due by itself is the business of `timers`; who may ask, and what is answered, of the commands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from firmware_emu.controller.alarms.alarm_table import Remedy
from firmware_emu.controller.events import RateStepped
from firmware_emu.controller.memory.memory_map import Region
from firmware_emu.controller.refusal import saturated_u32
from firmware_emu.controller.therapy.bridge import AfterBridge, Bridge
from firmware_emu.controller.therapy.counters import Counters, Source
from firmware_emu.controller.therapy.delivery import Basal
from firmware_emu.controller.therapy.delivery_sources import SOURCES, Deliveries, Delivery, SourceRow
from firmware_emu.controller.therapy.late_recovery import LateRecovery
from firmware_emu.controller.therapy.mode_machine import fire
from firmware_emu.controller.therapy.modes import DELIVERING, Trigger
from firmware_emu.controller.therapy.second_channel import ChannelsDisagree, SecondChannel
from firmware_emu.controller.therapy.stall_detector import StallChange, StallDetector, StallEvent
from firmware_emu.controller.therapy.telemetry_mode import TelemetryMode
from firmware_emu.controller.therapy.week import ScheduledBasal
from firmware_emu.profile import EmptyPolicy, RecoveryLog
from firmware_emu.units import MS_PER_S
from protocol.identifiers import (
    AlarmId,
    InfusionMode,
    OnExpiry,
    Outcome,
    Role,
    State,
    StateReason,
    StopReason,
)
from protocol.log.data import (
    BolusEndData,
    BolusStartData,
    ChannelMismatchData,
    RateChangeData,
    ResumeData,
    SafeStateEnterData,
    StallData,
    StallRecoveredData,
    StopData,
)
from protocol.log.types import (
    Actor,
    BolusEndReason,
    DayFlag,
    LogType,
    MemoryFault,
    RateChangeReason,
    SafeStateReason,
)

if TYPE_CHECKING:
    from firmware_emu.controller.memory.records import Records
    from firmware_emu.controller.therapy.bolus import BolusEnd
    from firmware_emu.controller.therapy.delivery import BasalToCome, StrokeSource
    from firmware_emu.controller.therapy.week import Week
    from firmware_emu.controller.wall_clock import WallClock
    from firmware_emu.profile import PumpModel


@dataclass(slots=True, eq=False, repr=False)
class Therapy:
    """Delivery, and the records that it changes; ticks in ms. The motor is reached through the second channel."""

    records: Records
    channel: SecondChannel
    model: PumpModel
    deliveries: Deliveries
    counters: Counters
    detector: StallDetector
    telemetry: TelemetryMode = field(default_factory=TelemetryMode)
    late: LateRecovery = field(default_factory=LateRecovery)

    # --- reading ------------------------------------------------------------------------------------------------

    @property
    def rate_nl_per_day(self) -> int:
        """The basal rate in effect, or that of the bridge in its place."""
        return self.deliveries.rate_nl_per_day

    @property
    def mode(self) -> InfusionMode:
        """What the active program is."""
        program = self.records.program
        return InfusionMode.NONE if program is None else program.header.mode

    def delivered_nl(self, source: Source) -> int:
        """Volume of a source whose edges were seen."""
        return self.counters.seen[source] * self.model.stroke_nl

    @property
    def never_programmed(self) -> bool:
        """Whether there is no therapy yet: nothing that could be stopped, or wait too long."""
        return self.records.therapy.reason is StateReason.NEVER_PROGRAMMED

    @property
    def never_filled(self) -> bool:
        """Whether nobody has said yet what is in the reservoir: then it cannot run out either."""
        return not self.records.reservoir.concentration_ng_per_ml and not self.counters.commanded

    def stopped_ms(self, tick_ms: int) -> int:
        """For how long the pump has been stopped; 0 where it is not."""
        since = self.records.therapy.stopped_at_ms
        return 0 if since is None else tick_ms - since

    def wanted_rate_nl_per_day(self) -> int:
        """The basal rate that the state asks for, or that of the bridge in its place."""
        state, bridge = self.records.therapy.state, self.deliveries.bridge
        if self.telemetry.suspends:
            return 0
        if state is State.SAFE_STATE:
            return self.model.safe_rate_nl_per_day
        if state is not State.RUN:
            return 0
        return (
            self._program_rate_nl_per_day(self.records.tick_ms) if bridge is None else bridge.rate_nl_per_day
        )

    def _program_rate_nl_per_day(self, tick_ms: int) -> int:
        """The rate of the active program at a moment, as the clock goes now; 0 where there is none."""
        program, clock = self.records.program, self.records.wall_clock
        if program is None:
            return 0
        if program.week is None or not clock.valid:
            return program.rate_nl_per_day
        return program.week.rate_at(clock.week_ms(tick_ms))

    def _running_week(self, clock: WallClock) -> Week | None:
        """The week that the basal rate follows by this clock; None where it does not ask for the time of day."""
        program = self.records.program
        if program is None or program.week is None or self.records.therapy.state is not State.RUN:
            return None
        if self.telemetry.suspends:
            return None
        return program.week if clock.valid else None

    def next_step_ms(self) -> int | None:
        """When the basal rate changes next because the time of day says so; a bridge has no time of day."""
        week, tick_ms = self._running_week(self.records.wall_clock), self.records.tick_ms
        if week is None or self.deliveries.bridge is not None:
            return None
        week_ms = self.records.wall_clock.week_ms(tick_ms)
        if week.rate_at(week_ms) != self.rate_nl_per_day:
            return tick_ms
        wait_ms = week.until_change_ms(week_ms)
        return None if wait_ms is None else tick_ms + wait_ms

    def basal_to_come(self) -> BasalToCome:
        """The basal strokes that will fall if nothing changes but the time of day."""
        basal, bridge = self.deliveries.basal, self.deliveries.bridge
        if bridge is None or bridge.waits:
            return self._program_to_come(basal)
        end_ms = bridge.stroke_ms(bridge.strokes_left)
        if end_ms is None:  # its last stroke was turned in this very moment
            end_ms = basal.reached_ms
        rate_nl_per_day = self._program_rate_nl_per_day(end_ms)
        then = Basal.at(end_ms, self.model.stroke_nl, rate_nl_per_day, basal.owed)
        return AfterBridge(bridge, self._program_to_come(then))

    def _program_to_come(self, basal: Basal) -> BasalToCome:
        """The strokes to come of a basal accumulator, over the schedule where the program has one."""
        week = self._running_week(self.records.wall_clock)
        if week is None:
            return basal
        return ScheduledBasal(basal, week, self.records.wall_clock.week_ms(basal.reached_ms))

    def highest_basal_nl_per_day(self, duration_ms: int, clock: WallClock | None = None) -> int:
        """The highest basal rate from now on, for so long, by the pump's own clock or another one."""
        clock = self.records.wall_clock if clock is None else clock
        week = self._running_week(clock)
        if week is None:
            return self.rate_nl_per_day
        return week.highest_rate(clock.week_ms(self.records.tick_ms), duration_ms)

    # --- turning ------------------------------------------------------------------------------------------------

    def turn_until(self, tick_ms: int) -> None:
        """Turn all strokes due at or before `tick_ms`, which becomes the records' moment. Raises PowerCut."""
        self.records.tick_ms = tick_ms
        deliveries = self.deliveries
        self._turn(Source.BASAL, deliveries.basal, tick_ms)
        if deliveries.bridge is not None:
            self._turn(Source.BRIDGE, deliveries.bridge, tick_ms)
        for delivery in deliveries.on_top:
            self._turn(delivery.source, delivery, tick_ms)

    def _turn(self, source: Source, accumulator: StrokeSource, tick_ms: int) -> None:
        """Turn what a source is due, and look at its edges.

        A stall that begins or ends falls at `tick_ms` exactly where each stroke is an event of its own: so the caller
        must see to that while the rotor may stand (`StallDetector.watching`, `Plant.strokes_matter`).
        """
        gate = self.channel.gates[source]
        gate.tick_ms = tick_ms
        try:
            turned = accumulator.advance(tick_ms, gate)
        except ChannelsDisagree as found:
            self._on_disagreement(found)
            return
        if turned is None:
            return
        run, edges = turned
        commanded = run.count
        event = self.detector.observe(run, edges)
        self.counters.count(source, commanded, edges)
        self.records.reservoir.count(commanded)
        if event is not None:
            self._on_stall(event)

    def _on_disagreement(self, found: ChannelsDisagree) -> None:
        """Deliver nothing of it: log it, and go to the safe state with the alarm of damaged therapy [DOMAIN SR-67]."""
        commanded, due = saturated_u32(found.commanded), saturated_u32(max(0, found.due))
        self.records.enter(LogType.CHANNEL_MISMATCH, ChannelMismatchData(found.source, commanded, due))
        self.records.raise_alarm(AlarmId.MEM_CRITICAL, commanded, MemoryFault.CHANNELS)
        self.distrust(StateReason.MEMORY)

    def distrust(self, reason: StateReason) -> None:
        """Fall to the safe state because nobody can vouch for what would be delivered; what was owed is dropped."""
        self.end_all(BolusEndReason.ALARM)
        old = self.rate_nl_per_day
        self.deliveries.owe_nothing(self.records.tick_ms)
        self.deliveries.note_activity()
        if fire(Trigger.MEMORY_CORRUPTED, self.records.therapy):
            self.enter_state(reason)
        self._change_rate(old, RateChangeReason.SAFE_RATE, Actor.PUMP)

    def _on_stall(self, event: StallEvent) -> None:
        """Log a stall or its end, and raise or clear its alarm [DOMAIN 3.4]. What was missed is not caught up."""
        missed_nl = self.detector.missed_in_row * self.model.stroke_nl
        if event.change is StallChange.STALLED:
            self.tell_recovery()  # of the one before it, where that waits to be told
            self.records.enter(LogType.STALL, StallData(self.detector.missed_in_row))
            self.records.raise_alarm(AlarmId.MOTOR_STALL, missed_nl)
            return
        started_ms = self.records.alarms.occurrences[AlarmId.MOTOR_STALL].on_ms
        recovered = StallRecoveredData(missed_nl, (event.at_ms - started_ms) // MS_PER_S)
        self.detector.missed_in_row = 0
        self.late.keep(recovered, event.at_ms)
        if self.model.recovery_log is RecoveryLog.AT_ONCE:
            self.tell_recovery()
        else:
            self.records.mark_dirty(Region.THERAPY)  # so that it is planned when it will be told

    def tell_recovery(self) -> None:
        """Log that a stall is over, and end its alarm; nothing where there is nothing to tell."""
        recovered = self.late.take()
        if recovered is not None:
            self.records.enter(LogType.STALL_RECOVERED, recovered)
            self.records.clear_alarm(AlarmId.MOTOR_STALL)

    def check_reservoir(self) -> None:
        """Raise low and empty by what is believed [DOMAIN 3.2, 3.3], once the pump was filled for the first time."""
        records = self.records
        reservoir = records.reservoir
        if self.never_filled:
            return
        if reservoir.low:
            records.raise_alarm(AlarmId.LOW_RESERVOIR, reservoir.calc_nl)
        if not reservoir.empty or not records.raise_alarm(AlarmId.EMPTY, 0):
            return
        self.end_all(BolusEndReason.ALARM)
        if self.model.empty_policy is EmptyPolicy.MINIMUM_RATE:
            trigger = Trigger.RESERVOIR_EMPTIED_MINIMUM_RATE
        elif self.model.empty_policy is EmptyPolicy.STOP:
            trigger = Trigger.RESERVOIR_EMPTIED_STOP
        else:
            return
        self.change(trigger, StateReason.EMPTY_POLICY, RateChangeReason.EMPTY_POLICY)

    # --- verbs --------------------------------------------------------------------------------------------------

    def change(
        self, trigger: Trigger, reason: StateReason, why: RateChangeReason, *, actor: int = Actor.PUMP
    ) -> bool:
        """Fire a trigger: the state changes as the table of modes says, and stop times and basal rate with it.

        Returns whether the state has changed.
        """
        therapy = self.records.therapy
        changed = fire(trigger, therapy)
        if changed:
            self.enter_state(reason)
        self.follow_rate(why, actor=actor)
        return changed

    def enter_state(self, reason: StateReason) -> None:
        """Set what belongs to the state that was just entered: reason, times of the stop, alarms and log entry."""
        records, therapy = self.records, self.records.therapy
        therapy.reason = reason
        if therapy.state in DELIVERING:
            therapy.stopped_at_ms = therapy.stop_expires_ms = therapy.stopped_by = None
            if therapy.state is State.RUN:  # the safe rate is no therapy: what called for one goes on calling
                therapy.stop_expired = therapy.stopped_too_long = False
                records.remedy(Remedy.THERAPY)
        elif therapy.state is State.EOS:
            therapy.stopped_at_ms = therapy.stop_expires_ms = None
        elif therapy.stopped_at_ms is None:
            therapy.stopped_at_ms = records.tick_ms
        if therapy.state not in DELIVERING and DayFlag.STOPPED not in records.day.flags:
            records.day.flags |= DayFlag.STOPPED
            records.mark_dirty(Region.DAY)
        if reason in _SAFE_REASONS and therapy.state in (State.SAFE_STATE, State.FAULT_STOP):
            records.enter(LogType.SAFE_STATE_ENTER, SafeStateEnterData(_SAFE_REASONS[reason]))
        records.mark_dirty(Region.THERAPY)

    def follow_rate(self, why: RateChangeReason, *, actor: int = Actor.PUMP) -> None:
        """Deliver at the rate that the state asks for from now on."""
        self._change_rate(self.rate_nl_per_day, why, actor)

    def _change_rate(self, old: int, why: RateChangeReason, actor: int) -> None:
        """Go on from the rate that was in effect: by the basal rate, or by the bridge in its place."""
        bridge, new = self.deliveries.bridge, self.wanted_rate_nl_per_day()
        runs = self.records.therapy.state is State.RUN and not self.telemetry.suspends
        bridging = bridge is not None and runs
        if bridge is not None and bridging is bridge.waits:
            if bridging:
                self._let_bridge_go_on(bridge)
            else:
                bridge.wait(self.records.tick_ms)
            self.deliveries.note_activity()
            self.records.mark_dirty(Region.THERAPY)
        basal_nl_per_day = 0 if bridging else new
        if self.deliveries.basal.rate_nl_per_day != basal_nl_per_day:
            self.deliveries.basal.set_rate(self.records.tick_ms, basal_nl_per_day)
        self.channel.follow(self.deliveries)
        if old == new:
            return
        if not new:
            self.detector.reset_row()
        self.records.enter(LogType.RATE_CHANGE, RateChangeData(old, new, why), actor=actor)

    def _let_bridge_go_on(self, bridge: Bridge) -> None:
        if not bridge.begun:
            row = SOURCES[Source.BRIDGE]
            data = BolusStartData(bridge.volume_nl, bridge.duration_s, row.log_kind)
            self.records.enter(row.start_type, data)
        bridge.go_on(self.records.tick_ms)

    def set_bridge(
        self,
        bridge: Bridge | None,
        early: BolusEndReason | None,
        why: RateChangeReason,
        *,
        actor: int = Actor.PUMP,
    ) -> None:
        """End the bridge that there is, complete or early for a reason, and go on with another one or the program."""
        old, ended = self.rate_nl_per_day, self.deliveries.bridge
        if ended is not None and ended.begun:
            self.close_delivery(SOURCES[Source.BRIDGE], 0, 0, ended.volume_nl, ended.end(early))
        self.deliveries.set_bridge(bridge)
        self._change_rate(old, why, actor)

    def step_rate(self) -> None:
        """Go on at the rate of the segment that begins; it follows from program and clock, so the log has no entry."""
        old, new = self.rate_nl_per_day, self.wanted_rate_nl_per_day()
        self.deliveries.basal.set_rate(self.records.tick_ms, new)
        self.channel.follow(self.deliveries)
        self.records.mark_dirty(Region.THERAPY)
        self.records.tell(RateStepped(old, new))

    def stop(
        self, max_stop_s: int, reason: StopReason, on_expiry: OnExpiry, role: Role, *, actor: int, cmd_id: int
    ) -> int:
        """Stop all delivery; returns the log entry's number.

        A further stop never moves the beginning [SPEC 6]. Where there is no therapy, or no more, it stands in the log
        and changes nothing: no expiry runs.
        """
        records, therapy = self.records, self.records.therapy
        self.end_all(BolusEndReason.STOP)
        seq = records.enter(LogType.STOP, StopData(max_stop_s, reason, on_expiry), actor=actor, cmd_id=cmd_id)
        if self.never_programmed:
            return seq
        first = therapy.stopped_by is None
        self.change(Trigger.STOP_COMMANDED, StateReason.COMMAND, RateChangeReason.STOP, actor=actor)
        if therapy.state is State.EOS:
            return seq
        if first or role is Role.CLINICIAN:
            therapy.stop_expires_ms = records.tick_ms + max_stop_s * MS_PER_S
            therapy.on_expiry = on_expiry
            therapy.stop_reason = reason
            therapy.stop_expired = False
            therapy.stopped_by = role
            therapy.reason = StateReason.COMMAND
            records.clear_alarm(AlarmId.STOP_EXPIRED)
        records.mark_dirty(Region.THERAPY)
        return seq

    def stop_for_update(self, *, actor: int) -> bool:
        """Stand still while a program is written; returns whether the pump had delivered [SPEC 15].

        Such a stop has no expiry, as in the field: after 48 h its alarm sounds.
        """
        therapy = self.records.therapy
        if therapy.state not in DELIVERING:
            return False
        data = StopData(0, StopReason.SERVICE, OnExpiry.ALARM_ONLY)
        self.records.enter(LogType.STOP, data, actor=actor)
        self.change(Trigger.STOP_COMMANDED, StateReason.COMMAND, RateChangeReason.STOP, actor=actor)
        therapy.stop_reason, therapy.on_expiry = StopReason.SERVICE, OnExpiry.ALARM_ONLY
        therapy.stopped_by = Role.CLINICIAN
        return True

    def leave_stopped(self, role: Role) -> None:
        """Count a first program that is not started as a therapy stopped from now on.

        Nobody would miss it otherwise, and after 48 h the alarm must sound as for any other [DOMAIN 3.5].
        """
        therapy = self.records.therapy
        if self.never_programmed:
            therapy.reason = StateReason.COMMAND
            therapy.stopped_at_ms = self.records.tick_ms
            therapy.stopped_by = role
            self.records.mark_dirty(Region.THERAPY)

    def resume(self, *, actor: int, cmd_id: int) -> int:
        """Go on with the active program; returns the log entry's number."""
        changed = self.change(
            Trigger.THERAPY_RESUMED, StateReason.COMMAND, RateChangeReason.RESUME, actor=actor
        )
        seq = self.records.enter(LogType.RESUME, ResumeData(self.rate_nl_per_day), actor=actor, cmd_id=cmd_id)
        if changed:
            self.check_reservoir()
        return seq

    def start_delivery(self, delivery: Delivery, *, actor: int) -> int:
        """Begin to deliver on top of the basal rate, from the next event on; returns the log entry's number."""
        row = SOURCES[delivery.source]
        self.deliveries.start(delivery, self.records.tick_ms)
        self.channel.follow(self.deliveries)
        if row.counts_in_windows:
            self.records.window.start(delivery.volume_nl)
            self.records.mark_dirty(Region.BOLUS_WINDOW)
        data = BolusStartData(delivery.volume_nl, delivery.duration_ms // MS_PER_S, row.log_kind)
        return self.records.enter(row.start_type, data, actor=actor, cmd_id=delivery.cmd_id)

    def end_delivery(self, delivery: Delivery, early: BolusEndReason | None = None) -> BolusEnd:
        """Close a delivery everywhere, complete or early for a reason; returns what became of it."""
        self.deliveries.remove(delivery, self.records.tick_ms)
        self.channel.follow(self.deliveries)
        row, end = SOURCES[delivery.source], delivery.end(early)
        self.close_delivery(row, delivery.key_id, delivery.cmd_id, delivery.volume_nl, end)
        return end

    def end_all(self, early: BolusEndReason) -> None:
        """End everything that is delivered on top of the basal rate."""
        for delivery in self.deliveries.on_top:
            self.end_delivery(delivery, early)

    def close_delivery(self, row: SourceRow, key_id: int, cmd_id: int, volume_nl: int, end: BolusEnd) -> None:
        """Enter a delivery that is over into window, log and ledger, and raise the alarm where it ended early."""
        records = self.records
        if row.counts_in_windows:
            counted_nl = end.delivered_nl + end.uncertain_nl
            records.window.end(records.tick_ms, min(volume_nl, records.window.running_nl), counted_nl)
            records.mark_dirty(Region.BOLUS_WINDOW)
        data = BolusEndData(end.delivered_nl, end.uncertain_nl, end.reason)
        seq = records.enter(row.end_type, data, cmd_id=cmd_id)
        if row.opcode is not None and records.ledger.find(key_id, cmd_id) is not None:  # else it was lost
            records.ledger.set_outcome(
                key_id,
                cmd_id,
                end.outcome,
                delivered_nl=end.delivered_nl,
                uncertain_nl=end.uncertain_nl,
                end_seq=seq,
            )
            records.mark_dirty(Region.LEDGER)
        if end.outcome is Outcome.PARTIAL and row.partial_alarm is not None:
            records.raise_alarm(row.partial_alarm, end.delivered_nl, end.reason)


_SAFE_REASONS = {
    StateReason.STOP_EXPIRED: SafeStateReason.STOP_EXPIRED,
    StateReason.EMPTY_POLICY: SafeStateReason.EMPTY,
    StateReason.MEMORY: SafeStateReason.MEMORY,
    StateReason.RESET: SafeStateReason.RESET,
    StateReason.MOTOR: SafeStateReason.MOTOR,
    StateReason.SELF_TEST: SafeStateReason.SELF_TEST,
}
