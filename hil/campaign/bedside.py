"""A clinician and a patient at a pump that may not answer: without power, hanging, or in no state to grant anything."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from firmware_emu.events import RefilledByHand, TraceEntry
from hil.campaign.conversation import Conversation
from hil.campaign.program_boluses import PatientAndClinician
from protocol.identifiers import Role
from protocol.messages.errors import ErrorReply

if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware_emu.pump import Pump
    from firmware_emu.trace import Step
    from hil.campaign.patient_watch import PatientWatch
    from protocol.messages.program import ProgramHeader, ProgVerifyReply, Segment


class Unheard(Exception):
    """The pump gave no answer, or no leave: whoever stood there goes away again."""


class _Heard(Conversation):
    """One end of the line to a pump that may not answer; who else hears it is told what was asked and answered."""

    replies: list[bytes]
    told: Callable[[object, object], None] | None = None
    """Called with each request and its answer; None: nobody is."""

    def open(self) -> None:
        try:
            super().open()
        except AssertionError as error:
            raise Unheard(str(error)) from error

    def ask(self, message: object) -> Any:
        answer = None
        try:
            answer = super().ask(message)
        finally:
            if self.told is not None:
                self.told(message, answer)
        return answer

    def _carry(self, output: bytes) -> bytes:
        self.replies.append(super()._carry(output))
        return self.replies[-1]

    def _kept(self, step: Step) -> Step:
        """Keep what happened, but no write to the memory: they are most of quiet months, and nobody reads them."""
        self.trace += [note for note in step.notes if isinstance(note, TraceEntry)]
        return step


class Bedside(_Heard, PatientAndClinician):
    """Both ends of the line to a pump that may be without power, hang, or be in no state to grant anything."""

    def __init__(self, pump: Pump) -> None:
        super().__init__(pump)
        self.handset: _Heard = _Heard(pump, Role.PATIENT)
        self.replies: list[bytes] = []
        self.handset.replies = self.replies
        self.staged: list[tuple[ProgramHeader, tuple[Segment, ...]]] = []
        """What people have begun to write into the pump since somebody emptied this list."""
        self.refilled: Callable[[], None] | None = None
        """Called after a step in which the reservoir was emptied and filled; None: nobody is."""
        self.cut_into = 1
        self._cuts = Random(0)
        self.patient: PatientWatch | None = None
        """Whom the drug reaches; None: nobody."""

    def wait_until(self, now_ms: int) -> Step:
        """Let the pump run, time cut at some places that are no multiples of anything."""
        from_ms = self.now_ms
        cuts = sorted(self._cuts.randrange(from_ms, now_ms + 1) for _ in range(self.cut_into - 1))
        for at_ms in cuts:
            super().wait_until(at_ms)
            self.pump.truth()
        if self.patient is None:
            return super().wait_until(now_ms)
        for at_ms in self.patient.looks_ms(self.now_ms, now_ms):
            super().wait_until(at_ms)
            self.patient.look(self.pump)
        step = super().wait_until(now_ms)
        self.patient.look(self.pump)
        return step

    def granted(self, message: object) -> Any:
        return _granted(self.ask(message))

    def stage_program(
        self, header: ProgramHeader, segments: tuple[Segment, ...], *, base_rev: int
    ) -> ProgVerifyReply:
        self.staged.append((header, segments))
        return super().stage_program(header, segments, base_rev=base_rev)

    def _kept(self, step: Step) -> Step:
        super()._kept(step)
        if self.refilled is not None and any(
            isinstance(note, TraceEntry) and type(note.event) is RefilledByHand for note in step.notes
        ):
            self.refilled()
        return step


def _granted(answer: Any) -> Any:
    if answer is None or isinstance(answer, ErrorReply):
        raise Unheard(answer)
    return answer
