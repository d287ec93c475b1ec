"""Runs a test again that failed by the fault of link or bench, as often as `--hil-retries` says, and hides no try.

A failed try is reported before the next begins, and keeps its frames; a test that passes then has not simply passed.
A try that might repeat a dose is never made: see `hindrance`.
"""

from __future__ import annotations

import sys
from copy import copy
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from hil.errors import BadConfiguration, InUse, LeaseLost, loss_behind
from hil.plugin import BENCH, PASSED, SESSION
from hil.report.records import ACCUSED, ATTEMPT, EVIDENCE, Accused, Verdict
from hil.run.measuring import BEYOND
from hil.run.reporting import LOSSES, stop_if_bench_is_lost

RERUN = "rerun"  # the outcome of a try that does not count, as of pytest-rerunfailures
_OF_ONE_TRY: tuple[pytest.StashKey[Any], ...] = (BENCH, PASSED, BEYOND, LOSSES)
RETRIED = frozenset({Accused.LINK.value, Accused.BENCH.value})


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a test until it does not fail by link or bench, so often at most; None where no test is to be run again."""
    retries = item.config.getoption("--hil-retries")
    if not retries:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    told = list(item.user_properties)
    tries: list[pytest.TestReport] = []
    while True:
        connected = _connected()
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        failed = [report for report in reports if report.failed]
        if not failed or _property(failed[0], ACCUSED) not in RETRIED:
            break
        why = hindrance(item, failed, connected=_connected() > connected)
        if why or len(tries) == retries:
            _add_to_evidence(failed[0], f"not run again: {why or f'{retries} retries are all'}")
            break
        _add_to_evidence(failed[0], _next_pump(item))
        failed[0].outcome = RERUN  # type: ignore[assignment]
        tries.append(failed[0])
        _tell(item, reports)
        item.user_properties[:] = [
            *told,
            *(
                (ATTEMPT, f"{n}: {_property(each, ACCUSED)}: {_property(each, EVIDENCE)}")
                for n, each in enumerate(tries, 1)
            ),
        ]
        for key in _OF_ONE_TRY:
            if key in item.stash:
                del item.stash[key]
    if tries and any(report.skipped for report in reports):
        reports = [_failed_all_the_same(each, tries[-1]) if each.skipped else each for each in reports]
    for report, error in item.stash.get(LOSSES, []):
        stop_if_bench_is_lost(item, report, error)
    _tell(item, reports)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def hindrance(item: pytest.Item, failed: list[pytest.TestReport], *, connected: bool) -> str:
    """Why a test that failed by link or bench is not run again all the same; "" where nothing is against it.

    `connected`: whether it has connected to a pump that is not of its bench: nobody knows what that was told.
    """
    session, bench = item.config.stash.get(SESSION, None), item.stash.get(BENCH, None)
    errors = [loss_behind(error) for _report, error in item.stash.get(LOSSES, [])]
    if any(isinstance(error, InUse | LeaseLost) for error in errors):
        return "the board is somebody else's"
    if any(isinstance(error, BadConfiguration) for error in errors):
        return "what is configured wrongly stays so"
    if session is not None and session.is_lost:
        return "the line did not come back"
    if len(failed) > 1 or failed[0].when == "teardown":
        return "what it began could not be ended"
    if connected or (bench is None and failed[0].when == "call"):
        return "it talked to a pump by itself, and nobody knows what that was told"
    return "" if bench is None else bench.hindrance_to_repeat()


def _connected() -> int:
    """How often this process has connected to a pump by `hil.connect`."""
    module = sys.modules.get("hil.connected_programmer")  # who never used it has not
    return 0 if module is None else module.CONNECTED.total()


def pytest_report_teststatus(report: pytest.CollectReport | pytest.TestReport) -> tuple[str, str, str] | None:
    """What the terminal calls a try that does not count, and a test that passed after one."""
    properties = {name for name, _value in getattr(report, "user_properties", ())}
    if report.outcome == RERUN and ACCUSED in properties:
        return RERUN, "R", "RUN AGAIN"
    if report.when == "call" and report.passed and ATTEMPT in properties:
        return Verdict.RETRIED.value, "r", "PASSED ON RETRY"
    return None


def _next_pump(item: pytest.Item) -> str:
    session = item.config.stash.get(SESSION, None)
    if session is not None and not session.renews:
        return "run again on the pump as it was left, to which no command had gone"
    return "run again on a new pump"


def _property(report: pytest.TestReport, wanted: str) -> str:
    """The last value of a property of a report."""
    return next((str(value) for name, value in reversed(report.user_properties) if name == wanted), "")


def _add_to_evidence(report: pytest.TestReport, words: str) -> None:
    report.user_properties = [
        (name, f"{value}; {words}") if name == EVIDENCE else (name, value)
        for name, value in report.user_properties
    ]


def _failed_all_the_same(skipped: pytest.TestReport, failed: pytest.TestReport) -> pytest.TestReport:
    """The failure of an earlier try in the place of a skip: what was skipped has cured nothing."""
    report = copy(failed)
    report.outcome = "failed"
    report.user_properties = [*skipped.user_properties, *failed.user_properties]
    why = skipped.longrepr[2] if isinstance(skipped.longrepr, tuple) else skipped.longrepr
    _add_to_evidence(report, f"then it was skipped: {why}")
    return report


def _tell(item: pytest.Item, reports: list[pytest.TestReport]) -> None:
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
