"""Files in memory for recordings, and a conversation recorded into one."""

from __future__ import annotations

import errno
import io
from typing import TYPE_CHECKING

from protocol.capture.recorder import Recorder
from protocol.capture.recording import Way, read_entries
from protocol.identifiers import Role
from protocol.link.development_keys import development_key
from tests.unit.protocol.fake_wire import Loopback

if TYPE_CHECKING:
    from protocol.capture.recording import Entry

EPOCH_NS = 1_764_300_000_123_456_789
KEY = development_key(Role.CLINICIAN)


class MemoryFiles:
    """Opens the files of a recording in memory; those that are there have room for so many bytes in all."""

    def __init__(self, room_bytes: int = 1 << 40) -> None:
        self.contents: list[bytearray] = []
        self.room_bytes = room_bytes
        self.closed = 0
        self.takes_at_most = 1 << 30

    def open(self, number: int) -> MemoryFiles:
        assert number == len(self.contents)
        self.contents.append(bytearray())
        return self

    def write(self, data: memoryview, /) -> int:
        if self.room_bytes <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = bytes(data[: min(self.room_bytes, self.takes_at_most)])
        self.room_bytes -= len(taken)
        self.contents[-1] += taken
        return len(taken)

    def close(self) -> None:
        self.closed += 1

    def entries(self, number: int = 0) -> list[Entry]:
        return list(read_entries(io.BytesIO(bytes(self.contents[number]))))


def device_key(key_id: int) -> bytes | None:
    return KEY.key if key_id == KEY.key_id else None


def recorder_on(files: MemoryFiles, *, secrets: bool = True, **settings: int) -> tuple[Recorder, list[str]]:
    """A recorder into these files, and the list of its troubles."""
    troubles: list[str] = []
    told = {"target": "loopback", "time": "virtual"}
    recorder = Recorder(
        files.open,
        told,
        "0.1.0",
        trouble=troubles.append,
        device_key=device_key if secrets else None,
        size_limit_bytes=settings.get("size_limit_bytes", 1 << 30),
    )
    return recorder, troubles


class RecordedLoopback(Loopback):
    """A pump and a client, all of whose bytes are recorded, a microsecond apart."""

    def __init__(self, recorder: Recorder, *, secured: bool = True) -> None:
        super().__init__(secured=secured)
        self.recorder = recorder
        self.time_ns = EPOCH_NS

    def _carry(self, sent: bytes) -> bytes:
        self._record(Way.TO_PUMP, sent)
        answer = super()._carry(sent)
        self._record(Way.FROM_PUMP, answer)
        return answer

    def _record(self, way: Way, data: bytes) -> None:
        self.time_ns += 1_001
        self.recorder.passed(way, data, self.time_ns, pump_ms=self.now_ms)
