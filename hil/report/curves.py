"""Series of measurements as inline SVG: axes with units, limits, a legend, and lines told apart without colour too.

A few lines of our own, since matplotlib is an extra and a page of a report has to have its curves without it. No
numbers are lost in silence: what is no number leaves a gap in its line, and how many there are stands below.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from hil.pages.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis, axis_of, grid_of, names_of_axes
from hil.pages.page_text import page_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Plain = Mapping[str, Any]
    """A measurement as `hil.measurement.as_plain` has it."""
    Point = tuple[float, float]

LINES_MAX: Final = 8
"""In one drawing; more of them nobody tells apart."""
_POINTS_MAX: Final = 300
_ROOM: Final = 0.03
"""So that no line lies on the edge."""
# A colour that is dark on white, a pattern for print in grey, and a shape at each point.
_LOOKS: Final = (
    ("#0b5394", "", "circle"),
    ("#b45309", "7 4", "square"),
    ("#4a1486", "2 3", "triangle"),
    ("#0f766e", "10 3 2 3", "circle"),
    ("#9d174d", "4 2", "square"),
    ("#374151", "1 4", "triangle"),
    ("#3f6212", "12 4", "circle"),
    ("#7c2d12", "6 2 1 2", "square"),
)
_LIMIT_COLOUR: Final = "#b42318"
_MARGINAL_COLOUR: Final = "#9a6700"
_MARKED_MAX: Final = 40
"""Of how many points at most each gets its shape."""


def drawings_of(measurements: Iterable[Plain]) -> list[str]:
    """A figure for each group of series that share a unit and what they run against; none where nothing is a series."""
    groups: dict[tuple[str, str], list[Plain]] = {}
    for each in measurements:
        if each["series"]:
            groups.setdefault((str(each["unit"]), str(each["against"])), []).append(each)
    return [
        _figure(unit, against, members[at : at + LINES_MAX])
        for (unit, against), members in groups.items()
        for at in range(0, len(members), LINES_MAX)
    ]


def _figure(unit: str, against: str, members: Sequence[Plain]) -> str:
    lines = [_numbers(each["series"]) for each in members]
    points = [point for line in lines for part in line for point in part]
    names = ", ".join(str(each["name"]) for each in members)
    unread = sum(len(each["series"]) for each in members) - len(points)
    missing = f" Values that are no numbers: {unread}." if unread else ""
    said = f"<figcaption>{page_text(names)}, in {page_text(unit)}.{missing}</figcaption>"
    if not points:
        return f'<figure class="curve">{said}</figure>'
    limits = list(dict.fromkeys(limit for each in members for limit in _limits_of(each)))
    x_axis = axis_of([x for x, _ in points], LEFT, WIDTH - RIGHT)
    heights = [y for _, y in points] + [y for y, *_ in limits]
    y_axis = axis_of(heights, HEIGHT - BOTTOM, TOP, room=_ROOM)
    parts = [grid_of(x_axis, y_axis), *(_limit(y_axis, *limit) for limit in limits)]
    parts += [_line(line, x_axis, y_axis, *look) for line, look in zip(lines, _LOOKS, strict=False)]
    parts.append(names_of_axes(_with_unit(against), unit))
    keys = [_key(str(each["name"]), *look) for each, look in zip(members, _LOOKS, strict=False)]
    keys += [
        _key(words, colour, dash, "") for words, colour, dash in dict.fromkeys(limit[1:] for limit in limits)
    ]
    return (
        f'<figure class="curve"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{page_text(names)}">{"".join(parts)}</svg>'
        f'<ul class="keys">{"".join(keys)}</ul>{said}</figure>'
    )


def _numbers(series: Iterable[Sequence[Any]]) -> list[list[Point]]:
    """The points in parts without a gap: JSON has the name of what is no number. Few enough to be drawn."""
    parts: list[list[Point]] = [[]]
    for x, y in series:
        if isinstance(x, str) or isinstance(y, str) or not (math.isfinite(x) and math.isfinite(y)):
            parts.append([])
        else:
            parts[-1].append((float(x), float(y)))
    return [part for part in parts if part]


def _fewer(points: list[Point]) -> list[Point]:
    """The points, or of so many that they would lie on each other the lowest and the highest of each stretch."""
    if len(points) <= _POINTS_MAX:
        return points
    stretch = -(-len(points) * 2 // _POINTS_MAX)
    kept = []
    for at in range(0, len(points), stretch):
        of_stretch = range(at, min(at + stretch, len(points)))
        ends = {min(of_stretch, key=lambda n: points[n][1]), max(of_stretch, key=lambda n: points[n][1])}
        kept += [points[n] for n in sorted(ends)]
    return kept


def _limits_of(measurement: Plain) -> list[tuple[float, str, str, str]]:
    """Each limit of a series: where it lies, what it is called, colour and pattern."""
    kinds = (
        (("lowest", "highest"), "limit", _LIMIT_COLOUR, "8 3"),
        (("marginal_lowest", "marginal_highest"), "marginal beyond", _MARGINAL_COLOUR, "3 3"),
    )
    return [
        (float(measurement[key]), words, colour, dash)
        for keys, words, colour, dash in kinds
        for key in keys
        if measurement[key] is not None and math.isfinite(measurement[key])
    ]


def _limit(y_axis: Axis, value: float, _words: str, colour: str, dash: str) -> str:
    y = y_axis.place(value)
    return (
        f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}" fill="none" stroke="{colour}" stroke-width="1.5" '
        f'stroke-dasharray="{dash}"/>'
    )


def _line(parts: list[list[Point]], x_axis: Axis, y_axis: Axis, colour: str, dash: str, shape: str) -> str:
    kept = [_fewer(part) for part in parts]
    d = "".join(
        "M" + "L".join(f"{x_axis.place(x)} {y_axis.place(y)}" for x, y in part) for part in kept if part
    )
    line = f'<path d="{d}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/>'
    marked = [point for part in kept for point in part]
    if len(marked) > _MARKED_MAX:  # only of those that have no line
        marked = [part[0] for part in kept if len(part) == 1]
    return line + "".join(_shape(shape, x_axis.place(x), y_axis.place(y), colour) for x, y in marked)


def _shape(shape: str, x: str, y: str, colour: str) -> str:
    if shape == "circle":
        return f'<circle cx="{x}" cy="{y}" r="3.5" fill="{colour}"/>'
    outline = "M{x} {y}m-3.2-3.2h6.4v6.4h-6.4z" if shape == "square" else "M{x} {y}m0-4.4l4.2 7.4h-8.4z"
    return f'<path d="{outline.format(x=x, y=y)}" fill="{colour}"/>'


def _key(words: str, colour: str, dash: str, shape: str) -> str:
    mark = _shape(shape, "16", "7", colour) if shape else ""
    return (
        f'<li><svg width="32" height="14" viewBox="0 0 32 14" aria-hidden="true"><path d="M0 7H32" fill="none" '
        f'stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/>{mark}</svg> {page_text(words)}</li>'
    )


def _with_unit(name: str) -> str:
    """`window_h` as people read it: `window, in h`."""
    words, _, unit = name.rpartition("_")
    return f"{words.replace('_', ' ')}, in {unit}" if words else name
