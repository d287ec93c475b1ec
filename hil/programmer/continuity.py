"""Whether a pump still has the memory that it had: proven by what it cannot have invented since, never inferred.

A pump that starts with an older copy of its memory, or another pump under the same `memory_id`, answers "never
received" of a command that was carried out. So a programmer keeps marks of each memory [SPEC 9]: the newest log
entries that secured answers have named to it, its own SESSION_OPEN among them, and the largest counts. It
reads those entries back before it believes what the pump says of the past.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from hil.outcome_store import MarkedEntry, Marks
from protocol.errors import RemoteError
from protocol.log.entry import LogEntry
from protocol.log.types import LogName, LogType
from protocol.messages.log import LOG_READ_MAX, LogRead
from protocol.wire.limits import SESSION_MARK_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.messages.log import LogReadReply

    Read = Callable[[LogRead], LogReadReply]

ANY_EPOCH = 0
NO_FILTER = 0
_NOT_COMPARED = frozenset({LogType.HIDDEN})  # what a role may read can change; number and time are left of it


class Continuity(Enum):
    """What can be said of a memory."""

    PROVEN = "every mark is where it was"
    UNPROVEN = "nothing tells whether it is the same"
    LOST = "it has lost something that it had"


class LookBack(NamedTuple):
    """What came of reading the marks back. `why` is for people, "" where it is proven; `marks` are the new ones."""

    continuity: Continuity
    why: str
    marks: Marks


def look_back(old: Marks | None, now: Marks, nonce: bytes, read: Read) -> LookBack:
    """Read back what `old` names, and find this session's own entry, whose hello had `nonce`.

    `now` has the counts of this session and no entries yet; without `old` nothing was ever commanded here, and
    nothing can be lost. What `read` raises passes.
    """
    marked = {} if old is None else {entry.log: entry for entry in old.entries}
    found: list[MarkedEntry] = []
    lost, unproven = _counts_behind(old, now), ""
    for log in LogName:
        mark = marked.get(log)
        if mark is None and log is LogName.MAIN:
            continue
        page = read(LogRead(log, ANY_EPOCH, mark.seq if mark else 0, LOG_READ_MAX, NO_FILTER))
        if mark is not None:
            gone, hidden = _compared(mark, page)
            lost, unproven = lost or gone, unproven or hidden
        own = _own_session(page, nonce, read) if log is LogName.SECURITY else mark
        found += [own] if own else []
    marks = replace(now, entries=tuple(found))
    if old is None:
        return LookBack(Continuity.UNPROVEN, "this programmer has never commanded it before", marks)
    if lost:
        return LookBack(Continuity.LOST, lost, marks)
    if unproven or LogName.SECURITY not in marked:
        return LookBack(Continuity.UNPROVEN, unproven or "no session of this programmer is on file", marks)
    return LookBack(Continuity.PROVEN, "", marks)


def marked_entry(log: LogName, seq: int, read: Read) -> MarkedEntry | None:
    """One entry as a mark; None where the pump does not have it."""
    page = read(LogRead(log, ANY_EPOCH, seq, 1, NO_FILTER))
    raw = next((raw for raw in page.entries if _seq_of(raw) == seq), None)
    return None if raw is None else MarkedEntry(log, page.epoch, seq, raw.hex())


def _counts_behind(old: Marks | None, now: Marks) -> str:
    """Which count is behind what the pump has shown before; "" where none is."""
    if old is None:
        return ""
    rows = (
        ("its count of starts", old.boot_count, now.boot_count),
        ("its seconds of running", old.t_mono_s, now.t_mono_s),
        ("the last command of this key", old.last_cmd_id, now.last_cmd_id),
    )
    behind = [f"{name} was {before} and is {after}" for name, before, after in rows if after < before]
    return behind[0] if behind else ""


def _compared(mark: MarkedEntry, page: LogReadReply) -> tuple[str, str]:
    """Why the marked entry shows a loss, and why it shows nothing; "" twice where it is there as it was."""
    name = f"entry {mark.seq} of its {LogName(mark.log).name.lower()} log"
    if page.epoch != mark.epoch:
        return f"its log was erased: epoch {mark.epoch} was, epoch {page.epoch} is", ""
    if page.newest_seq < mark.seq:
        return f"{name} is gone: the newest is {page.newest_seq}", ""
    if page.oldest_seq > mark.seq:
        return "", f"{name}, by which it would be known again, was overwritten"
    raw = next((raw for raw in page.entries if _seq_of(raw) == mark.seq), b"")
    if raw.hex() == mark.raw or _same_where_hidden(raw, bytes.fromhex(mark.raw)):
        return "", ""
    entry = _parsed(raw)
    if entry is not None and entry.type is LogType.CORRUPT_SLOT:
        return "", f"{name}, by which it would be known again, is damaged"
    return f"{name} is not the one that was there", ""


def _same_where_hidden(one: bytes, other: bytes) -> bool:
    """Whether two readings agree in number and time, where one of them was hidden from its reader."""
    first, second = _parsed(one), _parsed(other)
    if first is None or second is None or not {first.type, second.type} & _NOT_COMPARED:
        return False
    return (first.seq, first.t_mono_s, first.t_ms) == (second.seq, second.t_mono_s, second.t_ms)


def _own_session(page: LogReadReply, nonce: bytes, read: Read) -> MarkedEntry | None:
    """The SESSION_OPEN of this session: the last one in the security log. None where it cannot be found."""
    if not page.entries or _seq_of(page.entries[-1]) < page.newest_seq:
        first = max(page.oldest_seq, page.newest_seq - LOG_READ_MAX + 1)
        page = read(LogRead(LogName.SECURITY, ANY_EPOCH, first, LOG_READ_MAX, NO_FILTER))
    for raw in reversed(page.entries):
        entry = _parsed(raw)
        if entry is not None and entry.type is LogType.SESSION_OPEN:
            if entry.details().nonce_start != nonce[:SESSION_MARK_BYTES]:
                return None
            return MarkedEntry(LogName.SECURITY, page.epoch, entry.seq, raw.hex())
    return None


def _seq_of(raw: bytes) -> int:
    return int.from_bytes(raw[:4], "little")


def _parsed(raw: bytes) -> LogEntry | None:
    try:
        return LogEntry.unpack(raw)
    except RemoteError:
        return None
