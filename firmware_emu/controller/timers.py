"""What comes due by itself: finds the next event, runs it at its exact tick, once, and makes its outcome durable.

What can come due stands in `TIMERS`, a row each. An event ends in one commit (`Records.commit`) or, where only
strokes have moved, in a checkpoint. Between two events strokes decide nothing, so they are turned in runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from firmware_emu.controller.alarms.tones import ToneIntervals, next_tone
from firmware_emu.controller.damage import judge_failures
from firmware_emu.controller.memory.memory_map import Region
from firmware_emu.controller.self_test import battery_voltage
from firmware_emu.controller.therapy import telemetry_mode
from firmware_emu.controller.therapy.checkpoint import pack_checkpoint
from firmware_emu.controller.therapy.day_total import DayTotal
from firmware_emu.controller.therapy.modes import Trigger
from firmware_emu.controller.therapy.periodic_bolus import start_due
from firmware_emu.profile import EmptyPolicy
from firmware_emu.units import MS_PER_HOUR, MS_PER_S
from protocol.identifiers import AlarmId, BatteryPhase, OnExpiry, SelfTestFault, State, StateReason
from protocol.log.data import (
    BatteryData,
    DayTotalData,
    PostFailData,
    StoppedTooLongData,
    StrokeMismatchData,
    TimeRefData,
    TubeSetData,
)
from protocol.log.types import BolusEndReason, LogType, RateChangeReason

if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware_emu.controller.memory.records import Records
    from firmware_emu.controller.therapy.therapy import Therapy
    from firmware_emu.pins import BatteryPin, SounderPin, Tone

CHECKPOINT_MS = MS_PER_HOUR  # basal strokes are checkpointed at least this often
TIME_REF_MS = 18 * MS_PER_HOUR  # [SPEC 8]
BATTERY_MS = 24 * MS_PER_HOUR  # its voltage falls over years; a sample is taken in passing
TOO_LONG_MS = 48 * MS_PER_HOUR  # [DOMAIN 3.5]
NEVER_MS = 1 << 62


class Timer(NamedTuple):
    """One thing that comes due by itself."""

    name: str
    due_ms: Callable[[Schedule], int | None]
    """The tick at which it is due, as things stand; None where it never is."""
    run: Callable[[Schedule, int], None]
    """What to do at this tick; after it `due_ms` lies later, or is None."""
    at_each_event: bool = False
    """Run at every event and not only when due: what it looks at changes with strokes and commands too."""
    remembered: bool = True
    """False where it changes nothing that is remembered: where it alone is due, nothing is written."""

    def is_due(self, schedule: Schedule, tick_ms: int) -> bool:
        """Whether it is to run at this tick."""
        due_ms = self.due_ms(schedule)
        return due_ms is not None and due_ms <= tick_ms


class Schedule:
    """Finds and runs the next event of one run of the program; ticks in ms."""

    __slots__ = (
        "_checkpoint_due_ms",
        "_next_ms",
        "_planned_ms",
        "_saved_strokes",
        "_unremembered_ms",
        "battery",
        "battery_due_ms",
        "last_tone",
        "records",
        "sounder",
        "therapy",
        "time_ref_due_ms",
        "told_of",
    )

    def __init__(self, therapy: Therapy, battery: BatteryPin, sounder: SounderPin, tick_ms: int) -> None:
        self.therapy = therapy
        self.records: Records = therapy.records
        self.battery = battery
        self.sounder = sounder
        self.last_tone: Tone | None = None
        self.told_of = SelfTestFault(0)  # parts that were found wrong while running, and not right since
        self._checkpoint_due_ms = tick_ms
        self.time_ref_due_ms = self.by_day_end_ms(tick_ms + TIME_REF_MS)
        self.battery_due_ms = tick_ms
        self._saved_strokes = 0
        self._planned_ms = tick_ms
        self._unremembered_ms = NEVER_MS
        self._next_ms = tick_ms

    def by_day_end_ms(self, at_ms: int) -> int:
        """This tick or the end of the day, whichever comes first: what need not be exact falls into one commit."""
        return min(at_ms, self.records.day.end_ms(self.records.wall_clock))

    def tell_whether(self, part: SelfTestFault, *, fails: bool) -> None:
        """Log a part that is found wrong, once until it is found right again."""
        if fails and part not in self.told_of:
            self.records.enter(LogType.POST_FAIL, PostFailData(part))
        self.told_of = self.told_of | part if fails else self.told_of & ~part

    @property
    def tone_intervals(self) -> ToneIntervals:
        """How often each class of alarm sounds, as the clinic has it now."""
        model = self.therapy.model
        return ToneIntervals(model.critical_interval_s * MS_PER_S, model.noncritical_interval_s * MS_PER_S)

    def next_event_ms(self, *, every_stroke: bool) -> int:
        """Tick of the next event; with `every_stroke` each stroke is one, because its edge may be missing."""
        detector = self.therapy.detector
        if every_stroke or detector.stalled or detector.first_missed_ms is not None:  # `watching`, not called
            stroke_ms = self.therapy.deliveries.basal.stroke_ms(1)
            if stroke_ms is not None and stroke_ms < self._next_ms:
                return stroke_ms
        return self._next_ms

    def plan(self) -> None:
        """Find the next event anew, after something other than a run of basal strokes."""
        due = [timer.due_ms(self) for timer in TIMERS if timer.remembered]
        self._planned_ms = min((at_ms for at_ms in due if at_ms is not None), default=NEVER_MS)
        self._plan_unremembered()

    def _plan_unremembered(self) -> None:
        """Find anew when what is not remembered is due; all else is due when it was."""
        due = [timer.due_ms(self) for timer in TIMERS if not timer.remembered]
        self._unremembered_ms = min((at_ms for at_ms in due if at_ms is not None), default=NEVER_MS)
        self._next_ms = min(self._planned_ms, self._unremembered_ms, self._checkpoint_due_ms)

    def run_event(self, tick_ms: int) -> None:
        """Run all that is due at `tick_ms`. Raises PowerCut."""
        therapy, records, is_due = self.therapy, self.records, self._next_ms <= tick_ms
        therapy.turn_until(tick_ms)
        counts = therapy.deliveries.each_stroke_counts
        if self._checkpoint_due_ms <= tick_ms < self._planned_ms and not counts and not records.changed:
            self._save_counters(tick_ms)  # the usual case: an hour in which no stroke decided anything
            return
        if self._unremembered_ms <= tick_ms < min(self._planned_ms, self._checkpoint_due_ms):
            self._run_timers([timer for timer in TIMERS if not timer.remembered], tick_ms)
            if not records.changed:
                self._plan_unremembered()
                return
        self._run_timers(TIMERS, tick_ms)
        if records.changed:
            self.commit(tick_ms)
        elif tick_ms >= self._checkpoint_due_ms or (
            # where only the rig, or an edge of the basal rate, is the reason to be here, nothing is written of it
            is_due
            and therapy.deliveries.each_stroke_counts
            and therapy.counters.commanded != self._saved_strokes
        ):
            self._save_counters(tick_ms)
        elif tick_ms >= self._planned_ms:
            self.plan()

    def run_quiet_hours(self, last_tick_ms: int) -> range:
        """Run all hours up to `last_tick_ms`, or the next event, that end in a checkpoint alone; returns their ends.

        Where the edges of an hour tell something, that hour's end is left to `run_event`. Raises no PowerCut: for a
        plant that is quiet.
        """
        therapy, records, first_ms = self.therapy, self.records, self._checkpoint_due_ms
        last_ms = min(last_tick_ms, self._planned_ms - 1, self._unremembered_ms - 1)
        row: list[bytes] = []
        if therapy.deliveries.each_stroke_counts or records.changed or therapy.detector.watching:
            last_ms = 0
        while (tick_ms := self._checkpoint_due_ms) <= last_ms:
            therapy.turn_until(tick_ms)
            if records.changed or therapy.detector.watching:
                break
            row.append(pack_checkpoint(therapy, tick_ms))
            self._checkpoint_due_ms = (tick_ms // CHECKPOINT_MS + 1) * CHECKPOINT_MS
        if row:
            records.memory.checkpoints(row)
            self._saved_strokes = therapy.counters.commanded
            self._next_ms = min(self._planned_ms, self._unremembered_ms, self._checkpoint_due_ms)
        return range(first_ms, self._checkpoint_due_ms, CHECKPOINT_MS)

    def _run_timers(self, timers: list[Timer], tick_ms: int) -> None:
        for timer in timers:
            if timer.at_each_event:
                timer.run(self, tick_ms)
            elif timer.is_due(self, tick_ms):
                timer.run(self, tick_ms)
                if timer.is_due(self, tick_ms):
                    raise RuntimeError(f"the timer {timer.name!r} is still due at {tick_ms} ms after it ran")

    def commit(self, tick_ms: int) -> None:
        """Make everything that has changed durable, and look ahead anew. Raises PowerCut."""
        remembered = self.records.therapy
        remembered.status_rev = (remembered.status_rev + 1) & 0xFFFF_FFFF
        self.records.commit(pack_checkpoint(self.therapy, tick_ms))
        if self.records.memory.failures:
            self._judge_failures(tick_ms)
        self._saved_strokes = self.therapy.counters.commanded
        self._checkpoint_due_ms = (tick_ms // CHECKPOINT_MS + 1) * CHECKPOINT_MS
        self.plan()

    def _judge_failures(self, tick_ms: int) -> None:
        """Act on what did not land in the memory, and make that durable as far as it can be."""
        judge_failures(self.therapy, self.records.memory.take_failures())
        if self.records.changed:
            self.records.commit(pack_checkpoint(self.therapy, tick_ms))
            self.records.memory.take_failures()  # what fails again is known

    def _save_counters(self, tick_ms: int) -> None:
        """Write the counters alone, because only strokes have moved; raises PowerCut."""
        self.records.memory.checkpoint(pack_checkpoint(self.therapy, tick_ms))
        if self.records.memory.failures:
            self.commit(tick_ms)
            return
        self._saved_strokes = self.therapy.counters.commanded
        self._checkpoint_due_ms = checkpoint_ms = (tick_ms // CHECKPOINT_MS + 1) * CHECKPOINT_MS
        if not self.therapy.deliveries.each_stroke_counts and tick_ms < self._planned_ms:
            self._next_ms = min(self._planned_ms, self._unremembered_ms, checkpoint_ms)
        else:
            self.plan()


def _next_on_top_ms(schedule: Schedule) -> int | None:
    return schedule.therapy.deliveries.next_stroke_ms()


def _end_deliveries(schedule: Schedule, _tick_ms: int) -> None:
    """End what has delivered all of its strokes and, in a critical alarm, all the rest [DOMAIN 2.2, 5]."""
    therapy = schedule.therapy
    bridge = therapy.deliveries.bridge
    if bridge is not None and not bridge.strokes_left:
        therapy.set_bridge(None, None, RateChangeReason.BRIDGE)
    for delivery in therapy.deliveries.on_top:
        if not delivery.strokes_left:
            therapy.end_delivery(delivery)
        elif schedule.records.alarms.critical_active:
            therapy.end_delivery(delivery, BolusEndReason.ALARM)


def _reservoir_due_ms(schedule: Schedule) -> int | None:
    """When low or empty will be reached at the basal rate, whichever comes first and is no alarm yet."""
    records, belief = schedule.records, schedule.records.reservoir
    strokes = []
    if not records.alarms.is_active(AlarmId.LOW_RESERVOIR):
        strokes.append(belief.strokes_until_low())
    if not records.alarms.is_active(AlarmId.EMPTY):
        strokes.append(belief.strokes_until_empty())
    return schedule.therapy.deliveries.basal.stroke_ms(max(1, min(strokes))) if strokes else None


def _check_reservoir(schedule: Schedule, _tick_ms: int) -> None:
    schedule.therapy.check_reservoir()


def _stopped_too_long_due_ms(schedule: Schedule) -> int | None:
    stopped = schedule.records.therapy
    if stopped.stopped_at_ms is None or stopped.stopped_too_long:
        return None
    return stopped.stopped_at_ms + TOO_LONG_MS


def _tell_stopped_too_long(schedule: Schedule, tick_ms: int) -> None:
    stopped = schedule.records.therapy
    stopped.stopped_too_long = True
    stopped_s = schedule.therapy.stopped_ms(tick_ms) // MS_PER_S
    schedule.records.enter(LogType.STOPPED_TOO_LONG, StoppedTooLongData(stopped_s))
    schedule.records.raise_alarm(AlarmId.STOPPED_TOO_LONG, stopped_s)
    schedule.therapy.end_all(BolusEndReason.ALARM)  # a prime


def _stop_expires_due_ms(schedule: Schedule) -> int | None:
    stopped = schedule.records.therapy
    return None if stopped.stopped_at_ms is None or stopped.stop_expired else stopped.stop_expires_ms


def _expire_stop(schedule: Schedule, tick_ms: int) -> None:
    """Raise the alarm, then do what the STOP said, as far as the policy for an empty reservoir lets it [SPEC 6]."""
    records, therapy = schedule.records, schedule.therapy
    stopped, policy = records.therapy, therapy.model.empty_policy
    stopped.stop_expired = True
    expired_ms = tick_ms if stopped.stop_expires_ms is None else stopped.stop_expires_ms
    records.raise_alarm(AlarmId.STOP_EXPIRED, therapy.stopped_ms(expired_ms) // MS_PER_S)
    therapy.end_all(BolusEndReason.ALARM)  # a prime, whose rate may have left no room for a basal one
    empty = records.alarms.is_active(AlarmId.EMPTY)
    may_resume = records.program is not None and not (empty and policy is EmptyPolicy.MINIMUM_RATE)
    if stopped.on_expiry is OnExpiry.ALARM_ONLY or (empty and policy is EmptyPolicy.STOP):
        therapy.change(Trigger.STOP_EXPIRED, StateReason.COMMAND, RateChangeReason.STOP)
    elif stopped.on_expiry is OnExpiry.RESUME and may_resume:
        therapy.change(Trigger.STOP_EXPIRED_RESUME, StateReason.STOP_EXPIRED, RateChangeReason.RESUME)
    else:
        therapy.change(Trigger.STOP_EXPIRED_SAFE_RATE, StateReason.STOP_EXPIRED, RateChangeReason.SAFE_RATE)


def _service_due_ms(schedule: Schedule) -> int | None:
    next_ms = schedule.records.service.next_ms()
    return schedule.battery_due_ms if next_ms is None else min(next_ms, schedule.battery_due_ms)


def _run_service(schedule: Schedule, tick_ms: int) -> None:
    """Enter the battery's phases, by the calendar and, once a day, by its voltage [DOMAIN 1.5]."""
    service, model = schedule.records.service, schedule.therapy.model
    phase = service.arrive(tick_ms)
    if phase is None and tick_ms >= schedule.battery_due_ms:
        voltage = battery_voltage(schedule.battery, model, tick_ms)
        schedule.tell_whether(SelfTestFault.BATTERY, fails=voltage.doubted)
        phase = service.observe_battery(
            tick_ms, voltage.millivolts, model.battery_eri_mv, model.battery_eos_mv
        )
    if phase is not None:
        _enter_phase(schedule, phase, tick_ms)
        _run_service(schedule, tick_ms)
    elif tick_ms >= schedule.battery_due_ms:
        schedule.battery_due_ms = schedule.by_day_end_ms(tick_ms + BATTERY_MS)


