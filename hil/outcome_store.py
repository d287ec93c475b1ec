"""What a programmer keeps on file: command ids, outcomes, and the marks of each pump's memory [SPEC 9].

One file a key, JSON, mode 0600 in a directory of mode 0700. Outcomes are filed under the pump's `memory_id`:
what was asked of another memory stays unknown. No key is kept here, only a fingerprint of one. Without a path
the store lives in memory, for tests and virtual time. Nothing of a replay is ever on file: no pump has received it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import re
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from hil.errors import BadConfiguration, InUse, OutcomeUnknown, UsageError
from hil.own_paths import state_directory
from hil.quantity_words import U32_MAX
from hil.state_file import InUseError, StateFile
from protocol.identifiers import Opcode, Outcome
from protocol.log.types import LogName
from protocol.wire.limits import CMD_ID_STEP_MAX

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = "pumpbench-outcomes/2"
SCHEMA_WITHOUT_MARKS = "pumpbench-outcomes/1"
LAST_CMD_ID = 0xFFFF_FFFE  # 0 and FFFFFFFF are no ids
KEPT_CLOSED = 32  # four ledgers of a pump: enough to answer "what was the last thing that I did?"
FINGERPRINT_DIGITS = 16
MOVE_IT_AWAY = "move it away if you know the outcome of every command in it"
ACCEPTED = "TOO_OLD"  # what the pump says of commands that it cannot tell of any more
RECEIVED = frozenset({"INTENT", "RUNNING", "DONE", "PARTIAL", "NOT_STARTED"})  # the pump has it in its ledger


@dataclass(frozen=True, slots=True)
class FiledCommand:
    """One command as it was sent, and what is known of it.

    `outcome` is a name of Outcome, or "" where no answer ever came. `doubt` says why the pump's word about it is not
    believed; "" where nothing speaks against it.
    """

    cmd_id: int
    opcode: int
    cmd_crc: int
    volume_nl: int = 0
    after_seq: int = 0
    outcome: str = ""
    delivered_nl: int = 0
    uncertain_nl: int = 0
    doubt: str = ""

    @property
    def name(self) -> str:
        """What a person calls it: `STOP 7`."""
        return f"{Opcode(self.opcode).name} {self.cmd_id}"

    @property
    def unknown(self) -> bool:
        """True while nobody can say what became of it."""
        return not self.accepted and (bool(self.doubt) or self.outcome in {"", "INTENT"})

    @property
    def accepted(self) -> bool:
        """True once a person has taken upon himself that its outcome cannot be found out."""
        return self.outcome == ACCEPTED

    @property
    def confirmed(self) -> bool:
        """True if the pump has said, secured, that it has this command."""
        return self.outcome in RECEIVED

    @property
    def final(self) -> bool:
        """True once its outcome cannot change any more."""
        return not self.unknown and self.outcome != "RUNNING"


@dataclass(frozen=True, slots=True)
class MarkedEntry:
    """A log entry that a secured answer has named, as it was read: 32 bytes as hex digits. `log` is a LogName."""

    log: int
    epoch: int
    seq: int
    raw: str


@dataclass(frozen=True, slots=True)
class Marks:
    """What a memory has shown of itself and cannot take back: the largest counts seen, the newest entry of each log."""

    boot_count: int
    t_mono_s: int
    last_cmd_id: int
    entries: tuple[MarkedEntry, ...] = ()


@dataclass(slots=True)
class _Memory:
    """What is filed under one memory of one pump. Without `marks` nothing was ever commanded there.

    `serial` is the pump's serial number, "" where it was not yet filed: a pump that loses its memory keeps it.
    """

    last_cmd_id: int = 0
    commands: dict[int, FiledCommand] = field(default_factory=dict)
    marks: Marks | None = None
    serial: str = ""


def fingerprint_of(key: bytes) -> str:
    """A name for a key that tells nothing of it."""
    return hashlib.sha256(b"pumpbench key fingerprint" + key).hexdigest()[:FINGERPRINT_DIGITS]


def default_path(key_id: int, key: bytes) -> Path:
    """The state file of a key in the directory of what is kept for this person."""
    return state_directory() / f"programmer-{key_id}-{fingerprint_of(key)}.json"


class OutcomeStore:
    """Command ids and outcomes of one key. Open it before use; it holds a lock until it is closed."""

    def __init__(self, path: Path | None = None, *, key: bytes = b"") -> None:
        self._file = None if path is None else StateFile(path)
        self._fingerprint = fingerprint_of(key)
        self._memories: dict[int, _Memory] = {}
        self._off_file: dict[int, _Memory] = {}  # of replays; beside what may be on file under the same id
        self._has_news = False  # marks that are not on file yet

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def open(self) -> None:
        """Take the lock and read what is filed. Opening twice is fine."""
        if self._file is None or self._file.is_open:
            return
        path = self._file.path
        try:
            self._file.open()
        except InUseError as error:
            holder = self._file.holder()
            named = "" if holder is None else f": {holder.words()}"
            raise InUse(
                f"another programmer is using this key (its state file is {path}){named}",
                advice="wait for it to end, or use another key" if holder is None else holder.advice(),
            ) from error
        except OSError as error:
            raise BadConfiguration(
                f"the state file {path} cannot be made ({error.strerror})",
                advice="name another with --state",
            ) from error
        try:
            self._memories = self._read(path)
            self._file.try_writing()  # what cannot be kept must be known before anything is sent
        except BadConfiguration:
            self.close()
            raise
        except OSError as error:
            self.close()
            if error.errno == errno.EBUSY:
                raise BadConfiguration(
                    f"the state file {path} cannot be replaced while it is a mount point of its own ({error.strerror})",
                    advice="nothing was sent; mount its directory instead, or name another with --state",
                ) from error
            raise BadConfiguration(
                f"the state file {path} cannot be replaced ({error.strerror})",
                advice="nothing was sent; make room, or name one with --state in a directory where you may write",
            ) from error

    def close(self) -> None:
        """Write down what is not on file yet, and give the lock back; the file stays. Closing twice is fine."""
        if self._file is not None:
            if self._has_news and self._file.is_open:
                with contextlib.suppress(OSError):  # marks taken late make the next proof stronger, no more
                    self._write()
            self._file.close()

    def keep_on_file(self, memory_id: int, *, durable: bool) -> None:
        """Say, before anything is filed, whether a memory is a pump's, or that of a replay, which ends with its device.

        What a replay is told stays in this store alone, and neither hides nor changes what is on file.
        """
        if durable:
            self._off_file.pop(memory_id, None)
        else:
            self._off_file.setdefault(memory_id, _Memory())

    def next_cmd_id(self, memory_id: int, last_of_pump: int, serial: str = "") -> int:
        """The id for the next command: above all that were ever used, here or by the pump's own account.

        Also above those of memories that the pump lost, as long as it takes such an id: one id means one command.
        """
        last = max(self._memory(memory_id).last_cmd_id, last_of_pump)
        before = max((memory.last_cmd_id for _, memory in self._before(memory_id, serial)), default=0)
        if before - last_of_pump < CMD_ID_STEP_MAX:
            last = max(last, before)
        if last >= LAST_CMD_ID:
            raise UsageError("this key has used up its command ids", advice="pair a new key with the pump")
        return last + 1

    def file(self, memory_id: int, command: FiledCommand) -> None:
        """Write a command down before it is sent; on the disk when this returns, with room for its outcome.

        BadConfiguration where it cannot be written.
        """
        try:
            self._put(memory_id, command, reserving=True)
        except OSError as error:
            raise BadConfiguration(
                f"the state file {self._path} cannot be written ({error.strerror})",
                advice="nothing was sent; make room or name another with --state",
            ) from error

    def settle(
        self,
        memory_id: int,
        command: FiledCommand,
        outcome: str,
        delivered_nl: int = 0,
        uncertain_nl: int = 0,
        doubt: str = "",
    ) -> FiledCommand:
        """File the outcome of a command that was sent; returns it with that outcome.

        OutcomeUnknown where it cannot be written: the next programmer would not know it.
        """
        settled = replace(
            command, outcome=outcome, delivered_nl=delivered_nl, uncertain_nl=uncertain_nl, doubt=doubt
        )
        try:
            self._put(memory_id, settled)
        except OSError as error:
            raise OutcomeUnknown(
                f"{command.name} was sent, its outcome is {outcome or 'not known'}, "
                f"and that could not be written to {self._path} ({error.strerror})",
                cmd_id=command.cmd_id,
                advice="do not repeat it: make room, then run any command with this same state file, and the pump "
                "is asked for it first",
            ) from error
        return settled

    def accept(self, memory_id: int, command: FiledCommand) -> None:
        """Close a command of which nobody can find out what became."""
        self.file(memory_id, replace(command, outcome=ACCEPTED))

    def commands(self, memory_id: int) -> tuple[FiledCommand, ...]:
        """Everything filed under a memory, oldest first."""
        return tuple(self._memory(memory_id).commands.values())

    def open_commands(self, memory_id: int) -> tuple[FiledCommand, ...]:
        """Commands whose outcome may still change or is not known, oldest first."""
        return tuple(c for c in self.commands(memory_id) if not c.final)

    def is_empty(self) -> bool:
        """True if nothing is filed here under any memory."""
        return not any(memory.commands for memory in self._all())

    def has_open(self) -> bool:
        """True if anything is open under any memory."""
        return any(not c.final for memory in self._all() for c in memory.commands.values())

    def unknown_commands(self, memory_id: int) -> tuple[FiledCommand, ...]:
        """Commands of which nobody can say whether they were carried out."""
        return tuple(c for c in self.commands(memory_id) if c.unknown)

    def name_pump(self, memory_id: int, serial: str) -> None:
        """Note whose memory it is; on file with the next command."""
        self._memory(memory_id).serial = serial

    def commands_before(self, memory_id: int, serial: str) -> tuple[tuple[int, FiledCommand], ...]:
        """What is filed under other memories of the pump with this serial number, each with that memory's id."""
        return tuple(
            (other_id, command)
            for other_id, memory in self._before(memory_id, serial)
            for command in memory.commands.values()
        )

    def last_cmd_id(self, memory_id: int) -> int:
        """The largest id that was ever used there from here; 0 before the first."""
        return self._memory(memory_id).last_cmd_id

    def command(self, memory_id: int, cmd_id: int) -> FiledCommand | None:
        """What is filed of one command; None where nothing is, or no more."""
        return self._memory(memory_id).commands.get(cmd_id)

    def marks(self, memory_id: int) -> Marks | None:
        """By what this memory is known again; None where it was never commanded."""
        return self._memory(memory_id).marks

    def mark(self, memory_id: int, marks: Marks) -> None:
        """Replace the marks of a memory; they are written with the next command or outcome, or at the end."""
        self._memory(memory_id).marks = marks
        self._has_news = self._has_news or memory_id not in self._off_file

    @property
    def _path(self) -> Path | None:
        return None if self._file is None else self._file.path

    def _all(self) -> list[_Memory]:
        return [*self._memories.values(), *self._off_file.values()]

    def _home(self, memory_id: int) -> dict[int, _Memory]:
        """Where a memory is kept: on file, unless it is a replay's."""
        return self._off_file if memory_id in self._off_file else self._memories

    def _memory(self, memory_id: int) -> _Memory:
        return self._home(memory_id).setdefault(memory_id, _Memory())

    def _before(self, memory_id: int, serial: str) -> list[tuple[int, _Memory]]:
        """The other memories of the pump with this serial number; "" is no pump's, and a replay is none."""
        if memory_id in self._off_file:
            return []
        others = self._memories.items()
        return [(i, memory) for i, memory in others if i != memory_id and serial and memory.serial == serial]

    def _put(self, memory_id: int, command: FiledCommand, *, reserving: bool = False) -> None:
        """Keep a command and write it down; where that fails, for whatever reason, all is as it was."""
        before, home = self._memory(memory_id), self._home(memory_id)
        commands = {**before.commands, command.cmd_id: command}
        for cmd_id in [c.cmd_id for c in commands.values() if c.final][:-KEPT_CLOSED]:
            del commands[cmd_id]
        last_cmd_id = max(before.last_cmd_id, command.cmd_id)
        try:
            home[memory_id] = replace(before, last_cmd_id=last_cmd_id, commands=commands)
            if home is self._memories:
                self._write(reserving=reserving)
        except BaseException:
            home[memory_id] = before
            raise

    def _read(self, path: Path) -> dict[int, _Memory]:
        try:
            document = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            raise BadConfiguration(
                f"the state file {path} cannot be read ({error})", advice=MOVE_IT_AWAY
            ) from error
        if not isinstance(document, dict) or document.get("schema") not in (SCHEMA, SCHEMA_WITHOUT_MARKS):
            raise BadConfiguration(
                f"{path} is no state file of this version", advice="name another with --state"
            )
        if document.get("key_fingerprint") != self._fingerprint:
            raise BadConfiguration(
                f"the state file {path} belongs to another key",
                advice="name that key, or another file with --state",
            )
        try:
            return {
                _memory_id_from(name): _memory_from(entry) for name, entry in document["memories"].items()
            }
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadConfiguration(
                f"the state file {path} is damaged ({error})", advice=MOVE_IT_AWAY
            ) from error

    def _write(self, *, reserving: bool = False) -> None:
        if self._file is None:
            return
        if not self._file.is_open:
            raise UsageError("the outcome store is not open", advice="use it in a with statement")
        document = {
            "schema": SCHEMA,
            "key_fingerprint": self._fingerprint,
            "memories": {f"{memory_id:016x}": _memory_to(m) for memory_id, m in self._memories.items()},
        }
        content = json.dumps(document, indent=1).encode()
        self._file.replace(content)
        self._has_news = False
        if reserving:
            self._file.reserve(len(content))


