"""A cohort on the page of a campaign, beside what is published."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.campaign.cohort_told import conclusion_lines, size_line
from hil.campaign.report.distribution import value_words
from hil.pages.html_page import named_cells, table
from hil.pages.page_text import page_text

if TYPE_CHECKING:
    from hil.campaign.cohort_told import CohortPart

COLUMNS = ("Given beyond the program", "Mean", "Standard deviation", "How many", "Published", "Of")


def cohort_html(part: CohortPart) -> str:
    """A part of the page with its heading."""
    rows = []
    for each in part["figures"]:
        cells = (
            each["meaning"],
            value_words("_ppm", each["mean_ppm"]),
            value_words("_ppm", each["sd_ppm"]),
            str(each["count"]),
            value_words("_ppm", each["published_ppm"]),
            each["published_of"],
        )
        rows.append(f"<tr>{named_cells(COLUMNS, map(page_text, cells))}</tr>")
    said = "".join(f"<li>{page_text(line)}</li>" for line in conclusion_lines(part))
    head = f'<h2 id="cohort">The cohort</h2><p>{page_text(size_line(part))}</p>'
    return f"{head}{table(COLUMNS, rows, 'measured')}<ul>{said}</ul>"
