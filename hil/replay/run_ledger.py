"""What a replay has been told to do in this run, by the rules of a pump's ledger [SPEC 9].

It decides about ids as a pump does, so that nothing is answered twice as if it were new and nothing that was refused is
ever said to have been done. Unlike a pump it forgets no outcome, and it knows nothing of ids from before the recording.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from protocol.identifiers import ErrorCode, Opcode, Outcome
from protocol.messages.ledger import CMD_ID_FIRST, CMD_ID_LAST, QueryCmdReply
from protocol.wire.limits import CMD_ID_STEP_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

HAS_ENDED: Final = frozenset({Outcome.DONE, Outcome.PARTIAL, Outcome.NOT_STARTED})
WAS_CARRIED_OUT: Final = HAS_ENDED | {Outcome.INTENT, Outcome.RUNNING}
ENDED_BY_STOP: Final = frozenset({Opcode.BOLUS_COMMIT, Opcode.PATIENT_BOLUS, Opcode.PRIME})
DID_NOTHING: Final = frozenset({Outcome.NEVER_RECEIVED, Outcome.VOIDED, Outcome.REFUSED})


@dataclass(slots=True)
class Entry:
    """What became of a command of this run. `reply` is what it was answered, None where it was not.

    Without an `outcome` the recording does not say whether the pump had received it.
    """

    op: int
    cmd_crc: int
    outcome: Outcome | None
    reason: int = 0
    delivered_nl: int = 0
    uncertain_nl: int = 0
    start_seq: int = 0
    end_seq: int = 0
    reply: Any = None
    requested_nl: int = 0


class RunLedger:
    """The ledger of one key. `floor` is the last id that its pump had seen before the recording."""

    def __init__(self, floor: int) -> None:
        self._floor = floor
        self._entries: dict[int, Entry] = {}
        self._refused: tuple[int, Entry] | None = None

    @property
    def last_cmd_id(self) -> int:
        """The highest id that can act no more."""
        return max(self._floor, *self._entries, 0)

    def last_of(self, recorded: int, here: int) -> int:
        """What a status tells as the last id: `recorded` is what it told, `here` what that id is called in this run."""
        told = here if recorded <= self._floor or here in self._entries else 0
        return max(told, self.last_cmd_id)

    def find(self, cmd_id: int) -> Entry | None:
        """What became of an id in this run; None where it was never entered."""
        return self._entries.get(cmd_id)

    def objection(self, cmd_id: int, cmd_crc: int) -> ErrorCode | None:
        """Why no command may act under this id; None where it may, or is a repetition."""
        entry = self._entries.get(cmd_id)
        if entry is not None:
            same = entry.cmd_crc == cmd_crc and entry.outcome is not Outcome.VOIDED
            return None if same else ErrorCode.CMD_ID_MISMATCH
        if not CMD_ID_FIRST <= cmd_id <= CMD_ID_LAST:
            return ErrorCode.CMD_ID_RANGE
        if cmd_id <= self.last_cmd_id:
            return ErrorCode.CMD_ID_OLD
        return ErrorCode.CMD_ID_RANGE if cmd_id > self.last_cmd_id + CMD_ID_STEP_MAX else None

    def enter(self, cmd_id: int, entry: Entry) -> None:
        """A command was carried out in the recording, or may have been."""
        self._entries[cmd_id] = entry
        if self._refused is not None and self._refused[0] == cmd_id:
            self._refused = None

    def note_refusal(self, cmd_id: int, op: int, cmd_crc: int, reason: ErrorCode) -> None:
        """A command was refused; an id that may have acted is not spoken of."""
        if cmd_id not in self._entries and cmd_id > self._floor:
            self._refused = cmd_id, Entry(op, cmd_crc, Outcome.REFUSED, reason)

    def hear(self, cmd_id: int, told: QueryCmdReply) -> None:
        """The recording tells how a command goes on."""
        entry = self._entries.get(cmd_id)
        if entry is not None and told.outcome in WAS_CARRIED_OUT:
            entry.outcome, entry.reason = told.outcome, told.reason
            entry.delivered_nl, entry.uncertain_nl = told.delivered_nl, told.uncertain_nl
            entry.start_seq, entry.end_seq = told.start_seq, told.end_seq

    def end_running(self, delivered_nl: int | None) -> None:
        """The bolus that runs was ended early; None where the recording does not say after how much: perhaps all."""
        for entry in self._entries.values():
            if entry.outcome in {Outcome.INTENT, Outcome.RUNNING} and entry.op in ENDED_BY_STOP:
                entry.outcome = Outcome.PARTIAL
                if delivered_nl is None:
                    entry.uncertain_nl = entry.requested_nl - entry.delivered_nl
                else:
                    entry.delivered_nl, entry.uncertain_nl = delivered_nl, 0

    def query(self, cmd_id: int) -> QueryCmdReply | None:
        """What a QUERY is answered; None where nobody can say, and so nothing is answered."""
        entry = self._entries.get(cmd_id)
        if entry is None and self._refused is not None and self._refused[0] == cmd_id:
            entry = self._refused[1]
        if entry is None:
            outcome = Outcome.NEVER_RECEIVED if cmd_id > self._floor else Outcome.TOO_OLD
            return QueryCmdReply(outcome, 0, 0, 0, 0, 0, 0, 0)
        if entry.outcome is None:
            return None
        return QueryCmdReply(
            entry.outcome,
            entry.op,
            entry.reason,
            entry.cmd_crc,
            entry.delivered_nl,
            entry.uncertain_nl,
            entry.start_seq,
            entry.end_seq,
        )

    def void(self, cmd_id: int, seq: int) -> ErrorCode | None:
        """Enter an id that never acted, so that it never will. CMD_ID_RANGE where it cannot be entered yet."""
        if cmd_id in self._entries or CMD_ID_FIRST <= cmd_id <= self._floor:
            return None
        if not CMD_ID_FIRST <= cmd_id <= min(CMD_ID_LAST, self.last_cmd_id + CMD_ID_STEP_MAX):
            return ErrorCode.CMD_ID_RANGE
        self.enter(cmd_id, Entry(Opcode.VOID_CMD, 0, Outcome.VOIDED, start_seq=seq, end_seq=seq))
        return None


def repeated_reply(entry: Entry, not_again: Mapping[str, int]) -> Any:
    """What the repetition of a command is answered: its recorded answer with `dup` and what became of it since.

    `not_again` are the fields that tell of an act and so have this value in a repetition.
    """
    reply, outcome = entry.reply, entry.outcome
    result = reply.result._replace(
        dup=True,
        outcome=outcome,
        reason=entry.reason,
        seq=entry.end_seq or entry.start_seq or reply.result.seq,
    )
    changed = {name: value for name, value in not_again.items() if name in reply._fields}
    if "delivered_nl" in reply._fields:
        changed["delivered_nl"] = entry.delivered_nl
    return reply._replace(result=result, **changed)
