"""What the program in the pump tells of itself, and the frames of its line: events for the trace, never for the wire.

The link's own events are not among them: a `SessionOpened` holds a key, and no key may be in a trace. What follows
from them is in the log, and so in `LogWritten`.
"""

from __future__ import annotations

from firmware_emu.events import Event
from protocol.identifiers import AlarmId  # noqa: TC001 - whoever waits for an event asks which values it can have
from protocol.log.types import LogType  # noqa: TC001 - as above
from protocol.wire.frame import Fault  # noqa: TC001 - as above


class ProgramEvent(Event):
    """What the program in the pump did; a time run "until event" ends at one."""


class LogWritten(ProgramEvent):
    """An entry of the log was committed; where a power cut came between, the next start tells it."""

    seq: int
    log_type: LogType
    actor: int
    cmd_id: int
    data: tuple[object, ...]
    """The record of `protocol.log.data` that belongs to the type."""


class AlarmRaised(ProgramEvent):
    """A condition holds that did not hold before."""

    alarm_id: AlarmId
    cause: int
    value: int
    log_seq: int


class AlarmCleared(ProgramEvent):
    """A condition has ceased, or its alarm was remedied."""

    alarm_id: AlarmId
    log_seq: int


class RateStepped(ProgramEvent):
    """The basal rate of a flexible program changed because the time of day did; the log has no entry of it."""

    old_nl_per_day: int
    new_nl_per_day: int


class FrameReceived(Event):
    """A frame came in. `encoded` is what stood between its zeros; `fault` is why it was bad, None where it was not."""

    encoded: bytes
    fault: Fault | None


class FrameSent(Event):
    """A frame went out. `encoded` is what stands between its zeros."""

    encoded: bytes
