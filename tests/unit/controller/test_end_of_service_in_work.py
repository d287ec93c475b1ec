"""The end of service in the middle of a delivery, and when it comes: 90 days after ERI or the hard end [DOMAIN 1.5]."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE
from hil.campaign.conversation import Conversation, bridged, simple_header
from hil.campaign.program_boluses import PATIENT, PERIODIC, PatientAndClinician
from protocol.identifiers import Activity, AlarmId, BatteryPhase, Outcome, State
from protocol.log.types import BolusEndReason, LogType
from protocol.messages.bolus import PatientBolus
from protocol.messages.ledger import QueryCmd
from protocol.messages.program import ProgCommit, Segment
from protocol.messages.reading import GetDelivery, GetStatus
from protocol.messages.reservoir import GetReservoir
from tests.simulation.alarm_causes import SEVEN_YEARS_DAYS, leave, new_pump, next_id, stop, until_alarm
from tests.simulation.invariants import assert_log_is_whole, assert_volumes_agree
from tests.support.for_each import for_each

HARD_END_DAYS = SEVEN_YEARS_DAYS + 1  # with the leap days of 2020 and 2024
RARELY = {"critical_interval_s": 86_400, "noncritical_interval_s": 86_400}
"""A tone a day: each is an event, and months are run here."""


@cache
def three_hours_before() -> PatientAndClinician:
    """A pump three hours before its end."""
    talk = new_pump(implant_days_ago=HARD_END_DAYS - 3, battery_capacity_mah=5_000, **RARELY)
    until_alarm(talk, AlarmId.EOS, 5 * MS_PER_DAY, before_ms=3 * MS_PER_HOUR)
    leave_open_sessions(talk)
    return PatientAndClinician(talk.pump)


def leave_open_sessions(talk: Conversation) -> None:
    talk.granted(GetStatus())
    leave(talk)


def bolus(talk: PatientAndClinician) -> None:
    talk.wait(170 * MS_PER_MINUTE)
    talk.start_bolus(next_id(talk), 20_000, 1_200)


def prime(talk: PatientAndClinician) -> None:
    talk.wait(170 * MS_PER_MINUTE)
    talk.start_prime(next_id(talk), 20_000, 1_200)


def prime_in_stop(talk: PatientAndClinician) -> None:
    talk.wait(170 * MS_PER_MINUTE)
    stop(talk, 3_600)
    talk.start_prime(next_id(talk), 20_000, 1_200)


def patients(talk: PatientAndClinician) -> None:
    talk.programs(next_id(talk), PATIENT._replace(duration_s=1_200))
    talk.wait(170 * MS_PER_MINUTE)
    talk.patient_asks(PatientBolus(1))


def periodic(talk: PatientAndClinician) -> None:
    talk.programs(
        next_id(talk), periodic=PERIODIC._replace(first_delay_s=170 * 60, duration_s=1_200, volume_nl=20_000)
    )


def bridge(talk: PatientAndClinician) -> None:
    talk.wait(170 * MS_PER_MINUTE)
    program = bridged((simple_header(24_000, 500_000), (Segment(0, 48_000),)), 20_000, 1_440_000)
    crc = talk.stage_program(*program, base_rev=1).staged_crc
    talk.granted(ProgCommit(next_id(talk), 1, crc, start=True))


STARTS: dict[str, tuple[Callable[[PatientAndClinician], None], Activity, LogType]] = {
    "a bolus": (bolus, Activity.BOLUS, LogType.BOLUS_END),
    "a prime": (prime, Activity.PRIME, LogType.PRIME_END),
    "a prime in STOP": (prime_in_stop, Activity.PRIME, LogType.PRIME_END),
    "a patient's bolus": (patients, Activity.PATIENT, LogType.BOLUS_END),
    "a periodic bolus": (periodic, Activity.PERIODIC, LogType.BOLUS_END),
    "a bridge": (bridge, Activity.BRIDGE, LogType.BRIDGE_END),
}


# FI 32
@for_each("what", STARTS)
def test_the_end_of_service_ends_whatever_is_delivered_and_nothing_comes_after_it(what: str) -> None:
    start, activity, end_type = STARTS[what]
    talk = three_hours_before().fork()
    end_ms = talk.now_ms + 3 * MS_PER_HOUR
    start(talk)
    talk.wait_until(end_ms - 1)
    assert activity in talk.granted(GetStatus()).activity
    talk.wait_until(end_ms)
    status = talk.granted(GetStatus())
    assert (status.state, status.rate_nl_per_day, status.activity) == (State.EOS, 0, Activity(0))
    assert status.alarm_active >> AlarmId.EOS & 1
    (end,) = [entry for entry in talk.log() if entry.type is end_type]
    details = end.details()
    assert details.reason is BolusEndReason.EOS
    volume_nl = 10_000 if what == "a patient's bolus" else 20_000
    assert abs(details.delivered_nl - volume_nl // 2) <= 500, "half of it"
    if end.cmd_id and what != "a patient's bolus":
        assert talk.granted(QueryCmd(end.cmd_id)).outcome is Outcome.PARTIAL
    turned, told = talk.pump.truth().strokes_turned, talk.granted(GetDelivery())
    leave(talk)
    talk.wait(10 * MS_PER_DAY)
    assert talk.pump.truth().strokes_turned == turned
    assert talk.granted(GetDelivery()).basal_nl == told.basal_nl
    assert talk.granted(GetStatus()).state is State.EOS
    assert_log_is_whole(talk)
    assert_volumes_agree(talk)


# FI 31
@for_each(("days_left", "eri_day", "eos_day"), [(200, 110, 200), (90, 0, 90), (30, 0, 30), (1, 0, 1)])
def test_the_end_comes_90_days_after_eri_or_at_the_hard_end_whichever_is_first(
    days_left: int, eri_day: int, eos_day: int
) -> None:
    """84 months after its implant a pump ends, however late it indicated that."""
    talk = new_pump(implant_days_ago=HARD_END_DAYS - days_left, battery_capacity_mah=5_000, **RARELY)
    times = {
        AlarmId.ERI: until_alarm(talk.fork(), AlarmId.ERI, (eos_day + 1) * MS_PER_DAY).now_ms,
        AlarmId.EOS: until_alarm(talk, AlarmId.EOS, (eos_day + 1) * MS_PER_DAY).now_ms,
    }
    assert times == {AlarmId.ERI: eri_day * MS_PER_DAY, AlarmId.EOS: eos_day * MS_PER_DAY}
    assert talk.granted(GetReservoir()).battery_phase is BatteryPhase.EOS
    types = [entry.type for entry in talk.log() if entry.type in (LogType.ERI, LogType.EOS)]
    assert types == [LogType.ERI, LogType.EOS]


# FI 30
def test_a_battery_that_indicates_early_ends_the_pump_90_days_later_though_its_calendar_says_years() -> None:
    talk = new_pump(battery_capacity_mah=20, **RARELY)
    eri_ms = until_alarm(talk.fork(), AlarmId.ERI, 100 * MS_PER_DAY).now_ms
    empty_cell = talk.fork()
    until_alarm(empty_cell, AlarmId.EOS, 120 * MS_PER_DAY)
    assert empty_cell.now_ms - eri_ms <= 90 * MS_PER_DAY, "or sooner, where its voltage falls that far"
