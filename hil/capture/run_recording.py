"""Records a run of tests: what passes on its lines, when each test begins and ends, and what it does to its bench.

A file that cannot be written is no fault of the pump: the run goes on, and says so at its end.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from hil.capture.recording_file import begin_recording, plain_text
from hil.channel import Channel
from hil.errors import BadConfiguration, PumpbenchError
from protocol.capture.line_time import VirtualTime
from protocol.capture.recorder import numbered_name
from protocol.capture.recording import TEST_BEGINS, TEST_ENDS, Way
from protocol.link.development_keys import DEVELOPMENT_KEYS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from protocol.capture.clocked import ClockedRecorder
    from protocol.link.development_keys import DeviceKey

_RECORDING: Final[WeakSet[RunRecording]] = WeakSet()


class RunRecording:
    """The recording of one process of a run. Its file is made when there is something to be kept."""

    def __init__(self, path: Path, told: Mapping[str, str], *, virtual: bool, secrets: bool) -> None:
        """`virtual` where time passes in the pump alone; without `secrets` no key of a session is kept."""
        self._path = path
        self._told = told
        self._keys = {key.key_id: key.key for key in DEVELOPMENT_KEYS} if secrets else None
        self._time = VirtualTime(self._line_ms) if virtual else None
        self._line: Channel | None = None
        self._recorder: ClockedRecorder | None = None
        self._test_from = (0, 0)
        self._ended = False
        self._lock = threading.Lock()  # a console of the board is heard in a thread of its own
        self.trouble = ""
        """What kept the recording from being whole; "" where nothing did."""
        _RECORDING.add(self)

    def know(self, key: DeviceKey) -> None:
        """A programmer with this key will be on the line: the keys of its sessions follow from it."""
        if self._keys is not None:
            self._keys[key.key_id] = key.key

    def recorded(self, channel: Channel) -> RecordedChannel:
        """The channel, with what passes on it kept from here on."""
        self._line = channel
        return RecordedChannel(channel, self.passed)

    def passed(self, way: Way, data: bytes, pump_ms: int | None) -> None:
        """Bytes have passed on a line."""
        with self._lock:
            recorder = self._begun()
            if recorder is not None:
                recorder.passed(way, data, pump_ms)

    def mark(self, kind: str, text: str) -> None:
        """Something was done to the bench, or seen of it."""
        with self._lock:
            recorder = self._begun()
            if recorder is not None:
                recorder.mark(kind, plain_text(text))

    def begin_test(self, name: str) -> None:
        """A test begins, with a line of its own."""
        self._line = None
        self.mark(TEST_BEGINS, name)
        self._test_from = (0, 0) if self._recorder is None else self._recorder.position

    def end_test(self, name: str, verdict: str) -> None:
        """A test has ended."""
        self.mark(TEST_ENDS, f"{name}: {verdict}")

    def where(self) -> str:
        """The file and the packets of the test so far, in words; "" where nothing was kept."""
        if self._recorder is None or not self._test_from[0]:
            return ""
        (first_file, first), (last_file, last) = self._test_from, self._recorder.position
        if first_file == last_file:
            return f"recorded in {self._name(first_file)}, packets {first} to {last}"
        return f"recorded from {self._name(first_file)}, packet {first}, to {self._name(last_file)}, packet {last}"

    def close(self) -> None:
        """End the recording."""
        with self._lock:
            recorder, self._recorder, self._ended = self._recorder, None, True
            if recorder is not None:
                recorder.close()

    def _let_go(self) -> None:
        """Leave the file to the process that this one was forked from, in which a thread may have held the lock."""
        self._recorder, self._ended, self._lock = None, True, threading.Lock()

    def _name(self, file: int) -> str:
        return numbered_name(self._path.name, file - 1)

    def _begun(self) -> ClockedRecorder | None:
        if self._recorder is None and not self._ended:
            try:
                self._recorder = begin_recording(
                    self._path,
                    self._told,
                    trouble=self._note_trouble,
                    recording_time=self._time,
                    device_key=None if self._keys is None else self._keys.get,
                )
            except BadConfiguration as error:
                self._note_trouble(error.message)
                self._ended = True
        return self._recorder

    def _note_trouble(self, sentence: str) -> None:
        self.trouble = self.trouble or f"{self._path.name}: {sentence}"

    def _line_ms(self) -> int | None:
        if self._line is not None:
            with suppress(PumpbenchError):  # its pump is gone
                return self._line.now_ms()
        return None


def _let_go_after_fork() -> None:
    for recording in list(_RECORDING):
        recording._let_go()  # noqa: SLF001 - of this module


os.register_at_fork(after_in_child=_let_go_after_fork)


class RecordedChannel(Channel):
    """A channel that tells of all that really passes on it; all else is the channel's own."""

    def __init__(self, inner: Channel, passed: Callable[[Way, bytes, int | None], None]) -> None:
        self._inner = inner
        self._passed = passed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @property
    def sent_bytes(self) -> int:
        return self._inner.sent_bytes

    def send(self, data: bytes) -> None:
        """As the channel does; what did not get onto the line is not told."""
        before = self._inner.sent_bytes
        try:
            self._inner.send(data)
        finally:
            sent = bytes(data[: self._inner.sent_bytes - before])
            if sent:
                self._passed(Way.TO_PUMP, sent, self._inner.device_ms())

    def receive(self, deadline_ms: int) -> bytes:
        data = self._inner.receive(deadline_ms)
        if data:
            self._passed(Way.FROM_PUMP, data, self._inner.device_ms())
        return data

    def now_ms(self) -> int:
        return self._inner.now_ms()

    def device_ms(self) -> int | None:
        return self._inner.device_ms()

    def close(self) -> None:
        self._inner.close()
