"""A run as text: what it ran on, how it ended, what failed with its last frames, what was skipped and why."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hil.report.records import Verdict

if TYPE_CHECKING:
    from hil.report.records import CaseRecord, RunRecord

RULE = "-" * 72
BAD = (Verdict.FAILED, Verdict.ERROR)


def summary_of(run: RunRecord) -> str:
    """The whole text, with its last newline."""
    blocks = [_head(run)]
    blocks += [_failure(test) for test in run.tests if test.verdict in BAD]
    blocks += [text for text in (_requirements(run), _skips(run)) if text]
    return "\n\n".join(blocks) + "\n"


def one_line(run: RunRecord) -> str:
    """Counts in one line."""
    counts = ", ".join(f"{run.count(v)} {v.value}" for v in Verdict if run.count(v))
    return f"{counts or 'no tests'} on {run.target}"


def _head(run: RunRecord) -> str:
    lines = [
        "pumpbench: hardware-in-the-loop run. Not a medical device; no evidence about any patient's pump.",
        f"target    {run.target}",
        f"device    {run.identity}",
        f"result    {one_line(run)}",
        f"time      {sum(test.duration_s for test in run.tests):.1f} s in tests",
    ]
    if run.stopped:
        lines.append(f"stopped   {run.stopped}")
    return "\n".join(lines)


def _failure(test: CaseRecord) -> str:
    parts = [RULE, f"{test.verdict.value.upper()} {test.name}"]
    if test.requirements:
        parts.append(f"verifies {', '.join(test.requirements)}")
    parts.append(test.reason or "no reason was given")
    if test.frames:
        parts += ["last frames:", test.frames]
    return "\n".join(parts)


def _requirements(run: RunRecord) -> str:
    verdicts: dict[str, Counter[Verdict]] = {}
    for test in run.tests:
        for requirement in test.requirements:
            verdicts.setdefault(requirement, Counter())[test.verdict] += 1
    if not verdicts:
        return ""
    rows = [f"{name:<12} {_in_words(counts)}" for name, counts in sorted(verdicts.items())]
    return "\n".join([RULE, "requirements", *rows])


def _in_words(counts: Counter[Verdict]) -> str:
    return ", ".join(f"{counts[v]} {v.value}" for v in Verdict if counts[v])


def _skips(run: RunRecord) -> str:
    reasons = Counter(test.reason for test in run.tests if test.verdict is Verdict.SKIPPED)
    if not reasons:
        return ""
    rows = [f"{count:>4} x {reason}" for reason, count in sorted(reasons.items())]
    return "\n".join([RULE, "skipped", *rows])
