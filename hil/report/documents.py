"""What `report.json` and `manifest.json` hold: their JSON Schemas, which are installed beside this, are made from here.

New members may come within a version; one that goes or means something else makes another.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypedDict

from hil.measurement import MeasuredVerdict  # noqa: TC001 - the schema is made from it
from hil.report.records import Verdict  # noqa: TC001 - likewise
from hil.report.requirements import Shown  # noqa: TC001 - likewise

DidNotRun = Literal["did not run"]


class SchemaPart(TypedDict):
    """Which document this is."""

    name: Annotated[str, "name of the schema"]
    version: Annotated[int, "version of the schema"]


class RunPart(TypedDict):
    """The run, and how it ended."""

    began_at: Annotated[str, "when it began, ISO 8601 in UTC"]
    ended: Annotated[bool, "whether it has ended"]
    complete: Annotated[bool, "whether each chosen test has a verdict, and one at least passed or failed"]
    result: Annotated[str, "counts in one line"]
    exit_code: Annotated[int | None, "exit code of the process"]
    stopped: Annotated[str, "why it ended before its end; empty where it did not"]
    chosen: Annotated[int, "tests that were to run"]
    deselected: Annotated[int, "tests that were found and left out"]
    left_out: Annotated[int, "tests that a hook took away without saying so"]
    narrowed: Annotated[str | None, "options by which tests are not even found"]
    reruns: Annotated[int, "tries that do not count"]
    accused: Annotated[dict[str, int], "failures by whose they are"]


class TargetPart(TypedDict):
    """What the tests ran on."""

    address: Annotated[str, "address of the target"]
    device: Annotated[str, "what the device says of itself"]
    board: Annotated[str | None, "which board it is, under whatever name; null where it is none"]


class FirmwarePart(TypedDict):
    """The firmware file that the bench file names."""

    file: Annotated[str, "as the bench file names it"]
    sha256: Annotated[str, "SHA-256 of its content, in hex"]
    flashed: Annotated[bool, "whether this run has flashed it; else nobody has compared it with the board"]


class MeasurementPart(TypedDict):
    """A value of a test, or a series of them. A number that JSON does not know is its name."""

    name: Annotated[str, "what was measured"]
    unit: Annotated[str, "its unit"]
    verdict: Annotated[MeasuredVerdict, "what its limits made of it"]
    value: Annotated[int | float | str | None, "the value; null of a series"]
    lowest: Annotated[int | float | None, "lowest value that is right; null where there is none"]
    highest: Annotated[int | float | None, "highest value that is right; null where there is none"]
    marginal_lowest: Annotated[int | float | None, "below it a value is marginal; null where none is"]
    marginal_highest: Annotated[int | float | None, "above it a value is marginal; null where none is"]
    against: Annotated[str | None, "what a series runs against, its unit last; null of a single value"]
    series: Annotated[list[list[int | float | str | None]], "pairs of what it runs against, and the value"]


class TryPart(TypedDict):
    """One try of a test."""

    name: Annotated[str, "its name, as pytest has it"]
    outcome: Annotated[Verdict | DidNotRun, "how it ended"]
    duration_s: Annotated[int | float, "how long it took"]
    requirements: Annotated[list[str], "the requirements that it claims to verify"]
    accused: Annotated[str | None, "whose fault its failure is, by its evidence"]
    evidence: Annotated[str | None, "by what it is said to be so"]
    reason: Annotated[str, "why it was skipped, or failed"]
    frames: Annotated[str, "of a failure: the last frames of its conversation, decoded"]
    console: Annotated[str, "of a failure: the last lines of the board's console"]
    measurements: Annotated[list[MeasurementPart], "what it measured, in order"]


class CasePart(TryPart):
    """One test: its last try, and those before."""

    attempts: Annotated[list[TryPart], "its failed tries before the last, in order"]


class GapPart(TypedDict):
    """A loss of the line from which it came back."""

    test: Annotated[str, "name of the test"]
    expected: Annotated[bool, "whether the test said that the line would go away"]
    lasted_ms: Annotated[int, "how long it lasted"]


class RequirementPart(TypedDict):
    """One requirement, and what the run shows of it."""

    id: Annotated[str, "its name"]
    sentence: Annotated[str, "what it says"]
    source: Annotated[str, "where it comes from"]
    verified_by: Annotated[str, "test, analysis or review"]
    evidence: Annotated[str, "where it is argued, if not by tests"]
    shown: Annotated[Shown, "what the run shows of it"]
    tests: Annotated[list[str], "the tests that claim it, also those that did not run"]
    not_chosen: Annotated[list[str], "those that claim it and were found, and not chosen for this run"]


class UncollectedPart(TypedDict):
    """What may hold tests and could not be read."""

    name: Annotated[str, "its name"]
    reason: Annotated[str, "why"]


class ReportDocument(TypedDict):
    """A run of tests: what ran on what, how each test ended, and what that shows of each requirement."""

    schema: Annotated[SchemaPart, "which document this is"]
    run: Annotated[RunPart, "the run, and how it ended"]
    target: Annotated[TargetPart, "what the tests ran on"]
    firmware: Annotated[FirmwarePart | None, "the firmware file; null where nobody named one"]
    versions: Annotated[dict[str, str], "versions of pumpbench, pytest and python"]
    seed: Annotated[int | None, "seed of the pumps; null where none was made"]
    profile: Annotated[
        str | None, "profile of the pumps that were made, or of the board; null where nobody has said"
    ]
    recordings: Annotated[dict[str, str], "SHA-256 of each recording, by its name"]
    tests: Annotated[list[CasePart], "a test each, also those that did not run"]
    requirements: Annotated[list[RequirementPart], "a requirement each, also those that no test claims"]
    gaps: Annotated[list[GapPart], "losses of the line that healed"]
    uncollected: Annotated[list[UncollectedPart], "what could not be collected"]


class ManifestDocument(TypedDict):
    """The files of a report."""

    schema: Annotated[SchemaPart, "which document this is"]
    files: Annotated[dict[str, str], "SHA-256 of each file, by its name"]
    beside: Annotated[list[str], "what lay there and is no part of the report"]


REPORT_SCHEMA: Final[SchemaPart] = {"name": "pumpbench-report", "version": 1}
MANIFEST_SCHEMA: Final[SchemaPart] = {"name": "pumpbench-manifest", "version": 1}
FILE_DOCUMENTS: Final = (
    ("report.schema.json", REPORT_SCHEMA, ReportDocument),
    ("manifest.schema.json", MANIFEST_SCHEMA, ManifestDocument),
)
"""The files of schemas, beside this module: what each is called, and which class describes its document."""
