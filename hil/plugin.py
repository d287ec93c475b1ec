"""The pytest plugin: fixtures for a pump on a bench, marks for needs and claims, frames of what failed.

Inert unless a target option or one of its fixtures is used: until then it has registered options and marks,
nothing else. The only module of `hil` outside the suite that knows pytest.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from hil.capabilities import TargetCapability, parse_needs
from hil.errors import BenchLost, ExitCode, LinkError, Misuse, PumpbenchError, Taken
from hil.report.records import CaseRecord, RunRecord, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
    from pathlib import Path

    from hil.bench_session import BenchSession, TestBench
    from hil.channel import Channel
    from hil.noise import FaultyLine
    from hil.programmer import Programmer
    from hil.rig import Rig
    from hil.targets.target import Target
    from protocol.identifiers import Role

    Test = TypeVar("Test", bound=Callable[..., object])

pytest.register_assert_rewrite("hil.suite")

FRAMES_TITLE = "last frames on the wire"
REPORT_NAME = "summary.txt"
JUNIT_NAME = "junit.xml"
_SESSION = pytest.StashKey["BenchSession"]()
_BENCH = pytest.StashKey["TestBench"]()
_PASSED = pytest.StashKey[bool]()


# Marks: what a test is written with.


def verifies(*requirement_ids: str) -> Callable[[Test], Test]:
    """Claim that a test verifies these requirements."""

    def mark(test: Test) -> Test:
        pytest.mark.verifies(*requirement_ids)(test)
        return test

    return mark


def needs(*capability_names: str) -> Callable[[Test], Test]:
    """Say what a test needs of its target; where the target cannot, the test is skipped with that reason."""
    parse_needs(capability_names)

    def mark(test: Test) -> Test:
        pytest.mark.needs(*capability_names)(test)
        return test

    return mark


def starts_as(
    profile: str = "implanted",
    *,
    model: Mapping[str, int | str | bool] | None = None,
    implant: Mapping[str, int | str | bool] | None = None,
) -> Callable[[Test], Test]:
    """Say which pump a test starts with: a profile, and what of its model or implant differs. Needs `reset`."""

    def mark(test: Test) -> Test:
        pytest.mark.starts_as(profile, model=model or {}, implant=implant or {})(test)
        return test

    return mark


# Options, and waking up.


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options stand in the entry-point plugin, or `--pyargs` could not see them."""
    group = parser.getgroup("pumpbench", "pumpbench: a pump on a bench")
    group.addoption("--hil-target", metavar="ADDRESS", help="the pump to test: emulator, pty:PATH, ...")
    group.addoption("--hil-profile", metavar="NAME", help="profile of an emulated pump (default: implanted)")
    group.addoption("--hil-seed", metavar="N", type=int, help="seed of an emulated pump")
    group.addoption("--hil-report", metavar="DIR", help=f"write {REPORT_NAME} and {JUNIT_NAME} there")
    parser.addini("hil_target", "the pump to test, unless the option or PUMPBENCH_TARGET names another")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks; wake up if a target was named on the command line."""
    config.addinivalue_line("markers", "verifies(*ids): claims requirements")
    config.addinivalue_line("markers", "needs(*capabilities): skipped where the target cannot")
    config.addinivalue_line(
        "markers", "starts_as(profile, model, implant): which pump an emulator target makes"
    )
    report = config.getoption("--hil-report")
    if report and not getattr(config.option, "xmlpath", None):
        config.option.xmlpath = os.path.join(report, JUNIT_NAME)  # noqa: PTH118 - pytest wants a string
    if config.getoption("--hil-target") or report:
        try:
            _session_of(config).reach()
        except PumpbenchError as error:
            pytest.exit(error.one_line(), returncode=int(error.exit_code))


def _session_of(config: pytest.Config) -> BenchSession:
    """The bench of this run, made when it is first wanted."""
    if _SESSION not in config.stash:
        from hil.bench_session import BenchSession  # noqa: PLC0415 - nothing of it unless it is wanted

        config.stash[_SESSION] = BenchSession.from_options(
            target=config.getoption("--hil-target"),
            ini_target=str(config.getini("hil_target") or ""),
            profile=config.getoption("--hil-profile"),
            seed=config.getoption("--hil-seed"),
        )
    return config.stash[_SESSION]


# Fixtures.


@pytest.fixture
def test_bench(request: pytest.FixtureRequest) -> Iterator[TestBench]:
    """The bench of one test: its target, started, and everything that was opened on it."""
    session = _session_of(request.config)
    item = request.node
    wanted = [name for mark in item.iter_markers("needs") for name in mark.args]
    changes = next(item.iter_markers("starts_as"), None)
    lacking = session.lacking(parse_needs(tuple(wanted)), changed=changes is not None)
    if lacking:
        pytest.skip(f"{session.address} cannot: {', '.join(lacking)}")
    profile = str(changes.args[0]) if changes else None
    bench = session.open_bench(item.nodeid, profile, **(changes.kwargs if changes else {}))
    item.stash[_BENCH] = bench
    try:
        yield bench
    finally:
        bench.close()


@pytest.fixture
def target(test_bench: TestBench) -> Target:
    """The target: a new pump for each test where that is possible, the one and only where it is not."""
    return test_bench.target


@pytest.fixture
def rig(target: Target) -> Rig:
    """The bench's hands: time, power, syringe, faults, truth. Skips where the target has none."""
    try:
        return target.rig
    except Misuse as error:
        pytest.skip(str(error))


