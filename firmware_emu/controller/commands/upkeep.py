"""REFILL, TIME_SET, ALARM_ACK, LOG_READ, LOG_STATUS, PING and END_SESSION [SPEC 6]."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from firmware_emu.controller.alarms.alarm_table import Remedy
from firmware_emu.controller.commands.device_context import Refilled
from firmware_emu.controller.commands.ledgered import done, repeated
from firmware_emu.controller.commands.programming import adopt, start_therapy, verified_program
from firmware_emu.controller.commands.request_context import Refused, RequestContext
from firmware_emu.controller.memory.memory_map import Region
from firmware_emu.controller.therapy.bolus import minimum_duration_s
from firmware_emu.controller.therapy.foreseen import end_ms, foreseen
from firmware_emu.controller.therapy.modes import Trigger
from firmware_emu.controller.therapy.reservoir_belief import check_fill
from firmware_emu.controller.wall_clock import TZ_MAX_MINUTES, TZ_MIN_MINUTES, UNCONFIRMED_DELTA_S
from firmware_emu.units import MS_PER_S
from protocol.identifiers import CARD_KEY_ID, ErrorCode, InfusionMode, Role, StateReason
from protocol.log.data import AlarmAckData, RefillData, TimeSetData
from protocol.log.entry import LogEntry
from protocol.log.types import LogType, RateChangeReason
from protocol.messages.alarms import AlarmAckReply
from protocol.messages.conversation import EndSessionReply, PingReply
from protocol.messages.reservoir import RefillReply
from protocol.messages.time import TimeSetReply

if TYPE_CHECKING:
    from firmware_emu.controller.commands.device_context import DeviceContext
    from firmware_emu.controller.therapy.programs import Program
    from protocol.messages.alarms import AlarmAck
    from protocol.messages.ledger import CommandResult
    from protocol.messages.log import LogRead, LogReadReply, LogStatusReply
    from protocol.messages.reservoir import Refill
    from protocol.messages.time import TimeSet

NEVER_S = 0xFFFF_FFFF
_READS_THERAPY = frozenset({Role.CLINICIAN, Role.SERVICE})
I32_MAX = 0x7FFF_FFFF


def refill(device: DeviceContext, request: RequestContext) -> RefillReply:
    """Take over what the clinician entered, and with another drug its staged program, in one commit."""
    records, therapy, reservoir = device.records, device.records.therapy, device.records.reservoir
    wanted: Refill = request.message
    result = repeated(records, request)
    if result is not None:
        return _refill_reply(device, result)
    device.check_in_service()
    program = _refill_program(device, wanted)
    _check_refill(device, wanted)
    reservoir.refill(
        wanted.aspirated_nl,
        wanted.filled_nl,
        wanted.low_alarm_nl,
        wanted.drug_id,
        wanted.concentration_ng_per_ml,
        request.now.tick_ms // MS_PER_S,
        records.wall_clock.known_wall_s(request.now.tick_ms),
    )
    data = RefillData(wanted.aspirated_nl, wanted.filled_nl, reservoir.last_expected_nl)
    seq = records.enter(LogType.REFILL, data, actor=request.actor, cmd_id=wanted.cmd_id)
    device.refills.append(Refilled(wanted.filled_nl, wanted.concentration_ng_per_ml))
    records.patient.lock(request.now.tick_ms)
    records.mark_dirty(Region.RESERVOIR, Region.PATIENT)
    records.remedy(Remedy.REFILL)
    if program is not None:
        restarts = device.staging is not None and device.staging.restarts
        adopt(device, program, actor=request.actor, cmd_id=wanted.cmd_id)
        if restarts:
            start_therapy(device, actor=request.actor)
    if therapy.reason is StateReason.EMPTY_POLICY:
        device.therapy.change(
            Trigger.REFILLED_AFTER_EMPTY, StateReason.COMMAND, RateChangeReason.RESUME, actor=request.actor
        )
    device.therapy.check_reservoir()
    return _refill_reply(device, done(records, request, seq))


def _refill_reply(device: DeviceContext, result: CommandResult) -> RefillReply:
    """What that refill left behind, as far as no later one has replaced it."""
    reservoir = device.records.reservoir
    return RefillReply(
        result,
        reservoir.calc_nl,
        reservoir.last_expected_nl,
        max(-I32_MAX, min(reservoir.last_aspirated_nl - reservoir.last_expected_nl, I32_MAX)),
        device.records.therapy.program_rev,
    )


def _refill_program(device: DeviceContext, wanted: Refill) -> Program | None:
    """The staged program that a new drug needs, or None where the active one goes on."""
    records = device.records
    if wanted.staged_crc:
        program = verified_program(device, records.therapy.program_rev, wanted.staged_crc)
    elif records.program is None:
        return None
    else:
        program = records.program
    header = program.header
    for field in ("drug_id", "concentration_ng_per_ml"):
        asked, of_program = getattr(wanted, field), getattr(header, field)
        if asked != of_program:
            raise Refused(ErrorCode.CONC, asked, limit=of_program, field=field)
    if wanted.staged_crc and (bolus := device.therapy.deliveries.current) is not None:
        raise Refused(ErrorCode.BOLUS_ACTIVE, bolus.cmd_id)
    return program if wanted.staged_crc else None


def _check_refill(device: DeviceContext, wanted: Refill) -> None:
    if not wanted.concentration_ng_per_ml:
        raise Refused(ErrorCode.CONC, 0, limit=1, field="concentration_ng_per_ml")
    refusal = check_fill(wanted.filled_nl, device.model.reservoir_size_nl)
    if refusal is not None:
        raise Refused(*refusal, field="filled_nl")
    if wanted.low_alarm_nl >= max(wanted.filled_nl, 1):
        nearest_nl = max(wanted.filled_nl - 1, 0)
        raise Refused(
            ErrorCode.RESERVOIR, wanted.low_alarm_nl, wanted.filled_nl, nearest_nl, field="low_alarm_nl"
        )


def set_time(device: DeviceContext, request: RequestContext) -> TimeSetReply:
    """Set the wall clock, which moves no dose but the basal rate of a flexible program."""
    records, clock = device.records, device.records.wall_clock
    wanted: TimeSet = request.message
    result = repeated(records, request)
    if result is not None:
        return TimeSetReply(result, 0)
    device.check_in_service()
    code = clock.refusal_of(request.now.tick_ms, wanted.wall_s, wanted.tz_minutes, confirm=wanted.confirm)
    if code is ErrorCode.TIME_RANGE:
        nearest = min(max(wanted.tz_minutes, TZ_MIN_MINUTES), TZ_MAX_MINUTES)
        raise Refused(code, wanted.tz_minutes, limit=nearest, field="tz_minutes")
    if code is not None:
        delta_s = clock.delta_s(request.now.tick_ms, wanted.wall_s, wanted.tz_minutes)
        wall_s = clock.wall_s(request.now.tick_ms)
        of_zone = clock.valid and abs(wanted.wall_s - wall_s) <= UNCONFIRMED_DELTA_S
        field = "tz_minutes" if of_zone else "wall_s"
        raise Refused(code, delta_s, limit=UNCONFIRMED_DELTA_S, nearest=wall_s, field=field)
    _check_bolus_beside(device, request)
    old_wall_s, old_tz_minutes = clock.wall_s(request.now.tick_ms), clock.tz_minutes
    delta_s = clock.set(request.now.tick_ms, wanted.wall_s, wanted.tz_minutes)
    data = TimeSetData(old_wall_s, wanted.wall_s, old_tz_minutes, wanted.tz_minutes)
    seq = records.enter(LogType.TIME_SET, data, actor=request.actor, cmd_id=wanted.cmd_id)
    records.day.clock_set(request.now.tick_ms, changed=delta_s != 0)
    records.mark_dirty(Region.WALL_CLOCK, Region.DAY)
    records.remedy(Remedy.CLOCK)
    device.therapy.follow_rate(RateChangeReason.TIME_SET, actor=request.actor)
    return TimeSetReply(done(records, request, seq), delta_s)


def _check_bolus_beside(device: DeviceContext, request: RequestContext) -> None:
    """Refuse a time whose basal rates would carry a bolus in work beyond the fastest rate [DOMAIN 2.2]."""
    if device.therapy.mode is not InfusionMode.FLEX:
        return
    wanted: TimeSet = request.message
    tick_ms = request.now.tick_ms
    clock = replace(device.records.wall_clock)
    clock.set(tick_ms, wanted.wall_s, wanted.tz_minutes)
    for bolus in foreseen(device.therapy.deliveries):
        basal = device.therapy.highest_basal_nl_per_day(end_ms(bolus) - tick_ms, clock)
        shortest_s = minimum_duration_s(bolus.volume_nl, basal, device.model.rate_max_nl_per_day)
        if shortest_s is None or bolus.duration_ms < shortest_s * MS_PER_S:
            raise Refused(ErrorCode.BOLUS_ACTIVE, bolus.cmd_id)


def acknowledge(device: DeviceContext, request: RequestContext) -> AlarmAckReply:
    """Acknowledge an occurrence of an alarm that somebody has seen."""
    records = device.records
    wanted: AlarmAck = request.message
    answer = records.alarms.acknowledge(
        wanted.alarm_id, wanted.seq, request.now.tick_ms, by_clinician=request.role is Role.CLINICIAN
    )
    if answer is None:
        occurrence = records.alarms.occurrences.get(wanted.alarm_id)
        nearest = 0 if occurrence is None else occurrence.on_seq
        raise Refused(ErrorCode.RANGE, wanted.seq, limit=nearest, field="seq")
    records.enter(LogType.ALARM_ACK, AlarmAckData(wanted.alarm_id, wanted.seq), actor=request.actor)
    records.mark_dirty(Region.ALARMS)
    until_ms = answer.silenced_until_ms
    return AlarmAckReply(answer.still_active, NEVER_S if until_ms is None else until_ms // MS_PER_S)


def read_log(device: DeviceContext, request: RequestContext) -> LogReadReply:
    """Log entries from a number on; what happened to patients is for those who treat them [SPEC 10]."""
    wanted: LogRead = request.message
    log = device.records.log
    if wanted.epoch not in (0, log.epoch):
        raise Refused(ErrorCode.EPOCH, wanted.epoch, limit=log.epoch, nearest=0, field="epoch")
    may_read = request.role in _READS_THERAPY or device.records.settings.patient_may_read_therapy
    answer = log.read(wanted, may_read_therapy=may_read and request.key_id != CARD_KEY_ID)
    if any(LogEntry.unpack(raw).type is LogType.CORRUPT_SLOT for raw in answer.entries):
        device.records.tell_log_damage(log.damage())
    return answer


def log_status(device: DeviceContext, request: RequestContext) -> LogStatusReply:
    """What the log holds, after the pump has checked all of it."""
    log = device.records.log
    answer = log.status(request.message)
    if answer.corrupt:
        device.records.tell_log_damage(log.damage())
    return answer


def ping(device: DeviceContext, request: RequestContext) -> PingReply:  # noqa: ARG001 - every handler has both
    """An empty reply, which shows that the pump answers."""
    return PingReply()


def end_session(device: DeviceContext, request: RequestContext) -> EndSessionReply:  # noqa: ARG001
    """An empty reply; the link closes the session when it has left."""
    return EndSessionReply()
