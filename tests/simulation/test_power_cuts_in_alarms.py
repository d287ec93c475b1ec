"""Power goes in each memory write of each alarm: as it begins, is acknowledged, ceases; of a self-test; of a recovery.

However the write was torn, nothing is lost and nothing doubled: the alarm is there after the restart if its condition
is, it sounds within one interval [DOMAIN 8.7, P7], and each change has exactly one log entry [P5].
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import product
from typing import NamedTuple

from firmware_emu.controller.alarms.alarm_table import ALARMS
from firmware_emu.controller.memory.memory_map import PLACES, Region
from firmware_emu.units import MS_PER_HOUR, MS_PER_MINUTE, MS_PER_S
from hil.campaign.conversation import Conversation
from protocol.identifiers import AlarmId, RefillFlag, Role, TimeSetReason
from protocol.log.types import LogType
from protocol.messages.alarms import AlarmAck, GetAlarms
from protocol.messages.conversation import SelfTest
from protocol.messages.program import ProgCommit
from protocol.messages.reading import GetStatus
from protocol.messages.reservoir import Refill
from protocol.messages.stop import Resume
from protocol.messages.time import TimeSet
from tests.simulation.alarm_causes import (
    CAUSES,
    CONCENTRATION,
    SLOW,
    WALL_S,
    flip,
    flip_in_log,
    leave,
    next_id,
    restart,
    stop,
)
from tests.simulation.invariants import (
    assert_log_is_whole,
    assert_the_trace_tells_the_log,
    assert_volumes_agree,
)
from tests.support.for_each import for_each
from tests.support.soak import part_of

CRITICAL_INTERVAL_MS = 10 * MS_PER_MINUTE
BY_TIME = {  # what comes without a restart and without a session in the millisecond in which it is raised
    AlarmId.LOW_RESERVOIR: MS_PER_HOUR,
    AlarmId.EMPTY: 90 * MS_PER_MINUTE,  # strokes of up to an hour are uncounted after a cut
    AlarmId.MOTOR_STALL: 30 * MS_PER_MINUTE,
    AlarmId.STOPPED_TOO_LONG: 5 * MS_PER_MINUTE,
    AlarmId.STOP_EXPIRED: MS_PER_HOUR,
    AlarmId.ERI: MS_PER_HOUR,
    AlarmId.EOS: MS_PER_HOUR,
    AlarmId.TUBE_SET: MS_PER_HOUR,
}
TORN = (0, 0.5, 1.0)
"""How much of a write lands: nothing, half of it, all of it."""


class Cut(NamedTuple):
    """A write of a course: its number from 1, and how many bytes of it land."""

    number: int
    torn_after_bytes: int


def writes_of(base: Conversation, act: Callable[[Conversation], object]) -> list[Cut]:
    """Each memory write of an act, torn at its beginning, in its middle, and whole."""
    done = base.fork()
    before = len(done.writes)
    act(done)
    lengths = [len(data) for _, data in done.writes[before:]]
    assert lengths, "nothing is written"
    return [
        Cut(number, int(length * part)) for (number, length), part in product(enumerate(lengths, 1), TORN)
    ]


def cut_in(base: Conversation, cut: Cut, act: Callable[[Conversation], object]) -> Conversation:
    """The pump after power went in this write of the act, and came back."""
    talk = base.fork()
    talk.pump.plant.cut_at_write(*cut)
    act(talk)
    assert talk.pump.plant.flash.cut is None, "power did not go"
    talk.wait(0)
    assert talk.pump.powered
    return talk


def entries_about(talk: Conversation, alarm_id: AlarmId, log_type: LogType) -> list[int]:
    """The numbers of the entries of a type about an alarm."""
    return [
        entry.seq for entry in talk.log() if entry.type is log_type and entry.details().alarm_id is alarm_id
    ]


def is_active(talk: Conversation, alarm_id: AlarmId) -> bool:
    return bool(talk.granted(GetStatus()).alarm_active >> alarm_id & 1)


def assert_heard_within_an_interval(talk: Conversation) -> None:
    """After a restart there is a critical alarm at any rate: the reset."""
    restarted_ms = talk.now_ms
    heard = talk.fork()
    heard.wait(CRITICAL_INTERVAL_MS)
    assert any(tone.critical and tone.at_ms >= restarted_ms - MS_PER_S for tone in heard.pump.tones())


@cache
def about_to_begin(alarm_id: AlarmId) -> Conversation:
    """A pump in which this alarm begins in the next millisecond."""
    return CAUSES[alarm_id].begin(before_ms=1)


@cache
def begun(alarm_id: AlarmId) -> Conversation:
    """A pump in which this alarm has begun, and a session is open."""
    talk = CAUSES[alarm_id].begin().fork()
    talk.wait(MS_PER_MINUTE)
    talk.granted(GetStatus())
    return talk


def next_ms(talk: Conversation) -> object:
    return talk.wait(1)


@for_each("alarm_id", BY_TIME)
def test_an_alarm_whose_beginning_was_cut_is_there_once_and_is_heard(alarm_id: AlarmId) -> None:
    base = about_to_begin(alarm_id)
    before = len(entries_about(base.fork(), alarm_id, LogType.ALARM_ON))
    for cut in part_of(f"the beginning of {alarm_id.name}", writes_of(base, next_ms), one_in=8):
        talk = cut_in(base, cut, next_ms)
        assert_heard_within_an_interval(talk)
        talk.wait(BY_TIME[alarm_id])
        assert len(entries_about(talk, alarm_id, LogType.ALARM_ON)) == before + 1, cut
        assert entries_about(talk, alarm_id, LogType.ALARM_OFF) == []
        status = talk.granted(GetStatus())
        assert status.alarm_latched >> alarm_id & 1
        assert bool(status.alarm_active >> alarm_id & 1) is not ALARMS[alarm_id].momentary
        assert_log_is_whole(talk)
        assert_the_trace_tells_the_log(talk)
        assert_volumes_agree(talk)


# No session opens to acknowledge RNG_FAILED; a start on a memory that is stuck raises NVM anew.
@for_each("alarm_id", sorted(set(CAUSES) - {AlarmId.RNG_FAILED, AlarmId.NVM}))
def test_an_acknowledgement_that_was_cut_happened_or_did_not(alarm_id: AlarmId) -> None:
    base = begun(alarm_id)
    (row,) = [row for row in base.granted(GetAlarms()).alarms if row.alarm_id is alarm_id]
    active, told_on = is_active(base, alarm_id), len(entries_about(base, alarm_id, LogType.ALARM_ON))

    def acknowledge(talk: Conversation) -> object:
        return talk.ask(AlarmAck(alarm_id, row.on_seq))

    happened = set()
    for cut in part_of(f"ALARM_ACK of {alarm_id.name}", writes_of(base, acknowledge), one_in=8):
        talk = cut_in(base, cut, acknowledge)
        assert_heard_within_an_interval(talk)
        acks = entries_about(talk, alarm_id, LogType.ALARM_ACK)
        assert len(acks) <= 1
        happened.add(bool(acks))
        anew = alarm_id is AlarmId.RESET  # each start is one
        assert len(entries_about(talk, alarm_id, LogType.ALARM_ON)) == told_on + anew
        assert entries_about(talk, alarm_id, LogType.ALARM_OFF) == []
        assert is_active(talk, alarm_id) is active
        latched = bool(talk.granted(GetStatus()).alarm_latched >> alarm_id & 1)
        assert latched is (not acks or ALARMS[alarm_id].remembered)
        if alarm_id is not AlarmId.MEM_NONCRITICAL:  # of a damaged log
            assert_log_is_whole(talk)
            assert_the_trace_tells_the_log(talk)
    assert happened == {False, True}


def refill(talk: Conversation) -> object:
    return Refill(next_id(talk), 0, 18_000_000, 1, RefillFlag(0), CONCENTRATION, 2_000_000)


def start_again(talk: Conversation) -> object:
    return Resume(next_id(talk), talk.granted(GetStatus()).program_rev)


def program(talk: Conversation) -> object:
    rev = talk.granted(GetStatus()).program_rev
    crc = talk.stage(SLOW, CONCENTRATION, base_rev=rev).staged_crc
    return ProgCommit(next_id(talk), rev, crc, start=True)


def clock(talk: Conversation) -> object:
    return TimeSet(next_id(talk), WALL_S + 900_000, 0, TimeSetReason.DRIFT, confirm=True)


CEASES: dict[AlarmId, Callable[[Conversation], object]] = {
    AlarmId.LOW_RESERVOIR: refill,
    AlarmId.EMPTY: refill,
    AlarmId.STOPPED_TOO_LONG: start_again,
    AlarmId.STOP_EXPIRED: start_again,
    AlarmId.MEM_CRITICAL: program,
    AlarmId.WALL_INVALID: clock,
}
"""The one request by which a condition ceases."""


@for_each("alarm_id", CEASES)
def test_an_alarm_whose_end_was_cut_is_over_or_lasts_as_the_log_says(alarm_id: AlarmId) -> None:
    base = begun(alarm_id).fork()
    message = CEASES[alarm_id](base)

    def end(talk: Conversation) -> object:
        return talk.ask(message)

    over = set()
    on = entries_about(base.fork(), alarm_id, LogType.ALARM_ON)
    for cut in part_of(f"the end of {alarm_id.name}", writes_of(base, end), one_in=10):
        talk = cut_in(base, cut, end)
        assert_heard_within_an_interval(talk)
        off = entries_about(talk, alarm_id, LogType.ALARM_OFF)
        lasts = len(off) == 0
        over.add(not lasts)
        assert len(off) <= 1
        known_again = alarm_id is AlarmId.WALL_INVALID and not lasts  # the clock stood still once more
        assert len(entries_about(talk, alarm_id, LogType.ALARM_ON)) == len(on) + known_again
        assert is_active(talk, alarm_id) is (lasts or known_again)
        assert_log_is_whole(talk)
        assert_the_trace_tells_the_log(talk)
        assert_volumes_agree(talk)
    assert over == {False, True}


def test_the_end_of_a_reset_that_was_cut_leaves_the_reset_of_that_cut() -> None:
    base = begun(AlarmId.RESET).fork()
    message = program(base)
    told_on = len(entries_about(base.fork(), AlarmId.RESET, LogType.ALARM_ON))
    whole = base.fork()
    whole.granted(message)
    assert not whole.granted(GetStatus()).alarm_latched >> AlarmId.RESET & 1, "a program is its remedy"
    revisions = set()
    for cut in part_of("the end of RESET", writes_of(base, lambda talk: talk.ask(message)), one_in=8):
        talk = cut_in(base, cut, lambda talk: talk.ask(message))
        assert_heard_within_an_interval(talk)
        status = talk.granted(GetStatus())
        revisions.add(status.program_rev)
        assert status.alarm_latched >> AlarmId.RESET & 1
        assert len(entries_about(talk, AlarmId.RESET, LogType.ALARM_ON)) == told_on + 1
        assert_log_is_whole(talk)
        assert_the_trace_tells_the_log(talk)
        assert_volumes_agree(talk)
    assert len(revisions) == 2, "the old program or the new one"


@cache
def about_to_recover() -> Conversation:
    """A motor that turns again after 26 hours, a millisecond before the pump believes it."""
    talk = CAUSES[AlarmId.MOTOR_STALL].begin()
    talk.wait(26 * MS_PER_HOUR)
    talk.pump.stall_motor(False)
    ahead = talk.fork()
    ahead.wait(MS_PER_HOUR)
    (recovered,) = [entry for entry in ahead.log() if entry.type is LogType.STALL_RECOVERED]
    talk.wait_until(recovered.t_mono_s * MS_PER_S + recovered.t_ms - 1)
    return talk


def test_a_recovery_that_was_cut_is_told_once_with_what_was_missed_until_the_last_checkpoint() -> None:
    base = about_to_recover()
    missed_nl = base.pump.truth().strokes_missed * 500
    hour_nl = 25_000  # at 600,000 nL a day: what an hour without a checkpoint may hide
    for cut in part_of("a recovery", writes_of(base, next_ms), one_in=2):
        talk = cut_in(base, cut, next_ms)
        assert_heard_within_an_interval(talk)
        talk.wait(MS_PER_HOUR)
        (recovered,) = [entry for entry in talk.log() if entry.type is LogType.STALL_RECOVERED]
        assert missed_nl - hour_nl <= recovered.details().missed_nl <= missed_nl
        assert len(entries_about(talk, AlarmId.MOTOR_STALL, LogType.ALARM_ON)) == 1
        assert len(entries_about(talk, AlarmId.MOTOR_STALL, LogType.ALARM_OFF)) == 1
        assert not is_active(talk, AlarmId.MOTOR_STALL)
        assert_log_is_whole(talk)
        assert_the_trace_tells_the_log(talk)
        assert_volumes_agree(talk)


@cache
def damaged_and_stopped() -> Conversation:
    """A pump that stands and in which a text is damaged, and a technician with a session open."""
    talk = CAUSES[AlarmId.STOP_EXPIRED].begin().fork()
    flip(talk, PLACES[Region.TEXTS].offset)
    technician = Conversation(talk.pump, Role.SERVICE)
    technician.trace += talk.trace
    technician.granted(GetStatus())
    return technician


def test_a_self_test_that_was_cut_tells_of_the_damage_once_or_the_start_behind_it_does() -> None:
    base = damaged_and_stopped()

    def ask_for_self_test(talk: Conversation) -> object:
        return talk.ask(SelfTest())

    found_by = set()
    for cut in part_of("a self-test", writes_of(base, ask_for_self_test), one_in=2):
        talk = cut_in(base, cut, ask_for_self_test)
        assert_heard_within_an_interval(talk)
        types = [entry.type for entry in talk.log()]
        assert types.count(LogType.NVM_FAULT) == 1
        tested = types.count(LogType.SELF_TEST)
        assert tested <= 1
        found_by.add(bool(tested))
        assert len(entries_about(talk, AlarmId.MEM_NONCRITICAL, LogType.ALARM_ON)) == 1
        assert is_active(talk, AlarmId.MEM_NONCRITICAL) is not bool(tested), "the start found all whole"
        restart(talk)
        assert [entry.type for entry in talk.log()].count(LogType.NVM_FAULT) == 1, "it was written anew"
        assert not is_active(talk, AlarmId.MEM_NONCRITICAL)
        assert_log_is_whole(talk)
        assert_the_trace_tells_the_log(talk)
    assert found_by == {False, True}


@cache
def log_mended() -> Conversation:
    """A pump that stands, with MEM_NONCRITICAL for a damaged log that is whole by now, and a technician's session."""
    talk = CAUSES[AlarmId.MEM_NONCRITICAL].begin().fork()
    flip_in_log(talk)
    stop(talk, 3_600)
    leave(talk)
    technician = Conversation(talk.pump, Role.SERVICE)
    technician.trace += talk.trace
    technician.granted(GetStatus())
    return technician


def test_a_self_test_that_finds_all_whole_ends_the_alarm_of_the_memory_or_the_start_behind_it_does() -> None:
    base = log_mended()
    assert is_active(base, AlarmId.MEM_NONCRITICAL)

    def ask_for_self_test(talk: Conversation) -> object:
        return talk.ask(SelfTest())

    whole = base.fork()
    assert not whole.granted(SelfTest()).failed
    assert not is_active(whole, AlarmId.MEM_NONCRITICAL)
    for cut in part_of("a self-test of a whole memory", writes_of(base, ask_for_self_test), one_in=2):
        talk = cut_in(base, cut, ask_for_self_test)
        assert not is_active(talk, AlarmId.MEM_NONCRITICAL)
        assert len(entries_about(talk, AlarmId.MEM_NONCRITICAL, LogType.ALARM_OFF)) == 1
        assert_log_is_whole(talk)
        assert_the_trace_tells_the_log(talk)
