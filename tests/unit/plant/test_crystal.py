"""Ticks and pump time belong together at any pace of the oscillator: none is run early, none is left behind."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_emu.plant.crystal import DRIFT_MAX_PPM, Crystal

MOMENTS = st.integers(0, 1 << 40)
DRIFTS = st.integers(-DRIFT_MAX_PPM, DRIFT_MAX_PPM)


def drifting(drift_ppm: int, anchor_ms: int, tick_ms: int) -> Crystal:
    crystal = Crystal(drift_ppm)
    crystal.begin(anchor_ms, tick_ms)
    return crystal


@given(DRIFTS, MOMENTS, MOMENTS, MOMENTS)
def test_a_tick_has_come_where_and_only_where_the_clock_shows_it(
    drift_ppm: int, anchor_ms: int, start_tick_ms: int, tick_ms: int
) -> None:
    crystal = drifting(drift_ppm, anchor_ms, start_tick_ms)
    now_ms = crystal.now_of(tick_ms)
    assert crystal.tick_of(now_ms) >= tick_ms
    assert crystal.tick_of(now_ms - 1) < tick_ms


@given(DRIFTS, MOMENTS, MOMENTS, st.integers(0, 10_000))
def test_ticks_never_go_back(drift_ppm: int, anchor_ms: int, now_ms: int, later_ms: int) -> None:
    crystal = drifting(drift_ppm, anchor_ms, 0)
    assert crystal.tick_of(now_ms + later_ms) >= crystal.tick_of(now_ms)
    assert crystal.now_of(now_ms + later_ms) >= crystal.now_of(now_ms)


@given(st.lists(st.tuples(st.integers(0, 100_000), st.sampled_from([None, "stand", "go on"]) | DRIFTS)))
def test_ticks_never_go_back_whatever_ails_an_oscillator_at_once(
    acts: list[tuple[int, str | int | None]],
) -> None:
    """A change of pace while it stood let them: the pump's program ended in an error."""
    crystal, now_ms, tick_ms = drifting(0, 0, 0), 0, 0
    for after_ms, act in acts:
        now_ms += after_ms
        stands = crystal.standing_since_ms is not None
        assert crystal.tick_of(now_ms) == tick_ms if stands else crystal.tick_of(now_ms) >= tick_ms
        tick_ms = crystal.tick_of(now_ms)
        match act:
            case "stand":
                crystal.stand(now_ms)
            case "go on":
                crystal.go_on(now_ms)
            case int(drift_ppm):
                crystal.set_drift(now_ms, drift_ppm, 0)
        assert crystal.tick_of(now_ms) == tick_ms


@given(DRIFTS, DRIFTS, MOMENTS, MOMENTS)
def test_a_change_of_pace_moves_no_tick_that_has_come(
    before_ppm: int, after_ppm: int, anchor_ms: int, later_ms: int
) -> None:
    crystal = drifting(before_ppm, anchor_ms, 0)
    now_ms = anchor_ms + later_ms
    tick_ms = crystal.tick_of(now_ms)
    crystal.set_drift(now_ms, after_ppm, 0)
    assert crystal.tick_of(now_ms) == tick_ms


@pytest.mark.parametrize(("drift_ppm", "ticks"), [(0, 1_000_000), (-100_000, 900_000), (100_000, 1_100_000)])
def test_the_pace_is_exact(drift_ppm: int, ticks: int) -> None:
    assert drifting(drift_ppm, 0, 0).tick_of(1_000_000) == ticks


def test_an_oscillator_that_stands_goes_on_from_where_it_stood() -> None:
    crystal = drifting(0, 0, 500)
    crystal.stand(1_000)
    assert crystal.tick_of(9_000) == 1_500
    crystal.go_on(9_000)
    assert crystal.tick_of(9_001) == 1_501


def test_power_starts_an_oscillator_that_stood() -> None:
    crystal = drifting(0, 0, 0)
    crystal.stand(5_500)
    crystal.stop(8_000)
    assert crystal.latched_ms() == 5_000
    crystal.start(9_000)
    assert crystal.tick_of(9_500) == 5_500


@pytest.mark.parametrize(
    ("jump_ms", "epoch", "latched_ms"), [(0, True, 0), (-9_000, False, 0), (1_500, False, 6_500)]
)
def test_the_register_jumps_once_as_power_goes(jump_ms: int, epoch: bool, latched_ms: int) -> None:
    crystal = drifting(0, 0, 0)
    crystal.jump_ms, crystal.jump_to_epoch = jump_ms, epoch
    assert crystal.latched_ms() == 0
    crystal.stop(5_500)
    assert crystal.latched_ms() == latched_ms
    crystal.start(6_000)
    crystal.stop(6_900)
    assert crystal.latched_ms() == (latched_ms + 900) // 1_000 * 1_000
    assert crystal.jumps == 1


@pytest.mark.parametrize("drift_ppm", [DRIFT_MAX_PPM + 1, -DRIFT_MAX_PPM - 1])
def test_no_oscillator_is_that_wrong(drift_ppm: int) -> None:
    with pytest.raises(ValueError, match="no oscillator runs"):
        Crystal().set_drift(0, drift_ppm, 0)
