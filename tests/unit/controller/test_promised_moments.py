"""Each moment to come that an answer names is kept, in every state: what is promised and never happens misleads."""

from __future__ import annotations

from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_S
from hil.campaign.conversation import Conversation, factory_profile
from protocol.identifiers import AlarmFlag, AlarmId, OnExpiry, State, StopReason
from protocol.log.types import LogType
from protocol.messages.alarms import AlarmAck, GetAlarms
from protocol.messages.reading import GetStatus
from protocol.messages.reservoir import GetReservoir
from protocol.messages.stop import Resume, Stop
from tests.support.for_each import for_each
from tests.unit.controller.test_commands_in_each_state import STATES, in_state

NEVER_S = 0xFFFF_FFFF


def is_active(talk: Conversation, alarm_id: AlarmId) -> bool:
    return bool(talk.granted(GetStatus()).alarm_active >> alarm_id & 1)


def check_kept(talk: Conversation, moment_s: int, alarm_id: AlarmId) -> None:
    """The alarm begins in that second, by the log: delivery that starts again may end it at once."""
    told_seq = talk.log()[-1].seq
    talk.wait_until(moment_s * MS_PER_S + 999)
    talk.open()
    begun = [
        entry.t_mono_s
        for entry in talk.log()
        if entry.seq > told_seq and entry.type is LogType.ALARM_ON and entry.details().alarm_id is alarm_id
    ]
    assert begun == [moment_s], alarm_id


@for_each("on_expiry", OnExpiry)
@for_each("state", STATES)
def test_a_stop_expires_when_it_says_so_or_says_that_it_never_will(state: str, on_expiry: OnExpiry) -> None:
    talk = in_state(state).fork()
    answered = talk.granted(Stop(600, 3_600, StopReason.CLINICAL, on_expiry))
    status = talk.granted(GetStatus())
    assert status.stop_expires_t_mono_s == answered.expires_t_mono_s
    if answered.expires_t_mono_s:
        check_kept(talk, answered.expires_t_mono_s, AlarmId.STOP_EXPIRED)
        return
    assert state in {"new", "ended"}
    assert (answered.stopped_s, answered.stopped_by) == (0, None)
    before = status.alarm_active
    talk.wait(3 * MS_PER_DAY)
    talk.open()
    after = talk.granted(GetStatus())
    assert (after.alarm_active, after.stopped_s) == (before, 0)


@for_each("stopped", [False, True])
@for_each("state", STATES)
def test_low_and_empty_come_when_they_are_foretold(state: str, stopped: bool) -> None:
    talk = in_state(state).fork()
    if stopped:
        talk.granted(Stop(600, 3_600, StopReason.CLINICAL))
    told = talk.granted(GetReservoir())
    now_s = talk.granted(GetStatus()).t_mono_s
    for moment_s, alarm_id in (
        (told.low_t_mono_s, AlarmId.LOW_RESERVOIR),
        (told.empty_t_mono_s, AlarmId.EMPTY),
    ):
        if moment_s == NEVER_S:
            continue
        if moment_s <= now_s:
            assert is_active(talk, alarm_id), "what has been reached has its alarm"
        elif moment_s - now_s < 400 * 86_400:
            check_kept(talk, moment_s, alarm_id)


def test_a_reservoir_that_nobody_has_filled_runs_out_never() -> None:
    talk = Conversation.with_new_pump(factory_profile())
    told = talk.granted(GetReservoir())
    assert (told.low_t_mono_s, told.empty_t_mono_s) == (NEVER_S, NEVER_S)


def test_a_silence_ends_when_the_acknowledgement_says_so() -> None:
    talk = in_state("stalled").fork()
    (row,) = talk.granted(GetAlarms()).alarms
    until_s = talk.granted(AlarmAck(row.alarm_id, row.on_seq)).silenced_until_t_mono_s
    session_ends_s = talk.granted(GetStatus()).t_mono_s + 120  # idle: it ends the silence of a critical alarm
    assert until_s
    talk.wait_until(min(until_s, session_ends_s) * MS_PER_S + 999)
    talk.open()
    (row,) = talk.granted(GetAlarms()).alarms
    assert not row.flags & AlarmFlag.SILENCED


def test_a_stop_of_a_pump_that_was_never_programmed_is_forgotten_by_no_power_cut_either() -> None:
    talk = Conversation.with_new_pump(factory_profile())
    talk.granted(Stop(1, 60, StopReason.CLINICAL))
    talk.pump.cut_power()
    talk.pump.restore_power()
    talk.wait(72 * MS_PER_HOUR)
    talk.open()
    status = talk.granted(GetStatus())
    assert (status.state, status.stopped_s, status.stop_expires_t_mono_s) == (State.STOP, 0, 0)
    assert not status.alarm_active >> AlarmId.STOPPED_TOO_LONG & 1
    assert talk.code(Resume(2, 0)) is not None
