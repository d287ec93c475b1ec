"""Values that are other in each run: which fields hold them, and what each recorded one is called now.

A device gives out tokens, revisions and numbers of log entries, a programmer its command ids; a check value follows
from what it covers. What was recorded is translated into what this run has, and back.
"""

from __future__ import annotations

from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from protocol.errors import LocalError, RemoteError
from protocol.log.entry import LogEntry, pack_data
from protocol.log.types import LogName
from protocol.messages.ledger import OWN_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    Translate = Callable[["Volatile", Any], Any]
    _Placed = tuple[tuple[Any, ...], tuple["Volatile", Any]]

ENTRIES: Final = "entries"
"""The field of LOG_READ's answer whose bytes are log entries."""


class Volatile(StrEnum):
    """A kind of value: two fields of one kind name the same thing by the same value."""

    COMMAND_ID = "command id"
    KEY = "key id"
    TOKEN = "token of a PREPARE"  # noqa: S105 - a kind of value
    PROGRAM_REVISION = "revision of the program"
    STATUS_REVISION = "revision of the status"
    SEQUENCE = "entry of the main log"
    SECURITY_SEQUENCE = "entry of the security log"
    CHECKSUM = "check value"
    SESSION = "nonce of a session"
    MEMORY = "memory id"


KIND_OF_FIELD: Final = {
    **dict.fromkeys(("cmd_id", "target_cmd_id", "bolus_cmd_id", "last_cmd_id", "voided_cmd_id"), Volatile.COMMAND_ID),
    **dict.fromkeys(("key_id", "target_key_id", "bolus_key_id"), Volatile.KEY),
    "token": Volatile.TOKEN,
    **dict.fromkeys(("program_rev", "base_rev"), Volatile.PROGRAM_REVISION),
    "status_rev": Volatile.STATUS_REVISION,
    **dict.fromkeys(("seq", "start_seq", "end_seq", "on_seq", "last_seq", "first_seq"), Volatile.SEQUENCE),
    **dict.fromkeys(("from_seq", "next_seq", "oldest_seq", "newest_seq", "first_bad_seq"), Volatile.SEQUENCE),
    **dict.fromkeys(("cmd_crc", "crc", "staged_crc"), Volatile.CHECKSUM),
    "nonce_start": Volatile.SESSION,
    "memory_id": Volatile.MEMORY,
}  # fmt: skip
"""The fields of messages and of log entries that hold them. Numbers of entries are those of the main log, unless the
message says that it is about the other."""

COUNTED: Final = frozenset(
    {
        Volatile.COMMAND_ID,
        Volatile.PROGRAM_REVISION,
        Volatile.STATUS_REVISION,
        Volatile.SEQUENCE,
        Volatile.SECURITY_SEQUENCE,
    }
)
"""These go up: one that is not known yet lies as far from the last one known as it did in the recording."""


def _is_nobody(kind: Volatile, value: Any) -> bool:
    """Whether a value means the same in every run: no id, no number, and of keys the own one."""
    return value == 0 or (kind is Volatile.KEY and value == OWN_KEY)


class _Names:
    """The values of one kind: what each is called in the run and in the recording, and the last pair met."""

    __slots__ = ("last", "now", "then")

    def __init__(self) -> None:
        self.now: dict[Hashable, Any] = {}
        self.then: dict[Hashable, Any] = {}
        self.last: tuple[int, int] | None = None


