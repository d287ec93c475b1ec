"""What tests measured, as HTML: a table of values with their limits and verdicts, and the curves of series."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from hil.measurement import MeasuredVerdict
from hil.pages.page_text import page_text
from hil.quantity_words import counted
from hil.report.curves import drawings_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Plain = Mapping[str, Any]
    """A measurement as `hil.measurement.as_plain` has it."""

_ROWS_MAX: Final = 200
_HEAD: Final = ("Measured", "Value", "Unit", "Limits", "Marginal beyond", "Verdict")
CLASS_OF: Final = {
    MeasuredVerdict.PASSED: "good",
    MeasuredVerdict.MARGINAL: "unsure",
    MeasuredVerdict.FAILED: "bad",
    MeasuredVerdict.UNJUDGED: "plain",
}
_TELLING: Final = (MeasuredVerdict.FAILED, MeasuredVerdict.MARGINAL)


def measured_words(measurements: Sequence[Plain]) -> str:
    """How many there are, and how many are failed or marginal; "" where nothing was measured."""
    if not measurements:
        return ""
    verdicts = Counter(str(each["verdict"]) for each in measurements)
    telling = [f"{verdicts[verdict]} {verdict}" for verdict in _TELLING if verdicts[verdict]]
    return ", ".join([counted(len(measurements), "measurement"), *telling])


def measured_html(measurements: Sequence[Plain], *, curves: bool = True) -> str:
    """The table and the curves of one test; "" where it measured nothing."""
    if not measurements:
        return ""
    shown = measurements
    if len(shown) > _ROWS_MAX:  # those that say something stay
        telling = sorted(range(len(shown)), key=lambda n: (shown[n]["verdict"] not in _TELLING, n))
        shown = [measurements[n] for n in sorted(telling[:_ROWS_MAX])]
    head = "".join(f"<th>{name}</th>" for name in _HEAD)
    rows = "".join(map(_row, shown))
    left_out = len(measurements) - len(shown)
    more = f'<p class="small">And {left_out} more: see report.json</p>' if left_out else ""
    drawn = "".join(drawings_of(measurements)) if curves else ""
    return (
        f'<div class="wide"><table class="measured"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        f"{more}{drawn}"
    )


def _row(measurement: Plain) -> str:
    verdict = MeasuredVerdict(measurement["verdict"])
    exact = verdict in _TELLING
    value = measurement["value"]
    series = measurement["series"]
    words = f"{counted(len(series), 'value')} against {measurement['against']}"
    if series:
        words += _span(series)
    texts = (
        str(measurement["name"]),
        words if value is None else _number(value, exact=exact),
        str(measurement["unit"]),
        _range(measurement["lowest"], measurement["highest"], exact=exact),
        _range(measurement["marginal_lowest"], measurement["marginal_highest"], exact=exact),
    )
    cells = "".join(
        f'<td data-label="{name}">{page_text(text)}</td>' for name, text in zip(_HEAD, texts, strict=False)
    )
    mark = f'<b class="{CLASS_OF[verdict]}">{verdict.value}</b>'
    return f'<tr>{cells}<td class="mark" data-label="{_HEAD[-1]}">{mark}</td></tr>'


def _span(series: Iterable[Sequence[Any]]) -> str:
    values = [y for _, y in series if not isinstance(y, str)]
    if not values:
        return ""
    return f", {_number(min(values), exact=False)} to {_number(max(values), exact=False)}"


def _number(value: float | str, *, exact: bool) -> str:
    """A number with six digits; with more where they decided, and whole where it is."""
    if isinstance(value, float):
        return f"{value:.12g}" if exact else f"{value:.6g}"
    return str(value)


def _range(lowest: float | None, highest: float | None, *, exact: bool) -> str:
    low, high = ("" if end is None else _number(end, exact=exact) for end in (lowest, highest))
    if not (low and high):
        return f"at least {low}" if low else high and f"at most {high}"
    return f"{low} to {high}"
