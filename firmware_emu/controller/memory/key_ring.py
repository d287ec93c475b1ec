"""The keys of the paired programmers, eight at most, and that of the implant card [SPEC 11].

At rest they are sealed under the chip's own key, so that neither the memory nor anything that tells what was written
to it shows one.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from protocol.identifiers import CARD_KEY_ID, Role
from protocol.link.development_keys import DeviceKey, is_published
from protocol.link.session import open_at_rest, seal_at_rest
from protocol.messages.keys import KEYS_MAX, PAIRED_KEY_IDS
from protocol.wire.limits import KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from firmware_emu.profile import PairedKey

CARD_SLOT: Final = 0xF  # none of the eight
_SLOT: Final = struct.Struct(f"<?BH{KEY_BYTES}s")  # in use, role, key id, key


class KeyRing:
    """The slots. Whoever changes them says so with `mark_dirty(Region.KEYS, Region.KEYS_COPY)`."""

    __slots__ = ("_by_id", "_packed", "_root_key")

    def __init__(self, root_key: bytes, card_key: bytes | None) -> None:
        """Nobody paired; without a card's key no card opens a session."""
        self._root_key = root_key
        self._by_id: dict[int, DeviceKey] = {}
        if card_key is not None:
            published = is_published(card_key)
            self._by_id[CARD_KEY_ID] = DeviceKey(CARD_KEY_ID, Role.OBSERVER, card_key, CARD_SLOT, published)
        self._packed: bytes | None = None

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(map(repr, self.paired))})"

    @property
    def paired(self) -> tuple[DeviceKey, ...]:
        """The paired keys, in the order of their slots."""
        paired = (key for key in self._by_id.values() if key.key_id != CARD_KEY_ID)
        return tuple(sorted(paired, key=lambda key: key.slot))

    def of(self, key_id: int) -> DeviceKey | None:
        """The key of this id, the card's under 0; None where there is none."""
        return self._by_id.get(key_id)

    @property
    def is_full(self) -> bool:
        """Whether all slots are taken."""
        return len(self.paired) >= KEYS_MAX

    def free_key_id(self) -> int:
        """The lowest id that nobody has."""
        return next(key_id for key_id in PAIRED_KEY_IDS if key_id not in self._by_id)

    def add(self, key_id: int, role: Role, key: bytes) -> DeviceKey:
        """Pair a key in the lowest free slot. ValueError where there is none, or the id cannot be used."""
        slots = {each.slot for each in self.paired}
        if key_id not in PAIRED_KEY_IDS or key_id in self._by_id or len(slots) >= KEYS_MAX:
            raise ValueError(f"no key {key_id} can be added beside {len(slots)} others")
        slot = min(set(range(KEYS_MAX)) - slots)
        added = self._by_id[key_id] = DeviceKey(key_id, role, key, slot, is_published(key))
        self._packed = None
        return added

    def fill(self, keys: Iterable[PairedKey]) -> None:
        """Pair what was paired when the pump was made."""
        for key in keys:
            self.add(key.key_id, Role(key.role), key.key)

    def remove(self, key_id: int) -> None:
        """Forget a paired key; KeyError where it is none."""
        del self._by_id[key_id]
        self._packed = None

    def pack(self) -> bytes:
        """Bytes of Region.KEYS and of Region.KEYS_COPY, sealed."""
        if self._packed is None:
            slots = [_SLOT.pack(False, 0, 0, bytes(KEY_BYTES))] * KEYS_MAX
            for key in self.paired:
                slots[key.slot] = _SLOT.pack(True, key.role, key.key_id, key.key)
            self._packed = seal_at_rest(self._root_key, b"".join(slots))
        return self._packed

    @classmethod
    def unpack(cls, data: bytes, root_key: bytes, card_key: bytes | None) -> KeyRing:
        """The slots as they were packed. ValueError where the bytes are damaged, or another chip's."""
        plain = open_at_rest(root_key, data)
        if len(plain) != KEYS_MAX * _SLOT.size:
            raise ValueError(f"key slots in {len(plain)} bytes, expected {KEYS_MAX * _SLOT.size}")
        ring = cls(root_key, card_key)
        for slot, (used, role, key_id, key) in enumerate(_SLOT.iter_unpack(plain)):
            if used:
                ring._by_id[key_id] = DeviceKey(key_id, Role(role), key, slot, is_published(key))
        ring._packed = data
        return ring
