"""The four messages of a handshake, and its refusal [SPEC 4]."""

from typing import NamedTuple

from construct import Bytes

from protocol.codec.atoms import U8, U16, U32, enum_of, monotonic, volatile
from protocol.codec.identities import Identity
from protocol.codec.layouts import message
from protocol.identifiers import Handshake, RejectReason, Role, Suite
from protocol.wire.limits import NONCE_BYTES, PEER_HANDLE_BYTES, PROOF_BYTES


@message(
    "proto_min" / U8 * "lowest major version spoken",
    "proto_max" / U8 * "highest major version spoken",
    "suites" / U8 * "b0 AES-128-CCM-8 with CMAC, b1 NONE; other bits are ignored",
    "role" / enum_of(Role),
    "key_id" / U16 * "of the key that will be proven; 0 the implant card",
    "nonce_c" / volatile(Bytes(NONCE_BYTES)) * "random",
    identities={"key_id": Identity.KEY_ID, "nonce_c": Identity.NONCE},
)
class ClientHello(NamedTuple):
    """The client asks for a session. `suites` is a mask in which later versions may set more bits."""

    proto_min: int
    proto_max: int
    suites: int
    role: Role
    key_id: int
    nonce_c: bytes


@message(
    "proto" / U8 * "the version chosen",
    "suite" / enum_of(Suite) * "one bit of the mask",
    "sid" / volatile(U16) * "the new session's; never 0",
    "boot_count" / monotonic(U32) * "starts of the program in the pump",
    "nonce_p" / volatile(Bytes(NONCE_BYTES)) * "random",
    "peer_handle" / volatile(Bytes(PEER_HANDLE_BYTES)) * "recognised by a holder of the key only",
    "caps"
    / U32
    * "b0 flex, b1 patient bolus, b2 periodic, b3 prime and bridge, b4 events, b5 pairing, b6 vendor messages",
    identities={"nonce_p": Identity.NONCE, "peer_handle": Identity.HANDLE},
)
class PumpHello(NamedTuple):
    """The pump offers a session. `caps` is a mask in which later versions may set more bits."""

    proto: int
    suite: Suite
    sid: int
    boot_count: int
    nonce_p: bytes
    peer_handle: bytes
    caps: int


@message(
    "mac" / volatile(Bytes(PROOF_BYTES)) * "CMAC(Kauth, 'C' CH PH); zeros with suite NONE",
    identities={"mac": Identity.PROOF},
)
class ClientProof(NamedTuple):
    """The client proves that it holds the key."""

    mac: bytes


@message(
    "mac" / volatile(Bytes(PROOF_BYTES)) * "CMAC(Kauth, 'P' CH PH CLIENT_PROOF); zeros with suite NONE",
    identities={"mac": Identity.PROOF},
)
class PumpProof(NamedTuple):
    """The pump proves that it holds the key: the session is open."""

    mac: bytes


@message("reason" / enum_of(RejectReason), "retry_after_s" / U16 * "0: no advice")
class HandshakeReject(NamedTuple):
    """No session. Unauthenticated: a hint, from which nothing follows about any command."""

    reason: RejectReason
    retry_after_s: int


HANDSHAKE_MESSAGES: dict[Handshake, type] = {
    Handshake.CLIENT_HELLO: ClientHello,
    Handshake.PUMP_HELLO: PumpHello,
    Handshake.CLIENT_PROOF: ClientProof,
    Handshake.PUMP_PROOF: PumpProof,
    Handshake.REJECT: HandshakeReject,
}
