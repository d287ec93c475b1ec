"""Walks back from an effect in a recording to causes, by the table of `causes`; a link that is not there is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from hil.capture.causes import (
    BOLUS_OPCODES,
    LEAVES_DAMAGE,
    ROOTS,
    ROWS,
    STARTS,
    STATES,
    Link,
)
from hil.capture.history import Fact, FactKind, read_history
from protocol.identifiers import Role
from protocol.log.types import Actor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hil.capture.causes import Row, What
    from hil.capture.history import History
    from hil.capture.messages import Read

CHECKPOINT_EVERY: Final = 64
"""Every entry of such a number is a check of the log alone, of which nothing else tells [SPEC 8]."""
EXPIRY_WITHIN_MS: Final = 1_000
RUNS: Final = "RUN"
CAUSING_OPCODES: Final = BOLUS_OPCODES.union(
    *(row.cause.names for row in ROWS if row.cause.kind is FactKind.REQUEST)
)
_STARTS: Final = frozenset(STARTS.split())


class Step(NamedTuple):
    """A fact of the walk: how it is tied to the one that it led to, and by which source; None of the effect itself."""

    fact: Fact
    link: Link | None
    source: str
    beside: bool
    """It was needed, and is not why."""
    first: bool
    """It is a cause: nothing of the recording stands behind it."""


class Explanation(NamedTuple):
    """The causes of an effect: the first of them first, the effect last.

    `missing` says, in sentences, which links are not in the recording; `causes` is empty where none of them is in it.
    Several `causes` are all that it can have been: the recording does not tell which.
    """

    effect: Fact
    steps: tuple[Step, ...]
    causes: tuple[Fact, ...]
    missing: tuple[str, ...]


class Effects(NamedTuple):
    """What can be asked about, each list numbered from 1 in the order in which the recording shows it."""

    alarms: tuple[Fact, ...]
    boluses: tuple[Fact, ...]
    state_changes: tuple[Fact, ...]


def history_of(entries: Iterable[Read]) -> History:
    """The facts of a recording that can be causes and effects."""
    return read_history(entries, CAUSING_OPCODES)


def effects_of(history: History) -> Effects:
    """All alarms, boluses and changes of the state of therapy in a recording."""
    return Effects(
        tuple(history.of(FactKind.ALARM)), tuple(_boluses(history)), tuple(_state_changes(history))
    )


def explain(history: History, effect: Fact) -> Explanation:
    """Why an effect came about, as far as the recording shows it."""
    walk = _Walk(history)
    walk.back(effect, None, "", beside=False, behind=())
    causes = dict.fromkeys(step.fact for step in walk.steps if step.first and not step.beside)
    return Explanation(effect, tuple(walk.steps), tuple(causes), tuple(dict.fromkeys(walk.missing)))


# --- what can be asked about ----------------------------------------------------------------------------------------


def _boluses(history: History) -> list[Fact]:
    """Each that began by the log, and each that was asked for and may have been given."""
    found = [fact for fact in history.of(FactKind.LOG_ENTRY) if fact.name in _STARTS]
    begun = {id(_request_of(history, fact, BOLUS_OPCODES)) for fact in found}
    asked = [
        fact
        for fact in history.of(FactKind.REQUEST)
        if fact.name in BOLUS_OPCODES and not fact.refused and id(fact) not in begun
    ]
    given: dict[tuple[int, int], list[Fact]] = {}
    for fact in found:
        given.setdefault((fact.memory, fact.cmd_id), []).append(fact)
    seen: set[tuple[int, int | None, int]] = set()
    for fact in asked:  # one that is asked for again under its number is the same
        again = (fact.memory, fact.key_id, fact.cmd_id)
        entries = given.get((fact.memory, fact.cmd_id), ())
        if again not in seen and not any(_may_have_sent(history, fact, entry) for entry in entries):
            seen.add(again)
            found.append(fact)
    return sorted(found, key=lambda fact: fact.at)


def _state_changes(history: History) -> list[Fact]:
    """Each entry that changed the state, and each state that was told though no entry of the recording explains it."""
    found: list[Fact] = []
    memory, state = -1, ""
    for fact in sorted(history.of(FactKind.LOG_ENTRY), key=lambda fact: (fact.memory, _order(fact))):
        if fact.memory != memory:
            memory, state = fact.memory, ""
        left = _state_after(fact)
        if left is not None and left != state:
            if state or left != RUNS:  # a pump that runs from the first entry on need not have changed
                found.append(fact)
            state = left
    told = [fact for fact in history.of(FactKind.STATUS) if fact.before_ms is not None]
    found += [fact for fact in told if not any(_explains(entry, fact) for entry in found)]
    return sorted(found, key=lambda fact: fact.at)


def state_left_by(change: Fact) -> str:
    """The state of therapy after one of its changes."""
    return change.name if change.kind is FactKind.STATUS else _state_after(change) or ""


def _state_after(fact: Fact) -> str | None:
    return next((name for what, name in STATES if _is(fact, what)), None)


def _explains(entry: Fact, told: Fact) -> bool:
    """Whether an entry was made between a state that was told and the one told before, and left that state."""
    if entry.memory != told.memory or _state_after(entry) != told.name:
        return False
    if entry.running_ms is None:
        return told.after <= entry.at < told.at
    return (told.before_ms or 0) <= entry.running_ms < (told.running_ms or 0) + 1_000


# --- the walk -------------------------------------------------------------------------------------------------------


class _Walk:
    """One walk from an effect back."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.steps: list[Step] = []
        self.missing: list[str] = []
        self._ways: dict[Link, Callable[[Fact, Row], Sequence[Fact]]] = {
            Link.ITS_ENTRY: self._its_entry,
            Link.COMMAND: self._of_command,
            Link.NAMED_COMMAND: self._naming_command,
            Link.MOMENT: self._of_moment,
            Link.EVENT: self._of_moment,
            Link.BEFORE: self._before,
            Link.HELD: self._held,
            Link.EXPIRY: self._expired,
            Link.BETWEEN: self._between,
            Link.FAULT: self._faults,
        }

    def back(
        self, fact: Fact, link: Link | None, source: str, *, beside: bool, behind: tuple[Fact, ...]
    ) -> None:
        """Put what led to a fact before it, and then the fact."""
        rows = [row for row in ROWS if _is(fact, row.effect)]
        for row in (row for row in rows if row.beside):
            for cause in self._ways[row.link](fact, row):
                if cause not in behind:
                    self.back(cause, row.link, row.source, beside=True, behind=(*behind, fact))
        causes: Sequence[Fact] = ()
        reasons = len(self.missing)
        for row in (row for row in rows if not row.beside):
            causes = [each for each in self._ways[row.link](fact, row) if each not in behind]
            if causes:
                del self.missing[reasons:]
                for cause in causes:
                    self.back(cause, row.link, row.source, beside=beside, behind=(*behind, fact))
                break
        root = any(_is(fact, what) for what in ROOTS)
        if not causes and not root and (len(self.missing) == reasons or beside):
            self.missing.append(self._not_here(fact, rows))
        if all(step.fact is not fact for step in self.steps):
            self.steps.append(Step(fact, link, source, beside, first=root and not causes))

    def _not_here(self, fact: Fact, rows: list[Row]) -> str:
        """That the cause of a fact is not in the recording, and what could have been it."""
        said = f"what made {words_of(fact)} is not in this recording; its first sight is packet {fact.number}"
        can_be: dict[str, None] = {}
        for row in rows:
            if not row.beside:
                names = ", ".join(sorted(row.cause.names)) or "any"
                can_be[f"{row.cause.kind.value} {names}"] = None
        if any(row.link is Link.FAULT for row in rows) and fact.memory not in self.history.with_truth:
            said += ", which was made on the line alone: what happened in the pump's world is not in it"
        return f"{said}. It can have been: {'; '.join(can_be)}" if can_be else said

    # how facts are tied

    def _facts(self, fact: Fact, what: What) -> list[Fact]:
        return [each for each in self.history.of(what.kind, fact.memory) if _is(each, what)]

    def _its_entry(self, fact: Fact, row: Row) -> Sequence[Fact]:
        return [
            each
            for each in self._facts(fact, row.cause)
            if each.seq == fact.seq and each.fields.get("alarm_id") == fact.name
        ][:1]

    def _of_command(self, fact: Fact, row: Row) -> Sequence[Fact]:
        if row.cause.kind is FactKind.REQUEST:
            request = _request_of(self.history, fact, row.cause.names)
            return [] if request is None else [request]
        began = fact.name.replace("_END", "_START")
        return [
            each
            for each in self._facts(fact, row.cause)
            if each.cmd_id == fact.cmd_id and each.name == began and (each.seq or 0) < (fact.seq or 0)
        ][-1:]

    def _naming_command(self, fact: Fact, row: Row) -> Sequence[Fact]:
        return [
            each
            for each in self._of_moment(fact, row)
            if each.fields.get("target_cmd_id") in (0, fact.cmd_id)
        ]

    def _of_moment(self, fact: Fact, row: Row) -> Sequence[Fact]:
        """The nearest of that moment, one before it rather than one after it."""
        found = [each for each in self._facts(fact, row.cause) if each is not fact and _together(each, fact)]
        place = _order(fact)
        found.sort(key=lambda each: (_order(each) > place, abs(_order(each) - place)))
        return found[:1]

    def _before(self, fact: Fact, row: Row) -> Sequence[Fact]:
        """The last one, unless the same as the fact itself happened since."""
        for each in reversed(self.history.facts[: fact.at]):
            if each.memory == fact.memory:
                if _is(each, row.cause):
                    return [each]
                if (each.kind, each.name) == (fact.kind, fact.name):
                    break
        return []

    def _in_force(self, fact: Fact, row: Row) -> list[Fact]:
        """All of a kind that no entry has ended since, of the same log."""
        entries = [each for each in self.history.of(FactKind.LOG_ENTRY, fact.memory) if each.log is fact.log]
        entries = sorted((each for each in entries if _order(each) < _order(fact)), key=_order)
        found: list[Fact] = []
        for each in entries:
            if _is(each, row.cause):
                found.append(each)
            elif any(_is(each, what) for what in row.ended_by):
                found.clear()
        return found

    def _held(self, fact: Fact, row: Row) -> Sequence[Fact]:
        found = self._in_force(fact, row)
        return self._without_gap(fact, found[0] if row.ended_by else found[-1]) if found else []

    def _expired(self, fact: Fact, row: Row) -> Sequence[Fact]:
        for each in reversed(self._in_force(fact, row)):
            span_ms = _span_ms(each, fact)
            asked_ms = int(each.fields.get("max_stop_s", -1)) * 1_000
            if span_ms is not None and abs(span_ms - asked_ms) <= EXPIRY_WITHIN_MS:
                return self._without_gap(fact, each)
        return []

    def _without_gap(self, fact: Fact, cause: Fact) -> Sequence[Fact]:
        """The cause, unless entries between both are not in the recording: one of them may have ended it."""
        known = {
            each.seq for each in self.history.of(FactKind.LOG_ENTRY, fact.memory) if each.log is fact.log
        }
        gone = [
            seq
            for seq in range((cause.seq or 0) + 1, fact.seq or 0)
            if seq not in known and seq % CHECKPOINT_EVERY
        ]
        if not gone:
            return [cause]
        self.missing.append(
            f"{words_of(cause)} (packet {cause.number}) was in force before {words_of(fact)}, but {len(gone)} entries "
            f"of the log between them, from {gone[0]} to {gone[-1]}, are not in this recording: one may have ended it"
        )
        return []

    def _between(self, fact: Fact, row: Row) -> Sequence[Fact]:
        since = self.history.facts[fact.after : fact.at]
        done = [each for each in since if _is(each, row.cause) and each.answered_in and not each.refused]
        return done[-1:]

    def _faults(self, fact: Fact, row: Row) -> Sequence[Fact]:
        """Each fault that was there and can cause it; of one that came several times, the last time."""
        if not fact.marked:
            return []
        found: dict[str, Fact] = {}
        for each in self.history.facts[: fact.at]:
            if each.memory != fact.memory:
                continue
            if each.kind is FactKind.FAULT and _is(each, row.cause):
                found[each.name] = each
            elif each.name == "FaultCleared" and each.fields["name"] not in LEAVES_DAMAGE:
                found.pop(each.fields["name"], None)
        return list(found.values())


