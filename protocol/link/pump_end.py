"""The pump's end of a link: it checks each frame before the pump's program sees a request [SPEC 4, 5].

One session, one open request, one cached answer. Frames that are bad, stale, forged or out of place are
dropped and counted, never answered; a request without a session gets a hint, within the energy budget.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from protocol.codec.layouts import decode, encode
from protocol.errors import LocalError
from protocol.identifiers import (
    Capability,
    ErrorClass,
    ErrorCode,
    Handshake,
    Kind,
    Opcode,
    RejectReason,
    Role,
    StateChanged,
)
from protocol.link.connection import Connection, Sent, check_payload, plain_frame
from protocol.link.events import (
    PumpEvent,
    ReplayDropped,
    Request,
    SessionClosed,
    SessionInfo,
    SessionOpened,
    TagFailureBurst,
)
from protocol.link.handshake_rules import Answer, HandshakeHost, Proven, PumpHandshake
from protocol.link.session import FROM_PUMP, TO_PUMP, pairing_key, pump_proof, unwrap_key
from protocol.log.types import SessionCloseReason
from protocol.messages.errors import ErrorReply
from protocol.messages.handshake import PumpHello, PumpProof
from protocol.wire.frame import SECURED, BadFrame, Frame
from protocol.wire.limits import (
    ANSWER_REPEATS,
    DEFAULT_LIMITS,
    NONCE_BYTES,
    PROOF_BYTES,
    PROOF_REPEATS,
    PUMP_CTR_MAX,
    REPLAY_REPORT_MS,
    REQUEST_CTR_MAX,
    SESSION_IDLE_MS,
    SESSION_LIFE_MS,
    TAG_FAILURES_MAX,
    TAKE_OVER_IDLE_MS,
    LinkLimits,
)

if TYPE_CHECKING:
    from protocol.link.development_keys import DeviceKey

# Who may take the session from whom [SPEC 4, H2]
_RANK = {Role.OBSERVER: 0, Role.PATIENT: 1, Role.SERVICE: 2, Role.CLINICIAN: 3}

_REQUEST, _RESPONSE, _ERROR, _EVENT, _HANDSHAKE = (
    Kind.REQUEST,
    Kind.RESPONSE,
    Kind.ERROR,
    Kind.EVENT,
    Kind.HANDSHAKE,
)
NO_CAPABILITIES = Capability(0)

_FINGERPRINT_BYTES = 12  # tag and CRC: tells a repeat from a second frame under the same counter


@dataclass(slots=True)
class _Session:
    """The active session; `key` is the device's, and `sealing_key` seals its frames."""

    key: DeviceKey
    info: SessionInfo
    sealing_key: bytes = field(repr=False)
    ends_at_ms: int
    last_request_ms: int
    deadline_ms: int
    client_proof: bytes
    pump_proof: Sent
    transcript: bytes = field(repr=False)
    proofs_left: int = PROOF_REPEATS
    request_ctr: int = 0
    pump_ctr: int = 0
    tag_failures: int = 0
    fingerprint: bytes = b""
    answer: Sent | None = None
    repeats_left: int = 0

    def take(self, frame: Frame, line_ms: int) -> None:
        """Note a new request, which keeps the session awake and replaces the cached answer."""
        self.request_ctr = frame.ctr
        self.fingerprint = frame.raw[-_FINGERPRINT_BYTES:]
        self.answer = None
        self.last_request_ms = line_ms
        idle_at_ms = line_ms + SESSION_IDLE_MS
        self.deadline_ms = min(self.ends_at_ms, idle_at_ms)


