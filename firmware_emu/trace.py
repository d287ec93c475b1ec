"""The trace of a step as it was noted; entries for the bytes that reached the memory are made when somebody reads them.

They are most of a quiet life's trace, and whoever only wants to get through the years reads none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from firmware_emu.events import MemoryWritten, TraceEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from firmware_emu.now import Now

Write = tuple[int, bytes]
"""An address and what was written there."""


class Written(NamedTuple):
    """What reached the memory at one moment, in order."""

    now: Now
    writes: tuple[Write, ...]

    def entries(self) -> Iterator[TraceEntry]:
        """An entry for each write."""
        return (TraceEntry(self.now, MemoryWritten(at, data)) for at, data in self.writes)


class QuietHours(NamedTuple):
    """What reached the memory in a row of hours, one write at the end of each, within one step of the pump."""

    step_start: Now
    step_end: Now
    ends_ms: range
    """Pump time of the end of each hour."""
    writes: tuple[Write, ...]

    def entries(self) -> Iterator[TraceEntry]:
        """An entry for each hour."""
        for end_ms, (at, data) in zip(self.ends_ms, self.writes, strict=True):
            yield TraceEntry(self.step_start.on_the_way_to(self.step_end, end_ms), MemoryWritten(at, data))


Note = TraceEntry | Written | QuietHours


def entries_of(notes: Iterable[Note]) -> tuple[TraceEntry, ...]:
    """The trace: each event with its moment, in the order in which it happened."""
    entries: list[TraceEntry] = []
    for note in notes:
        if isinstance(note, TraceEntry):
            entries.append(note)
        else:
            entries += note.entries()
    return tuple(entries)


def writes_of(notes: Iterable[Note]) -> tuple[Write, ...]:
    """All that reached the memory, in order."""
    return tuple(write for note in notes if not isinstance(note, TraceEntry) for write in note.writes)


class Step(NamedTuple):
    """What one step gave. A wake-up of None asks for none; both are hints, early and late calls do no harm."""

    to_send: bytes
    wake_at_ms: int | None
    wake_line_ms: int | None
    notes: tuple[Note, ...]
    """What happened, in order; `trace` and `writes` read it."""

    @property
    def trace(self) -> tuple[TraceEntry, ...]:
        """Each event with its moment, made anew at each call."""
        return entries_of(self.notes)

    @property
    def writes(self) -> tuple[Write, ...]:
        """What reached the memory, in order."""
        return writes_of(self.notes)
