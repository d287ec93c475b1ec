"""The client's end of a link: it opens a session, sends one request at a time, repeats it and gives up.

Giving up means `Unknown`: nothing that this end sees without a good tag ever tells what became of a command
[SPEC 5]. Bad, stale and foreign frames are counted and ignored.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from protocol.codec.atoms import Malformed
from protocol.codec.layouts import decode, encode
from protocol.errors import LocalError
from protocol.identifiers import PROTOCOL_VERSION, ErrorCode, Handshake, Kind, Opcode, Role, Suite
from protocol.link.connection import Connection, Sent, check_payload, plain_frame
from protocol.link.events import (
    Announcement,
    ClientEvent,
    Hint,
    Refusal,
    Response,
    SessionLost,
    SessionOpened,
    SessionRefused,
    Unknown,
)
from protocol.link.session import (
    FROM_PUMP,
    NO_KEYS,
    TO_PUMP,
    SessionKeys,
    client_proof,
    derive_keys,
    pairing_key,
    peer_handle,
    pump_proof,
    same_secret,
    wrap_key,
)
from protocol.messages.errors import ErrorReply
from protocol.messages.handshake import ClientHello, ClientProof, HandshakeReject, PumpHello
from protocol.wire.frame import BadFrame, Frame
from protocol.wire.limits import (
    FOREIGN_HELLOS_MAX,
    GAP_HOST_MS,
    NONCE_BYTES,
    PEER_HANDLE_BYTES,
    REQUEST_CTR_MAX,
    TIMEOUTS_MS,
)

if TYPE_CHECKING:
    from protocol.link.development_keys import DeviceKey


class Entropy(Protocol):
    """The client's random source."""

    def draw(self, length: int) -> bytes:
        """Fresh random bytes."""


class Phase(Enum):
    """Where the client stands in the conversation."""

    CLOSED = "no session"
    HELLO_SENT = "waits for PUMP_HELLO"
    PROOF_SENT = "waits for PUMP_PROOF"
    OPEN = "session open"


