"""Measurements on the page of a report: beside requirement and test, with limits and verdict, and series as curves."""

from __future__ import annotations

import math
import re
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from hil.measurement import Measurement, as_plain, measured
from hil.pages.html_page import LIMIT_BYTES
from hil.report.curves import LINES_MAX, drawings_of
from hil.report.measured import measured_html, measured_words
from hil.report.page import page_of
from hil.report.records import CaseRecord, RunRecord, Verdict
from hil.report.requirements import Requirement, rows_of

HOSTILE = "<script>alert(1)</script>\u202e\x00\"'&"
WAVE = [(n, math.sin(n / 30)) for n in range(3_000)]


def drawn(*measurements: Measurement) -> list[ET.Element]:
    """The figures of these, each read by an XML parser: what is not well-formed is no drawing."""
    return [ET.fromstring(text) for text in drawings_of(map(as_plain, measurements))]  # noqa: S314 - ours


def series(values: Any, name: str = "flow", unit: str = "nL/d", **limits: Any) -> Measurement:
    return measured(name, values, unit, against="window_h", **limits)


def texts(figure: ET.Element) -> list[str]:
    return [str(each.text).strip() for each in figure.iter("text")]


def heights_of_line(figure: ET.Element, number: int) -> list[float]:
    """Where the points of the n-th line that is no grid lie, from the top."""
    lines = [each.get("d", "") for each in figure[0].iter("path") if each.get("stroke-width") == "2"]
    return [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", lines[number])]


def test_a_series_has_axes_with_their_units_its_limits_and_a_legend() -> None:
    (figure,) = drawn(series([(1, 2.0), (4, 8.0)], limits=(-10, 10), marginal=(None, 9)))
    assert {"window, in h", "nL/d", "-10", "10", "1", "4"} <= {*texts(figure)}
    keys = ["".join(item.itertext()).strip() for item in figure.iter("li")]
    assert keys == ["flow", "limit", "marginal beyond"]
    lowest, highest = (
        float(each.get("y", "")) for each in figure[0].iter("text") if each.text in {"10", "-10"}
    )
    across = [path.get("d", "") for path in figure[0].iter("path") if path.get("stroke-width") == "1.5"]
    heights = [float(d.partition(" ")[2].partition("H")[0]) for d in across]
    assert heights[:2] == [lowest, highest]


def test_series_of_one_unit_share_a_drawing_in_which_no_two_lines_look_alike() -> None:
    both = drawn(series([(0, 1), (1, 2)]), series([(0, 2), (1, 3)], "other"), series([(0, 1)], "third", "%"))
    assert ["".join(figure[-1].itertext()) for figure in both] == ["flow, other, in nL/d.", "third, in %."]
    many = drawn(*(series([(0, n), (1, n + 1)], f"s{n}") for n in range(LINES_MAX + 1)))
    assert len(many) == 2
    in_drawing, in_legend = (
        [
            (path.get("stroke"), path.get("stroke-dasharray"))
            for path in part.iter("path")
            if path.get("stroke")
        ]
        for part in many[0][:2]
    )
    assert in_drawing == in_legend
    assert len({stroke for stroke, _ in in_legend}) == len({dash for _, dash in in_legend}) == LINES_MAX


def test_what_is_no_number_leaves_a_gap_that_is_counted() -> None:
    (figure,) = drawn(series([(0, 1), (1, 2), (2, math.nan), (3, 1), (4, math.inf), (5, 1), (6, 3)]))
    line = next(each.get("d", "") for each in figure[0].iter("path") if each.get("stroke-width") == "2")
    assert line.count("M") == 3
    assert "Values that are no numbers: 2." in "".join(figure.itertext())
    (nothing,) = drawn(series([(0, math.nan)]))
    assert [each.tag for each in nothing] == ["figcaption"]


def test_a_long_series_is_drawn_with_few_points_and_keeps_its_peaks() -> None:
    peak = [*WAVE[:2_345], (2_345, 40.0), *WAVE[2_346:]]
    (figure,) = drawn(series(peak))
    heights = heights_of_line(figure, 0)
    assert len(heights) < 500
    (alone,) = drawn(series([(0, -1.0), (1, 40.0)]))
    assert min(heights) == min(heights_of_line(alone, 0))


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ((48_000, 48_000), "44000"),
        ((0, 0), "-1.0"),
        ((-1e-12, 1e-12), "5e-13"),
        ((3, 1e12), "1e+12"),
        ((0.1, 0.1 + 1e-9), "0.110"),
        ((999, 1_001), "1000.5"),
    ],
)
def test_the_numbers_beside_an_axis_are_round_whatever_is_measured(values: Any, ticks: str) -> None:
    (figure,) = drawn(series(list(enumerate(values))))
    said = texts(figure)
    assert ticks in said
    assert len(said) < 30
    assert all(len(text) <= len("window, in h") for text in said)


