"""What happens on a link: the values that `next_event` of either end gives, one at a time.

They are facts, already in the past; what follows from them (a log entry, an alarm, a retry) is the caller's.
`Request` and `Response` are tuples, since every exchange makes one of each; the others are rare.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from protocol.identifiers import RejectReason, Role
    from protocol.link.development_keys import DeviceKey
    from protocol.log.types import SessionCloseReason
    from protocol.messages.errors import ErrorReply
    from protocol.messages.handshake import PumpHello


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """The open session: whose it is."""

    key_id: int
    role: Role
    slot: int
    sid: int


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """Both proofs are good. Either end. `client_nonce` is that of the CLIENT_HELLO."""

    key: DeviceKey
    pump_hello: PumpHello
    client_nonce: bytes


# The pump's end


class Request(NamedTuple):
    """A new request, authentic and in order. Answer, refuse or drop it before the next event."""

    opcode: int
    payload: bytes
    ctr: int


@dataclass(frozen=True, slots=True)
class SessionClosed:
    reason: SessionCloseReason
    key: DeviceKey


@dataclass(frozen=True, slots=True)
class HandshakeFailed:
    """A bad proof (PROOF), or a good one with another role than the key's (ROLE)."""

    key_id: int
    reason: RejectReason


@dataclass(frozen=True, slots=True)
class HelloLimited:
    """The budget for unproven answers is used up. Told once, until a minute passes without a refusal."""


@dataclass(frozen=True, slots=True)
class TagFailureBurst:
    """So many forged frames that the session was closed."""

    count: int
    key: DeviceKey


@dataclass(frozen=True, slots=True)
class ReplayDropped:
    """Stale, reflected or endlessly repeated frames since the last such event; at most one a minute."""

    count: int


@dataclass(frozen=True, slots=True)
class RandomSourceStuck:
    """Two handshakes drew the same nonce: sessions are refused from now on."""


PumpEvent = (
    Request
    | SessionOpened
    | SessionClosed
    | HandshakeFailed
    | HelloLimited
    | TagFailureBurst
    | ReplayDropped
    | RandomSourceStuck
)


# The client's end


@dataclass(frozen=True, slots=True)
class SessionRefused:
    """HS_REJECT came. A hint: nobody has signed it."""

    reason: RejectReason
    retry_after_s: int


class Response(NamedTuple):
    """The authentic answer to the open request."""

    opcode: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """An authentic ERR to the open request."""

    opcode: int
    error: ErrorReply


@dataclass(frozen=True, slots=True)
class Hint:
    """An ERR that nobody signed. Reconnecting is allowed, concluding anything about a command is not."""

    opcode: int
    error: ErrorReply


@dataclass(frozen=True, slots=True)
class Unknown:
    """All time-outs are gone, or the answer cannot be understood: the outcome is unknown.

    opcode None: it was a handshake that nobody answered.
    """

    opcode: int | None
    ctr: int


@dataclass(frozen=True, slots=True)
class SessionLost:
    """The pump has ended the session."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """An authentic EVT: a hint that there is something to ask for."""

    opcode: int
    payload: bytes


ClientEvent = (
    SessionOpened | SessionRefused | Response | Refusal | Hint | Unknown | SessionLost | Announcement
)
