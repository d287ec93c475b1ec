"""PROG_BEGIN to PROG_ABORT: stage a program, have it read back, and switch to it in one stroke [SPEC 6]."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from firmware_emu.controller.alarm_table import Remedy
from firmware_emu.controller.call import Call, Refused
from firmware_emu.controller.commands.ledgered import done, earlier, repeated
from firmware_emu.controller.commands.stopping import check_not_empty
from firmware_emu.controller.memory import Region
from firmware_emu.controller.modes import Trigger
from firmware_emu.controller.programs import Program, ProgramLimits, unsupported, verify
from protocol.identifiers import ErrorCode, LogType, RateChangeReason, State, StateReason
from protocol.log_data import ProgramCommitData
from protocol.program import ProgramHeader, Segment, staged_crc
from protocol.reports import (
    ProgAbortReply,
    ProgBeginReply,
    ProgCommitReply,
    ProgVerifyReply,
    ProgWriteReply,
)

if TYPE_CHECKING:
    from firmware_emu.controller.controller import Controller
    from protocol.commands import ProgBegin, ProgCommit, ProgWrite

_HEADER_OFFSET = 4  # of the header in PROG_BEGIN
_BASE_REV_OFFSET = 4  # of base_rev in PROG_COMMIT


@dataclass(slots=True)
class Staging:
    """A program on its way in; it dies with the session. `verified_crc` is None until VERIFY found no refusal."""

    base_rev: int
    header: ProgramHeader
    segments: list[Segment] = field(default_factory=list)
    verified_crc: int | None = None


def begin(controller: Controller, call: Call) -> ProgBeginReply:
    """Start staging; what was staged is gone."""
    wanted: ProgBegin = call.message
    _check_revision(controller, wanted.base_rev, field_offset=0)
    refused = unsupported(wanted.header)
    if refused is not None:
        raise Refused(
            refused.code,
            refused.value,
            limit=refused.limit,
            nearest=refused.limit,
            field_offset=_HEADER_OFFSET + refused.field_offset,
        )
    controller.staging = Staging(wanted.base_rev, wanted.header)
    return ProgBeginReply()


def write(controller: Controller, call: Call) -> ProgWriteReply:
    """Stage segments: the next ones, or some again."""
    wanted: ProgWrite = call.message
    staging = _staged(controller)
    count, total = len(staging.segments), staging.header.n_segments
    if wanted.index > count:
        raise Refused(ErrorCode.SEGMENTS, wanted.index, limit=count, nearest=count, field_offset=0)
    end = wanted.index + len(wanted.segments)
    if end > total:
        raise Refused(ErrorCode.SEGMENTS, end, limit=total, nearest=total - wanted.index, field_offset=1)
    staging.segments[wanted.index : end] = wanted.segments
    staging.verified_crc = None
    return ProgWriteReply(len(staging.segments))


def read_back(controller: Controller, call: Call) -> ProgVerifyReply:  # noqa: ARG001 - every handler has a call
    """The pump's own reading of what is staged: PROG_VERIFY."""
    staging = _staged(controller)
    found = verify(staging.header, staging.segments, program_limits(controller))
    crc = staged_crc(staging.header, staging.segments)
    staging.verified_crc = None if found.refusals else crc
    return ProgVerifyReply(found.peak_rate_nl_per_day, crc, found.day_totals_nl, found.refusals)


def commit(controller: Controller, call: Call) -> ProgCommitReply:
    """Replace the active program; the old one runs until this very moment."""
    records, therapy = controller.records, controller.records.therapy
    wanted: ProgCommit = call.message
    entry = earlier(records, call)
    if entry is not None:
        return ProgCommitReply(repeated(entry), therapy.program_rev, therapy.state)
    if therapy.state is State.EOS:
        raise Refused(ErrorCode.EOS, therapy.state)
    if controller.therapy.bolus is not None:
        raise Refused(ErrorCode.BOLUS_ACTIVE, controller.therapy.bolus.cmd_id)
    if wanted.start:
        check_not_empty(controller)
    program = verified_program(controller, wanted.base_rev, wanted.staged_crc)
    reservoir = records.reservoir
    in_reservoir = (reservoir.drug_id, reservoir.concentration_ng_per_ml)
    if (program.header.drug_id, program.header.concentration_ng_per_ml) != in_reservoir:
        raise Refused(
            ErrorCode.CONC,
            program.header.concentration_ng_per_ml,
            limit=reservoir.concentration_ng_per_ml,
            nearest=reservoir.concentration_ng_per_ml,
        )
    seq = adopt(controller, program, actor=call.actor, cmd_id=wanted.cmd_id)
    if wanted.start:
        controller.therapy.change(
            Trigger.THERAPY_STARTED, StateReason.COMMAND, RateChangeReason.PROGRAM, actor=call.actor
        )
    return ProgCommitReply(done(records, call, seq), therapy.program_rev, therapy.state)


def abort(controller: Controller, call: Call) -> ProgAbortReply:
    """Throw the staged program away; nothing where none is."""
    if controller.staging is not None:
        controller.staging = None
        controller.records.enter(LogType.PROGRAM_ABORT, actor=call.actor)
    return ProgAbortReply()


def verified_program(controller: Controller, base_rev: int, crc: int) -> Program:
    """The staged program, if it is the one that was verified, on top of the active revision."""
    staging = _staged(controller)
    _check_revision(controller, base_rev, field_offset=_BASE_REV_OFFSET)
    if staging.verified_crc is None or staging.verified_crc != crc:
        raise Refused(ErrorCode.VERIFY_CRC, crc, nearest=staging.verified_crc or 0)
    return Program(staging.header, tuple(staging.segments))


def adopt(controller: Controller, program: Program, *, actor: int, cmd_id: int) -> int:
    """Make a program the active one; answers the log entry's number. The rate follows if the pump runs."""
    records = controller.records
    records.program = program
    records.therapy.program_rev += 1
    controller.staging = None
    records.therapy.last_program_wall_s = records.wall_clock.wall_s(records.tick_ms)
    data = ProgramCommitData(records.therapy.program_rev, program.crc)
    seq = records.enter(LogType.PROGRAM_COMMIT, data, actor=actor, cmd_id=cmd_id)
    records.touch(Region.PROGRAM, Region.THERAPY)
    records.remedy(Remedy.PROGRAM)
    controller.therapy.follow_rate(RateChangeReason.PROGRAM, actor=actor)
    return seq


def program_limits(controller: Controller) -> ProgramLimits:
    """What a program is held against."""
    model = controller.model
    return ProgramLimits(
        model.rate_min_nl_per_day,
        model.rate_max_nl_per_day,
        model.safe_rate_nl_per_day,
        model.program_day_max_nl,
    )


def _staged(controller: Controller) -> Staging:
    if controller.staging is None:
        raise Refused(ErrorCode.NO_STAGED)
    return controller.staging


def _check_revision(controller: Controller, base_rev: int, *, field_offset: int) -> None:
    current = controller.records.therapy.program_rev
    if base_rev != current:
        raise Refused(
            ErrorCode.REV_MISMATCH, base_rev, limit=current, nearest=current, field_offset=field_offset
        )