def test_names_and_units_of_tests_are_text_in_a_drawing_and_in_a_table() -> None:
    hostile = series([(0, 1), (1, 2)], HOSTILE, HOSTILE)
    for text in (*drawings_of([as_plain(hostile)]), measured_html([as_plain(hostile)])):
        assert "<script" not in text
        assert "\x00" not in text
        assert "\u202e" not in text


# Beside requirement and test.


def page(*tests: CaseRecord) -> str:
    run = RunRecord("emulator", tests=list(tests), chosen=[test.name for test in tests], ended=True)
    known = {name: Requirement(name, "a sentence", "SPEC 1") for name in ("A-1", "A-2")}
    return page_of(run, rows_of(run, known), {})


def case(name: str, verdict: Verdict, requirement: str, *measurements: Measurement) -> CaseRecord:
    return CaseRecord(name, verdict, 0.1, (requirement,), measurements=tuple(map(as_plain, measurements)))


def test_what_was_measured_is_one_click_from_its_requirement_with_value_limits_and_verdict() -> None:
    near = measured("latency", 12.25, "ms", (None, 20), (None, 10))
    beyond = measured("dose", 15.000001, "uL", (11, 15))
    text = page(
        case("f.py::passes", Verdict.PASSED, "A-1", near, series([(0, 1), (1, 2)])),
        case("f.py::fails", Verdict.FAILED, "A-2", beyond, series([(0, 1), (1, 2)])),
    )
    assert '<a href="#t1-m">2 measurements, 1 marginal</a>' in text
    assert '<a href="#t2">2 measurements, 1 failed</a>' in text
    passed = text[text.index('id="t1-m"') : text.index('id="tests"')]
    failed = text[text.index('id="t2"') : text.index('id="measurements"')]
    for words in ("latency", "12.25", "ms", "at most 20", "at most 10", ">marginal<", "#r-A-1", "<svg"):
        assert words in passed
    for words in ("15.000001", "11 to 15", ">failed<", "#r-A-2", "<svg"):
        assert words in failed


def test_of_very_many_measurements_those_that_failed_stay_and_the_page_stays_small() -> None:
    many = [measured(f"m{n}", n, "1", (0, 4_998), (0, 4_997)) for n in range(5_000)]
    html = measured_html([as_plain(each) for each in many])
    assert "m4999" in html
    assert "m4998" in html
    assert "And 4800 more: see report.json" in html
    tests = [case(f"t{n}", Verdict.PASSED, "A-1", *many[:200]) for n in range(48)]
    text = page(*tests)
    assert len(text.encode()) < LIMIT_BYTES
    assert "without" in text
    assert "200 measurements" in text


def test_a_test_that_measured_nothing_says_nothing_of_it() -> None:
    assert measured_words([]) == measured_html([]) == ""
    assert "No test measured anything." in page(CaseRecord("t", Verdict.PASSED, 0.1, ("A-1",)))
