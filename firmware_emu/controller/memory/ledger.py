"""The command ledger: the rules by which no command acts twice, and none is forgotten too soon [SPEC 9].

For each key the last id and the last eight outcomes. It decides and remembers; it neither moves the pump nor
writes the memory: whoever calls commits `pack()` before anything moves.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from protocol.identifiers import ErrorCode, Opcode, Outcome
from protocol.messages.ledger import CMD_ID_FIRST, CMD_ID_LAST, QueryCmdReply
from protocol.wire.limits import CMD_ID_STEP_MAX

if TYPE_CHECKING:
    from collections.abc import Collection

KEYS_MAX: Final = 8
ENTRIES_PER_KEY: Final = 8
OPEN_OUTCOMES: Final = frozenset({Outcome.INTENT, Outcome.RUNNING})

_KEY: Final = struct.Struct("<HBxII")  # key id, entries, last id, highest id evicted
_ENTRY: Final = struct.Struct("<IBBHIIQIIII")


class LedgerEntry(NamedTuple):
    """What became of one command. `accumulator_nl` is what its source had delivered when it was accepted."""

    cmd_id: int
    op: int
    outcome: Outcome
    reason: int = 0
    cmd_crc: int = 0
    requested_nl: int = 0
    accumulator_nl: int = 0
    delivered_nl: int = 0
    uncertain_nl: int = 0
    start_seq: int = 0
    end_seq: int = 0

    @property
    def is_open(self) -> bool:
        """Whether its outcome may still change; such an entry is never evicted."""
        return self.outcome in OPEN_OUTCOMES


class Verdict(NamedTuple):
    """Whether an id may act: `error` is why not, `entry` what became of it if it acted already or is another's."""

    error: ErrorCode | None = None
    entry: LedgerEntry | None = None

    @property
    def is_new(self) -> bool:
        """Whether it may act."""
        return self.error is None and self.entry is None


class _KeyLedger:
    """One key's part. Entries in the order of their ids."""

    __slots__ = ("entries", "highest_evicted", "last_id", "packed")

    def __init__(self) -> None:
        self.entries: list[LedgerEntry] = []
        self.last_id = 0
        self.highest_evicted = 0
        self.packed: bytes | None = None

    def find(self, cmd_id: int) -> LedgerEntry | None:
        return next((entry for entry in self.entries if entry.cmd_id == cmd_id), None)

    def was_never_received(self, cmd_id: int) -> bool:
        """For an id without an entry: one that was received and has none is not above the highest evicted."""
        return cmd_id > self.highest_evicted

    def is_full_of_open(self) -> bool:
        return len(self.entries) >= ENTRIES_PER_KEY and all(entry.is_open for entry in self.entries)

    def add(self, new: LedgerEntry) -> None:
        if len(self.entries) >= ENTRIES_PER_KEY:
            evicted = next(entry for entry in self.entries if not entry.is_open)
            self.entries.remove(evicted)
            self.highest_evicted = max(self.highest_evicted, evicted.cmd_id)
        self.entries.append(new)
        self.entries.sort()
        self.last_id = max(self.last_id, new.cmd_id)
        self.packed = None

    def replace(self, old: LedgerEntry, new: LedgerEntry) -> None:
        self.entries[self.entries.index(old)] = new
        self.packed = None

    def pack(self, key_id: int) -> bytes:
        if self.packed is None:
            head = _KEY.pack(key_id, len(self.entries), self.last_id, self.highest_evicted)
            self.packed = head + b"".join(_ENTRY.pack(*entry) for entry in self.entries)
        return self.packed


