"""The pump's side of a handshake, from CLIENT_HELLO to a proof that holds [SPEC 4, H1 to H6].

It keeps the one half-open slot, the energy budget and the back-off. `pump_end` decides whether a proven client
may replace the active session.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from protocol.codec.atoms import Malformed
from protocol.codec.layouts import decode, encode
from protocol.identifiers import PROTOCOL_VERSION, Capability, Handshake, RejectReason, Suite
from protocol.link.budget import AnswerBudget, BackOff
from protocol.link.events import HandshakeFailed, HelloLimited, PumpEvent, RandomSourceStuck
from protocol.link.session import (
    NO_KEYS,
    SessionKeys,
    client_proof,
    decoy_key,
    derive_keys,
    peer_handle,
    same_secret,
)
from protocol.messages.handshake import ClientHello, HandshakeReject, PumpHello
from protocol.wire.limits import (
    HALF_OPEN_MS,
    HELLO_REPEATS,
    KEY_BYTES,
    NONCE_BYTES,
    PEER_HANDLE_BYTES,
    LinkLimits,
)

if TYPE_CHECKING:
    from collections import deque

    from protocol.link.connection import LinkStatistics
    from protocol.link.development_keys import DeviceKey
    from protocol.wire.frame import Frame


class HandshakeHost(Protocol):
    """What the pump's end of the link asks its pump for."""

    def key_of(self, key_id: int) -> DeviceKey | None:
        """The paired key, or None."""

    def draw(self, length: int) -> bytes:
        """Bytes of the pump's random source."""

    def boot_count(self) -> int:
        """How often the pump has started; it lives in the memory."""

    def proximity(self) -> bool:
        """Whether somebody holds a magnet over the pump: budget and back-off do not apply."""

    def rng_failed(self) -> bool:
        """Whether the random source failed its self-test: no session may open."""


class Answer(NamedTuple):
    """A handshake frame to send."""

    opcode: Handshake
    sid: int
    payload: bytes


@dataclass(slots=True)
class HalfOpen:
    """A client that said hello and has proven nothing yet; `key` is None if nobody has that key_id."""

    client_hello: bytes
    pump_hello: bytes
    role: int
    key_id: int
    sid: int
    key: DeviceKey | None
    keys: SessionKeys = field(repr=False)
    expires_ms: int
    repeats_left: int = HELLO_REPEATS
    spent_ms: list[int] = field(default_factory=list)


class Proven(NamedTuple):
    """A client that has proven `key` by the handshake in `slot`."""

    key: DeviceKey
    slot: HalfOpen


