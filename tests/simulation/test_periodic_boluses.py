"""A pump gives boluses by itself, each at its moment since the commit; what cannot be given is said, not caught up."""

from __future__ import annotations

from collections.abc import Callable

from firmware_emu.controller.memory.memory_map import PLACES, Region
from firmware_emu.profile import EmptyPolicy, Implant
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_S
from hil.campaign.conversation import profile_of
from hil.campaign.program_boluses import PATIENT, PERIODIC, PatientAndClinician, header_of
from protocol.identifiers import (
    Activity,
    AlarmId,
    ErrorCode,
    OnExpiry,
    Outcome,
    RefillFlag,
    State,
    StopReason,
    TimeSetReason,
)
from protocol.log.data import BolusEndData, BolusStartData, CmdRefusedData
from protocol.log.types import BolusEndReason, DeliveryKind, LogType
from protocol.messages.bolus import BolusCancel
from protocol.messages.ledger import QueryCmd
from protocol.messages.program import PatientBlock, PeriodicBlock, ProgCommit, Segment
from protocol.messages.reading import GetDelivery, GetStatus
from protocol.messages.reservoir import GetReservoir, Refill
from protocol.messages.stop import Resume, Stop
from protocol.messages.time import TimeSet
from tests.simulation.invariants import assert_log_is_whole, assert_volumes_agree
from tests.simulation.stepping import alarm_ms
from tests.support.for_each import for_each
from tests.support.soak import rounds_of

FIRST_MS = PERIODIC.first_delay_s * MS_PER_S
INTERVAL_MS = PERIODIC.interval_s * MS_PER_S
DURATION_MS = PERIODIC.duration_s * MS_PER_S
STROKE_NL = 500
Act = Callable[[PatientAndClinician], object]


def starts_in(talk: PatientAndClinician) -> list[int]:
    """When periodic boluses began, in ms of monotonic time."""
    return [
        entry.t_mono_s * MS_PER_S + entry.t_ms
        for entry in talk.log()
        if entry.type is LogType.BOLUS_START and entry.details().kind is DeliveryKind.PERIODIC
    ]


def passed_over(talk: PatientAndClinician) -> list[CmdRefusedData]:
    return [
        entry.details() for entry in talk.log() if entry.type is LogType.CMD_REFUSED and entry.cmd_id == 0
    ]


def test_the_kth_starts_at_commit_and_first_delay_and_k_intervals_for_a_week() -> None:
    talk = PatientAndClinician.with_program(None, PERIODIC)
    talk.wait_until(7 * MS_PER_DAY)
    assert starts_in(talk) == list(range(FIRST_MS, 7 * MS_PER_DAY, INTERVAL_MS))
    delivered = talk.granted(GetDelivery())
    assert (delivered.periodic_nl, delivered.basal_nl) == (28 * 20_000, 7 * 600_000)
    assert delivered.day_used_nl == 4 * 20_000
    first = [entry for entry in talk.log() if entry.type in (LogType.BOLUS_START, LogType.BOLUS_END)][:2]
    assert [(e.cmd_id, e.actor, e.details()) for e in first] == [
        (0, 0xF0, BolusStartData(20_000, 900, DeliveryKind.PERIODIC)),
        (0, 0xF0, BolusEndData(20_000, 0, BolusEndReason.COMPLETE)),
    ]
    assert_volumes_agree(talk)
    assert_log_is_whole(talk)


def test_each_stroke_of_a_periodic_bolus_falls_where_it_was_asked_for() -> None:
    talk = PatientAndClinician.with_program(None, PERIODIC)
    for into_ms in (0, 1, 22_499, 22_500, 450_000, DURATION_MS - 1, DURATION_MS):
        talk.wait_until(FIRST_MS + into_ms)
        assert talk.granted(GetDelivery()).periodic_nl == into_ms * 40 // DURATION_MS * STROKE_NL
    talk.wait_until(FIRST_MS + INTERVAL_MS + 1_000)
    status = talk.granted(GetStatus())
    assert (status.activity, status.bolus_cmd_id, status.bolus_left_nl) == (Activity.PERIODIC, 0, 20_000)


def test_a_first_delay_of_0_starts_at_the_commit_itself() -> None:
    talk = PatientAndClinician.with_program(None, PERIODIC._replace(first_delay_s=0))
    talk.wait(0)
    assert talk.granted(GetStatus()).activity == Activity.PERIODIC
    assert starts_in(talk) == [0]


def stop(talk: PatientAndClinician) -> None:
    talk.granted(Stop(10, 172_800, StopReason.CLINICAL))


