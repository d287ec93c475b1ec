"""A recording that is still being made, read as it grows: of a file and those that follow it, or of a tap's recorder.

How time is let pass for a file is handed in; for the recorder of this process its reader waits by itself.
"""

from __future__ import annotations

from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, BinaryIO, Final

from protocol.capture.recorder import numbered_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOOK_S: Final = 0.1
"""How often it is looked whether somebody still reads."""
WAITING_MOST_BYTES: Final = 64 << 20
"""What a reader may be behind; a recorder whose reader is further behind has lost it."""


class GrowingFile:
    """Reads a recording as its recorder writes it, on into the next file where one has its full size.

    `wait` lets a moment pass and returns whether to look again; where it does not, or where the file is a pipe whose
    writer has gone, there is no more to be read. OSError as of files.
    """

    def __init__(self, path: Path, wait: Callable[[], bool]) -> None:
        self._path = path
        self._wait = wait
        self._number = 0
        self._file: BinaryIO = path.open("rb", buffering=0)
        self._grows = path.is_file()

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most so many; none where there will be no more."""
        while True:
            following = self._path.with_name(numbered_name(self._path.name, self._number + 1))
            goes_on = (
                self._grows and following.exists()
            )  # looked at first: what is read then is all there was
            data = self._file.read(size)
            if data or not self._grows:
                return data
            if goes_on:
                self._file.close()
                self._file, self._number = following.open("rb", buffering=0), self._number + 1
            elif not self._wait():
                return b""

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class Handed:
    """A file that is none: what a recorder writes into it another thread reads from it.

    Writing never waits. Where the reader is too far behind it takes nothing, and where nobody reads any more, OSError.
    """

    def __init__(self, is_wanted: Callable[[], bool]) -> None:
        """`is_wanted` is asked now and then while nothing comes: whether anybody still looks at what is read."""
        self._pieces: SimpleQueue[bytes] = SimpleQueue()
        self._is_wanted = is_wanted
        self._written = self._read = 0
        self._abandoned = False

    def write(self, data: memoryview, /) -> int:
        """Take all of it; 0 where there is no room, and OSError where nobody reads."""
        if self._abandoned:
            raise BrokenPipeError("nobody reads it any more")
        if self._written - self._read + len(data) > WAITING_MOST_BYTES:
            return 0
        self._written += len(data)
        self._pieces.put(bytes(data))
        return len(data)

    def close(self) -> None:
        """Tell the reader that nothing more comes."""
        self._pieces.put(b"")

    def read(self, _size: int, /) -> bytes:
        """The next bytes, as they were written; waits for them. None behind `close`, and where they are not wanted."""
        while True:
            try:
                data = self._pieces.get(timeout=LOOK_S)
            except Empty:
                if not self._is_wanted():
                    return b""
            else:
                self._read += len(data)
                return data

    def abandon(self) -> None:
        """Read no more."""
        self._abandoned = True
