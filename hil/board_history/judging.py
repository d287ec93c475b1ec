"""What the newest run of a board says against that board's own past: outcomes, latencies, durations, measurements.

A past is the last 20 runs before it, of the same kind of time. Its middle is a median and its scatter the median
absolute deviation, so that one bad night moves neither. Tests are held against the same tests: a run of some tests is
judged by them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from enum import StrEnum
from statistics import median
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.latency import LEAST_SHIFT_PERCENT, LEAST_SHIFT_US

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hil.board_history.history_file import HistoryFile
    from hil.board_history.kept import Kept, KeptRun

PAST_MOST: Final = 20
PAST_LEAST: Final = 5
"""Runs with the same thing in them; with fewer nothing is called a shift."""
ANSWERS_LEAST: Final = 5
"""To a kind of request in a run: how much so few scatter is known from the past, which had as many."""
TIMES_SCATTER: Final = 5
"""A shift is more than so many times the scatter of the past."""
SIGMA_OF_MAD: Final = 1.4826
"""The median absolute deviation times this is the standard deviation, of values that are normally distributed."""
LEAST_DURATION_PERCENT: Final = 25
LEAST_DURATION_US: Final = 1_000_000
LEAST_MEASUREMENT_PERCENT: Final = 1
US_PER_MS: Final = 1_000


class What(StrEnum):
    """What has shifted."""

    OUTCOME = "outcome"
    LATENCY = "latency"
    DURATION = "duration"
    MEASUREMENT = "measurement"


class PastShift(NamedTuple):
    """One thing that is not as it was. `now` and `past` are in words, with their unit."""

    what: What
    name: str
    """Test, kind of request, or test and measurement."""
    now: str
    past: str
    runs: int
    """Of the past, that have it."""


class Judgement(NamedTuple):
    """The newest run against its past; `run` None where there is no run."""

    run: KeptRun | None
    past: tuple[KeptRun, ...]
    shifts: tuple[PastShift, ...]
    tests: int = 0
    """Of the newest run, with all that it has of them."""
    unjudged: tuple[str, ...] = ()
    """Those tests that too few runs of the past have, to hold them against."""

    @property
    def is_judged(self) -> bool:
        """Whether anything at all was held against its past."""
        return self.tests > len(self.unjudged)


def against_its_past(history: HistoryFile, board: str) -> Judgement:
    """The newest run of a board, and what of it is not as it was."""
    runs = history.runs(board, PAST_MOST + 1)
    if not runs:
        return Judgement(None, (), ())
    newest = runs[-1]
    past = tuple(run for run in runs[:-1] if run.is_virtual == newest.is_virtual)
    now, before = history.whole(newest), [history.whole(run) for run in past]
    in_past = Counter(name for kept in before for name in {test.name for test in kept.tests})
    names = list(dict.fromkeys(test.name for test in now.tests))
    unjudged = tuple(name for name in names if in_past[name] < PAST_LEAST)
    shifts = [
        *_outcomes(now, before),
        *_latencies(now, before),
        *_durations(now, before),
        *_measurements(now, before),
    ]
    return Judgement(newest, past, tuple(shifts), len(names), unjudged)


def is_shifted(now: float, past: Sequence[float], least: float) -> bool:
    """Whether a value is further from the median of its past than `least`, and than 5 times its scatter."""
    middle = median(past)
    scatter = SIGMA_OF_MAD * median(abs(value - middle) for value in past)
    return len(past) >= PAST_LEAST and abs(now - middle) > max(TIMES_SCATTER * scatter, least)


def _outcomes(now: Kept, before: list[Kept]) -> Iterable[PastShift]:
    """Tests that have always ended alike, and do not any more. One that ended this way and that is no news."""
    past: defaultdict[str, list[str]] = defaultdict(list)
    for kept in before:
        for test in kept.tests:
            past[test.name].append(test.outcome)
    for test in now.tests:
        outcomes = past[test.name]
        if len(outcomes) >= PAST_LEAST and set(outcomes) == {outcomes[0]} != {test.outcome}:
            why = f": {test.reason}" if test.reason else ""
            yield PastShift(What.OUTCOME, test.name, f"{test.outcome}{why}", outcomes[0], len(outcomes))


def _latencies(now: Kept, before: list[Kept]) -> Iterable[PastShift]:
    """Kinds of request whose answers take longer, or shorter, than in the same tests of the past."""
    medians_now = _medians(now)
    past = [_medians(kept) for kept in before]
    for request, of_now in medians_now.items():
        middles = _middles(request, of_now, past)
        ratio_now = _weighted({test: of_now[test] for test in middles}, middles)
        if ratio_now is None:
            continue
        ratios = [
            ratio
            for kept in past
            if (ratio := _weighted({t: v for t, v in kept.get(request, {}).items() if t in middles}, middles))
            is not None
        ]
        middle_us = median(middles.values())
        least = max(LEAST_SHIFT_PERCENT / 100, LEAST_SHIFT_US / max(middle_us, 1))
        answers = sum(of_now[test][0] for test in middles)
        if answers >= ANSWERS_LEAST and is_shifted(ratio_now, ratios, least):
            yield PastShift(
                What.LATENCY,
                request,
                f"{ratio_now * middle_us / US_PER_MS:.1f} ms",
                f"{median(ratios) * middle_us / US_PER_MS:.1f} ms",
                len(ratios),
            )


Medians = dict[str, dict[str, tuple[int, int]]]
"""Of each kind of request and each test: how many answers, and their median in microseconds."""


def _medians(kept: Kept) -> Medians:
    found: Medians = defaultdict(dict)
    for each in kept.latencies:
        found[each.request][each.test] = (each.quantiles.answers, each.quantiles.p50_us)
    return found


def _middles(request: str, of_now: Mapping[str, tuple[int, int]], past: list[Medians]) -> dict[str, float]:
    """The median over the past of each test that has this request now, and had it in enough runs."""
    found = {}
    for test in of_now:
        medians = [kept[request][test][1] for kept in past if test in kept.get(request, {})]
        if len(medians) >= PAST_LEAST:
            found[test] = float(median(medians))
    return found


def _weighted(of_run: Mapping[str, tuple[int, int]], middles: Mapping[str, float]) -> float | None:
    """How many times the past's latency this run has: the median over its tests, each as often as it has answers."""
    ratios = sorted((p50_us / max(middles[test], 1.0), answers) for test, (answers, p50_us) in of_run.items())
    half, seen = sum(answers for _, answers in ratios) / 2, 0
    for ratio, answers in ratios:
        seen += answers
        if seen >= half:
            return ratio
    return None


