"""What pytest says of a run, kept as a record: which tests were chosen, how each ended, which did not run.

Lives where results arrive: in the process that runs the tests, or in the one that distributes them. However the run
ends, it writes the report, names what did not run, and sees to it that 0 means that the tests passed.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hil.errors import BadConfiguration, ExitCode, PumpbenchError, in_one_line
from hil.report.directory import ReportDirectory, xml_safe
from hil.report.records import (
    ACCUSED,
    CLAIM,
    COLLECTED,
    CONSOLE_TITLE,
    DEVICE,
    EVIDENCE,
    FRAMES_TITLE,
    GAP,
    MANIFEST_NAME,
    MEASUREMENT,
    NOT_ASKED,
    RANK,
    STOP,
    UNRECORDED,
    Accused,
    CaseRecord,
    RunRecord,
    Verdict,
)
from hil.report.requirements import read_requirements
from hil.report.summary import why_nothing_was_shown
from hil.run.endings import (
    EndedBySignal,
    Endings,
    as_the_system_sees,
    discard_stdout,
    drop_entries_without_a_line,
)
from hil.targets.supervisor import Gap

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

NARROWING_OPTIONS = {"--lf": "lf", "--ignore": "ignore", "--ignore-glob": "ignore_glob"}
NARROWING_SETTINGS = {"python_files", "python_classes", "python_functions", "norecursedirs", "testpaths"}
_HOLDS_KEYS = "holds the keys of its sessions; --no-secrets leaves them out"

NOTHING_BEGUN = "no test was begun, as pumpbench says why"
"""What pytest says, twice, of a run that ends before its tests: the reason itself stands in our last lines."""


class Recorder:
    """A pytest plugin for one run."""

    def __init__(self, config: pytest.Config, target: str, report: str | None) -> None:
        self.run = RunRecord(target, began_at_s=int(time.time()))
        self._config = config
        self._directory = ReportDirectory(Path(report)) if report else None
        self._endings = Endings(self._before_exit)
        self._stop_code: int | None = None
        self._has_terminal = True
        self._code = 0  # what the run ended with, once it has
        self._is_over = False
        self._session: pytest.Session | None = None
        self.unrecorded: Callable[[], str] = str
        """Tells what kept the recording of this process from being whole; "" where nothing did."""
        self.before_tests: Callable[[], None] = lambda: None
        """Looks at the bench before the first test; PumpbenchError where no test can be run on it."""
        self.keep_history: Callable[[RunRecord, Path | None], list[str]] = lambda _run, _report: []
        """Keeps the run in the history of its board, and returns what to say of that."""
        self._lines: list[str] = []
        # A test that several workers run at once is told of by each.
        self._duration_s: defaultdict[tuple[str, object], float] = defaultdict(float)
        self._worst: dict[tuple[str, object], CaseRecord] = {}
        self._subtests: defaultdict[tuple[str, object], list[CaseRecord]] = defaultdict(list)
        self._tries: defaultdict[tuple[str, object], list[CaseRecord]] = defaultdict(list)
        self._workers = 0
        self._pid = os.getpid()

    def begin(self, session: pytest.Session) -> None:
        """Take the directory of the report, and from here on be there for every ending."""
        self._session = session
        self.run.narrowed = ", ".join(_narrowing(self._config))
        if self._directory is not None:
            if self._config.getoption("--hil-keep"):
                self._directory.refuse_if_there()
            earlier = self._directory.earlier()
            self._directory.begin(self.run)
            if earlier:
                self._lines.append(f"replaced: {earlier}")
        self._endings.hold()

    # What is to run.

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that skips itself or is broken has tests that nobody knows; it is told of like a test."""
        if report.failed:
            self.run.uncollected.append(
                CaseRecord(report.nodeid or ".", Verdict.ERROR, 0.0, reason=_why_failed(report))
            )
        elif report.skipped:
            self.run.tests.append(
                CaseRecord(report.nodeid, Verdict.SKIPPED, 0.0, reason=_why_skipped(report))
            )

    def note_tests(self, told: Mapping[str, Any], names: Sequence[str]) -> None:
        """The tests of this process, and what is told of them and of those that are left out."""
        self._note_collection(told)
        self._choose(names)

    def _note_collection(self, told: Mapping[str, Any]) -> None:
        self.run.deselected, self.run.left_out = told["deselected"], told["left_out"]
        self.run.claims = {name: tuple(claims) for name, claims in told["claims"].items()}
        self.run.claims_not_chosen = {
            name: tuple(claims) for name, claims in told["claims_not_chosen"].items()
        }

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """What a worker tells of its collection: all have found the same."""
        output = getattr(node, "workeroutput", {})
        if COLLECTED in output:
            self._note_collection(output[COLLECTED])
        if UNRECORDED in output:
            self.note_unrecorded(output[UNRECORDED])

    def note_unrecorded(self, why: str) -> None:
        """Say at the end what kept the recording of the run from being whole."""
        self._lines.insert(0, why)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: Sequence[str]) -> None:
        """The tests of a worker; all workers have the same, which they share unless each is to run all of them."""
        self._workers += 1  # one that stands in for a crashed worker has the tests of that one
        each = self._config.getoption("dist") == "each"
        if self._workers <= (node.workerinput["workercount"] if each else 1):
            self._choose(ids)

    def _choose(self, names: Sequence[str]) -> None:
        self.run.chosen += names
        if self._directory is not None:
            try:
                self._directory.write(self.run)
            except PumpbenchError as error:
                pytest.exit(error.one_line(), returncode=int(error.exit_code))

    # What ran.

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Once it is known that there are tests, and none of them is wrong: see whether the bench is fit for them."""
        broken = session.testsfailed and not session.config.option.continue_on_collection_errors
        if broken or not session.items:
            return
        try:
            self.before_tests()
        except PumpbenchError as error:
            self.stop(error.one_line())
            pytest.exit(NOTHING_BEGUN, returncode=int(error.exit_code))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Note that a test was begun."""
        self.run.begun.add(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Setup, call and teardown of a test make one record: the worst of them. A try that is rerun makes none."""
        name = (report.nodeid, getattr(report, "node", None))
        is_subtest = hasattr(report, "context")  # told of within the call of its test, under the test's name
        if not is_subtest:
            self._duration_s[name] += report.duration
        for key, value in report.user_properties:
            if key == DEVICE and value != NOT_ASKED:
                self.run.identity = str(value)
            elif key == STOP and self._stop_code is None:
                code, _, self.run.stopped = str(value).partition(" ")
                self._stop_code = int(code)
            elif key == GAP:
                self.run.gaps.append((report.nodeid, Gap.of_words(str(value))))
        if report.outcome not in {
            "passed",
            "failed",
            "skipped",
        }:  # "rerun", of a plugin that runs tests again
            self._worst.pop(name, None)
            self._subtests.pop(name, None)
            self.run.reruns[report.nodeid] += 1
            attempt = _failure_of(report, report.duration)
            self._tries[name].append(attempt)
            self.run.attempts.setdefault(report.nodeid, []).append(attempt)
            return
        record = _record_of(report, self._duration_s[name])
        if is_subtest and record is not None:
            self._subtests[name].append(record)
            if record.verdict is not Verdict.FAILED:
                return
        known = self._worst.get(name)
        if record is not None and (known is None or RANK.index(record.verdict) > RANK.index(known.verdict)):
            self._worst[name] = record
        # A worker that crashed sends nothing: its test is reported without a phase, and has no teardown.
        if report.when not in {"setup", "call"} and name in self._worst:
            record = _with_subtests(self._worst.pop(name), self._subtests.pop(name, []))
            self.run.tests.append(_with_tries(record, self._tries.pop(name, [])))
            self.run.begun.discard(report.nodeid)
            del self._duration_s[name]

    # How it ended.

    @pytest.hookimpl(tryfirst=True)  # before the terminal shows it
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Ctrl-C, a signal, `pytest.exit`, and whatever else interrupts."""
        drop_entries_without_a_line(excinfo.tb)
        self.stop(str(excinfo.value) or "Ctrl-C")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_internalerror(
        self, excinfo: pytest.ExceptionInfo[BaseException]
    ) -> Generator[None, list[object], list[object]]:
        """Not a test but pytest or one of its plugins failed; it may be that nobody can read of it."""
        try:
            results = yield
            self._flush()
        except OSError as error:
            self.stop(f"pytest could not write its output ({error.strerror or error})")
            self._stop_code = int(ExitCode.ANSWER_NOT_WRITTEN)
            self._has_terminal = False
            discard_stdout()
            return [True]  # said by us
        self.stop(f"internal error: {excinfo.exconly().splitlines()[0]}")
        return results

    def stop(self, reason: str) -> None:
        """Note why the run ended before its end; the first reason counts."""
        self.run.stopped = self.run.stopped or reason

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Once everybody else has finished: the report, the exit code, the last lines on the terminal."""
        self._end_if_fork()
        self._check_directory()
        self._make_junit_writable()
        result = None
        try:
            result = yield
        except (KeyboardInterrupt, EndedBySignal):
            self.stop("interrupted while it ended")
            session.exitstatus = session.exitstatus or pytest.ExitCode.INTERRUPTED
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or error
            self._lines.append(f"pytest could not write its output or report ({why}); make room")
            self.stop(self._lines[-1])
            session.exitstatus = session.exitstatus or int(BadConfiguration.exit_code)
        finally:
            self.stop(str(session.shouldfail or session.shouldstop or ""))
            session.exitstatus = self._finish(as_the_system_sees(session.exitstatus))
        return result

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Also where the session never began. Nobody turns the exit code back into 0 after us."""
        self._end_if_fork()
        code = as_the_system_sees(self._session.exitstatus) if self._session is not None else 0
        if not self.run.ended:
            code = self._finish(code or int(pytest.ExitCode.INTERNAL_ERROR))
        self._code = self._ending_with(code or self._code)
        if self._session is not None:
            self._session.exitstatus = self._code
        self._is_over = True
        self._endings.release(self._code)
        if self._directory is not None:
            self._directory.close()

    def _before_exit(self, status: int) -> int:
        """Somebody calls os._exit: no session will finish. 0 is not theirs to say."""
        code = as_the_system_sees(status)
        if self._is_over:
            return code or self._code
        self.stop(f"a test ended the process with os._exit({status})")
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
            if not self.run.ended:
                self._write_pytests_report()
            return self._finish(code or int(pytest.ExitCode.INTERNAL_ERROR))

    def _end_if_fork(self) -> None:
        """A test forked, and the fork went on with the tests: it is not the run, which says how they ended."""
        if os.getpid() != self._pid:
            said = "pumpbench: a fork of this run went on with its tests: what it found is no part of the report\n"
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.write(said)
                sys.stderr.flush()
            os._exit(int(pytest.ExitCode.INTERNAL_ERROR))

    def _check_directory(self) -> None:
        """Keep pytest from writing its report where another run may have its own; `_finish` says so."""
        if self._directory is not None:
            try:
                self._directory.check()
            except PumpbenchError:
                for plugin in self._writers_of_junit():
                    plugin.logfile = os.devnull

    def _write_pytests_report(self) -> None:
        """Have pytest write its report, as at its end, where it does not come to it."""
        self._check_directory()
        self._make_junit_writable()
        for plugin in self._writers_of_junit():
            with contextlib.suppress(Exception):  # the summary matters more, and what is torn is removed
                plugin.pytest_sessionfinish()

    def _make_junit_writable(self) -> None:
        """Replace what pytest's report could not hold: names of files may have bytes that are no text."""
        for plugin in self._writers_of_junit():
            for case in getattr(plugin, "node_reporters_ordered", ()):
                # pytest keeps the element of a test that has ended, and the attributes of one that has not
                attributes = getattr(case, "attrs", None)
                if attributes is None:
                    attributes = case.to_xml().attrib
                attributes.update({name: xml_safe(str(value)) for name, value in attributes.items()})

    def _writers_of_junit(self) -> list[Any]:
        if self._directory is None:
            return []
        path = os.path.normpath(self._directory.junit_path)
        return [p for p in self._config.pluginmanager.get_plugins() if getattr(p, "logfile", None) == path]

    def _finish(self, code: int) -> int:
        """Write and say how the run ended, once; the exit code that is true of it."""
        if self.run.ended:
            return self._ending_with(code or self._code)
        self.run.ended = True
        missing = self.run.did_not_run()
        if self._config.getoption("setuponly", False):
            self.stop("--setup-only and --setup-plan run no test")
        lines = self._lines
        if self._stop_code is not None:
            code = self._stop_code
        if self.run.shows_nothing:
            lines.append(why_nothing_was_shown(self.run))
            code = code or int(pytest.ExitCode.NO_TESTS_COLLECTED)
        elif self.run.is_incomplete:
            code = code or int(pytest.ExitCode.INTERRUPTED)
        elif self.run.went_wrong:
            code = code or int(pytest.ExitCode.TESTS_FAILED)
        if missing:
            reason = f" ({in_one_line(self.run.stopped)})" if self.run.stopped else ""
            lines.append(f"incomplete: {len(missing)} of {len(self.run.chosen)} tests did not run{reason}")
        if self.run.uncollected:
            names = ", ".join(sorted(in_one_line(place.name) for place in self.run.uncollected))
            lines.append(f"incomplete: what could not be collected has tests that nobody knows: {names}")
        code = self._write_reports(code)
        lines += self.keep_history(self.run, None if self._directory is None else self._directory.path)
        if not self._say(lines):
            code = code or int(ExitCode.ANSWER_NOT_WRITTEN)
        self._code = self._ending_with(code)
        return self._code

    def _write_reports(self, code: int) -> int:
        """Write them all, and add to the last lines where they are; the exit code, of the first that failed."""
        self.run.exit_code = code
        if self._directory is None:
            return code
        errors = []
        for write in (self._directory.complete_junit, self._directory.write, self._write_evidence):
            try:
                write(self.run)
            except PumpbenchError as error:
                errors.append(error.one_line())
                self.run.exit_code = self.run.exit_code or int(error.exit_code)
        if not errors:
            errors += self._seal()
        where = f"report: {self._directory.path} ({', '.join(self._directory.files())})"
        self._lines += dict.fromkeys(errors) or [where]
        recordings = self._directory.recordings()
        if why := self.unrecorded():
            self.note_unrecorded(why)
        if recordings:
            kept = "holds no keys" if self._config.getoption("--hil-no-secrets") else _HOLDS_KEYS
            self._lines.insert(0, f"recorded: {', '.join(recordings)} ({kept})")
        return self.run.exit_code

    def _ending_with(self, code: int) -> int:
        """The exit code, once the report says the same: somebody may end a run otherwise after it was written."""
        if code != self.run.exit_code:
            self.run.exit_code = code
            if self._directory is not None:
                with contextlib.suppress(PumpbenchError):
                    was_whole = MANIFEST_NAME in self._directory.files()
                    self._write_evidence(self.run)
                    if was_whole:
                        self._seal()
        return code

    def _write_evidence(self, run: RunRecord) -> None:
        """The parts of the report that stand by requirement."""
        if self._directory is not None:
            requirements = read_requirements(self._config.getini("hil_requirements"))
            self._directory.write_evidence(run, requirements)

    def _seal(self) -> list[str]:
        """Write the manifest; what kept it from being written, which `report verify` says again."""
        try:
            if self._directory is not None:
                self._directory.seal()
        except PumpbenchError as error:
            self.run.exit_code = self.run.exit_code or int(error.exit_code)
            return [error.one_line()]
        return []

    def _flush(self) -> None:
        """OSError where what pytest wrote for its terminal has not arrived."""
        terminal: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:
            terminal.flush()

    def _say(self, lines: list[str]) -> bool:
        """Print the last lines on the terminal; on stderr where there is none. False where it took nothing."""
        text = "".join(f"pumpbench: {line}\n" for line in lines)
        terminal: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        arrived = self._has_terminal
        try:
            if terminal is not None and self._has_terminal:
                terminal.write(text)
                terminal.flush()
                return True
        except ValueError:
            pass  # a test has closed it
        except OSError:
            arrived = False
            discard_stdout()
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()
        return arrived


def _narrowing(config: pytest.Config) -> list[str]:
    """The options of this run by which tests are not even found."""
    settings = [str(setting) for setting in config.getoption("override_ini", None) or ()]
    return [
        *(option for option, name in NARROWING_OPTIONS.items() if config.getoption(name, None)),
        *(f"-o {each}" for each in settings if each.partition("=")[0].strip() in NARROWING_SETTINGS),
    ]


def _with_subtests(test: CaseRecord, subtests: Sequence[CaseRecord]) -> CaseRecord:
    """The record of a test that has subtests: one that passed although none of them did was not executed."""
    left_out = [each for each in subtests if each.verdict in {Verdict.SKIPPED, Verdict.XFAILED}]
    if test.verdict is not Verdict.PASSED or not left_out:
        return test
    if len(left_out) == len(subtests):
        return replace(test, verdict=left_out[0].verdict, reason=left_out[0].reason)
    reason = f"{len(left_out)} of {len(subtests)} subtests did not pass: {left_out[0].reason}"
    return replace(test, reason=reason)


def _why_skipped(report: pytest.TestReport | pytest.CollectReport) -> str:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    return str(reason).removeprefix("Skipped: ")


def _why_failed(report: pytest.TestReport | pytest.CollectReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return f"{crash.path}:{crash.lineno}: {crash.message}" if crash else report.longreprtext


def _record_of(report: pytest.TestReport, duration_s: float) -> CaseRecord | None:
    record = _verdict_of(report, duration_s)
    values = tuple(json.loads(str(text)) for name, text in report.user_properties if name == MEASUREMENT)
    return record and replace(record, measurements=values)


def _claims_of(report: pytest.TestReport) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(value) for name, value in report.user_properties if name == CLAIM))