def _enter_phase(schedule: Schedule, phase: BatteryPhase, tick_ms: int) -> None:
    records, therapy = schedule.records, schedule.therapy
    records.mark_dirty(Region.SERVICE)
    if phase is BatteryPhase.ERI:
        millivolts = battery_voltage(schedule.battery, therapy.model, tick_ms).millivolts
        records.enter(LogType.ERI, BatteryData(millivolts))
        records.raise_alarm(AlarmId.ERI, millivolts)
        return
    therapy.end_all(BolusEndReason.EOS)
    records.enter(LogType.EOS)
    records.raise_alarm(AlarmId.EOS)
    therapy.change(Trigger.SERVICE_ENDED, StateReason.EOS, RateChangeReason.EOS)
    therapy.set_bridge(None, BolusEndReason.EOS, RateChangeReason.EOS)


def _step_due_ms(schedule: Schedule) -> int | None:
    return schedule.therapy.next_step_ms()


def _step_rate(schedule: Schedule, _tick_ms: int) -> None:
    schedule.therapy.step_rate()


def _periodic_due_ms(schedule: Schedule) -> int | None:
    next_ms = schedule.records.periodic.next_start_ms
    return None if next_ms is None or schedule.records.therapy.state is State.EOS else next_ms


def _start_periodic(schedule: Schedule, _tick_ms: int) -> None:
    start_due(schedule.therapy)


