"""The snapshots that a bench keeps by name, for whoever wants to go back to one: bounded, and gone with the bench."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from firmware_emu.bench.errors import NotNowError

if TYPE_CHECKING:
    from firmware_emu.bench.snapshot import Snapshot

KEPT_MAX: Final = 64
NAME: Final = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"


@dataclass(frozen=True, slots=True)
class KeptSnapshot:
    """A snapshot and its name. Nobody changes it: whoever goes on from it goes on from a copy."""

    name: str
    snapshot: Snapshot


class SnapshotShelf:
    """Snapshots by name; one more under a name that is there replaces it."""

    __slots__ = ("_by_name",)

    def __init__(self) -> None:
        self._by_name: dict[str, KeptSnapshot] = {}

    @property
    def every(self) -> tuple[KeptSnapshot, ...]:
        """All of them, in the order in which they came."""
        return tuple(self._by_name.values())

    def put(self, kept: KeptSnapshot) -> None:
        """Keep one; NotNowError where there are as many as a bench keeps, or for a name that is none."""
        if not re.fullmatch(NAME, kept.name):
            raise NotNowError(
                f"{kept.name[:80]!r} is no name of a snapshot: 1 to 64 letters, digits, dots, dashes and underlines"
            )
        if kept.name not in self._by_name and len(self._by_name) >= KEPT_MAX:
            raise NotNowError(f"a bench keeps {KEPT_MAX} snapshots, and has them; forget one first")
        self._by_name.pop(kept.name, None)
        self._by_name[kept.name] = kept

    def named(self, name: str) -> KeptSnapshot:
        """The snapshot of that name; NotNowError says which there are."""
        kept = self._by_name.get(name)
        if kept is None:
            there = ", ".join(self._by_name) or "none"
            raise NotNowError(f"there is no snapshot {name[:80]!r}; there are: {there}")
        return kept

    def forget(self, name: str) -> None:
        """Throw one away; NotNowError where there is none of that name."""
        self.named(name)
        del self._by_name[name]
