"""BOLUS_PREPARE, BOLUS_COMMIT, BOLUS_CANCEL, QUERY_CMD, VOID_CMD [SPEC 6, 9].

State, revision and token are checked here; size, rate, windows and gap by `therapy.bolus.check_bolus`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from firmware_emu.controller.commands.device_context import Token
from firmware_emu.controller.commands.ledgered import acted, repeated, unusable_id
from firmware_emu.controller.commands.request_context import Refused, RequestContext
from firmware_emu.controller.memory.ledger import LedgerEntry
from firmware_emu.controller.memory.memory_map import Region
from firmware_emu.controller.refusal import saturated_u32
from firmware_emu.controller.therapy.bolus import ActiveBolus, check_bolus, quantised_nl, shortest_duration_s
from firmware_emu.controller.therapy.counters import Source
from firmware_emu.units import MS_PER_S
from protocol.identifiers import BolusKind, ErrorCode, Opcode, Outcome, Role, State
from protocol.log.data import BolusCancelData, CmdIntentData, CmdVoidData
from protocol.log.types import BolusEndReason, LogType
from protocol.messages.bolus import (
    BolusCancel,
    BolusCancelReply,
    BolusCommit,
    BolusCommitReply,
    BolusPrepare,
    BolusPrepareReply,
)
from protocol.messages.ledger import OWN_KEY, CommandResult, QueryCmd, QueryCmdReply, VoidCmd, VoidCmdReply

if TYPE_CHECKING:
    from firmware_emu.controller.commands.device_context import DeviceContext

TOKEN_MS = 10_000  # line time [SPEC 6]
# What BOLUS_CANCEL may find under an id; 0: nothing came.
_OPS_OF_TARGETS = (0, Opcode.BOLUS_COMMIT, Opcode.PATIENT_BOLUS, Opcode.PRIME, Opcode.VOID_CMD)


def prepare(device: DeviceContext, request: RequestContext) -> BolusPrepareReply:
    """Say whether a bolus would be accepted, with a token that permits one COMMIT of it."""
    wanted: BolusPrepare = request.message
    device.token = None
    if wanted.kind is not BolusKind.BOLUS:
        raise Refused(ErrorCode.ENUM, wanted.kind, limit=BolusKind.BOLUS, nearest=0, field="kind")
    _check_state(device)
    device.check_revision(wanted.program_rev, "program_rev")
    volume_nl = quantised_nl(wanted.volume_nl, device.model.stroke_nl)
    _check_limits(device, request, volume_nl or wanted.volume_nl, wanted.duration_s)
    value = device.draw_token()
    device.token = Token(value, volume_nl, wanted.duration_s, request.now.line_ms + TOKEN_MS)
    window, limits = device.records.window, device.model
    return BolusPrepareReply(
        token=value,
        quantised_nl=volume_nl,
        end_t_mono_s=saturated_u32(request.now.tick_ms // MS_PER_S + wanted.duration_s),
        hour_used_nl=window.hour_used_nl(request.now.tick_ms),
        hour_max_nl=limits.hour_max_nl,
        day_used_nl=window.day_used_nl(request.now.tick_ms),
        day_max_nl=limits.day_max_nl,
    )


def commit(device: DeviceContext, request: RequestContext) -> BolusCommitReply:
    """Start a bolus: its intent is durable before the answer leaves, which leaves before the first stroke."""
    records, therapy = device.records, device.therapy
    wanted: BolusCommit = request.message
    result = repeated(records, request)
    if result is not None:
        return BolusCommitReply(result, _found(device, request.key_id, wanted.cmd_id).delivered_nl)
    _check_state(device)
    device.check_revision(wanted.program_rev, "program_rev")
    _use_token(device, request, wanted)
    _check_limits(device, request, wanted.volume_nl, wanted.duration_s)
    intent = CmdIntentData(request.opcode, request.cmd_crc, wanted.volume_nl)
    records.enter(LogType.CMD_INTENT, intent, actor=request.actor, cmd_id=wanted.cmd_id)
    bolus = ActiveBolus(
        source=Source.BOLUS,
        cmd_id=wanted.cmd_id,
        key_id=request.key_id,
        stroke_nl=device.model.stroke_nl,
        strokes_total=wanted.volume_nl // device.model.stroke_nl,
        duration_ms=wanted.duration_s * MS_PER_S,
        start_ms=request.now.tick_ms,
    )
    seq = therapy.start_delivery(bolus, actor=request.actor)
    entry = LedgerEntry(
        wanted.cmd_id,
        request.opcode,
        Outcome.RUNNING,
        cmd_crc=request.cmd_crc,
        requested_nl=wanted.volume_nl,
        accumulator_nl=therapy.delivered_nl(Source.BOLUS),
        start_seq=seq,
    )
    records.ledger.record(request.key_id, entry)
    records.mark_dirty(Region.LEDGER)
    return BolusCommitReply(CommandResult(dup=False, outcome=Outcome.RUNNING, reason=0, seq=seq), 0)


def cancel(device: DeviceContext, request: RequestContext) -> BolusCancelReply:
    """End the target now, whatever the id of this command is [SPEC 5, R8]."""
    records, therapy = device.records, device.therapy
    wanted: BolusCancel = request.message
    deliveries = therapy.deliveries
    target_id, key_id = wanted.target_cmd_id, wanted.target_key_id
    if key_id == OWN_KEY:
        key_id = request.key_id
    target = deliveries.of_command(key_id, target_id) if target_id else deliveries.current
    if target is not None:
        target_id, key_id = target.cmd_id, target.key_id
    data = BolusCancelData(target_id, key_id)
    seq = records.enter(LogType.BOLUS_CANCEL, data, actor=request.actor, cmd_id=wanted.cmd_id)
    if target is not None:
        therapy.end_delivery(target, BolusEndReason.CANCELLED)
    found = records.ledger.query(key_id, target_id)
    known = target_id != 0 and found.op in _OPS_OF_TARGETS  # any other command is no bolus
    return BolusCancelReply(
        acted(records, request, seq),
        found.outcome if known else Outcome.NEVER_RECEIVED,
        found.delivered_nl if known else 0,
    )


def query(device: DeviceContext, request: RequestContext) -> QueryCmdReply:
    """Tell what became of a command; another key's is for clinicians."""
    wanted: QueryCmd = request.message
    key_id = request.key_id if wanted.key_id == OWN_KEY else wanted.key_id
    if key_id != request.key_id and request.role is not Role.CLINICIAN:
        raise Refused(ErrorCode.ROLE, request.role, field="key_id")
    return _found(device, key_id, wanted.cmd_id)


