"""What a pump's answer means for a command that was sent [SPEC 9].

`command_ledger` asks: of an answer to QUERY, of one that takes back an earlier answer, and of the log. The log proves
that something happened, or, where it is whole since before the command, that nothing did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from protocol.identifiers import Opcode, Outcome
from protocol.log.types import BolusEndReason, LogType

if TYPE_CHECKING:
    from hil.outcome_store import FiledCommand
    from hil.programmer.log_reading import LogHistory
    from protocol.identifiers import Role
    from protocol.log.entry import LogEntry
    from protocol.messages.ledger import QueryCmdReply, VoidCmdReply

NEVER_HAPPENED = frozenset({Outcome.NEVER_RECEIVED, Outcome.VOIDED})
DID_NOT_HAPPEN = NEVER_HAPPENED | {Outcome.REFUSED}
MOVED_NOTHING = DID_NOT_HAPPEN | {Outcome.NOT_STARTED}
WITH_INTENT = frozenset(
    {Opcode.BOLUS_COMMIT, Opcode.PRIME}
)  # these log CMD_INTENT with their content's check


def verdict_of(filed: FiledCommand, reply: QueryCmdReply | VoidCmdReply) -> Outcome | None:
    """What a QUERY's answer means for the command that was filed; None where it does not say."""
    if reply.outcome == Outcome.TOO_OLD:
        return None
    if reply.outcome in NEVER_HAPPENED:
        return reply.outcome
    mine = reply.op == filed.opcode and reply.cmd_crc == filed.cmd_crc
    return reply.outcome if mine else Outcome.NEVER_RECEIVED


def contradiction_of(filed: FiledCommand, outcome: Outcome, delivered_nl: int, uncertain_nl: int = 0) -> str:
    """What the pump had said of a command that cannot be so if this is; "" where both can [SPEC 9]."""
    if not filed.confirmed:
        return ""
    had_ended = filed.outcome not in {Outcome.INTENT.name, Outcome.RUNNING.name}
    goes_back = outcome == Outcome.INTENT and filed.outcome == Outcome.RUNNING.name
    if outcome in DID_NOT_HAPPEN or goes_back or (had_ended and outcome.name != filed.outcome):
        return f"it had answered {filed.outcome}"
    if filed.volume_nl and delivered_nl + uncertain_nl < filed.delivered_nl:  # a CANCEL tells of its target
        return f"it had answered that {filed.delivered_nl} nL were delivered, and now {delivered_nl} nL"
    return ""


class LogVerdict(NamedTuple):
    """An outcome and its volumes, as the log has them."""

    outcome: Outcome
    delivered_nl: int = 0
    uncertain_nl: int = 0


def verdict_of_log(filed: FiledCommand, role: Role, history: LogHistory) -> LogVerdict | None:
    """The outcome of a command by the log since before it was sent; None where the log does not prove one."""
    ours = [entry for entry in history.entries if entry.cmd_id == filed.cmd_id]
    own_word = [entry for entry in ours if entry.actor >> 4 == role]
    if filed.opcode in WITH_INTENT:
        intents = [entry for entry in own_word if _is_intent_of(entry, filed)]
        if intents:
            return _end_of_bolus(ours, after_seq=intents[0].seq)
        return LogVerdict(Outcome.NEVER_RECEIVED) if history.complete else None
    if not own_word and history.complete:
        return LogVerdict(Outcome.NEVER_RECEIVED)
    return None  # an entry of that number is there, and does not say whether its content was ours


def _is_intent_of(entry: LogEntry, filed: FiledCommand) -> bool:
    if entry.type is not LogType.CMD_INTENT:
        return False
    details = entry.details()
    return bool(details.op == filed.opcode and details.cmd_crc == filed.cmd_crc)


def _end_of_bolus(entries: list[LogEntry], after_seq: int) -> LogVerdict:
    for entry in entries:
        if entry.seq > after_seq and entry.type in {LogType.BOLUS_END, LogType.PRIME_END}:
            end = entry.details()
            whole = end.reason == BolusEndReason.COMPLETE
            # what was cancelled, stopped or in an alarm before its first stroke had begun all the same [SPEC 6]
            nothing = end.reason == BolusEndReason.POWER and not end.delivered_nl and not end.uncertain_nl
            outcome = Outcome.DONE if whole else Outcome.NOT_STARTED if nothing else Outcome.PARTIAL
            return LogVerdict(outcome, end.delivered_nl, end.uncertain_nl)
    return LogVerdict(Outcome.RUNNING)
