"""PROG_BEGIN to PROG_ABORT: stage a program, have it read back, and switch to it in one stroke [SPEC 6]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firmware_emu.controller.alarms.alarm_table import Remedy
from firmware_emu.controller.commands.device_context import Staging
from firmware_emu.controller.commands.ledgered import done, repeated
from firmware_emu.controller.commands.request_context import Refused, RequestContext
from firmware_emu.controller.commands.stopping import check_not_empty
from firmware_emu.controller.memory.memory_map import Region
from firmware_emu.controller.therapy.bridge import Bridge
from firmware_emu.controller.therapy.modes import Trigger
from firmware_emu.controller.therapy.periodic_bolus import PeriodicSeries
from firmware_emu.controller.therapy.programs import Program, unsupported, verify
from firmware_emu.profile import CommitMode
from protocol.identifiers import ErrorCode, ProgramFlag, Role, StateReason
from protocol.log.data import ProgramCommitData
from protocol.log.types import BolusEndReason, LogType, RateChangeReason
from protocol.messages.program import (
    ProgAbortReply,
    ProgBeginReply,
    ProgCommitReply,
    ProgVerifyReply,
    ProgWriteReply,
    staged_crc,
)

if TYPE_CHECKING:
    from firmware_emu.controller.commands.device_context import DeviceContext
    from protocol.messages.program import ProgBegin, ProgCommit, ProgWrite


def begin(device: DeviceContext, request: RequestContext) -> ProgBeginReply:
    """Start staging a program; what was staged is gone."""
    wanted: ProgBegin = request.message
    device.check_revision(wanted.base_rev, "base_rev")
    refused = unsupported(wanted.header)
    if refused is not None:
        raise Refused(refused.code, refused.value, limit=refused.limit, field=f"header.{refused.field}")
    restarts = device.staging is not None and device.staging.restarts
    if device.model.commit_mode is CommitMode.STOP_WRITE_VERIFY_RESTART:
        if (bolus := device.therapy.deliveries.current) is not None:
            raise Refused(ErrorCode.BOLUS_ACTIVE, bolus.cmd_id)
        restarts |= device.therapy.stop_for_update(actor=request.actor)
    device.staging = Staging(wanted.base_rev, wanted.header, restarts=restarts)
    return ProgBeginReply()


def write(device: DeviceContext, request: RequestContext) -> ProgWriteReply:
    """Stage segments: the next ones, or some again."""
    wanted: ProgWrite = request.message
    staging = _staged(device)
    count, total = len(staging.segments), staging.header.n_segments
    if wanted.index > count:
        raise Refused(ErrorCode.SEGMENTS, wanted.index, limit=count, field="index")
    end = wanted.index + len(wanted.segments)
    if end > total:
        raise Refused(ErrorCode.SEGMENTS, end, limit=total, nearest=total - wanted.index, field="n")
    staging.segments[wanted.index : end] = wanted.segments
    staging.verified_crc = None
    return ProgWriteReply(len(staging.segments))


def read_back(device: DeviceContext, request: RequestContext) -> ProgVerifyReply:  # noqa: ARG001 - every handler has a call
    """The pump's own reading of what is staged: PROG_VERIFY."""
    staging = _staged(device)
    found = verify(staging.header, staging.segments, device.model)
    crc = staged_crc(staging.header, staging.segments)
    staging.verified_crc = None if found.refusals else crc
    return ProgVerifyReply(found.peak_rate_nl_per_day, crc, found.day_totals_nl, found.refusals)


def commit(device: DeviceContext, request: RequestContext) -> ProgCommitReply:
    """Replace the active program; the old one runs until this very moment."""
    records, therapy = device.records, device.records.therapy
    wanted: ProgCommit = request.message
    result = repeated(records, request)
    if result is not None:
        return ProgCommitReply(result, therapy.program_rev, therapy.state)
    device.check_in_service()
    if (bolus := device.therapy.deliveries.current) is not None:
        raise Refused(ErrorCode.BOLUS_ACTIVE, bolus.cmd_id)
    start = wanted.start or (device.staging is not None and device.staging.restarts)
    if start:
        check_not_empty(device)
    program = verified_program(device, wanted.base_rev, wanted.staged_crc)
    filled = (records.reservoir.drug_id, records.reservoir.concentration_ng_per_ml)
    if program.drug != filled:
        raise Refused(ErrorCode.CONC, program.drug[1], limit=filled[1])
    seq = adopt(device, program, actor=request.actor, cmd_id=wanted.cmd_id)
    if start:
        start_therapy(device, actor=request.actor)
    return ProgCommitReply(done(records, request, seq), therapy.program_rev, therapy.state)


def abort(device: DeviceContext, request: RequestContext) -> ProgAbortReply:
    """Throw the staged program away; nothing where none is."""
    if device.staging is not None:
        device.staging = None
        device.records.enter(LogType.PROGRAM_ABORT, actor=request.actor)
    return ProgAbortReply()


def verified_program(device: DeviceContext, base_rev: int, crc: int) -> Program:
    """The staged program, if it is the one that was verified, on top of the active revision.

    A flexible one is refused while nobody knows the time of day: it would run at another rate than was verified.
    """
    staging = _staged(device)
    device.check_revision(base_rev, "base_rev")
    if staging.verified_crc is None or staging.verified_crc != crc:
        nearest = 0 if staging.verified_crc is None else staging.verified_crc
        raise Refused(ErrorCode.VERIFY_CRC, crc, nearest=nearest, field="staged_crc")
    program = Program(staging.header, tuple(staging.segments))
    if program.week is not None and not device.records.wall_clock.valid:
        raise Refused(ErrorCode.CLOCK_INVALID)
    return program


def adopt(device: DeviceContext, program: Program, *, actor: int, cmd_id: int) -> int:
    """Make a program the active one; returns the log entry's number. The rate follows if the pump runs."""
    records = device.records
    records.program = program.following(records.program, device.model.safe_rate_nl_per_day)
    records.therapy.program_rev += 1
    device.staging = None
    records.therapy.last_program_wall_s = records.wall_clock.known_wall_s(records.tick_ms)
    data = ProgramCommitData(records.therapy.program_rev, program.crc)
    seq = records.enter(LogType.PROGRAM_COMMIT, data, actor=actor, cmd_id=cmd_id)
    records.periodic = PeriodicSeries.of(program.header, records.tick_ms)
    records.patient.lock(records.tick_ms)
    records.mark_dirty(Region.PROGRAM, Region.THERAPY, Region.PERIODIC, Region.PATIENT)
    records.remedy(Remedy.PROGRAM)
    device.therapy.leave_stopped(Role.CLINICIAN)
    bridge = None
    if program.header.flags & ProgramFlag.BRIDGE:
        bridge = Bridge.of(program.header.bridge, device.model.stroke_nl, records.tick_ms)
    device.therapy.set_bridge(bridge, BolusEndReason.REPLACED, RateChangeReason.PROGRAM, actor=actor)
    return seq


def start_therapy(device: DeviceContext, *, actor: int) -> None:
    """Start the program that was just adopted."""
    device.therapy.change(Trigger.THERAPY_STARTED, StateReason.COMMAND, RateChangeReason.PROGRAM, actor=actor)


def _staged(device: DeviceContext) -> Staging:
    if device.staging is None:
        raise Refused(ErrorCode.NO_STAGED)
    return device.staging
