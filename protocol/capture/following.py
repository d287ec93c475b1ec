"""Follows the sessions in what passed on a line, so that their frames can be opened: for who only listens.

The keys of a session come from the recording, or follow from its handshake and the key of the device.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from protocol.capture.recording import SessionSecret, Way
from protocol.codec.atoms import Malformed
from protocol.codec.layouts import decode
from protocol.identifiers import Handshake, Kind
from protocol.link.session import FROM_PUMP, TO_PUMP, derive_keys, peer_handle, unseal
from protocol.messages.handshake import ClientHello, PumpHello
from protocol.wire.frame import SECURED, BadFrame, Frame
from protocol.wire.framing import DELIMITER, decode_frame
from protocol.wire.limits import HEADER_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.capture.recording import Passed

HELLOS_KEPT: Final = 8
"""An answer belongs to one of the last hellos; on a bad line not to the very last."""
KEYS_A_SESSION: Final = 4
"""A sid has 16 bits: where several lines were recorded into one file, two sessions may share one."""
_DIRECTIONS: Final = {Way.TO_PUMP: TO_PUMP, Way.FROM_PUMP: FROM_PUMP}


class Followed(NamedTuple):
    """What passed, as far as it can be understood.

    `frame` is None for delimiters alone. `payload` is in clear; None where the frame is bad, or where no key opens it,
    as `sealed` says.
    """

    passed: Passed
    frame: Frame | BadFrame | None
    payload: bytes | None
    sealed: bool


class Follower:
    """Goes along with one line, in the order of what passed.

    `device_key` gives the key of a key_id, None where it has none; without it sessions are opened by `learn` alone.
    """

    def __init__(self, device_key: Callable[[int], bytes | None] | None = None) -> None:
        self._device_key = device_key
        self._hellos: deque[bytes] = deque(maxlen=HELLOS_KEPT)
        self._sealing: dict[int, list[bytes]] = {}
        self.found: list[SessionSecret] = []
        """The keys that followed from handshakes since somebody last took them."""

    def learn(self, secret: SessionSecret) -> None:
        """Take the key of a session that begins. Older ones stay: two lines may be in one file."""
        known = self._sealing.setdefault(secret.sid, [])
        if secret.sealing in known:
            known.remove(secret.sealing)
        known.insert(0, secret.sealing)
        del known[KEYS_A_SESSION:]

    def knows(self, sid: int) -> bool:
        """Whether there is a key for a session, the right one or not."""
        return sid in self._sealing

    def listen(self, data: bytes) -> None:
        """Take what passed, for the sake of the keys that follow from it alone."""
        frame = decode_frame(data.strip(DELIMITER))
        if isinstance(frame, Frame) and frame.kind == Kind.HANDSHAKE:
            self._greeted(frame)

    def follow(self, passed: Passed) -> Followed:
        """What these bytes are."""
        encoded = passed.data.strip(DELIMITER)
        if not encoded:
            return Followed(passed, None, None, sealed=False)
        frame = decode_frame(encoded)
        if isinstance(frame, BadFrame):
            return Followed(passed, frame, None, sealed=False)
        if frame.kind == Kind.HANDSHAKE:
            self._greeted(frame)
        if not frame.flags & SECURED:
            return Followed(passed, frame, frame.body, sealed=False)
        payload = self._opened(frame, passed.way)
        return Followed(passed, frame, payload, sealed=payload is None)

    def _opened(self, frame: Frame, way: Way | None) -> bytes | None:
        header = frame.raw[:HEADER_BYTES]
        for sealing in self._sealing.get(frame.sid, ()):
            for each in Way if way is None else (way,):
                payload = unseal(sealing, _DIRECTIONS[each], frame.sid, frame.ctr, header, frame.body)
                if payload is not None:
                    return payload
        return None

    def _greeted(self, frame: Frame) -> None:
        """A handshake goes on: where the pump has answered a hello, the keys of the session follow."""
        if frame.opcode == Handshake.CLIENT_HELLO:
            self._hellos.append(frame.body)
        elif frame.opcode == Handshake.PUMP_HELLO and self._device_key is not None:
            secret = self._secret_of(frame.body)
            if secret is not None:
                self.learn(secret)
                self.found.append(secret)

    def _secret_of(self, pump_hello: bytes) -> SessionSecret | None:
        """The key of the session that this answer offers; None where it belongs to no hello and no key we know."""
        assert self._device_key is not None  # noqa: S101 - the caller looked
        try:
            answer = decode(PumpHello, pump_hello)
            for client_hello in reversed(self._hellos):
                hello = decode(ClientHello, client_hello)
                key = self._device_key(hello.key_id)
                if key is not None and peer_handle(key, hello.nonce_c) == answer.peer_handle:
                    return SessionSecret(answer.sid, derive_keys(key, client_hello, pump_hello).sealing)
        except Malformed:
            return None  # of a later version, or of an attacker
        return None
