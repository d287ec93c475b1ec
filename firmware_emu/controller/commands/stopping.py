"""STOP and RESUME [SPEC 6]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firmware_emu.controller.commands.ledgered import acted, done, repeated
from firmware_emu.controller.commands.request_context import Refused, RequestContext
from firmware_emu.controller.therapy.counters import Source
from firmware_emu.profile import EmptyPolicy
from firmware_emu.units import MS_PER_S
from protocol.identifiers import AlarmId, ErrorCode, OnExpiry, Role, State, StopReason
from protocol.messages.stop import ResumeReply, StopReply

if TYPE_CHECKING:
    from firmware_emu.controller.commands.device_context import DeviceContext
    from protocol.messages.stop import Resume, Stop


def stop(device: DeviceContext, request: RequestContext) -> StopReply:
    """Stop all delivery, each time it is asked, in every state.

    What a role may not ask for is replaced, never refused: a longer stop by the limit, a resumption by the alarm alone.
    """
    wanted: Stop = request.message
    limit_s = device.model.max_stop_s
    max_stop_s = wanted.max_stop_s if 0 < wanted.max_stop_s <= limit_s else limit_s
    trusted = request.role is Role.CLINICIAN and wanted.reason is not StopReason.OVERDOSE
    on_expiry = wanted.on_expiry if trusted else OnExpiry.ALARM_ONLY
    seq = device.therapy.stop(
        max_stop_s, wanted.reason, on_expiry, request.role, actor=request.actor, cmd_id=wanted.cmd_id
    )
    therapy = device.records.therapy
    return StopReply(
        acted(device.records, request, seq),
        therapy.state,
        therapy.on_expiry,
        therapy.stopped_by,
        device.therapy.stopped_ms(request.now.tick_ms) // MS_PER_S,
        therapy.stop_expires_s,
    )


def resume(device: DeviceContext, request: RequestContext) -> ResumeReply:
    """Go on with the active program: a clinician always, a patient after the patient's own stop."""
    records, therapy = device.records, device.records.therapy
    wanted: Resume = request.message
    result = repeated(records, request)
    if result is not None:
        return ResumeReply(result, therapy.state, device.therapy.rate_nl_per_day)
    device.check_in_service()
    if therapy.state in (State.SAFE_STATE, State.FAULT_STOP):
        raise Refused(ErrorCode.SAFE_STATE, therapy.state)
    of_another = therapy.state is State.STOP and therapy.stopped_by is not Role.PATIENT
    if request.role is Role.PATIENT and of_another:
        raise Refused(ErrorCode.ROLE, request.role)
    if records.program is None:
        raise Refused(ErrorCode.NO_STAGED)
    prime = device.therapy.deliveries.of_source(Source.PRIME)
    if therapy.state is State.STOP and prime is not None:  # its rate left no room for a basal one
        raise Refused(ErrorCode.BOLUS_ACTIVE, prime.cmd_id)
    check_not_empty(device)
    device.check_revision(wanted.program_rev, "program_rev")
    seq = device.therapy.resume(actor=request.actor, cmd_id=wanted.cmd_id)
    return ResumeReply(done(records, request, seq), therapy.state, device.therapy.rate_nl_per_day)


def check_not_empty(device: DeviceContext) -> None:
    """Refuse to start therapy on a reservoir believed empty, unless the policy is to go on."""
    empty = device.records.alarms.is_active(AlarmId.EMPTY)
    if empty and device.model.empty_policy is not EmptyPolicy.CONTINUE:
        raise Refused(ErrorCode.ALARM_BLOCKS, 1 << AlarmId.EMPTY)
