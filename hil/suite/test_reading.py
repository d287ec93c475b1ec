"""What the pump says of itself: state, identity, limits, times, predictions; and that the answers agree [SPEC 6]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.plugin import needs, starts_as, verifies
from hil.suite.observing import MS_PER_DAY, alarm_row, is_active, mono_ms
from hil.suite.raw_client import RawClient
from protocol.identifiers import (
    AlarmClass,
    AlarmId,
    DeviceKind,
    InfusionMode,
    Role,
    SecurityProfile,
    State,
    StateReason,
    StatusFlag,
)
from protocol.messages.conversation import GetLinkStats
from protocol.messages.time import GetTime

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.programmer.programmer import Programmer
    from hil.rig import Rig

MAX_PAYLOAD_BYTES = 224  # [SPEC 2]

NL_PPM = 1_000_000


@verifies("STA-001")
@needs("reset")
def test_a_pump_at_work_says_so_in_its_status(pump: Programmer) -> None:
    status = pump.status()
    assert (status.state, status.mode) == (State.RUN, InfusionMode.SIMPLE)
    assert status.rate_nl_per_day == 600_000  # 300 mcg/day of 500 mcg/mL [DOMAIN 0.5]
    assert status.reservoir_calc_nl == 18_000_000
    assert StatusFlag.WALL_VALID in status.flags
    assert (status.alarm_active, status.alarm_latched, status.bolus_cmd_id) == (0, 0, 0)
    assert (status.stopped_s, status.stopped_by, status.stop_expires_t_mono_s) == (0, None, 0)


@verifies("STA-001")
@starts_as("factory")
def test_a_pump_from_the_factory_is_stopped_empty_and_has_no_clock_and_no_program(pump: Programmer) -> None:
    status = pump.status()
    assert (status.state, status.mode, status.rate_nl_per_day) == (State.STOP, InfusionMode.NONE, 0)
    assert status.state_reason in (StateReason.NEVER_PROGRAMMED, StateReason.NONE)
    assert (status.reservoir_calc_nl, status.delivered_total_nl, status.program_rev) == (0, 0, 0)
    assert StatusFlag.WALL_VALID not in status.flags
    assert pump.program().header.mode is InfusionMode.NONE


@verifies("STA-001")
def test_the_answers_of_the_reading_commands_agree(pump: Programmer) -> None:
    status, reservoir, delivery = pump.status(), pump.reservoir(), pump.delivery()
    program, limits, time = pump.program(), pump.limits(), pump.time()
    assert reservoir.reservoir_calc_nl <= status.reservoir_calc_nl
    assert program.program_rev == status.program_rev
    assert program.header.mode is status.mode
    sources = (
        delivery.basal_nl,
        delivery.bolus_nl,
        delivery.patient_nl,
        delivery.periodic_nl,
        delivery.prime_nl,
        delivery.bridge_nl,
    )
    assert sum(sources) == delivery.strokes * limits.stroke_nl >= status.delivered_total_nl
    assert (delivery.hour_max_nl, delivery.day_max_nl) == (limits.hour_max_nl, limits.day_max_nl)
    assert time.t_mono_s >= status.t_mono_s
    assert time.tz_minutes == status.tz_minutes


@verifies("STA-002")
@needs("truth")
def test_a_pump_whose_truth_a_bench_can_read_says_that_it_is_virtual(pump: Programmer) -> None:
    info = pump.info()
    assert info.kind is DeviceKind.EMULATOR
    assert info.dev_key
    assert info.profile is SecurityProfile.SECURED
    assert info.reservoir_size_nl in (20_000_000, 40_000_000)  # [DOMAIN C1]


@verifies("STA-002")
def test_the_identity_is_the_same_for_every_role(
    pump: Programmer, pump_as: Callable[[Role], Programmer]
) -> None:
    info = pump.info()
    pump.end_session()
    other = pump_as(Role.OBSERVER).info()
    assert other._replace(dev_key=info.dev_key) == info


@verifies("STA-003")
def test_the_limits_make_sense_together(pump: Programmer) -> None:
    limits = pump.limits()
    assert 0 < limits.safe_rate_nl_per_day <= limits.rate_min_nl_per_day < limits.rate_max_nl_per_day
    assert 0 < limits.stroke_nl <= limits.bolus_max_nl <= limits.hour_max_nl <= limits.day_max_nl
    assert 0 < limits.max_stop_s <= 172_800
    assert 1 <= limits.max_segments <= 91
    assert limits.max_payload == MAX_PAYLOAD_BYTES
    assert limits.log_capacity >= 1_000  # [DOMAIN SR-81]


@verifies("STA-003")
@needs("reset")
def test_the_limits_of_the_default_pump_are_the_published_ones(pump: Programmer) -> None:
    limits = pump.limits()
    assert limits.rate_min_nl_per_day == 48_000  # [DOMAIN C3]
    assert limits.rate_max_nl_per_day == 24_000_000
    assert limits.stroke_nl == 500


@verifies("STA-006")
def test_link_counters_start_anew_when_that_is_asked(raw: RawClient) -> None:
    raw.send(raw.request_frame(0x7E)[:-3] + b"\x00")
    counted = raw.say(GetLinkStats(clear=True))
    assert sum(counted) == 1
    assert sum(raw.link_stats()) == 0


@verifies("TIM-004")
def test_get_time_returns_the_clients_own_time_unchanged(raw: RawClient) -> None:
    for client_ms in (0, 1, 0xFFFF_FFFF):
        assert raw.say(GetTime(client_ms)).client_ms == client_ms


@verifies("TIM-004")
@needs("time")
def test_both_clocks_run_with_the_time_of_the_bench(pump: Programmer, pump_rig: Rig) -> None:
    before_ms, before = mono_ms(pump), pump.time()
    pump_rig.advance(90_061_001)
    after = pump.time()
    assert mono_ms(pump) - before_ms == 90_061_001
    assert after.wall_s - before.wall_s in (90_061, 90_062)
    assert after.boot_count == before.boot_count


@verifies("STA-005", "PRC-008")
@needs("time", "reset")
def test_low_and_empty_come_in_the_second_that_was_predicted(pump: Programmer, pump_rig: Rig) -> None:
    pump_rig.advance(12_345_678)
    predicted = pump.reservoir()
    for alarm, due_s in (
        (AlarmId.LOW_RESERVOIR, predicted.low_t_mono_s),
        (AlarmId.EMPTY, predicted.empty_t_mono_s),
    ):
        pump_rig.advance(due_s * 1_000 - 1 - mono_ms(pump))
        assert not is_active(pump.status(), alarm)
        pump_rig.advance(1_000)
        row = alarm_row(pump, alarm)
        assert row is not None
        assert row.on_t_mono_s == due_s
    rows = pump.alarms().alarms
    assert [row.alarm_class for row in rows] == [AlarmClass.CRITICAL, AlarmClass.NON_CRITICAL]


@verifies("PRC-009")
@needs("reset")
def test_the_date_of_low_follows_a_change_of_the_rate_and_a_bolus_from_its_start(pump: Programmer) -> None:
    reservoir, status = pump.reservoir(), pump.status()
    left_nl = reservoir.reservoir_calc_nl - reservoir.low_alarm_nl
    a_stroke_s = pump.limits().stroke_nl * 86_400 // status.rate_nl_per_day
    for dose_ng_per_day, rate_nl_per_day in ((600_000, 1_200_000), (150_000, 300_000), (300_000, 600_000)):
        pump.set_simple_program(dose_ng_per_day)
        due_s = pump.status().t_mono_s + left_nl * 86_400 // rate_nl_per_day
        assert abs(pump.reservoir().low_t_mono_s - due_s) <= a_stroke_s
    before_s = pump.reservoir().low_t_mono_s
    pump.bolus(volume_nl=100_000, duration_s=600)
    earlier_s = before_s - pump.reservoir().low_t_mono_s
    assert abs(earlier_s - 100_000 * 86_400 // 600_000) <= a_stroke_s


@verifies("STA-007")
@needs("truth", "faults", "time")
def test_what_is_physically_so_does_not_show_in_any_answer(pump: Programmer, pump_rig: Rig) -> None:
    before = pump.status()
    taken_nl = pump_rig.aspirate(5_000_000)
    assert taken_nl == 5_000_000
    after, truth = pump.status(), pump_rig.state().truth
    assert after == before
    assert truth["true_nl_ppm"] < (before.reservoir_calc_nl - 4_000_000) * NL_PPM
    pump_rig.advance(MS_PER_DAY)
    assert before.reservoir_calc_nl - pump.status().reservoir_calc_nl == 600_000


@verifies("STA-007")
def test_reading_changes_nothing(pump: Programmer) -> None:
    before = pump.status()
    pump.info()
    pump.limits()
    pump.time()
    pump.program()
    pump.delivery()
    pump.alarms()
    pump.reservoir()
    pump.read_log()
    pump.log_status()
    after = pump.status()
    assert (after.last_seq, after.last_cmd_id, after.status_rev) == (
        before.last_seq,
        before.last_cmd_id,
        before.status_rev,
    )
