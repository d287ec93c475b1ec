"""`pumpbench campaign`: lives of emulated pumps by the thousand, from a plan; and one of them again."""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING, Any, Final

import click

from hil.campaign.checked_lives import check_some, checked_line
from hil.campaign.code_digest import code_digest
from hil.campaign.cohort_told import cohort_lines, cohort_part
from hil.campaign.explored_told import explored_lines, explored_part
from hil.campaign.harm_told import patient_lines, patient_part
from hil.campaign.lives_file import lives_file
from hil.campaign.plan import MINUTES_MAX, load_as_asked, shipped_plans
from hil.campaign.report.directory import PAGE_NAME
from hil.campaign.report.findings import findings_of
from hil.campaign.report.json_report import faults_of, marks_of, spreads_of, violation_of
from hil.campaign.running import Campaign, pump_years_per_s
from hil.campaign.violations_told import shrunk_lines
from hil.cli.campaign_documents import CampaignPart, PlansPart
from hil.cli.campaign_replay_command import replay_command
from hil.cli.campaign_report_command import report_command
from hil.cli.campaign_report_directory import (
    held_directory,
    shrink_violations,
    unfinished_meanwhile,
    write_report,
)
from hil.cli.connection import tell_error
from hil.cli.documents import json_text
from hil.cli.output import on_terminal, tell_lines
from hil.cli.quantities import WholeNumber
from hil.errors import (
    BadConfiguration,
    Interrupted,
    InvariantViolated,
    PumpbenchError,
    UsageError,
    in_one_line,
)
from hil.host_clock import host_ms
from hil.own_paths import path_of
from hil.quantity_words import counted
from hil.targets.schemes import host_and_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.campaign.plan import Plan
    from hil.campaign.report.findings import Findings
    from hil.campaign.workers import Workers

MS_PER_HOUR: Final = 3_600_000
WORKERS_MAX: Final = 256
VIOLATIONS_SHOWN: Final = 20
EXIT_CODES = """\
\b
Exit codes:
   0  the plan was played, and every invariant held
   1  in a life an invariant does not hold
   2  --workers and --executor name two who should play
   7  workers or their scheduler are not there, or were killed again and again; --resume goes on
  10  the plan, the file or the address cannot be right, or a worker has other code
  11  another run plays into the file
"""


@click.group()
def campaign() -> None:
    """Play lives of emulated pumps by the thousand, and look at what must hold in each.

    A life is a pump in this process with people, faults and power cuts around it, all from one seed; nothing is sent to
    any device. A plan says which lives, until when, and what must hold: smoke, night, faults, cohort, or a TOML file
    (hil/campaign/plan.schema.json).
    """


@campaign.command("plans")
@click.option("--json", "as_json", is_flag=True, help="JSON: one object.")
def plans_command(*, as_json: bool) -> None:
    """List the plans that come with pumpbench."""
    names = shipped_plans()
    tell_lines([json_text("campaign-plans", PlansPart(plans=[*names]))] if as_json else names)


@campaign.command("run", epilog=EXIT_CODES)
@click.argument("plan_named", metavar="PLAN")
@click.option(
    "--out",
    "out_named",
    metavar="FILE",
    help="Keep the lives in this file.  [default: campaign-PLAN.sqlite3]",
)
@click.option("--resume", is_flag=True, help="Go on where a run into the file ended, however it ended.")
@click.option(
    "--minutes",
    type=WholeNumber(f"1 to {MINUTES_MAX}"),
    help="Play for so long, whatever the plan's budget is.",
)
@click.option(
    "--explore", is_flag=True, help="Go on from rare states of each life: see hil/campaign/README.md."
)
@click.option("--workers", type=WholeNumber(f"1 to {WORKERS_MAX}"), help="Processes.  [default: one a core]")
@click.option(
    "--executor",
    "executor_named",
    metavar="ADDRESS",
    help="Who plays: dask://HOST:PORT, the workers of that Dask scheduler.  [default: processes of this machine]",
)
@click.option("--no-shrink", is_flag=True, help="Do not look for the fewest deeds of the first violations.")
@click.option("--report", "report_named", metavar="DIR", help="Write a report there: a page, and a JSON.")
@click.option("--json", "as_json", is_flag=True, help="JSON: one object.")
def run_command(*, plan_named: str, minutes: int | None, explore: bool, as_json: bool, **given: Any) -> None:
    """Play a plan: the name of one that is shipped, or a TOML file.

    Each life is kept as it ends, so a run that was killed goes on with --resume. With a budget in pump-days the result
    is the same for any number of workers and resumptions.
    """
    try:
        plan = load_as_asked(plan_named, minutes, explore=explore)
        document, violated = _run(plan=plan, plan_named=plan_named, **given)
    except PumpbenchError as error:
        if as_json:
            tell_error(error)
        raise
    tell_lines([json_text("campaign-run", document)] if as_json else map(in_one_line, _lines(document)))
    if violated is not None:
        raise violated