def _failure_of(report: pytest.TestReport, duration_s: float) -> CaseRecord:
    """The record of what failed, also where it does not count since it was run again."""
    sections: Sequence[Any] = getattr(report.longrepr, "sections", ())
    said = {title: content for title, content, *_ in sections}
    told = dict(report.user_properties)  # of several, the last
    return CaseRecord(
        report.nodeid,
        Verdict.FAILED if report.when == "call" else Verdict.ERROR,
        duration_s,
        _claims_of(report),
        _why_failed(report),
        said.get(FRAMES_TITLE, ""),
        accused=str(told.get(ACCUSED, Accused.NOT_KNOWN.value)),
        evidence=str(told.get(EVIDENCE, "the process that ran it told none")),
        console=said.get(CONSOLE_TITLE, ""),
    )


def _with_tries(test: CaseRecord, tries: Sequence[CaseRecord]) -> CaseRecord:
    """The record of a test that was run again: one that passed then has not simply passed."""
    if not tries or test.verdict is not Verdict.PASSED:
        return test
    said = [f"try {number} failed, {each.accused}: {each.evidence}" for number, each in enumerate(tries, 1)]
    return replace(test, verdict=Verdict.RETRIED, reason="; ".join([*said, *filter(None, [test.reason])]))


def _verdict_of(report: pytest.TestReport, duration_s: float) -> CaseRecord | None:
    claims = _claims_of(report)
    if report.skipped:
        expected = getattr(report, "wasxfail", None)
        if expected is not None:
            return CaseRecord(report.nodeid, Verdict.XFAILED, duration_s, claims, str(expected))
        return CaseRecord(report.nodeid, Verdict.SKIPPED, duration_s, claims, _why_skipped(report))
    if report.failed:
        return _failure_of(report, duration_s)
    if report.when == "call":
        return CaseRecord(report.nodeid, Verdict.PASSED, duration_s, claims)
    return None
