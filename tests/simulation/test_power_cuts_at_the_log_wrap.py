"""Power goes in each memory write with which the log overwrites its oldest entries: old or new, the log whole."""

from __future__ import annotations

from functools import cache
from itertools import count
from typing import TYPE_CHECKING

import pytest

from hil.campaign.conversation import Conversation, profile_of
from protocol.identifiers import AlarmClass, BolusKind, Outcome, State, StopReason
from protocol.log.types import LogName, LogType
from protocol.messages.alarms import AlarmTest
from protocol.messages.bolus import BolusCommit, BolusPrepare, BolusPrepareReply
from protocol.messages.ledger import QueryCmd
from protocol.messages.log import LogStatus
from protocol.messages.reading import GetDelivery, GetStatus
from protocol.messages.stop import Stop
from tests.simulation.invariants import assert_log_is_whole, assert_volumes_agree
from tests.support.soak import stride_of

if TYPE_CHECKING:
    from collections.abc import Callable

CAPACITY = 128
BOLUS_NL, BOLUS_S = 2_000, 40
CHECKPOINT_EVERY = 64
WHOLE = 10_000  # bytes: power goes after the write, and before it returns


@cache
def filled_to(last_seq: int) -> Conversation:
    """A pump whose main log has so many entries, the last of them just written."""
    talk = Conversation.with_new_pump(profile_of(log_capacity=CAPACITY))
    while talk.granted(LogStatus(LogName.MAIN)).last_seq < last_seq:
        talk.granted(AlarmTest(AlarmClass.NON_CRITICAL))
    return talk


def alarm_test(talk: Conversation) -> None:
    talk.ask(AlarmTest(AlarmClass.NON_CRITICAL))


def stop(talk: Conversation) -> None:
    talk.ask(Stop(1, 3_600, StopReason.CLINICAL))


def whole_bolus(talk: Conversation) -> None:
    prepared = talk.ask(BolusPrepare(BolusKind.BOLUS, BOLUS_NL, BOLUS_S, 1))
    if isinstance(prepared, BolusPrepareReply):
        talk.ask(BolusCommit(1, prepared.quantised_nl, BOLUS_S, prepared.token, 1))
    talk.wait(BOLUS_S * 1_000)


DEEDS: dict[str, Callable[[Conversation], None]] = {
    "an entry alone": alarm_test,
    "STOP": stop,
    "a bolus": whole_bolus,
}


def check(talk: Conversation) -> Outcome:
    """Therapy, log and ledger tell the same; the outcome."""
    assert_log_is_whole(talk)
    assert_volumes_agree(talk)
    found, state = talk.granted(QueryCmd(1)), talk.granted(GetStatus()).state
    entries = [entry for entry in talk.log() if entry.cmd_id == 1]
    assert (state is State.STOP) == any(entry.type is LogType.STOP for entry in entries)
    ends = [entry.details() for entry in entries if entry.type is LogType.BOLUS_END]
    given_nl = talk.granted(GetDelivery()).bolus_nl
    assert given_nl == found.delivered_nl == sum(end.delivered_nl for end in ends)
    if found.outcome is Outcome.NEVER_RECEIVED:
        assert not entries
    return Outcome(found.outcome)


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("torn_after_bytes", [0, 7, WHOLE])
def test_a_cut_in_any_write_that_overwrites_the_oldest_entries_leaves_old_or_new(
    torn_after_bytes: int, deed: str
) -> None:
    outcomes = set()
    apart = stride_of(f"writes of {deed}, torn at {torn_after_bytes}", 3)
    for first, last_seq in enumerate((CAPACITY - 1, CAPACITY, CAPACITY + CHECKPOINT_EVERY - 1), 1):
        for number in count(min(first, apart), apart):
            talk = filled_to(last_seq).fork()
            talk.pump.plant.cut_at_write(number, torn_after_bytes)
            DEEDS[deed](talk)
            if talk.pump.plant.flash.cut is not None:  # there are fewer writes than that
                assert number > 2
                break
            outcomes.add(check(Conversation(talk.pump)))
    wanted = {
        "an entry alone": {Outcome.NEVER_RECEIVED},
        "STOP": {Outcome.NEVER_RECEIVED, Outcome.DONE},
        "a bolus": {Outcome.NEVER_RECEIVED, Outcome.PARTIAL, Outcome.NOT_STARTED, Outcome.DONE},
    }
    assert outcomes <= wanted[deed]
    optional = {Outcome.NOT_STARTED}
    if torn_after_bytes == WHOLE and deed != "an entry alone":
        optional.add(Outcome.NEVER_RECEIVED)  # the first write is the intent
    assert wanted[deed] - optional <= outcomes


def test_the_log_has_wrapped_where_the_cuts_fall() -> None:
    talk = filled_to(CAPACITY + CHECKPOINT_EVERY - 1).fork()
    alarm_test(talk)
    status = talk.granted(LogStatus(LogName.MAIN))
    assert status.last_seq > CAPACITY
    assert talk.log()[0].seq > 1