def void(device: DeviceContext, request: RequestContext) -> VoidCmdReply:
    """Make sure that a command which was never received never will be; any other stays what it is."""
    records, key_id = device.records, request.key_id
    wanted: VoidCmd = request.message
    verdict = records.ledger.judge_void(key_id, wanted.cmd_id)
    if verdict.is_new:
        data = CmdVoidData(wanted.cmd_id)
        seq = records.enter(LogType.CMD_VOID, data, actor=request.actor, cmd_id=wanted.cmd_id)
        records.ledger.void(key_id, wanted.cmd_id, seq)
        records.mark_dirty(Region.LEDGER)
    elif verdict.error in (ErrorCode.BUSY, ErrorCode.CMD_ID_RANGE):
        raise unusable_id(records, request, verdict.error)
    return VoidCmdReply(*_found(device, key_id, wanted.cmd_id))


def _found(device: DeviceContext, key_id: int, cmd_id: int) -> QueryCmdReply:
    """What the ledger knows of a command; of the bolus in work, what it has delivered so far."""
    found = device.records.ledger.query(key_id, cmd_id)
    bolus = device.therapy.deliveries.of_command(key_id, cmd_id)
    return found if bolus is None else found._replace(delivered_nl=bolus.delivered_nl)


def _check_state(device: DeviceContext) -> None:
    """Refuse a bolus without RUN, in a critical alarm, or beside another bolus [SPEC 6]."""
    code = _NOT_RUNNING.get(device.records.therapy.state)
    if code is not None:
        raise Refused(code, device.records.therapy.state)
    if device.records.alarms.critical_active:
        raise Refused(ErrorCode.ALARM_BLOCKS, device.records.alarms.active_mask)
    if (bolus := device.therapy.deliveries.of_source(Source.BOLUS)) is not None:
        raise Refused(ErrorCode.BOLUS_ACTIVE, bolus.cmd_id)


_NOT_RUNNING = {
    State.STOP: ErrorCode.STOPPED,
    State.FAULT_STOP: ErrorCode.SAFE_STATE,
    State.SAFE_STATE: ErrorCode.SAFE_STATE,
    State.EOS: ErrorCode.EOS,
}


def _use_token(device: DeviceContext, request: RequestContext, wanted: BolusCommit) -> None:
    """Use up the token; refuse it where it is late or was given for another bolus."""
    token = device.token
    if token is not None and token.value == wanted.token:
        device.token = None
        prepared = (token.volume_nl, token.duration_s)
        if request.now.line_ms < token.expires_line_ms and prepared == (wanted.volume_nl, wanted.duration_s):
            return
    raise Refused(ErrorCode.TOKEN, wanted.token, field="token")


def _check_limits(device: DeviceContext, request: RequestContext, volume_nl: int, duration_s: int) -> None:
    therapy = device.therapy
    refusal = check_bolus(
        volume_nl,
        duration_s,
        therapy.highest_basal_nl_per_day(duration_s * MS_PER_S),
        device.model,
        device.records.window,
        request.now.tick_ms,
    )
    if refusal is not None:
        too_fast = refusal.code is ErrorCode.RATE and volume_nl >= device.model.stroke_nl
        if refusal.code is ErrorCode.RATE:
            least_nl = max(volume_nl, device.model.stroke_nl)
            highest, fastest = therapy.highest_basal_nl_per_day, device.model.rate_max_nl_per_day
            refusal = refusal._replace(nearest=shortest_duration_s(least_nl, highest, fastest) or 0)
        raise Refused(*refusal, field="duration_s" if too_fast else "volume_nl")
