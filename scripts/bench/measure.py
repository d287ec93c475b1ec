"""Measuring: floor and ours in turns within one run, many rounds, medians. Not for asserting anything.

Absolute times move by a factor of two between runs of a shared machine; ratios within one run hold to about
15 percent. So every row is a ratio to a floor that was measured between our own rounds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

NS_PER_US = 1_000
NS_PER_MS = 1_000_000


class Row(NamedTuple):
    """One line of the table. Times are medians in `unit`; `goal` is the largest ratio that we want."""

    what: str
    floor_name: str
    floor: float
    ours: float
    unit: str
    goal: float
    limit: float | None = None  # a goal in absolute time besides the ratio, in `unit`

    @property
    def ratio(self) -> float:
        return self.ours / self.floor

    @property
    def reached(self) -> bool:
        return self.ratio <= self.goal and (self.limit is None or self.ours <= self.limit)


def interleaved(
    subjects: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    calls: int = 1,
    tidy: Callable[[], object] = lambda: None,
    of: Callable[[Iterable[float]], float] = statistics.median,
) -> dict[str, float]:
    """Time of one call of each subject, in ns: in every round each subject runs `calls` times.

    `of`: which of the rounds counts; min is for what has a limit in absolute time, which a busy machine only
    lengthens. `tidy` ends what a subject has left running; its time is nobody's.
    """
    taken: dict[str, list[float]] = {name: [] for name in subjects}
    for subject in subjects.values():  # the first call derives, imports and fills caches
        subject()
        tidy()
    for number in range(rounds):
        # Every other round goes backwards, so that nobody always runs behind the same neighbour.
        for name in list(subjects)[:: 1 if number % 2 else -1]:
            subject = subjects[name]
            start = time.perf_counter_ns()
            for _ in range(calls):
                subject()
            taken[name].append((time.perf_counter_ns() - start) / calls)
            tidy()
    return {name: of(times) for name, times in taken.items()}


def table(rows: list[Row]) -> str:
    """The rows as text, aligned."""
    cells = [("what", "floor", "", "ours", "", "ratio", "goal", "")]
    for row in rows:
        goal = f"{row.goal:g}x" + (f", {row.limit:g} {row.unit}" if row.limit is not None else "")
        cells.append(
            (
                row.what,
                row.floor_name,
                f"{row.floor:.2f} {row.unit}",
                f"{row.ours:.2f} {row.unit}",
                "",
                f"{row.ratio:.2f}x",
                goal,
                "reached" if row.reached else "missed",
            )
        )
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in {2, 3, 5} else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            if width
        ).rstrip()
        for line in cells
    )