def _is(fact: Fact, what: What) -> bool:
    if fact.kind is not what.kind or (what.names and fact.name not in what.names):
        return False
    return all(
        str(fact.actor == Actor.PUMP if name == "by_pump" else fact.fields.get(name)) == value
        for name, value in what.fields.items()
    )


def _order(fact: Fact) -> int:
    """Where a fact stands among others of its moment: entries by their number, the rest by their packet."""
    return fact.number if fact.seq is None else fact.seq


def _span_ms(earlier: Fact, later: Fact) -> int | None:
    """The time between two facts, by a clock that tells of both; None where there is none."""
    if earlier.pump_ms is not None and later.pump_ms is not None:
        return later.pump_ms - earlier.pump_ms
    if earlier.running_ms is not None and later.running_ms is not None:
        return later.running_ms - earlier.running_ms
    return None


def _together(one: Fact, other: Fact) -> bool:
    return _span_ms(one, other) == 0


def _request_of(history: History, entry: Fact, opcodes: Iterable[str]) -> Fact | None:
    """The request whose command an entry of the log belongs to; None where it is not in the recording."""
    if entry.kind is not FactKind.LOG_ENTRY or not entry.cmd_id:
        return None
    sent = [
        each
        for each in history.requests_by_command.get((entry.memory, entry.cmd_id), ())
        if each.name in opcodes and _may_have_sent(history, each, entry)
    ]
    for each in sent:
        result = getattr(each.answer, "result", None)
        if result is not None and result.seq == entry.seq and not result.dup:
            return each
    if entry.marked:
        sent = [each for each in sent if each.number < entry.number][-1:]
    return sent[0] if sent and not sent[0].refused else None


def _may_have_sent(history: History, request: Fact, entry: Fact) -> bool:
    """Whether who sent a request can be who made an entry, by role and, where the log tells of its session, by key."""
    if request.role is None or entry.actor is None:
        return True
    if entry.actor >> 4 not in [role.value for role in Role] or entry.actor >> 4 != request.role:
        return False
    keys = {
        each.fields.get("key_id")
        for each in history.by_name.get("SESSION_OPEN", ())
        if each.memory == entry.memory and each.actor == entry.actor
    }
    return not keys or request.key_id in keys


def words_of(fact: Fact) -> str:
    """A fact in few words."""
    match fact.kind:
        case FactKind.LOG_ENTRY:
            return f"the entry {fact.name} #{fact.seq}"
        case FactKind.REQUEST:
            return f"the request {fact.name}"
        case FactKind.ALARM:
            return f"the alarm {fact.name}"
        case FactKind.STATUS:
            return f"the state {fact.name}"
        case FactKind.FAULT:
            return f"the fault {fact.name}"
    return f"the event {fact.name}"
