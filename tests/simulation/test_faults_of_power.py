"""What goes wrong with the cell, its converter and the sounder, and what the pump makes of it [DOMAIN 1.5, 3.2, 8.3].

After any reset the old therapy or the safe state, by the policy of the profile, with the alarm RESET; no dose is lost
from the count, and none is given twice.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from firmware_emu.events import PowerCutCause, PowerLost
from firmware_emu.profile import Implant, ResetPolicy
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE
from hil.campaign.conversation import Conversation, profile_of
from hil.plugin import verifies
from protocol.identifiers import AlarmId, Outcome, SelfTestFault, State, StateReason
from protocol.log.types import BolusEndReason, LogType
from protocol.messages.ledger import QueryCmd
from protocol.messages.reading import GetStatus
from tests.simulation.invariants import assert_log_is_whole, assert_volumes_agree

SLOW = Implant(dose_ng_per_day=24_000, filled_nl=20_000_000)
"""At the lowest rate, so that no reservoir is empty before its cell."""
NO_LOADS: dict[str, Any] = {
    "stroke_ma": 0,
    "tone_ma": 0,
    "telemetry_ma": 0,
    "memory_write_ma": 0,
    "processor_ma": 0,
}
FILM = {"film_milliohm": 30_000}
DRAIN_UA = 1_000
NEARLY_SPENT_DAYS = 3_420
"""After so long at the lowest rate the cell is at 2.57 V."""


def losses(talk: Conversation) -> list[PowerLost]:
    return [entry.event for entry in talk.trace if isinstance(entry.event, PowerLost)]


def days_of(talk: Conversation, log_type: LogType) -> list[float]:
    return [entry.t_mono_s / 86_400 for entry in talk.log() if entry.type is log_type]


def failed_parts(talk: Conversation) -> list[SelfTestFault]:
    return [entry.details().failed for entry in talk.log() if entry.type is LogType.POST_FAIL]


def effects_of(talk: Conversation, name: str) -> int:
    return next(each.effects for each in talk.pump.faults() if each.fault.name == name)


def load_with_a_stroke(talk: Conversation) -> None:
    talk.wait(5 * MS_PER_MINUTE)


def load_with_a_memory_write(talk: Conversation) -> None:
    talk.wait(MS_PER_HOUR)


def load_with_a_tone(talk: Conversation) -> None:
    talk.pump.cut_power()
    talk.pump.restore_power()  # the tone of RESET
    talk.wait(5 * MS_PER_MINUTE)


def load_with_telemetry(talk: Conversation) -> None:
    assert talk.ask(GetStatus()) is None
    talk.wait(5 * MS_PER_MINUTE)


LOADS = {
    PowerCutCause.STROKE: ("stroke_ma", load_with_a_stroke),
    PowerCutCause.MEMORY_WRITE: ("memory_write_ma", load_with_a_memory_write),
    PowerCutCause.TONE: ("tone_ma", load_with_a_tone),
    PowerCutCause.TELEMETRY: ("telemetry_ma", load_with_telemetry),
}


# FI 29
@verifies("HDW-001")
@pytest.mark.parametrize("cause", LOADS, ids=lambda cause: cause.value)
def test_a_film_browns_out_at_each_kind_of_load_and_the_old_therapy_comes_back(cause: PowerCutCause) -> None:
    field, load = LOADS[cause]
    talk = Conversation.with_new_pump(profile_of(**{**NO_LOADS, field: 50}))
    talk.wait(MS_PER_HOUR)
    before = talk.granted(GetStatus())
    talk.pump.inject("resistive-film", FILM)
    load(talk)
    lost = [each for each in losses(talk) if each.cause is not PowerCutCause.RIG]
    assert {each.cause for each in lost} == {cause}
    assert not any(each.stays_off for each in lost)
    assert effects_of(talk, "resistive-film") == len(lost)
    talk.pump.clear("resistive-film")
    talk.wait(2 * MS_PER_MINUTE)
    status = talk.granted(GetStatus())
    assert (status.state, status.rate_nl_per_day) == (State.RUN, before.rate_nl_per_day)
    assert status.alarm_latched >> AlarmId.RESET & 1
    assert_volumes_agree(talk)
    assert_log_is_whole(talk)


@pytest.mark.parametrize("cause", LOADS, ids=lambda cause: cause.value)
def test_without_a_film_no_load_browns_out(cause: PowerCutCause) -> None:
    field, _load = LOADS[cause]
    talk = Conversation.with_new_pump(profile_of(**{**NO_LOADS, field: 50}))
    talk.wait(MS_PER_HOUR)
    talk.granted(GetStatus())
    assert losses(talk) == []


@pytest.mark.parametrize("policy", ResetPolicy)
def test_after_a_brown_out_the_pump_is_in_what_its_policy_says(policy: ResetPolicy) -> None:
    talk = Conversation.with_new_pump(profile_of(reset_policy=policy))
    talk.wait(MS_PER_HOUR)
    talk.pump.inject("power-cut-at-stroke", {"strokes": 1, "stays_off": 0})
    talk.wait(MS_PER_HOUR)
    status = talk.granted(GetStatus())
    if policy is ResetPolicy.OLD_THERAPY:
        assert (status.state, status.rate_nl_per_day) == (State.RUN, 600_000)
    else:
        assert (status.state, status.state_reason) == (State.SAFE_STATE, StateReason.RESET)
        assert status.rate_nl_per_day == 6_000
    assert status.alarm_latched >> AlarmId.RESET & 1
    assert_volumes_agree(talk)


def spent_pump() -> Conversation:
    implant = Implant(dose_ng_per_day=24_000, implant_days_ago=NEARLY_SPENT_DAYS)
    return Conversation.with_new_pump(profile_of(implant=implant))


# RH-05
def test_a_film_that_grows_brings_eri_early_and_then_resets_with_their_alarm() -> None:
    talk, sound = spent_pump(), spent_pump()
    talk.pump.inject("resistive-film", {"film_milliohm": 1, "growth_milliohm_per_day": 3_000})
    for each in (talk, sound):
        each.wait(8 * MS_PER_DAY)
    assert talk.pump.truth().battery_mv == sound.pump.truth().battery_mv, "the cell itself is as good"
    assert days_of(talk, LogType.ERI)
    assert days_of(sound, LogType.ERI) == []
    assert losses(talk) == losses(sound) == []
    talk.wait(2 * MS_PER_DAY)
    lost = losses(talk)
    assert lost[0].cause is PowerCutCause.STROKE
    talk.pump.clear("resistive-film")
    talk.wait(2 * MS_PER_MINUTE)
    status = talk.granted(GetStatus())
    assert status.alarm_latched >> AlarmId.RESET & 1
    assert status.alarm_active >> AlarmId.ERI & 1, "what was told of the cell is not taken back"
    assert_volumes_agree(talk)


@cache
def drained() -> Conversation:
    """A pump whose cell leaks 24 mAh a day, at its end."""
    talk = Conversation.with_new_pump(profile_of(implant=SLOW))
    talk.pump.inject("battery-drain", {"leak_ua": DRAIN_UA})
    talk.wait(50 * MS_PER_DAY)
    return talk


# FI 30, 31
# RH-05
def test_a_leak_brings_eri_before_its_time_and_the_end_in_less_than_90_days() -> None:
    talk = drained().fork()
    (eri_day,), (eos_day,) = days_of(talk, LogType.ERI), days_of(talk, LogType.EOS)
    assert 31 <= eri_day <= 34
    assert 40 <= eos_day <= 43
    status = talk.granted(GetStatus())
    assert (status.state, status.rate_nl_per_day) == (State.EOS, 0)
    assert status.alarm_active >> AlarmId.EOS & 1
    turned = talk.pump.truth().strokes_turned
    talk.wait(30 * MS_PER_DAY)
    assert talk.pump.truth().strokes_turned == turned
    assert effects_of(talk, "battery-drain") == 80 * 24 * DRAIN_UA


# RH-05
@verifies("HDW-002")
def test_the_end_comes_90_days_after_eri_where_the_leak_has_stopped() -> None:
    talk = Conversation.with_new_pump(profile_of(implant=SLOW))
    talk.pump.inject("battery-drain", {"leak_ua": DRAIN_UA})
    talk.wait(35 * MS_PER_DAY)
    talk.pump.clear("battery-drain")
    (eri_day,) = days_of(talk, LogType.ERI)
    talk.wait_until(round((eri_day + 90) * MS_PER_DAY) - 1)
    assert talk.granted(GetStatus()).state is State.RUN
    talk.wait(1)
    assert talk.granted(GetStatus()).state is State.EOS


# FI 32
def test_a_bolus_in_which_the_cell_ends_is_partial_and_counted_once() -> None:
    (eos_day,) = days_of(drained().fork(), LogType.EOS)
    eos_ms = round(eos_day * MS_PER_DAY)
    talk = Conversation.with_new_pump(profile_of(implant=SLOW))
    talk.pump.inject("battery-drain", {"leak_ua": DRAIN_UA})
    talk.wait_until(eos_ms - 30 * MS_PER_MINUTE)
    talk.start_bolus(1, 20_000, 3_600)
    talk.wait_until(eos_ms + MS_PER_HOUR)
    found = talk.granted(QueryCmd(1))
    assert (found.outcome, found.delivered_nl, found.uncertain_nl) == (Outcome.PARTIAL, 10_000, 0)
    ends = [entry.details() for entry in talk.log() if entry.type is LogType.BOLUS_END]
    assert [(end.reason, end.delivered_nl) for end in ends] == [(BolusEndReason.EOS, 10_000)]
    assert talk.granted(GetStatus()).state is State.EOS
    assert_volumes_agree(talk)


# FI 33
# RH-06
@verifies("HDW-003")
def test_a_short_brings_stalls_and_resets_by_turns_and_no_therapy_is_lost_or_doubled() -> None:
    talk = Conversation.with_new_pump(profile_of())
    talk.pump.inject("feedthrough-short", {})
    talk.wait(MS_PER_HOUR)
    talk.start_bolus(1, 20_000, 1_800)
    before = talk.granted(GetStatus())
    talk.wait(15 * MS_PER_HOUR)
    types = [entry.type for entry in talk.log()]
    assert types.count(LogType.STALL) == types.count(LogType.STALL_RECOVERED) == 4
    assert types.count(LogType.RESET_BROWNOUT) == 4
    assert {each.cause for each in losses(talk)} == {PowerCutCause.SHORT}
    assert effects_of(talk, "feedthrough-short") == 8
    found = talk.granted(QueryCmd(1))
    assert (found.outcome, found.delivered_nl) == (Outcome.DONE, 20_000)
    assert types.count(LogType.BOLUS_START) == types.count(LogType.BOLUS_END) == 1
    status = talk.granted(GetStatus())
    assert (status.state, status.program_rev) == (State.RUN, before.program_rev)
    assert_volumes_agree(talk)
    assert_log_is_whole(talk)


# RH-06
def test_without_a_short_nothing_stalls_and_nothing_resets() -> None:
    talk = Conversation.with_new_pump(profile_of())
    talk.wait(16 * MS_PER_HOUR)
    types = {entry.type for entry in talk.log()}
    assert not types & {LogType.STALL, LogType.RESET_BROWNOUT}


# FI 34
@verifies("HDW-004")
@pytest.mark.parametrize("reading_mv", [3_100, 100])
def test_a_stuck_converter_is_found_by_the_gauge_which_then_decides(reading_mv: int) -> None:
    talk = Conversation.with_new_pump(profile_of(implant=SLOW))
    talk.pump.inject("battery-drain", {"leak_ua": DRAIN_UA})
    talk.pump.inject("adc-stuck", {"reading_mv": reading_mv})
    talk.wait(50 * MS_PER_DAY)
    (wanted_eri,), (wanted_eos,) = (days_of(drained().fork(), each) for each in (LogType.ERI, LogType.EOS))
    (eri,), (eos,) = days_of(talk, LogType.ERI), days_of(talk, LogType.EOS)
    assert abs(eri - wanted_eri) <= 1
    assert abs(eos - wanted_eos) <= 1
    assert SelfTestFault.BATTERY in failed_parts(talk)
    assert effects_of(talk, "adc-stuck") > 0


def test_a_sound_converter_is_not_doubted() -> None:
    assert failed_parts(drained().fork()) == []


# FI 36
def test_a_dead_sounder_is_found_by_its_first_tone_and_told_once() -> None:
    talk = Conversation.with_new_pump(profile_of())
    talk.wait(MS_PER_HOUR)
    talk.pump.inject("sounder-dead", {})
    talk.pump.stall_motor(True)
    talk.wait(2 * MS_PER_HOUR)
    unheard = effects_of(talk, "sounder-dead")
    assert unheard > 3
    assert talk.pump.truth().tones_played == 0
    assert failed_parts(talk) == [SelfTestFault.SOUNDER]
    talk.pump.clear("sounder-dead")
    talk.wait(MS_PER_HOUR)
    assert talk.pump.truth().tones_played > 3
    assert effects_of(talk, "sounder-dead") == unheard


# FI 36
def test_a_dead_sounder_is_found_at_a_restart_by_the_tone_of_the_reset() -> None:
    talk = Conversation.with_new_pump(profile_of())
    talk.pump.inject("sounder-dead", {})
    talk.pump.cut_power()
    talk.pump.restore_power()
    assert failed_parts(talk) == [SelfTestFault.SOUNDER]


@pytest.mark.parametrize(
    ("charges", "used"),
    [({}, 0), ({"tone_nc_per_ms": 15_000}, 15_000 * 3_000), ({"telemetry_nc_per_byte": 1_000}, 1_000)],
    ids=["as good as none", "tones", "telemetry"],
)
def test_tones_and_telemetry_draw_what_the_profile_says(charges: dict[str, Any], used: int) -> None:
    talk = Conversation.with_new_pump(profile_of(**charges))
    plain = Conversation.with_new_pump(profile_of())
    for each in (talk, plain):
        each.granted(GetStatus())
        each.pump.stall_motor(True)
        each.wait(2 * MS_PER_HOUR)
    battery = talk.pump.plant.battery
    drawn_nc = battery.used_nc(talk.now_ms) - plain.pump.plant.battery.used_nc(talk.now_ms)
    times = talk.pump.truth().tones_played if "tone_nc_per_ms" in charges else battery.bytes_sent
    assert drawn_nc == used * times
