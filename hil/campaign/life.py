"""Lives at random, from a seed: people who err, every fault of the catalogue, power cuts, and long quiet weeks.

A life is a row of deeds. After each the `Properties` are looked at. All that is random comes from the seed and from
nothing that depends on the truth: so a twin with another truth lives the same life.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from firmware_emu.controller.events import LogWritten, RateStepped
from firmware_emu.faults.catalogue import FAULTS
from firmware_emu.profile import EmptyPolicy, Implant
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE, MS_PER_S
from hil.campaign.bedside import Bedside, Unheard
from hil.campaign.conversation import Conversation, bridged, flexible_program, profile_of, simple_header
from hil.campaign.life_faults import BY_ROWS, INVISIBLE, PROVOKED, ordered, sampled
from hil.campaign.life_marks import mark
from hil.campaign.measuring import Measuring
from hil.campaign.pairs import WORKS
from hil.campaign.patient_watch import PatientWatch
from hil.campaign.program_boluses import RATE_NL_PER_DAY, header_of
from hil.campaign.properties import WHOLE, Properties, Watch
from hil.campaign.slips import SLIPS_OF_PEOPLE, Slips
from protocol.identifiers import (
    Activity,
    AlarmClass,
    BolusKind,
    DenyReason,
    ErrorCode,
    OnExpiry,
    Outcome,
    RefillFlag,
    State,
    StopReason,
    TimeSetReason,
)
from protocol.link.client_end import Phase
from protocol.messages.alarms import AlarmAck, AlarmTest, GetAlarms
from protocol.messages.bolus import (
    BolusCancel,
    BolusCommit,
    BolusCommitReply,
    BolusPrepare,
    BolusPrepareReply,
    Prime,
)
from protocol.messages.errors import ErrorReply
from protocol.messages.ledger import QueryCmd, VoidCmd
from protocol.messages.program import PatientBlock, PeriodicBlock, ProgCommit, Segment
from protocol.messages.reading import GetStatus
from protocol.messages.reservoir import GetReservoir, Refill
from protocol.messages.stop import Resume, Stop
from protocol.messages.time import TimeSet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from firmware_emu.events import TraceEntry
    from firmware_emu.patient.person import Limits

WAITS_MS = (1, 999, MS_PER_S, 61_003, 10 * MS_PER_MINUTE, MS_PER_HOUR, 7 * MS_PER_HOUR)
FIRST_OF_PATIENT = 60_000  # no number of the clinician's comes so far
QUIET_DAYS = 160
SLIPS = ((1, 1),) * 8 + ((10, 1), (1, 10), (1_000, 1), (1, 1_000), (60, 1), (1, 60), (4, 1))
"""What people type instead: a decimal further, units swapped, minutes for hours, another concentration."""
TRIES = 20
DEEDS = (
    *("wait",) * 6,
    *("bolus",) * 4,
    *("fault",) * 8,
    *("cure", "refill", "program", "resume", "schedule", "prime", "bridge") * 2,
    *("boluses_of_a_program", "ask_beside_a_bolus", "silence", "leave", "restart", "check_up") * 2,
    *("ask_for_bolus",) * 4,
    *("stop", "cancel", "set_clock", "void", "pull_the_plug", "cut_soon", "test_tone", "read_log", "hang"),
    *SLIPS_OF_PEOPLE * 2,
)
"""What may come next, each as often as it stands here."""
OF_FAULTS = ("fault", "cure")


class Event(NamedTuple):
    """Something that was done in a life."""

    at_ms: int
    """Of the pump, when it began."""
    deed: str
    """Name of the method of `Life`, and what was said to it."""


class Play(NamedTuple):
    """What lives are made of, and what must hold in them."""

    deeds: tuple[str, ...] = DEEDS
    faults: tuple[str, ...] = tuple(FAULTS)
    """Those that `fault` and `cure` choose from, of the catalogue."""
    watch: Watch = WHOLE
    patient: Limits | None = None
    """From where on a patient beside the pump would be at risk; None: there is none."""


USUAL = Play()


class Life(Slips):
    """One pump and all that happens to it. `other_truth`: a twin in whom nothing differs that the pump can see."""

    def __init__(
        self,
        seed: int,
        *,
        other_truth: bool = False,
        cut_into: int = 1,
        faults: bool = True,
        empty_policy: EmptyPolicy | None = None,
        more_deeds: Sequence[str] = (),
        play: Play = USUAL,
        sometimes: Callable[[str, object], None] = lambda _mark, _happened: None,
    ) -> None:
        self.random = Random(seed)
        choose = self.random.choice
        filled_nl = choose((8_000_000, 18_000_000, 20_000_000))
        dose_ng_per_day = choose((24_000, 300_000, 2_000_000))
        accuracy_ppm = choose((855_000, 1_000_000, 1_145_000))
        self.other_truth = other_truth
        profile = profile_of(
            implant=Implant(filled_nl=filled_nl, dose_ng_per_day=dose_ng_per_day),
            wall_at_start_s=826_000_000,
            accuracy_ppm=2_222_222 - accuracy_ppm if other_truth else accuracy_ppm,
            accuracy_per_kelvin_ppm=3_000,
            accuracy_per_atmosphere_ppm=-20_000,
            empty_policy=choose(tuple(EmptyPolicy)) if empty_policy is None else empty_policy,
            service_life_months=840,
            battery_capacity_mah=40_000,
        )
        talk = Conversation.with_new_pump(profile, seed.to_bytes(4, "big"))
        self.talk = Bedside(talk.pump)
        self.talk.pump.leave_frames_out()
        self.talk.cut_into = cut_into
        self.deeds = play.deeds if faults else tuple(deed for deed in play.deeds if deed not in OF_FAULTS)
        self.faults = play.faults
        self._note_mark = sometimes
        self.deeds += (*more_deeds,) * 20
        if play.patient is not None:
            self.talk.patient = PatientWatch(talk.pump, seed, play.patient)
        self.measuring = Measuring(self.talk)
        self.measured = self.measuring.measured
        self.properties = Properties(talk.pump, play.watch, self.measuring.commanded)
        self.cmd_id = 0
        self.patients_cmd_id = FIRST_OF_PATIENT
        self.seen = 0
        self.pairs: set[tuple[str, str]] = set()
        self.boluses: list[int] = []
        self.story: list[Event] = []
        """All that was done so far, in its order."""

    def sometimes(self, mark: str, happened: object = True) -> None:
        """Note that this life has reached a mark, if it did."""
        if happened:
            self._note_mark(mark, happened)

    def next_id(self) -> int:
        """A number that was not used; now and then one that was."""
        if self.cmd_id and self.random.random() < 0.04:
            self.sometimes("a number used again")
            return self.random.randrange(1, self.cmd_id + 1)
        self.cmd_id += self.random.choice((1, 1, 1, 40))
        return self.cmd_id

    def typed(self, value: int) -> int:
        """What somebody types who means this: most often this."""
        factor, divisor = self.random.choice(SLIPS)
        self.sometimes("a number that was typed wrong", factor != divisor)
        return min(max(value * factor // divisor, 1), 2**32 - 1)

    def status(self) -> Any:
        return self.talk.granted(GetStatus())

    # What people do

    def bolus(self) -> None:
        volume_nl = self.typed(self.random.randrange(500, 200_000))
        duration_s = self.typed(self.random.randrange(700, 8_000))
        rev = self.status().program_rev
        prepared = self.talk.ask(BolusPrepare(BolusKind.BOLUS, volume_nl, duration_s, rev))
        if isinstance(prepared, BolusPrepareReply):
            commit = BolusCommit(self.next_id(), prepared.quantised_nl, duration_s, prepared.token, rev)
            self.cut_at_times()
            answered = self.talk.ask(commit)
            self.sometimes("power went while a bolus was commanded", answered is None)
            if isinstance(answered, BolusCommitReply):
                self.boluses.append(commit.cmd_id)
            if answered is None:
                self.look_at_the_ledger(commit.cmd_id)

    def prime(self) -> None:
        volume_nl, duration_s = self.random.randrange(500, 338_000), self.random.randrange(1_400, 8_000)
        rev = self.status().program_rev
        prepared = self.talk.ask(BolusPrepare(BolusKind.PRIME, volume_nl, duration_s, rev))
        if isinstance(prepared, BolusPrepareReply):
            wanted = Prime(self.next_id(), prepared.quantised_nl, duration_s, prepared.token, rev)
            self.cut_at_times()
            answered = self.talk.ask(wanted)
            self.sometimes("power went while a prime was commanded", answered is None)
            if answered is None:
                self.look_at_the_ledger(wanted.cmd_id)

    def bridge(self) -> None:
        """A program with a bridge before it."""
        if self.talk.pump.truth().power_cut_armed:
            return
        rev, pick = self.status().program_rev, self.random
        volume_nl, rate = pick.randrange(500, 400_000), pick.randrange(100_000, 2_000_000)
        staged = bridged((simple_header(100_000, 500_000), (Segment(0, 200_000),)), volume_nl, rate)
        crc = self.talk.stage_program(*staged, base_rev=rev).staged_crc
        self.talk.ask(ProgCommit(self.next_id(), rev, crc, start=pick.random() < 0.8))
        self.talk.wait(pick.choice((0, 7 * MS_PER_HOUR)))

    def cancel(self) -> None:
        self.talk.ask(BolusCancel(self.next_id(), 0, 0xFFFF))

    def stop(self) -> None:
        expiry = self.random.choice(tuple(OnExpiry))
        self.talk.ask(Stop(self.next_id(), self.random.choice((60, 3_600, 172_800)), StopReason.MRI, expiry))

    def resume(self) -> None:
        self.talk.ask(Resume(self.next_id(), self.status().program_rev))

    def program(self) -> None:
        if self.talk.pump.truth().power_cut_armed:
            return  # it could cut the staging short
        rev = self.status().program_rev
        dose = self.random.choice((24_000, 100_000, 450_001, 2_500_000))
        crc = self.talk.stage(dose, 500_000, base_rev=rev).staged_crc
        self.talk.ask(ProgCommit(self.next_id(), rev, crc, start=self.random.random() < 0.8))

    def schedule(self) -> None:
        """A flexible program of up to seven groups of days."""
        if self.talk.pump.truth().power_cut_armed:
            return
        rev, pick = self.status().program_rev, self.random
        groups: dict[int, int] = {}
        for day in range(7):
            number = pick.randrange(7)
            groups[number] = groups.get(number, 0) | 1 << day
        rates = {
            mask: {0: 48_000}
            | {
                minute: pick.randrange(48_000, 5_000_000)
                for minute in sorted(pick.sample(range(1, 1_440), 12))
            }
            for mask in groups.values()
        }
        crc = self.talk.stage_program(*flexible_program(*rates.items()), base_rev=rev).staged_crc
        answered = self.talk.ask(ProgCommit(self.next_id(), rev, crc, start=pick.random() < 0.8))
        clock_invalid = isinstance(answered, ErrorReply) and answered.code is ErrorCode.CLOCK_INVALID
        self.sometimes("a schedule refused because nobody knew the time", clock_invalid)
        self.talk.wait(pick.choice((0, 7 * MS_PER_HOUR)))

    def boluses_of_a_program(self) -> None:
        """A program that gives boluses by itself, or lets the patient ask, or both."""
        if self.talk.pump.truth().power_cut_armed:
            return
        rev, pick = self.status().program_rev, self.random
        patient = PatientBlock(pick.randrange(500, 40_000), pick.randrange(300, 3_000), 3_601, 40_000, 5)
        periodic = PeriodicBlock(pick.randrange(500, 40_000), 900, pick.choice((1_000, 3_600, 30_000)), 10)
        blocks = pick.choice(((patient, None), (None, periodic), (patient, periodic)))
        segments = (Segment(0, RATE_NL_PER_DAY),)
        crc = self.talk.stage_program(header_of(*blocks), segments, base_rev=rev).staged_crc
        self.talk.ask(ProgCommit(self.next_id(), rev, crc, start=pick.random() < 0.8))

    def ask_for_bolus(self) -> None:
        """A new id each time: a handset never sends one again."""
        self.patients_cmd_id += 1
        answer = self.talk.asks_for_bolus(self.patients_cmd_id)
        if answer is None or isinstance(answer, ErrorReply):
            return
        self.sometimes("a patient was told GRANTED", answer.deny is DenyReason.GRANTED)
        self.sometimes("a patient was told LOCKOUT", answer.deny is DenyReason.LOCKOUT)
        self.sometimes("a patient was told NOT_PROGRAMMED", answer.deny is DenyReason.NOT_PROGRAMMED)
        self.sometimes("a patient was told STOPPED", answer.deny is DenyReason.STOPPED)
        if answer.deny is DenyReason.GRANTED:
            status = self.status()
            both = Activity.PATIENT | Activity.SUSPENDED_BOLUS
            self.sometimes("a patient's bolus suspended another", status.activity & both == both)

    def ask_beside_a_bolus(self) -> None:
        """A clinician's bolus flows, and the patient asks an hour after a program allowed it."""
        self.boluses_of_a_program()
        self.talk.wait(3_601 * MS_PER_S)
        self.bolus()
        self.ask_for_bolus()

    def refill(self) -> None:
        filled_nl = self.random.choice((0, 3_000_001, 20_000_000))
        low_nl = self.random.randrange(0, max(filled_nl, 1))
        self.talk.ask(Refill(self.next_id(), 0, filled_nl, 1, RefillFlag(0), 500_000, low_nl))

    def set_clock(self) -> None:
        wall_s = self.random.randrange(0, 2**32)
        self.talk.ask(TimeSet(self.next_id(), wall_s, 60, TimeSetReason.DRIFT, confirm=True))

    def void(self) -> None:
        self.talk.ask(VoidCmd(self.next_id()))

    # What the world does

    def wait(self) -> None:
        self.talk.wait(self.random.choice(WAITS_MS))

    def pull_the_plug(self) -> None:
        self.talk.pump.cut_power()
        self.talk.wait(self.random.choice((0, 1, MS_PER_HOUR)))
        self.talk.pump.restore_power()

    def fault(self) -> None:
        """Any fault of the catalogue, in any order."""
        self.inject(self.random.choice(self.faults), orders=True)

    def cure(self) -> None:
        """One fault ends."""
        self.talk.pump.clear(self.random.choice(self.faults))

    def inject(self, name: str, *, orders: bool = False) -> None:
        """Cause a fault of random parameters; the twin is spared those that it could not see."""
        wanted = ordered(self.random, name)
        parameters = wanted.parameters if orders else sampled(self.random, name)
        if self.other_truth and name in INVISIBLE:
            return
        try:
            if orders:
                self.talk.pump.inject(name, parameters, wanted.start, **wanted.timing)
            else:
                self.talk.pump.inject(name, parameters)
        except ValueError:
            pass  # there is no such place in this memory, or the like

    def restart(self) -> None:
        self.talk.pump.cut_power()
        self.talk.pump.restore_power()

    def time(self) -> None:
        belief = self.talk.pump.belief()
        slow = belief is not None and belief.state is State.SAFE_STATE
        self.talk.wait(20 * MS_PER_HOUR if slow else self.random.choice((10 * MS_PER_MINUTE, MS_PER_HOUR)))

    def knock(self) -> None:
        """Somebody opens a session, and the pump draws a number for it."""
        self.leave()
        self.talk.open()

    def write(self) -> None:
        """Something that the pump writes down."""
        self.talk.ask(AlarmTest(AlarmClass.NON_CRITICAL))
        self.talk.ask(VoidCmd(self.fresh_id()))
        self.talk.wait(MS_PER_HOUR)
        self.restart()

    def test_tone(self) -> None:
        self.talk.ask(AlarmTest(self.random.choice(tuple(AlarmClass))))

    def hang(self) -> None:
        self.talk.pump.inject("hung-task", {})
        self.talk.wait(10 * MS_PER_MINUTE)
        self.talk.pump.clear("hung-task")

    def two_days_of_standing(self) -> None:
        self.talk.granted(Stop(self.next_id(), 172_800, StopReason.MRI, OnExpiry.RESUME))
        self.talk.wait(50 * MS_PER_HOUR)

    def cut_soon(self) -> None:
        plant = self.talk.pump.plant
        if self.random.random() < 0.5:
            plant.cut_at_write(self.random.randrange(1, 12), self.random.randrange(0, 40))
        else:
            plant.cut_at_stroke(self.random.randrange(1, 20))

    def cut_at_times(self) -> None:
        """Let power go in one of the next writes, now and then."""
        if self.random.random() < 0.05:
            self.talk.pump.plant.cut_at_write(self.random.randrange(1, 4), self.random.randrange(0, 40))

    # What a clinician does who comes to put things in order

    def check_up(self, dose_ng_per_day: int = 50_000) -> None:
        """End every fault, see to every alarm, and leave a pump that runs slowly with a full reservoir."""
        for each in self.talk.pump.faults():
            if each.on or each.order is not None:
                self.talk.pump.clear(each.fault.name)
        self.restart()
        self.talk.wait(MS_PER_HOUR)
        self.leave()
        self.talk.ask(TimeSet(self.fresh_id(), 826_000_000, 60, TimeSetReason.DRIFT, confirm=True))
        self.refill_well()
        self.acknowledge_all()
        self.slow_program(dose_ng_per_day)
        self.acknowledge_all()

    def fresh_id(self) -> int:
        self.cmd_id += 1
        return self.cmd_id

    def refill_well(self) -> None:
        aspirated = self.talk.granted(GetReservoir()).reservoir_calc_nl
        self.talk.ask(Refill(self.fresh_id(), aspirated, 19_000_000, 1, RefillFlag(0), 500_000, 1_000_000))

    def slow_program(self, dose_ng_per_day: int = 50_000) -> None:
        rev = self.status().program_rev
        crc = self.talk.stage(dose_ng_per_day, 500_000, base_rev=rev).staged_crc
        self.talk.ask(ProgCommit(self.fresh_id(), rev, crc, start=True))

    def acknowledge_all(self) -> None:
        for row in self.talk.granted(GetAlarms()).alarms:
            self.talk.ask(AlarmAck(row.alarm_id, row.on_seq))

    def silence(self) -> None:
        """Silence what sounds, again and again, and go."""
        for _ in range(self.random.choice((1, 3))):
            self.acknowledge_all()
            self.talk.wait(self.random.choice((1, 10 * MS_PER_MINUTE)))

    def leave(self) -> None:
        """Go without a word: the session is left as it is."""
        self.talk.client = self.talk._new_client()
        self.talk.handset.client = self.talk.handset._new_client()

    def read_log(self) -> None:
        self.talk.log()

    def quiet_weeks(self) -> None:
        """After a check-up nothing happens for long, but what nobody sees."""
        self.tried(self.check_up, self.random.choice((24_000, 24_000, 24_000, 50_000)))
        self.inject(self.random.choice((*BY_ROWS * 3, *INVISIBLE[:-1])))
        for _ in range(4):
            self.talk.wait(QUIET_DAYS * MS_PER_DAY // 4)
            self.look()

    # A procedure with a fault in it

    def pair(self, fault: str, work: str) -> None:
        """Begin a work, let the fault be, and see whether it took effect meanwhile."""
        row = WORKS[work]
        if row.begins is not None:
            getattr(self, row.begins)()
        if row.seen is not None and not row.seen(self.talk.pump):
            return
        seen, effects = len(self.talk.trace), self.effects_of(fault)
        self.inject(fault)
        in_work = row.then is None
        if row.then is not None:
            self.tried(getattr(self, row.then))
            logged = {
                entry.event.log_type
                for entry in self.talk.trace[seen:]
                if isinstance(entry.event, LogWritten)
            }
            in_work = row.logs is None or row.logs in logged or self.effects_of(fault) > effects
        self.tried(getattr(self, PROVOKED[fault].by))
        if in_work and self.effects_of(fault) > effects:
            self.pairs.add((fault, work))

    def effects_of(self, name: str) -> int:
        """How often a fault has taken effect by now."""
        self.talk.pump.truth()  # turns what is due
        return next(each.effects for each in self.talk.pump.faults() if each.fault.name == name)

    def short_bolus(self) -> None:
        self._prepared(BolusKind.BOLUS, BolusCommit)

    def short_prime(self) -> None:
        self._prepared(BolusKind.PRIME, Prime)

    def _prepared(self, kind: BolusKind, command: type) -> None:
        rev = self.status().program_rev
        prepared = self.talk.granted(BolusPrepare(kind, 60_000, 3_600, rev))
        self.talk.granted(command(self.fresh_id(), prepared.quantised_nl, 3_600, prepared.token, rev))
        self.boluses.append(self.cmd_id)

    def patients_bolus(self) -> None:
        self._runs(PatientBlock(60_000, 3_600, 3_601, 86_400, 5), None)
        self.talk.wait(3_601 * MS_PER_S)
        self.ask_for_bolus()

    def periodic_bolus(self) -> None:
        self._runs(None, PeriodicBlock(60_000, 3_600, 30_000, 600))
        self.talk.wait(700 * MS_PER_S)

    def _runs(self, patient: PatientBlock | None, periodic: PeriodicBlock | None) -> None:
        rev = self.status().program_rev
        segments = (Segment(0, RATE_NL_PER_DAY),)
        crc = self.talk.stage_program(header_of(patient, periodic), segments, base_rev=rev).staged_crc
        self.talk.granted(ProgCommit(self.fresh_id(), rev, crc, start=True))

    def bridge_under_way(self) -> None:
        rev = self.status().program_rev
        staged = bridged((simple_header(100_000, 500_000), (Segment(0, 200_000),)), 300_000, 1_500_000)
        crc = self.talk.stage_program(*staged, base_rev=rev).staged_crc
        self.talk.granted(ProgCommit(self.fresh_id(), rev, crc, start=True))
        self.talk.wait(MS_PER_MINUTE)

    def stop_for_an_hour(self) -> None:
        self.talk.granted(Stop(self.fresh_id(), 3_600, StopReason.MRI, OnExpiry.ALARM_ONLY))

    def run_empty(self) -> None:
        """A syringe draws what is believed to be there: the pump calls, and runs on at its lowest rate or stands."""
        self.talk.granted(Refill(self.fresh_id(), 0, 0, 1, RefillFlag(0), 500_000, 0))

    # A life

    def tried(self, deed: Callable[..., None], *args: object) -> None:
        """Do it; where the pump does not answer, that was all."""
        self.story.append(Event(self.talk.now_ms, " ".join((deed.__name__, *map(str, args)))))
        try:
            deed(*args)
        except Unheard:
            self.sometimes("a pump that gave no answer")

    def live(self, steps: int, pairs: Sequence[tuple[str, str]] = (), quiet: int = 0) -> Life:
        """The pairs, quiet months, then anything; and look after each piece."""
        for fault, work in pairs:
            for _ in range(TRIES):
                self.tried(self.check_up)
                self.look()
                self.tried(self.pair, fault, work)
                self.look()
                if (fault, work) in self.pairs or self.other_truth:
                    break
        for _ in range(quiet):
            self.quiet_weeks()
            self.look()
        for _ in range(steps):
            self.tried(getattr(self, self.random.choice(self.deeds)))
            self.look()
        return self

    def look(self) -> None:
        """What must hold now."""
        self.talk.wait(0)
        happened = self.talk.trace[self.seen :]
        self.seen = len(self.talk.trace)
        self.measuring.look()
        self.properties.look(happened, self.talk.staged)
        if self.talk.pump.belief() is not None:  # one without power is not asked what it runs
            self.talk.staged.clear()
        self.note(happened)

    def note(self, happened: Sequence[TraceEntry]) -> None:
        """Marks of what was reached."""
        events = [entry.event for entry in happened]
        self.sometimes("a step of a schedule", any(isinstance(event, RateStepped) for event in events))
        for event in events:
            if isinstance(event, LogWritten):
                mark(event, self.sometimes)
        self.tried(self.look_at_the_dates)
        self.look_at_the_schedule()

    def look_at_the_ledger(self, cmd_id: int) -> None:
        """L2, of a command to which no answer came."""
        outcome = self.talk.granted(QueryCmd(cmd_id)).outcome
        self.properties.hold("L2", outcome is not Outcome.RUNNING, cmd_id, "is told to be running")

    def look_at_the_dates(self) -> None:
        """P9, where a session is open."""
        if self.talk.client.phase is Phase.OPEN:
            dates = self.talk.ask(GetReservoir())
            if dates is not None and not isinstance(dates, ErrorReply):
                self.properties.hold("P9", dates.low_t_mono_s <= dates.empty_t_mono_s, dates)

    def look_at_the_schedule(self) -> None:
        """The rate is that of the segment in which the local minute lies, as a clinician would read it."""
        controller = self.talk.pump.controller
        if controller is None:
            return
        records, clock = controller.records, controller.records.wall_clock
        program, basal = records.program, controller.therapy.rate_nl_per_day
        bridge = controller.therapy.deliveries.bridge
        suspended = controller.therapy.telemetry.suspends
        if records.therapy.state is not State.RUN or program is None or suspended:
            return
        if bridge is not None:
            self.sometimes("a bridge under way", bridge.delivered > 0)
            rates = (basal, bridge.rate_nl_per_day, program.header.bridge.rate_nl_per_day)
            self.properties.hold("L1", len({*rates}) == 1 and not bridge.waits, "in a bridge", rates)
            return
        if program.week is None:
            return
        if not clock.valid:
            self.sometimes("a schedule without a time of day")
            constant = program.constant_rate_nl_per_day
            self.properties.hold("L1", basal == constant, basal, "without a time of day, not", constant)
            return
        day, minute = divmod(clock.local_s(records.tick_ms) // 60, 1_440)
        first = 0
        for group in program.header.groups:
            rows = program.segments[first : first + group.n_segments]
            first += group.n_segments
            if group.day_mask >> (day + 5) % 7 & 1:  # 2000-01-01 was a Saturday
                due = [row.rate_nl_per_day for row in rows if row.start_min <= minute][-1]
                self.properties.hold("L1", basal == due, basal, "at minute", minute, "not", due)
