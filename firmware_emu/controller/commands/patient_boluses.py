"""PATIENT_BOLUS: the patient asks, the pump decides by the clinician's program [SPEC 6]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firmware_emu.controller.commands.ledgered import repeated, started
from firmware_emu.controller.memory.memory_map import Region
from firmware_emu.controller.therapy.bolus import quantised_nl
from firmware_emu.controller.therapy.patient_bolus import (
    denial_of,
    granted_bolus,
    next_allowed_s,
    patient_block,
)
from protocol.identifiers import DenyReason, Outcome
from protocol.log.data import PtmDenyData, PtmGrantData
from protocol.log.types import LogType
from protocol.messages.bolus import NOT_BY_WAITING_S, PatientBolusReply
from protocol.messages.ledger import CommandResult

if TYPE_CHECKING:
    from firmware_emu.controller.commands.device_context import DeviceContext
    from firmware_emu.controller.commands.request_context import RequestContext
    from firmware_emu.controller.therapy.patient_bolus import Denial


def ask(device: DeviceContext, request: RequestContext) -> PatientBolusReply:
    """Grant the bolus that the program allows, or deny it; a denial uses up no id and takes no place in the ledger."""
    records, therapy = device.records, device.therapy
    result = repeated(records, request)
    if result is not None:
        entry = records.ledger.find(request.key_id, request.cmd_id)
        volume_nl = 0 if entry is None else entry.requested_nl
        return PatientBolusReply(result, DenyReason.GRANTED, volume_nl, _next_allowed_s(device))
    device.check_in_service()
    denial, block = denial_of(therapy), patient_block(therapy)
    if denial is not None or block is None:
        assert denial is not None  # noqa: S101 - without a block there is one
        return _denied(device, request, denial)
    records.enter(LogType.PTM_REQUEST, actor=request.actor, cmd_id=request.cmd_id)
    bolus = granted_bolus(therapy, block, request.key_id, request.cmd_id)
    data = PtmGrantData(bolus.volume_nl, block.duration_s)
    records.enter(LogType.PTM_GRANT, data, actor=request.actor, cmd_id=request.cmd_id)
    result = started(device, request, bolus)
    return PatientBolusReply(result, DenyReason.GRANTED, bolus.volume_nl, _next_allowed_s(device))


def _denied(device: DeviceContext, request: RequestContext, denial: Denial) -> PatientBolusReply:
    """Count and log a denial; of those of a day only the first few are logged, and none of the others has a number."""
    records, block, seq = device.records, patient_block(device.therapy), 0
    next_s = _next_allowed_s(device)
    if records.patient.deny(records.tick_ms):
        records.enter(LogType.PTM_REQUEST, actor=request.actor, cmd_id=request.cmd_id)
        data = PtmDenyData(denial.deny, next_s)
        seq = records.enter(LogType.PTM_DENY, data, actor=request.actor, cmd_id=request.cmd_id)
    records.mark_dirty(Region.PATIENT)
    records.ledger.note_refusal(request.key_id, request.cmd_id, request.opcode, request.cmd_crc, denial.code)
    volume_nl = 0 if block is None else quantised_nl(block.volume_nl, device.model.stroke_nl)
    result = CommandResult(dup=False, outcome=Outcome.REFUSED, reason=denial.code, seq=seq)
    return PatientBolusReply(result, denial.deny, volume_nl, next_s)


def _next_allowed_s(device: DeviceContext) -> int:
    wait_s = next_allowed_s(device.therapy)
    return NOT_BY_WAITING_S if wait_s is None else min(wait_s, NOT_BY_WAITING_S - 1)
