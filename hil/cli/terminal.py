"""What is drawn on a terminal, by rich: tables, a table that is redrawn in place, progress of long work.

Whoever imports this has looked whether there is a terminal: nobody else is to wait for the import of rich.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from hil.cli.output import writing
from hil.cli.tables import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.cli.tables import Rows

GAP = 2  # columns between a label and its text
LEAST_TEXT = 6  # columns; below them rich cuts the labels, and then leaves the texts away
SIZES = frozenset({"COLUMNS", "LINES"})
SIZE = re.compile("[1-9][0-9]{0,3}")


class _Console(Console):
    """A console that leaves the cursor as it is: who is killed could not bring it back."""

    def show_cursor(self, show: bool = True) -> bool:  # noqa: ARG002 - rich's signature
        """Nothing, which rich hears."""
        return False


def drawn_table(rows: Rows) -> str:
    """Rows as text for the terminal on stdout: labels stand out, and what is too long goes on in its own column."""
    console = _console()
    with console.capture() as captured:
        console.print(_drawing(rows, console.width))
    return captured.get().rstrip("\n")


@contextmanager
def live_table() -> Iterator[Callable[[Rows], None]]:
    """Shows rows in place of those before; the last ones stay. All are shown, also on a terminal of few lines."""
    console = _console()
    with Live(console=console, auto_refresh=False, vertical_overflow="visible") as view:

        def show(rows: Rows) -> None:
            with writing():
                view.update(_drawing(rows, console.width), refresh=True)

        yield show


@contextmanager
def progress_bar(what: str, *, unit: Callable[[], str] = str) -> Iterator[Callable[[int, int], None]]:
    """Shows on stderr how much of what has been done, from the first call on; nothing of it stays.

    `unit`: what is said behind the numbers, asked at each call.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn(
            "{task.completed:.0f}/{task.total:.0f} {task.fields[unit]}"
        ),  # what finds no room is its end
    )
    bar = Progress(*columns, console=_console(stderr=True), transient=True, auto_refresh=False)
    task = bar.add_task(what, unit=unit())

    def show(done: int, total: int) -> None:
        bar.start()
        bar.update(task, completed=done, total=total, unit=unit(), refresh=True)

    try:
        yield show
    finally:
        bar.stop()


def _console(*, stderr: bool = False) -> Console:
    """The terminal; rich looks for its width, for its colours, and for NO_COLOR.

    A width or height of the environment that is none is passed over: rich fails on some of them.
    """
    environment = {
        name: value for name, value in os.environ.items() if name not in SIZES or SIZE.fullmatch(value)
    }
    return _Console(stderr=stderr, highlight=False, markup=False, emoji=False, _environ=environment)


def _drawing(rows: Rows, columns: int) -> Table | Text:
    """Rows as a table, or as plain text that the terminal breaks where a table would have to leave something away."""
    if columns < max(len(label) for label, _ in rows) + GAP + LEAST_TEXT:
        return Text(table(rows), overflow="fold")
    grid = Table.grid(padding=(0, GAP, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in rows:
        alarming = label == "alarms" and text != "none"
        grid.add_row(Text(label, style="cyan"), Text(text, style="bold red" if alarming else ""))
    return grid


@contextmanager
def lines_over_a_table() -> Iterator[Callable[[str, Rows], None]]:
    """Shows lines one after another, and below them rows in place of those before, which stay in the end."""
    console = _console()
    with Live(console=console, auto_refresh=False, vertical_overflow="visible") as view:

        def show(line: str, rows: Rows) -> None:
            with writing():
                console.print(Text(line), soft_wrap=True)
                view.update(Group(Rule(style="dim"), _drawing(rows, console.width)), refresh=True)

        yield show
