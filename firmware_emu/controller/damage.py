"""What becomes of records that a boot could not read, or that did not land: which alarm, and which state.

Damage to therapy data ends in the safe state; damage elsewhere costs comfort [DOMAIN 8.4]. What other records still
know of a lost one is put back, so that no alarm that lasts falls silent. Which records are damaged finds `boot`, which
has taken the alarms from the log by then, where theirs is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from firmware_emu.controller.alarms.alarm_table import Remedy
from firmware_emu.controller.memory.memory_map import CRITICAL_REGIONS, Region
from firmware_emu.controller.self_test import NO_REGION
from firmware_emu.controller.therapy.bolus_window import Ended
from firmware_emu.controller.therapy.modes import Trigger
from firmware_emu.controller.therapy.patient_requests import GRANTS_MAX
from protocol.identifiers import AlarmId, BatteryPhase, State, StateReason
from protocol.log.data import NvmFaultData
from protocol.log.types import BolusEndReason, LogType, MemoryFault, RateChangeReason

if TYPE_CHECKING:
    from firmware_emu.controller.memory.event_log import LogDamage
    from firmware_emu.controller.memory.memory import Failure
    from firmware_emu.controller.therapy.therapy import Therapy


def judge_damage(therapy: Therapy, corrupt: set[Region], log_damage: LogDamage) -> None:
    """Log the damage, put back what can be known, raise the alarm, and leave a therapy that cannot be trusted."""
    records = therapy.records
    for region in sorted(corrupt):
        records.enter(LogType.NVM_FAULT, NvmFaultData(region, 0))
        records.mark_dirty(region)
    if Region.BOLUS_WINDOW in corrupt:  # what was given today is unknown: as much as may be
        records.window.ended.append(Ended(records.tick_ms, therapy.model.day_max_nl))
        records.window.last_end_ms = records.tick_ms
    if Region.PATIENT in corrupt:  # as many as any program allows, and just now
        records.patient.grants_ms = [records.tick_ms] * GRANTS_MAX
        records.patient.lock(records.tick_ms)
    if Region.SERVICE in corrupt:
        _count_service_anew(therapy)
    if Region.WALL_CLOCK in corrupt:
        records.raise_alarm(AlarmId.WALL_INVALID)
    critical = corrupt & CRITICAL_REGIONS
    if critical:
        records.raise_alarm(AlarmId.MEM_CRITICAL, min(critical))
        _distrust(therapy)
    elif corrupt:
        records.raise_alarm(AlarmId.MEM_NONCRITICAL, min(corrupt))
    if not records.tell_log_damage(log_damage) and not corrupt and not records.memory.failures:
        records.remedy(Remedy.REWRITE)
    if Region.ALARMS in corrupt:
        _raise_what_lasts(therapy)


def judge_failures(therapy: Therapy, failures: list[Failure]) -> None:
    """Log what was written and cannot be read back, raise the alarm, and leave a therapy that no reset would survive.

    Where a journal, the mark or a checkpoint does not land, nobody vouches that the next change can be made whole: NVM,
    and the safe state. A record goes by what it holds, as one that is found damaged does. A slot of the log costs its
    entry.
    """
    records = therapy.records
    for failure in failures:
        if failure.log is not None:
            records.raise_alarm(AlarmId.MEM_NONCRITICAL, failure.offset, MemoryFault.LOG)
            continue
        region = NO_REGION if failure.region is None else failure.region
        records.enter(LogType.NVM_FAULT, NvmFaultData(region, failure.offset))
        if failure.region is None:
            records.raise_alarm(AlarmId.NVM, failure.offset)
            _distrust(therapy)
        elif failure.region in CRITICAL_REGIONS:
            records.raise_alarm(AlarmId.MEM_CRITICAL, failure.region)
            _distrust(therapy)
        else:
            records.raise_alarm(AlarmId.MEM_NONCRITICAL, failure.region)
    if records.alarms.critical_active:  # now: before the program's next event a stroke would be turned
        therapy.end_all(BolusEndReason.ALARM)


def _distrust(therapy: Therapy) -> None:
    """Fall back to the safe state, because of the memory."""
    therapy.change(Trigger.MEMORY_CORRUPTED, StateReason.MEMORY, RateChangeReason.SAFE_RATE)
    if therapy.records.therapy.state is not State.EOS:
        therapy.records.therapy.reason = StateReason.MEMORY


def _count_service_anew(therapy: Therapy) -> None:
    """Count the service life from the day of the implant, which the identity knows, by the wall clock's estimate."""
    records = therapy.records
    clock, implant_wall_s = records.wall_clock, records.identity.implant_wall_s
    if implant_wall_s:
        wall_s = clock.wall_s(records.tick_ms)
        records.service.implanted(implant_wall_s, wall_s, records.tick_ms, clock.tz_minutes)


def _raise_what_lasts(therapy: Therapy) -> None:
    """Raise what other records still show to last; the next look at the reservoir raises its own alarms."""
    records, stopped = therapy.records, therapy.records.therapy
    lasting = {
        AlarmId.MOTOR_STALL: therapy.detector.stalled,
        AlarmId.STOPPED_TOO_LONG: stopped.stopped_too_long,
        AlarmId.STOP_EXPIRED: stopped.stop_expired,
        AlarmId.ERI: records.service.phase is not BatteryPhase.OK,
        AlarmId.EOS: stopped.state is State.EOS,
        AlarmId.MEM_CRITICAL: stopped.reason is StateReason.MEMORY,
        AlarmId.WALL_INVALID: not records.wall_clock.valid,
    }
    for alarm_id, lasts in lasting.items():
        if lasts:
            records.raise_alarm(alarm_id)
