"""`pumpbench hil compare`: where two targets differ, by a run of the suite on each or by the reports of two runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from hil import address as addresses
from hil.cli.connection import tell_error
from hil.cli.output import say, tell_lines
from hil.cli.quantities import WholeNumber
from hil.cli.recording_options import KEY
from hil.errors import BadConfiguration, NotTheSame, PumpbenchError, in_one_line
from hil.own_paths import path_of
from hil.targets.choices import SEED_MAX

if TYPE_CHECKING:
    from hil.comparison.runs import RunComparison

DEFAULT_DIRECTORY: Final = "hil-compare"
SIDES: Final = ("first", "second")
EXIT_CODES = """\
\b
Exit codes:
   0  they are alike, as far as they were compared
  10  a report, address or option cannot be right, or a run is not complete
  12  the output could not be printed
  15  they differ

What else a run of the suite ends with is passed on, but 1 and 5: a test that fails may fail on both.
"""


@click.command(context_settings={"ignore_unknown_options": True}, epilog=EXIT_CODES)
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option(
    "--report",
    metavar="DIR",
    default=DEFAULT_DIRECTORY,
    show_default=True,
    help="Where reports of runs go, in `first` and `second`.",
)
@click.option("-k", "expression", metavar="EXPRESSION", help="Only tests whose names match.")
@click.option("--profile", metavar="NAME", help="Profile, where a target is an emulated pump.")
@click.option(
    "--seed", type=WholeNumber(f"0 to {SEED_MAX}"), help="Seed, where a target is an emulated pump."
)
@click.option("--rules", "rules_path", metavar="FILE", help="Rules of your own, as of `pumpbench diff`.")
@KEY
@click.option("--no-timing", is_flag=True, help="Do not compare how long answers took.")
@click.option("--no-bytes", is_flag=True, help="Do not compare what was said.")
@click.option("--json", "as_json", is_flag=True, help="JSON: one object.")
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def compare(**given: Any) -> None:
    """Compare two targets: how tests ended, how long answers took, what was said.

    A and B are addresses, on which the suite is run one after the other (what follows -- goes to pytest), or
    directories with the report of an earlier run. Their output goes to stderr. What is other each time (ids, nonces) is
    compared by rules; a latency is called shifted where the median of each side is outside of the middle 80 % of the
    other, and both are at least 1 ms and 10 % apart.
    """
    try:
        difference = _compare(**given)
    except PumpbenchError as error:
        if given["as_json"]:
            tell_error(error)
        raise
    if difference is not None:
        raise difference


def _compare(
    first: str,
    second: str,
    report: str,
    rules_path: str | None,
    key_path: Path | None,
    *,
    no_timing: bool,
    no_bytes: bool,
    as_json: bool,
    **suite: Any,
) -> PumpbenchError | None:
    """Compare and tell; returns what the command ends with, which its JSON says already."""
    from hil.cli.comparison_words import comparison_json, comparison_lines  # noqa: PLC0415 - it imports every message
    from hil.comparison.rules import Rules  # noqa: PLC0415 - as above
    from hil.comparison.rules_file import read_rules  # noqa: PLC0415 - as above
    from hil.comparison.runs import compare_runs  # noqa: PLC0415 - as above
    from hil.key_file import read_keys  # noqa: PLC0415 - as above
    from hil.report.reading import read_report  # noqa: PLC0415 - as above

    if no_timing and no_bytes:
        say("pumpbench: only how tests ended is compared")
    rules = Rules() if rules_path is None else read_rules(path_of(rules_path, "--rules"))
    keys = [] if key_path is None else read_keys(key_path)
    reports = [read_report(each) for each in _reports(first, second, report, suite)]
    found = compare_runs(
        reports[0], reports[1], rules, keys, with_timing=not no_timing, with_bytes=not no_bytes
    )
    if not found.executed and not found.outcomes:
        raise BadConfiguration(
            "there is nothing to compare: no test was executed in both runs",
            advice=f"the reports are in {reports[0].directory} and {reports[1].directory}",
        )
    difference = _difference_of(found)
    if as_json:
        tell_lines([comparison_json(found, difference)])
    else:
        tell_lines(map(in_one_line, comparison_lines(found)))
    return difference


def _difference_of(found: RunComparison) -> PumpbenchError | None:
    """What the command ends with; None where the two are alike, and all of both was compared."""
    from hil.cli.comparison_words import many  # noqa: PLC0415 - as above

    parts = [
        ("test", len(found.outcomes), " in outcome"),
        ("kind of request", len(found.shifted), " in timing"),
        ("field", len(found.fields), " in what was said"),
        ("test", len(found.only_recorded), " recorded on one side alone"),
    ]
    said = ", ".join(f"{many(count, what)}{where}" for what, count, where in parts if count)
    if found.troubles:
        what = f"what could be compared differs: {said}" if said else "what could be compared is alike"
        return BadConfiguration(f"{'; '.join(found.troubles)}; {what}")
    if said:
        return NotTheSame(f"{found.first.directory} and {found.second.directory} differ: {said}")
    return None


# --- the two reports ------------------------------------------------------------------------------------------------


def _reports(first: str, second: str, place: str, suite: dict[str, Any]) -> list[Path]:
    """The directories of both reports: of those that are addresses, once the suite has run there."""
    from hil.cli.compared_run import check_choice, run_suite  # noqa: PLC0415 - two reports need none

    sides = [_side(each) for each in (first, second)]
    targets = [each for each in sides if not isinstance(each, Path)]
    if not targets and any(suite.values()):
        raise BadConfiguration(
            "-k, --profile, --seed and what follows -- choose what a run does, and both runs have ended",
            advice="leave them out",
        )
    check_choice(targets, suite)
    kept = path_of(Path(place), "--report")
    reports = [
        side if isinstance(side, Path) else kept / name for name, side in zip(SIDES, sides, strict=True)
    ]
    if targets and reports[0].resolve() == reports[1].resolve():
        raise BadConfiguration(
            f"the run would replace the report that it is to be compared with, in {reports[0]}",
            advice="name another directory with --report",
        )
    for side, directory in zip(sides, reports, strict=True):
        if not isinstance(side, Path):
            run_suite(side, directory, suite)
    return reports


def _side(named: str) -> addresses.Address | Path:
    """An address, or the directory of a report. BadConfiguration where it is neither."""
    if not named:
        raise BadConfiguration("A and B name a target or a report each; one of them is empty")
    place = path_of(Path(named), "A and B")
    try:
        address = addresses.parse(named)
    except BadConfiguration as error:
        if place.is_dir():
            return place
        raise BadConfiguration(
            f"{named!r} is neither a directory with a report nor a target: {error.message}",
            advice=error.advice,
        ) from error
    if address.scheme.name != "path":
        return address
    if not place.exists():
        raise BadConfiguration(
            f"there is neither a report nor a port at {named}",
            advice="name the directory of a report, or a target",
        )
    return place if place.is_dir() else address
