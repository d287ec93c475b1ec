"""What a life yields in numbers, held against faults of which the length is known."""

from __future__ import annotations

from firmware_emu.controller.events import AlarmRaised
from firmware_emu.profile import EmptyPolicy
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE, MS_PER_S
from hil.campaign.life import Life
from protocol.identifiers import AlarmId, OnExpiry, RefillFlag, StopReason
from protocol.messages.bolus import BolusCancel
from protocol.messages.reservoir import Refill
from protocol.messages.stop import Resume, Stop
from tests.support.for_each import for_each

DETECTED_MS = 1_200 * MS_PER_S
"""Stall detection of a pump of ours."""


def life_of(dose_ng_per_day: int = 2_000_000) -> Life:
    """A pump that was seen to, with a full reservoir; a stroke of this dose comes every 10.8 s."""
    life = Life(1, empty_policy=EmptyPolicy.CONTINUE)
    life.check_up(dose_ng_per_day)
    life.look()
    return life


def measured(life: Life) -> dict[str, list[int]]:
    life.look()
    life.measuring.finish()
    return life.measured


def test_a_stall_is_measured_from_its_first_stroke_to_the_alarm_and_to_the_next_stroke() -> None:
    life = life_of()
    stroke_ms = MS_PER_DAY * 500 // 4_000_000
    life.talk.pump.inject("motor-stall", {"duration_ms": MS_PER_HOUR})
    life.talk.wait(2 * MS_PER_HOUR)
    found = measured(life)
    assert abs(found["stalled_ms"][0] - MS_PER_HOUR) <= stroke_ms
    assert DETECTED_MS <= found["stall_to_alarm_ms"][0] <= DETECTED_MS + stroke_ms
    assert "stall_without_alarm_ms" not in found
    assert found["therapy_lost_ms"] == found["stalled_ms"]
    (stall,) = (each for each in life.measuring.faults if each.name == "motor-stall")
    assert stall.effects == round(MS_PER_HOUR / stroke_ms)
    assert stall.lost_ms == found["stalled_ms"][0]


def test_a_stall_that_ends_before_its_detection_has_no_alarm_and_is_counted_as_such() -> None:
    life = life_of()
    life.talk.pump.inject("motor-stall", {"duration_ms": 10 * MS_PER_MINUTE})
    life.talk.wait(MS_PER_HOUR)
    found = measured(life)
    assert found["stall_without_alarm_ms"] == found["stalled_ms"]
    assert "stall_to_alarm_ms" not in found


@for_each("looked_between", [False, True])
def test_a_stall_is_over_for_its_alarm_when_the_pump_is_stopped(looked_between: bool) -> None:
    life = life_of()
    life.talk.pump.inject("motor-stall", {})
    life.talk.wait(10 * MS_PER_MINUTE)
    if looked_between:
        life.look()
    life.talk.granted(Stop(life.fresh_id(), 172_800, StopReason.MRI, OnExpiry.RESUME))
    life.talk.wait(MS_PER_DAY)
    life.talk.pump.clear("motor-stall")
    life.talk.granted(Resume(life.fresh_id(), life.status().program_rev))
    life.talk.wait(MS_PER_HOUR)
    found = measured(life)
    assert len(found["stall_without_alarm_ms"]) == 1
    assert 9 * MS_PER_MINUTE < found["stall_without_alarm_ms"][0] <= 10 * MS_PER_MINUTE
    assert found["stopped_ms"] == [MS_PER_DAY]
    assert found["therapy_lost_ms"] == [MS_PER_DAY + found["stalled_ms"][0]]


