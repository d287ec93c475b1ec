"""Pump time and line time under each pace, against a host clock that the test turns."""

from __future__ import annotations

import pytest

from firmware_emu.bench.clock import MANUAL, NS_PER_MS, REAL, SPEED_MAX, Clock, Pace
from firmware_emu.bench.errors import BadConfigurationError


class Host:
    """A host's monotonic clock in a hand."""

    def __init__(self) -> None:
        self.ns = 5_000_000_000

    def __call__(self) -> int:
        return self.ns

    def pass_ms(self, ms: float) -> None:
        self.ns += int(ms * NS_PER_MS)


@pytest.mark.parametrize(
    ("text", "mode", "speed"),
    [
        ("real", "real", 1),
        ("x1", "real", 1),
        ("x60", "scaled", 60),
        ("x0000000060", "scaled", 60),
        (f"x{SPEED_MAX}", "scaled", SPEED_MAX),
        ("manual", "manual", 0),
    ],
)
def test_a_pace_is_read_from_its_text(text: str, mode: str, speed: int) -> None:
    pace = Pace.parse(text)
    assert (pace.mode, pace.speed) == (mode, speed)


@pytest.mark.parametrize(
    "text", ["", "x", "x0", "x-1", "x1.5", "60", "max", "Real", f"x{SPEED_MAX + 1}", "x" + "9" * 5_000, "x٣"]
)
def test_what_is_no_pace_is_refused_with_the_choices(text: str) -> None:
    with pytest.raises(BadConfigurationError, match="is not one of real, manual, x1 to"):
        Pace.parse(text)


def test_real_time_follows_the_host() -> None:
    host = Host()
    clock = Clock(1_000, REAL, host)
    host.pass_ms(2.9)
    assert clock.read() == (1_002, 1_002)


def test_scaled_time_scales_the_patient_and_not_the_line() -> None:
    host = Host()
    clock = Clock(0, Pace(3_600), host)
    host.pass_ms(1_000)
    assert clock.read() == (3_600_000, 1_000)


def test_manual_time_stands_still_until_it_is_turned() -> None:
    host = Host()
    clock = Clock(7, MANUAL, host)
    host.pass_ms(1_000_000)
    assert clock.read() == (7, 7)
    clock.advance(5)
    assert clock.read() == (12, 12)


def test_time_goes_on_from_where_it_was_when_the_pace_changes() -> None:
    host = Host()
    clock = Clock(0, Pace(10), host)
    host.pass_ms(100)
    clock.set_pace(MANUAL)
    host.pass_ms(100)
    assert clock.read() == (1_000, 100)
    clock.set_pace(REAL)
    host.pass_ms(1)
    assert clock.read() == (1_001, 101)


def test_a_skip_moves_the_pump_and_leaves_the_client_where_it_is() -> None:
    clock = Clock(0, REAL, Host())
    clock.skip(500)
    assert clock.read() == (500, 0)


def test_a_skip_under_manual_time_moves_both() -> None:
    clock = Clock(0, MANUAL, Host())
    clock.skip(500)
    assert clock.read() == (500, 500)


@pytest.mark.parametrize(
    ("speed", "wake_at_ms", "wake_line_ms", "wait_s"),
    [
        (1, 1_500, None, 1.5),
        (1, None, 250, 0.25),
        (1, 1_500, 250, 0.25),
        (1, None, None, None),
        (1, 0, None, 0.0),
        (60, 60_000, None, 1.0),
        (60, 60_000, 999, 0.999),
    ],
)
def test_the_wait_is_to_the_earlier_of_the_two(
    speed: int, wake_at_ms: int | None, wake_line_ms: int | None, wait_s: float | None
) -> None:
    assert Clock(0, Pace(speed), Host()).wait_s(wake_at_ms, wake_line_ms) == wait_s


def test_after_the_wait_the_wake_up_is_due_at_every_speed() -> None:
    for speed in (1, 3, 7, 60, 3_600, SPEED_MAX):
        host = Host()
        clock = Clock(0, Pace(speed), host)
        wait_s = clock.wait_s(1_000_003, None)
        assert wait_s is not None
        host.ns += round(wait_s * 1_000_000_000)
        assert clock.read()[0] >= 1_000_003, speed


def test_manual_time_waits_for_nothing_but_what_is_due_already() -> None:
    clock = Clock(100, MANUAL, Host())
    assert clock.wait_s(101, 5_000) is None
    assert clock.wait_s(100, None) == 0.0
    assert clock.wait_s(None, 100) == 0.0
