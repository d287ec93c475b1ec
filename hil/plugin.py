"""The pytest plugin: fixtures for a pump on a bench, marks for needs and claims, frames of what failed.

Inert unless a target option or one of its fixtures is used: until then it has registered options and marks,
nothing else. Outside the suite, this module and nine of `hil.run` alone know pytest.
"""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from hil.capabilities import TargetCapability, parse_needs
from hil.errors import (
    AnswerNotWritten,
    BadConfiguration,
    PumpbenchError,
    UsageError,
)
from hil.report.places import check_place
from hil.report.records import (
    CANNOT,
    COLLECTED,
    JUNIT_NAME,
    UNRECORDED,
    Verdict,
)
from hil.run.option_values import retries_option, whole_number_option

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    from hil.bench_of_test import TestBench
    from hil.bench_session import BenchSession
    from hil.channel import Channel
    from hil.noise import FaultyLine
    from hil.programmer.programmer import Programmer
    from hil.rig import Rig
    from hil.run.recorder import Recorder
    from hil.targets.target import Target
    from protocol.identifiers import Role

pytest.register_assert_rewrite("hil.suite")

_LOOKING = ("collectonly", "showfixtures", "show_fixtures_per_test", "cacheshow")
_RECORDER = pytest.StashKey["Recorder"]()
SESSION = pytest.StashKey["BenchSession"]()
BENCH = pytest.StashKey["TestBench"]()
_WRITTEN = {"--junitxml": "xmlpath", "--log-file": "log_file"}
_DESELECTED = pytest.StashKey[list[pytest.Item]]()
_FOUND = pytest.StashKey[list[pytest.Item]]()
_REQUIREMENTS = pytest.StashKey[frozenset[str]]()
OUR_MARKS = frozenset({"verifies", "needs", "starts_as", "without_effect"})
RECORDER_NAME = "pumpbench-recorder"
PASSED = pytest.StashKey[bool]()


# Marks: what a test is written with.


def verifies(*requirement_ids: str) -> pytest.MarkDecorator:
    """Claim that a test verifies these requirements."""
    return pytest.mark.verifies(*requirement_ids)


def needs(*capability_names: str) -> pytest.MarkDecorator:
    """Say what a test needs of its target; where the target cannot, the test is skipped with that reason."""
    return pytest.mark.needs(*capability_names)


def starts_as(
    profile: str = "implanted",
    *,
    model: Mapping[str, int | str | bool] | None = None,
    implant: Mapping[str, int | str | bool] | None = None,
) -> pytest.MarkDecorator:
    """Say which pump a test starts with: a profile, and what of its model or implant differs. Needs `reset`."""
    return pytest.mark.starts_as(profile, model=model or {}, implant=implant or {})


def without_effect(*faults: str) -> pytest.MarkDecorator:
    """Say of which faults that a test injects with the rig it shows that they take no effect."""
    return pytest.mark.without_effect(*faults)


