"""What holds for every test: signals as in a terminal, no deadline for examples, nobody's own state files."""

from __future__ import annotations

import gc
import itertools
import signal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from tests.support import not_run, soak, tally

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# `nohup` ignores HUP, a shell's background job INT: both are inherited, and emulators would ignore them too.
for _number, _usual in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)

# How long an example takes says nothing about what it shows, and other processes may hold it up.
# The examples are the same in each ordinary run, and others in each long one.
settings.register_profile(
    "pumpbench",
    deadline=None,
    derandomize=not soak.PLAYS_ALL,
    max_examples=soak.rounds_of("examples of a property", 100, 40),
)
settings.load_profile("pumpbench")


# Pumps by the thousand hold no cycles worth looking for so often: a tenth of the time of all tests.
gc.set_threshold(200_000, 50, 100)


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line(
        "markers", "one_in(N): of this test's cases one in N is played, all in a long run"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only a long run plays, unless somebody chose the tests by their names."""
    if config.option.keyword or any("::" in argument for argument in config.args):
        return
    left = set(soak.left_out(items))
    if left:
        config.hook.pytest_deselected(items=list(left))
        items[:] = [item for item in items if item not in left]


@pytest.fixture(scope="session")
def place_of_states(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the state files of all tests lie."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(autouse=True)
def no_state_files_of_others(place_of_states: Path) -> Iterator[None]:
    """A programmer without --state uses its user's own file, and would meet what he, or another test, did before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(place_of_states / str(next(_TESTS))))
        yield


_TESTS = itertools.count(1)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker tells the process that sums up what it counted; that one fails where too little ran."""
    told = getattr(session.config, "workeroutput", {})
    told["played"] = soak.PLAYED
    told["tallies"] = {subject: dict(counts) for subject, counts in tally.TALLIES.items()}
    if not_run.ON_A_SERVER and session.exitstatus == 0 and not_run.objections(skipped_in(session.config)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def skipped_in(config: pytest.Config) -> dict[str, str]:
    """Why each test did not run, by its name; a worker does not know."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return not_run.not_run(reporter.getreports("skipped")) if reporter else {}


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker has ended, or is lost and has nothing to tell."""
    told = getattr(node, "workeroutput", {})
    soak.PLAYED.update(told.get("played", {}))
    tally.add(told.get("tallies", {}))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """The last lines of a run, behind those of pytest, say what it counted, and what it left out."""
    yield
    for line in tally.lines():
        terminalreporter.write_line(line)
    if line := soak.told(soak.PLAYED):
        terminalreporter.write_line(line)
    for line in not_run.told(skipped_in(terminalreporter.config)):
        terminalreporter.write_line(line)
