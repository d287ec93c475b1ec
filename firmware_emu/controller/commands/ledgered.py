"""The first step of every command that carries a cmd_id: new, or a repeat to be answered from the ledger [SPEC 9]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firmware_emu.controller.commands.request_context import Refused
from firmware_emu.controller.memory.ledger import LedgerEntry
from firmware_emu.controller.memory.memory_map import Region
from protocol.identifiers import Outcome
from protocol.log.data import CmdIntentData
from protocol.log.types import LogType
from protocol.messages.ledger import CommandResult
from protocol.wire.limits import CMD_ID_STEP_MAX

if TYPE_CHECKING:
    from firmware_emu.controller.commands.device_context import DeviceContext
    from firmware_emu.controller.commands.request_context import RequestContext
    from firmware_emu.controller.memory.records import Records
    from firmware_emu.controller.therapy.delivery_sources import Delivery
    from protocol.identifiers import ErrorCode


def repeated(records: Records, request: RequestContext) -> CommandResult | None:
    """What became of this very command if it came before, else None; Refused where its id cannot be used."""
    verdict = records.ledger.judge(request.key_id, request.cmd_id, request.cmd_crc)
    if verdict.error is not None:
        raise unusable_id(records, request, verdict.error)
    entry = verdict.entry
    if entry is None:
        return None
    seq = entry.end_seq or entry.start_seq
    return CommandResult(dup=True, outcome=entry.outcome, reason=entry.reason, seq=seq)


def unusable_id(records: Records, request: RequestContext, error: ErrorCode) -> Refused:
    """The refusal of a command for its id, with the ids that could be used."""
    last = records.ledger.last_cmd_id(request.key_id)
    return Refused(error, request.cmd_id, limit=last + CMD_ID_STEP_MAX, nearest=last + 1, field="cmd_id")


def done(records: Records, request: RequestContext, seq: int) -> CommandResult:
    """Enter a command that took effect at once, and answer for it."""
    entry = LedgerEntry(
        request.cmd_id, request.opcode, Outcome.DONE, cmd_crc=request.cmd_crc, start_seq=seq, end_seq=seq
    )
    records.ledger.record(request.key_id, entry)
    records.mark_dirty(Region.LEDGER)
    return CommandResult(dup=False, outcome=Outcome.DONE, reason=0, seq=seq)


def started(device: DeviceContext, request: RequestContext, delivery: Delivery) -> CommandResult:
    """Enter a command that moves drug, begin what it asked for, and answer for it: the intent is durable before all."""
    records, therapy = device.records, device.therapy
    intent = CmdIntentData(request.opcode, request.cmd_crc, delivery.volume_nl)
    records.enter(LogType.CMD_INTENT, intent, actor=request.actor, cmd_id=request.cmd_id)
    seq = therapy.start_delivery(delivery, actor=request.actor)
    entry = LedgerEntry(
        request.cmd_id,
        request.opcode,
        Outcome.RUNNING,
        cmd_crc=request.cmd_crc,
        requested_nl=delivery.volume_nl,
        accumulator_nl=therapy.delivered_nl(delivery.source),
        start_seq=seq,
    )
    records.ledger.record(request.key_id, entry)
    records.mark_dirty(Region.LEDGER)
    return CommandResult(dup=False, outcome=Outcome.RUNNING, reason=0, seq=seq)


def acted(records: Records, request: RequestContext, seq: int) -> CommandResult:
    """Answer for STOP and CANCEL, which act whatever their id is; an id that can be entered is [SPEC 5, R8]."""
    verdict = records.ledger.judge(request.key_id, request.cmd_id, request.cmd_crc)
    if verdict.is_new:
        return done(records, request, seq)
    return CommandResult(dup=True, outcome=Outcome.DONE, reason=0, seq=seq)