def _tube_set_due_ms(schedule: Schedule) -> int | None:
    """When a rotor that has turned will have stood too long; None where it never did, or that is told."""
    therapy, records = schedule.therapy, schedule.records
    if not therapy.counters.commanded or records.therapy.state is State.EOS:
        return None
    told = records.alarms.occurrences.get(AlarmId.TUBE_SET)
    if told is not None and told.on_ms > therapy.detector.last_edge_ms:
        return None
    return therapy.detector.tube_set_ms()


def _tell_tube_set(schedule: Schedule, tick_ms: int) -> None:
    stood_s = (tick_ms - schedule.therapy.detector.last_edge_ms) // MS_PER_S
    schedule.records.enter(LogType.TUBE_SET, TubeSetData(stood_s))
    schedule.records.raise_alarm(AlarmId.TUBE_SET, stood_s)


def _day_end_due_ms(schedule: Schedule) -> int | None:
    records = schedule.records
    return records.day.end_ms(records.wall_clock)


def _end_day(schedule: Schedule, tick_ms: int) -> None:
    """Log what the day delivered, and where strokes were commanded that nobody saw, how many [SPEC 8]."""
    records, counters = schedule.records, schedule.therapy.counters
    day, stroke_nl = records.day, schedule.therapy.model.stroke_nl
    basal, bolus = day.delivered_strokes(counters)
    commanded = day.commanded_since(counters)
    records.enter(LogType.DAY_TOTAL, DayTotalData(basal * stroke_nl, bolus * stroke_nl, day.flags))
    false_edges = schedule.therapy.channel.take_false_edges()
    if commanded != basal + bolus or false_edges:
        seen = basal + bolus + false_edges
        records.enter(LogType.STROKE_MISMATCH, StrokeMismatchData(commanded, seen))
    records.day = DayTotal.beginning(tick_ms, counters, records.therapy.state, records.wall_clock)
    records.mark_dirty(Region.DAY)


