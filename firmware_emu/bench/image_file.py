"""`--image FILE`: the pump's memory, state and time on file, so that a killed emulator comes back as it was.

A journal that only grows, one write a step, before the step's bytes leave: whatever a client has seen is on
file. A step that wrote to the memory is synced, unless that was switched off: then it is held against the
death of the process, not of the host. The file is locked while in use; a killed holder leaves no lock. When
the journal has grown far beyond what it says it is rewritten as one step, beside the old file, and takes its
name in one move. What cannot be read at its end is dropped, counted and said; the first step that comes is
written over it, and until that step is whole the end stays one that cannot be read. The layout stands in
`image_records`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import stat
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from firmware_emu.bench.errors import (
    BadConfigurationError,
    BenchLostError,
    NotNowError,
    pass_on_out_of_resources,
)
from firmware_emu.bench.image_records import (
    MAGIC,
    TORN_MAX_BYTES,
    Header,
    MalformedError,
    Writes,
    decode_header,
    decode_step,
    encode_header,
    encode_step,
    link_after,
    split_records,
)
from firmware_emu.bench.link_lock import open_locked, same_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from firmware_emu.profile import Profile

FILE_MAX_BYTES = 1 << 30
REWRITE_AT_OPEN_BYTES = 1 << 20
REWRITE_AT_RUN_BYTES = 1 << 25
REWRITE_RATIO = 4  # rewriting pays when the journal is this many times what it says
NO_SYNC_OF_DIRECTORY = frozenset({errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP})
"""Of a directory that may be written and not read, or of a filing system that syncs none: it does what it can."""


def profile_digest(profile: Profile) -> str:
    """SHA-256 over all fields of a profile, to tell it from another; but for its firmware, which may be renewed."""
    profile = replace(profile, model=replace(profile.model, firmware_version=0))
    text = json.dumps(asdict(profile), sort_keys=True, default=bytes.hex)
    return hashlib.sha256(text.encode()).hexdigest()


class Remembered(NamedTuple):
    """The pump of an image as it was when its emulator ended."""

    now_ms: int
    state: dict[str, Any]
    writes: Writes


class MemoryMirror:
    """What has been written to the memory so far, and where; what was never written is left to the plant."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._written = bytearray()

    def write(self, offset: int, data: bytes) -> None:
        """Note one write."""
        end = offset + len(data)
        if end > len(self._data):
            self._data.extend(bytes(end - len(self._data)))
            self._written.extend(bytes(end - len(self._written)))
        self._data[offset:end] = data
        self._written[offset:end] = b"\x01" * len(data)

    def extents(self) -> Writes:
        """The written bytes as few writes, in the order of their offsets."""
        found = re.finditer(rb"\x01+", self._written)
        return tuple((run.start(), bytes(self._data[run.start() : run.end()])) for run in found)


