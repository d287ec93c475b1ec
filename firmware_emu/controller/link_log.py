"""What of the link's events goes into the log: one row an event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.identifiers import AlarmId, RejectReason
from protocol.link.events import (
    HandshakeFailed,
    HelloLimited,
    RandomSourceStuck,
    ReplayDropped,
    SessionClosed,
    SessionOpened,
    TagFailureBurst,
)
from protocol.log.data import (
    CmdRefusedData,
    HsFailData,
    MacFailBurstData,
    ReplayDropData,
    SessionCloseData,
    SessionOpenData,
)
from protocol.log.entry import actor_of
from protocol.log.types import Actor, LogType
from protocol.wire.limits import SESSION_MARK_BYTES

if TYPE_CHECKING:
    from firmware_emu.controller.commands.request_context import Refused, RequestContext
    from firmware_emu.controller.memory.records import Records
    from protocol.link.events import PumpEvent


def note_link_event(records: Records, event: PumpEvent) -> None:
    """Log an event other than a request; a random source that is stuck is an alarm too."""
    match event:
        case SessionOpened(key=key, client_nonce=nonce):
            data: tuple[object, ...] = SessionOpenData(key.key_id, key.role, nonce[:SESSION_MARK_BYTES])
            records.enter(LogType.SESSION_OPEN, data, actor=actor_of(key.key_id, key.role, key.slot))
        case SessionClosed(reason=reason, key=key):
            data = SessionCloseData(reason, key.key_id)
            records.enter(LogType.SESSION_CLOSE, data, actor=actor_of(key.key_id, key.role, key.slot))
        case HandshakeFailed(key_id=key_id, reason=reject):
            data = HsFailData(reject, key_id)
            records.enter(LogType.HS_FAIL, data, actor=Actor.UNAUTHENTICATED)
        case TagFailureBurst(count=count, key=key):
            data = MacFailBurstData(count, key.key_id)
            records.enter(LogType.MAC_FAIL_BURST, data, actor=Actor.UNAUTHENTICATED)
        case ReplayDropped(count=count):
            records.enter(LogType.REPLAY_DROP, ReplayDropData(count), actor=Actor.UNAUTHENTICATED)
        case HelloLimited():
            records.enter(LogType.HS_LIMITED, actor=Actor.UNAUTHENTICATED)
        case RandomSourceStuck():
            data = HsFailData(RejectReason.RNG_FAILED, 0)
            records.enter(LogType.HS_FAIL, data)
            records.raise_alarm(AlarmId.RNG_FAILED)


def note_refused(records: Records, request: RequestContext, refused: Refused) -> None:
    """Log that a command which touches therapy was refused."""
    data = CmdRefusedData(request.opcode, refused.code, refused.detail & 0xFFFF_FFFF)
    records.enter(LogType.CMD_REFUSED, data, actor=request.actor, cmd_id=request.cmd_id)
