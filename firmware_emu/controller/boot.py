"""How the program in the pump starts: on a blank memory, or on what a reset has left behind.

After any reset the pump is in its old therapy, or in the safe state with its alarm, and in no third [DOMAIN SR-70].
A bolus that power interrupted is closed with what is known of it, and never resumed [SPEC 9].
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from firmware_emu.controller.alarms.alarm_table import Remedy
from firmware_emu.controller.alarms.alarms import Alarms
from firmware_emu.controller.alarms_of_log import alarms_of, are_older_than_log
from firmware_emu.controller.damage import judge_damage
from firmware_emu.controller.firmware import running_firmware
from firmware_emu.controller.memory.event_log import EventLog
from firmware_emu.controller.memory.identity import CHAIN_KEY_BYTES, Identity
from firmware_emu.controller.memory.key_ring import KeyRing
from firmware_emu.controller.memory.ledger import Ledger
from firmware_emu.controller.memory.log_ring import ENTRIES_OF_A_LIFE_MAX, LIFE_MAX_S
from firmware_emu.controller.memory.memory import Memory, RecoveryReport
from firmware_emu.controller.memory.memory_map import Region
from firmware_emu.controller.memory.records import Records
from firmware_emu.controller.memory.settings import Settings, Texts
from firmware_emu.controller.power_on_test import Started, power_on_test
from firmware_emu.controller.provisioning import implant
from firmware_emu.controller.self_test import random_source_fails
from firmware_emu.controller.service_life import ServiceLife
from firmware_emu.controller.therapy.bolus import BolusEnd
from firmware_emu.controller.therapy.bolus_window import BolusWindow
from firmware_emu.controller.therapy.checkpoint import Checkpoint
from firmware_emu.controller.therapy.counters import Counters
from firmware_emu.controller.therapy.day_total import DayTotal
from firmware_emu.controller.therapy.delivery import Basal
from firmware_emu.controller.therapy.delivery_sources import SOURCES, Deliveries, source_of_command
from firmware_emu.controller.therapy.modes import Trigger
from firmware_emu.controller.therapy.patient_requests import PatientRequests
from firmware_emu.controller.therapy.periodic_bolus import PeriodicSeries, pass_without_power
from firmware_emu.controller.therapy.program_blocks import boluses_can_be
from firmware_emu.controller.therapy.programs import Program
from firmware_emu.controller.therapy.reservoir_belief import ReservoirBelief
from firmware_emu.controller.therapy.second_channel import SecondChannel
from firmware_emu.controller.therapy.stall_detector import StallDetector
from firmware_emu.controller.therapy.therapy import Therapy
from firmware_emu.controller.therapy.therapy_record import TherapyRecord
from firmware_emu.controller.timers import CHECKPOINT_MS
from firmware_emu.controller.wall_clock import WallClock
from firmware_emu.pins import ResetCause
from firmware_emu.profile import ResetPolicy
from firmware_emu.units import MS_PER_S
from protocol.errors import ProtocolError
from protocol.identifiers import AlarmId, BatteryPhase, Outcome, SelfTestFault, State, StateReason
from protocol.log.data import BootData, RateChangeData, ResetBrownoutData, WallInvalidData
from protocol.log.types import BolusEndReason, BootCause, DayFlag, LogType, RateChangeReason

if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware_emu.controller.therapy.delivery_sources import Delivery
    from firmware_emu.pins import Pins
    from firmware_emu.profile import Profile, PumpModel

RESTART_MS = MS_PER_S  # ticks go on one second behind the last one known, never back [SPEC 12]
UNSAVED_STROKES_MAX = (
    2  # of a bolus, behind a checkpoint beside which a newer one was damaged: each stroke has its own
)
STARTS_CUT_SHORT_MS = 16 * MS_PER_S
LIFE_MAX_MS = LIFE_MAX_S * MS_PER_S
U32_MAX, U64_MAX = (1 << 32) - 1, (1 << 64) - 1

_T = TypeVar("_T")


class Booted(NamedTuple):
    """A program about to run, not yet durable; `first` says whether the memory was blank."""

    therapy: Therapy
    rng_failed: bool
    first: bool


def boot(pins: Pins, profile: Profile, memory_id: int | None = None) -> Booted:
    """Start; raises PowerCut, and ValueError where the profile asks for a therapy that this pump refuses.

    `memory_id` names the memory anew: who holds it knows that it is new, or that it has lost something.
    """
    memory = Memory(pins.memory, profile.model.log_capacity)
    report = memory.recover()
    if memory.is_blank():
        return _boot_blank(memory, pins, profile, memory_id)
    return _Restart(memory, pins, profile, report, set(report.corrupt), memory_id).run()


def _test_at_start(started: Started) -> bool:
    """Test the pump; returns whether the random source failed, without which there are no sessions.

    Where the test ended before it came to the random source, that is tested by itself: without sessions nobody could
    help the pump.
    """
    failed, records = power_on_test(started), started.therapy.records
    if failed is None:
        records.remedy(Remedy.RESTART)
        return False
    if failed.part is SelfTestFault.ENTROPY:
        return True
    rng_failed = random_source_fails(started.pins.entropy)
    if rng_failed:
        records.raise_alarm(AlarmId.RNG_FAILED)
    return rng_failed


def _tell_firmware(records: Records, model: PumpModel) -> None:
    """Log which program runs, where it is another than the log has told last."""
    running = running_firmware(model)
    if records.identity.firmware_told != running:
        records.identity.firmware_told = running
        records.enter(LogType.FW_INFO, running)
        records.mark_dirty(Region.IDENTITY)


def _drawn_identity(pins: Pins) -> Identity:
    """An identity that no other memory has."""
    return Identity(
        memory_id=int.from_bytes(pins.entropy.draw("memory", 8), "little"),
        chain_key=pins.entropy.draw("memory", CHAIN_KEY_BYTES),
    )


def _service_of(model: PumpModel) -> ServiceLife:
    return ServiceLife.of(model.service_life_months, model.eri_to_eos_days)


def _boot_blank(memory: Memory, pins: Pins, profile: Profile, memory_id: int | None) -> Booted:
    """Start for the first time: format the memory, log it, and do what the clinic did."""
    model = profile.model
    memory.format()
    identity = _drawn_identity(pins)
    if memory_id is not None:
        identity.memory_id = memory_id
    log = EventLog(memory, chain_key=identity.chain_key, epoch=identity.epoch)
    records = Records(
        memory,
        log,
        identity=identity,
        therapy=TherapyRecord(boot_count=1),
        program=None,
        reservoir=ReservoirBelief(model.stroke_nl, low_alarm_nl=model.low_reservoir_alarm_nl),
        ledger=Ledger(),
        alarms=Alarms(),
        window=BolusWindow(),
        wall_clock=WallClock(),
        service=_service_of(model),
        day=DayTotal(),
        settings=Settings(),
        texts=Texts(),
        keys=KeyRing(pins.entropy.root_key(), profile.card_key),
        patient=PatientRequests(),
        periodic=PeriodicSeries(),
    )
    records.keys.fill(profile.keys)
    records.mark_dirty(*Region)
    detector = StallDetector(model.stall_detect_s * MS_PER_S, model.stall_recovery_edges)
    deliveries = Deliveries(Basal.at(0, model.stroke_nl))
    believed = records.settings.applied_to(model)
    therapy = Therapy(records, SecondChannel(pins.rotor), believed, deliveries, Counters(), detector)
    records.begin_epoch()
    records.enter(LogType.BOOT, BootData(BootCause.FIRST, 1))
    _tell_firmware(records, model)
    rng_failed = _test_at_start(Started(therapy, pins, clock_credible=True))
    if profile.wall_at_start_s is not None:
        records.wall_clock.set(0, profile.wall_at_start_s, profile.tz_minutes)
    if profile.implant is not None:
        implant(therapy, profile, profile.implant)
    records.day = DayTotal.beginning(0, therapy.counters, records.therapy.state, records.wall_clock)
    return Booted(therapy, rng_failed, first=True)


class _Register(NamedTuple):
    """The latched register, as far as it is believed; `latest_cut_ms`: power went at the latest then."""

    latched_ms: int
    latest_cut_ms: int
    credible: bool


class _Restart(NamedTuple):
    """One start on a written memory; `corrupt` collects the records that cannot be read."""

    memory: Memory
    pins: Pins
    profile: Profile
    report: RecoveryReport
    corrupt: set[Region]
    memory_id: int | None

    def run(self) -> Booted:
        """Read the records, judge and repair what is damaged, and go on with the therapy."""
        checkpoint = self._checkpoint()
        records = self._records(checkpoint)
        log_damage = records.log.damage()  # before anything is entered
        no_commit_was_whole = records.alarms.is_active(AlarmId.NVM)
        doubted = no_commit_was_whole or Region.RESERVOIR in self.corrupt
        told_nl_per_day = records.log.rate_told_nl_per_day() if doubted else None
        register = self._register(checkpoint, records.log)
        tick_ms = max(register.latched_ms, checkpoint.tick_ms, records.log.newest_tick_ms) + RESTART_MS
        records.tick_ms = tick_ms
        records.recovered = True
        self._count_day(records, checkpoint.counters)
        basal = checkpoint.deliveries.basal
        bridge = checkpoint.deliveries.bridge
        deliveries = Deliveries(basal)
        deliveries.set_bridge(bridge)
        model = records.settings.applied_to(self.model)
        therapy = Therapy(
            records,
            SecondChannel(self.pins.rotor),
            model,
            deliveries,
            checkpoint.counters,
            checkpoint.detector,
        )
        latest_cut_ms = register.latest_cut_ms
        uncertain_nl = max(0, basal.strokes_due(latest_cut_ms)) * self.model.stroke_nl
        basal.restart(tick_ms)
        if bridge is not None:  # therapy, which goes on
            uncertain_nl += max(0, bridge.strokes_due(latest_cut_ms)) * self.model.stroke_nl
            bridge.accumulator.restart(tick_ms)
        therapy.detector.reset_row()
        self._announce(records, uncertain_nl)
        if told_nl_per_day not in (None, therapy.rate_nl_per_day):  # the checkpoint is older than the log
            row = RateChangeData(told_nl_per_day, therapy.rate_nl_per_day, RateChangeReason.RESET)
            records.enter(LogType.RATE_CHANGE, row)
        self._close_deliveries(therapy, checkpoint.deliveries, latest_cut_ms)
        rng_failed = _test_at_start(Started(therapy, self.pins, register.credible))
        judge_damage(therapy, self.corrupt, log_damage)
        pass_without_power(therapy)
        if model.reset_policy is ResetPolicy.SAFE_STATE:
            therapy.change(Trigger.RESET_TO_SAFE_RATE, StateReason.RESET, RateChangeReason.SAFE_RATE)
        therapy.follow_rate(RateChangeReason.RESET)
        therapy.check_reservoir()
        return Booted(therapy, rng_failed, first=False)

    @property
    def model(self) -> PumpModel:
        """The pump as it was made; what the clinic may change of it is in the settings."""
        return self.profile.model

    # Reading

    def _load(
        self,
        region: Region,
        unpack: Callable[[bytes], _T],
        default: _T,
        can_be: Callable[[_T], bool] = lambda _: True,
    ) -> _T:
        """A record; `default` where nothing was ever written, where it cannot be read, or holds what cannot be."""
        data = self.memory.read_record(region)
        if data == b"":
            return default
        if data is not None:
            try:
                found = unpack(data)
            except (ValueError, ProtocolError):
                pass
            else:
                if can_be(found):
                    return found
        self.corrupt.add(region)
        return default

    def _checkpoint(self) -> Checkpoint:
        model = self.model
        detect_ms = model.stall_detect_s * MS_PER_S
        data = None if self.report.checkpoint_lost else self.memory.read_checkpoint()
        if data is not None:
            try:
                found = Checkpoint.unpack(data, model.stroke_nl, detect_ms, model.stall_recovery_edges)
            except ValueError:
                pass
            else:
                if self._can_be(found):
                    return found
        self.corrupt.add(Region.RESERVOIR)  # without the counters its belief is worth nothing
        detector = StallDetector(detect_ms, model.stall_recovery_edges)
        return Checkpoint(0, 0, 0, Counters(), detector, Deliveries(Basal.at(0, model.stroke_nl)))

    def _can_be(self, checkpoint: Checkpoint) -> bool:
        """Whether a pump can have come to such numbers: what the wire has no room for nobody has lived to see."""
        counters = checkpoint.counters
        strokes = max(counters.commanded, counters.strokes)
        return (
            checkpoint.tick_ms <= LIFE_MAX_MS
            and strokes * self.model.stroke_nl <= U64_MAX
            and checkpoint.belief_nl <= self.model.reservoir_size_nl
        )

    def _register(self, checkpoint: Checkpoint, log: EventLog) -> _Register:
        """What may be believed of the register that the crystal latched.

        A checkpoint falls into each hour, so the program cannot have run on for more than one after the newest. A
        register that says otherwise is wrong: then as much may have been turned as the hour had room for, and ticks go
        on behind all of it. Where the newest checkpoint may be lost there is nothing to hold the register against.
        Starts that power has cut short leave it some seconds behind what they wrote.
        """
        latched_ms = self.pins.crystal.latched_ms()
        believed = _Register(latched_ms, latched_ms + MS_PER_S - 1, credible=True)
        if self.report.checkpoint_lost or self.report.checkpoint_doubted or not checkpoint.tick_ms:
            return believed
        next_ms = (checkpoint.tick_ms // CHECKPOINT_MS + 1) * CHECKPOINT_MS
        newest_ms = max(checkpoint.tick_ms, log.newest_tick_ms)
        if newest_ms - STARTS_CUT_SHORT_MS <= latched_ms < next_ms + CHECKPOINT_MS:
            return believed._replace(latest_cut_ms=min(believed.latest_cut_ms, next_ms + MS_PER_S - 1))
        return _Register(next_ms, next_ms + MS_PER_S - 1, credible=False)

    def _latest_ms(self, checkpoint: Checkpoint, log: EventLog) -> int:
        """The last tick of which anything tells; nothing can have begun after it, and the crystal is behind no more."""
        return max(self.pins.crystal.latched_ms() + MS_PER_S, checkpoint.tick_ms, log.newest_tick_ms)

    def _records(self, checkpoint: Checkpoint) -> Records:
        model = self.model
        identity = self._load(Region.IDENTITY, Identity.unpack, Identity())
        if Region.IDENTITY in self.corrupt:
            identity = _drawn_identity(self.pins)
        log = EventLog(self.memory, chain_key=identity.chain_key, epoch=identity.epoch)
        latest_ms = self._latest_ms(checkpoint, log)
        latest_expiry_ms = latest_ms + model.max_stop_s * MS_PER_S
        records = Records(
            self.memory,
            log,
            identity=identity,
            therapy=self._load(
                Region.THERAPY,
                TherapyRecord.unpack,
                TherapyRecord(state=State.RUN),
                lambda found: (
                    _at_most(found.stopped_at_ms, latest_ms)
                    and _at_most(found.stop_expires_ms, latest_expiry_ms)
                    and found.boot_count < U32_MAX
                    and found.program_rev < U32_MAX
                    and max(found.main_log_seq, found.security_log_seq) <= ENTRIES_OF_A_LIFE_MAX
                ),
            ),
            program=self._load(
                Region.PROGRAM,
                Program.unpack,
                None,
                lambda found: found is None or boluses_can_be(found.header, model.stroke_nl),
            ),
            reservoir=self._load(
                Region.RESERVOIR,
                lambda data: ReservoirBelief.unpack(data, model.stroke_nl),
                ReservoirBelief(model.stroke_nl),
            ),
            ledger=self._load(Region.LEDGER, Ledger.unpack, Ledger()),
            alarms=self._load(
                Region.ALARMS,
                Alarms.unpack,
                Alarms(),
                lambda found: all(each.on_ms <= latest_ms for each in found.occurrences.values()),
            ),
            window=self._load(
                Region.BOLUS_WINDOW,
                BolusWindow.unpack,
                BolusWindow(),
                lambda found: all(each.end_ms <= latest_ms for each in found.ended),
            ),
            wall_clock=self._load(Region.WALL_CLOCK, WallClock.unpack, WallClock()),
            service=self._load(
                Region.SERVICE,
                lambda data: ServiceLife.unpack(data, model.service_life_months, model.eri_to_eos_days),
                _service_of(model),
            ),
            day=self._load(
                Region.DAY, DayTotal.unpack, DayTotal(), lambda found: found.since_ms <= latest_ms
            ),
            settings=self._load(Region.SETTINGS, Settings.unpack, Settings()),
            texts=self._load(Region.TEXTS, Texts.unpack, Texts()),
            keys=self._keys(),
            patient=self._load(
                Region.PATIENT,
                PatientRequests.unpack,
                PatientRequests(),
                lambda found: max(found.ticks_ms, default=0) <= latest_ms,
            ),
            periodic=self._load(
                Region.PERIODIC,
                PeriodicSeries.unpack,
                PeriodicSeries(),
                lambda found: _at_most(found.next_start_ms, latest_ms + U32_MAX * MS_PER_S),
            ),
        )
        records.reservoir.belief_nl = checkpoint.belief_nl
        log.go_on_behind(records.therapy.main_log_seq, records.therapy.security_log_seq)
        self._rename(records)
        self._doubt(records, checkpoint)
        return records

    def _keys(self) -> KeyRing:
        """The paired keys, from the record or its copy; with both damaged nobody is paired, and the card is left."""
        root_key, card_key = self.pins.entropy.root_key(), self.profile.card_key
        nobody = KeyRing(root_key, card_key)

        def unpack(data: bytes) -> KeyRing:
            return KeyRing.unpack(data, root_key, card_key)

        found = [self._load(region, unpack, nobody) for region in (Region.KEYS, Region.KEYS_COPY)]
        return next((ring for ring in found if ring is not nobody), nobody)

    def _rename(self, records: Records) -> None:
        """Give a memory that has forgotten a new id: nobody may take "never received" from it [SPEC 9]."""
        if self.memory_id is not None:
            records.identity.memory_id = self.memory_id
        elif Region.LEDGER in self.corrupt or records.log.is_empty:
            records.identity.memory_id = _drawn_identity(self.pins).memory_id
        else:
            return
        records.mark_dirty(Region.IDENTITY)

    def _doubt(self, records: Records, checkpoint: Checkpoint) -> None:
        """Mend or mark as corrupt what only a comparison of records shows to be wrong."""
        if Region.ALARMS not in self.corrupt and are_older_than_log(records.alarms, records.log):
            self.corrupt.add(Region.ALARMS)
        if Region.ALARMS in self.corrupt:
            records.alarms = alarms_of(records.log)
        if Region.SERVICE in self.corrupt:
            records.service.eri_ms = records.alarms.began_ms(AlarmId.ERI)
            records.service.eos_ms = records.alarms.began_ms(AlarmId.EOS)
        if Region.ALARMS not in self.corrupt:  # a checkpoint that is older than the alarm knows less
            checkpoint.detector.stalled = records.alarms.is_active(AlarmId.MOTOR_STALL)
        if Region.THERAPY in self.corrupt:
            if records.service.phase is BatteryPhase.EOS:
                records.therapy.state, records.therapy.reason = State.EOS, StateReason.EOS
            elif records.program is None and Region.PROGRAM not in self.corrupt:
                records.therapy.state = State.STOP  # never programmed: no rate is safe
            self._go_on_counting(records, checkpoint)
        elif checkpoint.status_rev != records.therapy.status_rev:
            # the checkpoint of the last commit is lost; an older one may not know of a refill
            self.corrupt.add(Region.RESERVOIR)

    @staticmethod
    def _go_on_counting(records: Records, checkpoint: Checkpoint) -> None:
        """Put back the numbers that must never begin anew, from what else knows them."""
        log, therapy = records.log, records.therapy
        therapy.program_rev = log.number_told(LogType.PROGRAM_COMMIT, attrgetter("program_rev"))
        therapy.boot_count = log.number_told(LogType.BOOT, attrgetter("boot_count"))
        therapy.status_rev = checkpoint.status_rev

    def _count_day(self, records: Records, counters: Counters) -> None:
        """Go on with the day that was under way; one that cannot be read begins now."""
        if Region.DAY in self.corrupt:
            records.day = DayTotal.beginning(
                records.tick_ms, counters, records.therapy.state, records.wall_clock
            )
        records.day.follow(counters)

    # Repairing

    def _announce(self, records: Records, uncertain_nl: int) -> None:
        """Log the restart, and that the wall clock stood still for an unknown time."""
        therapy = records.therapy
        if records.log.is_empty:
            records.identity.epoch = records.identity.epoch + 1 & 0xFFFF or 1
            records.begin_epoch()
            records.mark_dirty(Region.IDENTITY)
        therapy.boot_count += 1
        bitten = self.pins.processor.reset_cause() is ResetCause.WATCHDOG
        cause = BootCause.WATCHDOG if bitten else BootCause.POWER
        records.enter(LogType.BOOT, BootData(cause, therapy.boot_count))
        if bitten:
            records.enter(LogType.WATCHDOG)
        records.enter(LogType.RESET_BROWNOUT, ResetBrownoutData(uncertain_nl))
        _tell_firmware(records, self.model)
        records.raise_alarm(AlarmId.RESET, therapy.boot_count)
        last_wall_s = records.wall_clock.wall_s(records.tick_ms)
        if records.wall_clock.lose_power():
            records.enter(LogType.WALL_INVALID, WallInvalidData(last_wall_s))
            records.raise_alarm(AlarmId.WALL_INVALID)
            records.mark_dirty(Region.WALL_CLOCK)
        records.day.flags |= DayFlag.WALL_INVALID
        records.mark_dirty(Region.THERAPY, Region.DAY)

    def _close_deliveries(self, therapy: Therapy, open_then: Deliveries, latest_cut_ms: int) -> None:
        """Close what was open, from the newest checkpoint that is left."""
        for key_id, entry in therapy.records.ledger.open_entries():
            delivery = open_then.of_command(key_id, entry.cmd_id)
            if delivery is not None:
                end = self._end_after_cut(delivery, latest_cut_ms)
            else:
                end = self._end_without_checkpoint(entry.requested_nl)
            row = source_of_command(entry.op)
            therapy.close_delivery(row, key_id, entry.cmd_id, entry.requested_nl, end)
        ledger_lost = Region.LEDGER in self.corrupt
        for delivery in open_then.on_top:
            row = SOURCES[delivery.source]
            if row.opcode is None or ledger_lost:  # the ledger does not know it
                end = self._end_after_cut(delivery, latest_cut_ms)
                therapy.close_delivery(row, delivery.key_id, delivery.cmd_id, delivery.volume_nl, end)
        window = therapy.records.window
        if window.running_nl:  # of a delivery that neither the ledger nor the checkpoint knows any more
            window.end(therapy.records.tick_ms, window.running_nl, window.running_nl)
            therapy.records.mark_dirty(Region.BOLUS_WINDOW)

    def _end_after_cut(self, delivery: Delivery, latest_cut_ms: int) -> BolusEnd:
        """What became of a delivery that the checkpoint knows.

        If a newer checkpoint was damaged, the stroke that it was written for may have turned, and one more after it.
        One that the loss of power has torn looks the same: the second stroke counts only if it was due by then.
        """
        end = delivery.end_after_cut(latest_cut_ms)
        if not self.report.checkpoint_doubted:
            return end
        unsaved = min(delivery.strokes_due(latest_cut_ms), UNSAVED_STROKES_MAX)
        return end._replace(uncertain_nl=max(end.uncertain_nl, unsaved * self.model.stroke_nl))

    def _end_without_checkpoint(self, requested_nl: int) -> BolusEnd:
        """What became of a delivery that no checkpoint knows.

        Where one is left, it is the one before the start, and the damaged one that of the start: the checkpoint of the
        first stroke would have replaced it. Without any, all that was asked for is uncertain.
        """
        doubted = self.report.checkpoint_doubted and not self.report.checkpoint_lost
        uncertain_nl = min(requested_nl, self.model.stroke_nl) if doubted else requested_nl
        return BolusEnd(Outcome.PARTIAL, BolusEndReason.POWER, 0, uncertain_nl)


def _at_most(tick_ms: int | None, latest_ms: int) -> bool:
    """Whether a moment can be; one that there is not can."""
    return tick_ms is None or tick_ms <= latest_ms
