"""Programs that give boluses by themselves or on request, and a patient with a handset beside a clinician.

Both ends talk to one pump; what either of them caused stands in the clinician's trace and writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hil.campaign.conversation import Conversation, profile_of, simple_header
from protocol.identifiers import Opcode, ProgramFlag, Role
from protocol.link.client_end import Phase
from protocol.messages.bolus import PatientBolus
from protocol.messages.program import (
    PatientBlock,
    PeriodicBlock,
    ProgCommit,
    ProgramHeader,
    ProgVerifyReply,
    Segment,
)
from protocol.messages.reading import GetStatus

if TYPE_CHECKING:
    from firmware_emu.profile import Profile

RATE_NL_PER_DAY = 600_000
PATIENT = PatientBlock(volume_nl=10_000, duration_s=600, lockout_s=3_600, window_s=86_400, max_count=4)
PERIODIC = PeriodicBlock(volume_nl=20_000, duration_s=900, interval_s=21_600, first_delay_s=7_200)


def header_of(
    patient: PatientBlock | None = None,
    periodic: PeriodicBlock | None = None,
    *,
    rate_nl_per_day: int = RATE_NL_PER_DAY,
) -> ProgramHeader:
    """A program of 500 mcg/mL at one rate, with these boluses."""
    flags = ProgramFlag(0)
    flags |= ProgramFlag(0) if patient is None else ProgramFlag.PATIENT
    flags |= ProgramFlag(0) if periodic is None else ProgramFlag.PERIODIC
    header = simple_header(rate_nl_per_day // 2, 500_000)
    return header._replace(
        flags=flags, patient=patient or PatientBlock(), periodic=periodic or PeriodicBlock()
    )


class PatientAndClinician(Conversation):
    """A clinician's conversation, with a patient who takes the handset in between."""

    def __init__(self, pump: Any, role: Role = Role.CLINICIAN) -> None:
        super().__init__(pump, role)
        self.handset = Conversation(pump, Role.PATIENT)

    @classmethod
    def with_program(
        cls,
        patient: PatientBlock | None = None,
        periodic: PeriodicBlock | None = None,
        profile: Profile | None = None,
    ) -> PatientAndClinician:
        """A pump that runs this program since the moment 0."""
        talk = cls(Conversation.with_new_pump(profile or profile_of()).pump)
        talk.programs(1, patient, periodic)
        return talk

    def programs(
        self, cmd_id: int, patient: PatientBlock | None = None, periodic: PeriodicBlock | None = None
    ) -> ProgVerifyReply:
        """Commit and start a program of one rate with these boluses."""
        rev = self.granted(GetStatus()).program_rev
        segments = (Segment(0, RATE_NL_PER_DAY),)
        verified = self.stage_program(header_of(patient, periodic), segments, base_rev=rev)
        if verified.refusals:
            raise AssertionError(f"a program is refused: {verified.refusals}")
        self.granted(ProgCommit(cmd_id, rev, verified.staged_crc, start=True))
        return verified

    def patient_asks(self, message: object) -> Any:
        """What the pump answers the patient, after the clinician's session was ended; None where it does not."""
        self._ends_session(self)
        self.handset.pump = self.pump
        self.handset.trace, self.handset.writes = self.trace, self.writes
        answer = self.handset.ask(message)
        self._ends_session(self.handset)
        return answer

    @staticmethod
    def _ends_session(talk: Conversation) -> None:
        """Close a session that is open; nothing where none is."""
        if talk.client.phase is Phase.OPEN and talk.pump.powered:
            talk._requested(Opcode.END_SESSION, b"")
        talk.client = talk._new_client()

    def takes_the_handset(self) -> Conversation:
        """The clinician's session is over; the patient's own conversation."""
        self._ends_session(self)
        return self.handset

    def asks_for_bolus(self, cmd_id: int) -> Any:
        """The patient presses the button."""
        return self.patient_asks(PatientBolus(cmd_id))
