"""The newest of a pump's trace, numbered, in bounded memory: what was lost of it is counted, never passed over.

A mark is how many entries there have been, from the moment on at which this emulator was started. Who reads keeps a
mark of its own, so that no reader costs another one room, and none can hold up the pump.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from firmware_emu.events import MemoryChanged, MemoryWritten, TraceEntry

ENTRIES_KEPT = 10_000
PAGE_ENTRIES = 1_000  # of one answer; more is asked for again


@dataclass(frozen=True, slots=True)
class _Block:
    """What one step gave. Frozen, so that a fork of the pump shares it."""

    first: int
    entries: tuple[TraceEntry, ...]

    @property
    def end(self) -> int:
        return self.first + len(self.entries)


class TracePage(NamedTuple):
    """Entries in their order, `first` the number of the first of them, and how many before that are lost."""

    lost: int
    first: int
    entries: tuple[TraceEntry, ...]

    @property
    def next(self) -> int:
        """The mark to go on from."""
        return self.first + len(self.entries)


def _to_be_seen(entry: TraceEntry) -> TraceEntry:
    """The entry without a key that it may hold."""
    event = entry.event
    if type(event) is not MemoryWritten:
        return entry
    return TraceEntry(entry.now, MemoryChanged(event.address, len(event.data)))


class TraceRing:
    """Keeps the newest entries: `ENTRIES_KEPT` at least, and no whole step more."""

    __slots__ = ("_blocks", "mark")

    def __init__(self) -> None:
        self._blocks: deque[_Block] = deque()
        self.mark = 0
        """How many entries there have been."""

    def add(self, entries: tuple[TraceEntry, ...]) -> None:
        """What one step gave, without what was written to the memory; the oldest go where there is no room."""
        if not entries:
            return
        blocks = self._blocks
        blocks.append(_Block(self.mark, tuple(map(_to_be_seen, entries))))
        self.mark += len(entries)
        while self.mark - blocks[0].end >= ENTRIES_KEPT:
            blocks.popleft()

    @property
    def kept_from(self) -> int:
        """The number of the oldest entry that is there."""
        return self._blocks[0].first if self._blocks else self.mark

    def since(self, mark: int, at_most: int | None = None) -> TracePage:
        """What there has been from a mark on, `at_most` so many; nothing where the mark is the newest or none yet."""
        first = min(max(mark, self.kept_from), self.mark)
        found: list[_Block] = []
        for block in reversed(self._blocks):
            if block.end <= first:
                break
            found.append(block)
        entries = tuple(entry for block in reversed(found) for entry in block.entries)
        skipped = max(0, first - found[-1].first) if found else 0
        return TracePage(
            max(0, first - mark), first, entries[skipped : None if at_most is None else skipped + at_most]
        )
