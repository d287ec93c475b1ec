"""What keeps a pump from doing what its program says, by its own word: whoever says that all is well looks here first.

A pump in RUN gives no drug where its motor stands still, and not the program's rates where those follow a clock that it
has lost: the state alone is no proof.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from protocol.identifiers import AlarmClass, AlarmFlag, InfusionMode, State, StatusFlag

if TYPE_CHECKING:
    from collections.abc import Iterable

    from protocol.messages.alarms import AlarmRow
    from protocol.messages.reading import GetStatusReply


class Hindrance(Enum):
    """Why the program is not given as it is written, the worst first."""

    STATE = "the pump is not in RUN"
    ALARM = "a critical alarm is on"
    CLOCK = "a flexible program without the time of day: one rate is given all day [SPEC 12]"


def critical_alarms(alarms: Iterable[AlarmRow]) -> list[AlarmRow]:
    """The critical alarms whose condition lasts."""
    return [row for row in alarms if row.alarm_class is AlarmClass.CRITICAL and AlarmFlag.ACTIVE in row.flags]


def hindrance(status: GetStatusReply, alarms: Iterable[AlarmRow]) -> Hindrance | None:
    """What keeps the program from being given; None where nothing does."""
    is_so = {
        Hindrance.STATE: status.state is not State.RUN,
        Hindrance.ALARM: bool(critical_alarms(alarms)),
        Hindrance.CLOCK: status.mode is InfusionMode.FLEX and StatusFlag.WALL_VALID not in status.flags,
    }
    return next((each for each, so in is_so.items() if so), None)
