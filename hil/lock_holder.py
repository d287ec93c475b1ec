"""Which process holds the lock on a port or a file that another cannot have, as Linux tells it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.errors import in_one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

LOCKS: Final = Path("/proc/locks")
COMMAND_CHARACTERS: Final = 100


class Holder(NamedTuple):
    """The process that holds a lock, and what it was started as; "" where that cannot be read."""

    pid: int
    command: str

    def words(self) -> str:
        """Who it is, for a sentence."""
        if self.pid == os.getpid():
            return "this very process"
        return f"process {self.pid} ({self.command})" if self.command else f"process {self.pid}"

    def advice(self) -> str:
        """How to get what it holds."""
        if self.pid == os.getpid():
            return "close what it has opened and try again"
        return f"end it, by Ctrl-C where it runs or by `kill {self.pid}`, and try again"


def holder_of(path: Path) -> Holder | None:
    """Who has locked a port or file; None where nobody has, or the system does not tell."""
    try:
        seen = path.stat()
        lines = LOCKS.read_text().splitlines()
    except (OSError, ValueError):
        return None
    place = f"{os.major(seen.st_dev):02x}:{os.minor(seen.st_dev):02x}:{seen.st_ino}"
    pid = locking_process(lines, place)
    if pid is None or not Path(f"/proc/{pid}").exists():  # ended, with its lock left to one that it forked
        return None
    return Holder(pid, _command_of(pid))


def locking_process(lines: Iterable[str], place: str) -> int | None:
    """The process that holds a lock on a file, given as device and inode, by the lines of /proc/locks.

    None where none holds one, or it runs where its number cannot be seen. One that only waits for a lock holds none.
    """
    for line in lines:
        match line.split():
            case [_, "FLOCK", _, _, pid, where, *_] if where == place and pid.isdecimal() and int(pid):
                return int(pid)
    return None


def _command_of(pid: int) -> str:
    """What a process was started as, for a sentence; "" where that cannot be read."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return ""
    if len(words) > 1 and Path(words[0]).name.startswith("python") and not words[1].startswith("-"):
        del words[0]  # the interpreter of a script tells nobody anything
    command = " ".join([Path(words[0]).name, *words[1:]]) if words else ""
    return in_one_line(
        command if len(command) <= COMMAND_CHARACTERS else command[:COMMAND_CHARACTERS] + "..."
    )
