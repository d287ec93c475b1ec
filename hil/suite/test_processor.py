"""What goes wrong with the chip that runs the program: found before a wrong dose, and told [DOMAIN 6.5, 8.3, 8.4].

A rig of `faults` turns bits of RAM and code, hangs tasks and wakes the telemetry; `truth` counts the strokes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.errors import DeviceRefused
from hil.plugin import needs, starts_as, verifies, without_effect
from hil.suite.observing import MS_PER_DAY, LogMark, is_active, is_latched
from protocol.identifiers import AlarmId, ErrorCode, SelfTestFault, State, StateReason
from protocol.log.types import BootCause, LogType

if TYPE_CHECKING:
    from hil.programmer.programmer import Programmer
    from hil.rig import Rig

pytestmark = pytest.mark.needs("time", "faults", "reset")

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
STROKES_AN_HOUR = 50
WATCHDOG_MS = 90_000
TIMEOUT_MS = 300_000
LOW = {"filled_nl": 2_100_000}


def turned_in(pump_rig: Rig, ms: int) -> int:
    before = pump_rig.state().truth["strokes_turned"]
    pump_rig.advance(ms)
    return int(pump_rig.state().truth["strokes_turned"] - before)


def failed_parts(pump: Programmer, mark: LogMark) -> list[SelfTestFault]:
    return [entry.details().failed for entry in mark.entries(pump, LogType.POST_FAIL)]


# FI 40
@verifies("SAF-007")
@needs("truth")
def test_one_wrong_bit_of_a_critical_variable_is_put_right_and_logged_and_nothing_else_happens(
    running: Programmer, pump_rig: Rig
) -> None:
    mark = LogMark(running)
    pump_rig.inject("ram-flip", cell=0, bit=5)
    assert turned_in(pump_rig, 2 * HOUR_MS) == 2 * STROKES_AN_HOUR
    status = running.status()
    assert (status.state, status.alarm_active, status.alarm_latched) == (State.RUN, 0, 0)
    assert mark.types(running) == [LogType.RAM_FAULT]


# FI 41
@verifies("SAF-008", "SAF-004", "SAF-017")
@needs("truth")
@pytest.mark.parametrize("bits", [(3, 60), (3, 5, 6)], ids=["two bits", "three that look like one"])
def test_what_cannot_be_put_right_ends_in_the_safe_state_before_another_stroke(
    running: Programmer, pump_rig: Rig, bits: tuple[int, ...]
) -> None:
    for bit in bits:
        pump_rig.inject("ram-flip", cell=0, bit=bit)
    assert turned_in(pump_rig, HOUR_MS) == 0
    status = running.status()
    assert (status.state, status.state_reason) == (State.SAFE_STATE, StateReason.MEMORY)
    assert is_active(status, AlarmId.MEM_CRITICAL)


# FI 40
@verifies("SAF-003")
@pytest.mark.parametrize(
    ("fault", "given", "part"),
    [("code-flip", {"bit": 17}, SelfTestFault.FIRMWARE), ("cpu-fault", {}, SelfTestFault.CPU)],
)
def test_wrong_code_and_a_wrong_product_are_found_within_an_hour(
    running: Programmer, pump_rig: Rig, fault: str, given: dict[str, int], part: SelfTestFault
) -> None:
    mark = LogMark(running)
    pump_rig.inject(fault, None, **given)
    pump_rig.advance(HOUR_MS)
    assert failed_parts(running, mark) == [part]
    status = running.status()
    assert (status.state, status.state_reason) == (State.SAFE_STATE, StateReason.SELF_TEST)
    assert is_active(status, AlarmId.SELF_TEST)


@verifies("SAF-001", "SAF-002", "SAF-016")
@needs("power")
@without_effect("code-flip")
def test_at_a_start_the_first_part_that_fails_ends_the_test_and_no_bolus_begins(
    running: Programmer, pump_rig: Rig
) -> None:
    """The code is wrong too, and is not looked at any more: its fault takes no effect."""
    pump_rig.power_cut()
    pump_rig.inject("cpu-fault")
    pump_rig.inject("code-flip", bit=3)
    assert pump_rig.power_restore()
    log = running.read_log().entries
    assert [entry.details().failed for entry in log if entry.type is LogType.POST_FAIL] == [SelfTestFault.CPU]
    status = running.status()
    assert status.state is State.SAFE_STATE
    assert is_active(status, AlarmId.SELF_TEST)
    with pytest.raises(DeviceRefused) as caught:
        running.prepare_bolus(20_000, 600)
    assert caught.value.code is ErrorCode.SAFE_STATE


# FI 37
@verifies("SAF-009")
@needs("truth")
def test_a_task_that_hangs_is_reset_within_90_seconds_and_therapy_goes_on(
    running: Programmer, pump_rig: Rig
) -> None:
    mark, rate = LogMark(running), running.status().rate_nl_per_day
    pump_rig.inject("hung-task")
    pump_rig.advance(WATCHDOG_MS)
    status = running.status()
    assert (status.state, status.rate_nl_per_day) == (State.RUN, rate)
    assert is_latched(status, AlarmId.RESET)
    boots = [entry.details().cause for entry in mark.entries(running, LogType.BOOT)]
    assert boots == [BootCause.WATCHDOG]
    assert turned_in(pump_rig, HOUR_MS) >= STROKES_AN_HOUR - 1


# FI 37
@verifies("SAF-006")
@needs("truth", "power")
def test_a_watchdog_that_does_not_count_is_found_at_the_next_start(
    running: Programmer, pump_rig: Rig
) -> None:
    mark = LogMark(running)
    pump_rig.inject("watchdog-dead")
    pump_rig.inject("hung-task")
    assert turned_in(pump_rig, HOUR_MS) == 0, "it is never reset"
    pump_rig.power_cut()
    assert pump_rig.power_restore()
    assert failed_parts(running, mark) == [SelfTestFault.WATCHDOG]
    status = running.status()
    assert (status.state, is_active(status, AlarmId.SELF_TEST)) == (State.RUN, True)


# FI 40
@verifies("SAF-010")
def test_a_bit_of_ram_that_is_stuck_costs_no_more_than_a_fall_to_the_safe_rate(
    running: Programmer, pump_rig: Rig
) -> None:
    safe_rate = running.limits().safe_rate_nl_per_day
    pump_rig.inject("ram-stuck", cell=2, bit=71)
    pump_rig.advance(3 * HOUR_MS)
    status = running.status()
    assert (status.state, status.rate_nl_per_day) == (State.SAFE_STATE, safe_rate)


# FI 51, RH-08
@verifies("SAF-013")
@needs("truth")
@starts_as("implanted", implant=LOW)
def test_interference_that_looks_like_a_wake_up_holds_infusion_back_for_a_time_out_at_most(
    running: Programmer, pump_rig: Rig
) -> None:
    running.end_session()
    pump_rig.advance(10 * HOUR_MS)
    pump_rig.inject("emi-wake", duration_ms=HOUR_MS)
    assert turned_in(pump_rig, TIMEOUT_MS - 1) == 0, "an alarm sounds"
    assert turned_in(pump_rig, HOUR_MS + 1) >= STROKES_AN_HOUR - 1
    assert running.status().state is State.RUN


# FI 51, RH-08
@verifies("SAF-014")
@needs("truth")
@starts_as("implanted", model={"telemetry_exit": "interrogation"}, implant=LOW)
def test_as_it_was_reported_infusion_waits_for_an_interrogation(running: Programmer, pump_rig: Rig) -> None:
    running.end_session()
    pump_rig.advance(10 * HOUR_MS)
    pump_rig.inject("emi-wake", duration_ms=1_000)
    assert turned_in(pump_rig, 2 * MS_PER_DAY) == 0
    assert running.status().state is State.RUN
    assert turned_in(pump_rig, HOUR_MS) == STROKES_AN_HOUR


# RH-09
@verifies("SAF-015")
@pytest.mark.parametrize(
    "seen_by",
    [
        pytest.param(1, id="at once"),
        pytest.param(2, id="late", marks=starts_as("implanted", model={"recovery_log": "late"})),
    ],
)
def test_the_end_of_a_stall_is_seen_by_the_first_interrogation_or_as_reported_by_the_second(
    running: Programmer, pump_rig: Rig, seen_by: int
) -> None:
    mark = LogMark(running)
    running.end_session()
    pump_rig.inject("motor-stall", duration_ms=HOUR_MS)
    pump_rig.advance(HOUR_MS + 10 * MINUTE_MS)
    for interrogation in (1, 2):
        assert is_active(running.status(), AlarmId.MOTOR_STALL) is (interrogation < seen_by)
        told = mark.entries(running, LogType.STALL_RECOVERED)
        assert len(told) == (interrogation >= seen_by)
        running.end_session()
