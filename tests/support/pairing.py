"""Pairing over a conversation: the magnet, the window, and a key that is wrapped for the next request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.identifiers import Opcode
from protocol.link.client_end import Phase
from protocol.link.development_keys import DeviceKey
from protocol.messages.keys import KeyAdd, KeyList, PairingOpen, sealed_with

if TYPE_CHECKING:
    from hil.campaign.conversation import Conversation
    from protocol.identifiers import Role

NEW_KEY = bytes(range(0x60, 0x70))


def bring_magnet(talk: Conversation) -> None:
    """Hold a magnet over the pump."""
    talk.pump.inject("magnet", {})


def open_window(talk: Conversation) -> None:
    """Hold a magnet over the pump and open the pairing window."""
    bring_magnet(talk)
    assert talk.granted(PairingOpen()).opens_in_s == 0


def key_add(talk: Conversation, key_id: int, role: Role, key: bytes = NEW_KEY) -> KeyAdd:
    """KEY_ADD as the next request of this session would carry it."""
    return KeyAdd(key_id, role, talk.client.wrap_key(sealed_with(key_id, role), key))


def pair(talk: Conversation, key_id: int, role: Role, key: bytes = NEW_KEY) -> DeviceKey:
    """Open the window and pair a key."""
    open_window(talk)
    talk.granted(key_add(talk, key_id, role, key))
    return DeviceKey(key_id, role, key, 0, development=False)


def listed(talk: Conversation) -> dict[int, tuple[Role, int]]:
    """Role and slot of each paired key; the window must be open."""
    return {row.key_id: (row.role, row.slot) for row in talk.granted(KeyList()).keys}


def as_key(talk: Conversation, key: DeviceKey) -> Conversation:
    """The same pump, talked to under another key; the session that there was is ended."""
    if talk.client.phase is Phase.OPEN:
        talk._requested(Opcode.END_SESSION, b"")
    talk.key = key
    talk.client = talk._new_client()
    return talk
