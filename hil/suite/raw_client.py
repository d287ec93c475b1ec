"""A conversation frame by frame, for tests that say what no well-behaved programmer would say.

It makes each frame itself and hides nothing: no repeats, no reconnecting, no ledger. Since a line keeps its order,
"not answered" needs no waiting: whatever the pump had to say stands before the answer to the next good request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from protocol.codec.layouts import decode, encode
from protocol.identifiers import PROTOCOL_VERSION, Handshake, Kind, Opcode, RejectReason, Suite
from protocol.link import session
from protocol.link.development_keys import DeviceKey
from protocol.messages.conversation import GetLinkStats, GetLinkStatsReply
from protocol.messages.errors import ErrorReply
from protocol.messages.handshake import ClientHello, ClientProof, HandshakeReject, PumpHello
from protocol.messages.reading import GetStatus, GetStatusReply
from protocol.registry import command_of
from protocol.wire.frame import SECURED, BadFrame, Frame, pack_header, with_crc
from protocol.wire.framing import Deframer, encode_frame

if TYPE_CHECKING:
    from hil.channel import Channel
    from hil.programmer.entropy import Entropy

Reply = TypeVar("Reply")

ANSWER_LIMIT_MS = 5_000  # the pump answers within 300 ms [SPEC 5]; the rest is for slow benches


class Answered(NamedTuple):
    """A frame from the pump: what it says in clear, and its bytes on the wire."""

    frame: Frame
    payload: bytes
    wire: bytes


class RawClient:
    """One client that frames by hand. Bytes go out as they are given; frames come back one at a time."""

    def __init__(self, channel: Channel, key: DeviceKey, entropy: Entropy) -> None:
        self.key = key
        self.ctr = 0
        self.sid = 0
        self.hello_frame = b""
        self.proof_frame = b""
        self.pump_hello: PumpHello | None = None
        self.keys = session.NO_KEYS
        self._channel = channel
        self._entropy = entropy
        self._deframer = Deframer()
        self._arrived: list[Frame | BadFrame] = []

    # Frames out and in.

    def send(self, *wire: bytes) -> None:
        """Bytes to the line, in one write."""
        self._channel.send(b"".join(wire))

    def next_frame(self) -> Frame:
        """The next frame from the pump; fails where none comes or it is a bad one."""
        deadline_ms = self._channel.now_ms() + ANSWER_LIMIT_MS
        while not self._arrived:
            data = self._channel.receive(deadline_ms)
            assert data, "the pump did not answer"
            self._arrived += self._deframer.feed(data, self._channel.now_ms())
        frame = self._arrived.pop(0)
        assert isinstance(frame, Frame), f"the pump sent a bad frame: {frame}"
        return frame

    # Handshake.

    def hello(self, **changes: Any) -> bytes:
        """The payload of a CLIENT_HELLO with a fresh nonce; `changes` are fields that differ."""
        wish = ClientHello(
            PROTOCOL_VERSION,
            PROTOCOL_VERSION,
            int(Suite.AES_128_CCM_8),
            self.key.role,
            self.key.key_id,
            self._entropy.draw(16),
        )
        return encode(wish._replace(**changes))

    def say_hello(self, payload: bytes) -> Frame:
        """Send a CLIENT_HELLO; returns the next frame of the pump, whatever it is."""
        self.hello_frame = handshake_frame(Handshake.CLIENT_HELLO, 0, payload)
        self.send(self.hello_frame)
        return self.next_frame()

    def prove(self, hello: bytes, pump_hello: Frame) -> Frame:
        """Send the CLIENT_PROOF that this key gives for these two hellos; returns the next frame."""
        self.pump_hello = decode(PumpHello, pump_hello.body)
        self.sid = self.pump_hello.sid
        self.keys = session.derive_keys(self.key.key, hello, pump_hello.body)
        proof = ClientProof(session.client_proof(self.keys, hello, pump_hello.body))
        self.proof_frame = handshake_frame(Handshake.CLIENT_PROOF, self.sid, encode(proof))
        self.send(self.proof_frame)
        return self.next_frame()

    def connect(self) -> None:
        """Open a session and check the pump's proof."""
        hello = self.hello()
        pump_hello = self.say_hello(hello)
        assert pump_hello.opcode == Handshake.PUMP_HELLO, f"no greeting but {pump_hello}"
        answer = self.prove(hello, pump_hello)
        assert answer.opcode == Handshake.PUMP_PROOF, f"no session but {answer}"
        proof = decode(ClientProof, decode_body(self.proof_frame)).mac
        assert answer.body == session.pump_proof(self.keys, hello, pump_hello.body, proof)
        self.ctr = 0

    # Requests in a session.

    def request_frame(
        self, opcode: int, payload: bytes = b"", *, ctr: int | None = None, ref: int = 0
    ) -> bytes:
        """One sealed request as it goes on the line; without `ctr` the next one."""
        self.ctr = self.ctr + 1 if ctr is None else ctr
        header = pack_header(Kind.REQUEST, SECURED, opcode, len(payload), self.sid, self.ctr, ref)
        body = session.seal(self.keys.sealing, session.TO_PUMP, self.sid, self.ctr, header, payload)
        return encode_frame(with_crc(header + body))

    def next_answer(self) -> Answered:
        """The next frame, unsealed; an unsecured one as it is."""
        frame = self.next_frame()
        payload: bytes | None = frame.body
        if frame.flags & SECURED:
            payload = session.unseal(
                self.keys.sealing, session.FROM_PUMP, frame.sid, frame.ctr, frame.header, frame.body
            )
        assert payload is not None, f"the tag of the pump's answer does not open: {frame}"
        return Answered(frame, payload, encode_frame(frame.raw))

    def ask(self, opcode: int, payload: bytes = b"") -> Answered:
        """One request and the frame that answers it: nothing else may stand before it."""
        self.send(self.request_frame(opcode, payload))
        answer = self.next_answer()
        assert (answer.frame.opcode, answer.frame.ref) == (opcode, self.ctr & 0xFFFF), answer.frame
        return answer

    def say(self, request: Any) -> Any:
        """A request as a message, its answer as a message: the reply of its command, or an ErrorReply."""
        command = command_of(type(request))
        answer = self.ask(command.opcode, encode(request))
        return (
            error_of(answer) if answer.frame.kind is Kind.ERROR else decode(command.response, answer.payload)
        )

    def status(self) -> GetStatusReply:
        """GET_STATUS; its answer is the next frame, or something was answered that should not have been."""
        status = self.say(GetStatus())
        assert isinstance(status, GetStatusReply), status
        return status

    def link_stats(self) -> GetLinkStatsReply:
        """GET_LINK_STATS."""
        stats = self.say(GetLinkStats(clear=False))
        assert isinstance(stats, GetLinkStatsReply), stats
        return stats

    def end_session(self) -> None:
        """END_SESSION, answered."""
        assert self.ask(Opcode.END_SESSION).frame.kind is Kind.RESPONSE


