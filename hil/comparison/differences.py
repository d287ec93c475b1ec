"""Compares two recordings, message by message and field by field, and tells what is not the same."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hil.capture.messages import FrameState, RecordedMessage
from hil.comparison.alignment import aligned, aligned_in_gaps
from hil.comparison.judging import Judge, Unlike
from hil.comparison.rules import BAD_FRAME
from hil.frame_words import opcode_name
from protocol.identifiers import Kind
from protocol.wire.frame import BadFrame, Frame

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

    from hil.comparison.alignment import Pair
    from hil.comparison.rules import Rules

REQUESTS_KEPT: Final = 4_096
"""Of which it is known what they asked for; an answer comes soon."""
ANSWER: Final = "answer"
"""Stands for both kinds of answer: a refusal is compared with the response that it stands in place of."""


class How(StrEnum):
    """In which way two recordings differ at a place."""

    FIELD = "field"  # of two messages that correspond
    MISSING = "missing"  # a message that only the first recording has
    EXTRA = "extra"  # a message that only the second recording has
    SEALED = "sealed"  # a frame that no key opens: nobody can say that it is the same


class Difference(NamedTuple):
    """One thing that is not the same.

    `place` names message and field, or the message that has no counterpart. `first` and `second` are None where a
    recording has no such message. `was` and `now` are the values of the field; None where there is none.
    """

    how: How
    place: str
    first: RecordedMessage | None
    second: RecordedMessage | None
    was: Any = None
    now: Any = None


@dataclass
class Comparison:
    """Compares by rules, and remembers what was compared and what its rules have hidden."""

    rules: Rules
    pairs: int = 0
    """Messages that have a counterpart and could be read in both."""
    judge: Judge = field(init=False)

    def __post_init__(self) -> None:
        self.judge = Judge(self.rules)

    def differences(
        self, recorded: Iterable[RecordedMessage], heard: Iterable[RecordedMessage]
    ) -> Iterator[Difference]:
        """What is not the same, in the order of the recordings; delimiters between frames mean nothing.

        Each is gone through several times, and no more is kept of it than a number a message: which is which must be
        known of all before the first two are compared.
        """
        pairs = self._aligned(recorded, heard)
        first, second = _spoken(recorded), _spoken(heard)
        for at, to in pairs:  # each message once, in order
            was, now = None if at is None else next(first, None), None if to is None else next(second, None)
            if was is not None and now is not None:
                yield from self._between(was, now)
            elif was is not None:
                yield _alone(How.MISSING, was, None)
            elif now is not None:
                yield _alone(How.EXTRA, None, now)

    def _aligned(
        self, recorded: Iterable[RecordedMessage], heard: Iterable[RecordedMessage]
    ) -> Iterable[Pair]:
        """Which message is which: where not all has been asked alike, those first that also say the same."""
        sides = (recorded, heard)
        asked = [_numbers(_asked_keys(_spoken(side), self.judge)) for side in sides]
        if asked[0] == asked[1]:
            return ((place, place) for place in range(len(asked[0])))
        said = [_numbers(_said_key(each, self.judge) for each in _spoken(side)) for side in sides]
        coarse = [_numbers(map(_coarse_key, _spoken(side))) for side in sides]
        return aligned_in_gaps(aligned_in_gaps(aligned(*said), *asked), *coarse)

    def _between(self, first: RecordedMessage, second: RecordedMessage) -> Iterator[Difference]:
        """What differs between two messages that correspond."""
        if FrameState.SEALED in (first.state, second.state):
            yield Difference(How.SEALED, message_name(first), first, second)
            return
        self.pairs += 1
        for unlike in self._unlike(first, second):
            yield Difference(How.FIELD, unlike.place, first, second, unlike.was, unlike.now)

    def _unlike(self, first: RecordedMessage, second: RecordedMessage) -> Iterator[Unlike]:
        if isinstance(first.frame, BadFrame):
            yield from self.judge.bad_frames(first.passed.data, second.passed.data)
            return
        if first.message is None or second.message is None:
            if (first.message is None) is not (second.message is None) or first.payload != second.payload:
                yield Unlike(f"{message_name(first)}.payload", _hex(first.payload), _hex(second.payload))
            return
        if type(first.message) is not type(second.message):
            yield Unlike(f"{_opcode(first)}.answer", message_name(first), message_name(second))
            return
        yield from self.judge.messages(first.message, second.message)


def message_name(entry: RecordedMessage) -> str:
    """What passed, by name: a refusal by its code, and what could not be read by its opcode."""
    if isinstance(entry.frame, BadFrame):
        return BAD_FRAME
    if entry.message is None:
        return _opcode(entry)
    code = getattr(entry.message, "code", None)
    name = type(entry.message).__name__
    is_refusal = isinstance(entry.frame, Frame) and entry.frame.kind is Kind.ERROR
    return f"{name} {code.name}" if is_refusal and code is not None else name


def _opcode(entry: RecordedMessage) -> str:
    assert isinstance(entry.frame, Frame)  # noqa: S101 - bad frames have a name of their own
    return opcode_name(entry.frame)


def _hex(payload: bytes | None) -> str | None:
    return None if payload is None else payload.hex()


def _alone(how: How, first: RecordedMessage | None, second: RecordedMessage | None) -> Difference:
    entry = first or second
    assert entry is not None  # noqa: S101 - one of both is there
    return Difference(how, message_name(entry), first, second)


# --- what is looked for in the other recording ----------------------------------------------------------------------


def _spoken(entries: Iterable[RecordedMessage]) -> Iterator[RecordedMessage]:
    return (entry for entry in entries if entry.state is not FrameState.DELIMITERS)


def _numbers(keys: Iterable[Hashable]) -> array[int]:
    """A number for each key. Where two keys share one, two messages are compared that need not be: no more."""
    return array("q", map(hash, keys))


def _coarse_key(entry: RecordedMessage) -> Hashable:
    """Way, kind and opcode: two messages that may be compared with each other."""
    frame = entry.frame
    if not isinstance(frame, Frame):
        return entry.passed.way, BAD_FRAME, entry.trouble
    kind = ANSWER if frame.kind in (Kind.RESPONSE, Kind.ERROR) else frame.kind.name
    return entry.passed.way, kind, frame.opcode


def _said_key(entry: RecordedMessage, judge: Judge) -> Hashable:
    """With them all that is said: a request to the last number, and of the others what is compared exactly."""
    message: Hashable = entry.payload if entry.message is None else entry.message
    if entry.message is not None and not (
        isinstance(entry.frame, Frame) and entry.frame.kind is Kind.REQUEST
    ):
        message = judge.contents(entry.message)
    return _coarse_key(entry), message


def _asked_keys(entries: Iterable[RecordedMessage], judge: Judge) -> Iterator[Hashable]:
    """With them what a request asks for; of an answer, what it answers."""
    request_keys: dict[int, Hashable] = {}
    for entry in entries:
        key = _coarse_key(entry)
        if isinstance(entry.frame, Frame):
            if entry.frame.kind is Kind.REQUEST:
                asked = entry.payload if entry.message is None else judge.contents(entry.message)
                key = (key, asked)
                request_keys[entry.number] = key
                if len(request_keys) > REQUESTS_KEPT:
                    del request_keys[next(iter(request_keys))]
            elif entry.answers is not None:
                key = (key, request_keys.get(entry.answers))
        yield key