campaign.add_command(report_command)
campaign.add_command(replay_command)


def _run(
    *,
    plan: Plan,
    plan_named: str,
    out_named: str | None,
    resume: bool,
    workers: int | None,
    report_named: str | None,
    executor_named: str | None,
    no_shrink: bool,
) -> tuple[CampaignPart, InvariantViolated | None]:
    number = workers if workers is not None else min(os.cpu_count() or 1, WORKERS_MAX)
    if not 1 <= number <= WORKERS_MAX:
        raise BadConfiguration(f"--workers must be a number from 1 to {WORKERS_MAX}, is {number}")
    path = path_of(out_named, "--out") if out_named is not None else Path(f"campaign-{plan.name}.sqlite3")
    code = code_digest()
    workers_of = _workers_named(executor_named, workers, code) if executor_named is not None else None
    began_ms = host_ms()
    with ExitStack() as stack:
        report = None
        if report_named is not None:
            report = stack.enter_context(held_directory(report_named, "--report"))
        file = stack.enter_context(
            lives_file(path, plan=plan.digest(), code=code, resume=resume, now_s=int(time.time()))
        )
        with _interrupted_in_words(path):
            checked = check_some(plan, file, path, SystemRandom(), host_ms)
        running = Campaign(plan, file, host_ms)
        with (
            _interrupted_in_words(path),
            unfinished_meanwhile(report, lambda: findings_of(plan, plan_named, file, checked)),
        ):
            with _shown(plan, running, began_ms) as show:
                result = running.run(number, show) if workers_of is None else running.run_on(workers_of, show)
            took_ms = host_ms() - began_ms
            found = findings_of(plan, plan_named, file, checked)
            if not no_shrink:
                shrink_violations(found)
            if report is not None:
                write_report(report, found, code, shrink=False)
    speed = pump_years_per_s(result.pump_ms - running.resumed_pump_ms, took_ms)
    document = _document(found, str(path), None if report is None else str(report.path / PAGE_NAME), speed)
    if not result.violations:
        return document, None
    return document, InvariantViolated(
        f"an invariant does not hold in {len(result.violations)} of {counted(result.lives, 'seed')}",
        advice="see them with the commands above",
    )


