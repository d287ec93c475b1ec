"""One end of the link on a channel: opens sessions, asks one thing at a time, and never waits past a deadline.

It says what came of a question - answer, refusal, or nothing that can be relied on - and draws no
conclusions; what may be asked again, and when, is `requester` and `command_ledger`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from hil.deadline import Deadline
from hil.errors import DeviceError, InUse, LineGap, LinkError, PumpbenchError, SessionRefused
from protocol.identifiers import RejectReason
from protocol.link import events as link
from protocol.link.client_end import ClientEnd, Phase
from protocol.wire.limits import BUDGET_WINDOW_MS, HELLO_PER_MIN, REQUEST_CTR_MAX, TIMEOUTS_MS

if TYPE_CHECKING:
    from hil.channel import Channel
    from hil.programmer.entropy import Entropy
    from hil.wire_log import WireLog
    from protocol.link.development_keys import DeviceKey
    from protocol.messages.errors import ErrorReply

MS_PER_S = 1_000
HINTS_KEPT = 16  # a newer one says all that an older one said, until the status is read
FIRST_PAUSE_MS = 500  # after a handshake that nobody answered; it doubles [SPEC 4, H1]
GREETINGS_OF_A_HANDSHAKE = len(TIMEOUTS_MS)
CURED_BY_WAITING = frozenset({RejectReason.LIMITED, RejectReason.BUSY})

_ADVICE_OF_REJECTION = {
    RejectReason.VERSION: ("it speaks another version of the protocol", "use the pumpbench of its firmware"),
    RejectReason.SUITE: ("it does not offer the security profile that was asked for", "check its profile"),
    RejectReason.PROOF: (
        "it does not accept this key",
        "name the key that it was paired with, by --key or key_file of the bench file",
    ),
    RejectReason.LIMITED: ("it limits attempts to open a session", "wait and try again"),
    RejectReason.RNG_FAILED: (
        "its random generator failed its self-test",
        "its therapy goes on; replace the pump",
    ),
    RejectReason.BUSY: (
        "another programmer has its session",
        "let the other end its session, then try again",
    ),
    RejectReason.ROLE: ("this key has another role", "name a key of the role that is wanted"),
}


class Replied(NamedTuple):
    """An authentic answer."""

    payload: bytes


class Refused(NamedTuple):
    """An authentic refusal."""

    error: ErrorReply


class NoReply(NamedTuple):
    """No answer that can be relied on: the request may have been carried out, or not. `why` is for people."""

    why: str


Answer = Replied | Refused | NoReply


class ClientSession:
    """A session and its questions.

    `session_number` counts sessions, so that others see when one was replaced; `opened` is how the last one began.
    """

    def __init__(
        self, channel: Channel, key: DeviceKey, entropy: Entropy, *, secured: bool, wire_log: WireLog
    ) -> None:
        self.channel = channel
        self.key = key
        self.wire_log = wire_log
        self.session_number = 0
        self.opened: link.SessionOpened | None = None
        self.boot_counts: set[int] = set()
        """How often the pump's program had started, at each session."""
        self.asked: set[int] = set()
        """Opcodes of all requests that were ever sent."""
        self.late_ms_max = 0
        """How late this host was at most when it looked at the line after one of its own deadlines."""
        self._entropy = entropy
        self._greeted_ms: list[int] = []  # greetings of the last minute that led to no session
        self._end = ClientEnd(key=key, entropy=entropy, secured=secured)
        self._end.observing = True
        self._open = False
        self._requests_left = 0
        self._hints: deque[bytes] = deque(maxlen=HINTS_KEPT)
        self._gap = ""  # why the line was lost, where that ended the session

    @property
    def is_open(self) -> bool:
        """True as far as this end knows, and while the session has requests left."""
        return self._open and self._requests_left > 0

    def now_ms(self) -> int:
        """The line's time."""
        return self.channel.now_ms()

    def wrap_key(self, associated: bytes, new_key: bytes) -> bytes:
        """A new key wrapped for the next request of this session, which must carry it."""
        return self._end.wrap_key(associated, new_key)

    def open(self, deadline: Deadline) -> None:
        """Open a session, trying again until the deadline.

        Refusals that waiting does not cure end it at once, and so does silence once a pump that hears us would fall
        silent for our greetings.
        """
        self.forget_session()
        why, pause_ms = "", FIRST_PAUSE_MS
        while not why or (not deadline.passed(self.now_ms()) and self._may_greet_again()):
            self._requests_left = REQUEST_CTR_MAX
            self._end.statistics.clear()
            greeted_before = len(self._greeted_ms)
            self._end.open(self.now_ms())
            event = self._handshake_event(deadline)
            if isinstance(event, link.SessionOpened):
                del self._greeted_ms[greeted_before:]  # what leads to a session costs the pump nothing
                self._open = True
                self.opened = event
                self.boot_counts.add(event.pump_hello.boot_count)
                self.session_number += 1
                return
            if isinstance(event, link.SessionRefused):
                refusal = refusal_of(event.reason, event.retry_after_s)
                wait_ms = event.retry_after_s * MS_PER_S
                if event.reason not in CURED_BY_WAITING or wait_ms >= deadline.left_ms(self.now_ms()):
                    raise refusal
                why = refusal.message
                self.wait(wait_ms)
            elif event is None:
                why = self._why_nobody_answered()
                self.wait(min(self._jittered_ms(pause_ms), deadline.left_ms(self.now_ms())))
                pause_ms *= 2
        raise LinkError(
            f"no session could be opened: {why}",
            advice="check that this is the pump's port, at its speed, and that the pump has power; one that was "
            "greeted too often, or offered wrong keys, is silent for a minute",
        )

    def _may_greet_again(self) -> bool:
        """Whether another handshake keeps within what a pump answers in a minute."""
        since_ms = self.now_ms() - BUDGET_WINDOW_MS
        self._greeted_ms = [at_ms for at_ms in self._greeted_ms if at_ms > since_ms]
        return len(self._greeted_ms) + GREETINGS_OF_A_HANDSHAKE < HELLO_PER_MIN

    def _jittered_ms(self, pause_ms: int) -> int:
        """A quarter less to a quarter more, so that two clients do not keep step."""
        return pause_ms * (192 + self._entropy.draw(1)[0] // 2) // 256

    def _why_nobody_answered(self) -> str:
        """Silence, noise, or a pump that does not hold our key: that last is the device's word, and is raised."""
        statistics = self._end.statistics
        if statistics.mac_bad:
            raise SessionRefused(
                "the pump that answers here does not hold this key",
                reason=RejectReason.PROOF,
                retry_after_s=0,
                advice="name the key that it was paired with, by --key or key_file of the bench file",
            )
        bad = statistics.crc_bad + statistics.cobs_bad
        if bad:
            return f"only damaged frames come back ({bad})"
        if statistics.replay_drop:
            return f"frames come back, and none answers this greeting ({statistics.replay_drop})"
        return "nothing answers"

    def _handshake_event(self, deadline: Deadline) -> object | None:
        """How the handshake ended: opened, refused, or None where nobody answered."""
        while True:
            match self._next_event(deadline):
                case link.SessionOpened() | link.SessionRefused() as event:
                    return event
                case link.Unknown(opcode=None) | None:
                    return None
                case _:
                    continue  # of a request that was given up when this session was asked for

    def ask(self, opcode: int, payload: bytes, deadline: Deadline) -> Answer:
        """Send one request and wait for what comes of it. The link repeats it byte by byte at its own deadlines.

        Whatever breaks that off, also Ctrl-C, leaves no session behind that still waits for an answer.
        """
        try:
            self._requests_left -= 1
            self.asked.add(opcode)
            self._end.request(opcode, payload, self.now_ms())
            return self._answer(opcode, deadline)
        except BaseException:
            self.forget_session()
            raise

    def _answer(self, opcode: int, deadline: Deadline) -> Answer:
        while True:
            match self._next_event(deadline):
                case link.Response(opcode=answered, payload=answer) if answered == opcode:
                    return Replied(answer)
                case link.Refusal(error=error):
                    self._open = self._end.phase is Phase.OPEN  # some refusals end it: KEY_REVOKED
                    return Refused(error)
                case link.SessionLost():
                    self._open = False
                    return NoReply(self._gap or "the session was lost")
                case link.Hint(error=error):
                    self._open = False
                    return NoReply(f"the pump hints at {error.code.name}, which is not authenticated")
                case link.Unknown() | None:
                    self._open = False
                    return NoReply("no answer came")
                case link.Announcement(payload=hint):
                    self._hints.append(hint)
                case _:
                    continue

    def forget_session(self) -> None:
        """Treat the session as gone; the next question opens another."""
        self._open = False

    def wait(self, duration_ms: int) -> None:
        """Let line time pass, discarding what arrives."""
        deadline = Deadline.after(duration_ms, self.now_ms())
        while not deadline.passed(self.now_ms()):
            try:
                self.channel.receive(deadline.at_ms)
            except LineGap:
                self.forget_session()

    def next_hint(self, wait_ms: int) -> bytes | None:
        """The next EVENT_HINT that came or comes in time, as the pump sent it; None where none does."""
        deadline = Deadline.after(wait_ms, self.now_ms())
        while not self._hints and self._open:
            match self._next_event(deadline):
                case link.Announcement(payload=hint):
                    self._hints.append(hint)
                case link.SessionLost():
                    self._open = False
                case None:
                    break
        return self._hints.popleft() if self._hints else None

    def drop_hints(self) -> None:
        """Forget the hints that have come: whoever reads the status has asked for all that they said."""
        self._hints.clear()

    def _next_event(self, deadline: Deadline) -> object | None:
        """The next event of the link; None at the deadline. A gap of the line ends the session, however short it was.

        No request is repeated after it: first of all somebody else may be there now.
        """
        try:
            self._gap = ""
            return self._event_on_the_line(deadline)
        except LineGap as gap:
            self._gap = gap.message
            self.forget_session()
            return link.SessionLost()

    def _event_on_the_line(self, deadline: Deadline) -> object | None:
        end, channel = self._end, self.channel
        now_ms = channel.now_ms()
        while True:
            event = end.next_event(now_ms)
            output = end.take_output()
            if output:
                if end.phase is Phase.HELLO_SENT:
                    self._greeted_ms.append(now_ms)
                channel.send(output)
            self.wire_log.take_from(end, now_ms, channel)
            if event is not None:
                return event
            if deadline.passed(now_ms):
                return None
            until_ms = deadline.sooner(end.deadline_ms())
            data = channel.receive(until_ms)
            now_ms = channel.now_ms()
            self.late_ms_max = max(self.late_ms_max, now_ms - until_ms)
            if data:
                end.feed(data, now_ms)


def refusal_of(reason: int, retry_after_s: int) -> PumpbenchError:
    """A rejected handshake as an error that accuses the right party."""
    try:
        what, advice = _ADVICE_OF_REJECTION[RejectReason(reason)]
    except ValueError:
        return DeviceError(
            f"the pump refused a session for the unknown reason {reason}", advice="check its version"
        )
    when = f" (it says: in {retry_after_s} s)" if retry_after_s else ""
    if reason == RejectReason.BUSY:
        return InUse(f"the pump gives no session: {what}{when}", advice=advice)
    return SessionRefused(
        f"the pump refused a session: {what}{when}", reason=reason, retry_after_s=retry_after_s, advice=advice
    )
