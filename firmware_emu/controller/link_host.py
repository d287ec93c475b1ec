"""What the link needs of its pump: keys, random bytes, the number of boots, and whether somebody stands near."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from firmware_emu.controller.memory.key_ring import KeyRing
    from firmware_emu.pins import Pins
    from protocol.link.development_keys import DeviceKey


class LinkHost:
    """Implements `protocol.link.handshake_rules.HandshakeHost`."""

    __slots__ = ("_boot_count", "_keys", "_pins", "_rng_failed")

    def __init__(self, keys: KeyRing, pins: Pins, boot_count: int, *, rng_failed: bool) -> None:
        self._keys = keys
        self._pins = pins
        self._boot_count = boot_count
        self._rng_failed = rng_failed

    def key_of(self, key_id: int) -> DeviceKey | None:
        """A paired programmer's key, or the implant card's; None where there is none."""
        return self._keys.of(key_id)

    def draw(self, length: int) -> bytes:
        """Random bytes for sessions."""
        return self._pins.entropy.draw("session", length)

    def boot_count(self) -> int:
        """How often this pump has started."""
        return self._boot_count

    def proximity(self) -> bool:
        """Whether somebody holds a magnet over the pump."""
        return self._pins.magnet.near()

    def rng_failed(self) -> bool:
        """Whether the random source failed its self-test."""
        return self._rng_failed
