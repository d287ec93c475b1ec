"""Errors of a link in a recording: what was bad, asked for again, never answered, or lost [hil/capture/README.md]."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from hil.capture.messages import FrameState, NumberedMark, RecordedMessage
from protocol.capture.recording import DROPPED, LINE_FAULT, LINE_GAP
from protocol.identifiers import Kind
from protocol.wire.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator

ON_THE_LINE: Final = {LINE_FAULT: "line fault", DROPPED: "bytes dropped", LINE_GAP: "line gap"}


class LinkError(NamedTuple):
    """One error: the entry in which it shows, what kind it is, and what is to be said of it."""

    entry: RecordedMessage | NumberedMark
    name: str
    says: str


class _Asked(NamedTuple):
    """The last request of a session: its counter, when it was first sent, and whether it was answered."""

    ctr: int
    entry: RecordedMessage
    answered: bool


class LinkErrors:
    """Finds the errors of a link in entries as they come."""

    def __init__(self) -> None:
        self._asked: dict[int, _Asked] = {}

    def take(self, entry: RecordedMessage | NumberedMark) -> Iterator[LinkError]:
        """The errors that are known with this entry."""
        if isinstance(entry, NumberedMark):
            if entry.mark.kind in ON_THE_LINE:
                yield LinkError(entry, ON_THE_LINE[entry.mark.kind], entry.mark.text)
            return
        if entry.state is FrameState.BAD:
            yield LinkError(entry, "bad frame", entry.trouble)
        if entry.passed.lost_bytes:
            yield LinkError(entry, "not in the file", f"{entry.passed.lost_bytes} bytes")
        if isinstance(entry.frame, Frame):
            yield from self._take_frame(entry, entry.frame)

    def unanswered(self) -> Iterator[LinkError]:
        """The last request of each session to which no answer came; to be asked at the end of a recording."""
        for asked in self._asked.values():
            yield from _unanswered(asked)

    def _take_frame(self, entry: RecordedMessage, frame: Frame) -> Iterator[LinkError]:
        asked = self._asked.get(frame.sid)
        if frame.kind == Kind.REQUEST:
            if asked is not None and asked.ctr == frame.ctr:
                yield LinkError(entry, "sent again", f"request {frame.ctr}")
                return
            if asked is not None:
                yield from _unanswered(asked)
            self._asked[frame.sid] = _Asked(frame.ctr, entry, answered=False)
        elif (
            frame.kind in (Kind.RESPONSE, Kind.ERROR)
            and asked is not None
            and asked.ctr & 0xFFFF == frame.ref
        ):
            self._asked[frame.sid] = asked._replace(answered=True)


def _unanswered(asked: _Asked) -> Iterator[LinkError]:
    if not asked.answered:
        yield LinkError(asked.entry, "no answer", f"request {asked.ctr}")
