"""What one run of the suite gave, as plain data: one record a test, and what the target was. No pytest here."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hil.targets.supervisor import Gap

NOT_ASKED = "not asked"
SUMMARY_NAME = "summary.txt"
JUNIT_NAME = "junit.xml"
JSON_NAME = "report.json"
PAGE_NAME = "report.html"
MATRIX_NAME = "matrix.csv"
MANIFEST_NAME = "manifest.json"
NAMES = (SUMMARY_NAME, JUNIT_NAME, JSON_NAME, PAGE_NAME, MATRIX_NAME, MANIFEST_NAME)
"""Files of a report beside its recordings; by the first one knows whose they are."""
RECORDING_PATTERN = r"recording(-\w+)?(\.\d+)?\.pcapng"
"""Names of the recordings beside a report: of each worker of a run, and of each file of it that grew too large."""
FRAMES_TITLE = "last frames on the wire"
CANNOT = " cannot: "
"""Between a target and what it lacks, in the reason of a test that is skipped for that."""
CONSOLE_TITLE = "last lines of the board's console"
# Names of the properties by which pytest's report of a test says, also from another process, what it is about.
CLAIM = "verifies"
DEVICE = "device"
ACCUSED = "accused"
EVIDENCE = "evidence"
ATTEMPT = "attempt"  # of a test that is run again: how the try before failed, a property each
RETRIES_MAX = 5
"""How often a test may be run again: what fails more often is no passing fault."""
MEASUREMENT = "measurement"
GAP = "line gap"
STOP = "bench lost"
UNRECORDED = "pumpbench unrecorded"  # what a worker of pytest-xdist says of its recording
COLLECTED = "pumpbench collected"  # and what a worker of pytest-xdist says of its collection


def recording_name(worker: str | None) -> str:
    """The name of the recording of a process of a run: of a worker of pytest-xdist, or of the only one."""
    return "recording.pcapng" if worker is None else f"recording-{worker}.pcapng"


class Accused(StrEnum):
    """Whose fault a failure is, by its evidence."""

    DEVICE = "device"
    LINK = "link"
    BENCH = "bench"
    HARNESS = "harness"
    TEST = "test"
    NOT_KNOWN = "not known"


class Verdict(StrEnum):
    """How a test ended."""

    PASSED = "passed"
    RETRIED = "passed on retry"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"
    XFAILED = "xfailed"


# What a test that gave several verdicts counts as: the last of these that it gave.
RANK = (
    Verdict.SKIPPED,
    Verdict.XFAILED,
    Verdict.PASSED,
    Verdict.RETRIED,
    Verdict.FAILED,
    Verdict.ERROR,
)
BAD = (Verdict.FAILED, Verdict.ERROR)
GOOD = (Verdict.PASSED, Verdict.RETRIED)


@dataclass(frozen=True, slots=True)
class CaseRecord:
    """One test.

    `reason` is why it was skipped or the last line of its failure; `frames` its last frames, decoded; `accused` whose
    fault its failure is, a value of `Accused`, "" where it did not fail; `evidence` by what.
    """

    name: str
    verdict: Verdict
    duration_s: float
    requirements: tuple[str, ...] = ()
    reason: str = ""
    frames: str = ""
    accused: str = ""
    evidence: str = ""
    measurements: tuple[Mapping[str, Any], ...] = ()
    """What it measured, each as `hil.measurement.as_plain` has it, in order."""
    console: str = ""
    """Of a failure, the last lines of the board's console."""


class FirmwareFile(NamedTuple):
    """The firmware file that a bench file names; `flashed` where this run has written it to the board."""

    file: str
    sha256: str
    flashed: bool


@dataclass(slots=True)
class RunRecord:
    """One run. `identity` is what the device says of itself; `stopped` why the run ended before its end.

    `chosen` are the names of all tests that were to run, once for each time; `begun` those that were started and have
    not ended, `deselected` counts those that were found and left out, `reruns` the tries of a test that do not count
    because it was run again; `profile` and `seed` are those of pumps that are made for a test, None where there are
    none; `began_at_s` is the host's clock in seconds since 1970;
    `narrowed` names the options by which tests are left out uncounted; `left_out` counts tests that were found and that
    a hook took away without saying so; `claims` has the requirements of each chosen test, `claims_not_chosen` those of
    each that was found and is none;
    `uncollected` are files and whatever else may hold tests and could not be read;
    a run has not `ended` while its tests may still run.
    """

    target: str
    identity: str = NOT_ASKED
    tests: list[CaseRecord] = field(default_factory=list)
    stopped: str = ""
    chosen: list[str] = field(default_factory=list)
    begun: set[str] = field(default_factory=set)
    deselected: int = 0
    uncollected: list[CaseRecord] = field(default_factory=list)
    reruns: Counter[str] = field(default_factory=Counter)
    ended: bool = False
    profile: str | None = None
    seed: int | None = None
    began_at_s: int = 0
    exit_code: int | None = None
    narrowed: str = ""
    left_out: int = 0
    claims: dict[str, tuple[str, ...]] = field(default_factory=dict)
    claims_not_chosen: dict[str, tuple[str, ...]] = field(default_factory=dict)
    board: str = ""
    """Which board the target is, the same under each of its names; "" where it is none."""
    firmware: FirmwareFile | None = None
    """None where no bench file names it."""
    attempts: dict[str, list[CaseRecord]] = field(default_factory=dict)
    """Failed tries of each test that was run again, in order."""
    gaps: list[tuple[str, Gap]] = field(default_factory=list)
    """Losses of the line from which it came back, each with the name of its test."""

    def count(self, verdict: Verdict) -> int:
        """How many tests ended so."""
        return sum(test.verdict is verdict for test in self.tests)

    def did_not_run(self) -> list[str]:
        """Names of chosen tests without a verdict; one that was to run twice is there for each verdict it lacks."""
        missing = Counter(self.chosen) - Counter(test.name for test in self.tests)
        return list(missing.elements())

    @property
    def is_incomplete(self) -> bool:
        """True where chosen tests have no verdict, or nobody knows which tests there would have been."""
        return bool(self.uncollected or self.did_not_run())

    @property
    def went_wrong(self) -> bool:
        """True where a test failed, or broke."""
        return bool(self.failures())

    def failures(self) -> list[CaseRecord]:
        """Tests that failed or broke, in order."""
        return [test for test in self.tests if test.verdict in BAD]

    @property
    def shows_nothing(self) -> bool:
        """True where no test passed or failed: nothing was learnt about the target."""
        return not (self.went_wrong or any(self.count(verdict) for verdict in GOOD))
