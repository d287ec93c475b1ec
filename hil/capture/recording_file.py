"""Files for recordings that are made on this side: new, for nobody else's eyes, and never waited for."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING, Final

from hil.errors import BadConfiguration, in_one_line
from protocol.capture.clocked import ClockedRecorder
from protocol.capture.limits import SIZE_LIMIT_BYTES, SIZE_LIMIT_MOST_BYTES
from protocol.capture.line_time import LineTime
from protocol.capture.recorder import KeptFile, Recorder, numbered_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from protocol.capture.line_time import RecordingTime
    from protocol.capture.recorder import RecordingFile

ONLY_MINE: Final = 0o600


def begin_recording(
    path: Path,
    told: Mapping[str, str],
    *,
    trouble: Callable[[str], None],
    recording_time: RecordingTime | None = None,
    device_key: Callable[[int], bytes | None] | None = None,
    size_limit_bytes: int = SIZE_LIMIT_BYTES,
) -> ClockedRecorder:
    """Begin to record into a new file, by the clocks of this host or by `recording_time`.

    `told` stands at its head, by name. With `device_key`, which has the key of a key_id, session keys are kept, never
    its own. BadConfiguration where the file is there already or cannot be made; later `trouble` is told once.
    """
    try:
        first = open_new(path)
    except OSError as error:
        raise BadConfiguration(
            f"the recording {path} cannot be written ({error.strerror})", advice="name another file"
        ) from error
    return _recorder(
        lambda number: open_new(path.with_name(numbered_name(path.name, number))) if number else first,
        told,
        trouble,
        device_key,
        recording_time,
        size_limit_bytes,
    )


def recorder_into(
    file: RecordingFile,
    told: Mapping[str, str],
    *,
    trouble: Callable[[str], None],
    device_key: Callable[[int], bytes | None] | None = None,
) -> ClockedRecorder:
    """Record into what is a file already, of any length; otherwise as `begin_recording`."""
    return _recorder(lambda _: file, told, trouble, device_key, None, SIZE_LIMIT_MOST_BYTES)


def _recorder(
    open_file: Callable[[int], RecordingFile],
    told: Mapping[str, str],
    trouble: Callable[[str], None],
    device_key: Callable[[int], bytes | None] | None,
    recording_time: RecordingTime | None,
    size_limit_bytes: int,
) -> ClockedRecorder:
    from hil import __version__  # noqa: PLC0415 - it reads what is installed

    if recording_time is None:
        recording_time = LineTime(time.time_ns, time.monotonic_ns)
    in_lines = {name: plain_text(value) for name, value in told.items()}
    recorder = Recorder(
        open_file,
        {**in_lines, **recording_time.told},
        __version__,
        trouble=trouble,
        device_key=device_key,
        size_limit_bytes=size_limit_bytes,
    )
    return ClockedRecorder(recorder, recording_time)


def open_new(path: Path) -> KeptFile:
    """A file that is new, or a pipe or device that is there, without a buffer; OSError where there is none.

    As `emulate --record` opens its own, which this side cannot reach.
    """
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


def plain_text(text: str) -> str:
    """A text on one line, in characters that a file takes."""
    return in_one_line(text.encode("utf-8", "backslashreplace").decode())