def _enter_time_ref(schedule: Schedule, tick_ms: int) -> None:
    schedule.time_ref_due_ms = tick_ms + TIME_REF_MS
    clock = schedule.records.wall_clock
    schedule.records.enter(LogType.TIME_REF, TimeRefData(clock.wall_s(tick_ms), clock.tz_minutes))


def _telemetry_due_ms(schedule: Schedule) -> int | None:
    return telemetry_mode.due_ms(schedule.therapy)


def _look_at_telemetry(schedule: Schedule, _tick_ms: int) -> None:
    telemetry_mode.look(schedule.therapy)


def _recovery_due_ms(schedule: Schedule) -> int | None:
    return schedule.therapy.late.due_ms


def _tell_recovery(schedule: Schedule, _tick_ms: int) -> None:
    schedule.therapy.tell_recovery()


def _next_tone(schedule: Schedule) -> Tone | None:
    """The tone that comes next: one that was played is not played again, though it began at this very tick."""
    records, intervals = schedule.records, schedule.tone_intervals
    tone = next_tone(records.alarms, records.tick_ms, intervals)
    if tone is not None and tone == schedule.last_tone:
        return next_tone(records.alarms, records.tick_ms + 1, intervals)
    return tone


def _tone_due_ms(schedule: Schedule) -> int | None:
    tone = _next_tone(schedule)
    return None if tone is None else tone.at_ms


