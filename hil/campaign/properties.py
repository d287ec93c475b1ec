"""The ten properties that hold under every fault [DOMAIN 8.7], held against each step of a life.

P1 to P3 and P5 to P9 are here. P4 and P10 are a comparison of two lives that differ in the truth alone, in
`hil.campaign.twins`. L1 to L3 are looked at by the life itself.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from firmware_emu.controller.alarms.alarm_table import ALARMS
from firmware_emu.controller.events import AlarmCleared, AlarmRaised, LogWritten, RateStepped
from firmware_emu.controller.memory.memory_map import Region
from firmware_emu.events import FaultCleared, FaultInjected, PowerLost, PowerOn, RefilledByHand
from firmware_emu.plant.rotor import Rotor
from firmware_emu.plant.sounder import TONES_KEPT
from firmware_emu.units import MS_PER_DAY, MS_PER_MINUTE, MS_PER_S
from protocol.identifiers import Activity, AlarmClass, AlarmId, State
from protocol.log.entry import LogEntry
from protocol.log.types import LogName, LogType
from protocol.messages.log import LogRead

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from firmware_emu.controller.memory.records import Records
    from firmware_emu.events import TraceEntry
    from firmware_emu.pins import StrokeRun
    from firmware_emu.pump import Pump
    from protocol.messages.program import ProgramHeader, Segment

    Program = tuple[ProgramHeader, tuple[Segment, ...]]

STANDING: Final = frozenset({State.STOP, State.FAULT_STOP, State.EOS})
WINDOW_MS: Final = MS_PER_MINUTE
SPARE_STROKES: Final = 6  # one of each source may fall on either side of an edge of the window
PPM: Final = 1_000_000
ROUNDED_FG_PPM: Final = 10_000_000  # of a mixture some fg are rounded at each filling
SILENCE_MS: Final = 30 * MS_PER_MINUTE
STARTS: Final = (LogType.BOLUS_START, LogType.PRIME_START)
UNREADABLE: Final = (LogType.CORRUPT_SLOT, LogType.LOG_CORRUPT, LogType.LOG_ERASED)
ENDS: Final = (LogType.BOLUS_END, LogType.PRIME_END)


INVARIANTS: Final = {
    "P1": "fluid and drug are where they went",
    "P2": "never more strokes than the model's highest rate allows",
    "P3": "nothing is commanded in a state in which a pump stands",
    "P4": "what the pump cannot see changes nothing that it believes or remembers",
    "P5": "alarms and rates are those of the log",
    "P6": "a start changes no program, and a pump without one does not run",
    "P7": "a critical alarm is heard at its interval",
    "P8": "no command is executed twice",
    "P9": "low comes no later than empty in what the pump foresees",
    "P10": "what the pump cannot see changes nothing that it says",
    "L1": "the rate is that of the program's segment at this minute",
    "L2": "a command that a power cut interrupted is not told to be running",
    "L3": "work on another revision of the program is refused",
}
"""What must hold, by name: the ten properties [DOMAIN 8.7], and three of the life around them."""
OF_TWINS: Final = frozenset({"P4", "P10"})
OF_DEEDS: Final = frozenset({"L1", "L2", "L3"})
"""Those that a random life looks at, as a deed is done."""


class Broken(AssertionError):
    """An invariant does not hold; the text begins with its name."""

    def __init__(self, invariant: str, found: str) -> None:
        super().__init__(f"{invariant}: {found}")
        self.invariant = invariant


def hold(invariant: str, true: object, *found: object) -> None:
    """Raise Broken where it is not so, with what was found."""
    if not true:
        raise Broken(invariant, " ".join(map(str, found)))


class Watch(NamedTuple):
    """Which invariants are looked at."""

    names: frozenset[str] = frozenset(INVARIANTS)

    def hold(self, invariant: str, true: object, *found: object) -> None:
        """Raise Broken where one that is looked at does not hold."""
        if not true and invariant in self.names:
            hold(invariant, true, *found)


WHOLE: Final = Watch()


class GuardedRotor(Rotor):
    """A rotor with somebody beside it who sees what it is told to turn, when it is told, and what comes of it."""

    __slots__ = ()
    watch: ClassVar[Callable[[StrokeRun], None]]
    hold: ClassVar[Callable[..., None]]
    nominal_nl: ClassVar[int]

    def run(self, run: StrokeRun) -> int:
        type(self).watch(run)
        if self.by_stroke:  # something makes each stroke another
            return super().run(run)
        turned, moved_nl_ppm = self.strokes_turned, self._moved_nl_ppm
        edges = super().run(run)
        turned, moved_nl_ppm = self.strokes_turned - turned, self._moved_nl_ppm - moved_nl_ppm
        due_nl_ppm = turned * self.nominal_nl * self.accuracy_ppm
        type(self).hold(
            "P1", moved_nl_ppm == due_nl_ppm, turned, "strokes moved", moved_nl_ppm, "for", due_nl_ppm
        )
        return edges

    @property
    def _moved_nl_ppm(self) -> int:
        """What has left the reservoir, and what would have if there had been any."""
        return self.reservoir.emitted_nl_ppm + self.dry_nl_ppm


class Properties:
    """What has been seen of one pump so far, and what must follow."""

    def __init__(
        self, pump: Pump, watch: Watch = WHOLE, commanded: Callable[[StrokeRun], None] | None = None
    ) -> None:
        """`commanded` is told each row of strokes before the rotor turns it; None: nobody is."""
        self.pump = pump
        self.commanded = commanded
        self.hold = watch.hold
        model = pump.profile.model
        self.stroke_nl = model.stroke_nl
        self.rate_max_nl_per_day = model.rate_max_nl_per_day
        self.in_window = (
            model.rate_max_nl_per_day * WINDOW_MS // (MS_PER_DAY * self.stroke_nl) + SPARE_STROKES
        )
        self.windows: dict[int, int] = {}
        """Strokes by the minute of the pump's ticks, since the start that is `started`."""
        self.started = 0
        self.rate_nl_per_day: int | None = None
        self.untraced = True
        """Whether the pump has started since the last look: a rate's step, which no log has, may be lost in the cut."""
        self.logged_to: int | None = None
        """The newest entry at the last look; None where nothing is known of what is before."""
        self.active_then: frozenset[AlarmId] = frozenset()
        self.rate_then_nl_per_day = 0
        self.program: Program | None = None
        implant = pump.profile.implant
        self.strongest_ng_per_ml = 0 if implant is None else implant.concentration_ng_per_ml
        self.active: set[AlarmId] = set()
        self.ended: set[tuple[LogType, int]] = set()
        self.numbers: set[int] = set()
        self.silent_from_ms = 0
        self.stood: tuple[int, ...] = ()
        self.clock_stands = False
        """Whether the clock stands, or has since the last look; `stands_until_ms` until when, None: nobody knows."""
        self.stands_until_ms: int | None = None
        self.guard_rotor()

    def guard_rotor(self) -> None:
        """Stand beside the rotor, and see what it is told to turn."""
        self.pump.plant.rotor.__class__ = type(
            "Guarded",
            (GuardedRotor,),
            {
                "__slots__": (),
                "watch": staticmethod(self.turning),
                "hold": staticmethod(self.hold),
                "nominal_nl": self.stroke_nl,
            },
        )

    def leave_rotor(self) -> None:
        """Stand beside it no more: a pump alone can be forked and written down."""
        self.pump.plant.rotor.__class__ = Rotor

    # At each row of strokes

    def turning(self, run: StrokeRun) -> None:
        """P2 and P3, as the rotor is told to turn, whatever it makes of that."""
        if self.commanded is not None:
            self.commanded(run)
        controller = self.pump.controller
        if controller is None or not run.count:
            return
        state = controller.records.therapy.state
        if state in STANDING:
            primes = Activity.PRIME in controller.therapy.deliveries.activity
            self.hold("P3", primes, f"strokes commanded in {state.name}: {run.count}")
        rated = run.rate_numerator * self.stroke_nl * MS_PER_DAY
        self.hold("P2", rated <= self.rate_max_nl_per_day * run.stroke_denominator, "a row of", run)
        if not controller.therapy.deliveries.each_stroke_counts:
            return  # nothing else turns beside it
        first_ms, last_ms = run.time_of_ms(run.first_k), run.time_of_ms(run.first_k + run.count - 1)
        if run.count > 1 and last_ms - first_ms > WINDOW_MS:
            return
        if self.started != controller.records.therapy.boot_count:
            self.started = controller.records.therapy.boot_count
            self.windows.clear()  # ticks go on from the last whole second, however long power was gone
        window = last_ms // WINDOW_MS
        self.windows[window] = self.windows.get(window, 0) + run.count
        self.hold("P2", self.windows[window] <= self.in_window, self.windows[window], "strokes in a minute")
        if len(self.windows) > 50:
            self.windows = {window: self.windows[window]}

    # After each deed

    def look(self, trace: Sequence[TraceEntry], staged: Sequence[Program] = ()) -> None:
        """Look at what has happened since the last look; `staged`: what people wanted the program to be meanwhile."""
        for entry in trace:
            self._happened(entry)
        self.volumes()
        self.belief(staged)
        self.tone()

    def _happened(self, entry: TraceEntry) -> None:
        match entry.event:
            case PowerOn():
                self.untraced = True
                self.silent_from_ms, self.clock_stands = entry.now.pump_ms, False
            case PowerLost():
                self.untraced = True  # a start that power cuts short is told before any PowerOn
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
            case RefilledByHand(concentration_ng_per_ml=filled):
                self.strongest_ng_per_ml = max(self.strongest_ng_per_ml, filled)
            case RateStepped(new_nl_per_day=new):
                self.rate_nl_per_day = new
            case FaultInjected(name="clock-stop", parameters=values):
                lasts_ms = next((each.value for each in values), None)
                self.clock_stands = True  # from now on for so long, also where it stood already
                self.stands_until_ms = None if lasts_ms is None else entry.now.pump_ms + lasts_ms
            case FaultCleared(name="clock-stop"):
                self._clock_goes_on(entry.now.pump_ms)
            case _:
                pass

    def _clock_goes_on(self, by_ms: int) -> None:
        """Where the clock stood, it has gone on when it should, by now at the latest: no tone was due before."""
        if self.clock_stands:
            went_on_ms = by_ms if self.stands_until_ms is None else min(by_ms, self.stands_until_ms)
            self.silent_from_ms = max(self.silent_from_ms, went_on_ms)
            self.clock_stands = False

    def _critical(self, before: AlarmId | None = None) -> bool:
        return any(
            ALARMS[each].alarm_class is AlarmClass.CRITICAL for each in self.active if each is not before
        )

    def tone(self) -> None:
        """P7: while a critical condition lasts, no interval is without a tone, once its silence is over."""
        pump = self.pump
        plant, now_ms = pump.plant, pump.now_ms
        stood = (
            plant.processor.bites,
            plant.processor.hangs_missed,
            plant.battery.brown_outs,
            plant.sounder.unheard,
        )
        cannot = plant.sounder.dead or pump._deaf or not self._critical()
        if stood != self.stood or cannot:
            self.stood, self.silent_from_ms = stood, max(self.silent_from_ms, now_ms)
        if plant.crystal.standing_since_ms is None:
            self._clock_goes_on(now_ms)
        else:
            self.silent_from_ms = max(self.silent_from_ms, now_ms)
        interval_ms = pump.profile.model.critical_interval_s * MS_PER_S * 50 // 49 + 2  # by a clock 2 % slow
        heard_ms = [tone.at_ms for tone in plant.sounder.heard if tone.critical]
        from_ms = self.silent_from_ms
        if len(plant.sounder.heard) >= TONES_KEPT:
            from_ms = max(from_ms, plant.sounder.heard[0].at_ms)  # those before are forgotten
        moments_ms = [from_ms, *(at_ms for at_ms in heard_ms if at_ms > from_ms), now_ms]
        for earlier_ms, later_ms in pairwise(moments_ms):
            self.hold(
                "P7", later_ms - earlier_ms <= interval_ms, self.active, "no tone", earlier_ms, "to", later_ms
            )

    def volumes(self) -> None:
        """P1: fluid and drug are where they went, and what is left is no stronger than what was filled."""
        truth = self.pump.truth()
        gone = truth.aspirated_nl_ppm + truth.emitted_nl_ppm - truth.backflow_nl_ppm
        self.hold("P1", truth.true_nl_ppm == truth.filled_nl_ppm - gone, "fluid", truth)
        drug = (
            truth.aspirated_fg_ppm
            + truth.reservoir_fg_ppm
            + truth.path_fg_ppm
            + truth.tip_fg_ppm
            + truth.lost_fg_ppm
        )
        self.hold("P1", truth.filled_fg_ppm == drug, "drug", truth)
        strongest_fg_ppm = truth.true_nl_ppm * self.strongest_ng_per_ml
        held_fg_ppm = truth.reservoir_fg_ppm
        self.hold(
            "P1", held_fg_ppm <= strongest_fg_ppm + ROUNDED_FG_PPM, "stronger than all that was filled", truth
        )

    def belief(self, staged: Sequence[Program]) -> None:
        """P5, P6: what the log says last is what the pump believes, and a start has changed nothing."""
        belief, controller = self.pump.belief(), self.pump.controller
        if belief is None or controller is None:
            return
        records = controller.records
        program = None if records.program is None else (records.program.header, records.program.segments)
        self.hold("P6", isinstance(belief.state, State), belief)
        self.hold("P6", belief.state is not State.RUN or program is not None, "runs without a program")
        if belief.state is State.SAFE_STATE:
            self.hold("P6", belief.rate_nl_per_day <= self.pump.profile.model.safe_rate_nl_per_day, belief)
        if self.untraced and self.logged_to is not None and belief.state is State.RUN:
            self.hold(
                "P6",
                program in (self.program, *staged),
                "after a reset it runs",
                program,
                "not",
                self.program,
            )
        active = {alarm for alarm in AlarmId if belief.alarm_active >> alarm & 1}
        if self.untraced and not self._read_on(controller.records):
            self.active, self.rate_nl_per_day = active, belief.rate_nl_per_day
        self.untraced = False
        self.hold("P5", active == self.active, "active", active, "by the log", self.active)
        rate = self.rate_nl_per_day
        self.hold("P5", belief.rate_nl_per_day == rate, "rate", belief, "by the log", rate)
        self.program, self.logged_to = program, records.log.last_seq
        self.active_then, self.rate_then_nl_per_day = frozenset(self.active), belief.rate_nl_per_day

    def _read_on(self, records: Records) -> bool:
        """Read in the log itself what has been since the last look; False where that is not known or not readable."""
        if self.logged_to is None:
            return False
        active, rate = set(self.active_then), self.rate_then_nl_per_day
        from_seq = self.logged_to + 1
        while from_seq <= records.log.last_seq:
            reply = records.log.read(LogRead(LogName.MAIN, 0, from_seq, 6), may_read_therapy=True)
            for entry in map(LogEntry.unpack, reply.entries):
                if entry.type in UNREADABLE:
                    return False
                data: Any = entry.details()
                if entry.type is LogType.NVM_FAULT and data.region == Region.THERAPY:
                    return False  # how far the log reached went with it
                if entry.type is LogType.ALARM_ON and not ALARMS[data.alarm_id].momentary:
                    active.add(data.alarm_id)
                elif entry.type is LogType.ALARM_OFF:
                    active.discard(data.alarm_id)
                elif entry.type is LogType.RATE_CHANGE:
                    rate = data.new_nl_per_day
            if reply.next_seq <= from_seq:
                return False
            from_seq = reply.next_seq
        self.active, self.rate_nl_per_day = active, rate
        return True

    def logged(self, written: LogWritten) -> None:
        """P5: each entry has the next number; P8: no bolus begins or ends twice."""
        kind, number = written.log_type, written.cmd_id
        data: Any = written.data
        if kind is LogType.RATE_CHANGE:
            self.hold("P5", data.old_nl_per_day != data.new_nl_per_day, "no change", data)
            known = self.rate_nl_per_day is None or self.untraced
            self.hold(
                "P5",
                known or self.rate_nl_per_day == data.old_nl_per_day,
                data,
                "after",
                self.rate_nl_per_day,
            )
            self.rate_nl_per_day = data.new_nl_per_day
        if kind in STARTS and number:
            self.hold("P8", number not in self.numbers, f"{kind.name} of {number} for the second time")
            self.numbers.add(number)
        if kind in ENDS and number:
            self.hold("P8", (kind, number) not in self.ended, f"{kind.name} of {number} for the second time")
            self.ended.add((kind, number))

    def alarm(self, alarm: AlarmRaised | AlarmCleared) -> None:
        """P5: an alarm begins once and ends once."""
        if isinstance(alarm, AlarmCleared):
            self.hold("P5", self.untraced or alarm.alarm_id in self.active, alarm, "was not active")
            self.active.discard(alarm.alarm_id)
        elif not ALARMS[alarm.alarm_id].momentary:
            self.hold("P5", self.untraced or alarm.alarm_id not in self.active, alarm, "for the second time")
            self.active.add(alarm.alarm_id)