def resume(talk: PatientAndClinician) -> None:
    talk.granted(Resume(11, 2))


def stall(talk: PatientAndClinician) -> None:
    talk.pump.stall_motor(True)


def end_of_stall(talk: PatientAndClinician) -> None:
    talk.pump.stall_motor(False)


def bolus_that_fills_the_hour(talk: PatientAndClinician) -> None:
    talk.start_bolus(12, 495_000, 5_000, 2)


def unplug(talk: PatientAndClinician) -> None:
    talk.pump.cut_power()


def plug_in(talk: PatientAndClinician) -> None:
    talk.pump.restore_power()


@for_each(
    ("begin", "end", "code"),
    [
        (stop, resume, ErrorCode.STOPPED),
        (stall, end_of_stall, ErrorCode.ALARM_BLOCKS),
        (bolus_that_fills_the_hour, lambda talk: talk.wait(0), ErrorCode.HOUR_MAX),
    ],
)
def test_what_keeps_a_start_from_being_made_is_logged_once_and_nothing_is_caught_up(
    begin: Act, end: Act, code: ErrorCode
) -> None:
    every_hour = PERIODIC._replace(interval_s=1_000, volume_nl=10_000, duration_s=100)
    talk = PatientAndClinician.with_program(None, every_hour, profile_of(hour_max_nl=500_000))
    begin(talk)
    talk.wait_until(FIRST_MS + 2_500_000)
    end(talk)
    talk.wait_until(FIRST_MS + 20_500_000)
    starts = starts_in(talk)
    first_ms = starts[0]
    assert first_ms > FIRST_MS
    assert (first_ms - FIRST_MS) % 1_000_000 == 0
    assert starts == list(range(first_ms, FIRST_MS + 20_500_000, 1_000_000))
    assert [data.code for data in passed_over(talk)] == [code]
    assert talk.granted(GetDelivery()).periodic_nl == len(starts) * 10_000
    assert_volumes_agree(talk)


def test_a_power_cut_ends_a_periodic_bolus_and_the_series_keeps_its_distance() -> None:
    talk = PatientAndClinician.with_program(None, PERIODIC)
    talk.wait_until(FIRST_MS + 45_600)
    unplug(talk)
    talk.wait(MS_PER_HOUR)
    plug_in(talk)
    ends = [entry.details() for entry in talk.log() if entry.type is LogType.BOLUS_END]
    assert ends == [BolusEndData(1_000, 0, BolusEndReason.POWER)]
    assert talk.granted(GetStatus()).alarm_latched >> AlarmId.BOLUS_PARTIAL & 1
    assert passed_over(talk) == [], "ticks stood still without power"
    talk.wait(INTERVAL_MS)
    assert starts_in(talk) == [FIRST_MS, FIRST_MS + INTERVAL_MS]
    assert_volumes_agree(talk)
    assert_log_is_whole(talk)


