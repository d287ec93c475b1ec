"""The traceability matrix of a run as CSV: a line for each requirement and test, and for each that has none."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Final

from hil.errors import in_one_line
from hil.report.requirements import Shown
from hil.report.summary import DID_NOT_RUN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hil.report.requirements import Row

COLUMNS: Final = (
    "requirement", "sentence", "source", "verified_by", "evidence", "shown", "test", "outcome", "accused", "reason"
)  # fmt: skip
_FORMULA: Final = ("=", "+", "-", "@")


def csv_of(rows: Iterable[Row]) -> str:
    """The whole table, with a header; text that a spreadsheet would take for a formula has an apostrophe before it."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in rows:
        for test in _tests(row):
            writer.writerow([_cell(each) for each in (*row.requirement, row.shown.value, *test)])
    return text.getvalue()


def _tests(row: Row) -> Iterator[tuple[str, str, str, str]]:
    for test in row.tests:
        yield test.name, test.verdict.value, test.accused, test.reason
    for name in row.missing:
        yield name, DID_NOT_RUN, "", ""
    for name in row.not_chosen:
        yield name, Shown.NOT_CHOSEN.value, "", ""
    if not (row.tests or row.missing or row.not_chosen):
        yield "", "", "", ""


def _cell(text: str) -> str:
    line = in_one_line(text)
    return f"'{line}" if line.startswith(_FORMULA) else line
