"""What a command works on: records, therapy, and the little that dies with a session. It knows no link and no schedule.

The composition around it is `controller`; the commands are in `commands`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from firmware_emu.controller.commands.request_context import Refused
from firmware_emu.controller.event_hints import NOTHING
from firmware_emu.controller.memory.memory_map import Region
from protocol.identifiers import ErrorCode, State
from protocol.log.types import LogType

if TYPE_CHECKING:
    from firmware_emu.controller.link_host import LinkHost
    from firmware_emu.controller.memory.records import Records
    from firmware_emu.controller.therapy.therapy import Therapy
    from firmware_emu.pins import Pins
    from firmware_emu.profile import PumpModel
    from protocol.identifiers import BolusKind
    from protocol.link.connection import LinkStatistics
    from protocol.messages.program import ProgramHeader, Segment

TOKEN_BYTES = 4


class Token(NamedTuple):
    """Permission to deliver one prepared bolus or prime, for a short while of line time."""

    value: int
    kind: BolusKind
    volume_nl: int
    duration_s: int
    expires_line_ms: int


@dataclass(slots=True)
class Staging:
    """A program on its way in. `verified_crc` is None until VERIFY found no refusal.

    `restarts`: the pump was stopped for it, and its commit starts it again [SPEC 15].
    """

    base_rev: int
    header: ProgramHeader
    segments: list[Segment] = field(default_factory=list)
    verified_crc: int | None = None
    restarts: bool = False


class Refilled(NamedTuple):
    """A REFILL was accepted: what the clinician says is in the reservoir now."""

    filled_nl: int
    concentration_ng_per_ml: int


class PairingLink(Protocol):
    """What unwraps a key that has come in the request under way."""

    def unwrap_key(self, associated: bytes, wrapped: bytes) -> bytes | None: ...


@dataclass(slots=True)
class Pairing:
    """The pairing window, in line time, and a recovery by the implant card, in ticks. In RAM alone [SPEC 11]."""

    closes_line_ms: int | None = None
    recovery_opens_ms: int | None = None


@dataclass(slots=True, eq=False, repr=False)
class DeviceContext:
    """One run's records and therapy, what is staged, and what the commands may look at besides."""

    records: Records
    therapy: Therapy
    pins: Pins
    host: LinkHost
    link: PairingLink
    link_statistics: LinkStatistics
    pairing: Pairing = field(default_factory=Pairing)
    staging: Staging | None = None
    token: Token | None = None
    refills: list[Refilled] = field(default_factory=list)

    @property
    def model(self) -> PumpModel:
        """The pump with what the clinic has configured."""
        return self.therapy.model

    def forget_session(self) -> None:
        """Drop what dies with a session; critical alarms that were silenced in it sound again [SPEC 4]."""
        self.token = None
        self.records.hints.subscribe(NOTHING)
        self.pairing.closes_line_ms = None
        if self.staging is not None:
            self.staging = None
            self.records.enter(LogType.STAGE_LOST)
        self.records.alarms.end_session(self.records.tick_ms)

    def count_requests_anew(self) -> None:
        """Count what patients ask for from now on: a clinician has had the counts until here."""
        if self.records.patient.count_anew():
            self.records.mark_dirty(Region.PATIENT)

    def draw_token(self) -> int:
        """A number for a token, never 0."""
        return int.from_bytes(self.pins.entropy.draw("token", TOKEN_BYTES), "little") or 1

    def key_is_development(self, key_id: int) -> bool:
        """Whether a key is one of the published ones."""
        key = self.host.key_of(key_id)
        return key is not None and key.development

    def check_in_service(self) -> None:
        """Refuse whatever would change a pump whose service has ended."""
        state = self.records.therapy.state
        if state is State.EOS:
            raise Refused(ErrorCode.EOS, state)

    def check_revision(self, wanted: int, field: str) -> None:
        """Refuse what was asked for another revision of the program than the active one."""
        current = self.records.therapy.program_rev
        if wanted != current:
            raise Refused(ErrorCode.REV_MISMATCH, wanted, limit=current, field=field)
