"""Proposes rules from two recordings of the same thing: what differs between them would differ again.

A proposal has no reason yet, and so no file with one is taken before a person has given it. No rule is ever proposed
for a dose figure, nor for what has names: a state, an alarm, a refusal.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hil.comparison.differences import Comparison, How, message_name
from hil.comparison.rules import BAD_FRAME, Override, Rules
from hil.comparison.summary import without_rows
from protocol.codec.field_words import bare_name_and_unit
from protocol.codec.sameness import MONOTONIC, VOLATILE, Rule, Sameness

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hil.capture.messages import RecordedMessage
    from hil.comparison.differences import Difference

DOSE_UNITS: Final = frozenset({"nL", "nL/day", "ng/day", "ng/mL"})
DELTA_PART: Final = 10
"""A tolerance is proposed up to one part in so many of the largest value."""
COUNTER_FROM: Final = 3
"""Values in which a counter is recognised."""
NO_COUNTERPART: Final = "is in one of them alone"


@dataclass(frozen=True)
class Proposal:
    """A field that differs, or a message without counterpart; `rule` is None where none should hide that."""

    message: str
    field_path: str
    rule: Rule | None
    evidence: str


def proposals(
    first: Sequence[RecordedMessage], second: Sequence[RecordedMessage], rules: Rules
) -> list[Proposal]:
    """What should be said of each field that differs by the rules so far, in the order in which they first differ."""
    found: dict[tuple[str, str], list[Difference]] = {}
    comparison = Comparison(rules)
    for each in comparison.differences(first, second):
        found.setdefault(_place(each), []).append(each)
    counters = _counters(first, second, rules, [place for place, each in found.items() if _is_number(each)])
    judged = {each.place: each.judged for each in comparison.judge.applied}
    found_proposals = []
    for (message, path), its in found.items():
        number = judged.get(f"{message}.{path}", len(its))
        is_counter = (message, path) in counters
        found_proposals.append(_proposal(message, path, its, number, is_counter=is_counter))
    return found_proposals


def _place(difference: Difference) -> tuple[str, str]:
    if difference.how is not How.FIELD:
        entry = difference.first or difference.second
        return ("" if entry is None else message_name(entry)), ""
    message, _, path = without_rows(difference.place).partition(".")
    return message, path


def _is_number(differences: Sequence[Difference]) -> bool:
    return all(type(value) is int for each in differences for value in (each.was, each.now))


def _is_dose(path: str) -> bool:
    name = path.rpartition(".")[2]
    return bare_name_and_unit(name)[1] in DOSE_UNITS or name == "strokes"


def _counters(
    first: Sequence[RecordedMessage],
    second: Sequence[RecordedMessage],
    rules: Rules,
    places: list[tuple[str, str]],
) -> set[tuple[str, str]]:
    """Which of these fields count up in both recordings."""
    as_counters = {
        (message, path): Override(message, path, MONOTONIC, "tried") for message, path in places if path
    }
    comparison = Comparison(Rules({**rules.overrides, **as_counters}))
    for difference in comparison.differences(first, second):
        as_counters.pop(_place(difference), None)
    often = {each.place for each in comparison.judge.applied if each.judged >= COUNTER_FROM}
    return {place for place, override in as_counters.items() if override.place in often}


def _proposal(
    message: str, path: str, differences: list[Difference], judged: int, *, is_counter: bool
) -> Proposal:
    evidence = f"differs in {len(differences)} of {judged}"
    first = differences[0]
    if first.how is not How.FIELD:
        return Proposal(message, path, None, f"{NO_COUNTERPART}, {len(differences)} times")
    if message == BAD_FRAME:
        return Proposal(message, path, VOLATILE, f"{evidence}: bytes on the line are sealed anew each time")
    evidence += f", first {first.was} and {first.now}" if _is_number(differences) else ""
    if path.endswith("length") or not _may_be_hidden(differences):
        return Proposal(message, path, None, f"{evidence}: it has a meaning")
    if _is_dose(path):
        return Proposal(message, path, None, f"{evidence}: it is a dose figure")
    return Proposal(message, path, _rule(differences, is_counter=is_counter), evidence)


def _may_be_hidden(differences: Sequence[Difference]) -> bool:
    """Whether the values are plain numbers or bytes, which mean nothing by themselves."""
    values = [value for each in differences for value in (each.was, each.now)]
    return all(type(value) in (int, bytes) for value in values)


def _rule(differences: Sequence[Difference], *, is_counter: bool) -> Rule:
    if not _is_number(differences):
        return VOLATILE
    apart = max(abs(each.was - each.now) for each in differences)
    largest = max(abs(value) for each in differences for value in (each.was, each.now))
    if apart * DELTA_PART <= largest:
        return Rule(Sameness.DELTA, tolerance=apart)
    return MONOTONIC if is_counter else VOLATILE


def proposed_text(found: Sequence[Proposal], named: tuple[str, str]) -> Iterator[str]:
    """The proposals as lines of a rules file, with what is told but not ruled as comments."""
    yield f"# Proposed from {named[0]} and {named[1]}. Each reason is for you to give: why may it differ?"
    yield "# A rule without a reason is refused; delete those that you cannot defend."
    for each in found:
        place = f"{each.message}.{each.field_path}".removesuffix(".")
        yield ""
        if each.rule is None:
            yield f"# no rule for {place}: {each.evidence}"
            continue
        yield f"# {each.evidence}"
        yield from _table(each.message, each.field_path, each.rule, "")


def _table(message: str, path: str, rule: Rule, reason: str) -> Iterator[str]:
    entries: dict[str, Any] = {"message": message, "field": path, "rule": rule.sameness.value}
    if rule.sameness is Sameness.DELTA:
        entries["tolerance"] = rule.tolerance
    yield "[[rule]]"
    for key, value in {**entries, "reason": reason}.items():
        yield f"{key} = {json.dumps(value)}"
