"""Reads the report of an earlier run: what it ran on, how each test ended, and where its recordings are."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hil.capture.recording_file import plain_text
from hil.errors import BadConfiguration
from hil.report.documents import REPORT_SCHEMA
from hil.report.records import JSON_NAME, RECORDING_PATTERN

if TYPE_CHECKING:
    from pathlib import Path

BYTES_MAX: Final = 64 * 1024 * 1024
"""A whole suite takes 1 MiB; a file that is named by mistake must not hang us."""


class ReadTest(NamedTuple):
    """One test of a report."""

    outcome: str
    """A `Verdict`, or `did not run`."""
    reason: str
    duration_s: float


class ReadReport(NamedTuple):
    """One report. None stands for what it does not say."""

    directory: Path
    target: str
    device: str
    profile: str | None
    seed: int | None
    version: str
    """Of pumpbench."""
    is_complete: bool
    """Whether every test that was chosen has run."""
    result: str
    """Its counts in one line."""
    tests: dict[str, ReadTest]
    recordings: tuple[Path, ...]

    @property
    def stays(self) -> bool:
        """Whether its device was there already, and not made for each test."""
        return self.seed is None


def read_report(directory: Path) -> ReadReport:
    """The report in a directory. BadConfiguration where there is none, or it is of another version, or damaged."""
    path = directory / JSON_NAME
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise BadConfiguration(
            f"{directory} is no whole report: {JSON_NAME} cannot be read ({error.strerror})",
            advice="name the directory of a run that has ended",
        ) from error
    try:
        document = json.loads(content[:BYTES_MAX])
        schema = document["schema"]
        if schema != REPORT_SCHEMA:
            raise BadConfiguration(
                f"{path} is a {schema.get('name')} of version {schema.get('version')}, and a {REPORT_SCHEMA['name']} "
                f"of version {REPORT_SCHEMA['version']} is expected",
                advice="read it with the pumpbench that wrote it",
            )
        return _report(directory, document)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadConfiguration(
            f"{path} is damaged ({type(error).__name__}: {error})", advice="run the tests again"
        ) from error


def _report(directory: Path, document: dict[str, Any]) -> ReadReport:
    tests: dict[str, ReadTest] = {}
    for row in document["tests"]:
        test = ReadTest(str(row["outcome"]), str(row["reason"]), float(row["duration_s"]))
        name = plain_text(row["name"])  # as recordings have it
        known = tests.get(name)
        if known is None or known.outcome == "passed":  # of one that ran several times, what is not a pass
            tests[name] = test
    return ReadReport(
        directory,
        str(document["target"]["address"]),
        str(document["target"]["device"]),
        document["profile"],
        document["seed"],
        str(document["versions"]["pumpbench"]),
        bool(document["run"]["complete"]),
        str(document["run"]["result"]),
        tests,
        recordings_in(directory),
    )


def recordings_in(directory: Path) -> tuple[Path, ...]:
    """The recordings beside a report, those of each worker in order."""
    found = (each for each in directory.iterdir() if re.fullmatch(RECORDING_PATTERN, each.name))
    return tuple(sorted(found, key=_in_order))


def _in_order(recording: Path) -> tuple[str, int]:
    """A recording by its worker, and by its number among the files of that one."""
    stem, _, number = recording.stem.partition(".")
    return stem, int(number or "1")
