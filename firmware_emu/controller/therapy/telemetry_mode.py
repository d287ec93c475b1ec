"""Telemetry mode: what a wake-up of the receiver does that no programmer is behind [DOMAIN 3.4, S12, RH-08, SR-86].

In it nothing happens to therapy, unless an alarm sounds, then or later: then nothing is infused. It ends when the
receiver sleeps again and nothing is held back, by an interrogation, and after a time-out. As reported from the field
(`telemetry_exit = "interrogation"`) there is no time-out, and what is held back waits for the interrogation. Kept in
RAM alone: a reset ends it. Not for sessions: while one is open a programmer is there, and nothing wakes anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from firmware_emu.profile import TelemetryExit
from firmware_emu.units import MS_PER_S
from protocol.log.data import TelemetryEnterData, TelemetryExitData
from protocol.log.types import BolusEndReason, LogType, RateChangeReason, TelemetryExitReason

if TYPE_CHECKING:
    from firmware_emu.controller.therapy.therapy import Therapy


@dataclass(slots=True)
class TelemetryMode:
    """Since when the pump is in it, and since when nothing is infused; None where that is not so."""

    since_ms: int | None = None
    suspended_ms: int | None = None
    receiver_awake: bool = False

    @property
    def suspends(self) -> bool:
        """Whether nothing is infused."""
        return self.suspended_ms is not None


def due_ms(therapy: Therapy) -> int | None:
    """When its time is over; None outside of it, and where only an interrogation ends it."""
    since_ms, model = therapy.telemetry.since_ms, therapy.model
    if since_ms is None or model.telemetry_exit is TelemetryExit.INTERROGATION:
        return None
    return since_ms + model.telemetry_timeout_s * MS_PER_S


def wake(therapy: Therapy) -> None:
    """Enter it; nothing where the pump is in it."""
    mode = therapy.telemetry
    mode.receiver_awake = True
    if mode.since_ms is not None:
        return
    mode.since_ms = therapy.records.tick_ms
    suspends = _alarm_sounds(therapy)
    therapy.records.enter(LogType.TELEM_MODE_ENTER, TelemetryEnterData(int(suspends)))
    if suspends:
        _suspend(therapy)


def sleep(therapy: Therapy) -> None:
    """Leave it because the receiver sleeps again, unless infusion is held back: that takes more."""
    therapy.telemetry.receiver_awake = False
    if not therapy.telemetry.suspends:
        leave(therapy, TelemetryExitReason.QUIET)


def look(therapy: Therapy) -> None:
    """Leave it when its time is over, or hold infusion back where an alarm sounds by now."""
    mode, end_ms = therapy.telemetry, due_ms(therapy)
    if mode.since_ms is None:
        return
    if end_ms is not None and end_ms <= therapy.records.tick_ms:
        leave(therapy, TelemetryExitReason.TIME_OUT)
    elif not mode.suspends and _alarm_sounds(therapy):
        therapy.records.enter(LogType.TELEM_MODE_ENTER, TelemetryEnterData(1))
        _suspend(therapy)


def leave(therapy: Therapy, reason: TelemetryExitReason) -> None:
    """Leave it, and infuse again; nothing where the pump is not in it."""
    mode, tick_ms = therapy.telemetry, therapy.records.tick_ms
    if mode.since_ms is None:
        return
    suspended_s = 0 if mode.suspended_ms is None else (tick_ms - mode.suspended_ms) // MS_PER_S
    mode.since_ms = mode.suspended_ms = None
    therapy.records.enter(LogType.TELEM_MODE_EXIT, TelemetryExitData(reason, suspended_s))
    therapy.follow_rate(RateChangeReason.TELEMETRY)


def _suspend(therapy: Therapy) -> None:
    """Infuse nothing: what is delivered on top of the basal rate ends, and basal rate and bridge wait."""
    therapy.telemetry.suspended_ms = therapy.records.tick_ms
    therapy.end_all(BolusEndReason.ALARM)
    therapy.follow_rate(RateChangeReason.TELEMETRY)


def _alarm_sounds(therapy: Therapy) -> bool:
    from_ms = therapy.records.alarms.sounds_from_ms.values()
    return any(at_ms <= therapy.records.tick_ms for at_ms in from_ms)
