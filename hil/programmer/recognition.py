"""Which pump and which memory a programmer talks to, and whether that memory still has what it had [SPEC 9]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.outcome_store import Marks, OutcomeStore
from hil.programmer.continuity import Continuity, LookBack, look_back
from hil.programmer.requester import PATIENCE_MS, Requester
from protocol.identifiers import Opcode, Role
from protocol.messages.reading import GetInfo, GetStatus, GetStatusReply

if TYPE_CHECKING:
    from hil.deadline import Deadline
    from hil.programmer.client_session import ClientSession
    from protocol.link.development_keys import DeviceKey


@dataclass(slots=True)
class KnownPump:
    """What is known of the pump in one session; `marks` are taken in it, and grow with each command."""

    session_number: int
    serial: str
    memory_id: int
    last_cmd_id: int
    last_seq: int
    continuity: Continuity
    why: str
    marks: Marks


class Recognition(Requester):
    """Knows a pump again, by what is on file of it."""

    def __init__(
        self,
        session: ClientSession,
        key: DeviceKey,
        store: OutcomeStore,
        *,
        patience_ms: int = PATIENCE_MS,
    ) -> None:
        super().__init__(session, key, patience_ms=patience_ms)
        self.store = store
        self.notices: list[str] = []
        """What a person should know and that stands in nobody's way: one sentence each."""
        self._known: KnownPump | None = None
        self._pump: tuple[str, int] | None = None
        """Serial number and memory of the pump that was talked to first."""

    @property
    def may_command(self) -> bool:
        """False for an observer, who has no ledger."""
        return self.key.role != Role.OBSERVER

    def _know(self, deadline: Deadline) -> KnownPump:
        """Which memory we talk to, whether it is as it was, and which id it saw last; read anew in each session."""
        while True:
            self._ensure_session(deadline)
            number = self._session.session_number
            if self._known is not None and self._known.session_number == number:
                return self._known
            info = self.request(GetInfo(), deadline)
            status = self.request(GetStatus(), deadline)
            back = self._look_back(info.memory_id, status, deadline)
            if self._session.is_open and self._session.session_number == number:
                self._known = KnownPump(
                    number,
                    info.serial.rstrip(b"\x00 ").decode("ascii", "backslashreplace"),
                    info.memory_id,
                    status.last_cmd_id,
                    status.last_seq,
                    back.continuity,
                    back.why,
                    back.marks,
                )
                self._pump = self._pump or (self._known.serial, info.memory_id)
                if (
                    back.continuity is Continuity.PROVEN
                ):  # each session leaves an entry by which it is known again
                    self.store.mark(info.memory_id, back.marks)
                self._note_a_loss(self._known)

    def _look_back(self, memory_id: int, status: GetStatusReply, deadline: Deadline) -> LookBack:
        """Whether this memory still has what it had when this programmer last saw it."""
        opened = self._session.opened
        if opened is None:
            raise AssertionError("a session is open, so it was opened")
        now = Marks(opened.pump_hello.boot_count, status.t_mono_s, status.last_cmd_id)
        if not self.may_command:
            return LookBack(Continuity.UNPROVEN, "this key has no ledger", now)
        return look_back(
            self.store.marks(memory_id),
            now,
            opened.client_nonce,
            lambda request: self.request(request, deadline),
        )

    def _note_a_loss(self, known: KnownPump) -> None:
        """Say that a memory has lost something, where no outcome hangs on it: else that is what is said."""
        has_marks = self.store.marks(known.memory_id) is not None
        if not has_marks and self.store.commands_before(known.memory_id, known.serial):
            self.notices.append(
                f"pump {known.serial} has another memory than when this programmer last commanded it; nothing is "
                f"known here of what happened before, so compare program, reservoir and log"
            )
            self.notices += [
                f"{Opcode(filed.opcode).name} {filed.cmd_id} was {filed.outcome} when it lost that memory; how it "
                f"ended cannot be found out"
                for _, filed in self.store.commands_before(known.memory_id, known.serial)
                if not filed.final and not filed.unknown
            ]
        if known.continuity is Continuity.LOST and not self.store.open_commands(known.memory_id):
            self.notices.append(
                f"the pump has lost memory since this programmer last used it: {known.why}; "
                f"nothing that it says of the past can be relied on, so compare program, reservoir and log"
            )