class ClientEnd(Connection):
    """The client's end: call `open`, then `request`; feed it bytes, take its events, send `take_output`."""

    def __init__(
        self,
        *,
        key: DeviceKey,
        entropy: Entropy,
        role: Role | None = None,
        secured: bool = True,
    ) -> None:
        super().__init__(secured=secured, gap_ms=GAP_HOST_MS)
        self._key = key
        self._role = key.role if role is None else role
        self._entropy = entropy
        self._events: deque[ClientEvent] = deque()
        self._phase = Phase.CLOSED
        self._foreign_hellos = 0  # answers to this greeting that do not know our key, or that answer another
        self._client_hello = b""
        self._pump_hello = b""
        self._proof = b""
        self._keys: SessionKeys = NO_KEYS
        self._sid = 0
        self._ctr = 0
        self._last_answer_ctr = 0
        self._last_event_ctr = 0
        self._sent: Sent | None = None  # what is repeated until it is answered or given up
        self._open_opcode: int | None = None
        self._timeouts_left: tuple[int, ...] = ()
        self._deadline_ms: int | None = None

    @property
    def phase(self) -> Phase:
        """Where the conversation stands."""
        return self._phase

    @property
    def busy(self) -> bool:
        """Whether something is on its way: a handshake or a request."""
        return self._sent is not None

    def open(self, line_ms: int) -> None:
        """Ask for a new session; a request that is still open is given up: Unknown."""
        self._advance(line_ms)
        if self._open_opcode is not None:
            self._give_up()
        self._keys = NO_KEYS
        self._foreign_hellos = 0
        self._sid = self._ctr = self._last_answer_ctr = self._last_event_ctr = 0
        self._client_hello = encode(
            ClientHello(
                proto_min=PROTOCOL_VERSION,
                proto_max=PROTOCOL_VERSION,
                suites=int(self._suite),
                role=self._role,
                key_id=self._key.key_id,
                nonce_c=self._entropy.draw(NONCE_BYTES),
            )
        )
        self._phase = Phase.HELLO_SENT
        self._send(plain_frame(Kind.HANDSHAKE, Handshake.CLIENT_HELLO, 0, 0, 0, self._client_hello), line_ms)

    def request(self, opcode: int, payload: bytes, line_ms: int) -> int:
        """Send a request and return its `ctr`; the previous one must be answered or given up."""
        self._advance(line_ms)
        check_payload(payload)
        if self._phase is not Phase.OPEN:
            raise LocalError(f"a request needs an open session, the client's state is: {self._phase.value}")
        if self._sent is not None:
            raise LocalError("one request at a time: the previous one is neither answered nor given up")
        if self._ctr >= REQUEST_CTR_MAX:
            raise LocalError("this session has used up its requests; open another")
        self._ctr += 1
        self._open_opcode = opcode
        sent = self._seal(Kind.REQUEST, opcode, self._sid, self._ctr, 0, payload, self._keys.sealing, TO_PUMP)
        self._send(sent, line_ms)
        return self._ctr

    def wrap_key(self, associated: bytes, new_key: bytes) -> bytes:
        """A new key wrapped for the next request of this session, which must be the KEY_ADD that carries it."""
        if self._phase is not Phase.OPEN:
            raise LocalError(
                f"a key is wrapped for an open session, the client's state is: {self._phase.value}"
            )
        pairing = pairing_key(self._key.key, self._client_hello + self._pump_hello)
        return wrap_key(pairing, self._sid, self._ctr + 1, associated, new_key)

    def next_event(self, line_ms: int) -> ClientEvent | None:
        """The next event, or None; bytes that have come count before time-outs that are due."""
        self._advance(line_ms)
        while not self._events:
            if self._arrived:
                self._receive(self._arrived.popleft(), line_ms)
            elif self._deadline_ms is not None and line_ms >= self._deadline_ms:
                self._time_out(line_ms)
            else:
                return None
        return self._events.popleft()

    def deadline_ms(self) -> int | None:
        """When `next_event` must be asked again even if no byte comes."""
        return self._deadline_ms

    @property
    def _suite(self) -> Suite:
        return Suite.AES_128_CCM_8 if self._secured else Suite.NONE

    # Sending, repeating, giving up

    def _send(self, sent: Sent, line_ms: int) -> None:
        self._sent = sent
        self._deadline_ms = line_ms + TIMEOUTS_MS[0]
        self._timeouts_left = TIMEOUTS_MS[1:]
        self._transmit(sent)

    def _time_out(self, line_ms: int) -> None:
        if self._timeouts_left and self._sent is not None and self._foreign_hellos < FOREIGN_HELLOS_MAX:
            self._deadline_ms = line_ms + self._timeouts_left[0]
            self._timeouts_left = self._timeouts_left[1:]
            self._transmit(self._sent)
        else:
            self._give_up()

    def _give_up(self) -> None:
        self._events.append(Unknown(self._open_opcode, self._ctr))
        if self._phase is not Phase.OPEN:
            self._phase = Phase.CLOSED
        self._settle()

    def _settle(self) -> None:
        """Note that nothing is on its way any more."""
        self._sent = None
        self._open_opcode = None
        self._deadline_ms = None

    def _lose_session(self) -> None:
        self._phase = Phase.CLOSED
        self._settle()
        self._events.append(SessionLost())

    # Receiving

    def _receive(self, frame: Frame | BadFrame, line_ms: int) -> None:
        if isinstance(frame, BadFrame):
            self._count_bad(frame)
        elif frame.kind is Kind.HANDSHAKE:
            self._note_received(frame, frame.body)
            self._receive_handshake(frame, line_ms)
        elif frame.kind is Kind.EVENT:
            self._receive_event(frame)
        elif frame.kind is Kind.ERROR and frame.ctr == 0 and not frame.flags:
            self._note_received(frame, frame.body)
            self._receive_hint(frame)
        else:
            self._receive_answer(frame)

    def _receive_answer(self, frame: Frame) -> None:
        """Accept the answer to the open request, if its tag is good and its counter newer than the last (R5)."""
        expected = (
            self._open_opcode is not None
            and frame.kind in (Kind.RESPONSE, Kind.ERROR)
            and frame.opcode == self._open_opcode
            and frame.ref == self._ctr & 0xFFFF
        )
        if not expected:
            self._ignore(frame)
            return
        payload = self._open_frame(frame)
        if payload is None:
            return
        if frame.ctr <= self._last_answer_ctr:
            self.statistics.drop_replay()
            return
        self._last_answer_ctr = frame.ctr
        if frame.kind is Kind.ERROR:
            self._accept_refusal(frame.opcode, payload)
            return
        self._settle()
        if frame.opcode == Opcode.END_SESSION:
            self._phase = Phase.CLOSED
        self._events.append(Response(frame.opcode, payload))

    def _accept_refusal(self, opcode: int, payload: bytes) -> None:
        try:
            error = decode(ErrorReply, payload, allow_tail=True)
        except Malformed:
            self._give_up()  # R7: an error that we do not know says nothing that we may rely on
            return
        self._settle()
        self._events.append(Refusal(opcode, error))
        if error.code in (ErrorCode.SESSION_EXPIRED, ErrorCode.KEY_REVOKED):
            self._lose_session()

    def _receive_hint(self, frame: Frame) -> None:
        """Pass a hint on and keep repeating (S3); NO_SESSION, however, ends a repeated END_SESSION."""
        matches = (
            self._open_opcode is not None
            and frame.sid == self._sid
            and frame.opcode == self._open_opcode
            and frame.ref == self._ctr & 0xFFFF
        )
        if not matches:
            self.statistics.drop_replay()
            return
        try:
            error = decode(ErrorReply, frame.body, allow_tail=True)
        except Malformed:
            self.statistics.crc_bad += 1
            return
        self._events.append(Hint(frame.opcode, error))
        if frame.opcode == Opcode.END_SESSION and error.code is ErrorCode.NO_SESSION:
            self._lose_session()

    def _receive_event(self, frame: Frame) -> None:
        if self._phase is not Phase.OPEN:
            self._ignore(frame)
            return
        payload = self._open_frame(frame)
        if payload is None:
            return
        if frame.ctr <= self._last_event_ctr or frame.ref:
            self.statistics.drop_replay()
            return
        self._last_event_ctr = frame.ctr
        self._events.append(Announcement(frame.opcode, payload))

    def _open_frame(self, frame: Frame) -> bytes | None:
        """The payload of a frame of our session, or None."""
        if frame.sid != self._sid or bool(frame.flags) != self._secured:
            self._ignore(frame)
            return None
        payload = self._unseal(frame, self._keys.sealing, FROM_PUMP)
        self._note_received(frame, payload)
        if payload is None:
            self.statistics.mac_bad += 1
        return payload

    def _ignore(self, frame: Frame) -> None:
        self._note_received(frame, None if frame.flags else frame.body)
        self.statistics.drop_replay()

    # Handshake

    def _receive_handshake(self, frame: Frame, line_ms: int) -> None:
        match frame.opcode, self._phase:
            case Handshake.PUMP_HELLO, Phase.HELLO_SENT:
                self._receive_pump_hello(frame, line_ms)
            case Handshake.PUMP_PROOF, Phase.PROOF_SENT if frame.sid == self._sid:
                self._receive_pump_proof(frame)
            case Handshake.REJECT, Phase.HELLO_SENT | Phase.PROOF_SENT if frame.sid == self._sid:
                self._receive_reject(frame)
            case _:
                self.statistics.drop_replay()

    def _receive_pump_hello(self, frame: Frame, line_ms: int) -> None:
        try:
            hello = decode(PumpHello, frame.body)
        except Malformed:
            self.statistics.crc_bad += 1
            return
        if (
            (hello.proto, hello.suite) != (PROTOCOL_VERSION, self._suite)
            or hello.sid != frame.sid
            or not hello.sid
        ):
            self.statistics.crc_bad += 1
            return
        if not same_secret(self._handle_expected(), hello.peer_handle):
            self.statistics.mac_bad += 1
            self._foreign_hellos += 1
            return
        if self._secured:
            self._keys = derive_keys(self._key.key, self._client_hello, frame.body)
        self._pump_hello = frame.body
        self._sid = hello.sid
        self._proof = client_proof(self._keys, self._client_hello, self._pump_hello)
        self._phase = Phase.PROOF_SENT
        proof = encode(ClientProof(self._proof))
        self._send(plain_frame(Kind.HANDSHAKE, Handshake.CLIENT_PROOF, self._sid, 0, 0, proof), line_ms)

    def _handle_expected(self) -> bytes:
        """The handle of the reply to our hello; under suite AES, only a holder of the key can make it."""
        nonce = self._client_hello[-NONCE_BYTES:]
        return peer_handle(self._key.key, nonce) if self._secured else nonce[:PEER_HANDLE_BYTES]

    def _receive_pump_proof(self, frame: Frame) -> None:
        expected = pump_proof(self._keys, self._client_hello, self._pump_hello, self._proof)
        if not same_secret(expected, frame.body):
            self.statistics.mac_bad += 1
            return
        self._phase = Phase.OPEN
        self._settle()
        nonce = self._client_hello[-NONCE_BYTES:]
        self._events.append(SessionOpened(self._key, decode(PumpHello, self._pump_hello), nonce))

    def _receive_reject(self, frame: Frame) -> None:
        try:
            reject = decode(HandshakeReject, frame.body)
        except Malformed:
            self.statistics.crc_bad += 1
            return
        self._phase = Phase.CLOSED
        self._settle()
        self._events.append(SessionRefused(reject.reason, reject.retry_after_s))
