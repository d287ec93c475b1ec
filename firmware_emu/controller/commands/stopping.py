"""STOP and RESUME [SPEC 6]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firmware_emu.controller.commands.call import Call, Refused
from firmware_emu.controller.commands.ledgered import acted, done, earlier, repeated
from firmware_emu.profile import EmptyPolicy
from firmware_emu.units import MS_PER_S
from protocol.identifiers import AlarmId, ErrorCode, OnExpiry, Role, State, StopReason
from protocol.messages.stop import ResumeReply, StopReply

if TYPE_CHECKING:
    from firmware_emu.controller.commands.core import Core
    from protocol.messages.ledger import CommandResult
    from protocol.messages.stop import Resume, Stop


def stop(core: Core, call: Call) -> StopReply:
    """Stop all delivery, each time it is asked, in every state.

    What a role may not ask for is replaced, never refused: a longer stop by the limit, a resumption by the alarm alone.
    """
    wanted: Stop = call.message
    limit_s = core.model.max_stop_s
    max_stop_s = wanted.max_stop_s if 0 < wanted.max_stop_s <= limit_s else limit_s
    trusted = call.role is Role.CLINICIAN and wanted.reason is not StopReason.OVERDOSE
    on_expiry = wanted.on_expiry if trusted else OnExpiry.ALARM_ONLY
    seq = core.therapy.stop(
        max_stop_s, wanted.reason, on_expiry, call.role, actor=call.actor, cmd_id=wanted.cmd_id
    )
    return _stopped(core, call, acted(core.records, call, seq))


def _stopped(core: Core, call: Call, result: CommandResult) -> StopReply:
    therapy = core.records.therapy
    return StopReply(
        result,
        therapy.state,
        therapy.on_expiry,
        therapy.stopped_by,
        core.therapy.stopped_ms(call.tick_ms) // MS_PER_S,
        (therapy.stop_expires_ms or 0) // MS_PER_S,
    )


def resume(core: Core, call: Call) -> ResumeReply:
    """Go on with the active program: a clinician always, a patient after the patient's own stop."""
    records, therapy = core.records, core.records.therapy
    wanted: Resume = call.message
    entry = earlier(records, call)
    if entry is not None:
        return ResumeReply(repeated(entry), therapy.state, core.therapy.rate_nl_per_day)
    if therapy.state is State.EOS:
        raise Refused(ErrorCode.EOS, therapy.state)
    if therapy.state in (State.SAFE_STATE, State.FAULT_STOP):
        raise Refused(ErrorCode.SAFE_STATE, therapy.state)
    if call.role is Role.PATIENT and therapy.state is State.STOP and therapy.stopped_by is not Role.PATIENT:
        raise Refused(ErrorCode.ROLE, call.role)
    if records.program is None:
        raise Refused(ErrorCode.NO_STAGED)
    check_not_empty(core)
    if wanted.program_rev != therapy.program_rev:
        current = therapy.program_rev
        raise Refused(
            ErrorCode.REV_MISMATCH, wanted.program_rev, limit=current, nearest=current, field_offset=4
        )
    seq = core.therapy.resume(actor=call.actor, cmd_id=wanted.cmd_id)
    return ResumeReply(done(records, call, seq), therapy.state, core.therapy.rate_nl_per_day)


def check_not_empty(core: Core) -> None:
    """Therapy does not start on a reservoir believed empty, unless the policy is to go on."""
    empty = core.records.alarms.is_active(AlarmId.EMPTY)
    if empty and core.model.empty_policy is not EmptyPolicy.CONTINUE:
        raise Refused(ErrorCode.ALARM_BLOCKS, 1 << AlarmId.EMPTY)