# Options, and the start of a run.


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options stand in the entry-point plugin, or `--pyargs` could not see them."""
    group = parser.getgroup("pumpbench", "pumpbench: a pump on a bench")
    group.addoption("--hil-target", metavar="ADDRESS", help="the pump to test: emulator, pty:PATH, ...")
    group.addoption("--hil-profile", metavar="NAME", help="profile of an emulated pump (default: implanted)")
    group.addoption("--hil-seed", metavar="N", type=whole_number_option, help="seed of an emulated pump")
    group.addoption(
        "--hil-report",
        metavar="DIR",
        help="write the report there: summary, page, matrix, JUnit, JSON, manifest",
    )
    group.addoption(
        "--hil-baud", metavar="N", type=whole_number_option, help="speed of a device path (default: 115200)"
    )
    group.addoption(
        "--hil-retries",
        metavar="N",
        type=retries_option,
        default=0,
        help="how often a test is run again that failed by link or bench (default: 0, at most 5)",
    )
    group.addoption("--hil-keep", action="store_true", help="refuse to replace a report that is there")
    group.addoption("--hil-no-record", action="store_true", help="keep no recording beside the report")
    group.addoption("--hil-no-secrets", action="store_true", help="keep no key of a session in the recording")
    group.addoption("--hil-history", help="runs that are kept of a board: boards (default), all, none")
    group.addoption(
        "--hil-list", choices=("text", "json"), help="list tests, requirements and needs; run none"
    )
    parser.addini("hil_target", "the pump to test, unless the option or PUMPBENCH_TARGET names another")
    parser.addini("hil_history", "which runs are kept in the history: boards (default), all, none")
    parser.addini("hil_line_back_within_s", "seconds to wait for a line that was lost (default: 30)")
    parser.addini(
        "hil_requirements",
        "TOML files with a table for each requirement of your own",
        type="paths",
        default=[],
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register the marks, have pytest write its report beside ours, and try what pytest will write elsewhere."""
    if config.getoption("--hil-list"):
        config.option.collectonly = True
    if _is_asked(config) and _is_a_run(config):
        try:
            for option, name in _WRITTEN.items():
                check_place(option, getattr(config.option, name, None), config.getoption("--hil-report"))
        except BadConfiguration as sentence:
            pytest.exit(sentence.one_line(), returncode=int(sentence.exit_code))
    for part in ("golden_files", "measuring", "lacking_parts", "reporting", "retrying", "failure_snapshots"):
        config.pluginmanager.import_plugin(f"hil.run.{part}")
    config.addinivalue_line("markers", "verifies(*ids): claims requirements")
    config.addinivalue_line("markers", "needs(*capabilities): skipped where the target cannot")
    config.addinivalue_line("markers", "without_effect(*faults): injected to show that they take none")
    config.addinivalue_line(
        "markers", "starts_as(profile, model, implant): which pump an emulator target makes"
    )
    report = config.getoption("--hil-report")
    if report and _is_a_run(config) and not getattr(config.option, "xmlpath", None):
        config.option.xmlpath = os.path.abspath(os.path.join(report, JUNIT_NAME))  # noqa: PTH100, PTH118 - a string


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Begin a run if a target or a report was named on the command line."""
    config = session.config
    target, report = config.getoption("--hil-target"), config.getoption("--hil-report")
    if not _is_asked(config):
        return
    try:
        if target == "":
            raise BadConfiguration(
                "--hil-target (--target) names no device", advice="name one, or leave it out"
            )
        if _is_a_run(config):
            for option, name in (("-k", "keyword"), ("-m", "markexpr")):
                expression = str(config.getoption(name, ""))
                if expression and not expression.strip():  # pytest would run all tests
                    raise BadConfiguration(
                        f"{option} names no tests", advice="give an expression, or leave it out"
                    )
            if report == "":
                raise BadConfiguration("--hil-report names no directory", advice="name one, or leave it out")
            from hil.installation import check_that_asserts_are_checked  # noqa: PLC0415 - as below
            from hil.run import recorder as recorders  # noqa: PLC0415 - nothing of it unless it is wanted

            check_that_asserts_are_checked()
            recorder: Recorder = recorders.Recorder(config, target or "not known yet", report)
            config.stash[_RECORDER] = recorder
            recorder.begin(session)
            if config.pluginmanager.is_blocked(RECORDER_NAME):
                config.pluginmanager.register(
                    recorder
                )  # under another name: it has to say how this run ended
                raise BadConfiguration(
                    f"-p no:{RECORDER_NAME} leaves out what sees to it that 0 means passed",
                    advice="run without it",
                )
            config.pluginmanager.register(recorder, RECORDER_NAME)
        bench = _session_of(config)
        if _RECORDER in config.stash:
            run = config.stash[_RECORDER].run
            bench.tell(run, config.getoption("--hil-flashed", ""))
            config.stash[_RECORDER].unrecorded = lambda: bench.unrecorded
            config.stash[_RECORDER].before_tests = lambda: bench.preflight(report)
            from hil.board_history.keeping import keeper  # noqa: PLC0415 - nothing of it unless it is wanted

            wanted = config.getoption("--hil-history"), str(config.getini("hil_history") or "")
            config.stash[_RECORDER].keep_history = keeper(bench, *wanted)
        bench.reach()
    except PumpbenchError as error:
        sentence = error.one_line()
        if _RECORDER in config.stash:
            config.stash[_RECORDER].stop(sentence)
            if config.pluginmanager.is_registered(config.stash[_RECORDER]):  # it says why, at the end
                sentence = recorders.NOTHING_BEGUN
        pytest.exit(sentence, returncode=int(error.exit_code))


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """A run that somebody ended before it could begin ran no test, and does not end with 0."""
    session = config.pluginmanager.get_plugin("session")
    if session is None or _RECORDER in config.stash or not (_is_asked(config) and _is_a_run(config)):
        return
    from hil.run.endings import as_the_system_sees  # noqa: PLC0415 - nothing of it unless it is wanted

    session.exitstatus = as_the_system_sees(session.exitstatus) or pytest.ExitCode.INTERNAL_ERROR


def _is_asked(config: pytest.Config) -> bool:
    """True where the command line names a target or a report, in the process where the results arrive."""
    return _names_a_run(config) and not _is_worker(config)


def _names_a_run(config: pytest.Config) -> bool:
    """True where the command line names a target or a report, in every process of the run."""
    return any(config.getoption(name) is not None for name in ("--hil-target", "--hil-report"))


def _is_a_run(config: pytest.Config) -> bool:
    """False where pytest only looks at tests and fixtures."""
    return not any(config.getoption(name, False) for name in _LOOKING)


def _is_worker(config: pytest.Config) -> bool:
    """True in a process to which another one, with pytest-xdist, hands tests."""
    return hasattr(config, "workerinput")


def _bench_of_test(config: pytest.Config) -> BenchSession:
    """The bench of this run; what is wrong with its options ends the run, since it is wrong for every test."""
    try:
        return _session_of(config)
    except PumpbenchError as error:
        if _is_worker(config):  # one that ended would be taken for one that crashed
            raise
        pytest.exit(error.one_line(), returncode=int(error.exit_code))


def _say_at_once(config: pytest.Config, sentence: str) -> None:
    """Print a sentence on the terminal while a test runs; where there is none, it is dropped."""
    terminal: Any = config.pluginmanager.get_plugin("terminalreporter")
    capture: Any = config.pluginmanager.get_plugin("capturemanager")
    if terminal is None:
        return
    with (
        suppress(OSError, ValueError),
        nullcontext() if capture is None else capture.global_and_fixture_disabled(),
    ):
        terminal.ensure_newline()
        terminal.write_line(f"pumpbench: {sentence}")
        terminal.flush()


def _session_of(config: pytest.Config) -> BenchSession:
    """The bench of this run, made when it is first wanted."""
    if SESSION not in config.stash:
        from hil import address, bench_session  # noqa: PLC0415 - nothing of it unless it is wanted
        from hil.installation import check_protocol_is_ours  # noqa: PLC0415

        check_protocol_is_ours()
        profile, seed = config.getoption("--hil-profile"), config.getoption("--hil-seed")
        session: BenchSession = bench_session.BenchSession(
            address.choose(
                config.getoption("--hil-target"),
                os.environ.get(address.ENVIRONMENT_NAME),
                str(config.getini("hil_target") or ""),
            ),
            profile,
            seed,
            config.getoption("--hil-baud"),
            str(config.getini("hil_line_back_within_s") or ""),
        )
        session.say = partial(_say_at_once, config)
        distributed = _is_worker(config) or config.getoption("dist", "no") != "no"
        if distributed and not session.makes_pumps:
            raise UsageError(
                f"{session.address} is one device, and tests that run beside each other would share it",
                advice="leave -n and --dist out",
            )
        if _is_a_run(config) and not config.getoption("--hil-no-record"):
            worker = getattr(config, "workerinput", {}).get("workerid")
            secrets = not config.getoption("--hil-no-secrets")
            session.record_beside(config.getoption("--hil-report"), worker, secrets=secrets)
        config.stash[SESSION] = session
    return config.stash[SESSION]


# Collection.


def pytest_itemcollected(item: pytest.Item) -> None:
    """Note each test that is found, also those that are left out later."""
    item.config.stash.setdefault(_FOUND, []).append(item)


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Note tests that were found and left out, by an option or by a hook that says so."""
    for item in items:
        item.config.stash.setdefault(_DESELECTED, []).append(item)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> Generator[None, None, None]:
    """A mark of ours that is wrong is an error of the collection: no test runs, whatever the target can do.

    Once all others have had their turn, since they may add marks; also on tests that are left out by now.
    """
    yield
    wrong = {}
    for item in dict.fromkeys([*config.stash.get(_FOUND, []), *items]):
        if not is_ours(item):
            continue
        try:
            _check_marks(item)
        except BadConfiguration as error:
            wrong[item] = f"{item.nodeid}: {error}"
    items[:] = [item for item in items if item not in wrong]
    config.stash[_FOUND] = [item for item in config.stash.get(_FOUND, []) if item not in wrong]
    for item, sentence in wrong.items():
        report = pytest.CollectReport(item.nodeid, "failed", sentence, [])
        session.ihook.pytest_collectreport(report=report)
        _say_why_not_collected(item, report)


