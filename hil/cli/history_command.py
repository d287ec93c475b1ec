"""`pumpbench hil history`: the runs of each board, and what the newest says against that board's own past."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from hil.cli.connection import tell_error
from hil.cli.documents import json_text
from hil.cli.output import tell_lines
from hil.cli.quantities import WholeNumber
from hil.errors import BadConfiguration, NotTheSame, PumpbenchError, UsageError, in_one_line
from hil.quantity_words import are, counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.board_history.history_file import BoardRow, HistoryFile
    from hil.board_history.judging import Judgement
    from hil.board_history.kept import Kept, KeptRun, KeptTest

LAST: Final = 20
LAST_MOST: Final = 10_000
NAMES_SHOWN: Final = 8
US_PER_MS: Final = 1_000
EXIT_CODES = """\
\b
Exit codes:
   0  it was shown, or forgotten
  10  the history cannot be read, or has no such board or test; with --strict:
      too few runs to judge all tests by
  12  the output could not be printed
  15  with --strict: the newest run is not as the board's own past
"""


@click.command("history", epilog=EXIT_CODES)
@click.argument("board", metavar="[BOARD]", required=False)
@click.option("--test", metavar="NAME", help="One test over time; a part of its name will do.")
@click.option(
    "--last",
    type=WholeNumber(f"1 to {LAST_MOST}"),
    default=LAST,
    show_default=True,
    help="How many runs are shown.",
)
@click.option(
    "--strict",
    is_flag=True,
    help="End with 15 where something has shifted, with 10 where not all tests have a past.",
)
@click.option("--forget", metavar="BOARD", help="Remove all runs of a board.")
@click.option("--json", "as_json", is_flag=True, help="JSON: one object.")
def history_command(**given: Any) -> None:
    """List the boards of which runs are kept, or the runs of one, the newest against its own past.

    A board is named by the serial number of its pump. Against at least 5 and at most 20 runs before it, the newest run
    has shifted where a test ends otherwise than it always did, and where a latency, a duration or a measured value is
    further from the median of the past than 5 times its scatter (median absolute deviation), and at least by 10 % and
    1 ms, 25 % and 1 s, or 1 %. Tests are held against the same tests.
    """
    try:
        shifted = _show(**given)
    except PumpbenchError as error:
        if given["as_json"]:
            tell_error(error)
        raise
    if shifted is not None:
        raise shifted


def _show(
    board: str | None, test: str | None, last: int, forget: str | None, *, strict: bool, as_json: bool
) -> PumpbenchError | None:
    """Show what is asked for; returns what --strict ends with."""
    from hil.board_history.history_file import default_path, history_at  # noqa: PLC0415 - of this command alone

    _check_asked(board, test, last, forget, strict=strict)
    path = default_path()
    named = board if forget is None else forget
    if not path.exists():
        if named is not None:
            raise _no_board(named, [])
        told = {"path": str(path), "boards": []}
        tell_lines([json_text("hil-history", told) if as_json else f"no run on a board is kept yet: {path}"])
        return None
    with history_at(path, writing=forget is not None) as history:
        boards = history.boards()
        if named is not None and named not in {each.board for each in boards}:
            raise _no_board(named, boards)
        if forget is not None:
            document: dict[str, Any] = {"board": forget, "forgotten": history.forget(forget)}
            count = document["forgotten"]
            lines: Iterator[str] = iter([f"{counted(count, 'run')} of {forget} {are(count)} forgotten"])
            judgement = None
        elif board is None:
            document = {"path": str(path), "boards": [_board(each) for each in boards]}
            lines, judgement = _boards_lines(boards), None
        elif test is not None:
            document, judgement = _of_test(history, board, test, last), None
            lines = _test_lines(document)
        else:
            document, lines, judgement = _of_board(history, board, last, str(path))
        tell_lines([json_text("hil-history", document)] if as_json else map(in_one_line, lines))
    return _end_of_strict(judgement) if strict and judgement is not None else None


def _end_of_strict(judgement: Judgement) -> PumpbenchError | None:
    """What --strict ends with: a shift, or that something was not judged; None where all was, and is as before."""
    board = "" if judgement.run is None else judgement.run.board
    if judgement.shifts:
        shifts = counted(len(judgement.shifts), "shift")
        return NotTheSame(f"the newest run of {board} has {shifts} against its own past")
    if judgement.unjudged or not judgement.is_judged:
        return BadConfiguration(
            f"the newest run of {board} is not judged{' whole' * judgement.is_judged}: {_lacking(judgement)}",
            advice="run it on this board until it has a past; without --strict this is no error",
        )
    return None


def _lacking(judgement: Judgement) -> str:
    """What of a past is too short to hold the newest run against it."""
    from hil.board_history.judging import PAST_LEAST  # noqa: PLC0415 - as above

    if len(judgement.past) < PAST_LEAST:
        before = counted(len(judgement.past), "run")
        return f"{before} before it to hold it against, and {PAST_LEAST} are needed"
    if not judgement.tests:
        return "it has no tests"
    few = len(judgement.unjudged)
    of_it = f"{few} of its {counted(judgement.tests, 'test')} {are(few)}"
    return f"{of_it} in fewer than {PAST_LEAST} of the {len(judgement.past)} runs before it"


def _check_asked(board: str | None, test: str | None, last: int, forget: str | None, *, strict: bool) -> None:
    if not 1 <= last <= LAST_MOST:
        raise BadConfiguration(f"--last must be a number of runs from 1 to {LAST_MOST}, is {last}")
    if forget is not None and (board or test or strict):
        raise UsageError("--forget BOARD stands alone", advice="leave the rest out")
    if (test is not None or strict) and not board:
        raise UsageError("--test and --strict are for one board", advice="name it; `hil history` lists them")


def _no_board(named: str, boards: list[BoardRow]) -> BadConfiguration:
    known = ", ".join(each.board for each in boards) or "none"
    return BadConfiguration(f"the history has no board {named!r}; it has: {known}", advice="name one of them")


def _when(run: KeptRun) -> str:
    return datetime.fromtimestamp(run.began_at_s, UTC).strftime("%Y-%m-%d %H:%M")


def _board(row: BoardRow) -> dict[str, Any]:
    return {"board": row.board, "runs": row.runs, "newest": row.newest._asdict()}


def _boards_lines(boards: list[BoardRow]) -> Iterator[str]:
    from hil.cli.tables import columns  # noqa: PLC0415 - as above

    if not boards:
        yield "no run on a board is kept"
        return
    rows = [("board", "kind", "runs", "newest (UTC)", "target", "result")]
    rows += [
        (
            each.board,
            each.newest.kind,
            str(each.runs),
            _when(each.newest),
            each.newest.target,
            each.newest.result,
        )
        for each in boards
    ]
    yield from columns(rows)


# --- one board ------------------------------------------------------------------------------------------------------


def _of_board(
    history: HistoryFile, board: str, last: int, path: str
) -> tuple[dict[str, Any], Iterator[str], Judgement]:
    from hil.board_history.judging import against_its_past  # noqa: PLC0415 - as above

    runs, judgement = history.runs(board, last), against_its_past(history, board)
    document = {
        "path": path,
        "board": board,
        "runs": [run._asdict() for run in runs],
        "past": len(judgement.past),
        "judged": judgement.is_judged,
        "unjudged": list(judgement.unjudged),
        "shifts": [{**each._asdict(), "what": each.what.value} for each in judgement.shifts],
    }
    return document, _board_lines(runs, judgement), judgement


def _board_lines(runs: list[KeptRun], judgement: Judgement) -> Iterator[str]:
    from hil.cli.tables import columns  # noqa: PLC0415 - as above

    yield f"{runs[-1].board}: {runs[-1].device}"
    rows = [("run", "began (UTC)", "firmware", "exit", "result", "report")]
    rows += [
        (f"{run.number}", _when(run), run.firmware, f"{run.exit_code}", run.result, run.report)
        for run in runs
    ]
    yield from columns(rows)
    yield ""
    newest = f"run {runs[-1].number}"
    past = counted(len(judgement.past), "run")
    if not judgement.is_judged:
        yield f"{newest} is not judged: {_lacking(judgement)}"
        return
    if judgement.shifts:
        yield f"{newest} against the {past} before it:"
    else:
        yield f"{newest} is as the {past} before it"
    for each in judgement.shifts:
        yield f"  {each.what} of {each.name}: {each.now}; before: {each.past} in {each.runs} runs"
    if judgement.unjudged:
        shown, more = judgement.unjudged[:NAMES_SHOWN], len(judgement.unjudged) - NAMES_SHOWN
        rest = f" and {more} more" if more > 0 else ""
        yield f"not judged: {_lacking(judgement)}: {', '.join(shown)}{rest}"


# --- one test -------------------------------------------------------------------------------------------------------


def _of_test(history: HistoryFile, board: str, named: str, last: int) -> dict[str, Any]:
    kept = [history.whole(run) for run in history.runs(board, last)]
    name = _test_named(named, board, kept)
    return {
        "board": board,
        "test": name,
        "runs": [_in_run(each, test) for each in kept for test in each.tests if test.name == name],
    }


def _test_named(named: str, board: str, kept: list[Kept]) -> str:
    """The one test whose name has this in it; BadConfiguration lists them where there are more."""
    names = list(dict.fromkeys(test.name for each in kept for test in each.tests))
    found = [name for name in names if named == name] or [name for name in names if named in name]
    if len(found) == 1:
        return found[0]
    if not found:
        raise BadConfiguration(
            f"no test of the runs of {board} that are shown has {named!r} in its name",
            advice="--last shows more of them",
        )
    more = f" and {len(found) - NAMES_SHOWN} more" if len(found) > NAMES_SHOWN else ""
    raise BadConfiguration(
        f"{len(found)} tests have {named!r} in their names: {', '.join(found[:NAMES_SHOWN])}{more}",
        advice="name one of them",
    )


def _in_run(kept: Kept, test: KeptTest) -> dict[str, Any]:
    return {
        "run": kept.run.number,
        "began_at_s": kept.run.began_at_s,
        "firmware": kept.run.firmware,
        "outcome": test.outcome,
        "reason": test.reason,
        "duration_us": test.duration_us,
        "latencies": [
            {"request": each.request, **each.quantiles._asdict()}
            for each in kept.latencies
            if each.test == test.name
        ],
        "measurements": [
            {"name": each.name, "unit": each.unit, "value": each.value, "verdict": each.verdict}
            for each in kept.measurements
            if each.test == test.name
        ],
    }


def _test_lines(document: dict[str, Any]) -> Iterator[str]:
    from hil.cli.tables import columns  # noqa: PLC0415 - as above

    yield f"{document['test']} on {document['board']}, medians of latency in ms:"
    runs = document["runs"]
    requests = list(dict.fromkeys(each["request"] for run in runs for each in run["latencies"]))
    measured = list(
        dict.fromkeys((each["name"], each["unit"]) for run in runs for each in run["measurements"])
    )
    rows = [
        (
            "run",
            "began (UTC)",
            "firmware",
            "outcome",
            "duration",
            *requests,
            *(f"{n}, {u}" for n, u in measured),
        )
    ]
    for run in runs:
        began = datetime.fromtimestamp(run["began_at_s"], UTC).strftime("%Y-%m-%d %H:%M")
        medians = {each["request"]: f"{each['p50_us'] / US_PER_MS:.1f}" for each in run["latencies"]}
        values = {(each["name"], each["unit"]): _value(each["value"]) for each in run["measurements"]}
        rows.append(
            (
                f"{run['run']}",
                began,
                run["firmware"],
                run["outcome"],
                f"{run['duration_us'] / 1_000_000:.2f} s",
                *(medians.get(name, "-") for name in requests),
                *(values.get(name, "-") for name in measured),
            )
        )
    yield from columns(rows)
    for run in runs:
        if run["reason"]:
            yield f"run {run['run']}: {run['outcome']}: {run['reason']}"


def _value(value: float | None) -> str:
    return "a series" if value is None else f"{value:g}"
