"""How values of one kind are spread: quantiles, and a histogram as inline SVG in units that people read."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.pages.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis, axis_of, grid_of, names_of_axes
from hil.pages.page_text import page_text
from hil.quantity_words import counted, decimal_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

BARS: Final = 25
"""About so many in a drawing."""
QUANTILES: Final = (5, 25, 50, 75, 95)
"""In percent; the 50th is the median."""
_TIMES: Final = (
    ("ms", 1), ("s", 1_000), ("min", 60_000), ("h", 3_600_000), ("d", 86_400_000)
)  # fmt: skip
_MARKS_MS: Final = {
    "1 ms": 1,
    "100 ms": 100,
    "1 s": 1_000,
    "10 s": 10_000,
    "1 min": 60_000,
    "10 min": 600_000,
    "1 h": 3_600_000,
    "6 h": 21_600_000,
    "1 d": 86_400_000,
    "7 d": 604_800_000,
    "30 d": 2_592_000_000,
    "180 d": 15_552_000_000,
    "3 a": 94_608_000_000,
}
"""Where a logarithmic axis of time has its lines."""
_WIDE: Final = 30
"""From this factor between its ends on, an axis of time is logarithmic."""
_FAR: Final = 4
_FACTOR: Final = 10
"""Values farther out than so many times the middle 98 %, or its ends, are not drawn, and counted instead."""
_DRAWN_FROM: Final = 5
"""So many values make a drawing."""
_BAR: Final = "#0b5394"
_MEDIAN: Final = ("#b42318", "", "median")
_NINETY_FIVE: Final = ("#b45309", "7 4", "95 % are below")


class Spread(NamedTuple):
    """A distribution in a few numbers."""

    number: int
    """How many values."""
    lowest: int
    quantiles: tuple[int, ...]
    """Those of QUANTILES; each is one of the values."""
    highest: int


def spread_of(values: Iterable[int]) -> Spread:
    """What few numbers say of many; there must be one at least."""
    row = sorted(values)
    return Spread(len(row), row[0], tuple(_quantile(row, each) for each in QUANTILES), row[-1])


def value_words(name: str, value: int) -> str:
    """A value as people read it, by the unit that its name ends with."""
    unit = name.rpartition("_")[2]
    if unit == "ms":
        return _time_words(value)
    if unit == "nl":
        return (
            f"{decimal_text(value // 1_000, 3)} mL"
            if abs(value) >= 100_000
            else f"{decimal_text(value, 3)} µL"
        )
    if unit == "ppm":
        return f"{decimal_text(value // 100, 2)} %"
    return f"{value} {unit}"


def _time_words(value_ms: int) -> str:
    """A time by its two largest units."""
    sign, rest_ms = "-" if value_ms < 0 else "", abs(value_ms)
    parts = []
    for unit, size_ms in reversed(_TIMES):
        count, rest_ms = divmod(rest_ms, size_ms)
        if count:
            parts.append(f"{count} {unit}")
        if len(parts) == 2 or (parts and not count):
            break
    return sign + (" ".join(parts) or "0 ms")


def histogram(name: str, meaning: str, values: Sequence[int]) -> str:
    """A figure: bars, median, and the value below which 95 % lie; what is too far out is counted below it.

    Of few values they themselves are said.
    """
    row = sorted(values)
    if len(row) < _DRAWN_FROM:
        drawing, said = "", f"{', '.join(value_words(name, value) for value in row)}."
    else:
        drawing, said = _drawing(name, row)
    return (
        f'<figure class="curve" id="m-{page_text(name)}"><h3>{page_text(title_of(name))}</h3>'
        f"<p>{page_text(meaning)}</p>{drawing}<figcaption>{page_text(said)}</figcaption></figure>"
    )


def _drawing(name: str, row: Sequence[int]) -> tuple[str, str]:
    """The drawing of values in their order with what its lines mean, and what is said below it."""
    wide = _is_wide(name, row)
    drawn, beyond = _near(row, by_factor=wide)
    scale = _logarithmic(drawn) if wide else _linear(name, drawn)
    counts = scale.counts(drawn)
    y_axis = axis_of((0.0, float(max(counts))), HEIGHT - BOTTOM, TOP)
    if y_axis.ticks[1] < 1:  # no half values
        y_axis = axis_of((0.0, 5.0), HEIGHT - BOTTOM, TOP)
    bars = [
        f'<path fill="{_BAR}" d="M{scale.axis.place(left)} {y_axis.place(0)}V{y_axis.place(count)}'
        f'H{scale.axis.place(right)}V{y_axis.place(0)}z"><title>{page_text(_bar_words(scale, left, right, count))}'
        "</title></path>"
        for (left, right), count in zip(scale.bars, counts, strict=True)
        if count
    ]
    spread = spread_of(row)
    marked = [(spread.quantiles[2], *_MEDIAN), (spread.quantiles[4], *_NINETY_FIVE)]
    lines = [
        f'<path d="M{scale.axis.place(scale.of(value))} {HEIGHT - BOTTOM}V{TOP}" fill="none" stroke="{colour}" '
        f'stroke-width="2" stroke-dasharray="{dash}"/>'
        for value, colour, dash, _ in marked
        if drawn[0] <= value <= drawn[-1]
    ]
    keys = "".join(
        f'<li><svg width="32" height="14" viewBox="0 0 32 14" aria-hidden="true"><path d="M0 7H32" fill="none" '
        f'stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/></svg> '
        f"{page_text(f'{words}: {value_words(name, value)}')}</li>"
        for value, colour, dash, words in marked
    )
    ends = f"{value_words(name, spread.lowest)} to {value_words(name, spread.highest)}"
    said = f"{counted(spread.number, 'value')}, {ends}.{beyond}"
    drawing = (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{page_text(f"{title_of(name)}: {said}")}">'
        f"{grid_of(scale.axis, y_axis, scale.words)}{''.join(bars)}{''.join(lines)}"
        f'{names_of_axes(scale.said, "how often")}</svg><ul class="keys">{keys}</ul>'
    )
    return drawing, said


def title_of(name: str) -> str:
    """The name of what was measured, without its unit, in words."""
    return name.rpartition("_")[0].replace("_", " ").capitalize() + (
        ", in part" if name.endswith("ppm") else ""
    )


class _Scale(NamedTuple):
    """An axis below, and the edges of the bars on it."""

    axis: Axis
    words: tuple[str, ...]
    """At its lines; none: their numbers."""
    said: str
    edges: tuple[float, ...]
    unit: float
    """How many of a value's units one of the axis is; 0: it is logarithmic."""

    def of(self, value: float) -> float:
        return value / self.unit if self.unit else math.log10(max(value, 1))

    @property
    def bars(self) -> list[tuple[float, float]]:
        return list(zip(self.edges, self.edges[1:], strict=False))

    def counts(self, values: Iterable[int]) -> list[int]:
        counts = [0] * (len(self.edges) - 1)
        for value in values:
            at = bisect_right(self.edges, self.of(value) + 1e-12) - 1
            counts[min(max(at, 0), len(counts) - 1)] += 1
        return counts


