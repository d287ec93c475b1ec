"""A programmer's end of the link beside a pump in the same process: steps, sessions, requests; and pumps to talk to.

It keeps the trace and the memory writes of every step, so that two courses of events can be compared. It repeats
nothing by itself: a power cut leaves a request unanswered, and the test decides what happens then.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from firmware_emu.now import Now
from firmware_emu.profile import Implant, PairedKey, Profile, PumpModel
from firmware_emu.pump import Pump
from hil.campaign.exchange import exchange
from protocol.codec.layouts import decode, encode
from protocol.identifiers import BolusKind, ErrorCode, InfusionMode, ProgramFlag, Role
from protocol.link.client_end import ClientEnd, Phase
from protocol.link.development_keys import DEVELOPMENT_CARD, DEVELOPMENT_KEYS, development_key
from protocol.link.events import Hint, Refusal, Response
from protocol.log.entry import LogEntry
from protocol.log.types import LogName
from protocol.messages.bolus import BolusCommit, BolusPrepare, Prime
from protocol.messages.errors import ErrorReply
from protocol.messages.log import LogRead
from protocol.messages.program import (
    SEGMENTS_PER_WRITE_MAX,
    BridgeBlock,
    Group,
    ProgBegin,
    ProgramHeader,
    ProgVerify,
    ProgVerifyReply,
    ProgWrite,
    Segment,
    padded_groups,
)
from protocol.registry import command_of

if TYPE_CHECKING:
    from firmware_emu.events import TraceEntry
    from firmware_emu.trace import Step

KEYS = tuple(PairedKey(key.key_id, key.role, key.key, key.development) for key in DEVELOPMENT_KEYS)
SEED = b"simulation"
MARCH_2_S = 825_760_800  # 2026-03-02 10:00 UTC, in seconds since 2000-01-01
LOG_READ_MAX = 6


def profile_of(
    *, implant: Implant | None = None, wall_at_start_s: int | None = None, **model: Any
) -> Profile:
    """An implanted pump of this model; `implant` says otherwise what was filled and prescribed."""
    return Profile(
        model=replace(PumpModel(), **model),
        keys=KEYS,
        card_key=DEVELOPMENT_CARD,
        implant=implant or Implant(),
        wall_at_start_s=wall_at_start_s,
    )


def factory_profile(**model: Any) -> Profile:
    """A pump as it left the factory."""
    return Profile(
        name="factory",
        model=replace(PumpModel(), **model),
        keys=KEYS,
        card_key=DEVELOPMENT_CARD,
        implant=None,
    )


class Counting:
    """A random source for a client: never the same twice, the same in every run."""

    def __init__(self) -> None:
        self.drawn = 0

    def draw(self, length: int) -> bytes:
        self.drawn += 1
        return self.drawn.to_bytes(length, "big")


class Conversation:
    """One client and its pump; the line's time is the pump's."""

    def __init__(self, pump: Pump, role: Role = Role.CLINICIAN) -> None:
        self.pump = pump
        self.trace: list[TraceEntry] = []
        self.writes: list[tuple[int, bytes]] = []
        self.key = development_key(role)
        self.entropy = Counting()
        self.client = self._new_client()
        self._unknown_session = False

    def _new_client(self) -> ClientEnd:
        return ClientEnd(key=self.key, entropy=self.entropy, secured=True)

    @classmethod
    def with_new_pump(cls, profile: Profile | None = None, seed: bytes = SEED) -> Conversation:
        """A conversation with a pump at time 0."""
        return cls(Pump.new(profile or profile_of(), seed))

    def fork(self) -> Self:
        """The same conversation, with a future of its own; what was written and traced so far is not copied deeply."""
        known = {
            id(self.pump): self.pump.fork(),
            id(self.trace): [*self.trace],
            id(self.writes): [*self.writes],
        }
        return copy.deepcopy(self, known)

    # Time

    @property
    def now_ms(self) -> int:
        return self.pump.now_ms

    def wait_until(self, now_ms: int) -> Step:
        """Let the pump run."""
        return self._kept(self.pump.step(Now.both(now_ms)))

    def wait(self, ms: int) -> Step:
        """Let the pump run for so long."""
        return self.wait_until(self.now_ms + ms)

    def _kept(self, step: Step) -> Step:
        self.trace += step.trace
        self.writes += step.writes
        return step

    # Sessions and requests

    def open(self) -> None:
        """Open a session; what was on its way is given up. Power may go meanwhile, so it is tried twice."""
        for _ in range(2):
            self.client.open(self.now_ms)
            self._exchange()
            if self.client.phase is Phase.OPEN:
                return
        raise AssertionError("the pump opened no session")

    def ask(self, message: object) -> Any:
        """The answer to a request: its reply, an ErrorReply, or None where none came."""
        command = command_of(type(message))
        answer = self.raw(command.opcode, encode(message))
        if isinstance(answer, Refusal):
            return answer.error
        return None if answer is None else decode(command.response, answer.payload)

    def raw(self, opcode: int, payload: bytes) -> Response | Refusal | None:
        """The answer to a request of any bytes.

        A session is opened where there is none, or where the pump says that it knows it no more.
        """
        if self.client.phase is not Phase.OPEN:
            self.open()
        answer = self._requested(opcode, payload)
        if answer is None and self._unknown_session:
            self.open()
            answer = self._requested(opcode, payload)
        if answer is None:
            self.client = self._new_client()
        return answer

    def granted(self, message: object) -> Any:
        """The answer to a request that must not be refused."""
        answer = self.ask(message)
        if answer is None:
            raise AssertionError(f"no answer to {message}")
        if isinstance(answer, ErrorReply):
            raise AssertionError(f"{answer.code.name} to {message}")  # noqa: TRY004 - the pump's doing
        return answer

    def refused(self, message: object) -> ErrorReply:
        """The refusal of a request that must be refused."""
        answer = self.ask(message)
        if not isinstance(answer, ErrorReply):
            raise AssertionError(f"{answer} to {message}")  # noqa: TRY004 - the pump's doing
        return answer

    def code(self, message: object) -> ErrorCode | None:
        """Why a request is refused; None where it is granted."""
        answer = self.ask(message)
        return answer.code if isinstance(answer, ErrorReply) else None

    def _requested(self, opcode: int, payload: bytes) -> Response | Refusal | None:
        self.client.request(opcode, payload, self.now_ms)
        return self._exchange()

    def _exchange(self) -> Response | Refusal | None:
        news = exchange(self.client, self._carry, self.now_ms)
        self._unknown_session = any(isinstance(event, Hint) for event in news)
        return next((event for event in reversed(news) if isinstance(event, Response | Refusal)), None)

    def _carry(self, output: bytes) -> bytes:
        return self._kept(self.pump.step(self.pump.now, output)).to_send

    # What takes more than one request

    def log(self, name: LogName = LogName.MAIN) -> list[LogEntry]:
        """A whole log, entry by entry, as far as it reaches back; its numbers must have no gap."""
        entries: list[LogEntry] = []
        from_seq = 0
        while True:
            reply = self.granted(LogRead(name, 0, from_seq, LOG_READ_MAX))
            entries += [LogEntry.unpack(raw) for raw in reply.entries]
            from_seq = reply.next_seq
            if from_seq > reply.newest_seq:
                break
        numbers = [entry.seq for entry in entries]
        if numbers != list(range(reply.oldest_seq, reply.newest_seq + 1)):
            raise AssertionError(f"the log has a gap: {numbers} of {reply.oldest_seq} to {reply.newest_seq}")
        return entries

    def stage(
        self, dose_ng_per_day: int, concentration_ng_per_ml: int, *, base_rev: int, drug_id: int = 1
    ) -> Any:
        """Stage one dose a day and have it verified."""
        rate = (2 * dose_ng_per_day * 1_000_000 + concentration_ng_per_ml) // (2 * concentration_ng_per_ml)
        header = simple_header(dose_ng_per_day, concentration_ng_per_ml, drug_id)
        return self.stage_program(header, (Segment(0, rate),), base_rev=base_rev)

    def stage_program(
        self, header: ProgramHeader, segments: tuple[Segment, ...], *, base_rev: int
    ) -> ProgVerifyReply:
        """Stage any program and have it verified."""
        self.granted(ProgBegin(base_rev, header))
        for index in range(0, len(segments), SEGMENTS_PER_WRITE_MAX):
            self.granted(ProgWrite(index, segments[index : index + SEGMENTS_PER_WRITE_MAX]))
        verified: ProgVerifyReply = self.granted(ProgVerify())
        return verified

    def start_bolus(self, cmd_id: int, volume_nl: int, duration_s: int, program_rev: int = 1) -> Any:
        """Prepare and commit."""
        prepared = self.granted(BolusPrepare(BolusKind.BOLUS, volume_nl, duration_s, program_rev))
        return self.granted(
            BolusCommit(cmd_id, prepared.quantised_nl, duration_s, prepared.token, program_rev)
        )

    def start_prime(self, cmd_id: int, volume_nl: int, duration_s: int, program_rev: int = 1) -> Any:
        """Prepare and start a prime."""
        prepared = self.granted(BolusPrepare(BolusKind.PRIME, volume_nl, duration_s, program_rev))
        return self.granted(Prime(cmd_id, prepared.quantised_nl, duration_s, prepared.token, program_rev))


def simple_header(dose_ng_per_day: int, concentration_ng_per_ml: int, drug_id: int = 1) -> ProgramHeader:
    """The header of a program of one dose a day."""
    return ProgramHeader(
        InfusionMode.SIMPLE,
        1,
        1,
        ProgramFlag(0),
        drug_id,
        concentration_ng_per_ml,
        groups=padded_groups([Group(0x7F, 1, dose_ng_per_day)]),
    )


def bridged(
    program: tuple[ProgramHeader, tuple[Segment, ...]], volume_nl: int, rate_nl_per_day: int
) -> tuple[ProgramHeader, tuple[Segment, ...]]:
    """A program with a bridge before it."""
    header, segments = program
    bridge = BridgeBlock(volume_nl, rate_nl_per_day)
    return header._replace(flags=header.flags | ProgramFlag.BRIDGE, bridge=bridge), segments


def flexible_program(
    *groups: tuple[int, dict[int, int]], concentration_ng_per_ml: int = 500_000
) -> tuple[ProgramHeader, tuple[Segment, ...]]:
    """A flexible program: for each group its days as a mask, and the rate from each minute on."""
    rows, segments = [], []
    for day_mask, rates in groups:
        day = [Segment(start_min, rate) for start_min, rate in rates.items()]
        ends = [*list(rates)[1:], 1_440]
        total_nl = sum(
            row.rate_nl_per_day * (end - row.start_min) for row, end in zip(day, ends, strict=True)
        )
        rows.append(Group(day_mask, len(day), total_nl // 1_440 * concentration_ng_per_ml // 1_000_000))
        segments += day
    header = ProgramHeader(
        InfusionMode.FLEX,
        len(rows),
        len(segments),
        ProgramFlag(0),
        1,
        concentration_ng_per_ml,
        groups=padded_groups(rows),
    )
    return header, tuple(segments)


def memory_of(pump: Pump) -> tuple[tuple[int, bytes], ...]:
    """The whole memory image."""
    return pump.plant.flash.contents()


def state_of(pump: Pump) -> tuple[object, ...]:
    """All that may be compared of two pumps at the same time: truth, belief, memory."""
    return pump.truth(), pump.belief(), memory_of(pump)