def is_ours(item: pytest.Item) -> bool:
    """True of a test whose marks are certainly meant for us: others may have marks of the same names."""
    return _names_a_run(item.config) or "pump_bench" in getattr(item, "fixturenames", ())


def _check_marks(item: pytest.Item) -> None:
    """BadConfiguration that names the wrong mark."""
    own = [mark for mark in item.iter_markers() if mark.name in OUR_MARKS]
    if not own:
        return
    from hil.run.marks import check_mark, known_requirements  # noqa: PLC0415 - nothing of it unless it is wanted

    if _REQUIREMENTS not in item.config.stash:
        item.config.stash[_REQUIREMENTS] = known_requirements(item.config.getini("hil_requirements"))
    for mark in own:
        check_mark(mark.name, mark.args, mark.kwargs, item.config.stash[_REQUIREMENTS])


@pytest.hookimpl(trylast=True)
def pytest_exception_interact(node: pytest.Item | pytest.Collector, report: Any) -> None:
    """Say why a file could not be listed."""
    _say_why_not_collected(node, report)


def _say_why_not_collected(node: pytest.Item | pytest.Collector, report: Any) -> None:
    """Say why something could not be listed, where no terminal does."""
    if node.config.getoption("--hil-list") and not node.config.pluginmanager.has_plugin("terminalreporter"):
        sys.stderr.write(f"{node.nodeid} could not be collected:\n{report.longreprtext}\n")


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Tell the record of the run which tests there are; or write their list, where that is what was asked for."""
    config = session.config
    if _RECORDER in config.stash:
        config.stash[_RECORDER].note_tests(_told_of(session), [item.nodeid for item in session.items])
    elif _is_worker(config):
        config.workeroutput[COLLECTED] = _told_of(session)  # type: ignore[attr-defined]
    form = session.config.getoption("--hil-list")
    if form:
        from hil.run.listing import ListedTest, listing  # noqa: PLC0415 - nothing of it unless it is wanted

        rows = [
            ListedTest(item.nodeid, named_by(item, "verifies"), _needs_of(item)) for item in session.items
        ]
        try:
            sys.stdout.write(listing(rows, form))
            sys.stdout.flush()
            if not rows and not session.testsfailed:
                sys.stderr.write("pumpbench: no test matches what was asked for\n")
        except OSError as error:
            from hil.run.endings import discard_stdout  # noqa: PLC0415 - nothing of it unless it is wanted

            discard_stdout()
            unwritten = AnswerNotWritten(
                "", error.strerror or str(error), quiet=isinstance(error, BrokenPipeError)
            )
            if not unwritten.quiet:
                sys.stderr.write(f"pumpbench: {unwritten.one_line()}\n")
            pytest.exit(unwritten.one_line(), returncode=int(unwritten.exit_code))


def _told_of(session: pytest.Session) -> dict[str, Any]:
    """What the record of a run needs to know of a collection, in types that go from process to process."""
    stash = session.config.stash
    deselected = stash.get(_DESELECTED, [])
    there = {*deselected, *session.items}
    left_out = [item for item in stash.get(_FOUND, []) if item not in there]

    def claims(items: Iterable[pytest.Item]) -> dict[str, list[str]]:
        return {item.nodeid: list(named_by(item, "verifies")) for item in items}

    return {
        "deselected": len(deselected),
        "left_out": len(left_out),
        "claims": claims(session.items),
        "claims_not_chosen": claims([*deselected, *left_out]),
    }


def named_by(item: pytest.Item, mark: str) -> tuple[str, ...]:
    """What the marks of that name name, each once, in order."""
    return tuple(dict.fromkeys(str(name) for each in item.iter_markers(mark) for name in each.args))


def _needs_of(item: pytest.Item) -> tuple[str, ...]:
    """What a test needs of its target; another pump than the usual one needs `reset`."""
    reset = (TargetCapability.RESET.value,) if item.get_closest_marker("starts_as") else ()
    return tuple(sorted({*named_by(item, "needs"), *reset}))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that needs what the target cannot, whatever fixtures it has."""
    if is_ours(item) and _needs_of(item):
        _skip_where_it_cannot(item, _bench_of_test(item.config))


