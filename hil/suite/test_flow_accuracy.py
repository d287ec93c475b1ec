"""The flow that a balance sees: start-up and trumpet curves at three rates, in windows of whole strokes [DOMAIN 4.9].

The same on a desk, where the balance weighs what the emulated pump really delivered, and on a rig with a real one.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import pytest

from hil.flow_accuracy import (
    FEWEST_STROKES,
    WINDOWS_IN_SMALLEST,
    TrumpetPoint,
    Weighed,
    flow_accuracy,
    sample_ms,
)
from hil.plugin import needs, verifies
from hil.rig import UG_PER_NL

if TYPE_CHECKING:
    from hil.programmer.programmer import Programmer
    from hil.rig import Rig

LABELLED_PERCENT = Fraction(29, 2)  # [DOMAIN C6]
MS_PER_HOUR = 3_600_000
TRUMPET: Final[dict[str, Callable[[TrumpetPoint], Fraction]]] = {
    "trumpet, lowest": lambda point: point.lowest_percent,
    "trumpet, highest": lambda point: point.highest_percent,
    "bound of the stroke, low": lambda point: -point.stroke_bound_percent,
    "bound of the stroke, high": lambda point: point.stroke_bound_percent,
}
"""The curves of the trumpet: the worst errors, and between which bounds those of a perfect pump of strokes lie."""


@verifies("FLW-001")
@needs("balance", "time", "reset")
@pytest.mark.parametrize("dose_ng_per_day", [24_000, 300_000, 2_499_000])
def test_the_flow_that_is_weighed_is_within_its_label_in_windows_of_twenty_strokes_and_more(
    running: Programmer, pump_rig: Rig, measure: Callable[..., object], dose_ng_per_day: int
) -> None:
    stroke_nl = running.limits().stroke_nl
    running.commit_program(running.stage_simple_program(dose_ng_per_day))
    rate_nl_per_day = running.status().rate_nl_per_day
    step_ms = sample_ms(rate_nl_per_day, stroke_nl)
    series = [Weighed(pump_rig.clock().now_ms, pump_rig.weigh())]
    for _ in range(max(WINDOWS_IN_SMALLEST)):
        pump_rig.advance(series[-1].at_ms + step_ms - pump_rig.clock().now_ms)
        series.append(Weighed(pump_rig.clock().now_ms, pump_rig.weigh()))
    found = flow_accuracy(series, rate_nl_per_day, stroke_nl, Fraction(UG_PER_NL))
    # The curves first: the first value beyond its limits ends the test, and then they are wanted most.
    start_up = [(at_ms / MS_PER_HOUR, float(flow)) for at_ms, flow in found.start_up]
    measure("start-up curve", start_up, "nL/d", against="time_h")
    measure("rate that was set", [(at_h, rate_nl_per_day) for at_h, _ in start_up], "nL/d", against="time_h")
    for name, error_of in TRUMPET.items():
        curve = [(point.window_samples * FEWEST_STROKES, float(error_of(point))) for point in found.trumpet]
        measure(name, curve, "%", against="window_strokes")
    measure("mean flow error", float(found.mean_error_percent), "%")
    for point in found.trumpet:
        own = point.stroke_bound_percent + point.balance_bound_percent
        widest, near = float(LABELLED_PERCENT + own), float(own)
        for name, error in (("lowest", point.lowest_percent), ("highest", point.highest_percent)):
            measure(
                f"{name} flow error in {point.window_samples * FEWEST_STROKES} strokes",
                float(error),
                "%",
                limits=(-widest, widest),
                marginal=(-near, near),
            )
