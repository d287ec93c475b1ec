"""One of two recordings that are compared: its messages, and what could not be read of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hil.capture.messages import FrameState, RecordedMessage, read_messages
from protocol.capture.pcapng import Damage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from hil.capture.messages import Seen
    from protocol.link.development_keys import DeviceKey

KEPT_MAX: Final = 50_000
"""Messages of a file that are kept in memory, some 70 MB; a longer one is read anew each time."""


@dataclass
class Side:
    """One of the two files, as its messages, which can be gone through as often as one likes.

    What stands below is known once they have been gone through. BadConfiguration where the file is no recording.
    """

    path: Path
    keys: Iterable[DeviceKey] = ()
    seen: Seen | None = None
    """See `read_messages`."""
    count: int = 0
    sealed: int = 0
    """How many of its frames no key opens."""
    damage: list[str] = field(default_factory=list)
    _kept: list[RecordedMessage] | None = None

    def __iter__(self) -> Iterator[RecordedMessage]:
        """All messages that can be read, in order."""
        if self._kept is not None:
            yield from self._kept
            return
        self.count, self.sealed, self.damage = 0, 0, []
        kept: list[RecordedMessage] = []
        for entry in read_messages(self.path, self.keys, seen=self.seen):
            if isinstance(entry, Damage):
                self.damage.append(entry.what if entry.at < 0 else f"byte {entry.at}: {entry.what}")
            elif isinstance(entry, RecordedMessage) and entry.state is not FrameState.DELIMITERS:
                self.count += 1
                self.sealed += entry.state is FrameState.SEALED
                if self.count <= KEPT_MAX:
                    kept.append(entry)
                else:
                    kept.clear()
                yield entry
        if self.count <= KEPT_MAX:
            self._kept = kept
