"""The same seed and the same inputs give the same bytes; a copy of a pump has the same future as the pump."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest

from firmware_emu.bench.trace_hash import TraceHash, trace_bytes
from firmware_emu.now import Now
from firmware_emu.profile import Implant
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE
from hil.campaign.conversation import SEED, Conversation, profile_of, state_of
from protocol.identifiers import State, StopReason
from protocol.log.types import LogName
from protocol.messages.reading import GetStatus
from protocol.messages.reservoir import GetReservoir
from protocol.messages.stop import Stop
from tests.support.soak import rounds_of

PROFILE = profile_of(implant=Implant(filled_nl=20_000_000), wall_at_start_s=826_000_000)


def watched(days: int, seed: bytes = SEED) -> tuple[Conversation, str]:
    """Status read every minute, sessions renewed as they end; only a hash of the trace is kept."""
    talk = Conversation.with_new_pump(PROFILE, seed)
    trace_hash = TraceHash()
    for minute in range(1, days * 24 * 60 + 1):
        talk.wait_until(minute * MS_PER_MINUTE)
        status = talk.granted(GetStatus())
        assert status.delivered_total_nl == minute * 600_000 // 1_440 // 500 * 500
        trace_hash.add(trace_bytes(talk.trace))
        talk.trace.clear()
    return talk, trace_hash.hexdigest()


def test_days_of_status_every_minute_give_the_same_trace_twice() -> None:
    days = rounds_of("days of status every minute, twice", 3, 1)
    first, first_hash = watched(days)
    second, second_hash = watched(days)
    assert first_hash == second_hash
    assert state_of(first.pump) == state_of(second.pump)
    newest = first.log(LogName.SECURITY)[-1]
    assert newest.seq >= 2 * (days * 48 - 1), "sessions end after half an hour, and each leaves two entries"


def test_another_seed_gives_another_trace_and_the_same_therapy() -> None:
    first, first_hash = watched(1)
    other, other_hash = watched(1, seed=b"another")
    assert first_hash != other_hash
    assert first.pump.truth() == other.pump.truth()


# Copies


def forked(talk: Conversation) -> Conversation:
    return talk.fork()


def pickled(talk: Conversation) -> Conversation:
    copy: Conversation = pickle.loads(pickle.dumps(talk))  # noqa: S301 - our own bytes
    return copy


def pump_alone_forked(talk: Conversation) -> Conversation:
    copy = talk.fork()
    copy.pump = talk.pump.fork()
    return copy


def busy(talk: Conversation) -> None:
    """A bolus, a stall, a stop and a power cut, with looks in between."""
    talk.start_bolus(talk.granted(GetStatus()).last_cmd_id + 1, 20_000, 600)
    talk.wait(5 * MS_PER_MINUTE)
    talk.granted(GetReservoir())
    talk.pump.stall_motor(True)
    talk.wait(MS_PER_HOUR)
    talk.pump.stall_motor(False)
    talk.wait(MS_PER_HOUR)
    talk.pump.cut_power()
    talk.wait(1_234)
    talk.pump.restore_power()
    talk.granted(Stop(talk.granted(GetStatus()).last_cmd_id + 1, 600, StopReason.MRI))
    talk.wait(MS_PER_HOUR)


@pytest.mark.parametrize("copied", [forked, pickled, pump_alone_forked])
def test_a_copy_at_any_frame_has_the_same_future(copied: Callable[[Conversation], Conversation]) -> None:
    """Copied before each request of a story, and in the middle of a bolus, of a stall, without power."""
    talk = Conversation.with_new_pump(PROFILE)
    talk.wait_until(MS_PER_HOUR)
    moments: list[Callable[[Conversation], object]] = [
        lambda each: each.granted(GetStatus()),
        lambda each: each.start_bolus(1, 20_000, 600),
        lambda each: each.wait(100_003),
        lambda each: each.pump.stall_motor(True),
        lambda each: each.wait(30 * MS_PER_MINUTE),
        lambda each: each.pump.cut_power(),
        lambda each: each.wait(77),
        lambda each: each.pump.restore_power(),
        lambda each: each.pump.stall_motor(False),
        lambda each: each.wait(MS_PER_HOUR),
        lambda each: each.granted(Stop(9, 60, StopReason.MRI)),
        lambda each: each.wait(MS_PER_DAY),
    ]
    copies: list[Conversation] = []
    for moment in moments:
        copies.append(copied(talk))
        for each in [*copies, talk]:
            moment(each)
    for copy in copies:
        assert trace_bytes(copy.trace) == trace_bytes(talk.trace)
        assert state_of(copy.pump) == state_of(talk.pump)


def test_a_fork_leaves_the_original_alone() -> None:
    talk = Conversation.with_new_pump(PROFILE)
    talk.wait_until(MS_PER_HOUR)
    before = state_of(talk.pump)
    busy(talk.fork())
    assert state_of(talk.pump) == before
    assert talk.granted(GetStatus()).state is State.RUN


def test_time_does_not_go_back() -> None:
    talk = Conversation.with_new_pump(PROFILE)
    talk.wait_until(1_000)
    with pytest.raises(ValueError, match="time goes forward only"):
        talk.pump.step(Now.both(999))
