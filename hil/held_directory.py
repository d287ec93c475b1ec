"""A directory that one run holds for itself: files in it are replaced as a whole, and nobody else's is touched."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from hil.errors import BadConfiguration, InUse

if TYPE_CHECKING:
    from pathlib import Path

OPEN_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_OPEN_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_TRIED: Final = ".pumpbench-tried"
# A fork would hold the lock after us, and is not the one whose directory this is.
_HELD: Final[WeakSet[HeldDirectory]] = WeakSet()


class HeldDirectory:
    """A directory for what one run leaves behind; errors call that "the report"."""

    def __init__(self, path: Path) -> None:
        """Nothing is taken or made yet. BadConfiguration where the path has no absolute one."""
        try:
            self.path = path.absolute()
        except OSError as error:
            raise BadConfiguration(
                f"the report cannot be written to {path}: the directory that this was started in is gone",
                advice="change to one that is there",
            ) from error
        self._descriptor = -1

    def take(self) -> None:
        """Make the directory where there is none, and hold it. BadConfiguration where that cannot be; InUse."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, OPEN_DIRECTORY)
        except OSError as error:
            raise self.unwritable(error) from error
        _HELD.add(self)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            raise InUse(
                f"another run is writing its report to {self.path}",
                advice="wait for it to end, or name another directory",
            ) from error

    def check(self) -> None:
        """BadConfiguration where the path leads elsewhere by now. A directory that was removed is made anew."""
        try:
            held = os.fstat(self._descriptor)
            if os.path.samestat(held, self.path.stat()):
                return
        except FileNotFoundError:
            if held.st_nlink == 0:  # it has not only moved
                self.close()
                self.take()
                return
        except OSError as error:
            raise self.unwritable(error) from error
        raise BadConfiguration(
            f"{self.path} is not the directory any more that this run began its report in, so it has none",
            advice="run again, and leave the directory where it is meanwhile",
        )

    def close(self) -> None:
        """Let others have the directory."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def replace(self, name: str, content: bytes) -> None:
        """Write into the directory that is held, and only what nobody else has made; a report may hold a pump's log."""
        held, beside = self._descriptor, f".{name}.pumpbench-new"  # no name of anybody else's file
        try:
            self.remove(beside)
            with os.fdopen(os.open(beside, _OPEN_NEW, 0o600, dir_fd=held), "wb") as file:
                file.write(content)
            os.replace(beside, name, src_dir_fd=held, dst_dir_fd=held)
        except OSError as error:
            self.remove(beside)
            raise self.unwritable(error) from error

    def try_to_write(self) -> None:
        """BadConfiguration where nothing can be written there, before there is anything to write."""
        self.replace(_TRIED, b"")
        self.remove(_TRIED)

    def remove(self, name: str) -> None:
        """Remove a file; nothing where there is none."""
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=self._descriptor)

    def unwritable(self, error: OSError) -> BadConfiguration:
        """The error of a directory that cannot be written."""
        return BadConfiguration(
            f"the report cannot be written to {self.path} ({error.strerror})",
            advice="make room, or name another directory",
        )


def _let_go_after_fork() -> None:
    for directory in _HELD:
        directory.close()


os.register_at_fork(after_in_child=_let_go_after_fork)