def _skip_where_it_cannot(item: pytest.Item, session: BenchSession) -> None:
    lacking = session.lacking(
        parse_needs(named_by(item, "needs")), changed=item.get_closest_marker("starts_as") is not None
    )
    if lacking:
        pytest.skip(f"{session.address}{CANNOT}{', '.join(lacking)}")


# Fixtures.


@pytest.fixture
def pump_bench(request: pytest.FixtureRequest) -> Iterator[TestBench]:
    """The bench of one test: its target, started, and everything that was opened on it."""
    session = _bench_of_test(request.config)
    item = request.node
    _skip_where_it_cannot(item, session)
    changes = next(item.iter_markers("starts_as"), None)
    profile = str(changes.args[0]) if changes else None
    otherwise = changes.kwargs if changes else getattr(item, "starts_with", {})
    bench = session.open_bench(item.nodeid, profile, **otherwise)
    item.stash[BENCH] = bench
    try:
        yield bench
        if item.stash.get(PASSED, False):
            bench.check_all_fired(frozenset(named_by(item, "without_effect")))
    finally:
        bench.close(passed=item.stash.get(PASSED, False))


@pytest.fixture
def pump_target(pump_bench: TestBench) -> Target:
    """The target: a new pump for each test where that is possible, the one and only where it is not."""
    return pump_bench.target


