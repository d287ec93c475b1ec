"""A run as text: what it ran on, how it ended, what failed with its last frames, what was skipped and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from hil.errors import in_one_line
from hil.measurement import MeasuredVerdict
from hil.report.records import CANNOT, CONSOLE_TITLE, Accused, Verdict

if TYPE_CHECKING:
    from hil.report.records import CaseRecord, RunRecord

TITLE = "pumpbench: hardware-in-the-loop run."
RULE = "-" * 72
DID_NOT_RUN: Final = "did not run"
FEW_REASONS: Final = 3
"""So many combinations of what is lacking can be taken in at a glance."""
RUNNING: Final = "RUNNING"
"""How the result begins of a run that has not ended."""


def summary_of(run: RunRecord) -> str:
    """The whole text, with its last newline."""
    blocks = [_head(run), "\n".join(failures_in_words(run))]
    blocks += [_failure("NOT COLLECTED", place) for place in run.uncollected]
    blocks += [_failure(test.verdict.value.upper(), test) for test in run.failures()]
    blocks += [
        _failure(f"ATTEMPT {number} FAILED", attempt)
        for attempts in run.attempts.values()
        for number, attempt in enumerate(attempts, 1)
    ]
    blocks += [
        _requirements(run),
        _passed_but(run, Verdict.RETRIED, Verdict.RETRIED.value),
        _passed_but(run, Verdict.PASSED, "passed in part"),
        _gaps(run),
        _marginal(run),
        _reasons(run, Verdict.XFAILED),
        _reasons(run, Verdict.SKIPPED),
        _missing(run),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def one_line(run: RunRecord) -> str:
    """Counts in one line."""
    counts = [f"{run.count(v)} {v.value}" for v in Verdict if run.count(v)]
    missing = len(run.did_not_run())
    if missing:
        counts.append(f"{missing} {DID_NOT_RUN}")
    if run.uncollected:
        counts.append(f"{len(run.uncollected)} could not be collected")
    return f"{', '.join(counts) or 'no tests'} on {in_one_line(run.target)}"


def accused_counts(run: RunRecord) -> dict[str, int]:
    """How many failures each is accused of, in the order of `Accused`, without those of none."""
    counts = Counter(test.accused or Accused.NOT_KNOWN for test in run.failures())
    return {accused.value: counts[accused] for accused in Accused if counts[accused]}


def failures_in_words(run: RunRecord) -> list[str]:
    """How many tests failed by whose fault, and each with its evidence in one line; empty where none failed."""
    failures = run.failures()
    if not failures:
        return []
    counts = sorted(accused_counts(run).items(), key=lambda row: -row[1])
    head = f"{len(failures)} failure{'s' * (len(failures) != 1)}: "
    rows = [
        f"  {test.accused or Accused.NOT_KNOWN}: {in_one_line(test.name)}: {in_one_line(test.evidence)}"
        for test in failures
    ]
    return [head + ", ".join(f"{count} {accused}" for accused, count in counts), *rows]


def why_nothing_was_shown(run: RunRecord) -> str:
    """One sentence for a run in which no test passed or failed."""
    counts = [f"{run.count(v)} {v.value}" for v in (Verdict.SKIPPED, Verdict.XFAILED) if run.count(v)]
    reasons = Counter(test.reason for test in run.tests if test.reason).most_common(1)
    often = f" (most often: {in_one_line(reasons[0][0])})" if reasons else ""
    if not run.chosen:
        return (
            f"no test was executed: {in_one_line(run.stopped) or f'none was chosen{_left_out(run)}{often}'}"
        )
    return (
        f"no test was executed: of {len(run.chosen)} chosen {' and '.join(counts) or 'none was run'}{often}"
    )


def _left_out(run: RunRecord) -> str:
    """How many tests there were for a run that has chosen none; "" where something else says why."""
    without = run.deselected + run.left_out
    if without:
        return f": all {without} that were found are left out, by -k, -m, --deselect or a hook"
    return (
        ""
        if run.tests or run.uncollected
        else f": none was found{', with ' * bool(run.narrowed)}{run.narrowed}"
    )


def result_words(run: RunRecord) -> str:
    """The counts, behind what keeps them from being a whole result."""
    if not run.ended:
        return (
            f"{RUNNING}, incomplete: this run has not ended, or it was killed; {len(run.chosen)} tests chosen"
        )
    if run.is_incomplete:
        return f"INCOMPLETE: {one_line(run)}"
    return f"NOTHING EXECUTED: {one_line(run)}" if run.shows_nothing else one_line(run)


def _head(run: RunRecord) -> str:
    lines = [
        f"{TITLE} Not a medical device; no evidence about any patient's pump.",
        f"target    {in_one_line(run.target)}",
        f"device    {in_one_line(run.identity)}",
        f"result    {result_words(run)}",
        f"time      {sum(test.duration_s for test in run.tests):.1f} s in tests",
    ]
    if without := run.deselected + run.left_out:
        lines.append(f"selected  {len(run.chosen)} of {len(run.chosen) + without} tests that were found")
    if run.left_out:
        lines.append(f"left out  {run.left_out} of them by a hook that took them away without saying so")
    if run.narrowed:
        lines.append(f"narrowed  {in_one_line(run.narrowed)}: tests that this leaves out are not counted")
    if run.reruns:
        tries, tests = run.reruns.total(), len(run.reruns)
        lines.append(f"reruns    {tries} tries of {tests} tests do not count: they were run again")
    if run.stopped:
        lines.append(f"stopped   {in_one_line(run.stopped)}")
    return "\n".join(lines)


def _failure(kind: str, test: CaseRecord) -> str:
    parts = [RULE, f"{kind} {in_one_line(test.name)}"]
    if test.accused:
        parts.append(f"accused: {in_one_line(test.accused)}")
        parts.append(f"evidence: {in_one_line(test.evidence or 'none was noted')}")
    if test.requirements:
        parts.append(f"verifies {', '.join(test.requirements)}")
    parts += _indented(test.reason or "no reason was given")
    if test.frames:
        parts += ["last frames:", test.frames]
    if test.console:
        parts += [f"{CONSOLE_TITLE}:", test.console]
    return "\n".join(parts)


def _indented(text: str) -> list[str]:
    """The lines of what a test says; those after the first are set in, so that none looks like one of ours."""
    first, *more = text.split("\n")
    return [in_one_line(first), *(f"  {in_one_line(line)}" if line else "" for line in more)]


def _requirements(run: RunRecord) -> str:
    outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for test in run.tests:
        for requirement in test.requirements:
            outcomes[requirement][test.verdict.value] += 1
    for name in run.did_not_run():
        for requirement in run.claims.get(name, ()):
            outcomes[requirement][DID_NOT_RUN] += 1
    if not outcomes:
        return ""
    rows = [f"{name:<12} {_in_words(counts)}" for name, counts in sorted(outcomes.items())]
    title = "requirements, without what could not be collected" if run.uncollected else "requirements"
    return "\n".join([RULE, title, *rows])


def _in_words(counts: Counter[str]) -> str:
    return ", ".join(f"{counts[word]} {word}" for word in (*Verdict, DID_NOT_RUN) if counts[word])


def _reasons(run: RunRecord, verdict: Verdict) -> str:
    rows = reasons_of(run, verdict)
    return "\n".join([RULE, verdict.value, *rows]) if rows else ""


def _passed_but(run: RunRecord, verdict: Verdict, title: str) -> str:
    rows = [
        f"{in_one_line(test.name)}: {in_one_line(test.reason)}"
        for test in run.tests
        if test.verdict is verdict and test.reason
    ]
    return "\n".join([RULE, title, *rows]) if rows else ""


def _gaps(run: RunRecord) -> str:
    rows = [f"{in_one_line(name)}: {gap.words}" for name, gap in run.gaps]
    return "\n".join([RULE, f"the line was lost and came back: {len(rows)}", *rows]) if rows else ""


def _marginal(run: RunRecord) -> str:
    rows = [
        f"{in_one_line(test.name)}: {in_one_line(str(each['name']))} in {in_one_line(str(each['unit']))}"
        for test in run.tests
        for each in test.measurements
        if each["verdict"] == MeasuredVerdict.MARGINAL
    ]
    return "\n".join([RULE, "measured within limits, and marginal", *rows]) if rows else ""


def reasons_of(run: RunRecord, verdict: Verdict) -> list[str]:
    """A line for each reason with the number of its tests, the most frequent first."""
    reasons = Counter(test.reason for test in run.tests if test.verdict is verdict)
    return [
        f"{count:>4} x {in_one_line(reason)}"
        for reason, count in sorted(reasons.items(), key=lambda row: (-row[1], row[0]))
    ]


def lacking_in_words(run: RunRecord) -> list[str]:
    """In how many skipped tests each thing was lacking, and in how many it alone, in one line; none where few lack it.

    What to add to a bench first stands first.
    """
    lacks = [
        test.reason.partition(CANNOT)[2].split(", ")
        for test in run.tests
        if test.verdict is Verdict.SKIPPED and CANNOT in test.reason
    ]
    if len({*map(tuple, lacks)}) < FEW_REASONS:
        return []
    counts, alone = (
        Counter(name for names in lacks for name in names),
        Counter(n[0] for n in lacks if len(n) == 1),
    )
    parts = [
        f"{in_one_line(name)} in {count}" + (f" (alone in {alone[name]})" if alone[name] else "")
        for name, count in sorted(counts.items(), key=lambda row: (-alone[row[0]], -row[1], row[0]))
    ]
    return [f"what was lacking, each in so many of them: {', '.join(parts)}"]


def _missing(run: RunRecord) -> str:
    names = run.did_not_run()
    if not names:
        return ""
    title = "did not run" if run.ended else "chosen, and not known to have run"
    begun = set(run.begun)
    rows = []
    for name in names:
        rows.append(in_one_line(name) + (" (begun, not ended)" if name in begun else ""))
        begun.discard(name)
    return "\n".join([RULE, f"{title}: {len(names)}", *rows])
