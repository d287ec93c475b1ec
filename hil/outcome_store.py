"""What a programmer must not forget: its command ids and the commands whose outcome it does not know yet
[SPEC 9].

One file a key, JSON, mode 0600 in a directory of mode 0700, replaced atomically and synced before a command
leaves. Outcomes are filed under the pump's `memory_id`: what was asked of another memory stays unknown. No
key is kept here, only a fingerprint of one. Without a path the store lives in memory, for tests and virtual
time.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from hil.errors import BadConfiguration, Misuse, Taken

SCHEMA = "pumpbench-outcomes/1"
LAST_CMD_ID = 0xFFFF_FFFE  # 0 and FFFFFFFF are no ids
KEPT_CLOSED = 32  # four ledgers of a pump: enough to answer "what was the last thing that I did?"
FINGERPRINT_DIGITS = 16


@dataclass(frozen=True, slots=True)
class FiledCommand:
    """One command as it was sent, and what is known of it. `outcome` is a name of Outcome, or "" for unknown."""

    cmd_id: int
    opcode: int
    cmd_crc: int
    volume_nl: int = 0
    after_seq: int = 0
    outcome: str = ""
    delivered_nl: int = 0
    uncertain_nl: int = 0

    @property
    def unknown(self) -> bool:
        """True while nobody can say what became of it."""
        return self.outcome in {"", "INTENT"}

    @property
    def final(self) -> bool:
        """True once its outcome cannot change any more."""
        return not self.unknown and self.outcome != "RUNNING"


@dataclass(slots=True)
class _Memory:
    """What is filed under one memory of one pump."""

    last_cmd_id: int = 0
    commands: dict[int, FiledCommand] = field(default_factory=dict)


def fingerprint_of(key: bytes) -> str:
    """A name for a key that tells nothing of it."""
    return hashlib.sha256(b"pumpbench key fingerprint" + key).hexdigest()[:FINGERPRINT_DIGITS]


def default_path(key_id: int, key: bytes) -> Path:
    """The state file of a key under the XDG state directory."""
    base = os.environ.get("XDG_STATE_HOME")
    root = Path(base) if base and Path(base).is_absolute() else Path.home() / ".local" / "state"
    return root / "pumpbench" / f"programmer-{key_id}-{fingerprint_of(key)}.json"


class OutcomeStore:
    """Command ids and outcomes of one key. Open it before use; it holds a lock until it is closed."""

    def __init__(self, path: Path | None = None, *, key: bytes = b"") -> None:
        self._path = path
        self._fingerprint = fingerprint_of(key)
        self._memories: dict[int, _Memory] = {}
        self._lock_fd: int | None = None

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def open(self) -> None:
        """Take the lock and read what is filed. Opening twice is fine."""
        if self._path is None or self._lock_fd is not None:
            return
        self._lock_fd = _locked(self._path)
        try:
            self._memories = self._read(self._path)
        except BadConfiguration:
            self.close()
            raise

    def close(self) -> None:
        """Give the lock back; the file stays."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def next_cmd_id(self, memory_id: int, last_of_pump: int) -> int:
        """The id for the next command: above all that were ever used, here or by the pump's own account."""
        last = max(self._memory(memory_id).last_cmd_id, last_of_pump)
        if last >= LAST_CMD_ID:
            raise Misuse("this key has used up its command ids", advice="pair a new key with the pump")
        return last + 1

    def file(self, memory_id: int, command: FiledCommand) -> None:
        """Write a command down, or what has become known of it; it is on the disk when this returns."""
        memory = self._memory(memory_id)
        memory.last_cmd_id = max(memory.last_cmd_id, command.cmd_id)
        memory.commands[command.cmd_id] = command
        for cmd_id in [c.cmd_id for c in memory.commands.values() if c.final][:-KEPT_CLOSED]:
            del memory.commands[cmd_id]
        self._write()

    def settle(
        self, memory_id: int, command: FiledCommand, outcome: str, delivered_nl: int, uncertain_nl: int
    ) -> FiledCommand:
        """File the outcome of a command that was filed when it was sent; answers it with that outcome."""
        settled = replace(command, outcome=outcome, delivered_nl=delivered_nl, uncertain_nl=uncertain_nl)
        self.file(memory_id, settled)
        return settled

    def commands(self, memory_id: int) -> tuple[FiledCommand, ...]:
        """Everything filed under a memory, oldest first."""
        return tuple(self._memory(memory_id).commands.values())

    def open_commands(self, memory_id: int) -> tuple[FiledCommand, ...]:
        """Commands whose outcome may still change or is not known, oldest first."""
        return tuple(c for c in self.commands(memory_id) if not c.final)

    def has_open(self) -> bool:
        """True if anything is open under any memory."""
        return any(not c.final for memory in self._memories.values() for c in memory.commands.values())

    def unknown_commands(self, memory_id: int) -> tuple[FiledCommand, ...]:
        """Commands of which nobody can say whether they were carried out."""
        return tuple(c for c in self.commands(memory_id) if c.unknown)

    def _memory(self, memory_id: int) -> _Memory:
        return self._memories.setdefault(memory_id, _Memory())

    def _read(self, path: Path) -> dict[int, _Memory]:
        try:
            document = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise BadConfiguration(
                f"the state file {path} cannot be read ({error})",
                advice="move it away if you know the outcome of every command in it",
            ) from error
        if not isinstance(document, dict) or document.get("schema") != SCHEMA:
            raise BadConfiguration(
                f"{path} is no state file of this version", advice="name another with --state"
            )
        if document.get("key_fingerprint") != self._fingerprint:
            raise BadConfiguration(
                f"the state file {path} belongs to another key",
                advice="name that key, or another file with --state",
            )
        try:
            return {int(name, 16): _memory_from(entry) for name, entry in document["memories"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadConfiguration(
                f"the state file {path} is damaged ({error})",
                advice="move it away if you know the outcome of every command in it",
            ) from error

    def _write(self) -> None:
        if self._path is None:
            return
        if self._lock_fd is None:
            raise Misuse("the outcome store is not open", advice="use it in a with statement")
        document = {
            "schema": SCHEMA,
            "key_fingerprint": self._fingerprint,
            "memories": {f"{memory_id:016x}": _memory_to(m) for memory_id, m in self._memories.items()},
        }
        _replace_file(self._path, json.dumps(document, indent=1).encode())


def _memory_to(memory: _Memory) -> dict[str, Any]:
    return {"last_cmd_id": memory.last_cmd_id, "commands": [asdict(c) for c in memory.commands.values()]}


def _memory_from(entry: dict[str, Any]) -> _Memory:
    filed = [FiledCommand(**command) for command in entry["commands"]]
    return _Memory(int(entry["last_cmd_id"]), {command.cmd_id: command for command in filed})


def _locked(path: Path) -> int:
    """A descriptor that holds the lock of this state file, until it is closed or its process dies."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BadConfiguration(
            f"the state file {path} cannot be made ({error.strerror})", advice="name another with --state"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise Taken(
            f"another programmer is using this key (its state file is {path})",
            advice="wait for it to end, or use another key",
        ) from error
    return descriptor


def _replace_file(path: Path, content: bytes) -> None:
    """Replace a file so that a crash leaves the old or the new content, on the disk when this returns."""
    beside = path.with_name(path.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise BadConfiguration(
            f"the state file {path} cannot be written ({error.strerror})",
            advice="nothing was sent; make room or name another with --state",
        ) from error
