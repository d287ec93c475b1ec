"""Which pump and which memory a programmer talks to, and whether that memory still has what it had [SPEC 9].

A pump that starts with an older copy of its memory, or another pump under the same `memory_id`, answers "never
received" of a command that was carried out. So a programmer keeps marks of each memory: the newest log entries
that secured answers have named to it, its own SESSION_OPEN among them, and the largest counts. It reads those
entries back before it believes what the pump says of the past: proof, never inference.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from hil.errors import BenchLost, DeviceError, DeviceRefused, LinkError
from hil.outcome_store import MarkedEntry, Marks
from hil.programmer.expected_pump import serial_of
from hil.programmer.log_reading import ANY_EPOCH, NO_FILTER, OLDEST
from protocol.errors import RemoteError
from protocol.identifiers import DeviceKind, Role
from protocol.log.entry import LogEntry
from protocol.log.types import LogName, LogType
from protocol.messages.log import LOG_READ_MAX, LogRead
from protocol.messages.reading import GetInfo, GetStatus
from protocol.wire.limits import SESSION_MARK_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.deadline import Deadline
    from hil.outcome_store import OutcomeStore
    from hil.programmer.requester import Requester
    from protocol.messages.log import LogReadReply
    from protocol.messages.reading import GetInfoReply, GetStatusReply

    Read = Callable[[LogRead], LogReadReply]

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


@dataclass(slots=True)
class KnownPump:
    """What is known of the pump in one session; `marks` are taken in it, and grow with each command."""

    session_number: int
    serial: str
    memory_id: int
    kind: DeviceKind
    last_cmd_id: int
    last_seq: int
    continuity: Continuity
    why: str
    marks: Marks

    @property
    def is_proven(self) -> bool:
        """True if this memory has everything that it had."""
        return self.continuity is Continuity.PROVEN


class Recognition:
    """Knows a pump again, by what is on file of it."""

    def __init__(self, requester: Requester, store: OutcomeStore) -> None:
        self.notices: list[str] = []
        """What a person should know and that stands in nobody's way: one sentence each."""
        self._requester = requester
        self._session = requester.session
        self._store = store
        self._known: KnownPump | None = None
        self._first: tuple[str, int, DeviceKind] | None = None
        """Serial number and memory of the pump that was talked to first, and what kind of device it is."""

    @property
    def may_command(self) -> bool:
        """False for an observer, who has no ledger."""
        return self._session.key.role != Role.OBSERVER

    def know(self, deadline: Deadline | None = None) -> KnownPump:
        """Which memory we talk to, whether it is as it was, and which id it saw last; read anew in each session."""
        deadline = deadline or self._requester.deadline()
        while True:
            self._requester.ensure_session(deadline)
            number = self._session.session_number
            if self._known is not None and self._known.session_number == number:
                return self._known
            info = self._requester.request(GetInfo(), deadline)
            status = self._requester.request(GetStatus(), deadline)
            self._store.keep_on_file(info.memory_id, durable=info.kind is not DeviceKind.REPLAY)
            back = self._look_back(info, status, deadline)
            if self._session.is_open and self._session.session_number == number:
                self._known = KnownPump(
                    number,
                    serial_of(info),
                    info.memory_id,
                    info.kind,
                    status.last_cmd_id,
                    status.last_seq,
                    *back,
                )
                self._first = self._first or (self._known.serial, info.memory_id, info.kind)
                if self._known.is_proven:  # each session leaves an entry by which it is known again
                    self._store.mark(info.memory_id, back.marks)
                self._note_a_loss(self._known)

    def is_first(self, known: KnownPump) -> bool:
        """False where another pump is on the line than the one that was talked to first."""
        return (known.serial, known.memory_id, known.kind) == self._first

    def read_anew(self) -> None:
        """Ask the pump again who it is, the next time that it matters: another programmer may have used this key."""
        self._known = None

    def trust_from_here(self, known: KnownPump) -> None:
        """Take the marks of this session, unless an open outcome still hangs on older ones that failed."""
        if known.is_proven or not self._store.open_commands(known.memory_id):
            known.continuity, known.why = Continuity.PROVEN, ""
            self._store.mark(known.memory_id, known.marks)

    def mark_answer(self, memory_id: int, cmd_id: int, seq: int) -> None:
        """Read the log entry that an answer has named: by it the memory is known again.

        An answer that gets lost here costs a mark and nothing else.
        """
        known = self._known
        if known is None or known.memory_id != memory_id or not known.is_proven or not self._session.is_open:
            return
        marks = replace(known.marks, last_cmd_id=max(known.marks.last_cmd_id, cmd_id))
        try:
            entry = _marked_entry(LogName.MAIN, seq, self._requester.request_once)
        except (LinkError, DeviceError, BenchLost):
            entry = None
        if entry is not None:
            others = tuple(other for other in marks.entries if other.log != LogName.MAIN)
            marks = replace(marks, entries=(*others, entry))
        known.marks = marks
        self._store.mark(memory_id, marks)

    def _look_back(self, info: GetInfoReply, status: GetStatusReply, deadline: Deadline) -> LookBack:
        """Whether this memory still has what it had when this programmer last saw it. A replay may have no log."""
        opened = self._session.opened
        if opened is None:
            raise AssertionError("a session is open, so it was opened")
        now = Marks(opened.pump_hello.boot_count, status.t_mono_s, status.last_cmd_id)
        if not self.may_command:
            return LookBack(Continuity.UNPROVEN, "this key has no ledger", now)
        try:
            return look_back(
                self._store.marks(info.memory_id),
                now,
                opened.client_nonce,
                lambda request: self._requester.request(request, deadline),
            )
        except DeviceRefused:
            if info.kind is not DeviceKind.REPLAY:
                raise
            return LookBack(Continuity.UNPROVEN, "its recording has not this part of its log", now)

    def _note_a_loss(self, known: KnownPump) -> None:
        """Say that a memory has lost something, where no outcome hangs on it: else that is what is said."""
        before = self._store.commands_before(known.memory_id, known.serial)
        if before and self._store.marks(known.memory_id) is None:
            self.notices.append(
                f"pump {known.serial} has another memory than when this programmer last commanded it; nothing is "
                f"known here of what happened before, so compare program, reservoir and log"
            )
            self.notices += [
                f"{filed.name} was {filed.outcome} when it lost that memory; how it ended cannot be found out"
                for _, filed in before
                if not filed.final and not filed.unknown
            ]
        if known.continuity is Continuity.LOST and not self._store.open_commands(known.memory_id):
            self.notices.append(
                f"the pump has lost memory since this programmer last used it: {known.why}; "
                f"nothing that it says of the past can be relied on, so compare program, reservoir and log"
            )


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
        page = read(LogRead(log, ANY_EPOCH, mark.seq if mark else OLDEST, LOG_READ_MAX, NO_FILTER))
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


def _marked_entry(log: LogName, seq: int, read: Read) -> MarkedEntry | None:
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
