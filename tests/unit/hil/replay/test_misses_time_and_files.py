"""What a replay says of a request that was not recorded, when it answers, and what it does not play at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from hil.capture.messages import RecordedMessage, read_messages
from hil.errors import BadConfiguration, DeviceRefused, UsageError
from hil.programmer.programmer import Programmer
from hil.replay.conversation import Answer, Conversation, Exchange, Hint, conversation_of, read_conversation
from hil.replay.device import OnMiss
from hil.replay.pace import NS_PER_MS, LinePace
from hil.replay.timing import ASKED, ORIGINAL, Timing, timing_named
from protocol.capture import recording
from protocol.codec.layouts import encode
from protocol.identifiers import (
    EventFlag,
    Kind,
    Opcode,
)
from protocol.messages.conversation import EventHint, GetLinkStats, Subscribe, SubscribeReply
from protocol.messages.errors import ErrorReply
from protocol.messages.reading import GetDelivery, GetInfoReply
from tests.unit.hil.replay.scripts import BOLUS_NL, BOLUS_S, ask, device_of, index_of, programmer_on, run
from tests.unit.hil.runs import pytest_on
from tests.unit.hil.test_decode import recorded

if TYPE_CHECKING:
    from pathlib import Path


NS_PER_S = 1_000_000_000


# --- misses ----------------------------------------------------------------------------------------------------------

ON_A_REPLAY = """
    import pytest
    from hil import DeviceRefused
    from protocol.identifiers import State

    def test_answered_as_recorded(pump): assert pump.status().state is State.RUN
    def test_answered_as_recorded_and_wrong(pump): assert pump.status().state is State.STOP
    def test_asks_what_there_is_not(pump): pump.link_stats()
    def test_takes_the_refusal_of_a_replay_for_the_pumps(pump):
        with pytest.raises(DeviceRefused):
            pump.link_stats()
    def test_opens_a_session_alone(pump): pass
    def test_asks_nobody(pump_bench): pass
