"""Asks a pump one request at a time, opening a session whenever there is none, and returns the typed reply.

For what may be asked again: reading, and whatever changes nothing when it is done twice. Commands with an id are
`command_ledger`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from hil.deadline import Deadline
from hil.errors import BenchLost, DeviceError, DeviceRefused, DeviceUnsafe, LinkError
from hil.programmer.client_session import NoReply, Refused, Replied
from hil.programmer.encoding import encoded
from protocol.codec.atoms import Malformed
from protocol.codec.layouts import decode
from protocol.identifiers import ErrorCode, StateChanged
from protocol.messages.reading import GetInfo
from protocol.registry import command_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.programmer.client_session import ClientSession
    from hil.programmer.expected_pump import ExpectedPump
    from protocol.messages.command import Request
    from protocol.messages.errors import ErrorReply

Reply = TypeVar("Reply")
Result = TypeVar("Result")

PATIENCE_MS = 15_000  # three rounds of the link's time-outs of 4.2 s, and a new session
_SESSION_GONE = frozenset({ErrorCode.NO_SESSION, ErrorCode.SESSION_EXPIRED})


class Requester:
    """One programmer's conversation with one pump."""

    def __init__(
        self,
        session: ClientSession,
        *,
        patience_ms: int = PATIENCE_MS,
        expected_pump: ExpectedPump | None = None,
    ) -> None:
        """`expected_pump` is compared first of all in each session; None where any pump may answer."""
        self.session = session
        self._expected_pump = expected_pump
        self._patience_ms = patience_ms

    def deadline(self) -> Deadline:
        """How long a question that begins now may take."""
        return Deadline.after(self._patience_ms, self.session.now_ms())

    def passed(self, deadline: Deadline) -> bool:
        """True once it is too late."""
        return deadline.passed(self.session.now_ms())

    def again(
        self,
        action: Callable[[], Result],
        tries: int,
        after: type[LinkError],
        deadline: Deadline | None = None,
    ) -> Result:
        """Do something until it goes without this error, so many times at most, and not past the deadline."""
        for _ in range(tries - 1):
            try:
                return action()
            except after:
                if deadline is not None and self.passed(deadline):
                    raise
        return action()

    def ensure_session(self, deadline: Deadline) -> None:
        """Open a session if there is none. BenchLost where another pump answers than the expected one."""
        while not self.session.is_open:
            self.session.open(deadline)
            if self._expected_pump is not None:
                self._compare(self._expected_pump, deadline)

    def _compare(self, expected: ExpectedPump, deadline: Deadline) -> None:
        """See that the expected pump answers in this session; no session is left where it does not."""
        message = GetInfo()
        info = self._asked(message, encoded(message), deadline)
        if isinstance(info, NoReply):
            self.session.forget_session()
            if self.passed(deadline):
                raise _not_answered(message, info)
            return
        try:
            expected.check(info)
        except BenchLost:
            self.session.forget_session()
            raise

    def request(self, message: Request[Reply], deadline: Deadline | None = None) -> Reply:
        """Ask until it is answered, over as many sessions as it takes, until the deadline; returns the reply.

        DeviceRefused where the pump refuses it, LinkError at the deadline, UsageError where a value does not fit.
        """
        payload = encoded(message)
        deadline = deadline or self.deadline()
        while True:
            self.ensure_session(deadline)
            reply = self._asked(message, payload, deadline)
            if not isinstance(reply, NoReply):
                return reply
            if self.passed(deadline):
                raise _not_answered(message, reply, advice="check the line and the pump's power")

    def request_once(self, message: Request[Reply], deadline: Deadline | None = None) -> Reply:
        """Ask in the session that there is, or not at all: for what dies with its session."""
        reply = self._asked(message, encoded(message), deadline or self.deadline())
        if isinstance(reply, NoReply):
            raise _not_answered(message, reply)
        return reply

    def _asked(self, message: Request[Reply], payload: bytes, deadline: Deadline) -> Reply | NoReply:
        opcode = command_of(type(message)).opcode
        match self.session.ask(opcode, payload, deadline):
            case Replied(payload=answered):
                return read_reply(message, answered)
            case Refused(error=error) if session_is_gone(error):
                self.session.forget_session()
                return NoReply(f"its session is gone ({error.code.name})")
            case Refused(error=error):
                raise DeviceRefused(opcode, error)
            case NoReply() as nothing:
                return nothing


def _not_answered(message: Request[Reply], nothing: NoReply, advice: str = "") -> LinkError:
    opcode = command_of(type(message)).opcode
    return LinkError(f"{opcode.name} was not answered: {nothing.why}", advice=advice)


def read_reply(message: Request[Reply], payload: bytes) -> Reply:
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
