"""A recorder that looks at the clock itself: what it is told has happened now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.capture.recording import WALL_MOVED

if TYPE_CHECKING:
    from protocol.capture.line_time import RecordingTime
    from protocol.capture.recorder import Recorder
    from protocol.capture.recording import Way


class ClockedRecorder:
    """Records bytes and marks at the time at which it is told of them, and that the wall clock was set."""

    def __init__(self, recorder: Recorder, time: RecordingTime) -> None:
        self._recorder = recorder
        self._time = time

    @property
    def lost(self) -> bool:
        """Whether the recording has ended before its time."""
        return self._recorder.lost

    @property
    def position(self) -> tuple[int, int]:
        """The number of the present file, from 1, and of the last packet in it; 0 before there is one."""
        return self._recorder.position

    def passed(self, way: Way, data: bytes, pump_ms: int | None = None) -> None:
        """Bytes have passed now; `pump_ms` is the pump's own time, where it is known."""
        if not data:
            return
        moved_ns = self._time.wall_moved_ns()
        if moved_ns is not None:
            self.mark(WALL_MOVED, f"{moved_ns} ns ahead of this recording")
        self._recorder.passed(way, data, self._time.now_ns(), pump_ms)

    def mark(self, kind: str, text: str) -> None:
        """Something has happened on the bench now."""
        self._recorder.mark(kind, text, self._time.now_ns())

    def close(self) -> None:
        """End the recording."""
        self._recorder.close()
