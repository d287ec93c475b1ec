"""One of two recordings that are compared: its messages, and what could not be read of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hil.capture.messages import FrameState, RecordedMessage, read_messages
from protocol.capture.pcapng import Damage

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from protocol.link.development_keys import DeviceKey


@dataclass
class Side:
    """One of the two files: its messages, and what could not be read of it."""

    path: Path
    messages: list[RecordedMessage] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)

    @property
    def sealed(self) -> int:
        """How many of its frames no key opens."""
        return sum(each.state is FrameState.SEALED for each in self.messages)


def read_side(path: Path, keys: Iterable[DeviceKey]) -> Side:
    """All of a recording that can be read; BadConfiguration where it is none."""
    side = Side(path)
    for entry in read_messages(path, keys):
        if isinstance(entry, RecordedMessage):
            if entry.state is not FrameState.DELIMITERS:
                side.messages.append(entry)
        elif isinstance(entry, Damage):
            side.damage.append(entry.what if entry.at < 0 else f"byte {entry.at}: {entry.what}")
    return side
