"""The faults of a rig, each by what a programmer can see of it, and by what he cannot [DOMAIN 8]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.errors import SessionRefused
from hil.plugin import needs, verifies
from hil.suite.observing import MS_PER_DAY, LogMark, alarm_row, is_active, is_latched
from hil.suite.raw_client import rejection_of
from protocol.identifiers import AlarmFlag, AlarmId, Handshake, Outcome, RejectReason, Role, State
from protocol.link.development_keys import development_key
from protocol.log.types import BootCause, LogType

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.programmer.programmer import Programmer
    from hil.rig import Rig, RigFault
    from hil.suite.raw_client import RawClient

HOUR_MS = 3_600_000
STROKE_NL = 500

pytestmark = pytest.mark.needs("time", "faults", "reset")


def fault(pump_rig: Rig, name: str) -> RigFault:
    return next(each for each in pump_rig.faults() if each.name == name)


def is_off_after(pump_rig: Rig, name: str, effects: int) -> bool:
    """Whether a fault is over, and took effect so often."""
    return (fault(pump_rig, name).on, fault(pump_rig, name).effects) == (False, effects)


@verifies("STA-007")
@needs("truth")
@pytest.mark.parametrize("accuracy_ppm", [855_000, 1_145_000, 2_000_000])
def test_a_pump_that_moves_too_much_or_too_little_does_not_know_it(
    running: Programmer, pump_rig: Rig, accuracy_ppm: int
) -> None:
    pump_rig.inject("accuracy", accuracy_ppm=accuracy_ppm)
    before, moved = running.status(), pump_rig.state().truth["emitted_nl_ppm"]
    pump_rig.advance(MS_PER_DAY)
    after, truth = running.status(), pump_rig.state().truth
    assert after.delivered_total_nl - before.delivered_total_nl == 600_000
    assert before.reservoir_calc_nl - after.reservoir_calc_nl == 600_000
    assert truth["emitted_nl_ppm"] - moved == 600_000 * accuracy_ppm
    assert (after.state, after.alarm_active) == (State.RUN, 0)
    pump_rig.clear("accuracy")
    pump_rig.advance(MS_PER_DAY)
    assert pump_rig.state().truth["emitted_nl_ppm"] - truth["emitted_nl_ppm"] == 600_000 * 1_000_000
    assert is_off_after(pump_rig, "accuracy", 600_000 // STROKE_NL)


@verifies("SES-022")
def test_a_magnet_lets_a_key_try_again_at_once(make_raw: Callable[..., RawClient], pump_rig: Rig) -> None:
    guesser = make_raw(key=development_key(Role.PATIENT)._replace(key=bytes(16)), connect=False)

    def guess() -> None:
        hello = guesser.hello()
        assert rejection_of(guesser.prove(hello, guesser.say_hello(hello))) is RejectReason.PROOF

    pump_rig.inject("magnet")
    for _ in range(5):
        guess()
    assert fault(pump_rig, "magnet").effects
    pump_rig.clear("magnet")
    guess()
    assert rejection_of(guesser.say_hello(guesser.hello())) is RejectReason.LIMITED


@verifies("SES-022")
def test_a_magnet_lets_strangers_be_greeted_beyond_the_budget(
    make_raw: Callable[..., RawClient], pump: Programmer, pump_rig: Rig
) -> None:
    budget = pump.limits().hello_per_min
    pump_rig.inject("magnet")
    stranger = make_raw(Role.SERVICE, connect=False)
    for _ in range(2 * budget):
        assert stranger.say_hello(stranger.hello()).opcode == Handshake.PUMP_HELLO


@verifies("SES-023")
@needs("truth", "power")
def test_a_pump_without_chance_opens_no_session_and_goes_on_with_its_therapy(
    running: Programmer, pump_as: Callable[[Role], Programmer], pump_rig: Rig
) -> None:
    pump_rig.advance(HOUR_MS)
    mark = LogMark(running)
    pump_rig.inject("entropy-stuck")
    assert running.status().state is State.RUN, "a session that is open goes on"
    pump_rig.power_cut()
    pump_rig.power_restore()
    turned = pump_rig.state().truth["strokes_turned"]
    with pytest.raises(SessionRefused) as refusal:
        pump_as(Role.CLINICIAN)
    assert refusal.value.reason == RejectReason.RNG_FAILED
    pump_rig.advance(10 * HOUR_MS)
    assert pump_rig.state().truth["strokes_turned"] - turned == 10 * 25_000 // STROKE_NL
    assert fault(pump_rig, "entropy-stuck").effects
    pump_rig.clear("entropy-stuck")
    pump_rig.power_cut()
    pump_rig.power_restore()
    assert not is_active(running.status(), AlarmId.RNG_FAILED)
    assert is_latched(running.status(), AlarmId.RNG_FAILED)
    assert mark.types(running).count(LogType.POST_FAIL) == 1


@verifies("PWR-002", "PWR-004")
@needs("truth", "power")
@pytest.mark.parametrize("stays_off", [0, 1])
def test_power_that_goes_at_a_stroke_leaves_that_stroke_uncertain_and_the_bolus_ended(
    running: Programmer, pump_rig: Rig, stays_off: int
) -> None:
    mark = LogMark(running)
    bolus = running.bolus(20_000, 80)  # a stroke every 2 s; the first basal one is a minute away
    pump_rig.inject("power-cut-at-stroke", strokes=4, stays_off=stays_off)
    pump_rig.advance(20_000)
    assert is_off_after(pump_rig, "power-cut-at-stroke", 1)
    assert pump_rig.state().powered == (not stays_off)
    assert pump_rig.power_restore() == bool(stays_off)
    query = running.query(bolus.cmd_id)
    assert query.outcome is Outcome.PARTIAL
    true_nl = 3 * STROKE_NL
    assert query.delivered_nl <= true_nl <= query.delivered_nl + query.uncertain_nl
    assert query.uncertain_nl <= STROKE_NL
    assert is_latched(running.status(), AlarmId.BOLUS_PARTIAL)
    (boot,) = mark.entries(running, LogType.BOOT)
    assert boot.details().cause is BootCause.POWER


@verifies("PWR-003")
@pytest.mark.parametrize("writes", [1, 2, 3, 5])
def test_a_brown_out_at_a_write_leaves_the_old_state_or_the_new_one_and_says_which(
    running: Programmer, pump_rig: Rig, writes: int
) -> None:
    pump_rig.inject("power-cut-at-write", writes=writes, torn_after_bytes=3, stays_off=0)
    stopped = running.stop()
    assert is_off_after(pump_rig, "power-cut-at-write", 1)
    assert stopped.outcome is Outcome.DONE
    assert running.status().state is State.STOP, "the programmer asked again until it was done"
    assert is_latched(running.status(), AlarmId.RESET)


@verifies("ALM-003")
def test_a_stall_with_an_end_is_over_by_itself(running: Programmer, pump_rig: Rig) -> None:
    pump_rig.inject("motor-stall", duration_ms=2 * HOUR_MS)
    pump_rig.advance(2 * HOUR_MS)
    row = alarm_row(running, AlarmId.MOTOR_STALL)
    assert row is not None
    assert AlarmFlag.ACTIVE in row.flags
    pump_rig.advance(HOUR_MS)
    assert is_off_after(pump_rig, "motor-stall", 2 * 25_000 // STROKE_NL)
    row = alarm_row(running, AlarmId.MOTOR_STALL)
    assert row is not None
    assert row.flags == AlarmFlag.LATCHED
