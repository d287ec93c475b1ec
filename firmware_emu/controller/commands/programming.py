"""PROG_BEGIN to PROG_ABORT: stage a program, have it read back, and switch to it in one stroke [SPEC 6]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firmware_emu.controller.alarms.alarm_table import Remedy
from firmware_emu.controller.commands.call import Call, Refused
from firmware_emu.controller.commands.core import Staging
from firmware_emu.controller.commands.ledgered import done, earlier, repeated
from firmware_emu.controller.commands.stopping import check_not_empty
from firmware_emu.controller.memory.memory_map import Region
from firmware_emu.controller.therapy.modes import Trigger
from firmware_emu.controller.therapy.programs import Program, ProgramLimits, unsupported, verify
from protocol.identifiers import ErrorCode, Role, State, StateReason
from protocol.log.data import ProgramCommitData
from protocol.log.types import LogType, RateChangeReason
from protocol.messages.program import (
    ProgAbortReply,
    ProgBeginReply,
    ProgCommitReply,
    ProgVerifyReply,
    ProgWriteReply,
    staged_crc,
)

if TYPE_CHECKING:
    from firmware_emu.controller.commands.core import Core
    from protocol.messages.program import ProgBegin, ProgCommit, ProgWrite

_HEADER_OFFSET = 4  # of the header in PROG_BEGIN
_BASE_REV_OFFSET = 4  # of base_rev in PROG_COMMIT


def begin(core: Core, call: Call) -> ProgBeginReply:
    """Start staging; what was staged is gone."""
    wanted: ProgBegin = call.message
    _check_revision(core, wanted.base_rev, field_offset=0)
    refused = unsupported(wanted.header)
    if refused is not None:
        raise Refused(
            refused.code,
            refused.value,
            limit=refused.limit,
            nearest=refused.limit,
            field_offset=_HEADER_OFFSET + refused.field_offset,
        )
    core.staging = Staging(wanted.base_rev, wanted.header)
    return ProgBeginReply()


def write(core: Core, call: Call) -> ProgWriteReply:
    """Stage segments: the next ones, or some again."""
    wanted: ProgWrite = call.message
    staging = _staged(core)
    count, total = len(staging.segments), staging.header.n_segments
    if wanted.index > count:
        raise Refused(ErrorCode.SEGMENTS, wanted.index, limit=count, nearest=count, field_offset=0)
    end = wanted.index + len(wanted.segments)
    if end > total:
        raise Refused(ErrorCode.SEGMENTS, end, limit=total, nearest=total - wanted.index, field_offset=1)
    staging.segments[wanted.index : end] = wanted.segments
    staging.verified_crc = None
    return ProgWriteReply(len(staging.segments))


def read_back(core: Core, call: Call) -> ProgVerifyReply:  # noqa: ARG001 - every handler has a call
    """The pump's own reading of what is staged: PROG_VERIFY."""
    staging = _staged(core)
    found = verify(staging.header, staging.segments, program_limits(core))
    crc = staged_crc(staging.header, staging.segments)
    staging.verified_crc = None if found.refusals else crc
    return ProgVerifyReply(found.peak_rate_nl_per_day, crc, found.day_totals_nl, found.refusals)


def commit(core: Core, call: Call) -> ProgCommitReply:
    """Replace the active program; the old one runs until this very moment."""
    records, therapy = core.records, core.records.therapy
    wanted: ProgCommit = call.message
    entry = earlier(records, call)
    if entry is not None:
        return ProgCommitReply(repeated(entry), therapy.program_rev, therapy.state)
    if therapy.state is State.EOS:
        raise Refused(ErrorCode.EOS, therapy.state)
    if (bolus := core.therapy.deliveries.current) is not None:
        raise Refused(ErrorCode.BOLUS_ACTIVE, bolus.cmd_id)
    if wanted.start:
        check_not_empty(core)
    program = verified_program(core, wanted.base_rev, wanted.staged_crc)
    reservoir = records.reservoir
    in_reservoir = (reservoir.drug_id, reservoir.concentration_ng_per_ml)
    if (program.header.drug_id, program.header.concentration_ng_per_ml) != in_reservoir:
        raise Refused(
            ErrorCode.CONC,
            program.header.concentration_ng_per_ml,
            limit=reservoir.concentration_ng_per_ml,
            nearest=reservoir.concentration_ng_per_ml,
        )
    seq = adopt(core, program, actor=call.actor, cmd_id=wanted.cmd_id)
    if wanted.start:
        core.therapy.change(
            Trigger.THERAPY_STARTED, StateReason.COMMAND, RateChangeReason.PROGRAM, actor=call.actor
        )
    return ProgCommitReply(done(records, call, seq), therapy.program_rev, therapy.state)


def abort(core: Core, call: Call) -> ProgAbortReply:
    """Throw the staged program away; nothing where none is."""
    if core.staging is not None:
        core.staging = None
        core.records.enter(LogType.PROGRAM_ABORT, actor=call.actor)
    return ProgAbortReply()


def verified_program(core: Core, base_rev: int, crc: int) -> Program:
    """The staged program, if it is the one that was verified, on top of the active revision."""
    staging = _staged(core)
    _check_revision(core, base_rev, field_offset=_BASE_REV_OFFSET)
    if staging.verified_crc is None or staging.verified_crc != crc:
        raise Refused(ErrorCode.VERIFY_CRC, crc, nearest=staging.verified_crc or 0)
    return Program(staging.header, tuple(staging.segments))


def adopt(core: Core, program: Program, *, actor: int, cmd_id: int) -> int:
    """Make a program the active one; answers the log entry's number. The rate follows if the pump runs."""
    records = core.records
    records.program = program
    records.therapy.program_rev += 1
    core.staging = None
    records.therapy.last_program_wall_s = records.wall_clock.wall_s(records.tick_ms)
    data = ProgramCommitData(records.therapy.program_rev, program.crc)
    seq = records.enter(LogType.PROGRAM_COMMIT, data, actor=actor, cmd_id=cmd_id)
    records.touch(Region.PROGRAM, Region.THERAPY)
    records.remedy(Remedy.PROGRAM)
    core.therapy.leave_stopped(Role.CLINICIAN)
    core.therapy.follow_rate(RateChangeReason.PROGRAM, actor=actor)
    return seq


def program_limits(core: Core) -> ProgramLimits:
    """What a program is held against."""
    model = core.model
    return ProgramLimits(
        model.rate_min_nl_per_day,
        model.rate_max_nl_per_day,
        model.safe_rate_nl_per_day,
        model.program_day_max_nl,
    )


def _staged(core: Core) -> Staging:
    if core.staging is None:
        raise Refused(ErrorCode.NO_STAGED)
    return core.staging


def _check_revision(core: Core, base_rev: int, *, field_offset: int) -> None:
    current = core.records.therapy.program_rev
    if base_rev != current:
        raise Refused(
            ErrorCode.REV_MISMATCH, base_rev, limit=current, nearest=current, field_offset=field_offset
        )
