"""From an alarm to what a patient hears: at which millisecond, how often, and how long it stays silent."""

from __future__ import annotations

from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_emu.pins import Tone
from firmware_emu.plant.sounder import TONES_KEPT
from firmware_emu.profile import Implant
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE
from hil.campaign.conversation import Conversation, profile_of
from protocol.messages.alarms import AlarmAck, GetAlarms
from protocol.messages.conversation import EndSession
from tests.simulation.stepping import played
from tests.simulation.test_steps import WEEK_END_MS, WEEK_PROFILE, busy_week
from tests.support.soak import rounds_of

CRITICAL_MS, NON_CRITICAL_MS = 700_000, 5_000_000
LOW_AT_MS = 30 * MS_PER_DAY  # 18 mL above the alarm volume at 0.6 mL a day


def new_talk(filled_nl: int = 20_000_000) -> Conversation:
    return Conversation.with_new_pump(
        profile_of(
            implant=Implant(filled_nl=filled_nl),
            wall_at_start_s=826_000_000,
            critical_interval_s=CRITICAL_MS // 1_000,
            noncritical_interval_s=NON_CRITICAL_MS // 1_000,
        )
    )


def starts(talk: Conversation) -> list[tuple[int, bool]]:
    return [(tone.at_ms, tone.critical) for tone in talk.pump.tones()]


def stalled() -> tuple[Conversation, int]:
    """A pump whose stall has just been found, and when that was."""
    talk = new_talk()
    talk.pump.stall_motor(True)
    talk.wait(MS_PER_HOUR)
    ((began_ms, critical), *_rest) = starts(talk)
    assert critical
    return talk, began_ms


def acknowledge(talk: Conversation) -> None:
    (row,) = talk.granted(GetAlarms()).alarms
    talk.granted(AlarmAck(row.alarm_id, row.on_seq))


def test_a_pump_without_an_alarm_is_silent_and_is_not_woken_for_it() -> None:
    talk = new_talk()
    talk.wait_until(LOW_AT_MS - 1)
    assert starts(talk) == []
    assert talk.pump.controller is not None
    assert talk.pump.controller.schedule.next_event_ms(every_stroke=False) == LOW_AT_MS


def test_a_non_critical_alarm_sounds_at_its_stroke_and_then_each_interval() -> None:
    talk = new_talk()
    talk.wait_until(LOW_AT_MS)
    talk.wait(2 * NON_CRITICAL_MS)
    assert talk.pump.tones() == tuple(
        Tone(LOW_AT_MS + n * NON_CRITICAL_MS, critical=False, duration_ms=1_000) for n in range(3)
    )


def test_a_critical_alarm_sounds_as_it_is_found_and_then_each_interval_until_it_ends() -> None:
    talk, began_ms = stalled()
    talk.pump.stall_motor(False)
    talk.wait(MS_PER_DAY)
    tones = talk.pump.tones()
    assert tones[:3] == tuple(
        Tone(began_ms + n * CRITICAL_MS, critical=True, duration_ms=3_000) for n in range(3)
    )
    assert not any(tone.at_ms > MS_PER_HOUR + 10 * MS_PER_MINUTE for tone in tones)


def test_a_step_that_ends_before_a_tone_does_not_play_it() -> None:
    talk, began_ms = stalled()
    played_so_far = talk.pump.truth().tones_played
    next_ms = began_ms + played_so_far * CRITICAL_MS
    talk.wait_until(next_ms - 1)
    assert talk.pump.truth().tones_played == played_so_far
    talk.wait_until(next_ms)
    assert talk.pump.truth().tones_played == played_so_far + 1
    talk.wait_until(next_ms)
    assert talk.pump.truth().tones_played == played_so_far + 1, "a tone is played once"


def test_a_silenced_critical_alarm_is_heard_again_at_the_millisecond_at_which_its_session_ends() -> None:
    talk, _began_ms = stalled()
    acknowledge(talk)
    before = len(starts(talk))
    talk.wait(CRITICAL_MS // 10)
    talk.granted(EndSession())
    ended_ms = talk.now_ms
    talk.wait(CRITICAL_MS)
    assert starts(talk)[before:] == [(ended_ms, True), (ended_ms + CRITICAL_MS, True)]


def test_a_silenced_non_critical_alarm_stays_silent() -> None:
    talk = new_talk()
    talk.wait_until(LOW_AT_MS + 1)
    acknowledge(talk)
    talk.granted(EndSession())
    talk.wait(2 * MS_PER_DAY)
    assert starts(talk) == [(LOW_AT_MS, False)]


def test_a_pump_without_power_is_silent_and_its_alarms_sound_when_it_starts() -> None:
    talk, began_ms = stalled()
    last_ms = began_ms + 5 * CRITICAL_MS
    talk.wait_until(last_ms + 1_000)
    talk.pump.cut_power()
    before = talk.pump.tones()
    assert before[-1] == Tone(last_ms, critical=True, duration_ms=1_000), "cut off"
    talk.wait(MS_PER_DAY)
    assert talk.pump.tones() == before
    talk.pump.restore_power()
    talk.wait(CRITICAL_MS)
    after = starts(talk)[len(before) :]
    assert after
    assert after[0][0] - before[-1].at_ms >= MS_PER_DAY
    assert all(critical for _at_ms, critical in after)


def test_a_restart_sounds_at_once() -> None:
    talk = new_talk()
    talk.wait(10_000)
    talk.pump.cut_power()
    talk.wait(5_000)
    talk.pump.restore_power()
    talk.wait(0)
    assert starts(talk) == [(15_000, True)]


# --- however time is cut --------------------------------------------------------------------------------


@cache
def week_in_one_go() -> tuple[tuple[Tone, ...], int]:
    talk = played(Conversation.with_new_pump(WEEK_PROFILE), busy_week(), WEEK_END_MS)
    return talk.pump.tones(), talk.pump.truth().tones_played


@settings(max_examples=10)
@given(st.lists(st.integers(1, WEEK_END_MS - 1), max_size=200, unique=True))
def test_a_week_in_any_steps_sounds_as_the_week_in_one(cuts_ms: list[int]) -> None:
    talk = Conversation.with_new_pump(WEEK_PROFILE)
    week = played(talk, busy_week(), WEEK_END_MS, sorted(cuts_ms))
    assert (week.pump.tones(), week.pump.truth().tones_played) == week_in_one_go()


def test_a_day_of_tones_second_by_second_is_the_day_in_one_step() -> None:
    once, _began_ms = stalled()
    often = once.fork()
    end_ms = once.now_ms + rounds_of("hours of tones second by second", 24, 7) * MS_PER_HOUR
    once.wait_until(end_ms)
    heard = {}
    while often.now_ms < end_ms:
        often.wait_until(min(end_ms, often.now_ms + 1_000))
        heard[often.pump.truth().tones_played] = often.pump.tones()[-1].at_ms
    assert often.pump.tones() == once.pump.tones()
    assert len(once.pump.tones()) == TONES_KEPT
    assert once.pump.truth().tones_played == max(heard) > TONES_KEPT
    gaps = {heard[n + 1] - heard[n] for n in heard if n + 1 in heard}
    assert gaps == {CRITICAL_MS}
