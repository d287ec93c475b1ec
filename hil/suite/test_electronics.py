"""What goes wrong with cell, converter, clock and wiring, and what the pump makes of it [DOMAIN 1.5, 8.3].

A rig of `faults` puts a film on the cell, drains it or shorts a wire; `power` takes the supply away; years of a cell
need `time`. What of the memory fails at which cell is not here: where records lie is each firmware's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.plugin import needs, starts_as, verifies
from hil.suite.observing import MS_PER_DAY, LogMark, is_active, is_latched
from protocol.identifiers import AlarmId, Outcome, SelfTestFault, State
from protocol.log.types import LogType

if TYPE_CHECKING:
    from hil.programmer.programmer import Programmer
    from hil.rig import Rig

pytestmark = pytest.mark.needs("time", "faults", "reset")

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
SLOW = {"dose_ng_per_day": 24_000, "filled_nl": 20_000_000}
"""At the lowest rate, so that no reservoir is empty before its cell."""
LEAK_UA = 1_000
ERI_TO_EOS_MAX_S = 90 * 86_400


# FI 29
@verifies("HDW-001")
def test_a_film_on_the_cell_browns_out_at_a_stroke_and_the_therapy_comes_back(
    running: Programmer, pump_rig: Rig
) -> None:
    before, mark = running.status(), LogMark(running)
    pump_rig.inject("resistive-film", film_milliohm=60_000)
    pump_rig.advance(5 * MINUTE_MS)
    pump_rig.clear("resistive-film")
    pump_rig.advance(2 * MINUTE_MS)
    status = running.status()
    assert (status.state, status.rate_nl_per_day, status.program_rev) == (
        State.RUN,
        before.rate_nl_per_day,
        before.program_rev,
    )
    assert is_latched(status, AlarmId.RESET)
    assert mark.entries(running, LogType.RESET_BROWNOUT)


# FI 31, RH-05
@verifies("HDW-002")
@starts_as("implanted", implant=SLOW)
def test_from_eri_to_the_end_are_less_than_90_days_where_the_cell_leaks_and_the_end_stops_the_pump(
    running: Programmer, pump_rig: Rig
) -> None:
    mark = LogMark(running)
    pump_rig.inject("battery-drain", leak_ua=LEAK_UA)
    pump_rig.advance(50 * MS_PER_DAY)
    (eri,), (end,) = (mark.entries(running, each) for each in (LogType.ERI, LogType.EOS))
    assert 0 < end.t_mono_s - eri.t_mono_s < ERI_TO_EOS_MAX_S
    status = running.status()
    assert (status.state, status.rate_nl_per_day) == (State.EOS, 0)
    assert is_active(status, AlarmId.EOS)
    delivered_nl = status.delivered_total_nl
    pump_rig.advance(MS_PER_DAY)
    assert running.status().delivered_total_nl == delivered_nl


# FI 33, RH-06
@verifies("HDW-003")
def test_a_shorting_feedthrough_stalls_and_resets_by_turns_and_no_therapy_is_lost_or_doubled(
    running: Programmer, pump_rig: Rig
) -> None:
    mark, before = LogMark(running), running.status()
    pump_rig.inject("feedthrough-short")
    pump_rig.advance(HOUR_MS)
    bolus = running.bolus(20_000, 1_800)
    pump_rig.advance(15 * HOUR_MS)
    types = [entry.type for entry in mark.entries(running)]
    assert types.count(LogType.STALL) == types.count(LogType.STALL_RECOVERED) >= 3
    assert types.count(LogType.RESET_BROWNOUT) >= 3
    assert types.count(LogType.BOLUS_START) == types.count(LogType.BOLUS_END) == 1
    found, status = running.query(bolus.cmd_id), running.status()
    assert (found.outcome, found.delivered_nl) == (Outcome.DONE, 20_000)
    assert (status.state, status.program_rev) == (State.RUN, before.program_rev)


# FI 34
@verifies("HDW-004")
def test_a_converter_that_is_stuck_is_told_and_not_followed(running: Programmer, pump_rig: Rig) -> None:
    mark = LogMark(running)
    pump_rig.inject("adc-stuck", reading_mv=100)
    pump_rig.advance(2 * MS_PER_DAY)
    (told,) = [entry.details() for entry in mark.entries(running, LogType.POST_FAIL)]
    assert told.failed is SelfTestFault.BATTERY
    status = running.status()
    assert status.state is State.RUN
    assert not is_active(status, AlarmId.ERI)


# FI 38
@verifies("HDW-006")
@needs("power")
@pytest.mark.parametrize("jump_ms", [-HOUR_MS, 3 * HOUR_MS])
def test_a_clock_that_jumps_while_power_is_away_doubles_no_bolus_and_takes_no_time_back(
    running: Programmer, pump_rig: Rig, jump_ms: int
) -> None:
    pump_rig.advance(HOUR_MS)
    bolus = running.bolus(20_000, 1_800)
    pump_rig.advance(1_800_000)
    before = running.status()
    pump_rig.inject("clock-jump", jump_ms=jump_ms)
    pump_rig.power_cut()
    assert pump_rig.power_restore()
    status = running.status()
    assert before.t_mono_s <= status.t_mono_s < before.t_mono_s + 3_600
    assert is_active(status, AlarmId.WALL_INVALID)
    assert (status.state, status.rate_nl_per_day) == (State.RUN, before.rate_nl_per_day)
    pump_rig.advance(HOUR_MS)
    assert running.query(bolus.cmd_id).delivered_nl == running.delivery().bolus_nl == 20_000