def test_a_cut_in_any_write_of_a_start_leaves_a_bolus_that_was_not_begun_or_is_closed() -> None:
    base = PatientAndClinician.with_program(None, PERIODIC)
    base.wait_until(FIRST_MS - 1)
    done = base.fork()
    before = len(done.writes)
    done.wait(1)
    lengths = [len(data) for _, data in done.writes[before:]]
    assert len(lengths) >= 3
    found = set()
    for number, length in enumerate(lengths, 1):
        for torn in {0, 1, length // 2, length - 1, length}:
            talk = base.fork()
            talk.pump.plant.cut_at_write(number, torn)
            talk.wait(1)
            ends = [entry.details() for entry in talk.log() if entry.type is LogType.BOLUS_END]
            begun = len(starts_in(talk))
            found.add(begun)
            if begun:
                assert [(end.delivered_nl, end.reason) for end in ends] == [(0, BolusEndReason.POWER)]
            else:
                assert [(data.code, data.detail) for data in passed_over(talk)] == [(ErrorCode.BATTERY, 1)]
            talk.wait(INTERVAL_MS + DURATION_MS)
            assert talk.granted(GetDelivery()).periodic_nl == 20_000
            assert starts_in(talk)[begun:] == [FIRST_MS + INTERVAL_MS]
            assert_volumes_agree(talk)
            assert_log_is_whole(talk)
    assert found == {0, 1}


def test_a_clock_that_is_set_moves_no_periodic_bolus() -> None:
    talk = PatientAndClinician.with_program(None, PERIODIC, profile_of(wall_at_start_s=826_000_000))
    for cmd_id, tz_minutes in enumerate((-420, 840), 20):
        talk.wait(MS_PER_HOUR)
        talk.granted(TimeSet(cmd_id, 700_000_000, tz_minutes, TimeSetReason.ZONE, confirm=True))
    talk.wait_until(MS_PER_DAY)
    assert starts_in(talk) == list(range(FIRST_MS, MS_PER_DAY, INTERVAL_MS))


def test_a_new_program_begins_a_series_of_its_own_or_none() -> None:
    talk = PatientAndClinician.with_program(None, PERIODIC)
    talk.wait_until(FIRST_MS - 1)
    talk.programs(5, None, PERIODIC._replace(first_delay_s=60))
    talk.wait_until(FIRST_MS + 2 * MS_PER_HOUR)
    assert starts_in(talk) == [FIRST_MS - 1 + 60_000]
    talk.programs(6, PATIENT, None)
    talk.wait(MS_PER_DAY)
    assert len(starts_in(talk)) == 1


@for_each("patients_first", [True, False])
def test_sr_07_patient_clinician_and_series_together_lose_nothing_and_never_flow_at_once(
    patients_first: bool,
) -> None:
    """Whoever comes first: what was asked for is given, a stroke at a time, and the one that waits resumes."""
    quick = PatientBlock(volume_nl=10_000, duration_s=600, lockout_s=3_600, window_s=86_400, max_count=4)
    talk = PatientAndClinician.with_program(quick, PERIODIC)
    if patients_first:
        talk.wait_until(FIRST_MS - 60_000)
        assert talk.asks_for_bolus(1).volume_nl == 10_000
        talk.start_bolus(2, 30_000, 1_200, 2)
    else:
        talk.wait_until(FIRST_MS - 60_000)
        talk.start_bolus(2, 30_000, 1_200, 2)
        talk.wait_until(FIRST_MS + 60_000)
        assert talk.asks_for_bolus(1).volume_nl == 10_000
    talk.wait_until(FIRST_MS + 60_000)
    expected = Activity.PATIENT | Activity.BOLUS | Activity.PERIODIC | Activity.SUSPENDED_BOLUS
    assert talk.granted(GetStatus()).activity == expected
    previous = _delivered(talk)
    for _ in range(60):
        talk.wait(60_000)
        now = _delivered(talk)
        moved = [after - before for before, after in zip(previous, now, strict=True)]
        assert sum(each > 1_500 for each in moved) <= 1, "two boluses flow at once"
        previous = now
    assert previous == (10_000, 30_000, 20_000)
    assert talk.granted(QueryCmd(2)).outcome is Outcome.DONE
    assert talk.patient_asks(QueryCmd(1)).outcome is Outcome.DONE
    assert_volumes_agree(talk)
    assert_log_is_whole(talk)


def _delivered(talk: PatientAndClinician) -> tuple[int, int, int]:
    delivered = talk.granted(GetDelivery())
    return delivered.patient_nl, delivered.bolus_nl, delivered.periodic_nl


def test_a_cancel_of_whatever_is_active_ends_a_periodic_bolus_and_tells_what_it_gave() -> None:
    talk = PatientAndClinician.with_program(None, PERIODIC)
    talk.wait_until(FIRST_MS + 225_000)
    answer = talk.granted(BolusCancel(30, 0, 0xFFFF))
    assert (answer.target_outcome, answer.delivered_nl) == (Outcome.PARTIAL, 5_000)
    assert talk.granted(GetStatus()).activity == Activity(0)
    talk.wait_until(FIRST_MS + INTERVAL_MS + DURATION_MS)
    assert talk.granted(GetDelivery()).periodic_nl == 25_000


def test_low_and_empty_reckon_with_the_series_to_the_second() -> None:
    dense = PERIODIC._replace(volume_nl=100_000, interval_s=7_200)
    profile = profile_of(
        implant=Implant(filled_nl=6_000_000), empty_policy=EmptyPolicy.CONTINUE, day_max_nl=5_000_000
    )
    talk = PatientAndClinician.with_program(None, dense, profile)
    promised = talk.granted(GetReservoir())
    for wait_ms in (FIRST_MS + 100_000, 3 * MS_PER_HOUR, MS_PER_DAY):
        talk.wait(wait_ms)
        now = talk.granted(GetReservoir())
        assert (now.low_t_mono_s, now.empty_t_mono_s) == (promised.low_t_mono_s, promised.empty_t_mono_s)
    talk.wait_until(promised.empty_t_mono_s * MS_PER_S + 1_000)
    assert alarm_ms(talk.pump, AlarmId.LOW_RESERVOIR) // MS_PER_S == promised.low_t_mono_s
    assert alarm_ms(talk.pump, AlarmId.EMPTY) // MS_PER_S == promised.empty_t_mono_s


def test_low_is_told_exactly_while_boluses_wait_for_each_other() -> None:
    """The forecast knows that what waits goes on, that one which comes meanwhile waits, and that one is passed over."""
    dense = PERIODIC._replace(volume_nl=100_000, interval_s=1_800, duration_s=1_500)
    quick = PATIENT._replace(volume_nl=50_000)
    profile = profile_of(
        implant=Implant(filled_nl=3_000_000),
        hour_max_nl=2_000_000,
        day_max_nl=9_000_000,
        program_day_max_nl=9_000_000,
    )
    talk = PatientAndClinician.with_program(quick, dense, profile)
    talk.wait_until(FIRST_MS + 60_000)
    assert talk.asks_for_bolus(1).volume_nl == 50_000
    talk.wait(30_000)
    promised = [talk.granted(GetReservoir()).low_t_mono_s]
    talk.wait_until(FIRST_MS + 3_000_000)
    promised.append(talk.granted(GetReservoir()).low_t_mono_s)
    talk.wait_until(promised[0] * MS_PER_S + 1_000)
    assert [alarm_ms(talk.pump, AlarmId.LOW_RESERVOIR) // MS_PER_S] * 2 == promised


def test_a_pump_that_stands_or_has_fallen_back_foresees_no_periodic_bolus() -> None:
    talk = PatientAndClinician.with_program(None, PERIODIC)
    talk.granted(Stop(10, 60, StopReason.MRI, OnExpiry.SAFE_RATE))
    assert talk.granted(GetReservoir()).low_t_mono_s == 0xFFFF_FFFF
    talk.wait(61_000)
    assert talk.granted(GetStatus()).state is State.SAFE_STATE
    low_s = talk.granted(GetReservoir()).low_t_mono_s
    assert low_s > 16_000_000 * 86_400 // 6_000 - 86_400
    talk.wait(MS_PER_DAY)
    assert starts_in(talk) == []
    assert [data.code for data in passed_over(talk)] == [ErrorCode.SAFE_STATE]


def test_a_refill_leaves_the_series_and_a_damaged_record_leads_to_the_safe_state() -> None:
    talk = PatientAndClinician.with_program(None, PERIODIC)
    talk.granted(Refill(8, 0, 18_000_000, 1, RefillFlag(0), 500_000, 2_000_000))
    talk.wait_until(FIRST_MS + 1)
    assert starts_in(talk) == [FIRST_MS]
    for region in (Region.PERIODIC, Region.PATIENT):
        damaged = talk.fork()
        damaged.pump.cut_power()
        flash, offset = damaged.pump.plant.flash, PLACES[region].offset + 8
        flash.write(offset, bytes([flash.read(offset, 1)[0] ^ 1]))
        damaged.pump.restore_power()
        assert damaged.granted(GetStatus()).state is State.SAFE_STATE
        damaged.programs(40, PATIENT, PERIODIC)
        damaged.wait(FIRST_MS)
        assert damaged.granted(GetStatus()).activity == Activity.PERIODIC
        granted = damaged.asks_for_bolus(1)
        assert (granted.volume_nl == 10_000 and not granted.deny) == (region is Region.PERIODIC)


def test_many_boluses_a_day_are_counted_for_a_day_and_no_longer() -> None:
    """More than the windows hold one by one: what is joined leaves the window all the same."""
    often = PeriodicBlock(volume_nl=5_000, duration_s=60, interval_s=300, first_delay_s=300)
    talk = PatientAndClinician.with_program(None, often)
    for _ in range(rounds_of("days of many boluses", 6, 2)):
        talk.wait(MS_PER_DAY)
        used = talk.granted(GetDelivery())
        assert used.day_used_nl <= 288 * 5_000 * 103 // 100
        assert used.hour_used_nl <= 13 * 5_000
    assert len(starts_in(talk)) > 100
    assert passed_over(talk) == []


def test_a_program_with_boluses_is_read_back_as_it_was_written() -> None:
    talk = PatientAndClinician.with_program(PATIENT, PERIODIC)
    verified = talk.stage_program(header_of(PATIENT, PERIODIC), (Segment(0, 600_000),), base_rev=2)
    assert verified.day_totals_nl == (600_000,)
    assert talk.code(ProgCommit(50, 2, verified.staged_crc, start=False)) is None
