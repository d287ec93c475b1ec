"""BOLUS_PREPARE, BOLUS_COMMIT, PRIME, BOLUS_CANCEL, QUERY_CMD, VOID_CMD [SPEC 6, 9].

State, revision and token are checked here; size, rate, windows and gap by `therapy.bolus.check_bolus`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from firmware_emu.controller.commands.device_context import Token
from firmware_emu.controller.commands.ledgered import acted, repeated, started, unusable_id
from firmware_emu.controller.commands.request_context import Refused, RequestContext
from firmware_emu.controller.memory.memory_map import Region
from firmware_emu.controller.refusal import saturated_u32
from firmware_emu.controller.therapy.bolus import ActiveBolus, check_bolus, quantised_nl, shortest_duration_s
from firmware_emu.controller.therapy.counters import Source
from firmware_emu.controller.therapy.delivery_sources import SOURCES
from firmware_emu.controller.therapy.foreseen import foreseen, waits_until_ms
from firmware_emu.controller.therapy.reservoir_belief import check_content
from firmware_emu.units import MS_PER_S
from protocol.identifiers import BolusKind, ErrorCode, Opcode, Outcome, Role, State
from protocol.log.data import BolusCancelData, CmdVoidData
from protocol.log.types import BolusEndReason, LogType
from protocol.messages.bolus import (
    BolusCancel,
    BolusCancelReply,
    BolusCommit,
    BolusCommitReply,
    BolusPrepare,
    BolusPrepareReply,
    Prime,
    PrimeReply,
)
from protocol.messages.ledger import OWN_KEY, CommandResult, QueryCmd, QueryCmdReply, VoidCmd, VoidCmdReply

if TYPE_CHECKING:
    from firmware_emu.controller.commands.device_context import DeviceContext

TOKEN_MS = 10_000  # line time [SPEC 6]
# What BOLUS_CANCEL may find under an id; 0: nothing came.
_OPS_OF_TARGETS = (0, Opcode.BOLUS_COMMIT, Opcode.PATIENT_BOLUS, Opcode.PRIME, Opcode.VOID_CMD)


def prepare(device: DeviceContext, request: RequestContext) -> BolusPrepareReply:
    """Say whether a bolus or a prime would be accepted, with a token that permits one COMMIT or PRIME of it."""
    wanted: BolusPrepare = request.message
    device.token = None
    _check_state(device, wanted.kind)
    device.check_revision(wanted.program_rev, "program_rev")
    volume_nl = quantised_nl(wanted.volume_nl, device.model.stroke_nl)
    _check_limits(device, request, wanted.kind, volume_nl or wanted.volume_nl, wanted.duration_s)
    value = device.draw_token()
    expires_ms = request.now.line_ms + TOKEN_MS
    device.token = Token(value, wanted.kind, volume_nl, wanted.duration_s, expires_ms)
    window, limits = device.records.window, device.model
    return BolusPrepareReply(
        token=value,
        quantised_nl=volume_nl,
        end_t_mono_s=saturated_u32(
            (request.now.tick_ms + _wait_ms(device, wanted.kind)) // MS_PER_S + wanted.duration_s,
        ),
        hour_used_nl=window.hour_used_nl(request.now.tick_ms),
        hour_max_nl=limits.hour_max_nl,
        day_used_nl=window.day_used_nl(request.now.tick_ms),
        day_max_nl=limits.day_max_nl,
    )


def commit(device: DeviceContext, request: RequestContext) -> BolusCommitReply:
    """Start a bolus: its intent is durable before the answer leaves, which leaves before the first stroke."""
    return BolusCommitReply(*_commit(device, request, BolusKind.BOLUS))


def prime(device: DeviceContext, request: RequestContext) -> PrimeReply:
    """Start a prime, as a bolus is started."""
    return PrimeReply(*_commit(device, request, BolusKind.PRIME))


def _commit(device: DeviceContext, request: RequestContext, kind: BolusKind) -> tuple[CommandResult, int]:
    """Start what was prepared; returns the result, and the volume delivered so far in nL."""
    wanted: BolusCommit | Prime = request.message
    result = repeated(device.records, request)
    if result is not None:
        return result, _found(device, request.key_id, wanted.cmd_id).delivered_nl
    _check_state(device, kind)
    device.check_revision(wanted.program_rev, "program_rev")
    _use_token(device, request, kind)
    _check_limits(device, request, kind, wanted.volume_nl, wanted.duration_s)
    bolus = ActiveBolus(
        source=_RULES[kind].source,
        cmd_id=wanted.cmd_id,
        key_id=request.key_id,
        stroke_nl=device.model.stroke_nl,
        strokes_total=wanted.volume_nl // device.model.stroke_nl,
        duration_ms=wanted.duration_s * MS_PER_S,
        start_ms=request.now.tick_ms,
    )
    return started(device, request, bolus), 0


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
        end = therapy.end_delivery(target, BolusEndReason.CANCELLED)
        if SOURCES[target.source].opcode is None:  # no command began it, so the ledger knows nothing of it
            return BolusCancelReply(acted(records, request, seq), end.outcome, end.delivered_nl)
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


class _Rules(NamedTuple):
    """What a kind of bolus is, and in which states it may start [SPEC 6]."""

    source: Source
    states: frozenset[State]


_RULES: Final = {
    BolusKind.BOLUS: _Rules(Source.BOLUS, frozenset({State.RUN})),
    BolusKind.PRIME: _Rules(Source.PRIME, frozenset({State.RUN, State.STOP})),
}


def _check_state(device: DeviceContext, kind: BolusKind) -> None:
    """Refuse a bolus in a state not for it, in a critical alarm, beside another, and until a bridge is over."""
    rules, state, deliveries = _RULES[kind], device.records.therapy.state, device.therapy.deliveries
    if state not in rules.states:
        raise Refused(_NOT_RUNNING[state], state)
    if device.records.alarms.critical_active:
        raise Refused(ErrorCode.ALARM_BLOCKS, device.records.alarms.active_mask)
    if deliveries.bridge is not None:
        raise Refused(ErrorCode.BRIDGE_ACTIVE, deliveries.bridge.left_nl)
    if (other := deliveries.in_the_way_of(rules.source)) is not None:
        raise Refused(ErrorCode.BOLUS_ACTIVE, other.cmd_id)


_NOT_RUNNING = {
    State.STOP: ErrorCode.STOPPED,
    State.FAULT_STOP: ErrorCode.SAFE_STATE,
    State.SAFE_STATE: ErrorCode.SAFE_STATE,
    State.EOS: ErrorCode.EOS,
}


def _use_token(device: DeviceContext, request: RequestContext, kind: BolusKind) -> None:
    """Use up the token; refuse it where it is late or was given for another bolus, or for a prime."""
    token, wanted = device.token, request.message
    if token is not None and token.value == wanted.token:
        device.token = None
        prepared = (token.kind, token.volume_nl, token.duration_s)
        named = (kind, wanted.volume_nl, wanted.duration_s)
        if request.now.line_ms < token.expires_line_ms and prepared == named:
            return
    raise Refused(ErrorCode.TOKEN, wanted.token, field="token")


def _wait_ms(device: DeviceContext, kind: BolusKind) -> int:
    """For how long a bolus that is commanded now waits for a patient's; a prime waits for nothing."""
    tick_ms = device.records.tick_ms
    source = _RULES[kind].source
    return waits_until_ms(source, foreseen(device.therapy.deliveries), tick_ms) - tick_ms


