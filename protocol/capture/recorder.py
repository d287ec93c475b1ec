"""Records a line: bytes as they pass go into a file at once, and trouble with the file never reaches the line.

Files and times are handed in. A file that is full, gone or broken is said once, and from then on nothing is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from protocol.capture import recording
from protocol.capture.following import Follower
from protocol.capture.limits import SIZE_LIMIT_BYTES, SIZE_LIMIT_LEAST_BYTES
from protocol.capture.recording import Way
from protocol.capture.splitter import Splitter
from protocol.wire.limits import GAP_HOST_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from protocol.capture.recording import SessionSecret

SESSIONS_KEPT: Final = 8
"""Whose keys stand at the beginning of a next file; a pump has one session at a time."""
WRITES_A_LOOK: Final = 64
_REMOVED: Final = "its file was removed"
_NS_PER_MS: Final = 1_000_000


def numbered_name(name: str, number: int) -> str:
    """The name of the n-th file of a recording: NAME.pcapng, NAME.2.pcapng, NAME.3.pcapng."""
    stem, dot, ending = name.rpartition(".")
    if not number:
        return name
    return f"{stem}.{number + 1}{dot}{ending}" if stem else f"{name}.{number + 1}"


class RecordingFile(Protocol):
    """A file opened for writing, without a buffer: what was written outlives the process."""

    def write(self, data: memoryview, /) -> int | None:
        """Take some of the bytes and return how many; None or 0 where it would wait, OSError where it can take none."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class KeptFile:
    """A file of a recording that notices when it is removed while it is written: nobody would find what comes after.

    `link_count` tells how many names it has: 0 where it was removed. It is looked at now and then, and at the end.
    """

    def __init__(self, file: RecordingFile, link_count: Callable[[], int]) -> None:
        self._file = file
        self._link_count = link_count
        self._writes = 0

    def write(self, data: memoryview, /) -> int | None:
        """As of the file; OSError where it is gone."""
        self._writes += 1
        if self._writes % WRITES_A_LOOK == 0 and not self._link_count():
            raise OSError(_REMOVED)
        return self._file.write(data)

    def close(self) -> None:
        """Let go of it; OSError where it is gone."""
        gone = not self._link_count()
        self._file.close()
        if gone:
            raise OSError(_REMOVED)


class Recorder:
    """One line being recorded.

    `open_file` opens the n-th file of this recording, from 0: where one has `size_limit_bytes`, the next begins. It and
    the file may raise OSError: then `trouble` gets one sentence, and the recorder does nothing more. `told` stands at
    the beginning of each file. With `device_key` (see `Follower`) the keys of sessions are written, never its own.
    ValueError for a limit under `SIZE_LIMIT_LEAST_BYTES`.
    """

    def __init__(
        self,
        open_file: Callable[[int], RecordingFile],
        told: Mapping[str, str],
        version: str,
        *,
        trouble: Callable[[str], None],
        device_key: Callable[[int], bytes | None] | None = None,
        size_limit_bytes: int = SIZE_LIMIT_BYTES,
    ) -> None:
        self._open_file = open_file
        if size_limit_bytes < SIZE_LIMIT_LEAST_BYTES:
            raise ValueError(
                f"files of {size_limit_bytes} bytes are too small: {SIZE_LIMIT_LEAST_BYTES} at least"
            )
        self._told = told
        self._version = version
        self._trouble = trouble
        self._follower = None if device_key is None else Follower(device_key)
        self._secrets: dict[int, bytes] = {}
        self._limit_bytes = size_limit_bytes
        self._splitters = {way: Splitter(GAP_HOST_MS * _NS_PER_MS) for way in Way}
        self._pump_ms: int | None = None
        self._file: RecordingFile | None = None
        self._files = 0
        self._size_bytes = 0
        self._packets = 0
        self.lost = False
        """Whether the recording has ended before its time."""
        self._begin_file()

    @property
    def position(self) -> tuple[int, int]:
        """The number of the present file, from 1, and of the last packet in it; 0 before there is one."""
        return self._files, self._packets

    def passed(self, way: Way, data: bytes, time_ns: int, pump_ms: int | None = None) -> None:
        """Bytes have passed at a time since the epoch; `pump_ms` is the pump's own, where it is known."""
        if self._file is None:
            return
        self._pump_ms = pump_ms
        for piece_ns, piece in self._splitters[way].feed(data, time_ns):
            self._keep(way, piece_ns, piece)

    def mark(self, kind: str, text: str, time_ns: int) -> None:
        """Something has happened on the bench."""
        if self._file is not None:
            self._write(recording.mark(time_ns, kind, text), packets=1)

    def close(self) -> None:
        """End the recording with what waits for its end."""
        for way, splitter in self._splitters.items():
            for piece_ns, piece in splitter.take_held():
                self._keep(way, piece_ns, piece)
        self._let_go()

    def _keep(self, way: Way, time_ns: int, data: bytes) -> None:
        self._write(recording.passed(way, time_ns, data, self._pump_ms), packets=1)
        if self._follower is None:
            return
        self._follower.listen(data)
        for secret in self._follower.found:
            self._write(self._remember(secret))
        self._follower.found.clear()

    def _remember(self, secret: SessionSecret) -> bytes:
        """The block of a key; of the last sessions it stands in the next file too."""
        self._secrets.pop(secret.sid, None)
        self._secrets[secret.sid] = block = recording.session_secret(secret)
        while len(self._secrets) > SESSIONS_KEPT:
            del self._secrets[next(iter(self._secrets))]
        return block

    def _begin_file(self) -> None:
        try:
            self._file = self._open_file(self._files)
        except OSError as error:
            self._give_up(error.strerror or str(error))
            return
        self._files += 1
        self._size_bytes = self._packets = 0
        told = {**self._told, "file": str(self._files)}
        self._write(recording.beginning(told, self._version) + b"".join(self._secrets.values()))

    def _write(self, block: bytes, *, packets: int = 0) -> None:
        """Put a whole block into the file, and begin the next one where it is full."""
        if self._file is None:
            return
        rest = memoryview(block)
        try:
            while rest and (
                count := self._file.write(rest)
            ):  # where there is room for less, the next one says why
                rest = rest[count:]
        except OSError as error:
            self._give_up(error.strerror or str(error))
            return
        if rest:
            self._give_up("its file takes no more for now, and the line does not wait")
            return
        self._packets += packets
        self._size_bytes += len(block)
        if self._size_bytes >= self._limit_bytes:
            self._let_go()
            self._begin_file()

    def _give_up(self, why: str) -> None:
        self.lost = True
        self._let_go()
        self._trouble(f"recording has ended, and the line goes on: {why}")

    def _let_go(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError as error:
                if not self.lost:
                    self.lost = True
                    self._trouble(f"the end of the recording may be lost: {error.strerror or error}")
