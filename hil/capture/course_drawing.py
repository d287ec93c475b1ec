"""Draws the course of a recording: rate, reservoir, and by name what happened, one under the other on one time axis."""

from __future__ import annotations

import html
import itertools
import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hil.plotting import ALARM, BELIEVED, FAULT, MOMENT, PROGRAMMED, ROW_IN, TRUE, WIDTH_IN, render
from hil.quantity_words import are, counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hil.capture.course import Course, Point, Row, Stretch

NL_PER_ML: Final = 1_000_000
CURVES_IN: Final = 4.6
COLOURS: Final = {
    "state": "#6b4c9a", "bolus": TRUE, "alarm": ALARM, "fault": FAULT, "event": MOMENT, "link": "#555555",
}  # fmt: skip
GROUP_NAMES: Final = {
    "state": "state of therapy", "bolus": "bolus", "alarm": "alarm", "fault": "fault", "event": "pump's world",
    "link": "error of the link",
}  # fmt: skip
UNITS: Final = (
    ("days", 86_400_000, 3 * 86_400_000),
    ("h", 3_600_000, 2 * 3_600_000),
    ("min", 60_000, 120_000),
)
"""Units of the time axis, and from how long a recording on they are used; below them seconds."""
MOST_POINTS: Final = 2_000
"""Of a curve: no eye and no page can use more; what is thinned keeps its highest and lowest."""
MOST_ROWS: Final = 40
MOST_STRETCHES: Final = 2_000
"""In all rows together."""
MOST_SAID: Final = 200
"""Characters that are said of one of them."""
MOST_LISTED: Final = 400
SHORTEST: Final = 1 / 300
"""Of the axis: what is shorter is drawn as long as that."""


class Axis(NamedTuple):
    """The time axis: its unit and where it begins and ends in it."""

    unit: str
    unit_ms: int
    begins: float
    ends: float

    def at(self, time_ms: float) -> float:
        """A time in the unit of the axis."""
        return time_ms / self.unit_ms


class Picture(NamedTuple):
    """What is drawn, thinned so that it stays readable and small."""

    title: str
    axis: Axis
    by_pump: bool
    rate: list[Point]
    believed: list[Point]
    true: list[Point]
    rows: list[Row]
    labels: list[str]
    """Of the rows, with how many of its kind there are."""
    notes: list[str]
    """What a reader must know of it: what could not be read, and what is not drawn."""


def picture_of(course: Course, title: str) -> Picture:
    """The picture of a course."""
    span_ms = max(course.ends_ms - course.begins_ms, 1.0)
    unit, unit_ms = next(((name, size) for name, size, least in UNITS if span_ms >= least), ("s", 1_000))
    margin_ms = 0.01 * span_ms
    axis = Axis(
        unit, unit_ms, (course.begins_ms - margin_ms) / unit_ms, (course.ends_ms + margin_ms) / unit_ms
    )
    shown = course.rows[:MOST_ROWS]
    most = MOST_STRETCHES // max(len(shown), 1)
    rows = [row._replace(stretches=_thinned_stretches(row.stretches, span_ms, most)) for row in shown]
    notes = []
    if course.sealed:
        frames = counted(course.sealed, "sealed frame")
        notes.append(f"{frames} that no key opens {are(course.sealed)} not in it")
    if course.damage:
        notes.append(f"the file is damaged in {counted(course.damage, 'place')}")
    if len(course.rows) > MOST_ROWS:
        notes.append(f"{len(course.rows) - MOST_ROWS} more rows are not drawn")
    labels = [f"{row.name} ({len(row.stretches)})" if len(row.stretches) > 1 else row.name for row in shown]
    return Picture(
        title,
        axis,
        course.by_pump,
        _thinned(course.rate_nl_per_day),
        _thinned(course.reservoir_calc_nl),
        _thinned(course.reservoir_true_nl),
        rows,
        labels,
        notes,
    )


