"""`pumpbench report verify`: whether the report of a run is as it was written, and shows what it has to."""

from __future__ import annotations

import json
from pathlib import Path

import click

from hil.cli.output import tell, tell_lines
from hil.errors import BadConfiguration, NotTheSame, in_one_line
from hil.quantity_words import counted
from hil.report.manifest import Findings, verify
from hil.report.records import JSON_NAME
from hil.report.requirements import SETTLED


@click.group("report")
def evidence() -> None:
    """Check the report of a run."""


@evidence.command("verify")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--strict",
    is_flag=True,
    help="Also end with 15 where a requirement is not passed, by review or by analysis.",
)
def verify_report(directory: Path, strict: bool) -> None:
    """Compare each file of a report with its SHA-256 in the manifest.

    Prints the SHA-256 of the manifest: who keeps it elsewhere knows whether the manifest is still the same. Ends with
    15 where a file was changed, is missing or was added, and with 10 where there is no manifest: the run has not
    ended, was killed, or could not write all of its report.
    """
    found = verify(directory)
    wrong = found.sentences()
    unsettled = _unsettled(directory, found) if strict and not wrong else []
    if lines := [*wrong, *unsettled]:
        tell_lines(map(in_one_line, lines))
    if wrong:
        raise NotTheSame(
            f"{directory} is not the report that was written: {counted(len(wrong), 'file')} differ"
        )
    if unsettled:
        raise NotTheSame(
            f"{directory} is whole, and {counted(len(unsettled), 'requirement')} of it not shown to be met"
        )
    tell(
        f"{directory} is whole: {counted(len(found.files), 'file')}; SHA-256 of the manifest: {found.sha256}"
    )


def _unsettled(directory: Path, found: Findings) -> list[str]:
    """A line for each requirement that is a gap, or failed; BadConfiguration of a report that says nothing of them."""
    if JSON_NAME not in found.files:
        raise BadConfiguration(f"{directory} says nothing of requirements: it has no {JSON_NAME}")
    try:
        rows = json.loads((directory / JSON_NAME).read_bytes())["requirements"]
        return [
            f"{row['id']}: {row['shown']}: {row['sentence']}" for row in rows if row["shown"] not in SETTLED
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadConfiguration(f"what {directory} says of requirements cannot be read ({error})") from error