class PumpHandshake:
    """The pump's side of handshakes: it answers hellos and checks proofs."""

    __slots__ = (
        "_back_off",
        "_budget",
        "_caps",
        "_decoy_secret",
        "_events",
        "_half_open",
        "_host",
        "_last_nonce",
        "_secured",
        "_statistics",
        "_stuck",
    )

    def __init__(
        self,
        host: HandshakeHost,
        *,
        caps: Capability,
        secured: bool,
        limits: LinkLimits,
        events: deque[PumpEvent],
        statistics: LinkStatistics,
    ) -> None:
        self._host = host
        self._caps = caps
        self._secured = secured
        self._events = events
        self._statistics = statistics
        self._budget = AnswerBudget(limits.hello_per_min, limits.hello_per_day)
        self._back_off = BackOff()
        self._half_open: HalfOpen | None = None
        self._decoy_secret = b""
        self._last_nonce = b""
        self._stuck = False

    def forget(self) -> None:
        """Drop a handshake under way, and the secret of the answers to unknown keys."""
        self._half_open = None
        self._decoy_secret = b""

    def hello(self, payload: bytes, line_ms: int, sids_taken: tuple[int, ...]) -> Answer | None:
        """The answer to a CLIENT_HELLO, or None; an identical hello gets the identical answer (H1)."""
        try:
            wish = decode(ClientHello, payload)
        except Malformed:
            self._statistics.crc_bad += 1
            return None
        slot = self._slot(line_ms)
        if slot is not None and slot.client_hello == payload:
            return self._repeat(slot, line_ms)
        wait_ms = 0 if self._host.proximity() else self._back_off.wait_ms(wish.key_id, line_ms)
        objection = self._objection(wish, wait_ms)
        if objection is not None:
            answer = self.reject(objection, 0, line_ms, retry_after_ms=wait_ms)
            if objection is RejectReason.LIMITED and answer is not None:
                self._statistics.hs_limited += 1
            return answer
        if not self.may_answer(line_ms, doubtful=self._back_off.doubts(wish.key_id)):
            return None
        return self._offer(wish, payload, line_ms, sids_taken)

    def proof(self, frame: Frame, line_ms: int) -> Proven | Answer | None:
        """The client that has proven its key, or HS_REJECT, or None; any proof empties the slot."""
        slot = self._slot(line_ms)
        if slot is None or frame.sid != slot.sid:
            self._statistics.drop_replay()
            return None
        self._half_open = None
        expected = client_proof(slot.keys, slot.client_hello, slot.pump_hello)
        revoked = slot.key != self._host.key_of(slot.key_id)
        if slot.key is None or revoked or not same_secret(expected, frame.body):
            wait_s = 0 if self._host.proximity() else self._back_off.failed(slot.key_id, line_ms)
            return self._fail(slot, RejectReason.PROOF, line_ms, retry_after_ms=1_000 * wait_s)
        doubtful = self._back_off.doubts(slot.key_id)
        for spent_ms in slot.spent_ms:
            self._budget.give_back(spent_ms, doubtful=doubtful)
        self._back_off.succeeded(slot.key_id)
        if slot.role != slot.key.role:
            return self._fail(slot, RejectReason.ROLE, line_ms, retry_after_ms=0)
        return Proven(slot.key, slot)

    def reject(
        self, reason: RejectReason, sid: int, line_ms: int, *, retry_after_ms: int = 0
    ) -> Answer | None:
        """HS_REJECT, if the budget has one left."""
        if not self.may_answer(line_ms, doubtful=True):
            return None
        retry_after_s = min(-(-retry_after_ms // 1_000), 0xFFFF)
        return Answer(Handshake.REJECT, sid, encode(HandshakeReject(reason, retry_after_s)))

    def may_answer(self, line_ms: int, *, doubtful: bool) -> bool:
        """Whether one more unproven answer may leave now (H5); it is counted."""
        if self._host.proximity() or self._budget.spend(line_ms, doubtful=doubtful):
            return True
        self._statistics.hs_limited += 1
        if self._budget.begins_silence(line_ms):
            self._events.append(HelloLimited())
        return False

    @property
    def _suite(self) -> Suite:
        return Suite.AES_128_CCM_8 if self._secured else Suite.NONE

    def _slot(self, line_ms: int) -> HalfOpen | None:
        slot = self._half_open
        if slot is not None and line_ms >= slot.expires_ms:
            slot = self._half_open = None
        return slot

    def _repeat(self, slot: HalfOpen, line_ms: int) -> Answer | None:
        if not slot.repeats_left:
            self._statistics.drop_replay()
            return None
        if not self.may_answer(line_ms, doubtful=self._back_off.doubts(slot.key_id)):
            return None
        slot.repeats_left -= 1
        self._note_spent(slot, line_ms)
        self._statistics.dup_served += 1
        return Answer(Handshake.PUMP_HELLO, slot.sid, slot.pump_hello)

    def _objection(self, wish: ClientHello, wait_ms: int) -> RejectReason | None:
        if self._stuck or self._host.rng_failed():
            return RejectReason.RNG_FAILED
        if not wish.proto_min <= PROTOCOL_VERSION <= wish.proto_max:
            return RejectReason.VERSION
        if not wish.suites & self._suite:
            return RejectReason.SUITE
        return RejectReason.LIMITED if wait_ms else None

    def _note_spent(self, slot: HalfOpen, line_ms: int) -> None:
        if not self._host.proximity():
            slot.spent_ms.append(line_ms)

    def _offer(self, wish: ClientHello, payload: bytes, line_ms: int, sids_taken: tuple[int, ...]) -> Answer:
        """PUMP_HELLO of a fresh slot; HS_REJECT if the random source repeats itself."""
        drawn = self._host.draw(2 + NONCE_BYTES)
        nonce = drawn[2:]
        if nonce == self._last_nonce:
            self._stuck = True
            self._events.append(RandomSourceStuck())
            return Answer(Handshake.REJECT, 0, encode(HandshakeReject(RejectReason.RNG_FAILED, 0)))
        self._last_nonce = nonce
        sid = self._free_sid(int.from_bytes(drawn[:2], "little"), sids_taken)
        key = self._host.key_of(wish.key_id)
        handle, secret = wish.nonce_c[:PEER_HANDLE_BYTES], b""  # suite NONE: only whose hello is answered
        if self._secured:
            secret = key.key if key is not None else self._decoy(wish.key_id)
            handle = peer_handle(secret, wish.nonce_c)
        pump_hello = encode(
            PumpHello(
                proto=PROTOCOL_VERSION,
                suite=self._suite,
                sid=sid,
                boot_count=self._host.boot_count(),
                nonce_p=nonce,
                peer_handle=handle,
                caps=int(self._caps),
            )
        )
        keys = derive_keys(secret, payload, pump_hello) if self._secured else NO_KEYS
        slot = HalfOpen(
            payload, pump_hello, wish.role, wish.key_id, sid, key, keys, expires_ms=line_ms + HALF_OPEN_MS
        )
        self._note_spent(slot, line_ms)
        self._half_open = slot
        return Answer(Handshake.PUMP_HELLO, slot.sid, slot.pump_hello)

    def _free_sid(self, drawn: int, sids_taken: tuple[int, ...]) -> int:
        """A sid that is not 0, the active, the previous, or that of the slot being replaced."""
        replaced = self._half_open.sid if self._half_open is not None else 0
        sid = drawn
        while sid in (0, replaced, *sids_taken):
            sid = (sid + 1) & 0xFFFF
        return sid

    def _decoy(self, key_id: int) -> bytes:
        if not self._decoy_secret:
            self._decoy_secret = self._host.draw(KEY_BYTES)
        return decoy_key(self._decoy_secret, key_id)

    def _fail(
        self, slot: HalfOpen, reason: RejectReason, line_ms: int, *, retry_after_ms: int
    ) -> Answer | None:
        self._statistics.hs_fail += 1
        self._events.append(HandshakeFailed(slot.key_id, reason))
        return self.reject(reason, slot.sid, line_ms, retry_after_ms=retry_after_ms)
