"""`measure`: a value is judged by its limits, kept in the report whatever becomes of its test, told where marginal."""

from __future__ import annotations

import json
import math
import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest

from hil.errors import UsageError
from hil.measurement import MeasuredVerdict, as_plain, measured
from tests.unit.hil.runs import IN_PROCESS, pytest_on, summary

if TYPE_CHECKING:
    from pathlib import Path

NAN = float("nan")


@pytest.mark.parametrize(
    ("value", "limits", "marginal", "verdict"),
    [
        (5, None, None, "unjudged"),
        (5, (5, 6), None, "passed"),
        (6, (5, 6), None, "passed"),
        (4.9, (5, 6), None, "failed"),
        (6.1, (5, 6), None, "failed"),
        (6.1, (5, None), None, "passed"),
        (4, (None, 5), None, "passed"),
        (5, (5, 6), (5.2, 5.8), "marginal"),
        (5.9, (5, 6), (5.2, 5.8), "marginal"),
        (5.2, (5, 6), (5.2, 5.8), "passed"),
        (7, (5, 6), (5.2, 5.8), "failed"),
        (7, None, (5.2, 5.8), "marginal"),
        (0, (0, 0), None, "passed"),
        (NAN, (None, 5), None, "failed"),
        (NAN, None, (1, 2), "failed"),
        (float("inf"), (0, None), None, "passed"),
    ],
)
def test_a_value_is_judged_by_limits_that_belong_to_it(
    value: Any, limits: Any, marginal: Any, verdict: str
) -> None:
    assert measured("x", value, "uL", limits, marginal).verdict == verdict


def test_a_series_is_as_good_as_its_worst_value() -> None:
    def judged(*values: float) -> MeasuredVerdict:
        pairs = list(enumerate(values))
        return measured("x", pairs, "percent", (-5, 5), (-4, 4), against="window_s").verdict

    assert judged(0, 4, -4) is MeasuredVerdict.PASSED
    assert judged(0, 4.1, 0) is MeasuredVerdict.MARGINAL
    assert judged(4.1, -5.1, 0) is MeasuredVerdict.FAILED
    assert judged(0, NAN) is MeasuredVerdict.FAILED


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (("", 5, "uL"), "has a name and a unit"),
        (("x", 5, ""), "has a name and a unit"),
        (("x", 5, "uL", (6, 5)), "limits of x are from 6 to 5"),
        (("x", 5, "uL", None, (6, 5)), "marginal of x are from 6 to 5"),
        (("x", 5, "uL", (NAN, 5)), "limits of x are from nan"),
        (("x", 5, "uL", (None, NAN)), "limits of x are from None to nan"),
        (("x", 5, "uL", (math.inf, None)), "limits of x are from inf"),
        (("x", [], "uL", None, None, "window_s"), "a series without values"),
        (("x", [(1, 2)], "uL"), "of what it runs against nothing is said"),
        (("x", 10**400, "uL"), "x is measured as 1000"),
        (("x", 5, "uL", (0, 10**400)), "limits of x are two numbers"),
        (("x", None, "uL"), "x is measured as None, which is no number"),
        (("x", "12", "uL"), "x is measured as '12', which is no number"),
        (("x", [1, 2], "uL"), r"x is measured as \[1, 2\], which is no number and no sequence of pairs"),
        (("x", [(1, "2")], "uL", None, None, "window_s"), "no sequence of pairs of numbers"),
        (("x", 5, "uL", ("1", 2)), "limits of x are two numbers"),
        (("x", 5, "uL", (1, 2, 3)), "limits of x are two numbers"),
    ],
)
def test_what_is_no_measurement_is_one_sentence(what: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        measured(*what)


def test_a_measurement_that_json_has_no_number_for_is_json_still() -> None:
    plain = as_plain(measured("x", NAN, "uL", (0, 1)))
    assert json.loads(json.dumps(plain, allow_nan=False))["value"] == "nan"


def test_an_exact_fraction_is_measured_as_the_float_that_is_next_to_it() -> None:
    third = Fraction(1, 3)
    plain = as_plain(measured("x", [(third, third)], "%", (third, None), against="window_h"))
    assert json.loads(json.dumps(plain))["series"] == [[1 / 3, 1 / 3]]
    assert (plain["verdict"], plain["lowest"]) == ("passed", 1 / 3)


def test_a_limit_at_infinity_is_none() -> None:
    plain = as_plain(measured("x", 5, "uL", (-math.inf, 6), (0, math.inf)))
    assert (plain["lowest"], plain["highest"], plain["marginal_highest"]) == (None, 6, None)


def test_a_series_beyond_its_limits_names_the_first_value_that_is() -> None:
    said = measured("drift", [(0, 1), (1, 7), (2, 8)], "mV", (0, 6), against="time_s").in_words()
    assert said == (
        "drift is 7 mV at time_s 1, the first of 2 among 3 values that are beyond, and 0 to 6 mV is expected"
    )


MEASURING = """
    def test_good(measure):
        measure("delivered", 12.5, "uL", limits=(11, 14))
        measure("curve", [(60, 1.0), (120, 0.5)], "percent", limits=(-5, 5), against="window_s")

    def test_near(measure):
        assert measure("delivered", 13.5, "uL", limits=(11, 14), marginal=(12, 13)).verdict == "marginal"

    def test_beyond(measure):
        measure("first", 1, "uL")
        measure("delivered", 15, "uL", limits=(11, 14))
        measure("never", 1, "uL")

    def test_twice(measure):
        measure("delivered", 1, "uL")
        measure("delivered", 2, "uL")

    def test_beyond_and_caught(measure):
        try:
            measure("delivered", 15, "uL", limits=(11, 14))
        except BaseException:
            pass
"""


def test_measurements_stand_in_the_report_of_passed_and_failed_tests_and_a_marginal_one_is_told(
    tmp_path: Path,
) -> None:
    done = pytest_on(tmp_path, MEASURING, *IN_PROCESS)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "delivered is 15 uL, and 11 to 14 uL is expected" in done.stdout
    document = json.loads((tmp_path / "report" / "report.json").read_text())
    tests = {test["name"].partition("::")[2]: test for test in document["tests"]}
    assert {name: test["outcome"] for name, test in tests.items()} == {
        "test_good": "passed",
        "test_near": "passed",
        "test_beyond": "failed",
        "test_twice": "failed",
        "test_beyond_and_caught": "failed",
    }
    good, curve = tests["test_good"]["measurements"]
    assert (good["name"], good["value"], good["unit"]) == ("delivered", 12.5, "uL")
    assert (good["lowest"], good["highest"], good["verdict"]) == (11, 14, "passed")
    assert (curve["against"], curve["series"], curve["value"]) == ("window_s", [[60, 1.0], [120, 0.5]], None)
    lines = MEASURING.splitlines()
    for name in ("test_beyond", "test_beyond_and_caught"):
        at = next(number for number, line in enumerate(lines) if f"def {name}(" in line)
        measured_at = next(number for number in range(at, len(lines)) if '"delivered"' in lines[number])
        assert re.search(rf"\btest_it\.py:{measured_at + 1}: ", tests[name]["reason"]), tests[name]["reason"]
    assert [each["verdict"] for each in tests["test_beyond"]["measurements"]] == ["unjudged", "failed"]
    assert "measured within limits, and marginal\ntest_it.py::test_near: delivered in uL" in summary(tmp_path)
