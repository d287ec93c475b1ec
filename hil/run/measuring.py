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


@pytest.fixture
def measure(request: pytest.FixtureRequest) -> Callable[..., Measurement]:
    """Measure: `measure("delivered", 12.5, "uL", limits=(11, 14), marginal=(12, 13))`, or a series with `against`."""
    item = request.node
    names: set[str] = set()

    def keep(*what: Any, **said: Any) -> Measurement:
        measurement = measured(*what, **said)
        if measurement.name in names:
            raise UsageError(
                f"this test has measured {measurement.name} already", advice="give each measurement its name"
            )
        names.add(measurement.name)
        item.user_properties.append((MEASUREMENT, json.dumps(as_plain(measurement), allow_nan=False)))
        if measurement.verdict is MeasuredVerdict.FAILED:
            item.stash[BEYOND] = measurement.in_words()
            pytest.fail(measurement.in_words(), pytrace=False)
        return measurement

    return keep


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """No test passes that has measured beyond its limits, whoever caught that."""
    result = yield
    beyond = item.stash.get(BEYOND, None)
    if beyond is not None:
        pytest.fail(beyond, pytrace=False)
    return result
