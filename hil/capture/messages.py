"""A recording as what was said in it: each packet with its message, numbered as Wireshark numbers packets.

A file with sealed frames is opened by the keys in it, or by the key of its device.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, overload

from hil.errors import BadConfiguration
from hil.frame_words import message_in
from hil.key_file import key_finder
from protocol.capture.following import Follower
from protocol.capture.pcapng import Damage, NotACapture, Taken
from protocol.capture.recording import Beginning, Mark, Passed, SessionSecret, read_entries
from protocol.identifiers import Kind
from protocol.messages.handshake import PumpHello
from protocol.wire.frame import BadFrame, Frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from protocol.capture.pcapng import Readable, Taker
    from protocol.capture.recording import Entry
    from protocol.link.development_keys import DeviceKey

    Seen = Callable[[int], None]


NOT_ITS_KEY: Final = "the key of its session does not open it"
"""Trouble of a sealed frame for whose session there is a key all the same."""
SESSIONS_KEPT: Final = 8
"""Whose requests are remembered: a pump has one session at a time, and a file may have the lines of several pumps."""


class FrameState(StrEnum):
    """How far what passed can be understood."""

    CLEAR = "clear"  # a good frame without a tag: a handshake, a hint, or all of a line without cryptography
    OPENED = "opened"  # a good frame whose tag holds
    SEALED = "sealed"  # a good frame that no key at hand opens
    BAD = "bad"  # no frame, or a damaged one
    DELIMITERS = "delimiters"  # zeros between frames, which mean nothing


class RecordedMessage(NamedTuple):
    """What passed, read as far as it can be.

    `number` counts the packets of the file from 1, marks among them. `since_ns` is the time since its first packet,
    None where the file has no times. `payload` is in clear, None where the frame is sealed or bad. `message` is None
    where there is none to be read, and then `trouble` says why. `answers` is the number of the request that a response
    answers.
    """

    number: int
    since_ns: int | None
    passed: Passed
    state: FrameState
    frame: Frame | BadFrame | None
    payload: bytes | None
    message: tuple[object, ...] | None
    trouble: str
    answers: int | None


class NumberedMark(NamedTuple):
    """A mark of the bench, numbered and timed as a message is."""

    number: int
    since_ns: int | None
    mark: Mark


@dataclass
class Many:
    """Good frames in clear, one behind another, that were read at once [at_once].

    `went_back` has the packets before which time goes back, by their place among these from 0, and by how much.
    """

    count: int
    first_ns: int
    last_ns: int
    went_back: list[tuple[int, int]]
    statuses: Any
    """Those of them that answer GET_STATUS: `at_once.Statuses`."""
    number: int = 0
    """Of the first packet."""
    began_ns: int = 0
    """The time of the first packet of the file."""


Read = RecordedMessage | NumberedMark | Beginning | Damage


@overload
def read_messages(
    path: Path, keys: Iterable[DeviceKey] = (), *, seen: Seen | None = None
) -> Iterator[Read]: ...


@overload
def read_messages(
    path: Path, keys: Iterable[DeviceKey], taker: Taker | None, *, seen: Seen | None = None
) -> Iterator[Read | Many]: ...


def read_messages(
    path: Path, keys: Iterable[DeviceKey] = (), taker: Taker | None = None, *, seen: Seen | None = None
) -> Iterator[Read | Many]:
    """What a recording holds, in order, damage in its place.

    `keys` are keys of the device, for frames that no key in the file opens; those of development are always at hand.
    With `taker` (`at_once.taker_for`) frames of which nobody wants to see each are read many at once. `seen` is told
    how many bytes of the file have been read.
    BadConfiguration where the file cannot be read or is no pcapng.
    """
    yield from messages_of(entries_of(path, taker, seen), key_finder(keys))


@overload
def entries_of(path: Path) -> Iterator[Entry]: ...


@overload
def entries_of(path: Path, taker: Taker | None, seen: Seen | None = None) -> Iterator[Entry | Taken]: ...


def entries_of(path: Path, taker: Taker | None = None, seen: Seen | None = None) -> Iterator[Entry | Taken]:
    """What a recording consists of; BadConfiguration where the file cannot be read or is no pcapng."""
    try:
        with path.open("rb") as file:
            yield from read_entries(file if seen is None else _SeenFile(file, seen), taker)
    except NotACapture as error:
        raise BadConfiguration(f"{path} is no recording: {error}", advice="name a file in pcapng") from error
    except OSError as error:
        why = error.strerror or str(error)
        raise BadConfiguration(f"{path} cannot be read ({why})", advice="name a recording") from error


@overload
def messages_of(entries: Iterable[Entry], device_key: Callable[[int], bytes | None]) -> Iterator[Read]: ...


@overload
def messages_of(
    entries: Iterable[Entry | Taken], device_key: Callable[[int], bytes | None]
) -> Iterator[Read | Many]: ...


def messages_of(
    entries: Iterable[Entry | Taken], device_key: Callable[[int], bytes | None]
) -> Iterator[Read | Many]:
    """What these entries hold, as of a recording: each as soon as it is there. `device_key`: see `Follower`."""
    reader = _Reader(Follower(device_key))
    for entry in entries:
        match entry:
            case Passed():
                yield reader.message(entry)
            case Mark():
                yield reader.mark(entry)
            case SessionSecret():
                reader.follower.learn(entry)
            case Beginning():
                reader.requests.clear()
                yield entry
            case Damage():
                yield entry
            case Taken():
                yield reader.many(entry.what)


class _SeenFile:
    """A file that tells how far it has been read."""

    def __init__(self, file: Readable, seen: Seen) -> None:
        self._file = file
        self._seen = seen
        self._read_bytes = 0

    def read(self, size: int, /) -> bytes:
        data = self._file.read(size)
        self._read_bytes += len(data)
        self._seen(self._read_bytes)
        return data


class _Reader:
    """Numbers and times what it is given, and ties answers to their requests."""

    def __init__(self, follower: Follower) -> None:
        self.follower = follower
        self.requests: dict[int, dict[int, int]] = {}
        """Numbers of the requests of the last sessions, by sid and by their counter."""
        self._number = 0
        self._first_ns: int | None = None

    def mark(self, mark: Mark) -> NumberedMark:
        return NumberedMark(*self._placed(mark.time_ns), mark)

    def message(self, passed: Passed) -> RecordedMessage:
        number, since_ns = self._placed(passed.time_ns)
        _, frame, payload, _sealed = self.follower.follow(passed)
        if not isinstance(frame, Frame):
            state = FrameState.DELIMITERS if frame is None else FrameState.BAD
            trouble = "" if frame is None else frame.fault.value
            return RecordedMessage(number, since_ns, passed, state, frame, None, None, trouble, None)
        answers = self._tied(frame, number)
        if payload is None:
            trouble = NOT_ITS_KEY if self.follower.knows(frame.sid) else "no key opens it"
            return RecordedMessage(
                number, since_ns, passed, FrameState.SEALED, frame, None, None, trouble, answers
            )
        state = FrameState.OPENED if frame.flags else FrameState.CLEAR
        message, trouble = None, ""
        try:
            message = message_in(frame, payload)
        except ValueError as error:
            trouble = str(error)
        if isinstance(message, PumpHello):  # a session begins, perhaps under the sid of another pump's
            self.requests.pop(message.sid, None)
        return RecordedMessage(number, since_ns, passed, state, frame, payload, message, trouble, answers)

    def many(self, many: Many) -> Many:
        many.number, since_ns = self._placed(many.first_ns)
        many.statuses = many.statuses.numbered_from(many.number)
        many.began_ns = many.first_ns - (0 if since_ns is None else since_ns)
        self._number += many.count - 1
        return many

    def _placed(self, time_ns: int | None) -> tuple[int, int | None]:
        self._number += 1
        if time_ns is None:
            return self._number, None
        if self._first_ns is None:
            self._first_ns = time_ns
        return self._number, time_ns - self._first_ns

    def _tied(self, frame: Frame, number: int) -> int | None:
        """The number of the request that a frame answers; of a request that was repeated, that of the first."""
        asked = self.requests.pop(frame.sid, {})
        if not asked and len(self.requests) >= SESSIONS_KEPT:
            del self.requests[next(iter(self.requests))]
        self.requests[frame.sid] = asked
        if frame.kind == Kind.REQUEST:
            asked.setdefault(frame.ctr, number)
        return asked.get(frame.ref) if frame.kind in (Kind.RESPONSE, Kind.ERROR) else None
