"""The bench in virtual time: exact, repeatable, a value; and the same pump as the emulator under manual time."""

from __future__ import annotations

import pytest

from firmware_emu.awaited import awaited
from firmware_emu.bench.errors import NotNowError
from firmware_emu.bench.profile_file import load_profile
from firmware_emu.bench.pump_host import new_pump
from firmware_emu.bench.rig import actions
from firmware_emu.bench.rig.actions import RefusedError
from firmware_emu.bench.virtual import VirtualBench
from firmware_emu.now import Now
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, NL_PER_ML


@pytest.fixture
def bench() -> VirtualBench:
    return VirtualBench(new_pump(load_profile("implanted"), 3))


def test_a_day_is_the_same_in_one_step_and_in_many(bench: VirtualBench) -> None:
    other = bench.fork()
    bench.advance(MS_PER_DAY)
    for _ in range(24):
        other.advance(MS_PER_HOUR - 1)
        other.advance(1)
    assert actions.state(bench) == actions.state(other)
    assert bench.trace_hash == other.trace_hash


def test_a_run_until_an_alarm_stops_there_and_goes_no_further(bench: VirtualBench) -> None:
    time_run = bench.run_until(awaited("alarm"), 60 * MS_PER_DAY)
    assert time_run.reached
    assert bench.now_ms == 32_000 * MS_PER_DAY // 1_200
    assert time_run.events[0].now == Now.both(bench.now_ms)


def test_a_run_until_its_limit_is_an_advance(bench: VirtualBench) -> None:
    other = bench.fork()
    assert not bench.run_until(awaited("alarm"), MS_PER_DAY).reached
    other.advance(MS_PER_DAY)
    assert bench.now_ms == other.now_ms == MS_PER_DAY
    assert actions.state(bench) == actions.state(other)


def test_time_goes_forward_only(bench: VirtualBench) -> None:
    with pytest.raises(ValueError, match="time goes forward only"):
        bench.advance(-1)


def test_a_fork_has_a_future_of_its_own(bench: VirtualBench) -> None:
    fork = bench.fork()
    before = bench.trace_hash
    fork.advance(MS_PER_DAY)
    actions.cut_power(fork)
    assert (bench.now_ms, bench.trace_hash) == (0, before)
    assert bench.host.pump.powered
    assert not fork.host.pump.powered


def test_off_time_passes_without_the_pump(bench: VirtualBench) -> None:
    actions.cut_power(bench)
    assert actions.restore_power(bench, MS_PER_DAY)
    assert bench.now_ms == MS_PER_DAY
    assert actions.state(bench).truth["strokes_turned"] == 0


def test_power_that_is_off_cannot_be_armed_to_go(bench: VirtualBench) -> None:
    actions.cut_power(bench)
    with pytest.raises(NotNowError, match="power is off already"):
        actions.arm_power_cut(bench, 1)


def test_every_act_of_the_rig_is_in_the_trace(bench: VirtualBench) -> None:
    hashes = {bench.trace_hash}
    for act in (
        lambda: actions.aspirate(bench, 10),
        lambda: actions.fill(bench, 10),
        lambda: actions.inject(bench, "motor-stall", {}),
        lambda: actions.clear(bench, "motor-stall"),
        lambda: actions.cut_power(bench),
        lambda: actions.restore_power(bench),
    ):
        act()
        assert bench.trace_hash not in hashes
        hashes.add(bench.trace_hash)


def test_a_syringe_cannot_overfill(bench: VirtualBench) -> None:
    with pytest.raises(RefusedError):
        actions.fill(bench, 90 * NL_PER_ML, 500_000)
