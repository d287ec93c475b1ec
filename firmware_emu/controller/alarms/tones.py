"""Which tone sounds next: what each class of alarm sounds like, how often, and which is heard.

`timers` plays it on the sounder when it is due.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from firmware_emu.pins import Tone
from firmware_emu.units import MS_PER_S
from protocol.identifiers import AlarmClass

if TYPE_CHECKING:
    from firmware_emu.controller.alarms.alarms import Alarms

CRITICAL_TONE_MS: Final = 3 * MS_PER_S  # two-tone [DOMAIN 3.1]
NON_CRITICAL_TONE_MS: Final = 1 * MS_PER_S  # single tone [DOMAIN 3.1]


class ToneIntervals(NamedTuple):
    """How often each class sounds."""

    critical_ms: int
    non_critical_ms: int


def tone_of(alarm_class: AlarmClass, at_ms: int) -> Tone:
    """The tone of a class, beginning at this tick."""
    critical = alarm_class is AlarmClass.CRITICAL
    return Tone(at_ms, critical, CRITICAL_TONE_MS if critical else NON_CRITICAL_TONE_MS)


def next_tone(alarms: Alarms, from_ms: int, intervals: ToneIntervals) -> Tone | None:
    """The first tone that begins at or after `from_ms` as things stand; None where there is none to come.

    A class sounds at the pace of the alarm that broke its silence, for as long as any of its alarms sounds; one that is
    silenced for a time counts from the end of that time on. Only the highest class is heard [DOMAIN 6.4, SR-53].
    """
    critical_ms = alarms.sounds_from_ms.get(AlarmClass.CRITICAL)
    non_critical_ms = alarms.sounds_from_ms.get(AlarmClass.NON_CRITICAL)
    if non_critical_ms is not None:
        at_ms = _first_from(from_ms, non_critical_ms, intervals.non_critical_ms)
        if critical_ms is None or at_ms < critical_ms:
            return tone_of(AlarmClass.NON_CRITICAL, at_ms)
    if critical_ms is None:
        return None
    at_ms = _first_from(from_ms, critical_ms, intervals.critical_ms)
    return tone_of(AlarmClass.CRITICAL, at_ms)


def _first_from(from_ms: int, start_ms: int, interval_ms: int) -> int:
    """The first of `start_ms`, `start_ms + interval_ms`, ... that is not before `from_ms`."""
    return start_ms if from_ms <= start_ms else from_ms + (start_ms - from_ms) % interval_ms