@pytest.fixture
def channel(test_bench: TestBench) -> Channel:
    """The raw line to the pump, without faults between."""
    return test_bench.channel


@pytest.fixture
def line(test_bench: TestBench, request: pytest.FixtureRequest) -> Iterator[FaultyLine]:
    """The line with faults that a test may set; a passed test whose faults did not all fire is an error."""
    yield test_bench.line
    if request.node.stash.get(_PASSED, False):
        test_bench.line.check_all_fired()


@pytest.fixture
def open_programmer(test_bench: TestBench) -> Callable[..., Programmer]:
    """Make programmers: `open_programmer(role=..., key=..., store=..., connect=...)`, all on the test's line."""
    return test_bench.open_programmer


@pytest.fixture
def pump(test_bench: TestBench) -> Programmer:
    """A clinician's programmer with its session open."""
    return test_bench.open_programmer()


@pytest.fixture
def pump_as(test_bench: TestBench) -> Callable[[Role], Programmer]:
    """Open a session as another role: `pump_as(Role.PATIENT)`."""

    def open_as(role: Role) -> Programmer:
        return test_bench.open_programmer(role)

    return open_as


# Reports.


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note whether the test passed, add the last frames to a failure, and stop the run if the bench is lost."""
    report = yield
    if report.when == "call":
        item.stash[_PASSED] = report.passed
    bench = item.stash.get(_BENCH, None)
    if bench is not None:
        _add_properties(item, report, bench)
        if report.failed:
            text = bench.last_frames()
            add_section = getattr(report.longrepr, "addsection", None)
            if text and add_section:
                add_section(FRAMES_TITLE, text)
    if _SESSION in item.config.stash and call.excinfo is not None:
        _stop_if_bench_is_lost(item, call.when, call.excinfo.value)
    return report


def _add_properties(item: pytest.Item, report: pytest.TestReport, bench: TestBench) -> None:
    """Claims and target go into the report (record_property would warn under xunit2)."""
    if report.when != "setup":
        return
    properties = [("target", bench.target.address)]
    properties += [("verifies", str(name)) for mark in item.iter_markers("verifies") for name in mark.args]
    item.user_properties.extend(properties)
    report.user_properties.extend(properties)


def _stop_if_bench_is_lost(item: pytest.Item, when: str, error: BaseException) -> None:
    """A lost bench is one fault of the bench, not hundreds of failed tests."""
    session = item.config.stash[_SESSION]
    lost = isinstance(error, BenchLost | Taken)
    if when == "setup":
        # Where nobody can make another pump, one that does not answer will not answer the next test either.
        dumb = isinstance(error, LinkError) and TargetCapability.RESET not in session.capabilities
        lost = isinstance(error, PumpbenchError) and (
            lost or dumb or error.exit_code is ExitCode.BAD_CONFIGURATION
        )
    if lost and isinstance(error, PumpbenchError) and session.stop_code is None:
        session.stop_code = int(error.exit_code)
        session.run.stopped = error.one_line()
        item.session.shouldstop = error.one_line()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Record tests only in a run that asked for a report."""
    directory = session.config.getoption("--hil-report")
    if directory and not session.config.option.collectonly:
        recorder = _Recorder(_session_of(session.config).run)
        session.config.pluginmanager.register(recorder, "pumpbench-recorder")