class Values:
    """What each volatile value of a recording is called in this run, for one programmer: ids are each key's own."""

    def __init__(self, others: Values | None = None) -> None:
        """`others` are those of another programmer of the same device, who shares all but the command ids."""
        self.names = {kind: _Names() for kind in Volatile}
        if others is not None:
            self.names = {**others.names, Volatile.COMMAND_ID: self.names[Volatile.COMMAND_ID]}

    def learn(self, kind: Volatile, recorded: Any, now: Any) -> None:
        """What the recording calls so is called so now. What is known already stays."""
        if _is_nobody(kind, recorded) or _is_nobody(kind, now):
            return
        names = self.names[kind]
        if recorded not in names.now and now not in names.then:
            names.now[recorded], names.then[now] = now, recorded
            if kind in COUNTED:
                names.last = recorded, now

    def learn_from(self, recorded: Any, now: Any) -> None:
        """All that two messages of one class tell, one of the recording and its counterpart of this run."""
        if type(recorded) is not type(now):
            return
        now_values = dict(_volatile(now))
        for path, (kind, value) in _volatile(recorded):
            if path in now_values:
                self.learn(kind, value, now_values[path][1])
            if path == ("last_cmd_id",) and self.names[kind].last is None:
                self.names[kind].last = value, now_values[path][1]  # also 0: no command yet

    def is_known(self, kind: Volatile, recorded: Any) -> bool:
        """Whether a value of the recording was met in this run."""
        return recorded in self.names[kind].now

    def was_known(self, kind: Volatile, now: Any) -> bool:
        """Whether a value of this run stands for one of the recording."""
        return now in self.names[kind].then

    def to_run(self, kind: Volatile, recorded: Any) -> Any:
        """What a recorded value is called now; itself where nothing is known of it."""
        return self.names[kind].now.get(recorded, recorded)

    def to_recording(self, kind: Volatile, now: Any) -> Any:
        """What a value of this run was called in the recording; itself where nothing is known of it."""
        return self.names[kind].then.get(now, now)

    def counted_on(self, kind: Volatile, recorded: Any) -> Any:
        """As `to_run`; a number that is not known yet counts on from the last one that is."""
        names = self.names[kind]
        if recorded in names.now or _is_nobody(kind, recorded) or names.last is None:
            return self.to_run(kind, recorded)
        last_recorded, last_now = names.last
        counted = recorded + last_now - last_recorded
        return counted if counted > 0 else recorded


def translated(message: Any, translate: Translate, *, log: LogName = LogName.MAIN) -> Any:
    """A message in which `translate` has replaced each volatile value, also those in log entries."""
    log = getattr(message, "log", log)
    parts = [
        _translated_part(name, part, translate, log)
        for name, part in zip(message._fields, message, strict=True)
    ]
    return type(message)._make(parts)


def _translated_part(name: str, part: Any, translate: Translate, log: LogName) -> Any:
    if hasattr(part, "_fields"):
        return translated(part, translate, log=log)
    if isinstance(part, tuple):
        return tuple(_translated_part(name, each, translate, log) for each in part)
    if isinstance(part, bytes) and name == ENTRIES:
        return _translated_entry(part, translate, log)
    kind = _kind_of(name, log)
    return part if kind is None else translate(kind, part)


def _kind_of(name: str, log: LogName) -> Volatile | None:
    kind = KIND_OF_FIELD.get(name)
    if kind is Volatile.SEQUENCE and log is LogName.SECURITY:
        return Volatile.SECURITY_SEQUENCE
    return kind


def _translated_entry(raw: bytes, translate: Translate, log: LogName) -> bytes:
    """A log entry with what is volatile in it translated; one that cannot be read stays as it is."""
    with suppress(RemoteError, LocalError, KeyError):
        entry = LogEntry.unpack(raw)
        changed = translated(entry, translate, log=log)
        details = entry.details()
        if details._fields:
            changed = changed._replace(data=pack_data(translated(details, translate, log=log)))
        return raw if changed == entry else changed.pack()
    return raw


def _volatile(message: Any, path: tuple[Any, ...] = (), log: LogName = LogName.MAIN) -> Iterator[_Placed]:
    """Where in a message volatile values stand, and which."""
    log = getattr(message, "log", log)
    for name, part in zip(message._fields, message, strict=True):
        yield from _volatile_part(name, part, (*path, name), log)


def _volatile_part(name: str, part: Any, path: tuple[Any, ...], log: LogName) -> Iterator[_Placed]:
    if hasattr(part, "_fields"):
        yield from _volatile(part, path, log)
    elif isinstance(part, tuple):
        for index, each in enumerate(part):
            yield from _volatile_part(name, each, (*path, index), log)
    elif isinstance(part, bytes) and name == ENTRIES:
        with suppress(RemoteError, KeyError):
            entry = LogEntry.unpack(part)
            yield from _volatile(entry, path, log)
            yield from _volatile(entry.details(), (*path, "data"), log)
    else:
        kind = _kind_of(name, log)
        if kind is not None:
            yield path, (kind, part)
