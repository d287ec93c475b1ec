"""What pytest's report of a test says of us: whose fault a failure is, its evidence, its frames, its line and device.

A lost bench ends the run from here. Part of the plugin; inert for tests that are none of ours.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from hil.errors import (
    BadConfiguration,
    BenchLost,
    InUse,
    LacksKey,
    LinkError,
    PumpbenchError,
    UsageError,
    in_one_line,
    loss_behind,
)
from hil.plugin import BENCH, PASSED, SESSION, is_ours, named_by
from hil.report.records import ACCUSED, CLAIM, CONSOLE_TITLE, DEVICE, EVIDENCE, FRAMES_TITLE, GAP, STOP
from hil.run.measuring import BEYOND

if TYPE_CHECKING:
    from collections.abc import Generator

    from hil.bench_of_test import TestBench
    from hil.run.triage import Judgement

LOSSES = pytest.StashKey[list[tuple[pytest.TestReport, BaseException]]]()
"""Reports and errors by which the run may have to end; who runs tests again decides that later."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note whether the test passed, say whose fault a failure is, and stop the run if the bench is lost."""
    report = yield
    bench = item.stash.get(BENCH, None)
    said = {}
    if bench is not None:
        _skip_what_is_no_evidence(item, report, bench)
    if report.failed and bench is not None:  # before the pump is asked again
        said = {FRAMES_TITLE: bench.last_frames(), CONSOLE_TITLE: bench.last_console()}
    if report.failed and is_ours(item):
        _accuse(item, report, None if call.excinfo is None else call.excinfo.value)
    if report.when == "call":
        item.stash[PASSED] = report.passed
    if report.when == "setup" and is_ours(item):
        add_to(item, report, [(CLAIM, name) for name in named_by(item, "verifies")])
    if bench is not None:
        _add_properties(item, report, bench)
        add_section = getattr(report.longrepr, "addsection", None)
        for title, text in said.items():
            if text and add_section:
                add_section(title, text)
    if SESSION in item.config.stash and call.excinfo is not None:
        if item.config.getoption("--hil-retries"):
            item.stash.setdefault(LOSSES, []).append((report, call.excinfo.value))
        else:
            stop_if_bench_is_lost(item, report, call.excinfo.value)
    return report


def _skip_what_is_no_evidence(item: pytest.Item, report: pytest.TestReport, bench: TestBench) -> None:
    """A test that a recording could not answer was not executed, whether it then failed or passed."""
    ended = report.when == "call" or (report.when == "setup" and report.failed)
    if not ended or report.skipped or hasattr(report, "wasxfail"):
        return
    if why := bench.why_not_evidence():
        path, line, _ = item.reportinfo()
        report.outcome = "skipped"
        report.longrepr = (
            str(path),
            0 if line is None else line,
            f"Skipped: {bench.target.address} cannot answer it ({why})",
        )


def _accuse(item: pytest.Item, report: pytest.TestReport, error: BaseException | None) -> None:
    """Whose fault a failure is, in its first line on the terminal and in the report; and by what evidence."""
    accused, evidence = judged(item, report.when or "", error)
    path, line, title = report.location
    report.location = (path, line, f"{title} (accused: {accused})")
    add_to(item, report, [(ACCUSED, accused.value), (EVIDENCE, evidence)])


def judged(item: pytest.Item, phase: str, error: BaseException | None) -> Judgement:
    # What judges is imported where something failed, and not by everybody's pytest.
    from hil.run import raising_code  # noqa: PLC0415
    from hil.run.triage import Evidence, judge  # noqa: PLC0415

    if isinstance(error, pytest.FixtureLookupError):
        error = UsageError(f"there is no fixture {error.argname!r}")
    seen = Evidence(
        error,
        raising_code.raised_in(error),
        through_test=raising_code.went_through_test(error),
        concern=raising_code.concern_of(error, _names_of_device(item)),
        beyond=item.stash.get(BEYOND, ""),
        timed_out=raising_code.ran_out_of_time(error),
        is_assertion=isinstance(error, AssertionError | pytest.fail.Exception),
        host=f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors",
    )
    bench, unread = item.stash.get(BENCH, None), ""
    if bench is not None:
        try:
            # a pump that answers is left as it is, and at the end of a test its session is closed
            facts = bench.line_facts(ask=seen.no_answer and phase != "teardown")
            seen = replace(seen, line=facts)
        except (PumpbenchError, OSError):
            pass  # evidence that cannot be had is none
        except Exception as broken:  # noqa: BLE001 - the failure itself has to be told, whatever is wrong with us
            unread = in_one_line(
                f" [what the line counted could not be read: {type(broken).__name__}: {broken}]"
            )
    judgement = judge(seen)
    return judgement._replace(evidence=judgement.evidence + unread)


def _names_of_device(item: pytest.Item) -> frozenset[str]:
    """Fixtures of a test that are made of its bench, directly or by others."""
    defined = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    made_of = {name: set(found[-1].argnames) for name, found in defined.items() if found}
    known = {"pump_bench"}
    while more := {name for name, needed in made_of.items() if needed & known} - known:
        known |= more
    return frozenset(known)


def _add_properties(item: pytest.Item, report: pytest.TestReport, bench: TestBench) -> None:
    """Target and device go into the report."""
    if report.when == "setup":
        add_to(item, report, [("target", bench.target.address)])
    elif report.when == "teardown":  # the device is asked when the bench of the test is closed
        add_to(item, report, [(DEVICE, item.config.stash[SESSION].identity)])
        add_to(item, report, [(GAP, gap.words) for gap in bench.gaps])


def add_to(item: pytest.Item, report: pytest.TestReport, properties: list[tuple[str, object]]) -> None:
    """Add properties to a test and to its report (record_property would warn under xunit2)."""
    item.user_properties.extend(properties)
    report.user_properties.extend(properties)


def stop_if_bench_is_lost(item: pytest.Item, report: pytest.TestReport, error: BaseException) -> None:
    """A lost bench is one fault of the bench, not hundreds of failed tests."""
    session = item.config.stash[SESSION]
    error = loss_behind(error)
    if not isinstance(error, PumpbenchError) or session.stop_code is not None:
        return
    lost = isinstance(error, BenchLost | InUse)
    if report.when == "setup":
        # Where nobody can make another pump, one that does not answer will not answer the next test either.
        dumb = isinstance(error, LinkError) and not session.makes_pumps
        cannot_be = isinstance(error, BadConfiguration) and not isinstance(error, LacksKey)
        lost = lost or dumb or cannot_be
    if lost:
        session.stop_code = int(error.exit_code)
        session.stopped = error.one_line()
        item.session.shouldstop = error.one_line()
        report.user_properties.append((STOP, f"{session.stop_code} {session.stopped}"))
