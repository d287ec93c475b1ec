"""`pumpbench campaign report`: the report of lives that were played; and what `campaign run --report` needs of it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from hil.campaign.code_digest import code_digest
from hil.campaign.lives_file import kept_lives
from hil.campaign.plan import MINUTES_MAX, Asked, as_asked, load_plan
from hil.campaign.report.directory import JSON_NAME, PAGE_NAME, CampaignReportDirectory
from hil.campaign.report.findings import findings_of, play_again
from hil.campaign.report.page import STORIES
from hil.cli.campaign_documents import CampaignReportPart
from hil.cli.campaign_violations import shrink_violations
from hil.cli.connection import tell_error
from hil.cli.documents import json_text
from hil.cli.output import say, tell_lines
from hil.cli.quantities import WholeNumber
from hil.errors import BadConfiguration, PumpbenchError, in_one_line
from hil.own_paths import path_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.campaign.report.findings import Findings

EXIT_CODES = """\
\b
Exit codes:
   0  the report was written, whatever it says
  10  the plan, the file or the directory cannot be right
  11  a run plays into the file, or writes its report to the directory
"""


@click.command("report", epilog=EXIT_CODES)
@click.argument("file_named", metavar="FILE")
@click.option("--plan", "plan_named", metavar="PLAN", required=True, help="The plan of the lives.")
@click.option("--minutes", type=WholeNumber(f"1 to {MINUTES_MAX}"), help="As the run was asked for.")
@click.option("--explore", is_flag=True, help="As the run was asked for.")
@click.option("--out", "out_named", metavar="DIR", required=True, help="Where the report goes.")
@click.option("--json", "as_json", is_flag=True, help="JSON: one object.")
def report_command(*, as_json: bool, **given: Any) -> None:
    """Write the report of a campaign from the FILE of its lives: a page that opens offline, and a JSON.

    It has what was played, what did not hold, faults by the harm that came with them, and how measured values are
    spread. Of an unfinished run it says so.
    """
    try:
        document = _report(**given)
    except PumpbenchError as error:
        if as_json:
            tell_error(error)
        raise
    lines = [in_one_line(f"{document['lives']} lives: {document['page']}")]
    if not document["finished"]:
        lines.insert(0, "unfinished: the budget of the plan is not spent")
    tell_lines([json_text("campaign-report", document)] if as_json else lines)


def _report(
    *, file_named: str, plan_named: str, out_named: str, minutes: int | None, explore: bool
) -> CampaignReportPart:
    plan, path = (
        as_asked(load_plan(plan_named), Asked(minutes, explore)),
        path_of(file_named, "FILE"),
    )
    with kept_lives(path, plan=plan.digest()) as file, held_directory(out_named, "--out") as directory:
        found = findings_of(plan, plan_named, file)
        write_report(directory, found, code_digest())
    return CampaignReportPart(
        plan=plan.name,
        file=str(path),
        page=str(directory.path / PAGE_NAME),
        document=str(directory.path / JSON_NAME),
        lives=found.result.lives,
        violations=len(found.result.violations),
        finished=found.finished,
    )


@contextmanager
def held_directory(named: str, option: str) -> Iterator[CampaignReportDirectory]:
    """A directory for a report, held; stderr says which report will be replaced. Errors are those of the directory."""
    if not named:
        raise BadConfiguration(f"{option} names no directory", advice="name one")
    directory = CampaignReportDirectory(path_of(named, option))
    directory.take()
    try:
        earlier = directory.earlier()
        directory.try_to_write()
        if earlier:
            say(f"pumpbench: replaced: {earlier}")
        yield directory
    finally:
        directory.close()


@contextmanager
def unfinished_meanwhile(
    directory: CampaignReportDirectory | None, findings: Callable[[], Findings]
) -> Iterator[None]:
    """A report of what there is so far lies there while lives are played, and where that ends before its end.

    A run that is killed leaves none that looks finished. None: no report is wanted.
    """
    if directory is None:
        yield
        return
    directory.write(findings())
    try:
        yield
    except BaseException:
        directory.write(findings())
        raise


def write_report(
    directory: CampaignReportDirectory, found: Findings, code: str, *, shrink: bool = True
) -> None:
    """Write it; where `code`, which is this one, played the lives, with what is found by playing some again.

    With `shrink` the first violations are shrunk for it.
    """
    by_other_code = found.origin.code_sha256 != code
    if not by_other_code:
        if shrink:
            shrink_violations(found)
        play_again(found, STORIES)
    directory.write(found, by_other_code=by_other_code)
