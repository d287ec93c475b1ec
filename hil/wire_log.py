"""The last frames of one programmer's conversation, in memory: what the report of a failed test shows.

Frames are kept as they were and decoded only when somebody asks. Nothing goes to a file.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from hil.frame_words import frame_text
from protocol.link.connection import Direction, FrameRecord
from protocol.wire.frame import BadFrame

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.channel import Channel
    from protocol.link.client_end import ClientEnd

CAPACITY = 4_000  # frames; a month of status every minute turns it over ten times
_ARROWS = {Direction.SENT: "-->", Direction.RECEIVED: "<--"}


class WireEntry(NamedTuple):
    """One frame as our end saw it. `device_ms` is the pump's time where the bench knows it."""

    line_ms: int
    device_ms: int | None
    record: FrameRecord


class WireLog:
    """The last frames, oldest first."""

    def __init__(self) -> None:
        self.entries: deque[WireEntry] = deque(maxlen=CAPACITY)
        self.count = 0
        """Frames ever seen, also those that have dropped out."""
        self.damaged = 0
        """Those of them that arrived with a bad CRC or bad framing."""
        self.repeated = 0
        """Those of them that were sent again, byte for byte."""
        self.opened = 0
        """Those of them that arrived whole, with a good tag where they have one."""
        self._last_sent = b""
        self.watch: Callable[[WireEntry], None] | None = None
        """Told of each frame as it passes."""

    def take_from(self, end: ClientEnd, line_ms: int, channel: Channel) -> None:
        """Take over what an end of the link has noted since the last time."""
        records = end.take_frames()
        if records:
            device_ms = channel.device_ms()
            self.count += len(records)
            self._count(records)
            news = [WireEntry(line_ms, device_ms, record) for record in records]
            self.entries += news
            if self.watch is not None:
                for entry in news:
                    self.watch(entry)

    def _count(self, records: list[FrameRecord]) -> None:
        for record in records:
            if record.direction is Direction.SENT:
                self.repeated += record.encoded == self._last_sent
                self._last_sent = record.encoded
            elif record.fault is not None:
                self.damaged += 1
            else:
                self.opened += record.payload is not None

    def text(self, last: int) -> str:
        """The last frames, one line each, decoded."""
        kept = list(self.entries)[-last:]
        left_out = self.count - len(kept)
        head = [f"({left_out} earlier frames)"] if left_out > 0 else []
        return "\n".join(head + [line_of(entry) for entry in kept])


def line_of(entry: WireEntry) -> str:
    """One frame as a line: device time, line time, direction, what it says."""
    device = "pump time unknown" if entry.device_ms is None else f"pump {clock_text(entry.device_ms)}"
    return f"{device}  line {entry.line_ms} ms  {_ARROWS[entry.record.direction]} {meaning_of(entry.record)}"


def clock_text(time_ms: int) -> str:
    """Pump time as days and time of day, exact to the ms."""
    seconds, ms = divmod(time_ms, 1_000)
    minutes, s = divmod(seconds, 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    return f"{days}d {h:02}:{m:02}:{s:02}.{ms:03}"


def meaning_of(record: FrameRecord) -> str:
    """What a frame says, decoded where it can be, in hex where it cannot."""
    frame = record.frame
    if isinstance(frame, BadFrame):
        return f"bad frame, {frame.fault.value}: {record.encoded.hex(' ')}"
    return frame_text(frame, record.payload)
