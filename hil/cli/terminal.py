"""What is drawn on a terminal, by rich: tables, a table that is redrawn in place, progress of long work.

Whoever imports this has looked whether there is a terminal: nobody else is to wait for the import of rich.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from hil.cli.output import writing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.cli.tables import Rows


def drawn_table(rows: Rows) -> str:
    """Rows as text for the terminal on stdout: labels stand out, and what is too long goes on in its own column."""
    console = _console()
    with console.capture() as captured:
        console.print(_table(rows))
    return captured.get().rstrip("\n")


@contextmanager
def live_table() -> Iterator[Callable[[Rows], None]]:
    """Shows rows in place of those before; the last ones stay."""
    with Live(console=_console(), auto_refresh=False) as view:

        def show(rows: Rows) -> None:
            with writing():
                view.update(_table(rows), refresh=True)

        yield show


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Shows on stderr how much of what has been done, from the first call on; nothing of it stays."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar = Progress(*columns, console=_console(stderr=True), transient=True, auto_refresh=False)
    task = bar.add_task(what)

    def show(done: int, total: int) -> None:
        bar.start()
        bar.update(task, completed=done, total=total, refresh=True)

    try:
        yield show
    finally:
        bar.stop()


def _console(*, stderr: bool = False) -> Console:
    """The terminal; rich looks for its width, for its colours, and for NO_COLOR."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def _table(rows: Rows) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in rows:
        alarming = label == "alarms" and text != "none"
        grid.add_row(Text(label, style="cyan"), Text(text, style="bold red" if alarming else ""))
    return grid
