"""The directory of a report: held by one run, cleared at its start, and never with half a summary in it.

While a run is under way its summary says so; a run that is killed leaves that behind, and no older report.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections import defaultdict
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from hil.errors import BadConfiguration, InUse
from hil.report.records import JUNIT_NAME, SUMMARY_NAME
from hil.report.summary import summary_of

if TYPE_CHECKING:
    from pathlib import Path

    from hil.report.records import RunRecord


class ReportDirectory:
    """A directory for the report of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._descriptor = -1

    @property
    def junit_path(self) -> Path:
        """Where pytest writes its own report."""
        return self.path / JUNIT_NAME

    def begin(self, run: RunRecord) -> None:
        """Take the directory for this run alone, and replace an older report by the news that a run has begun."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InUse(
                f"another run is writing its report to {self.path}",
                advice="wait for it to end, or name another directory",
            ) from error
        self.write(run)
        try:
            self.junit_path.unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def write(self, run: RunRecord) -> None:
        """Replace the summary as a whole."""
        self._replace(SUMMARY_NAME, summary_of(run).encode("utf-8", "backslashreplace"))

    def complete_junit(self, run: RunRecord) -> None:
        """Name each test that did not run in pytest's report too, as an error: it knows nothing of them."""
        try:
            document = ET.parse(self.junit_path)  # noqa: S314 - pytest wrote it a moment ago
        except (OSError, ET.ParseError):
            return  # pytest was told to write none, or could not
        suite = document.getroot().find("testsuite")
        names = run.did_not_run()
        if suite is None or not (names or run.reruns):
            return
        for unnamed in [case for case in suite.iter("testcase") if case.get("name") is None]:
            suite.remove(unnamed)  # what pytest leaves of a test that was interrupted
        left = _cases_without_a_verdict(suite, run)
        for class_name, test in map(_in_junit, names):
            case = left.pop((class_name, test), None)
            if case is None:
                case = ET.SubElement(suite, "testcase", {"classname": class_name, "name": test, "time": "0"})
            ET.SubElement(case, "error", {"message": f"did not run: {run.stopped or 'the run ended'}"})
        suite.set("errors", str(int(suite.get("errors", "0")) + len(names)))
        suite.set("tests", str(sum(1 for _ in suite.iter("testcase"))))
        self._replace(JUNIT_NAME, ET.tostring(document.getroot(), encoding="utf-8", xml_declaration=True))

    def files(self) -> list[str]:
        """Names of the files of the report that are there."""
        return [name for name in (SUMMARY_NAME, JUNIT_NAME) if (self.path / name).exists()]

    def close(self) -> None:
        """Let others have the directory."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _replace(self, name: str, content: bytes) -> None:
        beside = self.path / f"{name}.new"
        try:
            self.path.mkdir(parents=True, exist_ok=True)  # somebody may have removed it in mid-run
            beside.write_bytes(content)
            beside.replace(self.path / name)
        except OSError as error:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> BadConfiguration:
        return BadConfiguration(
            f"the report cannot be written to {self.path} ({error.strerror})",
            advice="make room, or name another directory",
        )


def _cases_without_a_verdict(suite: ET.Element, run: RunRecord) -> dict[tuple[str, str], ET.Element]:
    """What pytest leaves of tests that were begun, and would look as if they had passed; tries are taken out."""
    cases = defaultdict(list)
    for case in suite.iter("testcase"):
        cases[case.get("classname", ""), case.get("name", "")].append(case)
    for test in run.tests:
        if ended := cases.get(_in_junit(test.name)):
            ended.pop()  # those that are left over of a test that was run again are its first tries
    for name, tries in run.reruns.items():
        place = _in_junit(name)
        for case in cases[place][:tries]:
            suite.remove(case)
        del cases[place][:tries]
    return {place: of_one[-1] for place, of_one in cases.items() if of_one}


def _in_junit(name: str) -> tuple[str, str]:
    """Class name and name that pytest gives a test in its own report."""
    path, bracket, parameters = name.partition("[")
    file, *rest = path.split("::")
    *classes, test = [file.removesuffix(".py").replace("/", "."), *rest]
    return ".".join(classes), test + bracket + parameters
