"""The events of a link: the values that `next_event` of either end returns, one at a time.

They are facts, already in the past; what follows from them (a log entry, an alarm, a retry) is the caller's.
They are tuples, since a frozen dataclass costs 0.3 ms more at every start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from protocol.codec.layouts import equal_by_class

if TYPE_CHECKING:
    from protocol.identifiers import RejectReason, Role
    from protocol.link.development_keys import DeviceKey
    from protocol.log.types import SessionCloseReason
    from protocol.messages.errors import ErrorReply
    from protocol.messages.handshake import PumpHello


@equal_by_class
class SessionInfo(NamedTuple):
    """The open session: whose it is."""

    key_id: int
    role: Role
    slot: int
    sid: int


@equal_by_class
class SessionOpened(NamedTuple):
    """Both proofs are good; an event of both ends, with the nonce of the CLIENT_HELLO."""

    key: DeviceKey
    pump_hello: PumpHello
    client_nonce: bytes


# The pump's end


@equal_by_class
class Request(NamedTuple):
    """A new request, authentic and in order; to be answered, refused or dropped before the next event."""

    opcode: int
    payload: bytes
    ctr: int


@equal_by_class
class SessionClosed(NamedTuple):
    reason: SessionCloseReason
    key: DeviceKey


@equal_by_class
class HandshakeFailed(NamedTuple):
    """A bad proof (PROOF), or a good one with another role than the key's (ROLE)."""

    key_id: int
    reason: RejectReason


@equal_by_class
class HelloLimited(NamedTuple):
    """The budget for unproven answers is used up; told once, until a minute passes without a refusal."""


@equal_by_class
class TagFailureBurst(NamedTuple):
    """So many forged frames that the session was closed."""

    count: int  # type: ignore[assignment] # hides a method of tuple that nobody calls
    key: DeviceKey


@equal_by_class
class ReplayDropped(NamedTuple):
    """Stale, reflected or endlessly repeated frames since the last such event; at most one a minute."""

    count: int  # type: ignore[assignment] # hides a method of tuple that nobody calls


@equal_by_class
class RandomSourceStuck(NamedTuple):
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


@equal_by_class
class SessionRefused(NamedTuple):
    """HS_REJECT came; a hint, since nobody has signed it."""

    reason: RejectReason
    retry_after_s: int


@equal_by_class
class Response(NamedTuple):
    """The authentic answer to the open request."""

    opcode: int
    payload: bytes


@equal_by_class
class Refusal(NamedTuple):
    """An authentic ERR to the open request."""

    opcode: int
    error: ErrorReply


@equal_by_class
class Hint(NamedTuple):
    """An ERR that nobody signed: a reason to reconnect, but no word about any command."""

    opcode: int
    error: ErrorReply


@equal_by_class
class Unknown(NamedTuple):
    """All time-outs are gone, or the answer cannot be understood: the outcome is unknown.

    opcode None: it was a handshake that nobody answered.
    """

    opcode: int | None
    ctr: int


@equal_by_class
class SessionLost(NamedTuple):
    """The pump has ended the session."""


@equal_by_class
class Announcement(NamedTuple):
    """An authentic EVT: a hint that there is something to ask for."""

    opcode: int
    payload: bytes


ClientEvent = (
    SessionOpened | SessionRefused | Response | Refusal | Hint | Unknown | SessionLost | Announcement
)
