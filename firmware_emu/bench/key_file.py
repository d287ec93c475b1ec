"""The key file of a running emulator: what a programmer needs to be let in, for the owner's eyes only.

A JSON list of {key_id, role, key} with the key in hex, mode 0600, in a directory of its own with mode 0700,
under the user's runtime directory where there is one. Removed when the emulator ends in good order; what a
killed one left is removed by the next.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from firmware_emu.bench.errors import BadConfigurationError, pass_on_out_of_resources
from protocol.identifiers import Role

if TYPE_CHECKING:
    from collections.abc import Iterable

    from firmware_emu.profile import PairedKey

PREFIX = "pumpbench-"
FILE_NAME = "keys.json"
_OUR_DIRECTORY = re.compile(PREFIX + r"[0-9]+-[0-9a-f]{12}")


class KeyFile:
    """A key file that is written and locked when it is made, and lasts until `remove`."""

    def __init__(self, keys: Iterable[PairedKey]) -> None:
        rows = [
            {"key_id": key.key_id, "role": Role(key.role).name.lower(), "key": key.key.hex()} for key in keys
        ]
        self.path = _own_directory() / FILE_NAME
        try:
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)  # before it has content: an empty one is never swept
            _write_whole(self._descriptor, json.dumps(rows).encode())
        except OSError as error:
            _remove(self.path)
            pass_on_out_of_resources(error)
            raise BadConfigurationError(
                f"the key file {self.path} cannot be written ({error.strerror}); make room, or set XDG_RUNTIME_DIR"
            ) from error

    def remove(self) -> None:
        """Remove the file and its directory."""
        _remove(self.path)
        os.close(self._descriptor)


def _write_whole(descriptor: int, content: bytes) -> None:
    if os.write(descriptor, content) < len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _own_directory() -> Path:
    shared = "/tmp"  # noqa: S108 - the directory made in it is new, and ours alone
    named = (os.environ.get("XDG_RUNTIME_DIR"), os.environ.get("TMPDIR"), shared)
    for place in map(Path, filter(None, named)):
        if not place.is_absolute():  # the ready line tells the path to programs that were started elsewhere
            continue
        directory = place / f"{PREFIX}{os.getpid()}-{os.urandom(6).hex()}"
        try:
            directory.mkdir(mode=0o700)
        except OSError:
            continue
        with contextlib.suppress(OSError):  # a place that may be written and not listed
            _sweep(place)
        return directory
    raise BadConfigurationError(
        "no directory for the key file; set XDG_RUNTIME_DIR to one where you may write"
    )


def _sweep(place: Path) -> None:
    """Remove what emulators that were killed left there: their files are nobody's, as the lock tells."""
    for path in place.glob(f"{PREFIX}*/{FILE_NAME}"):
        if not _OUR_DIRECTORY.fullmatch(path.parent.name):
            continue
        with contextlib.suppress(OSError):  # another user's, in use, or swept by somebody else just now
            descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(descriptor).st_size and os.fstat(descriptor).st_uid == os.getuid():
                    _remove(path)
            finally:
                os.close(descriptor)


def _remove(path: Path) -> None:
    """Remove a key file and its directory; what somebody has swept away meanwhile is gone as it should be."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
        path.parent.rmdir()