def _linear(name: str, row: Sequence[int]) -> _Scale:
    unit, words = _unit_of(name, max(abs(row[0]), abs(row[-1])))
    axis = axis_of((row[0] / unit, row[-1] / unit), LEFT, WIDTH - RIGHT)
    step = axis.ticks[1] - axis.ticks[0]
    parts = max(1, round(BARS / (len(axis.ticks) - 1)))
    count = parts * (len(axis.ticks) - 1)
    edges = tuple(axis.low + step / parts * each for each in range(count + 1))
    return _Scale(axis, (), words, edges, unit)


def _logarithmic(row: Sequence[int]) -> _Scale:
    below = [ms for ms in _MARKS_MS.values() if ms <= row[0]]
    above = [ms for ms in _MARKS_MS.values() if ms >= row[-1]]
    low, high = (below or [1])[-1], (above or [row[-1]])[0]
    marks = {words: ms for words, ms in _MARKS_MS.items() if low <= ms <= high}
    ends = (math.log10(low), math.log10(high))
    axis = Axis(*ends, tuple(map(math.log10, marks.values())), LEFT, WIDTH - RIGHT)
    width = (ends[1] - ends[0]) / BARS
    edges = tuple(ends[0] + width * each for each in range(BARS + 1))
    return _Scale(axis, tuple(marks), "time, logarithmic", edges, 0)


def _unit_of(name: str, largest: int) -> tuple[float, str]:
    """How many of a value's units one of the axis is, and what that is called."""
    unit = name.rpartition("_")[2]
    if unit == "ms":
        words, size = next((each for each in reversed(_TIMES) if largest >= 3 * each[1]), _TIMES[0])
        return size, f"time in {words}"
    if unit == "nl":
        return (1_000_000, "volume in mL") if largest >= 300_000 else (1_000, "volume in µL")
    return (10_000, "percent") if unit == "ppm" else (1, unit)


def _near(row: Sequence[int], *, by_factor: bool) -> tuple[Sequence[int], str]:
    """The values without the few that would leave no room for the others, and what is said of those."""
    low, high = _quantile(row, 1), _quantile(row, 99)
    if by_factor:
        low, high = low if row[0] * _FACTOR < low else row[0], high if row[-1] > high * _FACTOR else row[-1]
    elif row[-1] - row[0] <= _FAR * (high - low) or low == high:
        return row, ""
    near = [value for value in row if low <= value <= high]
    below, above = sum(value < low for value in row), sum(value > high for value in row)
    return near, f" Not drawn, as too far out: {below} below, {above} above." if below or above else ""


def _is_wide(name: str, row: Sequence[int]) -> bool:
    return name.endswith("_ms") and row[0] > 0 and row[-1] > _WIDE * row[0]


def _quantile(row: Sequence[int], percent: int) -> int:
    return row[min(len(row) - 1, len(row) * percent // 100)]


def _bar_words(scale: _Scale, left: float, right: float, count: int) -> str:
    if scale.unit:
        return f"{left:.6g} to {right:.6g}: {count}"
    return f"{_time_words(round(10**left))} to {_time_words(round(10**right))}: {count}"
