"""Keys, proofs and sealing of a session, by the primitives of `cryptography`, whose only home this is [SPEC 4].

What is kept between calls is key bytes, never a cipher object (one costs 0.2 us), so that a session can be copied
and stored.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.constant_time import bytes_eq

from protocol.wire.limits import PEER_HANDLE_BYTES, PROOF_BYTES, TAG_BYTES

TO_PUMP = 0
FROM_PUMP = 1
_PAIRING = 2  # in the place of a direction: a key that is wrapped for KEY_ADD
same_secret = bytes_eq  # equality that takes the same time wherever the difference is
NO_PROOF = bytes(PROOF_BYTES)  # suite NONE: the same handshake with zeros

_NONCE = Struct("<BHI6x")
_REST_NONCE_BYTES = 13


class SessionKeys(NamedTuple):
    """Derived for one session from the device key and both hellos; all zero under suite NONE."""

    sealing: bytes
    proving: bytes

    def __repr__(self) -> str:
        return "SessionKeys(hidden)"


NO_KEYS = SessionKeys(b"", b"")


def cmac(key: bytes, message: bytes) -> bytes:
    """AES-128-CMAC (RFC 4493)."""
    mac = CMAC(AES(key))
    mac.update(message)
    return mac.finalize()


def derive_keys(device_key: bytes, client_hello: bytes, pump_hello: bytes) -> SessionKeys:
    """The keys of a session; both hellos go in whole, so that a changed version, suite or role breaks the proof."""
    transcript = client_hello + pump_hello
    return SessionKeys(cmac(device_key, b"\x01SES" + transcript), cmac(device_key, b"\x02AUT" + transcript))


def peer_handle(device_key: bytes, client_nonce: bytes) -> bytes:
    """The bytes by which a holder of the key, and nobody else, recognises the pump."""
    return cmac(device_key, b"\x03HND" + client_nonce)[:PEER_HANDLE_BYTES]


def decoy_key(secret: bytes, key_id: int) -> bytes:
    """The key used for an unknown key_id, so that its handshake looks like any other until the proof."""
    return cmac(secret, b"DECOY" + key_id.to_bytes(2, "little"))


def client_proof(keys: SessionKeys, client_hello: bytes, pump_hello: bytes) -> bytes:
    """The proof in CLIENT_PROOF."""
    if not keys.proving:
        return NO_PROOF
    return cmac(keys.proving, b"C" + client_hello + pump_hello)


def pump_proof(keys: SessionKeys, client_hello: bytes, pump_hello: bytes, proof_of_client: bytes) -> bytes:
    """The proof in PUMP_PROOF; it covers the client's proof."""
    if not keys.proving:
        return NO_PROOF
    return cmac(keys.proving, b"P" + client_hello + pump_hello + proof_of_client)


def seal(key: bytes, direction: int, sid: int, ctr: int, header: bytes, payload: bytes) -> bytes:
    """Payload and tag of a secured frame; the same (direction, sid, ctr) must never be sealed twice."""
    return AESCCM(key, TAG_BYTES).encrypt(_NONCE.pack(direction, sid, ctr), payload, header)


def unseal(key: bytes, direction: int, sid: int, ctr: int, header: bytes, body: bytes) -> bytes | None:
    """The payload of a secured frame, or None: the tag is bad."""
    try:
        return AESCCM(key, TAG_BYTES).decrypt(_NONCE.pack(direction, sid, ctr), body, header)
    except InvalidTag:
        return None


def pairing_key(device_key: bytes, transcript: bytes) -> bytes:
    """Kpair of a session; `transcript` is the payloads of both its hellos."""
    return cmac(device_key, b"\x04PAIR" + transcript)


def wrap_key(pairing: bytes, sid: int, ctr: int, associated: bytes, new_key: bytes) -> bytes:
    """A new key sealed under Kpair for the KEY_ADD that is request `ctr` of this session [SPEC 6]."""
    return AESCCM(pairing, TAG_BYTES).encrypt(_NONCE.pack(_PAIRING, sid, ctr), new_key, associated)


def unwrap_key(pairing: bytes, sid: int, ctr: int, associated: bytes, wrapped: bytes) -> bytes | None:
    """The key that was wrapped for this very request, or None."""
    try:
        return AESCCM(pairing, TAG_BYTES).decrypt(_NONCE.pack(_PAIRING, sid, ctr), wrapped, associated)
    except InvalidTag:
        return None


def seal_at_rest(root_key: bytes, plain: bytes) -> bytes:
    """Bytes that only the chip with this root key can read. The nonce follows from the content: no two have one."""
    nonce = cmac(cmac(root_key, b"\x02REST"), plain)[:_REST_NONCE_BYTES]
    return nonce + AESCCM(cmac(root_key, b"\x01REST"), TAG_BYTES).encrypt(nonce, plain, None)


def open_at_rest(root_key: bytes, sealed: bytes) -> bytes:
    """What `seal_at_rest` sealed; ValueError where it is damaged, or another chip's."""
    nonce, body = sealed[:_REST_NONCE_BYTES], sealed[_REST_NONCE_BYTES:]
    try:
        return AESCCM(cmac(root_key, b"\x01REST"), TAG_BYTES).decrypt(nonce, body, None)
    except InvalidTag:
        raise ValueError(
            "what was sealed cannot be opened: it is damaged, or sealed by another chip"
        ) from None
