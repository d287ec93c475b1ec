"""What people forget of a pump: to start it, to ask it after a scan, to fill it. It is heard, and tells what it cost.

[DOMAIN 8.6]
"""

from __future__ import annotations

from itertools import pairwise

from firmware_emu.plant.sounder import TONES_KEPT
from firmware_emu.profile import CommitMode, Implant
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE, MS_PER_S
from hil.campaign.conversation import Conversation, profile_of, simple_header
from protocol.identifiers import AlarmFlag, AlarmId, OnExpiry, RefillFlag, State, StopReason
from protocol.log.types import LogType
from protocol.messages.alarms import GetAlarms
from protocol.messages.conversation import EndSession
from protocol.messages.program import ProgBegin, ProgWrite, Segment
from protocol.messages.reading import GetDelivery, GetStatus
from protocol.messages.reservoir import GetReservoir, Refill
from protocol.messages.stop import Resume, Stop
from tests.simulation.invariants import assert_log_is_whole, assert_volumes_agree
from tests.support.for_each import for_each

RATE_NL_PER_DAY = 600_000
CRITICAL_MS = 10 * MS_PER_MINUTE
TOO_LONG_MS = 48 * MS_PER_HOUR


def at_work(filled_nl: int = 18_000_000, commit_mode: CommitMode = CommitMode.ATOMIC) -> Conversation:
    talk = Conversation.with_new_pump(
        profile_of(implant=Implant(filled_nl=filled_nl), wall_at_start_s=826_000_000, commit_mode=commit_mode)
    )
    talk.wait(MS_PER_HOUR)
    return talk


def active(talk: Conversation) -> set[AlarmId]:
    mask = talk.granted(GetStatus()).alarm_active
    return {alarm_id for alarm_id in AlarmId if mask >> alarm_id & 1}


def sounded_all_the_time(talk: Conversation, since_ms: int) -> bool:
    """Whether a critical tone began each interval from then on, as far back as the plant keeps them."""
    times = [tone.at_ms for tone in talk.pump.tones() if tone.critical and tone.at_ms >= since_ms]
    expected = (talk.now_ms - since_ms) // CRITICAL_MS + 1
    gaps = {late - early for early, late in pairwise(times)}
    return len(times) == min(expected, TONES_KEPT) and gaps <= {CRITICAL_MS}


# FI 61
@for_each(
    ("on_expiry", "state", "rate"),
    [
        (OnExpiry.ALARM_ONLY, State.STOP, 0),
        (OnExpiry.SAFE_RATE, State.SAFE_STATE, 6_000),
        (OnExpiry.RESUME, State.RUN, RATE_NL_PER_DAY),
    ],
)
def test_a_session_that_was_closed_without_a_restart_is_told_at_the_end_of_its_stop_and_not_forgotten(
    on_expiry: OnExpiry, state: State, rate: int
) -> None:
    talk = at_work()
    talk.granted(Stop(1, 3_600, StopReason.CLINICAL, on_expiry))
    stopped_ms = talk.now_ms
    talk.granted(ProgBegin(1, simple_header(400_000, 500_000)))
    talk.granted(ProgWrite(0, (Segment(0, 800_000),)))
    talk.granted(EndSession())  # and nobody comes back
    talk.wait_until(stopped_ms + MS_PER_HOUR)
    expired_ms = talk.now_ms
    heard = [tone.at_ms for tone in talk.pump.tones()]
    assert heard == ([] if state is State.RUN else [expired_ms])
    status = talk.granted(GetStatus())
    assert (status.state, status.rate_nl_per_day, status.program_rev) == (state, rate, 1)
    assert status.alarm_latched >> AlarmId.STOP_EXPIRED & 1
    talk.granted(EndSession())
    talk.wait_until(stopped_ms + TOO_LONG_MS + MS_PER_HOUR)
    lasting = {
        State.STOP: {AlarmId.STOP_EXPIRED, AlarmId.STOPPED_TOO_LONG},
        State.SAFE_STATE: {AlarmId.STOP_EXPIRED},
        State.RUN: set(),
    }
    assert active(talk) == lasting[state]
    talk.granted(EndSession())
    assert state is State.RUN or sounded_all_the_time(talk, expired_ms)
    assert LogType.STAGE_LOST in [entry.type for entry in talk.log()]
    assert_volumes_agree(talk)


# RH-07
@for_each("mode", list(CommitMode))
def test_an_update_that_breaks_off_leaves_a_pump_without_drug_only_where_the_mode_is_that_of_the_field(
    mode: CommitMode,
) -> None:
    """The harm with the profile's `commit_mode`, where nobody is told for 48 h; its absence as pumps are made here."""
    talk = at_work(commit_mode=mode)
    talk.granted(ProgBegin(1, simple_header(400_000, 500_000)))
    before_nl = talk.granted(GetDelivery()).basal_nl
    began_ms = talk.now_ms
    talk.wait(TOO_LONG_MS - 1)
    harmed = mode is not CommitMode.ATOMIC
    delivered_nl = talk.granted(GetDelivery()).basal_nl - before_nl
    assert (delivered_nl == 0) is harmed
    assert talk.pump.tones() == ()
    talk.wait_until(began_ms + TOO_LONG_MS)
    assert (AlarmId.STOPPED_TOO_LONG in active(talk)) is harmed


