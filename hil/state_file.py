"""One JSON file that one process holds: locked, replaced whole, and with room taken for the next content.

What it says is its owner's business. A crash leaves the old or the new content; a replacement is on the disk
when the call returns, and one that was announced by `reserve` cannot fail for want of space.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path

ROOM_BYTES = 16_384  # more than one outcome, its marks and the filing system's own rounding can add


class InUseError(Exception):
    """Another process holds the file."""


class StateFile:
    """The file at `path`, held with a lock beside it from `open` to `close`."""

    def __init__(self, path: Path) -> None:
        self.path = Path(
            os.path.realpath(path)
        )  # two names of one file are one lock, and a link stays a link
        self._beside = Path(f"{self.path}.new")
        self._lock_fd: int | None = None
        self._reserved_fd: int | None = None

    @property
    def is_open(self) -> bool:
        """True while this process holds the lock."""
        return self._lock_fd is not None

    def open(self) -> None:
        """Take the lock. InUseError where another process has it, OSError where it cannot be made."""
        if self.path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if self.path.exists() and not self.path.is_file():
            raise OSError(errno.EINVAL, "it is no regular file")
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise InUseError from error
        self._lock_fd = descriptor

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
            with contextlib.suppress(OSError):
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
        except OSError:
            with contextlib.suppress(OSError):
                self._beside.unlink()
            raise
        finally:
            os.close(descriptor)
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _taken_beside(self) -> int:
        """The file that will be the next one, open for writing; what a killed process left there is used up."""
        if self._reserved_fd is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._reserved_fd = os.open(self._beside, flags, 0o600)
        return self._reserved_fd