def handshake_frame(opcode: Handshake, sid: int, payload: bytes) -> bytes:
    """A handshake frame as it goes on the line."""
    return encode_frame(with_crc(pack_header(Kind.HANDSHAKE, 0, opcode, len(payload), sid, 0, 0) + payload))


def plain_request(opcode: int, payload: bytes = b"", *, sid: int = 0, ctr: int = 1) -> bytes:
    """A request without tag or encryption."""
    return encode_frame(with_crc(pack_header(Kind.REQUEST, 0, opcode, len(payload), sid, ctr, 0) + payload))


def decoded(wire: bytes) -> bytes:
    """The decoded bytes of one frame on the line, CRC included."""
    frame = Deframer().feed(wire, 0)[0]
    assert isinstance(frame, Frame), frame
    return frame.raw


def decode_body(wire: bytes) -> bytes:
    """Payload (and tag) of one frame on the line."""
    return decoded(wire)[12:-4]


def with_new_crc(raw: bytes) -> bytes:
    """A frame on the line from decoded bytes that were changed: their CRC is made good again."""
    return encode_frame(with_crc(raw[:-4]))


def error_of(answer: Answered) -> ErrorReply:
    """The refusal in an ERR frame."""
    assert answer.frame.kind is Kind.ERROR, f"no refusal but {answer.frame}"
    return decode(ErrorReply, answer.payload)


def rejection_of(frame: Frame) -> RejectReason:
    """The reason in a HS_REJECT."""
    assert (frame.kind, frame.opcode) == (Kind.HANDSHAKE, Handshake.REJECT), f"no rejection but {frame}"
    return decode(HandshakeReject, frame.body).reason