class _Recorder:
    """Turns pytest's reports into records, one a test."""

    def __init__(self, run: RunRecord) -> None:
        self._run = run
        self._duration_s: dict[str, float] = {}
        self._worst: dict[str, CaseRecord] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Setup, call and teardown of a test make one record: the worst of them."""
        name = report.nodeid
        self._duration_s[name] = self._duration_s.get(name, 0.0) + report.duration
        record = _record_of(report, self._duration_s[name])
        known = self._worst.get(name)
        if record is not None and (known is None or known.verdict is Verdict.PASSED):
            self._worst[name] = record
        if report.when == "teardown" and name in self._worst:
            self._run.tests.append(self._worst.pop(name))


def _record_of(report: pytest.TestReport, duration_s: float) -> CaseRecord | None:
    claims = tuple(str(value) for name, value in report.user_properties if name == "verifies")
    if report.skipped:
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
        return CaseRecord(
            report.nodeid, Verdict.SKIPPED, duration_s, claims, reason.removeprefix("Skipped: ")
        )
    if report.failed:
        verdict = Verdict.FAILED if report.when == "call" else Verdict.ERROR
        sections: Sequence[Any] = getattr(report.longrepr, "sections", ())
        frames = next((content for title, content, *_ in sections if title == FRAMES_TITLE), "")
        crash = getattr(report.longrepr, "reprcrash", None)
        reason = f"{crash.path}:{crash.lineno}: {crash.message}" if crash else report.longreprtext
        return CaseRecord(report.nodeid, verdict, duration_s, claims, reason, frames)
    if report.when == "call":
        return CaseRecord(report.nodeid, Verdict.PASSED, duration_s, claims)
    return None


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Close the bench, write the report, and end with the bench's exit code if it was lost."""
    bench = session.config.stash.get(_SESSION, None)
    if bench is None:
        return
    bench.close()
    directory = session.config.getoption("--hil-report")
    if directory:
        _write_summary(directory, bench.run)
    if bench.stop_code is not None:
        session.exitstatus = bench.stop_code


def _write_summary(directory: str, run: RunRecord) -> Path:
    from pathlib import Path  # noqa: PLC0415

    from hil.report.summary import summary_of  # noqa: PLC0415

    place = Path(directory)
    place.mkdir(parents=True, exist_ok=True)
    path = place / REPORT_NAME
    path.write_text(summary_of(run), "utf-8")
    return path


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what ran on what, and where the report lies."""
    bench = config.stash.get(_SESSION, None)
    if bench is None:
        return
    terminalreporter.write_sep("-", "pumpbench")
    terminalreporter.write_line(f"target {bench.address}: {bench.run.identity}")
    directory = config.getoption("--hil-report")
    if directory:
        terminalreporter.write_line(f"report: {os.path.abspath(directory)} ({REPORT_NAME}, {JUNIT_NAME})")  # noqa: PTH100
    if bench.run.stopped:
        terminalreporter.write_line(f"stopped early: {bench.run.stopped}")
