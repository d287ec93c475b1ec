"""Leases on boards: one user at a time, by a lock that the kernel frees when its holder ends, however it ends.

The lock is flock on a file of the board, which says who holds it, for what and since when; its time of change is when
the board was last used. A lease ends when it is given back, when its process ends, when somebody revokes it, and when
it was not used for its limit: then its holder is told at once (`LeaseWatch`), and sends nothing more.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pwd
import re
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from hil.errors import BadConfiguration, InUse, LeaseLost, in_one_line
from hil.own_paths import state_directory

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_EVERY_S: Final = 0.2
"""How often a holder looks whether its lease is revoked: a revoked run is to stop within 2 s."""
LETS_GO_WITHIN_S: Final = 2.0
WAIT_STEP_S: Final = 0.05
PURPOSE_CHARACTERS: Final = 120
FILE_BYTES_MAX: Final = 4_096


Document = TypeVar("Document")


class Clock(NamedTuple):
    """The times that leases work with, handed in."""

    wall_s: Callable[[], float] = time.time
    """Seconds since 1970, as files have them."""
    steady_s: Callable[[], float] = time.monotonic
    wait_s: Callable[[float], object] = lambda duration_s: threading.Event().wait(duration_s)


SYSTEM_CLOCK: Final = Clock()


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a board. `token` is of this one lease; `since_s` is in seconds since 1970."""

    name: str
    purpose: str
    pid: int
    since_s: int
    idle_limit_s: int
    token: str

    def words(self, now_s: float) -> str:
        """Who it is, for a sentence."""
        if not self.since_s:
            return self.name
        minutes = max(0, int(now_s - self.since_s)) // 60
        return in_one_line(f"{self.name} for {minutes} min: {self.purpose} (process {self.pid})")


@dataclass(frozen=True, slots=True)
class Revocation:
    """Who took a lease away, and why; `token` is that of the lease."""

    token: str
    by: str
    why: str


