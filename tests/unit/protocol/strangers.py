"""What somebody at the door may say to a pump, honest or not: frames made by hand, for tests."""

from __future__ import annotations

from hil.programmer.entropy import SeededEntropy
from protocol.codec.layouts import decode, encode
from protocol.identifiers import (
    Handshake,
    Kind,
    Role,
    Suite,
)
from protocol.link.development_keys import development_key
from protocol.messages.handshake import ClientHello, HandshakeReject
from protocol.wire.frame import pack_header, with_crc
from protocol.wire.framing import encode_frame
from tests.unit.protocol.fake_wire import Loopback, frame_in

CLINICIAN = development_key(Role.CLINICIAN)


def hello(
    seed: str = "stranger",
    *,
    key_id: int = CLINICIAN.key_id,
    proto_min: int = 1,
    proto_max: int = 1,
    suites: int = Suite.AES_128_CCM_8,
) -> bytes:
    wish = ClientHello(proto_min, proto_max, suites, Role.CLINICIAN, key_id, SeededEntropy(seed).draw(16))
    return handshake_frame(Handshake.CLIENT_HELLO, 0, encode(wish))


def handshake_frame(opcode: int, sid: int, payload: bytes) -> bytes:
    return encode_frame(with_crc(pack_header(Kind.HANDSHAKE, 0, opcode, len(payload), sid, 0, 0) + payload))


def reject_in(data: bytes) -> HandshakeReject:
    frame = frame_in(data)
    assert frame.opcode == Handshake.REJECT
    return decode(HandshakeReject, frame.body)


def false_proof(loopback: Loopback, key_id: int, seed: str) -> bytes:
    """Say hello, then guess; what the pump said to the guess (or to the hello, if it refused that)."""
    answer = loopback.tell_pump(hello(seed, key_id=key_id))
    if not answer or frame_in(answer).opcode == Handshake.REJECT:
        return answer
    return loopback.tell_pump(
        handshake_frame(Handshake.CLIENT_PROOF, frame_in(answer).sid, b"guess" * 3 + b"!")
    )