def _check_limits(
    device: DeviceContext, request: RequestContext, kind: BolusKind, volume_nl: int, duration_s: int
) -> None:
    therapy, wait_ms = device.therapy, _wait_ms(device, kind)
    in_windows = SOURCES[_RULES[kind].source].counts_in_windows  # else it is held to what the reservoir has

    def highest_basal(duration_ms: int) -> int:
        return therapy.highest_basal_nl_per_day(wait_ms + duration_ms)

    refusal = check_bolus(
        volume_nl,
        duration_s,
        highest_basal(duration_s * MS_PER_S),
        device.model,
        device.records.window if in_windows else None,
        request.now.tick_ms,
    )
    if refusal is None and not in_windows:
        refusal = check_content(volume_nl, device.records.reservoir)
    if refusal is not None:
        too_fast = refusal.code is ErrorCode.RATE and volume_nl >= device.model.stroke_nl
        if refusal.code is ErrorCode.RATE:
            least_nl = max(volume_nl, device.model.stroke_nl)
            fastest = device.model.rate_max_nl_per_day
            shortest_s = shortest_duration_s(least_nl, highest_basal, fastest) or 0
            within = shortest_s <= device.model.bolus_max_duration_s
            refusal = refusal._replace(nearest=shortest_s if within else 0)
        of_time = too_fast or refusal.code is ErrorCode.TIME_RANGE
        field = "duration_s" if of_time else "volume_nl"
        raise Refused(*refusal, field=None if refusal.code is ErrorCode.GAP else field)
