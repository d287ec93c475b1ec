"""The fixture `measure`: a value of a test goes into the report, and fails the test beyond its limits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from hil.errors import UsageError
from hil.measurement import MeasuredVerdict, as_plain, measured
from hil.report.records import MEASUREMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

from hil.measurement import Measurement

BEYOND = pytest.StashKey[str]()
_FAILURE = pytest.StashKey[BaseException]()
"""The failure by the last measurement beyond its limits, with the line of the test that measured."""


@pytest.fixture
def measure(request: pytest.FixtureRequest) -> Callable[..., Measurement]:
    """Measure: `measure("delivered", 12.5, "uL", limits=(11, 14), marginal=(12, 13))`, or a series with `against`."""
    item = request.node
    names: set[str] = set()

    def keep(*what: Any, **said: Any) -> Measurement:
        __tracebackhide__ = True  # the line that is told is the test's
        measurement = measured(*what, **said)
        if measurement.name in names:
            raise UsageError(
                f"this test has measured {measurement.name} already", advice="give each measurement its name"
            )
        names.add(measurement.name)
        item.user_properties.append((MEASUREMENT, json.dumps(as_plain(measurement), allow_nan=False)))
        if measurement.verdict is MeasuredVerdict.FAILED:
            item.stash[BEYOND] = measurement.in_words()
            item.stash[_FAILURE] = pytest.fail.Exception(measurement.in_words(), pytrace=False)
            raise item.stash[_FAILURE]
        return measurement

    return keep


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """No test passes that has measured beyond its limits, whoever caught that."""
    result = yield
    failure = item.stash.get(_FAILURE, None)
    if failure is not None:
        raise failure
    return result