def test_a_stop_that_nobody_ends_counts_up_to_the_end_of_the_life_and_once() -> None:
    life = life_of()
    life.talk.granted(Stop(life.fresh_id(), 172_800, StopReason.MRI, OnExpiry.RESUME))
    life.talk.wait(MS_PER_HOUR)
    life.look()
    life.talk.granted(Resume(life.fresh_id(), life.status().program_rev))
    life.talk.wait(MS_PER_HOUR)
    life.look()
    life.talk.granted(Stop(life.fresh_id(), 172_800, StopReason.MRI, OnExpiry.RESUME))
    life.talk.wait(3 * MS_PER_HOUR)
    found = measured(life)
    assert found["stopped_ms"] == [MS_PER_HOUR, 3 * MS_PER_HOUR]
    life.measuring.finish()
    assert found["therapy_lost_ms"] == [MS_PER_HOUR, 3 * MS_PER_HOUR]


def test_time_without_power_in_a_stop_is_lost_once() -> None:
    life = life_of()
    life.talk.granted(Stop(life.fresh_id(), 172_800, StopReason.MRI, OnExpiry.RESUME))
    life.talk.wait(MS_PER_HOUR)
    life.talk.pump.cut_power()
    life.talk.wait(2 * MS_PER_HOUR)
    life.talk.pump.restore_power()
    found = measured(life)
    assert found["without_power_ms"] == [2 * MS_PER_HOUR]
    assert found["therapy_lost_ms"] == [3 * MS_PER_HOUR]


def test_what_is_drawn_at_a_refill_is_held_against_what_the_pump_expected() -> None:
    life = life_of()
    life.talk.pump.inject("accuracy", {"accuracy_ppm": 500_000})
    life.talk.wait(MS_PER_DAY)
    expected_nl = life.talk.pump.belief().reservoir_calc_nl  # type: ignore[union-attr] # it has power
    held_nl = life.talk.pump.truth().true_nl_ppm // 1_000_000
    before = len(life.measured["volume_error_at_refill_nl"])
    life.talk.granted(Refill(life.fresh_id(), 0, 19_000_000, 1, RefillFlag(0), 500_000, 1_000_000))
    found = measured(life)
    assert found["volume_error_at_refill_nl"][before:] == [held_nl - expected_nl]
    assert held_nl - expected_nl == (19_000_000 - expected_nl) // 2
    assert found["volume_error_at_refill_ppm"][-1] == 500_000
    own_ppm = life.talk.pump.plant.rotor.rated_accuracy_ppm
    (accuracy,) = (each for each in life.measuring.faults if each.name == "accuracy")
    assert accuracy.error_nl == abs(
        held_nl - expected_nl - (19_000_000 - expected_nl) * (1_000_000 - own_ppm) // 1_000_000
    )


@for_each(
    ("fault", "parameters", "early"),
    [("partial-fill", {"filled_ppm": 700_000}, False), ("overfill", {"extra_nl": 2_000_000}, True)],
    name=lambda case: case[0],
)
def test_an_empty_reservoir_is_measured_to_its_alarm_and_below_0_where_that_came_before(
    fault: str, parameters: dict[str, int], early: bool
) -> None:
    life = life_of()
    life.talk.pump.inject(fault, parameters)
    life.talk.granted(Refill(life.fresh_id(), 0, 3_000_000, 1, RefillFlag(0), 500_000, 1_000_000))
    life.talk.wait(3 * MS_PER_DAY)
    dry_ms = life.talk.pump.truth().ran_dry_at_ms
    found = measured(life)
    raised_ms = next(
        entry.now.pump_ms
        for entry in life.talk.trace
        if isinstance(entry.event, AlarmRaised) and entry.event.alarm_id is AlarmId.EMPTY
    )
    assert dry_ms is not None
    assert found["dry_to_alarm_ms"] == [raised_ms - dry_ms]
    assert (raised_ms < dry_ms) is early
    assert found["dry_ms"] == [life.talk.now_ms - dry_ms]


def test_a_bolus_that_is_cancelled_is_short_by_what_was_not_given() -> None:
    life = life_of()
    life.short_bolus()
    life.talk.wait(30 * MS_PER_MINUTE)
    life.talk.granted(BolusCancel(life.fresh_id(), 0, 0xFFFF))
    found = measured(life)
    assert found["bolus_cut_short_nl"] == [30_000]
