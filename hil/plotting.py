"""Draws what a rig saw of a pump on one time axis, for people: reservoir, dose at the tip, faults and alarms by name.

The only place of matplotlib, which is there with `pumpbench[plot]`. No window is opened: it draws into files.
"""

from __future__ import annotations

import io
import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hil.errors import BadConfiguration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hil.rig_recording import Recording, Sample, Span

MS_PER_DAY: Final = 86_400_000
NL_PPM_PER_ML: Final = 10**12
FG_PPM_PER_MCG: Final = 10**15
NL_PER_ML: Final = 10**6
WIDTH_IN: Final = 11.0
CURVES_IN: Final = 6.0
ROW_IN: Final = 0.27
DOTS_PER_IN: Final = 120
FORMATS: Final = (".png", ".svg")
PAGE_FORMATS: Final = (*FORMATS, ".html")
NAMES_OF: Final = {FORMATS: "PNG or an SVG", PAGE_FORMATS: "PNG, an SVG or an HTML"}
TRUE, BELIEVED, PROGRAMMED, FAULT, ALARM, MOMENT = (
    "#1f5f9e", "#d1711a", "#333333", "#b22234", "#e09b00", "#2f7d4f",
)  # fmt: skip
# Texts stay texts in SVG, so that they can be searched and read aloud; the same data gives the same file.
SETTINGS: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "pumpbench",
    "text.parse_math": False,  # a title is a text, whatever it holds
    "font.size": 10,
    "axes.titlesize": 11,
}


class DayDose(NamedTuple):
    """The drug that left the tip within a day of the recording, or what there is of that day."""

    begins_ms: int
    ends_ms: int
    dose_mcg: Fraction