@pytest.fixture
def pump_rig(pump_bench: TestBench) -> Rig:
    """The rig of the bench: time, power, syringe, faults, truth. Skips where the target has none.

    A passed test of which an injected fault took no effect is an error, see `without_effect`.
    """
    try:
        return pump_bench.rig
    except UsageError as error:
        pytest.skip(str(error))


@pytest.fixture
def pump_channel(pump_bench: TestBench) -> Channel:
    """The raw line to the pump, without faults between."""
    return pump_bench.channel


@pytest.fixture
def pump_line(pump_bench: TestBench) -> FaultyLine:
    """The line with faults that a test may set; a passed test whose faults did not all fire is an error."""
    return pump_bench.line


@pytest.fixture
def open_programmer(pump_bench: TestBench) -> Callable[..., Programmer]:
    """Make programmers: `open_programmer(role=..., key=..., store=..., connect=...)`, all on the test's line."""
    return pump_bench.open_programmer


@pytest.fixture
def pump(pump_bench: TestBench) -> Programmer:
    """A clinician's `Programmer` with its session open: not the pump itself, but what one has of it in the clinic."""
    return pump_bench.open_programmer()


@pytest.fixture
def pump_as(pump_bench: TestBench) -> Callable[[Role], Programmer]:
    """Open a session as another role: `pump_as(Role.PATIENT)`."""
    return pump_bench.open_programmer


# The end of a run.


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Close the bench, and end with its exit code if it was lost."""
    bench = session.config.stash.get(SESSION, None)
    if bench is None:
        return
    bench.close()
    if bench.unrecorded and _is_worker(session.config):
        session.config.workeroutput[UNRECORDED] = bench.unrecorded  # type: ignore[attr-defined]
    if bench.stop_code is not None:
        session.exitstatus = bench.stop_code


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what ran on what, and why it ended early."""
    bench = config.stash.get(SESSION, None)
    if bench is None:
        return
    recorder = config.stash.get(_RECORDER, None)
    terminalreporter.write_sep("-", "pumpbench")
    said = recorder.run if recorder else bench
    if recorder is not None:
        from hil.report.summary import failures_in_words  # noqa: PLC0415 - nothing of it unless it is wanted

        for row in failures_in_words(recorder.run):
            terminalreporter.write_line(row)
    terminalreporter.write_line(f"target {bench.address}: {said.identity}")
    if recorder is not None and recorder.run.count(Verdict.SKIPPED):
        from hil.report.summary import lacking_in_words, reasons_of  # noqa: PLC0415 - as above

        terminalreporter.write_line("skipped, by reason:")
        for row in (*reasons_of(recorder.run, Verdict.SKIPPED), *lacking_in_words(recorder.run)):
            terminalreporter.write_line(row)
    for row in bench.instruments_needed():
        terminalreporter.write_line(row)
    for gap in bench.gaps:
        terminalreporter.write_line(f"the line was lost and came back: {gap.words}")
    if said.stopped:
        terminalreporter.write_line(f"stopped early: {said.stopped}")