def _durations(now: Kept, before: list[Kept]) -> Iterable[PastShift]:
    """Tests that passed, and took longer or shorter than whenever they passed."""
    past: defaultdict[str, list[int]] = defaultdict(list)
    for kept in before:
        for test in kept.tests:
            if test.outcome == "passed":
                past[test.name].append(test.duration_us)
    for test in now.tests:
        durations = past[test.name]
        if test.outcome != "passed" or len(durations) < PAST_LEAST:
            continue
        middle = median(durations)
        least = max(LEAST_DURATION_US, middle * LEAST_DURATION_PERCENT / 100)
        if is_shifted(test.duration_us, durations, least):
            yield PastShift(
                What.DURATION, test.name, _seconds(test.duration_us), _seconds(middle), len(durations)
            )


def _measurements(now: Kept, before: list[Kept]) -> Iterable[PastShift]:
    past: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
    for kept in before:
        for each in kept.measurements:
            if each.value is not None:
                past[each.test, each.name, each.unit].append(each.value)
    for each in now.measurements:
        values = past[each.test, each.name, each.unit]
        if each.value is None or len(values) < PAST_LEAST:
            continue
        middle = median(values)
        if is_shifted(each.value, values, abs(middle) * LEAST_MEASUREMENT_PERCENT / 100):
            yield PastShift(
                What.MEASUREMENT,
                f"{each.test}: {each.name}",
                f"{each.value:g} {each.unit}",
                f"{middle:g} {each.unit}",
                len(values),
            )


def _seconds(duration_us: float) -> str:
    return f"{duration_us / 1_000_000:.1f} s"