class Ledger:
    """The ledgers of all keys. Refused ids are kept in RAM alone, and no longer than the next refusal."""

    __slots__ = ("_keys", "_refused")

    def __init__(self) -> None:
        """Empty: no key has sent a command yet."""
        self._keys: dict[int, _KeyLedger] = {}
        self._refused: dict[int, LedgerEntry] = {}

    # Judging

    def last_cmd_id(self, key_id: int) -> int:
        """The highest id recorded of this key; 0 if none."""
        of_key = self._keys.get(key_id)
        return 0 if of_key is None else of_key.last_id

    def judge(self, key_id: int, cmd_id: int, cmd_crc: int) -> Verdict:
        """Whether a command may act. Changes nothing."""
        of_key = self._of(key_id)
        entry = of_key.find(cmd_id)
        if entry is not None:
            same = entry.cmd_crc == cmd_crc and entry.outcome is not Outcome.VOIDED
            return Verdict(None if same else ErrorCode.CMD_ID_MISMATCH, entry)
        return Verdict(self._judge_absent(of_key, cmd_id, last_allowed=of_key.last_id))

    def judge_void(self, key_id: int, cmd_id: int) -> Verdict:
        """Whether an id may be voided: it is new. CMD_ID_OLD: what became of it is forgotten."""
        of_key = self._of(key_id)
        entry = of_key.find(cmd_id)
        if entry is not None:
            return Verdict(entry=entry)
        return Verdict(self._judge_absent(of_key, cmd_id, last_allowed=of_key.highest_evicted))

    def query(self, key_id: int, cmd_id: int) -> QueryCmdReply:
        """What became of an id, as far as the ledger knows; the volume of a running bolus is the caller's."""
        of_key = self._of(key_id)
        entry = of_key.find(cmd_id)
        if entry is not None:
            return _reply_of(entry)
        refused = self._refused.get(key_id)
        if refused is not None and refused.cmd_id == cmd_id:
            return _reply_of(refused)
        outcome = Outcome.NEVER_RECEIVED if of_key.was_never_received(cmd_id) else Outcome.TOO_OLD
        return QueryCmdReply(outcome, 0, 0, 0, 0, 0, 0, 0)

    def find(self, key_id: int, cmd_id: int) -> LedgerEntry | None:
        """The entry of an id, if it is there."""
        return self._of(key_id).find(cmd_id)

    def open_entries(self) -> tuple[tuple[int, LedgerEntry], ...]:
        """Key and entry of each command whose outcome is still open; after a boot, of those that power interrupted."""
        return tuple(
            (key_id, entry)
            for key_id, of_key in self._keys.items()
            for entry in of_key.entries
            if entry.is_open
        )

    # Remembering

    def record(self, key_id: int, entry: LedgerEntry) -> None:
        """Enter a command that `judge` found new; the oldest one whose outcome is final makes room."""
        if not self.judge(key_id, entry.cmd_id, entry.cmd_crc).is_new:
            raise ValueError(f"command {entry.cmd_id} of key {key_id} may not be recorded")
        self._enter(key_id, entry)

    def set_outcome(
        self,
        key_id: int,
        cmd_id: int,
        outcome: Outcome,
        *,
        reason: int = 0,
        delivered_nl: int = 0,
        uncertain_nl: int = 0,
        end_seq: int = 0,
    ) -> LedgerEntry:
        """Give an open entry another outcome; ValueError where it is final or there is none."""
        old = self.find(key_id, cmd_id)
        if old is None or not old.is_open:
            raise ValueError(f"command {cmd_id} of key {key_id} is not open")
        new = old._replace(
            outcome=outcome,
            reason=reason,
            delivered_nl=delivered_nl,
            uncertain_nl=uncertain_nl,
            end_seq=end_seq,
        )
        self._keys[key_id].replace(old, new)
        return new

    def void(self, key_id: int, cmd_id: int, seq: int) -> None:
        """Enter an id that `judge_void` found new as VOIDED: it can never act. `seq` is its log entry."""
        if not self.judge_void(key_id, cmd_id).is_new:
            raise ValueError(f"command {cmd_id} of key {key_id} may not be voided")
        entry = LedgerEntry(cmd_id, Opcode.VOID_CMD, Outcome.VOIDED, start_seq=seq, end_seq=seq)
        self._enter(key_id, entry)

    def note_refusal(self, key_id: int, cmd_id: int, op: int, cmd_crc: int, reason: int) -> None:
        """Keep a refusal that used up no id; not that of an id that acted, or may have: it would be false."""
        of_key = self._of(key_id)
        if of_key.find(cmd_id) is None and of_key.was_never_received(cmd_id):
            self._refused[key_id] = LedgerEntry(cmd_id, op, Outcome.REFUSED, reason, cmd_crc)

    def make_room(self, paired: Collection[int]) -> bool:
        """See that each of these keys will find room for its first command; False where that cannot be.

        A revoked key is forgotten only for that, so that its ids go on where they were if it is paired anew; and not
        while a command of it is under way.
        """
        served = set(paired) | set(self._keys)
        closed = [
            key_id
            for key_id, of_key in self._keys.items()
            if key_id not in paired and not any(entry.is_open for entry in of_key.entries)
        ]
        for key_id in closed[: max(0, len(served) - KEYS_MAX)]:
            del self._keys[key_id]
            self._refused.pop(key_id, None)
            served.discard(key_id)
        return len(served) <= KEYS_MAX

    # Bytes

    def pack(self) -> bytes:
        """Bytes for Region.LEDGER."""
        parts = [of_key.pack(key_id) for key_id, of_key in self._keys.items()]
        return bytes([len(parts)]) + b"".join(parts)

    @classmethod
    def unpack(cls, data: bytes) -> Ledger:
        """The ledger as packed; b"" is an empty one. ValueError where the bytes are not a ledger."""
        ledger = cls()
        try:
            position = 1
            for _ in range(data[0] if data else 0):
                key_id, number, last_id, highest_evicted = _KEY.unpack_from(data, position)
                position += _KEY.size
                of_key = ledger._keys[key_id] = _KeyLedger()
                of_key.last_id, of_key.highest_evicted = last_id, highest_evicted
                for _ in range(number):
                    of_key.entries.append(_entry_of(_ENTRY.unpack_from(data, position)))
                    position += _ENTRY.size
        except struct.error as error:
            raise ValueError("the ledger record is cut short") from error
        if data and position != len(data):
            raise ValueError(f"the ledger record has {len(data)} bytes, expected {position}")
        return ledger

    # The parts

    def _of(self, key_id: int) -> _KeyLedger:
        return self._keys.get(key_id) or _KeyLedger()

    @staticmethod
    def _judge_absent(of_key: _KeyLedger, cmd_id: int, last_allowed: int) -> ErrorCode | None:
        if not CMD_ID_FIRST <= cmd_id <= CMD_ID_LAST:
            return ErrorCode.CMD_ID_RANGE
        if cmd_id <= last_allowed:
            return ErrorCode.CMD_ID_OLD
        if cmd_id > of_key.last_id + CMD_ID_STEP_MAX:
            return ErrorCode.CMD_ID_RANGE
        return ErrorCode.BUSY if of_key.is_full_of_open() else None

    def _enter(self, key_id: int, entry: LedgerEntry) -> None:
        of_key = self._keys.get(key_id)
        if of_key is None:
            if len(self._keys) >= KEYS_MAX:
                raise ValueError(f"the ledger serves {KEYS_MAX} keys; key {key_id} is one more")
            of_key = self._keys[key_id] = _KeyLedger()
        of_key.add(entry)
        refused = self._refused.get(key_id)
        if refused is not None and refused.cmd_id == entry.cmd_id:
            del self._refused[key_id]


def _reply_of(entry: LedgerEntry) -> QueryCmdReply:
    """An entry as QUERY_CMD answers it."""
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


def _entry_of(values: tuple[int, ...]) -> LedgerEntry:
    cmd_id, op, outcome, *rest = values
    return LedgerEntry(cmd_id, op, Outcome(outcome), *rest)
