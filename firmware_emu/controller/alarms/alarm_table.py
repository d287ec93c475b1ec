"""The alarms: which class and priority each has, whether its signal outlives its cause, and what ends it.

The words are those of IEC 60601-1-8. The alarm *condition* is what is wrong; it is active while it lasts.
Each time it begins is an *occurrence*, named by the number of its log entry. The *signal* is the tone. A
*latching* signal goes on when the condition has ended, until somebody has acknowledged it. To *acknowledge*
is to say "I have seen this occurrence": it silences, and ends nothing. The *priority* is what the harm asks
for [DOMAIN 3.6].

A momentary condition is over as soon as it has happened (a reset, a bolus that ended early): never active,
only latched, so it blocks nothing. State and arithmetic of alarms stand in `alarms`.

An alarm is raised where its cause is found: in `therapy.therapy` (low and empty reservoir, stall, a bolus that ended
early), `timers` (what comes with time), `boot` and `link_log` (reset, random source) and `damage` (memory).
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from protocol.identifiers import AlarmClass, AlarmId


class Priority(Enum):
    """How soon somebody must act [DOMAIN 3.6]."""

    HIGH = "high"
    LOW = "low"


class Remedy(Enum):
    """What ends an alarm condition, or unlatches one that must not be forgotten."""

    CONDITION = "the condition ends by itself"
    REFILL = "a refill"
    THERAPY = "the program delivered again; the safe rate is none"
    PROGRAM = "a program committed"
    CLOCK = "the wall clock set"
    REWRITE = "the data written anew, and found whole"
    RESTART = "a restart that finds it in order"
    ACKNOWLEDGE = "an acknowledgement"
    REPLACEMENT = "a new pump"


class AlarmRow(NamedTuple):
    """One alarm.

    `remembered`: stays latched until its remedy, acknowledged or not [DOMAIN 3.7]. `for_clinician`: what a patient
    acknowledges falls silent and stays latched, since a clinician must still see it [DOMAIN RH-17].
    """

    alarm_class: AlarmClass
    priority: Priority
    remedy: Remedy
    latching: bool = False
    momentary: bool = False
    remembered: bool = False
    for_clinician: bool = False


_CRITICAL, _NON_CRITICAL = AlarmClass.CRITICAL, AlarmClass.NON_CRITICAL
_HIGH, _LOW = Priority.HIGH, Priority.LOW

ALARMS: Final[dict[AlarmId, AlarmRow]] = {
    AlarmId.LOW_RESERVOIR: AlarmRow(_NON_CRITICAL, _LOW, Remedy.REFILL),
    AlarmId.EMPTY: AlarmRow(_CRITICAL, _HIGH, Remedy.REFILL),
    AlarmId.MOTOR_STALL: AlarmRow(_CRITICAL, _HIGH, Remedy.CONDITION),
    AlarmId.STOPPED_TOO_LONG: AlarmRow(_CRITICAL, _HIGH, Remedy.THERAPY),
    AlarmId.STOP_EXPIRED: AlarmRow(_CRITICAL, _HIGH, Remedy.THERAPY),
    AlarmId.ERI: AlarmRow(_NON_CRITICAL, _LOW, Remedy.REPLACEMENT, latching=True, remembered=True),
    AlarmId.EOS: AlarmRow(_CRITICAL, _HIGH, Remedy.REPLACEMENT, latching=True, remembered=True),
    AlarmId.MEM_NONCRITICAL: AlarmRow(_NON_CRITICAL, _LOW, Remedy.REWRITE),
    AlarmId.MEM_CRITICAL: AlarmRow(_CRITICAL, _HIGH, Remedy.PROGRAM, latching=True, remembered=True),
    AlarmId.RESET: AlarmRow(_CRITICAL, _HIGH, Remedy.PROGRAM, latching=True, momentary=True, remembered=True),
    AlarmId.BOLUS_PARTIAL: AlarmRow(_NON_CRITICAL, _LOW, Remedy.ACKNOWLEDGE, latching=True, momentary=True),
    AlarmId.WALL_INVALID: AlarmRow(_NON_CRITICAL, _LOW, Remedy.CLOCK),
    AlarmId.RNG_FAILED: AlarmRow(_NON_CRITICAL, _LOW, Remedy.RESTART),
    AlarmId.KEY_RECOVERY: AlarmRow(
        _NON_CRITICAL, _LOW, Remedy.ACKNOWLEDGE, latching=True, momentary=True, for_clinician=True
    ),
    AlarmId.NVM: AlarmRow(_CRITICAL, _HIGH, Remedy.RESTART, latching=True),
    AlarmId.SELF_TEST: AlarmRow(_CRITICAL, _HIGH, Remedy.RESTART, latching=True),
    AlarmId.TUBE_SET: AlarmRow(
        _NON_CRITICAL, _LOW, Remedy.ACKNOWLEDGE, latching=True, momentary=True, for_clinician=True
    ),
}


def register_alarm(alarm_id: AlarmId, row: AlarmRow) -> None:
    """Add an alarm. ValueError where there is one of that number."""
    if alarm_id in ALARMS:
        raise ValueError(f"the alarm {alarm_id.name} is there already")
    ALARMS[alarm_id] = row