def _memory_to(memory: _Memory) -> dict[str, Any]:
    return {
        "serial": memory.serial,
        "last_cmd_id": memory.last_cmd_id,
        "commands": [asdict(command) for command in memory.commands.values()],
        "marks": None if memory.marks is None else asdict(memory.marks),
    }


def _memory_id_from(name: str) -> int:
    if not re.fullmatch("[0-9a-f]{16}", name):
        raise ValueError(f"{name!r} is no memory")
    return int(name, 16)


def _memory_from(entry: dict[str, Any]) -> _Memory:
    filed = [_command_from(command) for command in _rows(entry["commands"])]
    marks, serial = entry.get("marks"), entry.get("serial", "")
    if type(serial) is not str:
        raise ValueError(f"serial is {serial!r}")
    return _Memory(
        _whole(entry["last_cmd_id"]),
        {command.cmd_id: command for command in filed},
        None if marks is None else _marks_from(marks),
        serial,
    )


def _command_from(entry: dict[str, Any]) -> FiledCommand:
    """A command as it was filed; ValueError where it says what this program never wrote."""
    command = FiledCommand(**entry)
    for name, value in entry.items():
        if name in {"outcome", "doubt"}:
            if type(value) is not str:
                raise ValueError(f"{name} is {value!r}")
        else:
            _whole(value)
    if command.outcome not in {"", *Outcome.__members__} or command.opcode not in set(Opcode):
        raise ValueError(f"command {command.cmd_id} is opcode {command.opcode}, outcome {command.outcome!r}")
    return command


def _rows(value: Any) -> list[Any]:
    """A list as it was filed; ValueError for all else, which may be empty too, and says nothing."""
    if type(value) is not list:
        raise ValueError(f"{value!r} where a list is expected")
    return value


def _whole(value: object) -> int:
    if type(value) is not int or not 0 <= value <= U32_MAX:
        raise ValueError(f"{value!r} where a number of 32 bits is expected")
    return value


def _marks_from(entry: dict[str, Any]) -> Marks:
    return Marks(
        _whole(entry["boot_count"]),
        _whole(entry["t_mono_s"]),
        _whole(entry["last_cmd_id"]),
        tuple(
            MarkedEntry(
                LogName(_whole(marked["log"])),
                _whole(marked["epoch"]),
                _whole(marked["seq"]),
                bytes.fromhex(marked["raw"]).hex(),
            )
            for marked in _rows(entry["entries"])
        ),
    )
