"""Lives at random, from a seed: people, faults and power cuts in any order, and what must hold after each of them.

The properties are those of any fault [DOMAIN 8.7]: volume is conserved, nothing flows while stopped, never faster than
the pump's maximum, no command acts twice, the log has no gap, dates stay in order.
"""

from __future__ import annotations

from random import Random
from typing import Any

from firmware_emu.bench.trace_hash import trace_bytes
from firmware_emu.controller.events import LogWritten, RateStepped
from firmware_emu.profile import EmptyPolicy, Implant
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE, MS_PER_S
from protocol.identifiers import (
    Activity,
    AlarmId,
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
from protocol.log.types import BolusEndReason, LogType
from protocol.messages.bolus import BolusCancel, BolusCommit, BolusPrepare, BolusPrepareReply, Prime
from protocol.messages.errors import ErrorReply
from protocol.messages.ledger import QueryCmd, VoidCmd
from protocol.messages.program import PatientBlock, PeriodicBlock, ProgCommit, Segment
from protocol.messages.reading import GetStatus
from protocol.messages.reservoir import GetReservoir, Refill
from protocol.messages.stop import Resume, Stop
from protocol.messages.time import TimeSet
from tests.simulation.conversation import (
    Conversation,
    bridged,
    flexible_program,
    profile_of,
    simple_header,
    state_of,
)
from tests.simulation.invariants import assert_log_is_whole, assert_volumes_agree
from tests.simulation.program_boluses import RATE_NL_PER_DAY, PatientAndClinician, header_of
from tests.support.for_each import for_each
from tests.support.sometimes import reaches, sometimes

STROKE_NL = 500
WAITS_MS = (1, 999, MS_PER_S, 61_003, 10 * MS_PER_MINUTE, MS_PER_HOUR, 7 * MS_PER_HOUR, 2 * MS_PER_DAY)
STEPS = 120
FIRST_OF_PATIENT = 60_000  # no number of the clinician's comes so far


class Life:
    """One pump and all that happens to it."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        choose = self.random.choice
        profile = profile_of(
            implant=Implant(
                filled_nl=choose((2_500_000, 8_000_000, 20_000_000)),
                dose_ng_per_day=choose((24_000, 300_000, 2_000_000)),
            ),
            wall_at_start_s=826_000_000,
            accuracy_ppm=choose((855_000, 1_000_000, 1_145_000)),
            empty_policy=choose(tuple(EmptyPolicy)),
        )
        self.talk = PatientAndClinician(Conversation.with_new_pump(profile, seed.to_bytes(4, "big")).pump)
        self.cmd_id = 0
        self.patients_cmd_id = FIRST_OF_PATIENT

    def next_id(self) -> int:
        self.cmd_id += self.random.choice((1, 1, 1, 40))
        return self.cmd_id

    def status(self) -> Any:
        return self.talk.granted(GetStatus())

    # What people do

    def bolus(self) -> None:
        volume_nl, duration_s = self.random.randrange(500, 200_000), self.random.randrange(700, 8_000)
        rev = self.status().program_rev
        prepared = self.talk.ask(BolusPrepare(BolusKind.BOLUS, volume_nl, duration_s, rev))
        if isinstance(prepared, BolusPrepareReply):
            commit = BolusCommit(self.next_id(), prepared.quantised_nl, duration_s, prepared.token, rev)
            self.cut_at_times()
            answered = self.talk.ask(commit)
            sometimes("power went while a bolus was commanded", answered is None)
            if answered is None:
                assert self.talk.granted(QueryCmd(commit.cmd_id)).outcome is not Outcome.RUNNING

    def prime(self) -> None:
        volume_nl, duration_s = self.random.randrange(500, 338_000), self.random.randrange(1_400, 8_000)
        rev = self.status().program_rev
        prepared = self.talk.ask(BolusPrepare(BolusKind.PRIME, volume_nl, duration_s, rev))
        if isinstance(prepared, BolusPrepareReply):
            wanted = Prime(self.next_id(), prepared.quantised_nl, duration_s, prepared.token, rev)
            self.cut_at_times()
            answered = self.talk.ask(wanted)
            sometimes("power went while a prime was commanded", answered is None)
            if answered is None:
                assert self.talk.granted(QueryCmd(wanted.cmd_id)).outcome is not Outcome.RUNNING

    def bridge(self) -> None:
        """A program with a bridge before it."""
        if self.talk.pump.truth().power_cut_armed:
            return
        rev, pick = self.status().program_rev, self.random
        volume_nl, rate = pick.randrange(500, 400_000), pick.randrange(100_000, 2_000_000)
        staged = bridged((simple_header(100_000, 500_000), (Segment(0, 200_000),)), volume_nl, rate)
        crc = self.talk.stage_program(*staged, base_rev=rev).staged_crc
        self.talk.ask(ProgCommit(self.next_id(), rev, crc, start=pick.random() < 0.8))

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
        sometimes("a schedule refused because nobody knew the time", clock_invalid)

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
        if answer is not None and not isinstance(answer, ErrorReply):
            deny = answer.deny
            sometimes("a patient was told GRANTED", deny is DenyReason.GRANTED)
            sometimes("a patient was told LOCKOUT", deny is DenyReason.LOCKOUT)
            sometimes("a patient was told NOT_PROGRAMMED", deny is DenyReason.NOT_PROGRAMMED)
            sometimes("a patient was told STOPPED", deny is DenyReason.STOPPED)
            status = self.status()
            if answer.deny is DenyReason.GRANTED:
                both = Activity.PATIENT | Activity.SUSPENDED_BOLUS
                sometimes("a patient's bolus suspended another", status.activity & both == both)

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

    def stall(self) -> None:
        self.talk.pump.stall_motor(self.random.random() < 0.5)

    def pull_the_plug(self) -> None:
        self.talk.pump.cut_power()
        self.talk.wait(self.random.choice((0, 1, MS_PER_HOUR)))
        self.talk.pump.restore_power()

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

    def live(self, steps: int) -> Conversation:
        """Let it happen, and look after each piece."""
        actions = (
            [self.wait] * 6 + [self.bolus] * 4 + [self.stall, self.refill, self.program, self.resume] * 2
        )
        actions += [self.schedule] * 2 + [self.prime, self.bridge] * 2
        actions += [self.boluses_of_a_program] * 2 + [self.ask_for_bolus] * 4
        actions += [self.ask_beside_a_bolus] * 2
        actions += [self.stop, self.cancel, self.set_clock, self.void, self.pull_the_plug, self.cut_soon]
        for _ in range(steps):
            before, seen = _Moment(self.talk), len(self.talk.trace)
            self.random.choice(actions)()
            happened = [entry.event for entry in self.talk.trace[seen:]]
            self.look(before, {event.log_type for event in happened if isinstance(event, LogWritten)})
            sometimes("a step of a schedule", any(isinstance(event, RateStepped) for event in happened))
            self.look_at_the_schedule()
        return self.talk

    def look(self, before: _Moment, logged: set[LogType]) -> None:
        now = _Moment(self.talk)
        assert now.tick_ms >= before.tick_ms, "monotonic time went back"
        elapsed_ms = now.now_ms - before.now_ms
        turned = now.turned - before.turned
        assert turned * STROKE_NL * MS_PER_DAY <= 24_000_000 * elapsed_ms + 2 * STROKE_NL * MS_PER_DAY
        if before.stands and now.stands and not (logged & _MAY_FLOW or before.primes or now.primes):
            assert turned == 0, "delivered while stopped"

    def look_at_the_schedule(self) -> None:
        """The rate is that of the segment in which the local minute lies, as a clinician would read it."""
        controller = self.talk.pump.controller
        assert controller is not None
        records, clock = controller.records, controller.records.wall_clock
        program, basal = records.program, controller.therapy.rate_nl_per_day
        bridge = controller.therapy.deliveries.bridge
        if records.therapy.state is not State.RUN or program is None:
            return
        if bridge is not None:
            sometimes("a bridge under way", bridge.delivered > 0)
            assert not bridge.waits
            assert basal == bridge.rate_nl_per_day == program.header.bridge.rate_nl_per_day
            return
        if program.week is None:
            return
        if not clock.valid:
            sometimes("a schedule without a time of day")
            assert basal == program.constant_rate_nl_per_day
            return
        day, minute = divmod(clock.local_s(records.tick_ms) // 60, 1_440)
        first = 0
        for group in program.header.groups:
            rows = program.segments[first : first + group.n_segments]
            first += group.n_segments
            if group.day_mask >> (day + 5) % 7 & 1:  # 2000-01-01 was a Saturday
                assert basal == [row.rate_nl_per_day for row in rows if row.start_min <= minute][-1]


_MAY_FLOW = {LogType.RATE_CHANGE, LogType.BOOT, LogType.PRIME_START}


class _Moment:
    """What is compared between two looks."""

    def __init__(self, talk: Conversation) -> None:
        truth, belief = talk.pump.truth(), talk.pump.belief()
        assert belief is not None
        self.now_ms = talk.now_ms
        self.tick_ms = belief.tick_ms
        self.turned = truth.strokes_turned
        self.stands = belief.state in (State.STOP, State.FAULT_STOP, State.EOS)
        controller = talk.pump.controller
        activity = Activity(0) if controller is None else controller.therapy.deliveries.activity
        self.primes = bool(activity & Activity.PRIME)


def note_what_was_reached(talk: Conversation) -> None:
    entries = talk.log()
    reasons = {entry.details().reason for entry in entries if entry.type is LogType.BOLUS_END}
    sometimes("a bolus interrupted by a stall", BolusEndReason.MISSING_EDGES in reasons)
    sometimes("a bolus interrupted by a stop", BolusEndReason.STOP in reasons)
    sometimes("a bolus interrupted by an alarm", BolusEndReason.ALARM in reasons)
    sometimes("a bolus interrupted by a power cut", BolusEndReason.POWER in reasons)
    sometimes("a bolus cancelled", BolusEndReason.CANCELLED in reasons)
    primes = {entry.details().reason for entry in entries if entry.type is LogType.PRIME_END}
    sometimes("a prime delivered", BolusEndReason.COMPLETE in primes)
    sometimes("a prime interrupted", bool(primes - {BolusEndReason.COMPLETE}))
    bridges = {entry.details().reason for entry in entries if entry.type is LogType.BRIDGE_END}
    sometimes("a bridge delivered", BolusEndReason.COMPLETE in bridges)
    sometimes("a bridge replaced", BolusEndReason.REPLACED in bridges)
    alarms = {entry.details().alarm_id for entry in entries if entry.type is LogType.ALARM_ON}
    sometimes("a reservoir that ran low", AlarmId.LOW_RESERVOIR in alarms)
    sometimes("a reservoir believed empty", AlarmId.EMPTY in alarms)
    sometimes("a stop that expired", AlarmId.STOP_EXPIRED in alarms)
    sometimes("a pump stopped for too long", AlarmId.STOPPED_TOO_LONG in alarms)


@reaches(
    "a bolus cancelled",
    "a bridge delivered",
    "a bridge replaced",
    "a bridge under way",
    "a prime delivered",
    "a prime interrupted",
    "power went while a prime was commanded",
    "a schedule refused because nobody knew the time",
    "a schedule without a time of day",
    "a patient was told GRANTED",
    "a patient was told LOCKOUT",
    "a patient was told NOT_PROGRAMMED",
    "a patient was told STOPPED",
    "a patient's bolus suspended another",
    "a periodic bolus passed over",
    "a periodic bolus begun",
    "a step of a schedule",
    "a bolus interrupted by a power cut",
    "a bolus interrupted by a stop",
    "a bolus interrupted by an alarm",
    "a pump stopped for too long",
    "a reservoir believed empty",
    "a reservoir that ran low",
    "a stop that expired",
    "power went while a bolus was commanded",
)
@for_each("seed", range(32), one_in=2)
def test_a_random_life_keeps_what_must_hold(seed: int) -> None:
    talk = Life(seed).live(STEPS)
    talk.pump.plant.disarm()
    assert_volumes_agree(talk)
    assert_log_is_whole(talk)
    starts: dict[int, int] = {}
    ends: dict[int, int] = {}
    for entry in talk.log():
        if not entry.cmd_id:  # the pump's own
            sometimes("a periodic bolus begun", entry.type is LogType.BOLUS_START)
            sometimes("a periodic bolus passed over", entry.type is LogType.CMD_REFUSED)
        elif entry.type in (LogType.BOLUS_START, LogType.PRIME_START):
            starts[entry.cmd_id] = starts.get(entry.cmd_id, 0) + 1
        elif entry.type in (LogType.BOLUS_END, LogType.PRIME_END):
            ends[entry.cmd_id] = ends.get(entry.cmd_id, 0) + 1
    assert set(starts.values()) | set(ends.values()) <= {1}, "a bolus began or ended twice"
    assert talk.pump.controller is not None
    running = {delivery.cmd_id for delivery in talk.pump.controller.therapy.deliveries.on_top}
    assert set(starts) - set(ends) <= running
    note_what_was_reached(talk)
    reservoir = talk.granted(GetReservoir())
    assert reservoir.low_t_mono_s <= reservoir.empty_t_mono_s


@for_each("seed", [3, 17])
def test_the_same_seed_is_the_same_life(seed: int) -> None:
    first, second = Life(seed).live(STEPS // 2), Life(seed).live(STEPS // 2)
    assert trace_bytes(first.trace) == trace_bytes(second.trace)
    assert state_of(first.pump) == state_of(second.pump)