def draw_course(picture: Picture, form: str) -> bytes:
    """The picture as PNG, SVG, or one HTML page that holds all that it needs; `form` is the ending of its file."""
    size_in = (WIDTH_IN, CURVES_IN + ROW_IN * max(len(picture.rows), 2) + 0.9)
    if form != ".html":
        return render(form, size_in, lambda figure: _draw(figure, picture))
    panels: list[Any] = []
    svg = render(".svg", size_in, lambda figure: panels.extend(_draw(figure, picture))).decode()
    places = [tuple(panel.get_position().bounds) for panel in panels]  # known once it is drawn
    return _page(picture, svg[svg.index("<svg") :], places).encode()


# --- thinning -------------------------------------------------------------------------------------------------------


def _thinned(points: Sequence[Point]) -> list[Point]:
    """At most so many points: of each part the first, the lowest, the highest and the last."""
    if len(points) <= MOST_POINTS:
        return list(points)
    part = -(-len(points) * 4 // MOST_POINTS)
    kept: list[Point] = []
    for at in range(0, len(points), part):
        piece = points[at : at + part]
        known = [each for each in piece if each.value is not None] or list(piece)
        lowest = min(known, key=lambda each: each.value or 0)
        highest = max(known, key=lambda each: each.value or 0)
        chosen = {id(each) for each in (piece[0], lowest, highest, piece[-1])}
        kept += [each for each in piece if id(each) in chosen]
    return kept


def _thinned_stretches(stretches: Sequence[Stretch], span_ms: float, most: int) -> list[Stretch]:
    """Those that cannot be told apart are drawn as one, where there are more than a picture has room for."""
    kept: list[Stretch] = []
    for each in stretches:
        last = kept[-1] if kept else None
        if len(stretches) > most and last is not None and each.begins_ms - last.begins_ms <= span_ms / most:
            open_ended = None in (last.ends_ms, each.ends_ms)
            ends_ms = None if open_ended else max(last.ends_ms or 0, each.ends_ms or 0)
            kept[-1] = last._replace(ends_ms=ends_ms, says="and more, as near to each other")
        else:
            kept.append(each._replace(says=each.says[:MOST_SAID]))
    return kept


# --- drawing --------------------------------------------------------------------------------------------------------


def _draw(figure: Any, picture: Picture) -> list[Any]:
    """Draw all of it; returns the panels from above."""
    rows_in = ROW_IN * max(len(picture.rows), 2)
    panels = list(
        figure.subplots(3, 1, sharex=True, height_ratios=[CURVES_IN * 0.45, CURVES_IN * 0.55, rows_in])
    )
    rate, reservoir, marks = panels
    figure.suptitle(picture.title)
    _draw_rate(rate, picture)
    _draw_reservoir(reservoir, picture)
    for panel in (rate, reservoir):
        _shade(panel, picture)
        panel.grid(visible=True, color="#dddddd", linewidth=0.6)
        panel.set_axisbelow(True)
    _draw_rows(marks, picture)
    marks.set_xlim(picture.axis.begins, picture.axis.ends)
    clock = "pump time" if picture.by_pump else "time on the line since the first packet"
    marks.set_xlabel("\n".join([f"{clock}, {picture.axis.unit}", *picture.notes]))
    marks.locator_params(axis="x", nbins=16, steps=[1, 2, 5, 10])
    return panels


def _draw_rate(panel: Any, picture: Picture) -> None:
    panel.set_title("Programmed rate", loc="left")
    panel.set_ylabel("rate, mL/day")
    _curve(
        panel, picture, picture.rate, color=PROGRAMMED, linewidth=1.6, drawstyle="steps-post", label="rate"
    )
    _fit(panel, picture.rate)


def _draw_reservoir(panel: Any, picture: Picture) -> None:
    panel.set_title("Reservoir", loc="left")
    panel.set_ylabel("volume, mL")
    _curve(
        panel,
        picture,
        picture.believed,
        color=BELIEVED,
        linewidth=1.6,
        linestyle="--",
        marker="." if len(picture.believed) <= 200 else None,
        label="what the pump believes",
    )
    if picture.true:
        _curve(
            panel,
            picture,
            picture.true,
            color=TRUE,
            linestyle="none",
            marker="D",
            markersize=6,
            label="true volume, when it was filled by hand",
        )
    _fit(panel, [*picture.believed, *picture.true])
    _legend(panel)


def _fit(panel: Any, points: Iterable[Point]) -> None:
    """From zero to above the highest; and a word where nothing is known."""
    values = [each.value / NL_PER_ML for each in points if each.value is not None]
    panel.set_ylim(0, 1.08 * max(values) if any(values) else 1)
    if not values:
        panel.text(
            0.5, 0.5, "not told in this recording", transform=panel.transAxes, ha="center", color="#888888"
        )


def _curve(panel: Any, picture: Picture, points: Sequence[Point], **style: Any) -> None:
    panel.plot(
        [picture.axis.at(each.at_ms) for each in points],
        [float("nan") if each.value is None else each.value / NL_PER_ML for each in points],
        **style,
    )


def _shade(panel: Any, picture: Picture) -> None:
    """Where an alarm or a fault was on, the curves are shaded."""
    for group in ("alarm", "fault"):
        bars = [
            _ends(each, picture.axis) for row in picture.rows if row.group == group for each in row.stretches
        ]
        panel.broken_barh(
            _joined(bars), (0, 1), transform=panel.get_xaxis_transform(), color=COLOURS[group], alpha=0.08,
            linewidth=0, zorder=0,
        )  # fmt: skip


def _joined(bars: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Beginnings and lengths of what bars cover together."""
    found: list[tuple[float, float]] = []
    for begins, ends in sorted(bars):
        if found and begins <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], ends))
        else:
            found.append((begins, ends))
    return [(begins, ends - begins) for begins, ends in found]


def _ends(stretch: Stretch, axis: Axis) -> tuple[float, float]:
    """Where it is drawn, in the unit of the axis."""
    shown = axis.ends - axis.begins
    begins = axis.at(stretch.begins_ms)
    ends = axis.ends if stretch.ends_ms is None else axis.at(stretch.ends_ms)
    return begins, max(ends, begins + SHORTEST * shown)


def _draw_rows(panel: Any, picture: Picture) -> None:
    panel.set_title("What happened", loc="left")
    panel.set_yticks(range(len(picture.rows)), picture.labels)
    panel.set_ylim(max(len(picture.rows), 1) - 0.4, -0.6)  # the first row on top
    panel.grid(visible=True, axis="x", color="#dddddd", linewidth=0.6)
    panel.set_axisbelow(True)
    for at, row in enumerate(picture.rows):
        bars = [_ends(each, picture.axis) for each in row.stretches]
        panel.broken_barh(
            [(begins, ends - begins) for begins, ends in bars], (at - 0.28, 0.56), color=COLOURS[row.group]
        )
    for group in dict.fromkeys(row.group for row in picture.rows):
        panel.plot([], [], color=COLOURS[group], linewidth=6, label=GROUP_NAMES[group])
    if picture.rows:
        _legend(panel)
    else:
        panel.text(0.5, 0.5, "nothing", transform=panel.transAxes, ha="center", color="#888888")


def _legend(panel: Any) -> None:
    panel.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=6, frameon=False, borderaxespad=0.1)


# --- the page -------------------------------------------------------------------------------------------------------

_STYLE: Final = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5em auto; max-width: 1200px; padding: 0 1em; color: #222; }
figure { margin: 0; position: relative; min-width: 640px; } .wide { overflow-x: auto; }
svg { width: 100%; height: auto; display: block; }
#line { position: absolute; width: 1px; background: #b22234; pointer-events: none; display: none; }
#read { min-height: 3em; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; white-space: nowrap; }
td, th { padding: .15em .8em; text-align: left; border-bottom: 1px solid #ddd; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
"""
_SCRIPT: Final = """
const d = JSON.parse(document.getElementById('data').textContent), f = document.querySelector('figure'),
  line = document.getElementById('line'), read = document.getElementById('read');
const before = (points, t) => { let v = null; for (const p of points) { if (p[0] > t) break; v = p[1]; } return v; };
f.addEventListener('mousemove', e => {
  const box = f.getBoundingClientRect(), x = (e.clientX - box.left) / box.width;
  const part = (x - d.left) / d.width;
  if (part < 0 || part > 1) { line.style.display = 'none'; return; }
  const t = d.begins + part * (d.ends - d.begins), near = (d.ends - d.begins) / 300;
  line.style.cssText = `display:block;left:${e.clientX - box.left}px;top:${d.top * box.height}px;` +
    `height:${d.height * box.height}px`;
  const said = [`${t.toFixed(3)} ${d.unit}`];
  for (const [name, points] of d.curves) {
    const v = before(points, t); if (v !== null) said.push(`${name} ${+v.toFixed(6)}`);
  }
  for (const [name, begins, ends, says] of d.spans)
    if (t >= begins - near && (ends === null || t <= Math.max(ends, begins + near)))
      said.push(name + (says ? ` (${says})` : ''));
  read.textContent = said.join(' \\u00b7 ');
});
f.addEventListener('mouseleave', () => { line.style.display = 'none'; });
"""


def _page(picture: Picture, svg: str, panels: Sequence[tuple[float, ...]]) -> str:
    """One page that needs nothing beside it: the picture, what the pointer is on, and a table of what happened."""
    axis = picture.axis
    left, bottom, width, _ = panels[-1]
    _, top_bottom, _, top_height = panels[0]
    spans = [
        (row.name, round(axis.at(each.begins_ms), 6), None if each.ends_ms is None else round(axis.at(each.ends_ms), 6),
         each.says, each.number, row.group)
        for row in picture.rows
        for each in row.stretches
    ]  # fmt: skip
    data = {
        "unit": axis.unit,
        "begins": axis.begins,
        "ends": axis.ends,
        "left": left,
        "width": width,
        "top": 1 - top_bottom - top_height,
        "height": top_bottom + top_height - bottom,
        "curves": [
            ("rate, mL/day:", _told(picture.rate, axis)),
            ("believed, mL:", _told(picture.believed, axis)),
        ],
        "spans": [span[:4] for span in spans],
    }
    listed = sorted(spans, key=lambda span: (round(span[1], 3), span[4]))[:MOST_LISTED]
    more = f"<p>and {len(spans) - len(listed)} more</p>" if len(spans) > len(listed) else ""
    rows = "".join(
        f"<tr><td class=n>{begins:.3f}</td><td class=n>{'' if ends is None else f'{ends:.3f}'}</td>"
        f"<td>{GROUP_NAMES[group]}</td><td>{html.escape(name)}</td><td>{html.escape(says)}</td>"
        f"<td class=n>{number}</td></tr>"
        for name, begins, ends, says, number, group in listed
    )
    title = html.escape(picture.title)
    told = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    heads = "".join(f"<th>{head}</th>" for head in (f"from, {axis.unit}", "to", "what", "name", "", "packet"))
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{_STYLE}</style></head><body>"
        f'<div class=wide><figure role="img" aria-label="{title}">{svg}<div id="line"></div></figure></div>'
        '<p id="read">Move over the picture to read values.</p>'
        f"<div class=wide><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>{more}"
        f'<script type="application/json" id="data">{told}</script><script>{_SCRIPT}</script></body></html>\n'
    )


def _told(points: Iterable[Point], axis: Axis) -> list[tuple[float, float | None]]:
    """Points in the units of the picture; of those that say the same again only the first and the last."""
    told = [
        (round(axis.at(each.at_ms), 6), None if each.value is None else each.value / NL_PER_ML)
        for each in points
    ]
    ends = itertools.chain((0,), (at for at in range(1, len(told)) if told[at][1] != told[at - 1][1]))
    return [told[at] for at in ends if told]