def own_name() -> str:
    """The user and machine of this process, as others see it."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def own_purpose() -> str:
    """What this process was started for, as its command line says it."""
    program = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
    return " ".join([program, *sys.argv[1:]])[:PURPOSE_CHARACTERS]


def lease_directory(named: Path | None) -> Path:
    """Where the locks are: as the bench file says, else with what is kept for this person."""
    return state_directory() / "leases" if named is None else named


class BoardLock:
    """The lock of one board in a directory of locks; `board` is what makes it this board and no other."""

    def __init__(self, directory: Path, board: str, clock: Clock = SYSTEM_CLOCK) -> None:
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", board).strip("-.")[-150:] or "board"
        self.board = board
        self.path = directory / f"{name}.lease"
        self._revocation_path = directory / f"{name}.revoked"
        self._clock = clock

    def holder(self) -> Holder | None:
        """Who holds the board now; None where nobody does."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            if _locked(descriptor, fcntl.LOCK_SH):
                return None
            return _parsed(os.pread(descriptor, FILE_BYTES_MAX, 0), Holder) or UNREADABLE
        finally:
            os.close(descriptor)

    def take(
        self,
        purpose: str,
        idle_limit_s: int,
        *,
        wait_s: float = 0.0,
        tell: Callable[[str], object] = lambda _sentence: None,
    ) -> Lease:
        """Take the board, waiting for its holder as long as `wait_s`; `tell` is told once that somebody has it.

        A lease that was not used for its limit is revoked. InUse names the holder; BadConfiguration where there can be
        no lock.
        """
        deadline_s = self._clock.steady_s() + wait_s
        told = False
        while (descriptor := self._try()) is None:
            held_by = self.holder()
            if held_by is None:
                continue  # it was given back just now
            if self._is_expired(held_by):
                if not self.revoke(own_name(), f"not used for {held_by.idle_limit_s} s"):
                    raise self._taken(held_by, "; its lease has expired, and that process does not let go")
                continue
            if self._clock.steady_s() >= deadline_s:
                raise self._taken(held_by)
            if not told:
                tell(f"waiting for {self.board}: held by {held_by.words(self._clock.wall_s())}")
                told = True
            self._clock.wait_s(WAIT_STEP_S)
        now_s = int(self._clock.wall_s())
        token = os.urandom(8).hex()
        holder = Holder(own_name(), purpose, os.getpid(), now_s, idle_limit_s, token)
        lease = Lease(self, descriptor, holder, self._clock)
        try:
            _write(descriptor, asdict(holder))
            os.utime(descriptor, (now_s, now_s))
        except OSError as error:
            lease.give_back()
            raise self._no_lock(error) from error
        self._revocation_path.unlink(missing_ok=True)
        return lease

    def revoke(self, by: str, why: str) -> bool:
        """Take the lease away from its holder; whether it let go of the board, for which it gets 2 s.

        BadConfiguration where that cannot be written.
        """
        holder = self.holder()
        if holder is None:
            return True
        beside = self._revocation_path.with_suffix(f".{os.urandom(4).hex()}")
        try:
            beside.write_text(json.dumps(asdict(Revocation(holder.token, by, why))), "utf-8")
            beside.replace(self._revocation_path)
        except OSError as error:
            raise self._no_lock(error) from error
        deadline_s = self._clock.steady_s() + LETS_GO_WITHIN_S
        while (still := self.holder()) is not None and still.token == holder.token:
            if self._clock.steady_s() >= deadline_s:
                return False
            self._clock.wait_s(WAIT_STEP_S)
        return True

    def revocation(self) -> Revocation | None:
        """What was last written of a lease on this board that was taken away; None where nothing was."""
        try:
            return _parsed(self._revocation_path.read_bytes()[:FILE_BYTES_MAX], Revocation)
        except OSError:
            return None

    def used_s(self) -> float | None:
        """When the board was last used, in seconds since 1970; None where nobody holds it."""
        try:
            return self.path.stat().st_mtime
        except OSError:
            return None

    def _try(self) -> int | None:
        """A descriptor of the file that holds its lock; None where somebody else does."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            while True:
                descriptor = _opened(self.path)
                if not _locked(descriptor, fcntl.LOCK_EX):
                    os.close(descriptor)
                    return None
                if _is_there(descriptor, self.path):
                    return descriptor
                os.close(descriptor)  # its holder removed it in between: take the new one
        except OSError as error:
            raise self._no_lock(error) from error

    def _is_expired(self, holder: Holder) -> bool:
        used_s = self.used_s()
        return used_s is not None and self._clock.wall_s() - used_s > holder.idle_limit_s

    def _taken(self, holder: Holder, more: str = "") -> InUse:
        return InUse(
            f"{self.board} is held by {holder.words(self._clock.wall_s())}{more}",
            advice="wait for it (--wait SECONDS), or take it away with `pumpbench hil targets --revoke`",
        )

    def _no_lock(self, error: OSError) -> BadConfiguration:
        return BadConfiguration(
            f"there can be no lock on {self.board}: {self.path} ({error.strerror})",
            advice="name a directory that you may write with `leases` in the bench file",
        )


UNREADABLE: Final = Holder("somebody", "cannot be read", 0, 0, 1 << 31, "")
"""A holder that is just writing its name, or whose file somebody has changed."""


class Lease:
    """A board that is ours, until it is given back or lost. `lost` is why it is ours no more; None while it is."""

    def __init__(self, lock: BoardLock, descriptor: int, holder: Holder, clock: Clock) -> None:
        self.lock = lock
        self.holder = holder
        self.lost: LeaseLost | None = None
        self._descriptor = descriptor
        self._clock = clock
        self._used_s = self._noted_s = clock.steady_s()
        self._ending = threading.Lock()

    def use(self) -> None:
        """Note that the board is being used, now."""
        self._used_s = self._clock.steady_s()

    def look(self) -> LeaseLost | None:
        """Whether it is still ours, and note on file that it is used; returns why it is not. It is free then."""
        if self.lost is None and self._descriptor >= 0:
            why = self._why_lost()
            if why:
                self.lost = LeaseLost(
                    f"the lease on {self.lock.board} was lost: {why}", advice="nothing more was sent"
                )
                self.give_back()
            elif self._used_s > self._noted_s:
                self._noted_s = self._used_s
                now_s = self._clock.wall_s()
                with contextlib.suppress(OSError):
                    os.utime(self._descriptor, (now_s, now_s))
        return self.lost

    def _why_lost(self) -> str:
        revoked = self.lock.revocation()
        if revoked is not None and revoked.token == self.holder.token:
            return in_one_line(f"{revoked.by} took it away: {revoked.why}")
        if not _is_there(self._descriptor, self.lock.path):
            return f"{self.lock.path} was removed"
        idle_s = self._clock.steady_s() - self._used_s
        return f"it was not used for {int(idle_s)} s" if idle_s > self.holder.idle_limit_s else ""

    def give_back(self) -> None:
        """Let others have the board. Doing it twice is fine."""
        with self._ending:
            descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        if _is_there(descriptor, self.lock.path):
            with contextlib.suppress(OSError):
                self.lock.path.unlink()
        os.close(descriptor)


class LeaseWatch:
    """Looks after a lease in a thread of its own, and says once that it is lost.

    `moved_bytes` counts what went over the board's line: the lease is used when that changes.
    """

    def __init__(
        self, lease: Lease, moved_bytes: Callable[[], int], when_lost: Callable[[LeaseLost], object]
    ) -> None:
        self._lease = lease
        self._moved_bytes = moved_bytes
        self._when_lost = when_lost
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pumpbench-lease", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        seen_bytes = self._moved_bytes()
        while not self._end.wait(LOOK_EVERY_S):
            if (now_bytes := self._moved_bytes()) != seen_bytes:
                seen_bytes = now_bytes
                self._lease.use()
            lost = self._lease.look()
            if lost is not None:
                self._when_lost(lost)
                return

    def end(self) -> None:
        """Look no more."""
        self._end.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()


def _opened(path: Path) -> int:
    """The file of a lock, made where there is none; others who share the directory may write it too."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    while True:
        with contextlib.suppress(FileNotFoundError):
            return os.open(path, flags)
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
            os.fchmod(descriptor, 0o666)
            return descriptor


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _is_there(descriptor: int, path: Path) -> bool:
    """Whether the path still names the open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def _write(descriptor: int, document: dict[str, Any]) -> None:
    content = json.dumps(document).encode()
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, content, 0)


def _parsed(content: bytes, cls: type[Document]) -> Document | None:
    """A holder or a revocation; None where the content is none."""
    try:
        fields = json.loads(content)
        types = {name: int if kind == "int" else str for name, kind in cls.__annotations__.items()}
        if set(fields) == set(types) and all(type(fields[name]) is kind for name, kind in types.items()):
            return cls(**fields)
    except (ValueError, TypeError):
        pass
    return None
