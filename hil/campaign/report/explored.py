"""What forks from rare states reached and cost, on the page of a campaign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hil.campaign.explored_told import cost_line, gain_line
from hil.campaign.violations_told import lives_text
from hil.pages.html_page import link, named_cells, table
from hil.pages.page_text import page_text
from hil.quantity_words import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hil.campaign.explored_told import ExploredPart, InForksPart, ReachedPart

BUDGET: Final = ("For as much", "Who", "Lives", "Cells", "Marks", "Pairs")
STATES: Final = ("State of the pump", "Cells of lives by themselves", "Cells in forks alone")
CELL: Final = ("State", "What flows", "What is alarmed", "Fault", "Lives")
CELLS_MAX: Final = 500
"""So many cells are on a page; the others are in the JSON alone."""


def explored_html(part: ExploredPart | None) -> str:
    """A part of the page with its heading; None: no life was gone on from so far."""
    head = '<h2 id="explored">From rare states</h2>'
    if part is None:
        return f"{head}<p>No life was gone on from.</p>"
    by_days, by_deeds = part["same_budget"]
    return (
        f"{head}<p>Where a life was somewhere new a fork of it was kept, and the rarest were gone on from. "
        f"Cost: {page_text(cost_line(part))}, beside {by_deeds['budget']:,} deeds in {by_days['budget']:,} pump-days "
        f"of the lives themselves. Reached in forks alone: <strong>{page_text(gain_line(part))}</strong>. "
        "A cell is a state, what flows, what is alarmed, and one fault or none.</p>"
        f"{_budgets(part)}{_marks(part['marks'])}{_states(part)}{_cells(part['cells'])}"
    )


def _budgets(part: ExploredPart) -> str:
    """Lives by themselves against lives with their forks, for the same cost."""
    rows = []
    for same in part["same_budget"]:
        budget = f"{same['budget']:,} {same['by']}"
        for who, reached in (
            ("lives by themselves", same["alone"]),
            ("with their forks", same["with_forks"]),
        ):
            rows.append(_row(BUDGET, (budget, who, *_numbers(reached))))
    said = "<p>Fewer lives with their forks cost as much as all lives by themselves; what each reached for it:</p>"
    return said + table(BUDGET, rows, "measured")


def _numbers(reached: ReachedPart) -> tuple[str, ...]:
    if not reached["lives"]:
        return ("it pays for none", "&ndash;", "&ndash;", "&ndash;")
    return tuple(f"{reached[key]:,}" for key in ("lives", "cells", "marks", "pairs"))


def _marks(marks: Sequence[InForksPart]) -> str:
    if not marks:
        return "<p>Each mark that was reached some life reached by itself.</p>"
    lines = "".join(
        f"<li>{page_text(each['name'])}, in forks of {lives_text(each['lives'])}</li>" for each in marks
    )
    return f"<h3>Marks in forks alone</h3><ul>{lines}</ul>"


def _states(part: ExploredPart) -> str:
    rows = [
        _row(STATES, (page_text(each["state"]), f"{each['alone']:,}", f"{each['only_in_forks']:,}"))
        for each in part["states"]
    ]
    return f"<h3>Cells</h3>{table(STATES, rows, 'measured')}"


def _cells(cells: Sequence[InForksPart]) -> str:
    if not cells:
        return ""
    rows = []
    for each in cells[:CELLS_MAX]:
        parts = each["name"].split(", ", 3)
        rows.append(
            _row(
                CELL, (*(link(None, part) for part in parts), *[""] * (4 - len(parts)), f"{each['lives']:,}")
            )
        )
    left = len(cells) - len(rows)
    more = f"<p>{left:,} more are in campaign.json alone.</p>" if left else ""
    summary = f"{counted(len(cells), 'cell')} in forks alone, and in the forks of how many lives"
    return f"<details><summary>{summary}</summary>{table(CELL, rows, 'measured')}{more}</details>"


def _row(columns: Sequence[str], cells: Iterable[str]) -> str:
    return f"<tr>{named_cells(columns, cells)}</tr>"