"""


def test_a_test_that_a_recording_cannot_answer_is_skipped_with_the_reason_and_is_neither_red_nor_green(
    visit_file: Path, tmp_path: Path
) -> None:
    """What the replay itself answers says nothing of the pump; what it answers as recorded does, also what is wrong."""
    target = ("--hil-target", f"replay:{visit_file}")
    done = pytest_on(tmp_path, ON_A_REPLAY, *target, "-k", "not wrong", "-rA")
    assert done.returncode == 0, done.stdout + done.stderr
    missed = f"replay:{visit_file} cannot answer it (GET_LINK_STATS was asked, and the recording has none)"
    assert f"2 x {missed}" in done.stdout
    assert (
        "cannot answer it (none of what was said is in the recording: the replay itself answered)"
        in done.stdout
    )
    assert "2 passed, 3 skipped" in done.stdout
    assert "::test_answered_as_recorded\n" in done.stdout
    wrong = pytest_on(tmp_path, ON_A_REPLAY, *target, "-k", "wrong")
    assert wrong.returncode == 1, wrong.stdout + wrong.stderr
    assert "1 failed" in wrong.stdout


def test_a_miss_names_the_field_of_the_nearest_and_its_packet(conversation: Conversation) -> None:
    heard: list[str] = []
    device = device_of(conversation, tell=heard.append)
    prepare = conversation.exchanges[index_of(conversation, Opcode.BOLUS_PREPARE)]
    with programmer_on(device) as pump:
        pump.status()
        with pytest.raises(DeviceRefused):
            pump.prepare_bolus(3 * BOLUS_NL, BOLUS_S)
    assert heard == device.tally.misses
    (sentence,) = heard
    assert sentence == (
        f"BOLUS_PREPARE was asked, and the recording has none like it here: in packet {prepare.number}, the nearest, "
        "volume_nl was 20000 and is 60000; it is refused, and nothing is done"
    )


def test_a_miss_says_what_has_passed_what_comes_later_and_what_there_is_none_of(
    conversation: Conversation,
) -> None:
    device = device_of(conversation)
    with programmer_on(device) as pump:
        pump.status()
        for message in (GetDelivery(), GetLinkStats(clear=False)):
            assert isinstance(ask(pump, message), ErrorReply)
        pump.bolus(BOLUS_NL, BOLUS_S)
        pump.delivery()
        assert isinstance(ask(pump, GetDelivery()), ErrorReply)
    delivery = conversation.exchanges[index_of(conversation, Opcode.GET_DELIVERY)].number
    prepare = conversation.exchanges[index_of(conversation, Opcode.BOLUS_PREPARE)].number
    early, none, late = device.tally.misses
    assert f"packet {delivery} is the same, and comes after BOLUS_PREPARE of packet {prepare}" in early
    assert "GET_LINK_STATS was asked, and the recording has none;" in none
    assert f"packet {delivery} is the same, and the conversation is past it" in late
    assert (device.tally.refused, device.tally.nearest, device.tally.missed) == (3, 0, 3)


def test_nearest_answers_a_question_with_what_was_said_before_and_counts_it(
    conversation: Conversation,
) -> None:
    device = device_of(conversation, on_miss=OnMiss.NEAREST)
    with programmer_on(device) as pump:
        first = pump.status()
        again = [pump.status() for _ in range(3)]
        assert again[-1] == first
        assert isinstance(ask(pump, GetDelivery()), ErrorReply), "it was not asked before the bolus"
    assert (device.tally.nearest, device.tally.refused) == (3 - _more_statuses(conversation), 1)


def _more_statuses(conversation: Conversation) -> int:
    """How many more there are before the bolus is prepared than the one that the visit asks first."""
    before = conversation.exchanges[: index_of(conversation, Opcode.BOLUS_PREPARE)]
    return sum(each.opcode == Opcode.GET_STATUS for each in before) - 1


def test_stop_ends_the_replay_at_the_first_miss(conversation: Conversation) -> None:
    device = device_of(conversation, on_miss=OnMiss.STOP)
    with programmer_on(device) as pump:
        pump.status()
        assert not device.stopped
        assert isinstance(ask(pump, GetLinkStats(clear=False)), ErrorReply)
        assert device.stopped
        prepare = conversation.exchanges[index_of(conversation, Opcode.BOLUS_PREPARE)]
        assert isinstance(ask(pump, prepare.request), ErrorReply), (
            "what was recorded is not answered any more either"
        )


def test_a_programmer_is_told_of_each_miss(visit_file: Path) -> None:
    def script(pump: Programmer, target: Any) -> None:
        told: list[str] = []
        target.tell_of_misses = told.append
        with pytest.raises(DeviceRefused):
            pump.link_stats()
        assert len(told) == 1

    run(f"replay:{visit_file}", script)


# --- time ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timing", "waits_ms"), [(ORIGINAL, 250), (Timing(10), 25), (ASKED, 0)], ids=["original", "x10", "asked"]
)
def test_an_answer_takes_the_time_that_it_took(
    conversation: Conversation, timing: Timing, waits_ms: int
) -> None:
    for exchange in conversation.exchanges:
        assert exchange.answer is not None
        assert exchange.since_ns is not None
        exchange.answer = exchange.answer._replace(since_ns=exchange.since_ns + NS_PER_S // 4)
    with programmer_on(device_of(conversation, timing=timing)) as pump:
        pump.session.wait(777)
        began_ms = pump.session.now_ms()
        pump.status()
        assert pump.session.now_ms() - began_ms == waits_ms


def with_hints(conversation: Conversation) -> EventHint:
    """Let the recorded pump send a hint 2 s and 5 s after a SUBSCRIBE, which comes first; the hint."""
    first = conversation.exchanges[index_of(conversation, Opcode.GET_STATUS)]
    hint = EventHint(EventFlag.BOLUS, 5, 6)
    subscribe, reply = Subscribe(EventFlag.BOLUS), SubscribeReply()
    answer = Answer(first.number, first.since_ns, Kind.RESPONSE, encode(reply), reply)
    assert first.since_ns is not None
    hints = [
        Hint(first.since_ns + seconds * NS_PER_S, Opcode.EVENT_HINT, encode(hint), hint) for seconds in (2, 5)
    ]
    asked = Exchange(
        first.number,
        first.since_ns,
        first.greeting,
        Opcode.SUBSCRIBE,
        encode(subscribe),
        subscribe,
        answer,
        hints,
    )
    conversation.exchanges.insert(0, asked)
    return hint


def test_no_hint_comes_to_who_has_not_subscribed(conversation: Conversation) -> None:
    with_hints(conversation)
    with programmer_on(device_of(conversation)) as pump:
        pump.status()
        assert pump.next_hint(60_000) is None


def test_hints_come_to_who_asked_for_them_and_when_they_came(conversation: Conversation) -> None:
    hint = with_hints(conversation)
    with programmer_on(device_of(conversation)) as pump:
        pump.subscribe(EventFlag.BOLUS)
        began_ms = pump.session.now_ms()
        assert pump.next_hint(10_000) == hint
        assert pump.session.now_ms() - began_ms == 2_000
        pump.status()  # sooner than in the recording: what came before it comes at once
        assert pump.next_hint(0) == hint
        assert pump.next_hint(60_000) is None


@pytest.mark.parametrize("text", ["", "x", "x0", "x1.5", "fast", "X2", "x1000000", "x-1"])
def test_what_is_no_timing_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError, match="no such timing"):
        timing_named(text)


# --- what cannot be replayed -----------------------------------------------------------------------------------------


def test_a_damaged_recording_is_not_replayed_unless_it_is_asked_for(visit_file: Path, tmp_path: Path) -> None:
    whole = visit_file.read_bytes()
    cut = tmp_path / "cut.pcapng"
    cut.write_bytes(whole[:-7])
    with pytest.raises(
        BadConfiguration, match=r"is damaged in one place; \d+ requests of it can be read; .*--in-part"
    ):
        read_conversation(cut)
    exchanges = read_conversation(cut, in_part=True).exchanges
    assert len(exchanges) in {len(read_conversation(visit_file).exchanges) - k for k in (0, 1)}


def test_a_sealed_recording_is_not_replayed(tmp_path: Path) -> None:
    sealed = recorded(tmp_path / "sealed.pcapng", secrets=False, key=bytes(16))
    with pytest.raises(BadConfiguration, match=r"has 6 sealed frames, and no key opens them.*--key"):
        read_conversation(sealed)


def test_a_recording_of_nothing_and_what_is_none_are_said_to_be_so(tmp_path: Path) -> None:
    empty, other = tmp_path / "empty.pcapng", tmp_path / "other.txt"
    empty.write_bytes(recording.beginning({}, "1"))
    other.write_text("no recording")
    for path, why in (
        (empty, "has no request in it"),
        (other, "is no recording"),
        (tmp_path / "no", "cannot be read"),
    ):
        with pytest.raises(BadConfiguration, match=why):
            read_conversation(path)


def test_sessions_of_two_pumps_are_not_taken_for_one(conversation: Conversation, visit_file: Path) -> None:
    at = index_of(conversation, Opcode.GET_INFO)
    entries = list(read_messages(visit_file))
    other = [_with_another_memory(entry) for entry in entries]
    both = conversation_of([*entries, *other])
    assert len(both.memories) == 2
    assert len(both.of_first_memory().exchanges) == len(conversation.exchanges) + at


def _with_another_memory(entry: Any) -> Any:
    if isinstance(entry, RecordedMessage) and isinstance(entry.message, GetInfoReply):
        return entry._replace(message=entry.message._replace(memory_id=1))
    return entry


class Line:
    """A line on which time passes by waiting alone."""

    def __init__(self) -> None:
        self.time_ms = 700

    def now_ms(self) -> int:
        return self.time_ms

    def wait(self, duration_ms: int) -> None:
        self.time_ms += duration_ms


def test_the_times_of_a_line_begin_with_its_first_frame_and_no_delay_adds_to_another() -> None:
    pace, line = LinePace(ORIGINAL, 5 * NS_PER_MS), Line()
    session: Any = line
    line.time_ms += 40  # before the first frame, as a player is made
    sent_ms = []
    for since_ms, delay_ms in ((5, 30), (105, 20), (205, 0), (305, 0)):
        pace.wait_for(session, Greeted(since_ms * NS_PER_MS))
        sent_ms.append(line.time_ms)
        line.time_ms += delay_ms
    assert sent_ms == [740, 840, 940, 1040]


class Greeted(NamedTuple):
    """A moment of a recording."""

    since_ns: int
    pump_ms: None = None
