"""What a clinician and a patient do at a pump, right or by a slip of the finger: deeds of `Life`."""

from __future__ import annotations

from abc import abstractmethod

from firmware_emu.units import MS_PER_HOUR, MS_PER_MINUTE, MS_PER_S
from hil.campaign.conversation import bridged, flexible_program, simple_header
from hil.campaign.program_boluses import RATE_NL_PER_DAY, header_of
from hil.campaign.slips import Slips
from hil.quantity_words import counted
from protocol.identifiers import (
    Activity,
    BolusKind,
    DenyReason,
    ErrorCode,
    OnExpiry,
    RefillFlag,
    StopReason,
    TimeSetReason,
)
from protocol.messages.alarms import AlarmAck, GetAlarms
from protocol.messages.bolus import (
    BolusCancel,
    BolusCommit,
    BolusCommitReply,
    BolusPrepare,
    BolusPrepareReply,
    Prime,
)
from protocol.messages.errors import ErrorReply
from protocol.messages.ledger import VoidCmd
from protocol.messages.program import PatientBlock, PeriodicBlock, ProgCommit, Segment
from protocol.messages.reservoir import GetReservoir, Refill
from protocol.messages.stop import Resume, Stop
from protocol.messages.time import TimeSet

SLIPS = ((1, 1),) * 8 + ((10, 1), (1, 10), (1_000, 1), (1, 1_000), (60, 1), (1, 60), (4, 1))
"""What people type instead: a decimal further, units swapped, minutes for hours, another concentration."""


class People(Slips):
    """The deeds of people; a part of `Life`."""

    @abstractmethod
    def look_at_the_ledger(self, cmd_id: int) -> None:
        """L2, of a command to which no answer came."""

    @abstractmethod
    def restart(self) -> None:
        """Power goes and comes."""

    def cut_at_times(self) -> None:
        """Let power go in one of the next writes, now and then."""
        if self.random.random() < 0.05:
            self.power_goes_at_write(self.random.randrange(1, 4), self.random.randrange(0, 40))

    def power_goes_at_write(self, count: int, torn_after_bytes: int) -> None:
        """Let power go in a write to come, of which so many bytes are still written."""
        self.tell(f"power is to go in write {count} from now, after {counted(torn_after_bytes, 'byte')}")
        self.talk.pump.plant.cut_at_write(count, torn_after_bytes)

    def typed(self, value: int) -> int:
        """What somebody types who means this: most often this."""
        factor, divisor = self.random.choice(SLIPS)
        self.sometimes("a number that was typed wrong", factor != divisor)
        return min(max(value * factor // divisor, 1), 2**32 - 1)

    def bolus(self) -> None:
        volume_nl = self.drawn("volume_nl", self.typed(self.random.randrange(500, 200_000)))
        duration_s = self.drawn("duration_s", self.typed(self.random.randrange(700, 8_000)))
        self._command(BolusKind.BOLUS, BolusCommit, volume_nl, duration_s)

    def prime(self) -> None:
        volume_nl = self.drawn("volume_nl", self.random.randrange(500, 338_000))
        duration_s = self.drawn("duration_s", self.random.randrange(1_400, 8_000))
        self._command(BolusKind.PRIME, Prime, volume_nl, duration_s)

    def _command(
        self, kind: BolusKind, command: type[BolusCommit | Prime], volume_nl: int, duration_s: int
    ) -> None:
        """Prepare a volume and command it, power going now and then."""
        rev = self.status().program_rev
        prepared = self.talk.ask(BolusPrepare(kind, volume_nl, duration_s, rev))
        if not isinstance(prepared, BolusPrepareReply):
            return
        wanted = command(self.next_id(), prepared.quantised_nl, duration_s, prepared.token, rev)
        self.cut_at_times()
        answered = self.talk.ask(wanted)
        lost = kind if answered is None else None
        self.sometimes("power went while a bolus was commanded", lost is BolusKind.BOLUS)
        self.sometimes("power went while a prime was commanded", lost is BolusKind.PRIME)
        if isinstance(answered, BolusCommitReply):
            self.boluses.append(wanted.cmd_id)
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
        self.passes(0, 7 * MS_PER_HOUR)

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
        self.passes(0, 7 * MS_PER_HOUR)

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

    # What a clinician does who comes to put things in order

    def check_up(self, dose_ng_per_day: int = 50_000) -> None:
        """End every fault, see to every alarm, and leave a pump that runs slowly with a full reservoir."""
        self.cure_all()
        self.restart()
        self.talk.wait(MS_PER_HOUR)
        self.leave()
        self.set_right_clock()
        self.refill_well()
        self.acknowledge_all()
        self.slow_program(dose_ng_per_day)
        self.acknowledge_all()

    def cure_all(self) -> None:
        """Every fault ends, and none is to come."""
        self.tell("every fault ends")
        for each in self.talk.pump.faults():
            if each.on or each.order is not None:
                self.talk.pump.clear(each.fault.name)

    def set_right_clock(self) -> None:
        """The clock is set to one time, always the same."""
        self.talk.ask(TimeSet(self.fresh_id(), 826_000_000, 60, TimeSetReason.DRIFT, confirm=True))

    def refill_well(self) -> None:
        aspirated = self.talk.granted(GetReservoir()).reservoir_calc_nl
        self.talk.ask(Refill(self.fresh_id(), aspirated, 19_000_000, 1, RefillFlag(0), 500_000, 1_000_000))

    def slow_program(self, dose_ng_per_day: int = 50_000) -> None:
        rev = self.status().program_rev
        dose = self.drawn("dose_ng_per_day", dose_ng_per_day)
        crc = self.talk.stage(dose, 500_000, base_rev=rev).staged_crc
        self.talk.ask(ProgCommit(self.fresh_id(), rev, crc, start=True))

    def acknowledge_all(self) -> None:
        for row in self.talk.granted(GetAlarms()).alarms:
            self.talk.ask(AlarmAck(row.alarm_id, row.on_seq))

    def silence(self) -> None:
        """Silence what sounds, again and again, and go."""
        for _ in range(self.random.choice((1, 3))):
            self.acknowledge_all()
            self.passes(1, 10 * MS_PER_MINUTE)

    def leave(self) -> None:
        """Go without a word: the session is left as it is."""
        self.tell("whoever stood there goes without a word")
        self.talk.client = self.talk._new_client()
        self.talk.handset.client = self.talk.handset._new_client()

    def read_log(self) -> None:
        self.tell("the log is read")
        self.talk.log()
