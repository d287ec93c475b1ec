"""Which changes the client of the session is to be told of, and when: SUBSCRIBE and EVENT_HINT [SPEC 5, 6].

A hint says that something changed, never what. Its bits stay set until the client reads the status. What a change is
stands in `_FLAG_OF_RANGE`, by the range of the log entry that it leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from firmware_emu.controller.events import LogWritten, RateStepped
from firmware_emu.units import MS_PER_S
from protocol.identifiers import EventFlag
from protocol.log.types import LogType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from firmware_emu.events import Event

HINT_INTERVAL_MS: Final = 1 * MS_PER_S  # of line time [SPEC 6]
NOTHING: Final = EventFlag(0)
_SECURITY_RANGE: Final = 0x08
_FLAG_OF_RANGE: Final = {
    0x01: EventFlag.STATE,
    0x02: EventFlag.STATE,
    0x03: EventFlag.STATE,
    0x04: EventFlag.BOLUS,
    0x05: EventFlag.ALARM,
    0x06: EventFlag.STATE,
    0x07: EventFlag.STATE,
}
_FLAG_OF_TYPE: Final = {
    LogType.PROGRAM_COMMIT: EventFlag.PROGRAM | EventFlag.STATE,
    LogType.PROGRAM_ABORT: EventFlag.PROGRAM,
    LogType.STAGE_LOST: EventFlag.PROGRAM,
    LogType.TIME_REF: NOTHING,
    LogType.DAY_TOTAL: NOTHING,
}
"""Types that tell something else than their range; both are told beside LOG."""


@dataclass(slots=True)
class EventHints:
    """What the session's client has subscribed to, and what has changed since it last read the status."""

    mask: EventFlag = NOTHING
    """Which changes it wants to be told of; nothing where there is no session."""
    changed: EventFlag = NOTHING
    untold: bool = False
    """Whether something has changed since the last hint."""
    _sent_line_ms: int | None = None

    def subscribe(self, mask: EventFlag) -> None:
        """Tell of these changes from now on, and of those before no more."""
        self.mask = mask
        self.status_read()

    def status_read(self) -> None:
        """Forget what has changed: the client has just read all of it."""
        self.changed = NOTHING
        self.untold = False

    def note(self, events: Iterable[Event]) -> None:
        """Take note of what was committed."""
        flags = NOTHING
        for event in events:
            flags |= _flags_of(event)
        flags &= self.mask
        if flags:
            self.changed |= flags
            self.untold = True

    def due_line_ms(self) -> int | None:
        """The line time from which the next hint may be sent; None where nothing is untold."""
        if not self.untold:
            return None
        return 0 if self._sent_line_ms is None else self._sent_line_ms + HINT_INTERVAL_MS

    def sent(self, line_ms: int) -> None:
        """A hint has left."""
        self._sent_line_ms = line_ms
        self.untold = False


def _flags_of(event: Event) -> EventFlag:
    if isinstance(event, RateStepped):
        return EventFlag.STATE
    if not isinstance(event, LogWritten) or event.log_type >> 8 == _SECURITY_RANGE:
        return NOTHING
    by_range = _FLAG_OF_RANGE.get(event.log_type >> 8, NOTHING)
    return _FLAG_OF_TYPE.get(event.log_type, by_range) | EventFlag.LOG
