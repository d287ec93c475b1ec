"""PAIRING_OPEN, KEY_ADD, KEY_REVOKE and KEY_LIST: who is paired, and when that may change [SPEC 11].

A clinician's session opens a window of line time, with a magnet over the pump; the magnet must still be there at each
change. The implant card, whose key is no paired one, gets the same window after a delay and with an alarm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from firmware_emu.controller.commands.request_context import Refused, RequestContext
from firmware_emu.controller.memory.memory_map import Region
from firmware_emu.units import MS_PER_S
from protocol.identifiers import CARD_KEY_ID, AlarmId, ErrorCode, Missing, Opcode, Role
from protocol.link.session import same_secret
from protocol.log.data import KeyAddData, KeyRevokeData
from protocol.log.types import LogType
from protocol.messages.keys import (
    KEYS_MAX,
    PAIRED_KEY_IDS,
    KeyAddReply,
    KeyListReply,
    KeyRevokeReply,
    KeyRow,
    PairingOpenReply,
    sealed_with,
)

if TYPE_CHECKING:
    from firmware_emu.controller.commands.device_context import DeviceContext
    from protocol.messages.keys import KeyAdd, KeyRevoke

WINDOW_S: Final = 120
RECOVERY_DELAY_MS: Final = 600 * MS_PER_S
RECOVERY_VALID_MS: Final = 600 * MS_PER_S  # after the delay; who comes later waits anew
CARD_OPCODES: Final = frozenset({Opcode.PAIRING_OPEN, Opcode.KEY_ADD, Opcode.KEY_REVOKE, Opcode.KEY_LIST})
"""What a session under the implant card may do beside what an observer may."""


def open_window(device: DeviceContext, request: RequestContext) -> PairingOpenReply:
    """Open the pairing window, or tell the implant card how long its recovery still waits."""
    if not device.host.proximity():
        raise Refused(ErrorCode.PAIRING_CLOSED, Missing.PROXIMITY)
    wait_ms = _recovery_wait_ms(device, request) if request.key_id == CARD_KEY_ID else 0
    if wait_ms:
        return PairingOpenReply(-(-wait_ms // MS_PER_S), WINDOW_S)
    device.pairing.closes_line_ms = request.now.line_ms + WINDOW_S * MS_PER_S
    return PairingOpenReply(0, WINDOW_S)


def _recovery_wait_ms(device: DeviceContext, request: RequestContext) -> int:
    """How long the implant card must still wait, in the patient's time; the first to ask starts that, and the alarm."""
    tick_ms, opens_ms = request.now.tick_ms, device.pairing.recovery_opens_ms
    if opens_ms is None or tick_ms >= opens_ms + RECOVERY_VALID_MS:
        device.pairing.recovery_opens_ms = opens_ms = tick_ms + RECOVERY_DELAY_MS
        device.records.raise_alarm(AlarmId.KEY_RECOVERY)
    return max(0, opens_ms - tick_ms)


def _check_window(device: DeviceContext, request: RequestContext) -> None:
    """Refuse outside the window, and where the magnet is away."""
    closes_ms = device.pairing.closes_line_ms
    missing = Missing(0)
    if closes_ms is None or request.now.line_ms >= closes_ms:
        missing |= Missing.WINDOW
    if not device.host.proximity():
        missing |= Missing.PROXIMITY
    if missing:
        raise Refused(ErrorCode.PAIRING_CLOSED, missing)


def add(device: DeviceContext, request: RequestContext) -> KeyAddReply:
    """Pair a programmer by the key that came wrapped. The same once more changes nothing."""
    _check_window(device, request)
    if not device.model.secured:
        raise Refused(ErrorCode.SUITE)  # without keys of a session none can be wrapped
    wanted: KeyAdd = request.message
    ring, key_id = device.records.keys, wanted.key_id
    key = device.link.unwrap_key(sealed_with(key_id, wanted.role), wanted.wrapped)
    if key is None:
        raise Refused(ErrorCode.KEY_SEAL, key_id, field="wrapped")
    known = ring.of(key_id)
    if known is not None and known.role is wanted.role and same_secret(known.key, key):
        return KeyAddReply()
    if ring.is_full:
        raise Refused(ErrorCode.KEY_SLOTS, key_id, limit=KEYS_MAX, nearest=0, field="key_id")
    if known is not None or key_id not in PAIRED_KEY_IDS:
        nearest = ring.free_key_id()
        raise Refused(ErrorCode.KEY_ID, key_id, limit=PAIRED_KEY_IDS[-1], nearest=nearest, field="key_id")
    if not device.records.ledger.make_room({*(each.key_id for each in ring.paired), key_id}):
        raise Refused(ErrorCode.BUSY, key_id, limit=KEYS_MAX, nearest=0, field="key_id")
    added = ring.add(key_id, wanted.role, key)
    device.records.mark_dirty(Region.KEYS, Region.KEYS_COPY, Region.LEDGER)
    device.records.enter(LogType.KEY_ADD, KeyAddData(key_id, wanted.role, added.slot), actor=request.actor)
    return KeyAddReply()


def revoke(device: DeviceContext, request: RequestContext) -> KeyRevokeReply:
    """Forget a paired key at once; whose session it is learns it at the next frame. One that is none is no error."""
    _check_window(device, request)
    wanted: KeyRevoke = request.message
    records, ring = device.records, device.records.keys
    known = ring.of(wanted.key_id)
    if wanted.key_id not in PAIRED_KEY_IDS:
        raise Refused(ErrorCode.KEY_ID, wanted.key_id, limit=PAIRED_KEY_IDS[-1], nearest=0, field="key_id")
    if known is None:
        return KeyRevokeReply()
    clinicians = [key.key_id for key in ring.paired if key.role is Role.CLINICIAN]
    if clinicians == [wanted.key_id]:
        raise Refused(ErrorCode.LAST_CLINICIAN, wanted.key_id, limit=1, nearest=0, field="key_id")
    ring.remove(wanted.key_id)
    records.mark_dirty(Region.KEYS, Region.KEYS_COPY)
    records.enter(LogType.KEY_REVOKE, KeyRevokeData(wanted.key_id), actor=request.actor)
    return KeyRevokeReply()


def list_keys(device: DeviceContext, request: RequestContext) -> KeyListReply:
    """Who is paired, without the keys."""
    _check_window(device, request)
    return KeyListReply(tuple(KeyRow(key.key_id, key.role, key.slot) for key in device.records.keys.paired))
