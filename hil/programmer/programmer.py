"""The programmer: what a clinician's device does with a pump, blocking, one method a command.

Open it with `with`: it takes its state file's lock, opens a session, and finds out what became of any command that an
earlier programmer left unresolved. How one asks is `requester`'s, what must not happen twice `command_ledger`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar, Unpack

from hil.errors import DeviceError, OutcomeUnknown, PumpbenchError, UsageError
from hil.outcome_store import OutcomeStore
from hil.programmer.client_session import ClientSession
from hil.programmer.command_ledger import NO_CMD_ID, CommandLedger
from hil.programmer.configuration import ConfigValue, decoded_value, encoded_value
from hil.programmer.encoding import NOTHING_SENT, encoded, expect, shown, with_plain_numbers
from hil.programmer.entropy import SystemEntropy
from hil.programmer.log_reading import OLDEST, LogHistory, LogReader
from hil.programmer.pairing import Pairing
from hil.programmer.program_writing import ProgramWriting
from hil.programmer.requester import PATIENCE_MS, Requester
from hil.programmer.staging import chosen_by, flex_draft, minimum_rate_draft, simple_draft
from hil.programmer.turn import in_turn
from hil.wire_log import WireLog
from protocol.codec.layouts import decode
from protocol.identifiers import (
    AlarmClass,
    AlarmId,
    BolusKind,
    ConfigId,
    EventFlag,
    OnExpiry,
    ProgramSlot,
    RefillFlag,
    Role,
    SelfTestFault,
    StopReason,
    TimeSetReason,
)
from protocol.link.development_keys import DeviceKey, development_key
from protocol.log.types import LogName
from protocol.messages.alarms import AlarmAck, AlarmAckReply, AlarmTest, GetAlarms, GetAlarmsReply
from protocol.messages.bolus import (
    BolusCancel,
    BolusCancelReply,
    BolusCommit,
    BolusCommitReply,
    BolusPrepare,
    BolusPrepareReply,
    PatientBolus,
    PatientBolusReply,
    Prime,
    PrimeReply,
)
from protocol.messages.configuration import ConfigRead, ConfigWrite
from protocol.messages.conversation import (
    EndSession,
    EventHint,
    GetLinkStats,
    GetLinkStatsReply,
    Ping,
    SelfTest,
    Subscribe,
)
from protocol.messages.ledger import OWN_KEY, QueryCmdReply, VoidCmdReply
from protocol.messages.log import LogStatus, LogStatusReply
from protocol.messages.program import (
    GetProgram,
    GetProgramReply,
    ProgAbort,
    ProgCommitReply,
    Segment,
)
from protocol.messages.reading import (
    GetDelivery,
    GetDeliveryReply,
    GetInfo,
    GetInfoReply,
    GetLimits,
    GetLimitsReply,
    GetStatus,
    GetStatusReply,
)
from protocol.messages.reservoir import GetReservoir, GetReservoirReply, Refill, RefillReply
from protocol.messages.stop import Resume, ResumeReply, Stop, StopReply
from protocol.messages.time import GetTime, GetTimeReply, TimeSet, TimeSetReply

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hil.channel import Channel
    from hil.programmer.command_ledger import Executed
    from hil.programmer.entropy import Entropy
    from hil.programmer.expected_pump import ExpectedPump
    from hil.programmer.log_reading import Progress
    from hil.programmer.staging import DayGroup, ProgramOptions, StagedProgram
    from hil.programs.infusion_program import InfusionProgram
    from protocol.messages.command import Request
    from protocol.messages.keys import KeyRow
    from protocol.messages.program import ProgramHeader, Segment

Reply = TypeVar("Reply")

U32 = 0xFFFF_FFFF
ACTIVE_BOLUS = 0  # in place of a command id
NOT_READ = 0  # in place of what is read from the pump later, while the rest of a request is looked at
DEFAULT_MAX_STOP_S = 172_800  # 48 h [SPEC 6]
ALL_EVENTS = sum(EventFlag)


@dataclass(frozen=True, slots=True)
class PreparedBolus:
    """What was asked for and what the pump would deliver; its token lives 10 s."""

    kind: BolusKind
    volume_nl: int
    duration_s: int
    program_rev: int
    announced: BolusPrepareReply


class Programmer:
    """One programmer, one key, one channel, at most one session. The channel stays its owner's to close.

    Threads take turns with it: a call waits for that of another thread. In a fork it is refused with UsageError.
    """

    def __init__(
        self,
        channel: Channel,
        *,
        key: DeviceKey | None = None,
        store: OutcomeStore | None = None,
        entropy: Entropy | None = None,
        secured: bool = True,
        patience_ms: int = PATIENCE_MS,
        expected_pump: ExpectedPump | None = None,
    ) -> None:
        self.key = key or development_key(Role.CLINICIAN)
        self.store = OutcomeStore() if store is None else store
        self.wire_log = WireLog()
        self.session = ClientSession(
            channel, self.key, entropy or SystemEntropy(), secured=secured, wire_log=self.wire_log
        )
        self.requester = Requester(self.session, patience_ms=patience_ms, expected_pump=expected_pump)
        self.ledger = CommandLedger(self.requester, self.store)
        self.turn = self.ledger.turn
        self._pairing = Pairing(self.requester, self.ledger)
        self._programs = ProgramWriting(self)
        self.notices = self.ledger.notices
        self.found_out = self.ledger.found_out

    @in_turn
    def connect(self) -> None:
        """Open the store and a session, look whether the memory is what it was, and resolve what is open.

        As far as that can be done: what cannot be stands in `notices`, and reading is allowed all the same.
        """
        self.store.open()
        deadline = self.requester.deadline()
        self.requester.ensure_session(deadline)
        if not self.store.is_empty():  # who only reads must hear of a lost memory too
            try:
                self.ledger.resolve(deadline)
            except OutcomeUnknown as error:
                self.notices.append(str(error))

    def close(self) -> None:
        """End the session and give the state file back."""
        try:
            self.end_session()
        finally:
            self.store.close()

    @in_turn
    def end_session(self) -> None:
        """Close the session. If the answer gets lost it counts as closed all the same [SPEC 4]."""
        if not self.session.is_open:
            return
        try:
            self.requester.request_once(EndSession())
        except PumpbenchError:
            pass  # whatever went wrong here, nothing hangs on it, and what was done before must be told
        finally:
            self.session.forget_session()

    def __enter__(self) -> Self:
        try:
            self.connect()
        except BaseException:
            self.store.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def request(self, message: Request[Reply]) -> Reply:
        """Ask anything that may be asked again; returns the reply. Errors as in `CommandLedger.request`."""
        return self.ledger.request(message)

    # What may be read. Reading changes nothing and may be asked again at will.

    def status(self) -> GetStatusReply:
        """What the pump believes and does; hints that came before it say nothing more."""
        seen = self.request(GetStatus())
        self.session.drop_hints()
        return seen

    def info(self) -> GetInfoReply:
        """Which pump this is, and whether it is a real one."""
        return self.request(GetInfo())

    def limits(self) -> GetLimitsReply:
        """What it refuses to exceed."""
        return self.request(GetLimits())

    def time(self) -> GetTimeReply:
        """Both its clocks."""
        client_ms = self.session.now_ms() & U32
        return self.request(GetTime(client_ms))

    @with_plain_numbers
    def program(self, slot: ProgramSlot = ProgramSlot.ACTIVE) -> GetProgramReply:
        """The active or the staged program with all of its segments."""
        program = self.request(GetProgram(slot, 0))
        segments = program.segments
        while len(segments) < program.header.n_segments:
            more = self.request(GetProgram(slot, len(segments)))
            if more.crc != program.crc or not more.segments:
                return self.program(slot)  # it was replaced while we read: the new one, from its start
            segments += more.segments
        return program._replace(segments=segments)

    def delivery(self) -> GetDeliveryReply:
        """What it has delivered since it was made, by source."""
        return self.request(GetDelivery())

    def alarms(self) -> GetAlarmsReply:
        """Each alarm that is active, latched or silenced."""
        return self.request(GetAlarms())

    def reservoir(self) -> GetReservoirReply:
        """The calculated reservoir, and when it will be low and empty."""
        return self.request(GetReservoir())

    def link_stats(self, *, clear: bool = False) -> GetLinkStatsReply:
        """What its link has seen go wrong."""
        return self.request(GetLinkStats(clear))

    @with_plain_numbers
    def read_log(
        self, log: LogName = LogName.MAIN, *, from_seq: int = OLDEST, type_filter: int = 0
    ) -> LogHistory:
        """The log from an entry on (0: the oldest), whole; DeviceError if entries are missing that should be there."""
        return self.log(log, from_seq=from_seq, type_filter=type_filter).history()

    @with_plain_numbers
    def log(
        self,
        log: LogName = LogName.MAIN,
        *,
        from_seq: int = OLDEST,
        type_filter: int = 0,
        progress: Progress | None = None,
    ) -> LogReader:
        """The log from an entry on, one by one; what is lost is a value of its own, and a LinkError is not the end."""
        return LogReader(self.request, log, from_seq, type_filter, progress=progress)

    @with_plain_numbers
    def log_status(self, log: LogName = LogName.MAIN) -> LogStatusReply:
        """What a log holds, by the pump's own check of its chain."""
        return self.request(LogStatus(log))

    @with_plain_numbers
    def subscribe(self, mask: int = ALL_EVENTS) -> None:
        """Be told of these changes (bits of EventFlag; 0: none) for as long as this session lasts; see `next_hint`."""
        wanted = expect("mask", mask, int, "bits of EventFlag")
        self.request(Subscribe(EventFlag(wanted)))

    @with_plain_numbers
    def next_hint(self, wait_ms: int = 0) -> EventHint | None:
        """The next hint that something has changed; None where none comes in time. Ask `status` what it was."""
        payload = self.session.next_hint(expect("wait_ms", wait_ms, int, "a number of ms"))
        return None if payload is None else decode(EventHint, payload, allow_tail=True)

    def test_alarm(self, alarm_class: AlarmClass) -> None:
        """Let the tone of a class be heard once."""
        self.request(AlarmTest(alarm_class))

    def self_test(self) -> SelfTestFault:
        """Have the stopped pump test itself; returns what it found wrong, 0 for nothing."""
        return self.request(SelfTest()).failed

    def ping(self) -> None:
        """Ask whether somebody is there; LinkError if not."""
        self.request(Ping())

    # What the clinic sets, and who is paired. Absolute: done twice is done once.

    def configuration(self, config_id: ConfigId) -> ConfigValue:
        """One item as it holds: a text, a number in the unit of its name, or whether."""
        return decoded_value(config_id, self.request(ConfigRead(config_id)).value)

    @with_plain_numbers
    def configure(self, config_id: ConfigId, value: ConfigValue) -> None:
        """Set one item. DeviceRefused, with the nearest value that is taken, where the pump does not take it."""
        self.request(ConfigWrite(config_id, encoded_value(config_id, value)))

    def paired_keys(self) -> tuple[KeyRow, ...]:
        """Who is paired, without the keys. This and the next two need a magnet over the pump [SPEC 11]."""
        return self._pairing.paired_keys()

    def pair(self, key: DeviceKey) -> None:
        """Pair another programmer's key. DeviceRefused where the pump does not take it."""
        self._pairing.pair(expect("key", key, DeviceKey, "a DeviceKey"))

    @with_plain_numbers
    def revoke(self, key_id: int) -> None:
        """Forget a key at once; DeviceRefused for the last clinician's."""
        self._pairing.revoke(key_id)

    # What became of a command.

    @with_plain_numbers
    def query(self, cmd_id: int, key_id: int = OWN_KEY) -> QueryCmdReply:
        """What the pump's ledger says of a command; an own one is filed. OutcomeUnknown if it cannot be believed."""
        return self.ledger.query(cmd_id, key_id)

    @with_plain_numbers
    def void(self, cmd_id: int) -> VoidCmdReply:
        """Make sure that a command which never arrived never will be carried out. OutcomeUnknown as in `query`."""
        return self.ledger.void(cmd_id)

    # Programs: staged, read back as the pump reads them, and committed in one stroke.

    @in_turn
    def stage_program(
        self, header: ProgramHeader, segments: Sequence[Segment], *, base_rev: int | None = None
    ) -> StagedProgram:
        """Stage a program and let the pump read it back; ProgramRefused if it would not run it."""
        return self._programs.stage(header, segments, base_rev)

    @with_plain_numbers
    def stage_simple_program(self, dose_ng_per_day: int, **options: Unpack[ProgramOptions]) -> StagedProgram:
        """Stage simple continuous infusion of a dose; what else a program may have: `staging.ProgramOptions`."""
        return self._programs.stage_draft(simple_draft(dose_ng_per_day), chosen_by(options))

    @with_plain_numbers
    def stage_minimum_rate_program(self, **options: Unpack[ProgramOptions]) -> StagedProgram:
        """Stage the pump's own lowest rate, which keeps its path open."""
        return self._programs.stage_draft(minimum_rate_draft(self.limits), chosen_by(options))

    @with_plain_numbers
    def stage_flex_program(
        self, groups: Sequence[DayGroup], **options: Unpack[ProgramOptions]
    ) -> StagedProgram:
        """Stage infusion by the time of day."""
        return self._programs.stage_draft(flex_draft(groups), chosen_by(options))

    def commit_program(self, staged: StagedProgram, *, start: bool = True) -> Executed[ProgCommitReply]:
        """Make the staged program the active one, in one stroke. CommandRefused if the pump has another by now."""
        return self._programs.commit(staged, start=start)

    @with_plain_numbers
    @in_turn
    def set_simple_program(
        self, dose_ng_per_day: int, *, start: bool = True, **options: Unpack[ProgramOptions]
    ) -> Executed[ProgCommitReply]:
        """Stage, verify and commit simple continuous infusion of a dose; staged again if the commit never arrived.

        `options`: `staging.ProgramOptions`. Without `start` the pump's state stays as it is.
        """
        return self._programs.set(lambda: self.stage_simple_program(dose_ng_per_day, **options), start=start)

    @with_plain_numbers
    @in_turn
    def set_flex_program(
        self, groups: Sequence[DayGroup], *, start: bool = True, **options: Unpack[ProgramOptions]
    ) -> Executed[ProgCommitReply]:
        """Stage, verify and commit infusion by the time of day, as `set_simple_program` does; the clock must be set."""
        return self._programs.set(lambda: self.stage_flex_program(groups, **options), start=start)

    @with_plain_numbers
    @in_turn
    def set_minimum_rate_program(
        self, *, start: bool = True, **options: Unpack[ProgramOptions]
    ) -> Executed[ProgCommitReply]:
        """Stage, verify and commit the pump's own lowest rate, as `set_simple_program` does."""
        return self._programs.set(lambda: self.stage_minimum_rate_program(**options), start=start)

    @in_turn
    def write_program(
        self, program: InfusionProgram, *, start: bool = True, base_rev: int | None = None
    ) -> Executed[ProgCommitReply]:
        """Check, stage, verify and commit a program of any mode, as `set_simple_program` does.

        UsageError, before it is staged, where it is known here already that this pump cannot run it.
        """
        return self._programs.write(program, start=start, base_rev=base_rev)

    def abort_program(self) -> None:
        """Throw the staged program away."""
        self.request(ProgAbort())

    # Therapy. A bolus is PREPARE, then COMMIT of exactly what the pump announced. STOP and CANCEL are sent again until
    # they have acted: doing them twice is doing them once.

    @with_plain_numbers
    def prepare_bolus(
        self, volume_nl: int, duration_s: int, *, program_rev: int | None = None
    ) -> PreparedBolus:
        """Ask whether a bolus would be accepted; DeviceRefused tells the nearest that would."""
        return self._prepare(BolusKind.BOLUS, volume_nl, duration_s, program_rev)

    def _prepare(
        self, kind: BolusKind, volume_nl: int, duration_s: int, program_rev: int | None
    ) -> PreparedBolus:
        rev = NOT_READ if program_rev is None else program_rev
        wanted = BolusPrepare(kind, volume_nl, duration_s, rev)
        encoded(wanted)
        if program_rev is None:
            wanted = wanted._replace(program_rev=self.status().program_rev)
        announced = self.request(wanted)
        if not 0 < announced.quantised_nl <= volume_nl:
            raise DeviceError(
                f"the pump announced {announced.quantised_nl} nL for a {kind.name.lower()} of {volume_nl} nL",
                advice="do not commit it; check its firmware",
            )
        return PreparedBolus(kind, volume_nl, duration_s, wanted.program_rev, announced)

    def commit_bolus(self, prepared: PreparedBolus) -> Executed[BolusCommitReply]:
        """Deliver what was prepared: the volume that the pump announced, once or not at all."""
        expect("prepared", prepared, PreparedBolus, "what prepare_bolus returned")
        return self._commit_prepared(BolusCommit, prepared)

    def _commit_prepared(
        self, command: Callable[[int, int, int, int, int], Request[Reply]], prepared: PreparedBolus
    ) -> Executed[Reply]:
        volume_nl = prepared.announced.quantised_nl
        return self.ledger.execute(
            lambda cmd_id: command(
                cmd_id, volume_nl, prepared.duration_s, prepared.announced.token, prepared.program_rev
            ),
            volume_nl=volume_nl,
            resend=False,  # its token died with the session; asking a human again is right
        )

    @with_plain_numbers
    @in_turn
    def bolus(self, volume_nl: int, duration_s: int) -> Executed[BolusCommitReply]:
        """PREPARE, then COMMIT."""
        return self.commit_bolus(self.prepare_bolus(volume_nl, duration_s))

    @in_turn
    def patient_bolus(self) -> Executed[PatientBolusReply]:
        """Ask once, as the patient, for the program's bolus; a denial is outcome REFUSED, and its reply says why."""
        allowed = self.program().header.patient
        return self.ledger.execute(PatientBolus, volume_nl=allowed.volume_nl, resend=False)

    @with_plain_numbers
    def prepare_prime(
        self, volume_nl: int, duration_s: int, *, program_rev: int | None = None
    ) -> PreparedBolus:
        """Ask whether a prime would be accepted; how much of tubing and catheter to fill is the caller's to know."""
        return self._prepare(BolusKind.PRIME, volume_nl, duration_s, program_rev)

    def commit_prime(self, prepared: PreparedBolus) -> Executed[PrimeReply]:
        """Prime with what was prepared: the volume that the pump announced, once or not at all."""
        return self._commit_prepared(Prime, prepared)

    @with_plain_numbers
    def prime(self, volume_nl: int, duration_s: int) -> Executed[PrimeReply]:
        """PREPARE, then PRIME."""
        return self.commit_prime(self.prepare_prime(volume_nl, duration_s))

    @with_plain_numbers
    def cancel_bolus(self, target_cmd_id: int = ACTIVE_BOLUS) -> Executed[BolusCancelReply]:
        """End a bolus now: the active one, unless one of this key is named."""
        return self.ledger.execute(lambda cmd_id: BolusCancel(cmd_id, target_cmd_id, self.key.key_id))

    @with_plain_numbers
    def stop(
        self,
        max_stop_s: int = DEFAULT_MAX_STOP_S,
        *,
        reason: StopReason = StopReason.CLINICAL,
        on_expiry: OnExpiry = OnExpiry.ALARM_ONLY,
    ) -> Executed[StopReply]:
        """Stop all delivery. Allowed while another outcome is unknown; sent again until it has acted."""
        return self.ledger.execute(lambda cmd_id: Stop(cmd_id, max_stop_s, reason, on_expiry))

    @with_plain_numbers
    def resume(self, *, program_rev: int | None = None) -> Executed[ResumeReply]:
        """Start the active program again."""
        rev = self.status().program_rev if program_rev is None else program_rev
        return self.ledger.execute(lambda cmd_id: Resume(cmd_id, rev))

    @with_plain_numbers
    def refill(
        self,
        filled_nl: int,
        *,
        aspirated_nl: int,
        concentration_ng_per_ml: int | None = None,
        drug_id: int | None = None,
        low_alarm_nl: int | None = None,
        rinsed_twice: bool = False,
        staged_crc: int = 0,
    ) -> Executed[RefillReply]:
        """Tell the pump what the syringe did. What is not named stays as it is; `filled_nl` is the whole content."""
        if type(rinsed_twice) is not bool:
            raise UsageError(
                f"REFILL cannot be sent: rinsed_twice is {shown(rinsed_twice)}, not True or False",
                advice=NOTHING_SENT,
            )
        named = Refill(
            NO_CMD_ID,
            aspirated_nl,
            filled_nl,
            NOT_READ if drug_id is None else drug_id,
            RefillFlag.RINSED_TWICE if rinsed_twice else RefillFlag(0),
            NOT_READ if concentration_ng_per_ml is None else concentration_ng_per_ml,
            NOT_READ if low_alarm_nl is None else low_alarm_nl,
            staged_crc,
        )
        encoded(named)
        concentration, drug = self._programs.drug_or_active(concentration_ng_per_ml, drug_id)
        alarm_nl = self.reservoir().low_alarm_nl if low_alarm_nl is None else low_alarm_nl
        wanted = named._replace(drug_id=drug, concentration_ng_per_ml=concentration, low_alarm_nl=alarm_nl)
        return self.ledger.execute(
            lambda cmd_id: wanted._replace(cmd_id=cmd_id),
            volume_nl=filled_nl,
            resend=not staged_crc,
        )

    def refill_with_program(
        self,
        staged: StagedProgram,
        filled_nl: int,
        *,
        aspirated_nl: int,
        low_alarm_nl: int | None = None,
        rinsed_twice: bool = False,
    ) -> Executed[RefillReply]:
        """Fill with another drug, and commit its staged program in the same stroke; the rest as `refill`."""
        return self.refill(
            filled_nl,
            aspirated_nl=aspirated_nl,
            concentration_ng_per_ml=staged.header.concentration_ng_per_ml,
            drug_id=staged.header.drug_id,
            low_alarm_nl=low_alarm_nl,
            rinsed_twice=rinsed_twice,
            staged_crc=staged.crc,
        )

    @with_plain_numbers
    def set_time(
        self,
        wall_s: int,
        tz_minutes: int,
        *,
        reason: TimeSetReason = TimeSetReason.DRIFT,
        confirm: bool = False,
    ) -> Executed[TimeSetReply]:
        """Set the wall clock (seconds since 2000-01-01 UTC). More than 120 s needs `confirm`."""
        return self.ledger.execute(
            lambda cmd_id: TimeSet(cmd_id, wall_s, tz_minutes, reason, confirm),
        )

    @with_plain_numbers
    def acknowledge_alarm(self, alarm_id: AlarmId, on_seq: int | None = None) -> AlarmAckReply:
        """Acknowledge an occurrence of an alarm: the one that is listed now, unless named."""
        encoded(AlarmAck(alarm_id, NOT_READ if on_seq is None else on_seq))
        if on_seq is None:
            rows = [row for row in self.alarms().alarms if row.alarm_id == alarm_id]
            if not rows:
                raise UsageError(
                    f"the alarm {AlarmId(alarm_id).name} is not there to be acknowledged",
                    advice="read the alarms",
                )
            on_seq = rows[0].on_seq
        return self.request(AlarmAck(alarm_id, on_seq))