# FI 62
def test_a_pump_that_was_stopped_for_a_scan_and_forgotten_is_silent_for_48_hours_and_never_again() -> None:
    talk = at_work()
    before_nl = talk.granted(GetDelivery()).basal_nl
    talk.granted(Stop(1, 172_800, StopReason.MRI, OnExpiry.ALARM_ONLY))
    stopped_ms = talk.now_ms
    talk.granted(EndSession())
    talk.wait_until(stopped_ms + TOO_LONG_MS - 1)
    assert talk.pump.tones() == ()
    talk.wait_until(stopped_ms + 10 * MS_PER_DAY)
    assert active(talk) == {AlarmId.STOP_EXPIRED, AlarmId.STOPPED_TOO_LONG}
    talk.granted(EndSession())
    assert sounded_all_the_time(talk, stopped_ms + TOO_LONG_MS)
    assert talk.granted(GetDelivery()).basal_nl == before_nl
    stops = [entry for entry in talk.log() if entry.type is LogType.STOPPED_TOO_LONG]
    assert len(stops) == 1
    assert talk.granted(Resume(2, 1)).rate_nl_per_day == RATE_NL_PER_DAY
    assert not active(talk)


# FI 62
def test_a_stop_for_a_scan_that_may_resume_by_itself_costs_an_hour_and_no_more() -> None:
    talk = at_work()
    talk.granted(Stop(1, 3_600, StopReason.MRI, OnExpiry.RESUME))
    before_nl = talk.granted(GetDelivery()).basal_nl
    talk.granted(EndSession())
    talk.wait(MS_PER_DAY)
    status = talk.granted(GetStatus())
    assert (status.state, status.alarm_active) == (State.RUN, 0)
    assert status.alarm_latched >> AlarmId.STOP_EXPIRED & 1
    assert talk.granted(GetDelivery()).basal_nl - before_nl == RATE_NL_PER_DAY * 23 // 24


# FI 63
def test_a_scan_after_which_nobody_asks_the_pump_is_still_told_months_later() -> None:
    talk = at_work()
    talk.pump.inject("motor-stall", {"duration_ms": 3 * MS_PER_HOUR})
    talk.wait(4 * MS_PER_HOUR)
    missed_nl = talk.pump.truth().strokes_missed * 500
    assert missed_nl == 75_000
    last_tone_ms = talk.pump.tones()[-1].at_ms
    talk.wait(20 * MS_PER_DAY)
    assert talk.pump.tones()[-1].at_ms == last_tone_ms, "the pump has not been heard since it turned again"
    (row,) = talk.granted(GetAlarms()).alarms
    assert (row.alarm_id, row.flags) == (AlarmId.MOTOR_STALL, AlarmFlag.LATCHED)
    entries = [entry for entry in talk.log() if entry.type in (LogType.STALL, LogType.STALL_RECOVERED)]
    assert [entry.type for entry in entries] == [LogType.STALL, LogType.STALL_RECOVERED]
    assert entries[1].details().missed_nl == missed_nl
    assert entries[1].t_mono_s < 6 * 3_600, "when it was, not when it was asked"
    truth, belief_nl = talk.pump.truth(), talk.granted(GetReservoir()).reservoir_calc_nl
    assert truth.true_nl_ppm // 1_000_000 - belief_nl == missed_nl, "the next refill measures so much more"


# FI 66
@for_each(
    ("days_late", "alarms", "state"),
    [
        (1, {AlarmId.LOW_RESERVOIR}, State.RUN),
        (7, {AlarmId.LOW_RESERVOIR, AlarmId.EMPTY}, State.SAFE_STATE),
        (30, {AlarmId.LOW_RESERVOIR, AlarmId.EMPTY}, State.SAFE_STATE),
    ],
)
def test_a_refill_that_is_late_is_called_for_from_its_day_on_and_nothing_is_caught_up(
    days_late: int, alarms: set[AlarmId], state: State
) -> None:
    """5 mL are due after five days, dry after six without the residual 1.4 mL, and believed to last for 8.3 days."""
    talk = at_work(5_000_000)
    due_ms = 5 * MS_PER_DAY
    talk.wait_until(due_ms - 1)
    assert talk.pump.tones() == ()
    talk.wait_until(due_ms)
    assert [tone.critical for tone in talk.pump.tones()] == [False]
    talk.wait_until(due_ms + days_late * MS_PER_DAY + MS_PER_S)
    status = talk.granted(GetStatus())
    assert status.state is state
    assert active(talk) == alarms
    talk.granted(EndSession())
    if AlarmId.EMPTY in alarms:
        assert sounded_all_the_time(talk, (25 * MS_PER_DAY + 2) // 3)
    dry_ms = talk.pump.truth().ran_dry_at_ms
    assert (dry_ms == 6 * MS_PER_DAY) is (days_late >= 1)
    expected_nl = talk.granted(GetReservoir()).reservoir_calc_nl
    talk.granted(Refill(1, expected_nl, 18_000_000, 1, RefillFlag(0), 500_000, 2_000_000))
    assert not active(talk)
    before_nl = talk.granted(GetDelivery()).basal_nl
    talk.wait(MS_PER_DAY)
    assert talk.granted(GetStatus()).state is State.RUN
    assert talk.granted(GetDelivery()).basal_nl - before_nl == RATE_NL_PER_DAY
    assert_log_is_whole(talk)
    assert_volumes_agree(talk)
