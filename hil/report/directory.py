"""The directory of a report: held by one run, cleared at its start, and never with half a summary in it.

While a run is under way its summary says so; a run that is killed leaves that behind, and no older report.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from hil.errors import BadConfiguration
from hil.held_directory import OPEN_DIRECTORY, HeldDirectory
from hil.report.json_report import json_of
from hil.report.manifest import manifest_of, sha256_of
from hil.report.matrix import csv_of
from hil.report.page import page_of
from hil.report.records import (
    JSON_NAME,
    JUNIT_NAME,
    MANIFEST_NAME,
    MATRIX_NAME,
    NAMES,
    PAGE_NAME,
    RECORDING_PATTERN,
    SUMMARY_NAME,
    Verdict,
)
from hil.report.requirements import rows_of
from hil.report.summary import RUNNING, TITLE, summary_of

if TYPE_CHECKING:
    from pathlib import Path

    from hil.report.records import RunRecord
    from hil.report.requirements import Requirement


WRITTEN_AT_THE_END = NAMES[1:]
_NOT_XML = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")

HEAD_BYTES = 4096

_OPEN_OLD = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # nor wait for what a pipe may say


class ReportDirectory(HeldDirectory):
    """A directory for the report of one run."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        if os.path.expandvars(self.path) != str(self.path):
            raise BadConfiguration(
                f"the report cannot be written to {self.path}: pytest takes what begins with $ there for a variable, "
                "and would write its part elsewhere",
                advice="name another directory",
            )

    @property
    def junit_path(self) -> Path:
        """Where pytest writes its own report."""
        return self.path / JUNIT_NAME

    def earlier(self) -> str:
        """What lies here in the place of the report that will be written, in words; "" where nothing does."""
        try:
            descriptor = os.open(self.path, OPEN_DIRECTORY)
        except OSError:
            return ""
        try:
            there = _names_there(descriptor)
            if not there:
                return ""
            written_at_s = os.stat(there[0], dir_fd=descriptor, follow_symlinks=False).st_mtime
            when = datetime.fromtimestamp(written_at_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
            what = _result_of(descriptor) or f"no report of a run: {', '.join(there)}"
            return f"{self.path} of {when} ({what})"
        finally:
            os.close(descriptor)

    def refuse_if_there(self) -> None:
        """BadConfiguration where a report would be replaced."""
        earlier = self.earlier()
        if earlier:
            raise BadConfiguration(
                f"--keep (--hil-keep) keeps what is there: {earlier}", advice="name another directory"
            )

    def clear(self) -> None:
        """Remove the report of an earlier run, if it is one and no run holds it. Takes and makes nothing."""
        try:
            descriptor = os.open(self.path, OPEN_DIRECTORY)
        except OSError:
            return  # there is none, or `begin` will say what it is
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _has_our_summary(descriptor):
                self._remove_report(descriptor)
        except BlockingIOError:
            return
        finally:
            os.close(descriptor)

    def begin(self, run: RunRecord) -> None:
        """Take the directory for this run alone, and replace an older report by the news that a run has begun."""
        self.take()
        there = _names_there(self._descriptor)
        if there and not _has_our_summary(self._descriptor):
            raise BadConfiguration(
                f"the report cannot be written to {self.path}: what lies there is no report of ours: "
                f"{', '.join(there)}",
                advice="move it away, or name another directory",
            )
        self._remove_report(self._descriptor)  # first, since that needs no room
        self.write(run)
        for name in WRITTEN_AT_THE_END:
            self.replace(name, b"")
            self.remove(name)

    def write(self, run: RunRecord) -> None:
        """Replace the summary as a whole."""
        self.check()
        self.replace(SUMMARY_NAME, summary_of(run).encode("utf-8", "backslashreplace"))

    def write_evidence(self, run: RunRecord, requirements: dict[str, Requirement]) -> None:
        """Write what a run that has ended shows of its requirements: for programs, as a table, and as a page."""
        self.check()
        self.remove(MANIFEST_NAME)
        rows = rows_of(run, requirements)
        captures = {name: self._sha256(name) for name in self.recordings()}
        self.replace(JSON_NAME, json_of(run, rows, captures).encode("ascii"))
        self.replace(MATRIX_NAME, csv_of(rows).encode("utf-8", "backslashreplace"))
        self.replace(PAGE_NAME, page_of(run, rows, captures).encode("utf-8", "backslashreplace"))

    def seal(self) -> None:
        """Write the manifest: only of a report of which nothing is missing."""
        self.check()
        ours = [name for name in self.files() if name != MANIFEST_NAME] + self.recordings()
        beside = _all_names(self._descriptor) - {*ours, MANIFEST_NAME}
        hashes = {name: self._sha256(name) for name in ours}
        self.replace(MANIFEST_NAME, manifest_of(hashes, sorted(beside)).encode("ascii"))

    def complete_junit(self, run: RunRecord) -> None:
        """Name each test that did not run in pytest's report too, as an error: it knows nothing of them."""
        self.check()
        try:
            document = ET.parse(self.junit_path)  # noqa: S314 - pytest wrote it a moment ago
        except OSError:
            return  # pytest was told to write none
        except ET.ParseError:  # pytest found no room for all of it
            self.remove(JUNIT_NAME)
            return
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
            ET.SubElement(
                case, "error", {"message": xml_safe(f"did not run: {run.stopped or 'the run ended'}")}
            )
        _add_tries(suite, run)
        suite.set("errors", str(int(suite.get("errors", "0")) + len(names)))
        suite.set("tests", str(sum(1 for _ in suite.iter("testcase"))))
        try:
            self.replace(JUNIT_NAME, ET.tostring(document.getroot(), encoding="utf-8", xml_declaration=True))
        except BadConfiguration:
            self.remove(JUNIT_NAME)  # as it is, it says nothing of what did not run
            raise

    def files(self) -> list[str]:
        """Names of the files of the report that are there."""
        return [name for name in NAMES if (self.path / name).exists()]

    def recordings(self) -> list[str]:
        """Names of the recordings that lie beside the report."""
        return _recordings(self._descriptor)

    def _remove_report(self, descriptor: int) -> None:
        try:
            # the summary last: by it one knows whose they are
            for name in (*_recordings(descriptor), *reversed(NAMES)):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=descriptor)
        except OSError as error:
            raise BadConfiguration(
                f"the report cannot be written to {self.path}: what lies there is of an earlier run and cannot be"
                f" removed ({error.strerror})",
                advice="remove it, or name another directory",
            ) from error

    def _sha256(self, name: str) -> str:
        try:
            return sha256_of(name, self._descriptor)
        except OSError as error:
            raise BadConfiguration(
                f"{self.path / name} cannot be read for the manifest of the report ({error.strerror})",
                advice="leave the directory as it is meanwhile",
            ) from error