class ImageFile:
    """An open, locked image. `remembered` is None where there is no pump in it yet.

    `dropped_bytes` of its end could not be read; they go with the first step that is written.
    """

    def __init__(self, path: Path, profile: Profile, *, syncing: bool = True) -> None:
        self._path = path
        self._file = Path(os.path.realpath(path))  # a rewrite takes this name: a link stays one
        self._profile = profile
        self._syncing = syncing
        self.dropped_bytes = 0
        self._rest_bytes = 0  # of those, what is still in the file
        self._link = 0  # of the chain of records
        self._written_at_ns = 0  # the file's own time of the last write that is ours, or was there before us
        self._rewrite_from_bytes = 0  # after a rewrite that failed: not before the journal has this size
        self._memory = MemoryMirror()
        self._state_json = b""
        self._now_ms = 0
        self.seed: int | None = None
        """Seed that the pump in this image was made with; None where there is none yet."""
        self._descriptor = _open_locked(self._file)
        try:
            _remove_beside(self._file)
            self._size_bytes = self._load()
            if self._size_bytes > REWRITE_AT_OPEN_BYTES and not self._rest_bytes:
                self._rewrite_if_large()
        except MalformedError as error:
            os.close(self._descriptor)
            raise BadConfigurationError(f"image {path} {error}; move it away to start a new pump") from error
        except OSError as error:
            os.close(self._descriptor)
            raise BadConfigurationError(f"cannot read image {path}: {error.strerror}") from error
        except BaseException:
            os.close(self._descriptor)
            raise

    @property
    def remembered(self) -> Remembered | None:
        """The pump as the last step left it; None where there is none yet."""
        if not self._state_json:
            return None
        return Remembered(self._now_ms, json.loads(self._state_json), self._memory.extents())

    def begin(self, seed: int) -> None:
        """Write the header of a new image."""
        self.seed = seed
        header = encode_header(self._header(seed))
        self._append(MAGIC + header)
        self._link = link_after(header)
        if self._syncing:
            self._sync(os.fsync)
            self._sync_name()

    def append(self, now_ms: int, writes: Writes, state: Mapping[str, Any]) -> None:
        """Journal one step; returns when the system has it, and where the memory was written, when the disk has."""
        self.check()
        state_json = json.dumps(state, separators=(",", ":")).encode()
        changed = state_json != self._state_json
        self._now_ms = now_ms
        self._state_json = state_json
        for offset, data in writes:
            self._memory.write(offset, data)
        step = encode_step(now_ms, writes, state_json if changed else b"", self._link)
        self._append(step)
        self._link = link_after(step)
        if writes and self._syncing:
            self._sync(os.fdatasync)
        if self._size_bytes > REWRITE_AT_RUN_BYTES:
            self._rewrite_if_large()

    def replace(self, seed: int, now_ms: int, memory: Writes, state: Mapping[str, Any]) -> None:
        """Put another pump of the same profile in the place of the one in the file, in one move.

        `memory` is all that was ever written to its memory. NotNowError where the file cannot be written anew.
        """
        self.check()
        header = encode_header(self._header(seed))
        state_json = json.dumps(state, separators=(",", ":")).encode()
        step = encode_step(now_ms, memory, state_json, link_after(header))
        whole = MAGIC + header + step
        shared = os.fstat(self._descriptor).st_nlink > 1
        descriptor = None if shared else _replace(self._file, whole)
        if descriptor is None:
            why = "it has a second name" if shared else "there is no room, or no right, for a file beside it"
            raise NotNowError(f"image {self._path} cannot take another pump: {why}; nothing was changed")
        self.seed, self._now_ms, self._state_json = seed, now_ms, state_json
        self._memory = MemoryMirror()
        for offset, data in memory:
            self._memory.write(offset, data)
        self._rest_bytes = 0
        self._take(descriptor, whole, step)

    def _take(self, descriptor: int, whole: bytes, step: bytes) -> None:
        """Go on with a file that has taken the name of this one."""
        os.close(self._descriptor)
        self._descriptor = descriptor
        self._link = link_after(step)
        self._size_bytes = len(whole)
        self._written_at_ns = os.fstat(descriptor).st_mtime_ns
        self._sync_name()

    def check(self) -> None:
        """See that the file is still there under its name, and still ours alone; BenchLostError where it is not.

        A write of somebody else that leaves the size as it was is known by the file's time. Where the system's clock of
        files ticks too slowly to tell it from our own last one, it is not known.
        """
        if not same_file(self._descriptor, self._path):
            raise BenchLostError(
                f"image {self._path} was deleted or replaced while its pump ran; the pump stops here, since what it "
                f"did from now on would be forgotten"
            )
        found = os.fstat(self._descriptor)
        if (found.st_size, found.st_mtime_ns) != (self._size_bytes, self._written_at_ns):
            raise BenchLostError(
                f"image {self._path} was changed by somebody else while its pump ran; the pump stops here, since what "
                f"it did might not be remembered"
            )

    def close(self) -> None:
        """Close the file, which unlocks it."""
        os.close(self._descriptor)

    def _header(self, seed: int) -> Header:
        return Header(self._profile.name, profile_digest(self._profile), seed)

    def _load(self) -> int:
        """Read all that can be believed; returns the file's size in bytes.

        The rest stays until there is something to put in its place: a start that is killed before must find the same
        again, since the loss is what it has to tell of.
        """
        found = os.fstat(self._descriptor)
        size, self._written_at_ns = found.st_size, found.st_mtime_ns
        if size > FILE_MAX_BYTES:
            raise MalformedError(f"is larger than {FILE_MAX_BYTES} bytes")
        data = os.pread(self._descriptor, size, 0)
        if data[: len(MAGIC)] != MAGIC[: len(data)]:
            raise MalformedError("is no image of a pump, or of another version")
        end = 0
        for end, body, self._link in split_records(data, len(MAGIC)):
            if self.seed is None:
                header = decode_header(body)
                if header.profile_digest != profile_digest(self._profile):
                    raise BadConfigurationError(
                        f"image {self._path} was made with another profile, {header.profile!r:.40}; "
                        f"give that --profile, or another --image"
                    )
                self.seed = header.seed
                continue
            step = decode_step(body)
            if step.now_ms < self._now_ms:
                raise MalformedError(f"goes back in time before byte {end}")
            self._now_ms = step.now_ms
            if step.state is not None:
                self._state_json = json.dumps(step.state, separators=(",", ":")).encode()
            for offset, written in step.writes:
                self._memory.write(offset, written)
        self.dropped_bytes = self._rest_bytes = size - end
        return size

    def _append(self, record: bytes) -> None:
        """Write a record where the good ones end, over what is left of a torn one: a kill leaves that or the record."""
        end = self._size_bytes - self._rest_bytes
        try:
            if self._rest_bytes > TORN_MAX_BYTES:  # or a piece of the record before it would be damage
                os.ftruncate(self._descriptor, end + TORN_MAX_BYTES)
                self._rest_bytes = TORN_MAX_BYTES
                self._size_bytes = end + TORN_MAX_BYTES
            written = os.pwrite(self._descriptor, record, end)
            if written < len(record) and not self._rest_bytes:
                os.ftruncate(self._descriptor, end)
        except OSError as error:
            raise BenchLostError(f"cannot write image {self._path}: {error.strerror}") from error
        if written < len(record):
            raise BenchLostError(f"cannot write image {self._path}: no space left")
        self._size_bytes = end + len(record)
        self._rest_bytes = 0
        self._written_at_ns = os.fstat(self._descriptor).st_mtime_ns

    def _sync(self, sync: Callable[[int], None]) -> None:
        try:
            sync(self._descriptor)
        except OSError as error:
            raise BenchLostError(f"cannot write image {self._path}: {error.strerror}") from error

    def _sync_name(self) -> None:
        """Sync the directory, so that the file's name survives the host as its content does."""
        try:
            descriptor = os.open(self._file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            if error.errno not in NO_SYNC_OF_DIRECTORY:
                raise BenchLostError(f"cannot write image {self._path}: {error.strerror}") from error

    def _rewrite_if_large(self) -> None:
        """Put one step in the place of many, if that makes the file much smaller; where it cannot, the file grows on.

        A file with a second name (a hard link) is left as it is: the new one would have the first name alone, and the
        two would be two pumps of one identity.
        """
        if self.seed is None or not self._state_json or self._size_bytes < self._rewrite_from_bytes:
            return
        header = encode_header(self._header(self.seed))
        step = encode_step(self._now_ms, self._memory.extents(), self._state_json, link_after(header))
        whole = MAGIC + header + step
        if len(whole) * REWRITE_RATIO > self._size_bytes:
            return
        descriptor = None if os.fstat(self._descriptor).st_nlink > 1 else _replace(self._file, whole)
        if descriptor is None:
            self._rewrite_from_bytes = 2 * self._size_bytes
            return
        self._take(descriptor, whole, step)


def _beside(path: Path) -> Path:
    """Where the next content of an image is made ready."""
    return path.with_name(f".{path.name}.rewrite")


def _remove_beside(path: Path) -> None:
    """Remove what an emulator left that was killed while it rewrote the image; a file that is none of ours stays.

    Ours begins as an image does, or has not come to the disk: it is empty, or of zeros.
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(_beside(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            head = os.read(descriptor, len(MAGIC)) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b"other"
        finally:
            os.close(descriptor)
        if MAGIC.startswith(head) or not any(head):
            _beside(path).unlink()


def _replace(path: Path, whole: bytes) -> int | None:
    """Put a new, locked file in the place of one. None where there is no room or no right: the old one is as good.

    As much room as it takes must stay free: what others need to write is not taken for the moment of a try.
    """
    new = _beside(path)
    descriptor = -1
    with contextlib.suppress(OSError):
        room = os.statvfs(path.parent)
        if room.f_bavail * room.f_frsize < 2 * len(whole):
            return None
        _remove_beside(path)
        descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        written = os.write(descriptor, whole)
        os.fsync(descriptor)
        if written == len(whole):
            new.replace(path)
            return descriptor
    if descriptor >= 0:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            new.unlink()
    return None


def _open_locked(path: Path) -> int:
    taken = f"image {path} is in use by another emulator; stop it or choose another"
    try:
        descriptor = open_locked(path, os.O_NONBLOCK, taken)
    except OSError as error:
        pass_on_out_of_resources(error)
        raise BadConfigurationError(f"cannot open image {path}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadConfigurationError(f"image {path} is not a file")
    return descriptor
