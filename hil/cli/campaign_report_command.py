"""`pumpbench campaign report`: the report of lives that were played."""

from __future__ import annotations

from random import SystemRandom
from typing import Any

import click

from hil.campaign.checked_lives import check_some, checked_line
from hil.campaign.code_digest import code_digest
from hil.campaign.lives_file import kept_lives
from hil.campaign.plan import MINUTES_MAX, load_as_asked
from hil.campaign.report.directory import JSON_NAME, PAGE_NAME
from hil.campaign.report.findings import findings_of
from hil.cli.campaign_documents import CampaignReportPart
from hil.cli.campaign_report_directory import held_directory, write_report
from hil.cli.connection import tell_error
from hil.cli.documents import json_text
from hil.cli.output import tell_lines
from hil.cli.quantities import WholeNumber
from hil.errors import PumpbenchError, in_one_line
from hil.host_clock import host_ms
from hil.own_paths import path_of

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
    spread. Of an unfinished run it says so. Where this code played the lives some are played again: a file that has one
    otherwise is refused; what was not played again is believed.
    """
    try:
        document = _report(**given)
    except PumpbenchError as error:
        if as_json:
            tell_error(error)
        raise
    checked = document["checked"]
    lines = [in_one_line(f"{document['lives']} lives: {document['page']}")]
    if said := checked_line(None if checked is None else tuple(checked)):
        lines.insert(0, said)
    if not document["finished"]:
        lines.insert(0, "unfinished: the budget of the plan is not spent")
    tell_lines([json_text("campaign-report", document)] if as_json else lines)


def _report(
    *, file_named: str, plan_named: str, out_named: str, minutes: int | None, explore: bool
) -> CampaignReportPart:
    plan, path = load_as_asked(plan_named, minutes, explore=explore), path_of(file_named, "FILE")
    with kept_lives(path, plan=plan.digest()) as file, held_directory(out_named, "--out") as directory:
        code = code_digest()
        ours = file.origin().code_sha256 == code
        checked = check_some(plan, file, path, SystemRandom(), host_ms) if ours else None
        found = findings_of(plan, plan_named, file, checked)
        write_report(directory, found, code)
    return CampaignReportPart(
        plan=plan.name,
        file=str(path),
        page=str(directory.path / PAGE_NAME),
        document=str(directory.path / JSON_NAME),
        lives=found.result.lives,
        violations=len(found.result.violations),
        checked=None if checked is None else [*checked],
        finished=found.finished,
    )
