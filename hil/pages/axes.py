"""Axes of drawings in SVG: from one round number to another, with round numbers between, a grid and names."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.pages.page_text import page_text

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH: Final = 640
HEIGHT: Final = 300
LEFT: Final = 76
RIGHT: Final = 28
TOP: Final = 12
BOTTOM: Final = 44
"""Of a drawing and the margins around its axes, in pixels."""
_TICKS: Final = 5
_WRITTEN_OUT: Final = 8
"""Digits before and behind the point up to which numbers are written without a power of ten."""
_FLAT: Final = 1e-6
_STEPS: Final = (1, 2, 5, 10)


class Axis(NamedTuple):
    """A range of numbers along some pixels, and the numbers that stand beside it."""

    low: float
    high: float
    ticks: tuple[float, ...]
    from_px: float
    to_px: float

    def place(self, value: float) -> str:
        """Where a value lies, in pixels."""
        part = (value - self.low) / (self.high - self.low)
        return f"{self.from_px + part * (self.to_px - self.from_px):.1f}"


def axis_of(values: Sequence[float], from_px: float, to_px: float, *, room: float = 0.0) -> Axis:
    """From one round number to another, with round numbers between.

    `room` is kept free at both ends, as a part of the whole, but for a line at 0.
    """
    low, high = min(values), max(values)
    if high - low < _FLAT * max(abs(low), abs(high)) or low == high:  # what differs so little is one value
        around = abs(low) / 20 or 1.0
        low, high = low - around, high + around
    free = room * (high - low)
    low, high = low - free * (low != 0), high + free * (high != 0)
    step = _round_step((high - low) / _TICKS)
    first, last = math.floor(low / step), math.ceil(high / step)
    ticks = tuple(float(number * step) for number in range(first, last + 1))
    return Axis(ticks[0], ticks[-1], ticks, from_px, to_px)


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in _STEPS if step * power >= least * (1 - 1e-9))


def grid_of(x_axis: Axis, y_axis: Axis, x_words: Sequence[str] = ()) -> str:
    """The lines at the numbers of both axes, and the numbers, or what is said instead of those below."""
    left, right = x_axis.from_px, x_axis.to_px
    bottom, top = y_axis.from_px, y_axis.to_px
    parts = []
    for value, words in zip(y_axis.ticks, tick_words(y_axis.ticks), strict=True):
        y = y_axis.place(value)
        parts.append(f'<path class="grid" d="M{left} {y}H{right}"/>')
        parts.append(f'<text x="{left - 6}" y="{y}" dy=".32em" text-anchor="end">{words}</text>')
    for value, words in zip(x_axis.ticks, x_words or tick_words(x_axis.ticks), strict=True):
        x = x_axis.place(value)
        parts.append(f'<path class="grid" d="M{x} {bottom}V{top}"/>')
        parts.append(f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{words}</text>')
    parts.append(f'<path class="axis" d="M{left} {top}V{bottom}H{right}"/>')
    return "".join(parts)


def tick_words(ticks: Sequence[float]) -> list[str]:
    """The numbers beside an axis, all with as many digits as tell them apart."""
    step = ticks[1] - ticks[0]
    digits = -math.floor(math.log10(step) + 1e-9)
    if max(map(abs, ticks)) < 10**_WRITTEN_OUT and digits < _WRITTEN_OUT:
        return [f"{value + 0.0:.{max(digits, 0)}f}" for value in ticks]
    return [f"{value:.6g}" for value in ticks]


def names_of_axes(below: str, beside: str) -> str:
    """What stands below the one axis and beside the other."""
    across, middle = (LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2
    return (
        f'<text x="{across:.0f}" y="{HEIGHT - 6}" text-anchor="middle">{page_text(below)}</text>'
        f'<text transform="translate(14 {middle:.0f}) rotate(-90)" text-anchor="middle">{page_text(beside)}</text>'
    )
