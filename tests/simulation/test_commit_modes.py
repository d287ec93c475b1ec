"""A program update that stands still while it is written, as in the field, beside ours that does not [SPEC 15; RH-07].

Attack 5.1: the link is cut behind each message of the update.
"""

from __future__ import annotations

from firmware_emu.profile import CommitMode
from firmware_emu.units import MS_PER_HOUR, MS_PER_MINUTE
from hil.campaign.conversation import Conversation, profile_of, simple_header
from protocol import identifiers
from protocol.identifiers import AlarmId, BolusKind, ErrorCode, RefillFlag, State, StatusFlag
from protocol.log.types import LogType
from protocol.messages.bolus import BolusPrepare
from protocol.messages.conversation import EndSession
from protocol.messages.program import ProgAbort, ProgBegin, ProgCommit, ProgVerify, ProgWrite, Segment
from protocol.messages.reading import GetDelivery, GetInfo, GetStatus
from protocol.messages.reservoir import Refill
from protocol.messages.stop import Resume
from tests.simulation.invariants import assert_log_is_whole, assert_volumes_agree
from tests.support.for_each import for_each

FIELD = CommitMode.STOP_WRITE_VERIFY_RESTART
HEADER, SEGMENTS = simple_header(400_000, 500_000), (Segment(0, 800_000),)


def at_work(mode: CommitMode) -> Conversation:
    talk = Conversation.with_new_pump(profile_of(commit_mode=mode))
    talk.wait_until(MS_PER_HOUR)
    return talk


def staged(talk: Conversation, messages: int = 3) -> int:
    """Send the first messages of an update; returns what its commit names it by, 0 where it is not verified."""
    for message in (ProgBegin(1, HEADER), ProgWrite(0, SEGMENTS))[:messages]:
        talk.granted(message)
    return int(talk.granted(ProgVerify()).staged_crc) if messages == 3 else 0


# FI 50, RH-07
@for_each(("mode", "messages"), [(mode, messages) for mode in CommitMode for messages in (1, 2, 3)])
def test_5_1_a_link_that_is_cut_behind_any_message_of_an_update_leaves_what_the_mode_says(
    mode: CommitMode, messages: int
) -> None:
    talk = at_work(mode)
    info = talk.granted(GetInfo())
    assert info.commit_mode is identifiers.CommitMode[mode.name]
    staged(talk, messages)
    delivered_nl = talk.granted(GetDelivery()).basal_nl
    talk.wait(10 * MS_PER_MINUTE)  # nobody speaks any more: the session ends, the staging with it
    status = talk.granted(GetStatus())
    assert (status.program_rev, StatusFlag.STAGED_PROGRAM in status.flags) == (1, False)
    assert LogType.STAGE_LOST in [entry.type for entry in talk.log()]
    state, rate = (State.STOP, 0) if mode is FIELD else (State.RUN, 600_000)
    assert (status.state, status.rate_nl_per_day) == (state, rate)
    talk.wait(48 * MS_PER_HOUR)
    too_long = bool(talk.granted(GetStatus()).alarm_active >> AlarmId.STOPPED_TOO_LONG & 1)
    stopped = talk.granted(GetDelivery()).basal_nl == delivered_nl
    assert (too_long, stopped) == (mode is FIELD, mode is FIELD)
    if mode is FIELD:
        assert talk.granted(Resume(1, 1)).rate_nl_per_day == 600_000
    assert_volumes_agree(talk)
    assert_log_is_whole(talk)


@for_each(("mode", "start"), [(mode, start) for mode in CommitMode for start in (False, True)])
def test_a_finished_update_runs_again_at_the_new_rate(mode: CommitMode, start: bool) -> None:
    talk = at_work(mode)
    crc = staged(talk)
    talk.granted(ProgBegin(1, HEADER))  # begun anew, in the middle of it
    talk.granted(ProgWrite(0, SEGMENTS))
    assert talk.granted(ProgVerify()).staged_crc == crc
    before_nl = talk.granted(GetDelivery()).basal_nl
    talk.wait(MS_PER_MINUTE)
    assert (talk.granted(GetStatus()).state is State.STOP) == (mode is FIELD)
    assert talk.granted(ProgCommit(1, 1, crc, start)).state is State.RUN
    status = talk.granted(GetStatus())
    assert (status.rate_nl_per_day, status.program_rev, status.stopped_by) == (800_000, 2, None)
    talk.wait(24 * MS_PER_HOUR)
    assert 0 <= talk.granted(GetDelivery()).basal_nl - before_nl - 800_000 <= 1_000


def test_an_update_that_is_refused_or_given_up_leaves_the_pump_standing_still() -> None:
    talk = at_work(FIELD)
    talk.granted(ProgBegin(1, HEADER))
    assert talk.granted(ProgVerify()).refusals
    talk.granted(ProgAbort())
    talk.granted(EndSession())
    assert talk.granted(GetStatus()).state is State.STOP
    assert talk.granted(Resume(1, 1)).state is State.RUN


def test_an_update_that_is_refused_at_once_or_finds_a_bolus_stops_nothing() -> None:
    talk = at_work(FIELD)
    assert talk.code(ProgBegin(2, HEADER)) is ErrorCode.REV_MISMATCH
    assert talk.code(ProgBegin(1, HEADER._replace(n_groups=0))) is ErrorCode.SEGMENTS
    talk.start_bolus(1, 20_000, 600)
    assert talk.code(ProgBegin(1, HEADER)) is ErrorCode.BOLUS_ACTIVE
    assert talk.granted(GetStatus()).state is State.RUN


def test_a_pump_that_stood_still_before_stays_so_unless_it_is_started() -> None:
    talk = at_work(FIELD)
    staged(talk)
    talk.granted(EndSession())
    crc = staged(talk)
    assert talk.granted(ProgCommit(1, 1, crc, start=False)).state is State.STOP
    assert talk.code(BolusPrepare(BolusKind.BOLUS, 20_000, 600, 2)) is ErrorCode.STOPPED


def test_a_refill_with_a_program_starts_the_pump_again() -> None:
    talk = at_work(FIELD)
    header = simple_header(300_000, 1_000_000, 2)
    crc = talk.stage_program(header, (Segment(0, 300_000),), base_rev=1).staged_crc
    assert talk.granted(GetStatus()).state is State.STOP
    talk.granted(Refill(1, 0, 18_000_000, 2, RefillFlag(0), 1_000_000, 2_000_000, crc))
    status = talk.granted(GetStatus())
    assert (status.state, status.rate_nl_per_day, status.program_rev) == (State.RUN, 300_000, 2)


def test_a_power_cut_in_the_middle_of_an_update_leaves_the_pump_standing_still() -> None:
    talk = at_work(FIELD)
    staged(talk)
    talk.pump.cut_power()
    talk.pump.restore_power()
    status = talk.granted(GetStatus())
    assert (status.state, status.program_rev) == (State.STOP, 1)
