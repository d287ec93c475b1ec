"""The keys of the sessions in a recording: those that it holds, and those that follow from its handshakes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hil.capture.messages import entries_of
from hil.key_file import key_finder
from protocol.capture.following import Follower
from protocol.capture.pcapng import Damage
from protocol.capture.recording import Passed, SessionSecret

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from protocol.link.development_keys import DeviceKey


class SessionKeys(NamedTuple):
    """The keys in the order in which their sessions began, each once, and in how many places the file is damaged."""

    secrets: tuple[SessionSecret, ...]
    damage: int

    def __repr__(self) -> str:
        return f"SessionKeys({len(self.secrets)} hidden, damage={self.damage})"


def session_keys(path: Path, keys: Iterable[DeviceKey] = ()) -> SessionKeys:
    """The keys of all sessions that the file's own secrets, a device's keys or those of development open.

    BadConfiguration where the file cannot be read or is no pcapng.
    """
    follower, damage = Follower(key_finder(keys)), 0
    secrets: dict[SessionSecret, None] = {}
    for entry in entries_of(path):
        if isinstance(entry, SessionSecret):
            secrets[entry] = None
        elif isinstance(entry, Passed):
            follower.follow(entry)
            secrets |= dict.fromkeys(follower.found)
            follower.found.clear()
        elif isinstance(entry, Damage):
            damage += 1
    return SessionKeys(tuple(secrets), damage)
