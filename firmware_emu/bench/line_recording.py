"""`emulate --record`: the bytes of the port and what happens to the pump, recorded [protocol/capture/README.md].

The file is opened without waiting and for nobody else's eyes; one that is there already is never replaced.
"""

from __future__ import annotations

import json
import os
import stat
import time
from typing import TYPE_CHECKING

from firmware_emu.bench.errors import BadConfigurationError
from firmware_emu.bench.event_words import shown
from firmware_emu.controller.events import FrameReceived, FrameSent
from firmware_emu.events import MemoryWritten
from firmware_emu.trace import Written, entries_of
from firmware_emu.version import VERSION
from protocol.capture.clocked import ClockedRecorder
from protocol.capture.line_time import LineTime
from protocol.capture.recorder import KeptFile, Recorder, numbered_name
from protocol.capture.recording import EVENT, Way

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from firmware_emu.bench.ports.port import Say
    from firmware_emu.bench.pump_host import PumpHost
    from firmware_emu.trace import Step
    from protocol.capture.line_time import RecordingTime

OTHER_KINDS = (FrameReceived, FrameSent, MemoryWritten)
"""What is on the line already, and what holds keys."""
ONLY_MINE = 0o600


class LineRecording:
    """Records the port of an emulator, from when it is made to `close`."""

    def __init__(
        self,
        path: Path,
        host: PumpHost,
        told: Mapping[str, str],
        say: Say,
        *,
        with_secrets: bool,
        size_limit_bytes: int,
        recording_time: RecordingTime | None = None,
    ) -> None:
        """BadConfigurationError where the file cannot be opened; later trouble with it is said, once.

        Times are those of this host's clocks, or of `recording_time`.
        """
        try:
            first = _open(path)
        except OSError as error:
            raise BadConfigurationError(
                f"the recording {path} cannot be written ({error.strerror}); name another file with --record"
            ) from error
        self._host = host
        if recording_time is None:
            recording_time = LineTime(time.time_ns, time.monotonic_ns)
        recorder = Recorder(
            lambda number: _open(path.with_name(numbered_name(path.name, number))) if number else first,
            {**told, **recording_time.told},
            VERSION,
            trouble=lambda sentence: say(f"{path}: {sentence}"),
            device_key=self._key_of if with_secrets else None,
            size_limit_bytes=size_limit_bytes,
        )
        self._recorder = ClockedRecorder(recorder, recording_time)

    def received(self, data: bytes, pump_ms: int) -> None:
        """Bytes have come to the pump, at this time of its own."""
        self._recorder.passed(Way.TO_PUMP, data, pump_ms)

    def sent(self, data: bytes) -> None:
        """Bytes leave the pump."""
        self._recorder.passed(Way.FROM_PUMP, data, self._host.pump.now_ms)

    def stepped(self, step: Step) -> None:
        """The pump has made a step: what happened in it becomes marks."""
        notes = [note for note in step.notes if not isinstance(note, Written)]
        for entry in entries_of(notes) if notes else ():
            if not isinstance(entry.event, OTHER_KINDS):
                self._recorder.mark(EVENT, json.dumps(shown(entry)._asdict()))

    def close(self) -> None:
        """End the recording."""
        self._recorder.close()

    def _key_of(self, key_id: int) -> bytes | None:
        """The key that is paired with the pump now; None where there is none, or no power."""
        controller = self._host.pump.controller
        key = None if controller is None else controller.records.keys.of(key_id)
        return None if key is None else key.key


def _open(path: Path) -> KeptFile:
    """A file that is new, or a pipe or device that is there; opening waits for nobody."""
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, ONLY_MINE)
    except FileExistsError:
        mode = path.stat().st_mode
        if not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
            raise
        descriptor = os.open(path, flags)
    file = os.fdopen(descriptor, "wb", buffering=0)
    return KeptFile(file, lambda: os.fstat(descriptor).st_nlink)