def _play_tone(schedule: Schedule, _tick_ms: int) -> None:
    schedule.last_tone = tone = _next_tone(schedule)
    if tone is not None:
        schedule.tell_whether(SelfTestFault.SOUNDER, fails=not schedule.sounder.play(tone))


TIMERS: list[Timer] = [  # in the order in which they run where several are due at one tick
    Timer("end of a delivery", _next_on_top_ms, _end_deliveries, at_each_event=True),
    Timer("reservoir", _reservoir_due_ms, _check_reservoir, at_each_event=True),
    Timer("stopped too long", _stopped_too_long_due_ms, _tell_stopped_too_long),
    Timer("expiry of a stop", _stop_expires_due_ms, _expire_stop),
    Timer("end of a day", _day_end_due_ms, _end_day),  # before those that fall into its commit
    Timer("service life", _service_due_ms, _run_service),
    Timer("step of a schedule", _step_due_ms, _step_rate),  # after those that change the state
    Timer("periodic bolus", _periodic_due_ms, _start_periodic),  # when state and rate are those of this tick
    Timer("tube set", _tube_set_due_ms, _tell_tube_set),
    Timer("time reference", lambda schedule: schedule.time_ref_due_ms, _enter_time_ref),
    Timer("late recovery", _recovery_due_ms, _tell_recovery),
    Timer("telemetry mode", _telemetry_due_ms, _look_at_telemetry, at_each_event=True),
    Timer("tone", _tone_due_ms, _play_tone, remembered=False),  # after those that raise an alarm
]
