"""What one run of the suite gave, as plain data: one record a test, and what the target was. No pytest here."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Verdict(StrEnum):
    """How a test ended."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class CaseRecord:
    """One test. `reason` is why it was skipped or the last line of its failure; `frames` its last frames,
    decoded.
    """

    name: str
    verdict: Verdict
    duration_s: float
    requirements: tuple[str, ...] = ()
    reason: str = ""
    frames: str = ""


@dataclass(slots=True)
class RunRecord:
    """One run. `identity` is what the device says of itself; `stopped` why the run ended before its end."""

    target: str
    identity: str = "not asked"
    tests: list[CaseRecord] = field(default_factory=list)
    stopped: str = ""

    def count(self, verdict: Verdict) -> int:
        """How many tests ended so."""
        return sum(test.verdict is verdict for test in self.tests)
