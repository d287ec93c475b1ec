"""A stable name for a PTY: a symlink, with a lock beside it that dies with its holder.

`PATH` points at the PTY; the lock beside it is held with flock while the emulator lives, so a second emulator on the
same link is told so, and one that was killed leaves nothing that would look taken. A client that looks whether
somebody holds the lock (`hil/targets/port`) takes it shared for that moment. What is not a link to a PTY is never
replaced; where PTYs are not under /dev/pts, a lock beside the link tells that it is one.

The lock of `pump` is `.pump.pumpbench-lock`: `pump.lock` may be somebody's file (`uv.lock`, `Cargo.lock`). It is always
empty, so that nothing is written to it and a file with content is known not to be ours, and never removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from typing import TYPE_CHECKING

from firmware_emu.bench.errors import BadConfigurationError, TakenError, pass_on_out_of_resources

if TYPE_CHECKING:
    from pathlib import Path

PTY_PREFIX = "/dev/pts/"


def same_file(descriptor: int, path: Path) -> bool:
    """Whether the path still names the open file: what was locked may have been replaced in between."""
    try:
        there = path.stat()
    except OSError:  # it is gone, or what leads there is
        return False
    return os.path.samestat(os.fstat(descriptor), there)


def open_locked(path: Path, flags: int, taken: str) -> int:
    """A descriptor of the file, made where it is missing, that holds its lock; TakenError where somebody else does."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | flags, 0o600)
        try:
            held = not _locks(descriptor, fcntl.LOCK_EX)
            if not held and same_file(descriptor, path):
                return descriptor  # else its holder removed or replaced it in between: take the new one
            held = held and not _locks(descriptor, fcntl.LOCK_SH)  # else somebody only looked at it
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if held:
            raise TakenError(taken)


def _locks(descriptor: int, kind: int) -> bool:
    """Whether the lock could be taken; other errors of the system than that it is held are passed on."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except (
        BlockingIOError,
        PermissionError,
    ):  # some filing systems say of a lock that is held that it may not be
        return False
    return True


class LinkLock:
    """Holds the link from `acquire` to `release`. BadConfigurationError where the path has no last part."""

    def __init__(self, link: Path) -> None:
        if not link.name:
            raise BadConfigurationError(f"--link {link} is a directory; name the link itself, as ./pump")
        self.link = link
        self.lock_path = link.with_name(f".{link.name}.pumpbench-lock")  # as `hil.targets.port` knows it
        self._descriptor: int | None = None
        self._target = ""

    def acquire(self, target: str) -> None:
        """Take the lock and point the link at the target, in one atomic change of name."""
        had_lock = self._has_lock()
        taken = (
            f"{self.link} belongs to an emulator or a tap that is running; stop it or choose another --link"
        )
        try:
            self._descriptor = open_locked(self.lock_path, os.O_NOFOLLOW, taken)
        except OSError as error:
            pass_on_out_of_resources(error)
            raise BadConfigurationError(
                f"cannot make {self.lock_path}: {error.strerror}; choose a --link where you may write"
            ) from error
        if not _is_empty_file(os.fstat(self._descriptor)):
            os.close(self._descriptor)
            self._descriptor = None
            raise self._no_lock_of_ours()
        try:
            self._refuse_foreign(target, had_lock=had_lock)
            self._point(target)
        except BaseException:
            self._unlock()
            raise
        self._target = target

    def release(self) -> None:
        """Remove the link if it is still ours, and the lock."""
        if self._descriptor is None:
            return
        with contextlib.suppress(OSError):  # a directory that was closed to us, or is gone
            if self.link.is_symlink() and str(self.link.readlink()) == self._target:
                self.link.unlink(missing_ok=True)
        self._unlock()

    def _unlock(self) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                held, there = os.fstat(self._descriptor), self.lock_path.lstat()
                if os.path.samestat(held, there) and _is_empty_file(held):  # else somebody has put it there
                    self.lock_path.unlink()
            os.close(self._descriptor)
            self._descriptor = None

    def _has_lock(self) -> bool:
        """Whether there is a lock already; TakenError where another file has its name, which is not even opened."""
        try:
            there = self.lock_path.lstat()
        except OSError:
            return False
        if not _is_empty_file(there):
            raise self._no_lock_of_ours()
        return True

    def _no_lock_of_ours(self) -> TakenError:
        return TakenError(
            f"{self.lock_path} is no lock of an emulator, which is an empty file; move it away or choose another --link"
        )

    def _refuse_foreign(self, target: str, *, had_lock: bool) -> None:
        """TakenError for a link that no emulator has made: where it points tells, or else the lock that it left."""
        if not os.path.lexists(self.link):
            return
        if not self.link.is_symlink():
            raise TakenError(f"{self.link} exists and is no link; choose another --link or move it away")
        there = str(self.link.readlink())
        if not (there.startswith(PTY_PREFIX) if target.startswith(PTY_PREFIX) else had_lock):
            raise TakenError(
                f"{self.link} points to {there}, which is no PTY; choose another --link or remove it"
            )

    def _point(self, target: str) -> None:
        temporary = self.link.with_name(f".{self.link.name}.pumpbench-{os.urandom(6).hex()}")
        made = False
        try:
            temporary.symlink_to(target)
            made = True
            temporary.replace(self.link)
        except OSError as error:
            if made:
                with contextlib.suppress(OSError):
                    temporary.unlink()
            raise BadConfigurationError(f"cannot make the link {self.link}: {error.strerror}") from error


def _is_empty_file(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) and not found.st_size