def daily_doses(samples: Sequence[Sample]) -> list[DayDose]:
    """Drug at the tip by days of pump time; within two samples it is taken as even."""
    first_ms, last_ms = samples[0].now_ms, samples[-1].now_ms
    midnights = range((first_ms // MS_PER_DAY + 1) * MS_PER_DAY, last_ms, MS_PER_DAY)
    edges = [first_ms, *midnights, last_ms] if last_ms > first_ms else []
    left = [_tip_fg_ppm(samples, edge) for edge in edges]
    return [
        DayDose(begins, ends, (after - before) / FG_PPM_PER_MCG)
        for begins, ends, before, after in zip(edges, edges[1:], left, left[1:], strict=False)
    ]


def _tip_fg_ppm(samples: Sequence[Sample], at_ms: int) -> Fraction:
    """Drug that had left the tip by then."""
    before = [sample for sample in samples if sample.now_ms <= at_ms][-1]
    known = Fraction(before.truth["tip_fg_ppm"])
    after = next((sample for sample in samples if sample.now_ms > at_ms), None)
    if after is None:
        return known
    part = Fraction(at_ms - before.now_ms, after.now_ms - before.now_ms)
    return known + part * (Fraction(after.truth["tip_fg_ppm"]) - known)


def draw(recording: Recording, paths: Iterable[Path], title: str) -> None:
    """Draw a recording into files; by its ending each is a PNG or an SVG.

    BadConfiguration where matplotlib is not installed, for another ending, and for a file that cannot be written.
    """
    paths = tuple(paths)
    check_endings(paths, FORMATS)
    rows = _rows(recording)
    size_in = (WIDTH_IN, CURVES_IN + ROW_IN * max(len(rows), 2))
    save(paths, lambda form: render(form, size_in, lambda figure: _draw(figure, recording, rows, title)))


def check_endings(paths: Iterable[Path], formats: tuple[str, ...]) -> None:
    """BadConfiguration where a path has an ending that is none of `formats`."""
    for path in paths:
        if path.suffix.lower() not in formats:
            raise BadConfiguration(
                f"{path} ends in none of {', '.join(formats)}", advice=f"name a {NAMES_OF[formats]} file"
            )


def save(paths: Iterable[Path], content: Callable[[str], bytes]) -> None:
    """Write what `content` makes for the ending of each path; BadConfiguration where a file cannot be written."""
    for path in paths:
        drawn = content(path.suffix.lower())
        try:
            path.write_bytes(drawn)
        except OSError as error:
            raise BadConfiguration(
                f"{path} cannot be written: {error.strerror}", advice="name another file"
            ) from error


def render(form: str, size_in: tuple[float, float], draw_on: Callable[[Figure], object]) -> bytes:
    """A picture as the bytes of a PNG or an SVG; the same for the same drawing. BadConfiguration without matplotlib."""
    try:
        import matplotlib as mpl  # noqa: PLC0415 - an extra, and half a second
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise BadConfiguration(
            "a plot needs matplotlib, and it is not installed", advice="pip install 'pumpbench[plot]'"
        ) from error
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=size_in, layout="constrained")
        FigureCanvasAgg(figure)
        draw_on(figure)
        dateless: dict[str, Any] = {"metadata": {"Date": None}} if form == ".svg" else {}
        buffer = io.BytesIO()
        figure.savefig(buffer, format=form.removeprefix("."), dpi=DOTS_PER_IN, **dateless)
        return buffer.getvalue()


class _Row(NamedTuple):
    """A line of the lowest part: all spans of one name."""

    name: str
    colour: str
    spans: list[Span]


def _rows(recording: Recording) -> list[_Row]:
    """Faults, what was done, alarms; in each the names in the order in which they came."""
    rows: list[_Row] = []
    for spans, colour in ((recording.faults, FAULT), (recording.moments, MOMENT), (recording.alarms, ALARM)):
        by_name: dict[str, list[Span]] = {}
        for span in spans:
            by_name.setdefault(span.name, []).append(span)
        rows += [_Row(name, colour, found) for name, found in by_name.items()]
    return rows


def _draw(figure: Figure, recording: Recording, rows: Sequence[_Row], title: str) -> None:
    heights = [CURVES_IN / 2, CURVES_IN / 2, ROW_IN * max(len(rows), 2)]
    reservoir, dose, marks = figure.subplots(3, 1, sharex=True, height_ratios=heights)
    figure.suptitle(title)
    _draw_reservoir(reservoir, recording.samples)
    _draw_dose(dose, recording.samples)
    last_ms = recording.samples[-1].now_ms
    for axes in (reservoir, dose):
        for span in recording.faults:
            ends_ms = last_ms if span.ends_ms is None else span.ends_ms
            axes.axvspan(
                _days(span.begins_ms), _days(ends_ms), color=FAULT, alpha=0.09, linewidth=0, zorder=0
            )
        axes.grid(visible=True, color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        top = axes.dataLim.ymax
        axes.set_ylim(
            0, 1.05 * top if math.isfinite(top) and top > 0 else 1
        )  # also where all is unknown, or 0
    first_ms = recording.samples[0].now_ms
    margin = 0.01 * max(last_ms - first_ms, 1)
    _draw_marks(marks, rows, last_ms, margin / 3)
    marks.set_xlim(_days(first_ms - margin), _days(last_ms + margin))
    marks.set_xlabel("pump time, days")
    marks.locator_params(axis="x", nbins=16, steps=[1, 2, 5, 10])


def _draw_reservoir(axes: Axes, samples: Sequence[Sample]) -> None:
    axes.set_title("Reservoir", loc="left")
    axes.set_ylabel("volume, mL")
    days = [_days(sample.now_ms) for sample in samples]
    true = [sample.truth["true_nl_ppm"] / NL_PPM_PER_ML for sample in samples]
    axes.plot(days, true, color=TRUE, linewidth=2, label="true volume")
    believed = _believed(samples, lambda belief: belief["reservoir_calc_nl"] / NL_PER_ML)
    axes.plot(days, believed, color=BELIEVED, linewidth=1.6, linestyle="--", label="what the pump believes")
    _legend(axes)


def _draw_dose(axes: Axes, samples: Sequence[Sample]) -> None:
    axes.set_title("Drug at the catheter's tip", loc="left")
    axes.set_ylabel("dose, mcg/day")
    doses = daily_doses(samples)
    axes.bar(
        [_days(each.begins_ms) for each in doses],
        [float(each.dose_mcg * MS_PER_DAY / (each.ends_ms - each.begins_ms)) for each in doses],
        width=[_days(each.ends_ms - each.begins_ms) for each in doses],
        align="edge",
        color=TRUE,
        edgecolor="white",
        linewidth=0.6,
        label="delivered, mean of each day",
    )
    axes.step(
        [_days(sample.now_ms) for sample in samples],
        _programmed_mcg_per_day(samples),
        where="post",
        color=PROGRAMMED,
        linewidth=1.4,
        linestyle="--",
        label="programmed rate x concentration in the reservoir",
    )
    _legend(axes)


def _programmed_mcg_per_day(samples: Sequence[Sample]) -> list[float]:
    """nL/day of ng/mL are 10^-6 ng/day."""
    rates = _believed(samples, lambda belief: belief["rate_nl_per_day"])
    return [
        rate * sample.truth["reservoir_ng_per_ml"] / 1e9 for rate, sample in zip(rates, samples, strict=True)
    ]


def _draw_marks(axes: Axes, rows: Sequence[_Row], last_ms: int, shortest_ms: float) -> None:
    """What is shorter than can be seen is drawn as long as that."""
    axes.set_title("Faults, events and alarms", loc="left")
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.set_ylim(max(len(rows), 1) - 0.4, -0.6)  # the first row on top
    axes.grid(visible=True, axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for at, row in enumerate(rows):
        for span in row.spans:
            ends_ms = last_ms if span.ends_ms is None else span.ends_ms
            width_ms = max(ends_ms - span.begins_ms, shortest_ms)
            axes.barh(at, _days(width_ms), left=_days(span.begins_ms), height=0.55, color=row.colour)
    for colour, label in ((FAULT, "fault"), (MOMENT, "event"), (ALARM, "alarm")):
        axes.plot([], [], color=colour, linewidth=6, label=label)
    _legend(axes)


def _legend(axes: Axes) -> None:
    """Beside the title, where nothing is drawn."""
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, borderaxespad=0.1)


def _believed(samples: Sequence[Sample], read: Callable[[Mapping[str, Any]], float]) -> list[float]:
    """A value of the belief of each sample; a gap where there was no power and so none."""
    return [float("nan") if sample.belief is None else read(sample.belief) for sample in samples]


def _days(span_ms: float) -> float:
    return span_ms / MS_PER_DAY
