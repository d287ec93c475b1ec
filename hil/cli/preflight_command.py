"""`pumpbench hil preflight`: whether a board and its bench are fit for a run."""

from __future__ import annotations

from pathlib import Path

import click

from hil import address as addresses
from hil.cli.bench_warnings import warn_of_other_boards
from hil.cli.connection import tell_error
from hil.cli.documents import error_fields, json_text
from hil.cli.output import tell
from hil.errors import PumpbenchError, UsageError
from hil.own_paths import path_of
from hil.report.places import DEFAULT_REPORT

EXIT_CODES = """\
\b
Exit codes:
   0  it is fit for a run
   7  it is not: the sentence has all reasons
  10  bad configuration: address, bench file or key file
  11  somebody else has the board
  12  the output could not be printed
"""


@click.command(epilog=EXIT_CODES)
@click.option(
    "--target", metavar="ADDRESS", envvar=addresses.ENVIRONMENT_NAME, help=f"One of {addresses.FORMS}."
)
@click.option(
    "--report", metavar="DIR", default=DEFAULT_REPORT, show_default=True, help="Where a report would go."
)
@click.option("--json", "as_json", is_flag=True, help="JSON: what was found, a check a row.")
def preflight(target: str | None, report: str, as_json: bool) -> None:
    """See whether a run could begin: pump, link, clock, power, free disk, instruments. It takes 5 s at most."""
    try:
        unfit = _look(target, report, as_json=as_json)
    except PumpbenchError as error:
        if as_json:
            tell_error(error)
        raise
    if unfit is not None:
        raise unfit


def _look(target: str | None, report: str, *, as_json: bool) -> PumpbenchError | None:
    """Look and tell; returns what is wrong, in one sentence, None where nothing is."""
    from hil.bench_session import BenchSession  # noqa: PLC0415 - only this command needs it
    from hil.board_facts import firmware_file  # noqa: PLC0415 - only this command needs it
    from hil.preflight import refuse_where_unfit, results  # noqa: PLC0415 - as above

    if not target:
        raise UsageError(
            "no board is named to look at",
            advice=f"name one with --target or ${addresses.ENVIRONMENT_NAME}; `pumpbench hil targets` lists them",
        )
    address = addresses.parse(target)
    warn_of_other_boards(address)
    session = BenchSession(address)
    firmware_file(session.in_bench_file)  # a run reads it before its first test
    session.purpose = "hil preflight"
    try:
        seen = session.look_before_a_run(path_of(Path(report), "--report"))
    finally:
        session.close()
    rows = results(seen)
    unfit: PumpbenchError | None = None
    try:
        refuse_where_unfit(target, seen)
    except PumpbenchError as error:
        unfit = error
    if as_json:
        document = {"target": target, "checks": [row._asdict() for row in rows]}
        told = {} if unfit is None else {"error": error_fields(unfit)}
        tell(json_text("hil-preflight", {**document, **told}))
    else:
        widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
        lines = [f"{row.name:<{widths[0]}}  {row.state:<{widths[1]}}  {row.found}".rstrip() for row in rows]
        tell("\n".join(lines))
    return unfit
