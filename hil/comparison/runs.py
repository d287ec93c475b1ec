"""Compares two runs of tests by their reports: how each test ended, how long the device took, what was said.

Tests are brought together by name. What was said is compared as `pumpbench diff` does it, each test for itself, since
what is mapped (ids, nonces, sessions) begins anew with the pump of a test.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.capture.tests_of_a_run import RecordedRun
from hil.comparison.differences import Comparison, How
from hil.comparison.rules import BAD_FRAME, Override, Rules
from hil.comparison.summary import without_rows
from hil.latency import Latencies, Shift, shifts
from hil.report.summary import DID_NOT_RUN
from protocol.codec.sameness import VOLATILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.capture.tests_of_a_run import RecordedTest
    from hil.comparison.differences import Difference
    from hil.report.reading import ReadReport, ReadTest
    from protocol.link.development_keys import DeviceKey

SHOWN: Final = 3
"""Tests of a field that are kept with their difference."""
NOT_EXECUTED: Final = frozenset({"skipped", DID_NOT_RUN, "absent"})
ABSENT: Final = "absent"
OURS: Final = {
    (BAD_FRAME, "data"): Override(
        BAD_FRAME, "data", VOLATILE, "what a test damages was sealed, and is other each time"
    )
}
"""That there is a damaged frame is compared all the same."""


class OutcomeDifference(NamedTuple):
    """A test that did not end alike; `absent` where a run has no such test."""

    test: str
    first: str
    second: str
    reason: str
    """Why it failed or was skipped, of the side that did not pass; of the second where neither did."""


class Seen(NamedTuple):
    """A difference, and the test in which it is."""

    test: str
    difference: Difference


@dataclass
class FieldOfRuns:
    """All differences of one kind at one field, in all tests."""

    how: How
    place: str
    count: int = 0
    tests: set[str] = field(default_factory=set)
    shown: list[Seen] = field(default_factory=list)
    """The first of each of the first tests."""


@dataclass
class RunComparison:
    """What two runs do not have the same."""

    first: ReadReport
    second: ReadReport
    outcomes: list[OutcomeDifference] = field(default_factory=list)
    executed: int = 0
    """Tests that were executed on both sides."""
    timing: list[Shift] = field(default_factory=list)
    """Each kind of request with answers on both sides."""
    timing_not_compared: str = ""
    bytes_not_compared: str = ""
    """Why; "" where it was compared."""
    compared_tests: int = 0
    """Tests of which what was said was compared."""
    compared_messages: int = 0
    only_recorded: list[str] = field(default_factory=list)
    """Tests that were executed on both sides, and that one recording alone has."""
    sealed: int = 0
    """Pairs of frames that could not be compared, since no key opens them: forged ones of a test, as a rule."""
    sealed_tests: set[str] = field(default_factory=set)
    fields: dict[tuple[How, str], FieldOfRuns] = field(default_factory=dict)
    hidden: Counter[str] = field(default_factory=Counter)
    """How many pairs of values were the same by a rule alone, by field and rule."""
    damage: list[str] = field(default_factory=list)
    unused: list[Override] = field(default_factory=list)
    """Rules of somebody's own that judged nothing in any test."""

    @property
    def shifted(self) -> list[Shift]:
        """The kinds of request whose latency is another."""
        return [each for each in self.timing if each.is_shifted]

    @property
    def is_alike(self) -> bool:
        """Whether nothing differs, of what was compared."""
        return not (self.outcomes or self.shifted or self.fields or self.only_recorded)

    @property
    def troubles(self) -> list[str]:
        """What keeps the comparison from being whole, in sentences."""
        incomplete = [
            f"the run in {each.directory} is not complete: {each.result}"
            for each in (self.first, self.second)
            if not each.is_complete
        ]
        if self.sealed > self.compared_messages:
            incomplete.append(
                f"no key opens {self.sealed} frames, and {self.compared_messages} messages were compared"
            )
        return incomplete + self.damage


def compare_runs(
    first: ReadReport,
    second: ReadReport,
    rules: Rules,
    keys: list[DeviceKey],
    *,
    with_timing: bool = True,
    with_bytes: bool = True,
) -> RunComparison:
    """Compare two runs. BadConfiguration where a recording beside a report is none."""
    found = RunComparison(first, second)
    names = list(dict.fromkeys([*first.tests, *second.tests]))
    executed = set()
    for name in names:
        was, now = first.tests.get(name), second.tests.get(name)
        before, after = (ABSENT if each is None else each.outcome for each in (was, now))
        if not NOT_EXECUTED & {before, after}:
            executed.add(name)
        if before != after:
            found.outcomes.append(OutcomeDifference(name, before, after, _reason(was, now)))
    found.executed = len(executed)
    _compare_recordings(found, executed, rules, keys, with_timing=with_timing, with_bytes=with_bytes)
    return found


