"""The ten properties that hold under every fault [DOMAIN 8.7], held against each step of a life.

P1 to P3 and P5 to P9 are here. P4 and P10 are a comparison of two lives that differ in the truth alone, in
`test_random_lives`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from firmware_emu.controller.alarms.alarm_table import ALARMS
from firmware_emu.controller.events import AlarmCleared, AlarmRaised, LogWritten, RateStepped
from firmware_emu.events import PowerOn
from firmware_emu.plant.rotor import Rotor
from firmware_emu.units import MS_PER_DAY, MS_PER_MINUTE, MS_PER_S
from protocol.identifiers import Activity, AlarmClass, AlarmId, State
from protocol.log.types import LogType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from firmware_emu.events import TraceEntry
    from firmware_emu.pins import StrokeRun
    from firmware_emu.pump import Pump

STANDING: Final = frozenset({State.STOP, State.FAULT_STOP, State.EOS})
WINDOW_MS: Final = 10 * MS_PER_MINUTE
SPARE_STROKES: Final = 6  # one of each source may fall on either side of an edge of the window
SILENCE_MS: Final = 30 * MS_PER_MINUTE
STARTS: Final = (LogType.BOLUS_START, LogType.PRIME_START)
ENDS: Final = (LogType.BOLUS_END, LogType.PRIME_END)


class Broken(AssertionError):
    """A property does not hold; the text begins with its number."""


def hold(number: int, true: object, *found: object) -> None:
    """Raise where it is not so, and say which property and what was found."""
    if not true:
        raise Broken(f"P{number}: {' '.join(map(str, found))}")


class GuardedRotor(Rotor):
    """A rotor with somebody beside it who sees what it is told to turn, when it is told."""

    __slots__ = ()
    watch: ClassVar[Callable[[StrokeRun], None]]

    def run(self, run: StrokeRun) -> int:
        type(self).watch(run)
        return super().run(run)


class Properties:
    """What has been seen of one pump so far, and what must follow."""

    def __init__(self, pump: Pump) -> None:
        self.pump = pump
        model = pump.profile.model
        self.stroke_nl = model.stroke_nl
        self.in_window = (
            model.rate_max_nl_per_day * WINDOW_MS // (MS_PER_DAY * self.stroke_nl) + SPARE_STROKES
        )
        self.windows: dict[int, int] = {}
        self.rate_nl_per_day: int | None = None
        self.untraced = True
        self.active: set[AlarmId] = set()
        self.ended: set[tuple[LogType, int]] = set()
        self.numbers: set[int] = set()
        self.silent_from_ms = 0
        self.stood: tuple[int, ...] = ()
        rotor = pump.plant.rotor
        rotor.__class__ = type(
            "Guarded", (GuardedRotor,), {"__slots__": (), "watch": staticmethod(self.turning)}
        )

    # At each row of strokes

    def turning(self, run: StrokeRun) -> None:
        """P2 and P3, as the rotor is told to turn, whatever it makes of that."""
        controller = self.pump.controller
        if controller is None or not run.count:
            return
        primes = Activity.PRIME in controller.therapy.deliveries.activity
        state = controller.records.therapy.state
        hold(3, state not in STANDING or primes, f"{run.count} strokes commanded in {state.name}")
        first_ms, last_ms = run.time_of_ms(run.first_k), run.time_of_ms(run.first_k + run.count - 1)
        if run.count > 1 and last_ms - first_ms > WINDOW_MS:
            span_ms = last_ms - first_ms
            allowed = (run.count - 1) * self.stroke_nl * MS_PER_DAY
            hold(2, allowed <= self.pump.profile.model.rate_max_nl_per_day * (span_ms + 1), "a row of", run)
            return
        window = last_ms // WINDOW_MS
        self.windows[window] = self.windows.get(window, 0) + run.count
        hold(2, self.windows[window] <= self.in_window, self.windows[window], "strokes in ten minutes")
        if len(self.windows) > 50:
            self.windows = {window: self.windows[window]}

    # After each deed

    def look(self, trace: Sequence[TraceEntry]) -> None:
        """Look at what has happened since the last look."""
        self.volumes()
        for entry in trace:
            self._happened(entry)
        self.belief()
        self.tone()

    def _happened(self, entry: TraceEntry) -> None:
        match entry.event:
            case PowerOn():
                self.windows.clear()
                self.untraced = (
                    True  # a cut in the writes of a start leaves log entries of which no trace tells
                )
                self.silent_from_ms = entry.now.pump_ms
            case LogWritten() as written:
                self.logged(written)
                if written.log_type in (LogType.ALARM_ACK, LogType.SESSION_CLOSE):
                    self.silent_from_ms = entry.now.pump_ms
                    if written.log_type is LogType.ALARM_ACK:
                        self.silent_from_ms += SILENCE_MS
            case AlarmRaised() | AlarmCleared() as alarm:
                self.alarm(alarm)
                if isinstance(alarm, AlarmRaised) and not self._critical(before=alarm.alarm_id):
                    self.silent_from_ms = max(self.silent_from_ms, entry.now.pump_ms)
            case RateStepped(new_nl_per_day=new):
                self.rate_nl_per_day = new
            case _:
                pass

    def _critical(self, before: AlarmId | None = None) -> bool:
        return any(
            ALARMS[each].alarm_class is AlarmClass.CRITICAL for each in self.active if each is not before
        )

    def tone(self) -> None:
        """P7: while a critical condition lasts, no interval is without a tone, once its silence is over."""
        pump = self.pump
        plant, now_ms = pump.plant, pump.now_ms
        stood = (
            plant.crystal.stops,
            plant.processor.bites,
            plant.processor.hangs_missed,
            plant.battery.brown_outs,
        )
        cannot = plant.sounder.dead or pump._deaf or not self._critical()
        if stood != self.stood or cannot:
            self.stood, self.silent_from_ms = stood, max(self.silent_from_ms, now_ms)
        interval_ms = pump.profile.model.critical_interval_s * MS_PER_S * 51 // 50 + 2
        if now_ms - self.silent_from_ms > interval_ms:
            last_ms = plant.sounder.heard[-1].at_ms if plant.sounder.heard else -interval_ms
            hold(7, now_ms - last_ms <= interval_ms, self.active, "at", now_ms, "last tone at", last_ms)

    def volumes(self) -> None:
        """P1: fluid and drug are where they went, to the last part; strokes account for what left."""
        truth = self.pump.truth()
        gone = truth.aspirated_nl_ppm + truth.emitted_nl_ppm - truth.backflow_nl_ppm
        hold(1, truth.true_nl_ppm == truth.filled_nl_ppm - gone, "fluid", truth)
        drug = (
            truth.aspirated_fg_ppm
            + truth.reservoir_fg_ppm
            + truth.path_fg_ppm
            + truth.tip_fg_ppm
            + truth.lost_fg_ppm
        )
        hold(1, truth.filled_fg_ppm == drug, "drug", truth)

    def belief(self) -> None:
        """P5, P6: what the log says last is what the pump believes."""
        belief, controller = self.pump.belief(), self.pump.controller
        if belief is None or controller is None:
            return
        hold(6, isinstance(belief.state, State), belief)
        records = controller.records
        hold(6, belief.state is not State.RUN or records.program is not None, "runs without a program")
        if belief.state is State.SAFE_STATE:
            hold(6, belief.rate_nl_per_day <= self.pump.profile.model.safe_rate_nl_per_day, belief)
        active = {alarm for alarm in AlarmId if belief.alarm_active >> alarm & 1}
        if self.untraced:
            self.untraced, self.active, self.rate_nl_per_day = False, active, belief.rate_nl_per_day
        hold(5, active == self.active, "active", active, "by the log", self.active)
        hold(
            5,
            belief.rate_nl_per_day == self.rate_nl_per_day,
            "rate",
            belief,
            "by the log",
            self.rate_nl_per_day,
        )

    def logged(self, written: LogWritten) -> None:
        """P5: each entry has the next number; P8: no bolus begins or ends twice."""
        kind, number = written.log_type, written.cmd_id
        data: Any = written.data
        if kind is LogType.RATE_CHANGE:
            hold(5, data.old_nl_per_day != data.new_nl_per_day, "no change", data)
            known = self.rate_nl_per_day is None or self.untraced
            hold(5, known or self.rate_nl_per_day == data.old_nl_per_day, data, "after", self.rate_nl_per_day)
            self.rate_nl_per_day = data.new_nl_per_day
        if kind in STARTS and number:
            hold(8, number not in self.numbers, f"{kind.name} of {number} for the second time")
            self.numbers.add(number)
        if kind in ENDS and number:
            hold(8, (kind, number) not in self.ended, f"{kind.name} of {number} for the second time")
            self.ended.add((kind, number))

    def alarm(self, alarm: AlarmRaised | AlarmCleared) -> None:
        """P5: an alarm begins once and ends once."""
        if isinstance(alarm, AlarmCleared):
            hold(5, self.untraced or alarm.alarm_id in self.active, alarm, "was not active")
            self.active.discard(alarm.alarm_id)
        elif not ALARMS[alarm.alarm_id].momentary:
            hold(5, self.untraced or alarm.alarm_id not in self.active, alarm, "for the second time")
            self.active.add(alarm.alarm_id)
