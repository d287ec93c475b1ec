"""Questions that may be asked again: reading, and whatever changes nothing when it is done twice.

Holds the session, keeps its session open, and turns payloads into messages. Commands with an id are
`ledger`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from hil.deadline import Deadline
from hil.errors import DeviceError, DeviceRefused, DeviceUnsafe, LinkError
from hil.programmer.client_session import NoReply, Refused, Replied
from protocol.codec.atoms import Malformed
from protocol.codec.layouts import decode, encode
from protocol.identifiers import ErrorCode, StateChanged
from protocol.registry import command_of

if TYPE_CHECKING:
    from hil.programmer.client_session import ClientSession
    from hil.wire_log import WireLog
    from protocol.link.development_keys import DeviceKey
    from protocol.link.events import SessionOpened
    from protocol.messages.command import Request
    from protocol.messages.errors import ErrorReply

Reply = TypeVar("Reply")

PATIENCE_MS = 15_000  # three rounds of the link's time-outs of 4.2 s, and a new session
_SESSION_GONE = frozenset({ErrorCode.NO_SESSION, ErrorCode.SESSION_EXPIRED})


class Requester:
    """One programmer's conversation with one pump."""

    def __init__(self, session: ClientSession, key: DeviceKey, *, patience_ms: int = PATIENCE_MS) -> None:
        self._session = session
        self._patience_ms = patience_ms
        self.key = key

    @property
    def wire_log(self) -> WireLog:
        """Every frame of this conversation."""
        return self._session.wire_log

    @property
    def session_opened(self) -> SessionOpened | None:
        """How the last session of this programmer began: both ends' nonces, the pump's capabilities and boot count."""
        return self._session.opened

    def _deadline(self) -> Deadline:
        return Deadline.after(self._patience_ms, self._session.now_ms())

    def _ensure_session(self, deadline: Deadline) -> None:
        """Open a session if there is none."""
        if not self._session.is_open:
            self._session.open(deadline)

    def request(self, message: Request[Reply], deadline: Deadline | None = None) -> Reply:
        """Ask until it is answered, over as many sessions as it takes, until the deadline; returns the reply.

        DeviceRefused where the pump refuses it, LinkError at the deadline.
        """
        opcode, payload = command_of(type(message)).opcode, encode(message)
        deadline = deadline or self._deadline()
        why = ""
        while not why or not deadline.passed(self._session.now_ms()):
            self._ensure_session(deadline)
            match self._session.ask(opcode, payload, deadline):
                case Replied(payload=answer):
                    return self._read(message, answer)
                case Refused(error=error):
                    if not session_is_gone(error):
                        raise DeviceRefused(opcode, error)
                    self._session.forget_session()
                    why = error.code.name
                case NoReply(why=reason):
                    why = reason
        raise LinkError(
            f"{opcode.name} was not answered: {why}", advice="check the line and the pump's power"
        )

    def _request_once(self, message: Request[Reply], deadline: Deadline) -> Reply:
        """Ask in the session that there is, or not at all: for what dies with its session."""
        opcode = command_of(type(message)).opcode
        match self._session.ask(opcode, encode(message), deadline):
            case Replied(payload=answer):
                return self._read(message, answer)
            case Refused(error=error) if not session_is_gone(error):
                raise DeviceRefused(opcode, error)
            case Refused(error=error):
                self._session.forget_session()
                raise LinkError(f"{opcode.name} found its session gone ({error.code.name})")
            case NoReply(why=why):
                raise LinkError(f"{opcode.name} was not answered: {why}")

    def _read(self, message: Request[Reply], payload: bytes) -> Reply:
        """An answer as a message. What it says beyond our version is left; what we cannot read is never guessed."""
        opcode = command_of(type(message)).opcode
        try:
            return decode(message.reply_class(), payload, allow_tail=True)
        except Malformed as error:
            if error.code == ErrorCode.ENUM:
                raise DeviceUnsafe(
                    f"the answer to {opcode.name} holds a value that this version does not know ({error}): "
                    "the pump's state is unknown, unsafe",
                    advice="use the pumpbench of the pump's firmware, and look at the pump itself",
                ) from error
            raise DeviceError(
                f"the answer to {opcode.name} is malformed ({error})",
                advice="check the pump's firmware version",
            ) from error


def session_is_gone(error: ErrorReply) -> bool:
    """True if the pump said, authentically, that the request met no session and so did nothing."""
    return error.code in _SESSION_GONE and error.state_changed == StateChanged.NO
