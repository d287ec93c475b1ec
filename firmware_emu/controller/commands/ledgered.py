"""The first step of every command that carries a cmd_id: new, or a repeat to be answered from the ledger [SPEC 9]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firmware_emu.controller.commands.request_context import Refused
from firmware_emu.controller.memory.ledger import Judgement
from firmware_emu.controller.memory.memory_map import Region
from protocol.identifiers import Outcome
from protocol.messages.ledger import CommandResult
from protocol.wire.limits import CMD_ID_STEP_MAX

if TYPE_CHECKING:
    from firmware_emu.controller.commands.request_context import RequestContext
    from firmware_emu.controller.memory.ledger import LedgerEntry
    from firmware_emu.controller.memory.records import Records


def earlier(records: Records, request: RequestContext) -> LedgerEntry | None:
    """The entry of this very command if it came before, else None: it is new. Refused: its id cannot be used."""
    verdict = records.ledger.judge(request.key_id, request.cmd_id, request.cmd_crc)
    if verdict.error is not None:
        last = records.ledger.last_cmd_id(request.key_id)
        raise Refused(
            verdict.error, request.cmd_id, limit=last + CMD_ID_STEP_MAX, nearest=last + 1, field="cmd_id"
        )
    return verdict.entry


def repeated(entry: LedgerEntry) -> CommandResult:
    """The answer to a repeat: what became of it, and that nothing was done now."""
    return CommandResult(
        dup=True, outcome=entry.outcome, reason=entry.reason, seq=entry.end_seq or entry.start_seq
    )


def done(records: Records, request: RequestContext, seq: int) -> CommandResult:
    """Enter a command that took effect at once, and answer for it."""
    records.ledger.record(
        request.key_id,
        request.cmd_id,
        op=request.opcode,
        cmd_crc=request.cmd_crc,
        outcome=Outcome.DONE,
        start_seq=seq,
        end_seq=seq,
    )
    records.mark_dirty(Region.LEDGER)
    return CommandResult(dup=False, outcome=Outcome.DONE, reason=0, seq=seq)


def acted(records: Records, request: RequestContext, seq: int) -> CommandResult:
    """Answer for STOP and CANCEL, which act whatever their id is; an id that can be entered is [SPEC 5, R8]."""
    verdict = records.ledger.judge(request.key_id, request.cmd_id, request.cmd_crc)
    if verdict.judgement is Judgement.NEW:
        return done(records, request, seq)
    return CommandResult(dup=True, outcome=Outcome.DONE, reason=0, seq=seq)
