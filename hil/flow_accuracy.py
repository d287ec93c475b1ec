"""Flow accuracy after the method of IEC 60601-2-24: start-up and trumpet curves of what a balance weighed.

That standard excludes implants, whose windows its minutes do not fit: a pump of strokes moves nothing between two of
them. The windows here are scaled to volume, each of whole strokes, and beside a curve stands the error that the stroke
alone makes in a window of that volume [DOMAIN 4.9].
"""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.rig import Weighing

FEWEST_STROKES: Final = 20
"""In the smallest window [DOMAIN 4.9]."""
WINDOWS_IN_SMALLEST: Final = (1, 4, 10, 22, 38, 62)
"""Windows as multiples of the smallest: 15, 60, 150, 330, 570 and 930 min of the ambulatory test [DOMAIN 4.9]."""
MS_PER_DAY: Final = 86_400_000


class Weighed(NamedTuple):
    """What a balance showed at one moment of the pump's time."""

    at_ms: int
    weighing: Weighing


class TrumpetPoint(NamedTuple):
    """The worst errors of the mean flow in any window of one length, in percent of the rate that was set."""

    window_samples: int
    window_ms: int
    lowest_percent: Fraction
    highest_percent: Fraction
    stroke_bound_percent: Fraction
    """How far a pump without error is off in such a window at most: one stroke of its volume."""
    balance_bound_percent: Fraction
    """How far off the balance's own steps let it look: one of them, half at each end of the window."""


class FlowAccuracy(NamedTuple):
    """What a series of weighings says of a flow."""

    mean_error_percent: Fraction
    """A of the standard, over the whole series: above 0 is too much."""
    start_up: tuple[tuple[int, Fraction], ...]
    """Flow in nL a day between one weighing and the next, by the ms at which that interval ends."""
    trumpet: tuple[TrumpetPoint, ...]


def sample_ms(rate_nl_per_day: int, stroke_nl: int) -> int:
    """How far weighings are to lie apart: the time of the fewest strokes, up to the next ms."""
    if rate_nl_per_day <= 0 or stroke_nl <= 0:
        raise UsageError(
            f"a flow of {rate_nl_per_day} nL/d in strokes of {stroke_nl} nL has no accuracy: both must be above 0"
        )
    return -(-FEWEST_STROKES * stroke_nl * MS_PER_DAY // rate_nl_per_day)


def flow_accuracy(
    series: Sequence[Weighed], rate_nl_per_day: int, stroke_nl: int, density_ug_per_nl: Fraction
) -> FlowAccuracy:
    """The curves of weighings that lie equally far apart in time, against the rate that was set.

    Windows that the series is shorter than are left out. UsageError for fewer than two weighings, for unequal steps,
    and for a mass that was not stable.
    """
    steps_ms = {later.at_ms - earlier.at_ms for earlier, later in pairwise(series)}
    if len(steps_ms) != 1 or min(steps_ms) <= 0:
        raise UsageError(
            "weighings of a flow lie equally far apart in time, and there are two or more of them"
        )
    if any(not each.weighing.stable for each in series):
        raise UsageError("a mass that was not stable says nothing of a flow")
    step_ms = steps_ms.pop()
    volumes_nl = [
        (later.weighing.mass_ug - earlier.weighing.mass_ug) / density_ug_per_nl
        for earlier, later in pairwise(series)
    ]
    expected_nl = Fraction(rate_nl_per_day * step_ms, MS_PER_DAY)
    resolution_nl = max(each.weighing.resolution_ug for each in series) / density_ug_per_nl
    so_far_nl = [Fraction(0), *accumulate(volumes_nl)]
    trumpet = []
    for samples in WINDOWS_IN_SMALLEST:
        if samples > len(volumes_nl):
            break
        window_nl = samples * expected_nl
        errors = [
            100 * (so_far_nl[end] - so_far_nl[end - samples] - window_nl) / window_nl
            for end in range(samples, len(so_far_nl))
        ]
        trumpet.append(
            TrumpetPoint(
                samples,
                samples * step_ms,
                min(errors),
                max(errors),
                100 * stroke_nl / window_nl,
                100 * resolution_nl / window_nl,
            )
        )
    all_nl = len(volumes_nl) * expected_nl
    return FlowAccuracy(
        100 * (so_far_nl[-1] - all_nl) / all_nl,
        tuple(
            (each.at_ms - series[0].at_ms, volume_nl * MS_PER_DAY / step_ms)
            for each, volume_nl in zip(series[1:], volumes_nl, strict=True)
        ),
        tuple(trumpet),
    )
