"""One JSON file that one process holds: locked, replaced whole, and with room taken for the next content.

What it says is its owner's business. A crash leaves the old or the new content; a replacement is on the disk
when the call returns, and one that was announced by `reserve` cannot fail for want of space.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shlex
import stat
from pathlib import Path

from hil.errors import BadConfiguration
from hil.lock_holder import Holder, holder_of

ROOM_BYTES = 16_384  # more than one outcome, its marks and the filing system's own rounding can add
BESIDE = ("pumpbench-new", "pumpbench-lock")
"""Files beside one called NAME are .NAME.pumpbench-new and so on: names that nobody has for files of their own."""
NO_DIRECTORY_SYNC = frozenset({errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP})
"""Of a directory that may not be read, or of a filing system that syncs none: the new content is in place then."""


class InUseError(Exception):
    """Another process holds the file."""


class StateFile:
    """The file at `path`, held with a lock beside it from `open` to `close`."""

    def __init__(self, path: Path) -> None:
        self.path = Path(
            os.path.realpath(path)
        )  # two names of one file are one lock, and a link stays a link
        self._beside, self._lock_path = (self.path.parent / f".{self.path.name}.{what}" for what in BESIDE)
        self._lock_fd: int | None = None
        self._reserved_fd: int | None = None

    @property
    def is_open(self) -> bool:
        """True while this process holds the lock."""
        return self._lock_fd is not None

    def open(self) -> None:
        """Take the lock; the rest of a killed process is removed.

        InUseError where another process has it, OSError where it cannot be made, BadConfiguration where the filing
        system has no locks or the file has a second name.
        """
        if self.path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if self.path.exists() and not self.path.is_file():
            raise OSError(errno.EINVAL, "it is no regular file")
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock_fd = _opened(self._lock_path, os.O_RDWR)
        try:
            self._lock(self._lock_fd)
            self._refuse_second_name()
        except BaseException:
            self.close()
            raise
        self._remove_beside()

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
                raise InUseError from error
            raise BadConfiguration(
                f"the state file {self.path} cannot be locked ({error.strerror})",
                advice="nothing was sent; name one with --state on a filing system that has locks",
            ) from error

    def _refuse_second_name(self) -> None:
        """BadConfiguration for a hard link: a replacement would make two files of it, each with its own commands."""
        if self.path.exists() and self.path.stat().st_nlink > 1:
            raise BadConfiguration(
                f"the state file {self.path} has another name too (a hard link), "
                "and what is filed under one of them would be missing under the other",
                advice=f"nothing was sent; see `find / -samefile {shlex.quote(str(self.path))}`, "
                "remove all other names, and use a symbolic link where you want two",
            )

    def holder(self) -> Holder | None:
        """Which process has the lock; None where none has, or the system does not tell."""
        return holder_of(self._lock_path)

    def close(self) -> None:
        """Give room and lock back; the file stays. Closing twice is fine."""
        self._give_room_back()
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def try_writing(self) -> None:
        """See that a next content finds room and may take the place of the old one. OSError where it may not.

        A file that is there is replaced by its own content: no other look shows that it is a mount of its own.
        """
        try:
            self.reserve(0)
            if self.path.exists():
                self.replace(self.path.read_bytes())
        finally:
            self._give_room_back()

    def _give_room_back(self) -> None:
        if self._reserved_fd is not None:
            os.close(self._reserved_fd)
            self._reserved_fd = None
            self._remove_beside()

    def _remove_beside(self) -> None:
        """Remove what a killed process left; a pipe or a device is nobody's rest, and stays."""
        with contextlib.suppress(OSError):
            if self._beside.is_symlink() or self._beside.is_file():
                self._beside.unlink()

    def reserve(self, content_bytes: int) -> None:
        """Take room on the disk for a next content of about this size. OSError where there is none."""
        descriptor = self._taken_beside()
        os.posix_fallocate(descriptor, 0, content_bytes + ROOM_BYTES)

    def replace(self, content: bytes) -> None:
        """Put this content in the place of the old one. OSError where that failed: the old one stays."""
        descriptor, self._reserved_fd = self._taken_beside(), None
        try:
            written = 0
            while written < len(content):
                written += os.pwrite(descriptor, content[written:], written)
            os.ftruncate(descriptor, len(content))
            os.fsync(descriptor)
            self._beside.replace(self.path)
        except BaseException:
            self._remove_beside()
            raise
        finally:
            os.close(descriptor)
        try:
            _sync_directory(self.path.parent)
        except OSError as error:
            if error.errno not in NO_DIRECTORY_SYNC:
                raise

    def _taken_beside(self) -> int:
        """The file that will be the next one, open for writing."""
        if self._reserved_fd is None:
            self._reserved_fd = _opened(self._beside, os.O_WRONLY | os.O_NOFOLLOW)
        return self._reserved_fd


def _opened(path: Path, flags: int) -> int:
    """A regular file, made where there is none; OSError for all else: a pipe would wait for its other end."""
    no_file = OSError(errno.EINVAL, f"{path.name} is no regular file")
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise no_file
    descriptor = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise no_file
    return descriptor


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