@contextmanager
def _interrupted_in_words(path: Path) -> Iterator[None]:
    """After Ctrl-C says what there is, and how to go on: a campaign sends nothing, so that this would say nothing."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise Interrupted(
            f"the lives that were played are in {path}", advice="go on with --resume"
        ) from interrupt


def _workers_named(named: str, workers: int | None, code: str) -> Callable[[], Workers]:
    """Makes the workers at an address; it says here what is wrong with the address."""
    scheme, _, place = named.partition(":")
    if scheme != "dask":
        raise BadConfiguration(f"there is no executor {named!r}", advice="write dask://HOST:PORT")
    if workers is not None:
        raise UsageError(
            "--workers is a number of processes of this machine, and --executor names others",
            advice="leave one of them out",
        )
    host, port = host_and_port(named, place)

    def workers_there() -> Workers:
        from hil.campaign.dask_workers import DaskWorkers  # noqa: PLC0415 - few have it

        return DaskWorkers(host, port, code, host_ms)

    return workers_there


def _document(found: Findings, path: str, report: str | None, speed: float) -> CampaignPart:
    plan, result = found.plan, found.result
    return CampaignPart(
        plan=plan.name,
        plan_sha256=plan.digest(),
        code_sha256=found.origin.code_sha256,
        first_seed=plan.first_seed,
        lives=result.lives,
        pump_days=result.pump_days,
        invariants=[*plan.invariants],
        violations=[violation_of(found, lived) for lived in result.violations],
        marks=marks_of(found),
        pairs=[
            {"fault": fault, "procedure": work, "lives": lives}
            for (fault, work), lives in sorted(result.pairs.items())
        ],
        cohort=cohort_part(result.cohort) if plan.life == "cohort" else None,
        cells=len(result.cells),
        explored=explored_part(result),
        faults=faults_of(found),
        measured=spreads_of(found),
        checked=[*(found.checked or ())],
        finished=found.finished,
        report=report,
        patient=patient_part(result.harm) if plan.patient else None,
        elapsed_ms=found.origin.elapsed_ms,
        pump_years_per_s=speed,
        file=path,
    )


def _lines(document: CampaignPart) -> Iterator[str]:
    reached = [each["mark"] for each in document["marks"] if each["lives"]]
    never = [each["mark"] for each in document["marks"] if not each["lives"]]
    yield f"plan {document['plan']}: {document['lives']} lives from seed {document['first_seed']} on"
    yield (
        f"{document['pump_days']:,} pump-days in {document['elapsed_ms'] / 1_000:.0f} s; "
        f"in this run {document['pump_years_per_s']:.2f} pump-years a second"
    )
    if document["marks"] or document["pairs"]:
        pairs, cells = counted(len(document["pairs"]), "pair"), counted(document["cells"], "cell")
        yield f"reached: {len(reached)} of {len(document['marks'])} marks, {pairs} of fault and procedure, {cells}"
    yield from explored_lines(document["explored"])
    yield from (f"never reached: {mark}" for mark in never)
    if document["cohort"] is not None:
        yield from cohort_lines(document["cohort"])
    if document["patient"] is not None:
        yield from patient_lines(document["patient"], document["faults"])
    for each in document["violations"][:VIOLATIONS_SHOWN]:
        yield f"life {each['seed']}: {each['invariant']} ({each['meaning']}) does not hold: {each['found']}"
        yield f"  again: {each['replay']}"
        if each["shrunk"] is not None:
            yield from shrunk_lines(each["shrunk"])
    if (more := len(document["violations"]) - VIOLATIONS_SHOWN) > 0:
        yield f"and in {more} more; --json has all"
    yield from _worst_of(document)
    if document["checked"]:
        yield checked_line(tuple(document["checked"]))
    if document["report"] is not None:
        yield f"report: {document['report']}"
    held = "no invariant was violated" if not document["violations"] else "violated"
    yield f"{len(document['invariants'])} invariants held against each life: {held}; lives are in {document['file']}"


def _worst_of(document: CampaignPart) -> Iterator[str]:
    """The worst fault in a line; none where no fault did harm."""
    worst = next(iter(document["faults"]), None)
    if worst is None:
        return
    harms = []
    if broken := len(worst["violations"]):
        harms.append(f"at work in {broken} of {counted(len(document['violations']), 'violation')}")
        if without := len(worst["violations_without"]):
            harms[0] += f" ({without} {'comes' if without == 1 else 'come'} without it too)"
    more = [
        f"{worst[key] / MS_PER_HOUR:.1f} h more {words}"  # type: ignore[literal-required] # both are there
        for key, words in (("more_risk_ms", "at risk"), ("more_lost_ms", "without therapy"))
        if worst[key] > 0  # type: ignore[literal-required] # as above
    ]
    if more:
        lives = "in one life" if worst["lives"] == 1 else f"in the mean of {worst['lives']} lives"
        harms.append(f"{' and '.join(more)} than usual {lives}")
    if harms:
        yield f"worst fault: {worst['fault']}: {', '.join(harms)}"


@contextmanager
def _shown(plan: Plan, running: Campaign, began_ms: int) -> Iterator[Callable[[], None]]:
    """Shows on a terminal how much of the budget is spent, how fast, and what was found; whoever plays calls it."""
    if not on_terminal(sys.stderr):
        yield lambda: None
        return
    from hil.cli.terminal import progress_bar  # noqa: PLC0415 - a pipe needs no drawing

    result = running.result

    def so_far() -> str:
        rate = pump_years_per_s(result.pump_ms - running.resumed_pump_ms, host_ms() - began_ms)
        reached = f"{len(result.marks)} marks, {len(result.pairs)} pairs"
        return f"{rate:.2f} pump-years/s, {reached}, {len(result.violations)} violated"

    what = "minutes" if plan.pump_days is None else "pump-days"
    with progress_bar(what, unit=so_far) as show:

        def show_now() -> None:
            if plan.pump_days is not None:
                show(min(result.pump_days, plan.pump_days), plan.pump_days)
            else:
                show(running.elapsed_ms() // 60_000, plan.minutes or 0)

        yield show_now