def _reason(was: ReadTest | None, now: ReadTest | None) -> str:
    reasons = [each.reason for each in (now, was) if each is not None and each.outcome != "passed"]
    return next(filter(None, reasons), "")


def _compare_recordings(
    found: RunComparison,
    executed: set[str],
    rules: Rules,
    keys: list[DeviceKey],
    *,
    with_timing: bool,
    with_bytes: bool,
) -> None:
    sides = [
        RecordedRun(report.recordings, keys, asks_who_is_there=report.stays)
        for report in (found.first, found.second)
    ]
    without = [report for report in (found.first, found.second) if not report.recordings]
    unrecorded = f"{without[0].directory} holds no recording" if without else ""
    found.timing_not_compared = unrecorded if with_timing else "not asked for"
    found.bytes_not_compared = unrecorded if with_bytes else "not asked for"
    if found.timing_not_compared and found.bytes_not_compared:
        return
    latencies = (Latencies(), Latencies())
    virtual: list[set[bool]] = [set(), set()]
    used: dict[int, bool] = {}
    for name, *pair in _paired(*(side.tests() for side in sides)):
        if name not in executed:
            continue
        tests = [each for each in pair if each is not None]
        for side, test in enumerate(pair):
            if test is not None and len(tests) == len(pair):
                latencies[side].take(test.messages)
                virtual[side].add(test.is_virtual)
        if len(tests) < len(pair):
            found.only_recorded.append(name)
        elif with_bytes:
            _compare_test(found, name, tests[0], tests[1], Rules({**OURS, **rules.overrides}), used)
    found.damage += [f"{side.paths[0].parent}: {each}" for side in sides for each in side.damage]
    found.unused = [each for each in rules.overrides.values() if not used.get(id(each))] if with_bytes else []
    if not found.timing_not_compared and virtual[0] != virtual[1]:
        found.timing_not_compared = "the times of one run are those of a pump in virtual time"
    if not found.timing_not_compared:
        found.timing = shifts(*(each.quantiles() for each in latencies))


def _compare_test(
    found: RunComparison,
    name: str,
    first: RecordedTest,
    second: RecordedTest,
    rules: Rules,
    used: dict[int, bool],
) -> None:
    comparison = Comparison(rules)
    for difference in comparison.differences(first.messages, second.messages):
        if difference.how is How.SEALED:
            found.sealed += 1
            found.sealed_tests.add(name)
            continue
        key = (difference.how, without_rows(difference.place))
        of_field = found.fields.setdefault(key, FieldOfRuns(*key))
        of_field.count += 1
        if name not in of_field.tests and len(of_field.shown) < SHOWN:
            of_field.shown.append(Seen(name, difference))
        of_field.tests.add(name)
    found.compared_tests += 1
    found.compared_messages += comparison.pairs
    for applied in comparison.judge.applied:
        if applied.hid:
            found.hidden[f"{applied.place}: {applied.rule}"] += applied.hid
        if applied.override is not None and applied.judged:
            used[id(applied.override)] = True


def _paired(
    first: Iterator[RecordedTest], second: Iterator[RecordedTest]
) -> Iterator[tuple[str, RecordedTest | None, RecordedTest | None]]:
    """Tests of both sides of one name, the n-th with the n-th; of two runs in one order nothing is kept."""
    waiting: tuple[dict[str, list[RecordedTest]], dict[str, list[RecordedTest]]] = ({}, {})
    for pair in zip_longest(first, second):
        for side, test in enumerate(pair):
            if test is not None:
                waiting[side].setdefault(test.name, []).append(test)
        for name in dict.fromkeys(test.name for test in pair if test is not None):
            while waiting[0].get(name) and waiting[1].get(name):
                yield name, waiting[0][name].pop(0), waiting[1][name].pop(0)
    for name in dict.fromkeys([*waiting[0], *waiting[1]]):
        for was, now in zip_longest(waiting[0].get(name, []), waiting[1].get(name, [])):
            yield name, was, now
