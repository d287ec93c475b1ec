"""`pumpbench report verify`: whether the report of a run is as it was written, and shows what it has to."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import click

from hil.cli.connection import tell_error
from hil.cli.documents import error_fields, json_text
from hil.cli.output import tell, tell_lines
from hil.errors import BadConfiguration, NotTheSame, PumpbenchError, in_one_line
from hil.quantity_words import are, counted
from hil.report.directory import why_no_manifest
from hil.report.manifest import Findings, verify
from hil.report.records import JSON_NAME, MANIFEST_NAME
from hil.report.requirements import SETTLED

EXIT_CODES = """\
\b
Exit codes:
   0  the report is as it was written
  10  there is no report, or no whole one: the run goes on, was killed, or could
      not write all of it
  12  the output could not be printed
  15  a file was changed, is missing or was added; with --strict also: something
      is not shown to be met
"""


class Shown(NamedTuple):
    """What a whole report says of its run, and of requirements that are not shown to be met."""

    result: str
    is_complete: bool
    exit_code: int | None
    unsettled: list[str]
    """A line for each of them; only what `--strict` asks for."""
    kinds: str
    """Of how many requirements how many are not shown to be met, and so many of each kind; "" where all are."""


@click.group("report")
def evidence() -> None:
    """Check the report of a run."""


@evidence.command("verify", epilog=EXIT_CODES)
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--strict",
    is_flag=True,
    help="Also end with 15 where a requirement is not passed, by review or by analysis, or a test did not run.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON: what was found, also where it is not whole.")
def verify_report(directory: Path, strict: bool, as_json: bool) -> None:
    """Compare each file of a report with its SHA-256 in the manifest.

    Prints the SHA-256 of the manifest: who keeps it elsewhere knows whether the manifest is still the same.
    """
    try:
        wrong = _verify(directory, strict=strict, as_json=as_json)
    except PumpbenchError as error:
        if as_json:
            tell_error(error)
        raise
    if wrong is not None:
        raise wrong


def _verify(directory: Path, *, strict: bool, as_json: bool) -> PumpbenchError | None:
    """Look and tell; returns what is wrong, in one sentence, None where nothing is."""
    if not (directory / MANIFEST_NAME).exists():
        raise BadConfiguration(
            why_no_manifest(directory),
            advice="name the directory of a run that has ended, as --report named it",
        )
    found = verify(directory)
    sentences = found.sentences()
    shown = None if sentences else _shown(directory, found, strict=strict)
    unsettled = [] if shown is None else shown.unsettled
    wrong: NotTheSame | None = None
    if sentences:
        wrong = NotTheSame(
            f"{directory} is not the report that was written: {counted(len(sentences), 'file')} "
            f"{'differs' if len(sentences) == 1 else 'differ'}"
        )
    elif shown is not None and shown.unsettled:
        wrong = NotTheSame(f"{directory} is whole, but {_lacking(shown)}")
    if as_json:
        document = _document(directory, found, shown, "changed" if sentences else "whole")
        tell(json_text("report-verify", document | ({} if wrong is None else {"error": error_fields(wrong)})))
        return wrong
    head = [shown.kinds] if shown is not None and shown.unsettled and shown.kinds else []
    tell_lines(map(in_one_line, [*sentences, *head, *unsettled]))
    if wrong is None:
        run = "" if shown is None else f"\nthe run: {in_one_line(shown.result)}"
        tell(
            f"{directory} is whole: {counted(len(found.files), 'file')}; SHA-256 of the manifest: {found.sha256}{run}"
        )
    return wrong


def _lacking(shown: Shown) -> str:
    """What of a whole report is not shown, in words."""
    requirements = len(shown.unsettled) - (not shown.is_complete)
    parts = [f"{counted(requirements, 'requirement')} {are(requirements)} not shown to be met"]
    parts += ["its run is not complete"] * (not shown.is_complete)
    return " and ".join(parts if requirements else parts[1:])


def _document(directory: Path, found: Findings, shown: Shown | None, state: str) -> dict[str, Any]:
    run = None
    if shown is not None:
        run = {"result": shown.result, "complete": shown.is_complete, "exit_code": shown.exit_code}
    return {
        "directory": str(directory),
        "state": state,
        "manifest_sha256": found.sha256,
        "files": found.files,
        "changed": found.changed,
        "missing": found.missing,
        "added": found.added,
        "run": run,
        "not_shown": [] if shown is None else shown.unsettled,
    }


def _shown(directory: Path, found: Findings, *, strict: bool) -> Shown | None:
    """What the report says of its run; None of one that says nothing, where that is not asked for (`strict`).

    BadConfiguration where it cannot be read.
    """
    if JSON_NAME not in found.files:
        if not strict:
            return None
        raise BadConfiguration(f"{directory} says nothing of requirements: it has no {JSON_NAME}")
    try:
        document = json.loads((directory / JSON_NAME).read_bytes())
        run, rows = document["run"], document["requirements"]
        unsettled = [
            f"{row['id']}: {row['shown']}: {row['sentence']}" for row in rows if row["shown"] not in SETTLED
        ]
        kinds = Counter(str(row["shown"]) for row in rows if row["shown"] not in SETTLED)
        counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        of_all = f"{kinds.total()} of {counted(len(rows), 'requirement')}"
        head = f"not shown to be met: {of_all}: {counts}" if kinds else ""
        if not run["complete"]:
            why = f" ({run['stopped']})" if run["stopped"] else ""
            unsettled.append(f"the run is not complete: {run['result']}{why}")
        shown = Shown(str(run["result"]), run["complete"], run["exit_code"], unsettled, head)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadConfiguration(f"what {directory} says of requirements cannot be read ({error})") from error
    return shown if strict else shown._replace(unsettled=[])