class PumpEnd(Connection):
    """The pump's end: feed it bytes, take its events until None, answer each Request, send `take_output`."""

    __slots__ = (
        "_events",
        "_handshake",
        "_host",
        "_pending",
        "_previous_sid",
        "_replay_report_ms",
        "_session",
    )

    def __init__(
        self,
        host: HandshakeHost,
        *,
        caps: Capability = NO_CAPABILITIES,
        secured: bool = True,
        limits: LinkLimits = DEFAULT_LIMITS,
    ) -> None:
        super().__init__(secured=secured, gap_ms=limits.gap_ms)
        self._events: deque[PumpEvent] = deque()
        self._host = host
        self._handshake = PumpHandshake(
            host, caps=caps, secured=secured, limits=limits, events=self._events, statistics=self.statistics
        )
        self._session: _Session | None = None
        self._previous_sid = 0
        self._pending: Request | None = None
        self._replay_report_ms = 0

    @property
    def session(self) -> SessionInfo | None:
        """Whose session is open, if any."""
        return None if self._session is None else self._session.info

    def deadline_ms(self) -> int | None:
        """When `next_event` must be asked again even if no byte comes."""
        session = self._session
        if self.statistics.replays_untold:
            report_ms = self._replay_report_ms
            return report_ms if session is None else min(session.deadline_ms, report_ms)
        return None if session is None else session.deadline_ms

    def next_event(self, line_ms: int) -> PumpEvent | None:
        """The next event, or None; what is due comes before the bytes of the same instant."""
        self._advance(line_ms)
        if self._pending is not None:
            raise LocalError("the open request is neither answered nor dropped")
        while not self._events:
            deadline_ms = self.deadline_ms()
            if deadline_ms is not None and line_ms >= deadline_ms:
                self._run_deadline(line_ms)
            elif self._arrived:
                self._receive(self._arrived.popleft(), line_ms)
            else:
                return None
        event = self._events.popleft()
        if type(event) is Request:
            self._pending = event
        return event

    def respond(self, payload: bytes) -> None:
        """Answer the open request; the answer to END_SESSION is the session's last frame."""
        opcode = self._answer(_RESPONSE, payload)
        if opcode == Opcode.END_SESSION:
            self._close(SessionCloseReason.ENDED)

    def refuse(self, error: ErrorReply) -> None:
        """Answer the open request with ERR."""
        self._answer(_ERROR, encode(error))

    def drop(self) -> None:
        """Leave the open request without an answer; repeats of it are dropped too."""
        if self._pending is None:
            raise LocalError("there is no open request to drop")
        self._pending = None

    def announce(self, opcode: int, payload: bytes) -> bool:
        """Send an EVT, outside the window of requests; False if there is no session to send it in."""
        check_payload(payload)
        if self._pending is not None:
            raise LocalError("no event between a request and its answer")
        if self._session is None:
            return False
        self._transmit(self._seal_next(self._session, _EVENT, opcode, 0, payload))
        self._close_if_counter_is_spent()
        return True

    def end_session(self, reason: SessionCloseReason) -> None:
        """Close the session by the pump's own wish; an open request is forgotten."""
        self._pending = None
        self._close(reason)

    def start_over(self, reason: SessionCloseReason) -> None:
        """Close the session, and forget a handshake under way and whatever has come or waits to leave.

        For a pump that goes on from an earlier state: nothing that began before may be gone on with.
        """
        self.end_session(reason)
        self._handshake.forget()
        self._forget_line()

    def unwrap_key(self, associated: bytes, wrapped: bytes) -> bytes | None:
        """The key that came wrapped in the open request; None where it was not wrapped for this very one."""
        pending, session = self._pending, self._session
        if pending is None or session is None:
            raise LocalError("there is no open request that could bring a key")
        pairing = pairing_key(session.key.key, session.transcript)
        return unwrap_key(pairing, session.info.sid, pending.ctr, associated, wrapped)

    # A frame's way in

    def _receive(self, frame: Frame | BadFrame, line_ms: int) -> None:
        if isinstance(frame, BadFrame):
            self._count_bad(frame)
        elif frame.kind is _REQUEST:
            self._receive_request(frame, line_ms)
        elif frame.kind is _HANDSHAKE:
            self._note_received(frame, frame.body)
            self._receive_handshake(frame, line_ms)
        else:
            # Our own frames, reflected or echoed by the line. No tag failure: an echo must not end a session.
            self._note_received(frame, None)
            self.statistics.drop_replay()

    def _receive_request(self, frame: Frame, line_ms: int) -> None:
        session, (_kind, flags, opcode, sid, ctr, ref, _body, _raw) = self._session, frame
        if session is None or sid != session.info.sid or (flags == SECURED) is not self._secured:
            self._note_received(frame, None if frame.flags else frame.body)
            self._hint_no_session(frame, line_ms)
            return
        payload = self._unseal(frame, session.sealing_key, TO_PUMP)
        self._note_received(frame, payload)
        if payload is None:
            self._count_bad_tag(session)
        elif ref or ctr < session.request_ctr:
            self.statistics.drop_replay()
        elif ctr == session.request_ctr:
            self._repeat_answer(frame, session)
        elif ctr > REQUEST_CTR_MAX:
            self._refuse_and_close(frame, session, ErrorCode.SESSION_EXPIRED, ctr, SessionCloseReason.COUNTER)
        elif self._host.key_of(session.info.key_id) != session.key:
            key_id = session.info.key_id
            self._refuse_and_close(
                frame, session, ErrorCode.KEY_REVOKED, key_id, SessionCloseReason.KEY_REVOKED
            )
        else:
            session.take(frame, line_ms)
            self._events.append(Request(opcode, payload, ctr))

    def _repeat_answer(self, frame: Frame, session: _Session) -> None:
        """Send the cached bytes again, a few times; a repeat does not keep the session awake (R2)."""
        identical = frame.raw[-_FINGERPRINT_BYTES:] == session.fingerprint
        if identical and session.answer is not None and session.repeats_left:
            session.repeats_left -= 1
            self.statistics.dup_served += 1
            self._transmit(session.answer)
        else:
            self.statistics.drop_replay()

    def _count_bad_tag(self, session: _Session) -> None:
        self.statistics.mac_bad += 1
        session.tag_failures += 1
        if session.tag_failures >= TAG_FAILURES_MAX:
            self._events.append(TagFailureBurst(session.tag_failures, session.key))
            self._close(SessionCloseReason.TAG_FAILURES)

    def _refuse_and_close(
        self, frame: Frame, session: _Session, code: ErrorCode, detail: int, reason: SessionCloseReason
    ) -> None:
        """End a session by a secured ERR: its counter is at its end (R9), or its key is revoked."""
        payload = encode(ErrorReply(code.error_class, code, StateChanged.NO, detail=detail))
        self._transmit(self._seal_next(session, _ERROR, frame.opcode, frame.ctr & 0xFFFF, payload))
        self._close(reason)

    def _hint_no_session(self, frame: Frame, line_ms: int) -> None:
        """Send an unsecured ERR, which proves nothing and counts as an unproven answer."""
        if frame.ref:
            self.statistics.drop_replay()
            return
        if self._greeting_waits():
            return  # who greets has given up this request
        if not self._handshake.may_answer(line_ms, doubtful=True):
            return
        payload = encode(ErrorReply(ErrorClass.SESSION, ErrorCode.NO_SESSION, StateChanged.UNKNOWN))
        self._transmit(plain_frame(_ERROR, frame.opcode, frame.sid, 0, frame.ctr & 0xFFFF, payload))

    # Handshakes

    def _receive_handshake(self, frame: Frame, line_ms: int) -> None:
        answer: Answer | Proven | None = None
        if frame.opcode == Handshake.CLIENT_HELLO and frame.sid == 0:
            if self._greeting_waits():
                return  # H1: its sender has given it up already
            active_sid = 0 if self._session is None else self._session.info.sid
            answer = self._handshake.hello(frame.body, line_ms, (active_sid, self._previous_sid))
        elif frame.opcode == Handshake.CLIENT_PROOF and len(frame.body) == PROOF_BYTES:
            if self._session is not None and frame.sid == self._session.info.sid:
                self._repeat_proof(frame, self._session)
                return
            answer = self._handshake.proof(frame, line_ms)
        else:
            self.statistics.crc_bad += 1
        if isinstance(answer, Proven):
            answer = self._admit(answer, frame.body, line_ms)
        if answer is not None:
            self._transmit(plain_frame(_HANDSHAKE, answer.opcode, answer.sid, 0, 0, answer.payload))

    def _greeting_waits(self) -> bool:
        """Whether a CLIENT_HELLO lies behind the frame in hand: what came before it is stale."""
        return any(
            isinstance(frame, Frame) and frame.kind is _HANDSHAKE and frame.opcode == Handshake.CLIENT_HELLO
            for frame in self._arrived
        )

    def _repeat_proof(self, frame: Frame, session: _Session) -> None:
        """Send PUMP_PROOF again to a client that may not know yet that the session is open (H3)."""
        if session.request_ctr == 0 and frame.body == session.client_proof and session.proofs_left:
            session.proofs_left -= 1
            self.statistics.dup_served += 1
            self._transmit(session.pump_proof)
        else:
            self.statistics.drop_replay()

    def _admit(self, proven: Proven, proof: bytes, line_ms: int) -> Answer | None:
        """Give a proven client the session unless the holder of the active one keeps it (H2)."""
        key, slot = proven
        session = self._session
        if session is not None:
            idle_ms = line_ms - session.last_request_ms
            same_key = session.key.key_id == key.key_id
            higher = _RANK[key.role] > _RANK[session.key.role]
            if not (same_key or higher or idle_ms >= TAKE_OVER_IDLE_MS):
                wait_ms = TAKE_OVER_IDLE_MS - idle_ms
                return self._handshake.reject(RejectReason.BUSY, slot.sid, line_ms, retry_after_ms=wait_ms)
            self._close(SessionCloseReason.REPLACED)
        mac = pump_proof(slot.keys, slot.client_hello, slot.pump_hello, proof)
        answer = Answer(Handshake.PUMP_PROOF, slot.sid, encode(PumpProof(mac)))
        self._session = _Session(
            key=key,
            info=SessionInfo(key.key_id, key.role, key.slot, slot.sid),
            sealing_key=slot.keys.sealing,
            ends_at_ms=line_ms + SESSION_LIFE_MS,
            last_request_ms=line_ms,
            deadline_ms=line_ms + SESSION_IDLE_MS,
            client_proof=proof,
            pump_proof=plain_frame(_HANDSHAKE, answer.opcode, answer.sid, 0, 0, answer.payload),
            transcript=slot.client_hello + slot.pump_hello,
        )
        nonce = slot.client_hello[-NONCE_BYTES:]
        self._events.append(SessionOpened(key, decode(PumpHello, slot.pump_hello), nonce))
        return answer

    # A frame's way out, and the end

    def _answer(self, kind: Kind, payload: bytes) -> int:
        check_payload(payload)
        pending, session = self._pending, self._session
        if pending is None or session is None:
            raise LocalError("there is no open request to answer")
        self._pending = None
        sent = self._seal_next(session, kind, pending.opcode, pending.ctr & 0xFFFF, payload)
        session.answer = sent
        session.repeats_left = ANSWER_REPEATS
        self._transmit(sent)
        self._close_if_counter_is_spent()
        return pending.opcode

    def _seal_next(self, session: _Session, kind: Kind, opcode: int, ref: int, payload: bytes) -> Sent:
        session.pump_ctr += 1
        ctr = session.pump_ctr
        return self._seal(kind, opcode, session.info.sid, ctr, ref, payload, session.sealing_key, FROM_PUMP)

    def _close_if_counter_is_spent(self) -> None:
        if self._session is not None and self._session.pump_ctr >= PUMP_CTR_MAX - 1:
            self._close(SessionCloseReason.COUNTER)

    def _close(self, reason: SessionCloseReason) -> None:
        session, self._session = self._session, None
        if session is not None:
            self._previous_sid = session.info.sid
            self._events.append(SessionClosed(reason, session.key))

    def _run_deadline(self, line_ms: int) -> None:
        session = self._session
        if session is not None and line_ms >= session.deadline_ms:
            lived_out = line_ms >= session.ends_at_ms
            self._close(SessionCloseReason.LIFE if lived_out else SessionCloseReason.IDLE)
        else:
            self._events.append(ReplayDropped(self.statistics.replays_untold))
            self.statistics.replays_untold = 0
            self._replay_report_ms = line_ms + REPLAY_REPORT_MS