def why_no_manifest(path: Path) -> str:
    """What a directory without a manifest is, as a sentence: of a run that goes on, was killed, or of none."""
    try:
        descriptor = os.open(path, OPEN_DIRECTORY)
    except OSError as error:
        return f"{path} is no directory that can be read ({error.strerror})"
    try:
        if not _has_our_summary(descriptor):
            return (
                f"{path} is no report of a run: it has neither {MANIFEST_NAME} nor a {SUMMARY_NAME} of ours"
            )
        if not _result_of(descriptor).startswith(RUNNING):
            return (
                f"{path} is INCOMPLETE: its run has ended ({_result_of(descriptor)}) and could not write all of its "
                f"report, so it has no {MANIFEST_NAME}"
            )
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return f"{path} is INCOMPLETE: its run still goes on, and has written no {MANIFEST_NAME} yet"
    finally:
        os.close(descriptor)
    return f"{path} is INCOMPLETE: its run was killed before it could write its report, and has no {MANIFEST_NAME}"


def _names_there(descriptor: int) -> list[str]:
    """Names of a report's files that are there, whosever they are."""
    there = [name for name in NAMES if _is_there(name, descriptor)]
    return there + _recordings(descriptor)


def _recordings(descriptor: int) -> list[str]:
    """Names of recordings that are there, whosever they are."""
    return sorted(name for name in _all_names(descriptor) if re.fullmatch(RECORDING_PATTERN, name))


def _all_names(descriptor: int) -> set[str]:
    try:
        return set(os.listdir(descriptor))
    except OSError:
        return set()


def _is_there(name: str, descriptor: int) -> bool:
    try:
        os.stat(name, dir_fd=descriptor, follow_symlinks=False)
    except OSError:
        return False
    return True


def _head_of_summary(descriptor: int) -> str:
    """The beginning of a summary that is ours; "" where there is none."""
    try:
        summary = os.open(SUMMARY_NAME, _OPEN_OLD, dir_fd=descriptor)
        with os.fdopen(summary, "rb") as file:
            head = file.read(HEAD_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    return head if head.startswith(TITLE) else ""


def _has_our_summary(descriptor: int) -> bool:
    return bool(_head_of_summary(descriptor))


def _result_of(descriptor: int) -> str:
    """What the summary there says of its result; "" where it is none of ours."""
    for line in _head_of_summary(descriptor).splitlines():
        name, _, result = line.partition(" ")
        if name == "result":
            return "".join(c if c.isprintable() else "?" for c in result.strip())
    return ""


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


def _add_tries(suite: ET.Element, run: RunRecord) -> None:
    """Tell the failed tries of each test in its last case, as Surefire does: flaky where it passed in the end."""
    passed = {_in_junit(test.name) for test in run.tests if test.verdict is Verdict.RETRIED}
    cases = {(case.get("classname", ""), case.get("name", "")): case for case in suite.iter("testcase")}
    for name, tries in run.attempts.items():
        place = _in_junit(name)
        for each in tries if place in cases else ():
            tag = "flakyFailure" if place in passed else "rerunFailure"
            said = {"message": xml_safe(f"{each.accused}: {each.evidence}"), "type": each.accused}
            ET.SubElement(cases[place], tag, said).text = xml_safe(f"{each.reason}\n{each.frames}")


def xml_safe(text: str) -> str:
    """The text with a backslash and the code of each character that no XML file can hold."""
    return _NOT_XML.sub(lambda found: found[0].encode("unicode-escape").decode("ascii"), text)


def _in_junit(name: str) -> tuple[str, str]:
    """Class name and name that pytest gives a test in its own report."""
    path, bracket, parameters = xml_safe(name).partition("[")
    file, *rest = path.split("::")
    *classes, test = [file.removesuffix(".py").replace("/", "."), *rest]
    return ".".join(classes), test + bracket + parameters
