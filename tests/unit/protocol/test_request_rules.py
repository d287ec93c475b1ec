"""What the pump lets through to its program, once: R1 to R9 [SPEC 5]."""

from __future__ import annotations

import pytest

from protocol.codec.layouts import decode
from protocol.errors import LocalError
from protocol.identifiers import ErrorCode, Kind, Opcode, Role, StateChanged
from protocol.link.development_keys import DEVELOPMENT_KEYS
from protocol.link.events import (
    Announcement,
    Hint,
    ReplayDropped,
    Request,
    Response,
    SessionClosed,
    SessionOpened,
)
from protocol.log.types import SessionCloseReason
from protocol.messages.errors import ErrorReply, refusal
from tests.support.for_each import for_each
from tests.unit.protocol.fake_wire import Loopback, frame_in, frames_in, request_bytes

ANSWER_REPEATS = 4  # [SPEC 5, R2]
MAX_PAYLOAD_BYTES = 224  # [SPEC 2]
PUMP_CTR_MAX = 2_097_152  # 2^21 [SPEC 5, R9]
REQUEST_CTR_MAX = 1_048_576  # 2^20 [SPEC 5, R9]
SESSION_IDLE_MS = 120_000  # [SPEC 4, S1]

CLINICIAN = next(key for key in DEVELOPMENT_KEYS if key.role is Role.CLINICIAN)

either_profile = for_each("secured", [True, False])


@either_profile
def test_a_repeated_request_gets_the_same_bytes_four_times_and_runs_once(secured: bool) -> None:
    loopback = Loopback(secured=secured)
    loopback.open()
    loopback.ask(Opcode.BOLUS_COMMIT, b"once")
    request, answer = loopback.to_pump[-1], loopback.to_client[-1]
    again = [loopback.tell_pump(request) for _ in range(10)]
    assert again == [answer] * ANSWER_REPEATS + [b""] * (10 - ANSWER_REPEATS)
    assert len(loopback.executed) == 1
    assert loopback.pump.statistics.dup_served == ANSWER_REPEATS
    assert loopback.pump.statistics.replay_drop == 10 - ANSWER_REPEATS


def test_every_frame_ten_times_over_is_one_execution_each() -> None:
    loopback = Loopback()
    loopback.open()
    for number in range(5):
        loopback.client.request(Opcode.PING, bytes([number]), loopback.now_ms)
        answers = loopback.tell_pump(loopback.client.take_output() * 10)
        assert loopback.tell_client(answers * 10) == [Response(Opcode.PING, bytes([number]))]
    assert [request.payload for request in loopback.executed] == [bytes([number]) for number in range(5)]


def test_an_older_request_of_the_session_is_dropped_and_counted() -> None:
    loopback = Loopback()
    loopback.open()
    for number in range(3):
        loopback.ask(Opcode.PING, bytes([number]))
    recorded = loopback.to_pump[2:-1]
    assert [loopback.tell_pump(request) for request in recorded] == [b"", b""]
    assert len(loopback.executed) == 3
    assert loopback.pump.statistics.replay_drop == 2


def test_of_two_reordered_requests_the_later_runs_and_the_earlier_is_dropped() -> None:
    loopback = Loopback()
    loopback.open()
    earlier, later = request_bytes(loopback, 1, payload=b"1"), request_bytes(loopback, 2, payload=b"2")
    loopback.tell_pump(later + earlier)
    assert [request.payload for request in loopback.executed] == [b"2"]
    assert loopback.pump.statistics.replay_drop == 1


def test_a_gap_in_the_counter_is_legal() -> None:
    loopback = Loopback()
    loopback.open()
    for ctr in (5, 6, 900):
        assert frame_in(loopback.tell_pump(request_bytes(loopback, ctr))).ref == ctr
    assert [request.ctr for request in loopback.executed] == [5, 6, 900]


def test_sixteen_requests_in_one_write_are_answered_in_order() -> None:
    loopback = Loopback()
    loopback.open()
    answers = frames_in(loopback.tell_pump(b"".join(request_bytes(loopback, ctr) for ctr in range(1, 17))))
    assert [answer.ref for answer in answers] == list(range(1, 17))
    assert [answer.ctr for answer in answers] == list(range(1, 17))


@either_profile
def test_another_frame_under_the_last_counter_is_dropped(secured: bool) -> None:
    loopback = Loopback(secured=secured)
    loopback.open()
    loopback.tell_pump(request_bytes(loopback, 1, payload=b"one"))
    assert loopback.tell_pump(request_bytes(loopback, 1, payload=b"two")) == b""
    assert loopback.pump.statistics.replay_drop == 1
    assert len(loopback.executed) == 1


def test_counter_zero_is_never_a_request() -> None:
    loopback = Loopback()
    loopback.open()
    assert loopback.tell_pump(request_bytes(loopback, 0)) == b""
    assert loopback.executed == []


@either_profile
def test_a_request_with_a_ref_is_dropped(secured: bool) -> None:
    loopback = Loopback(secured=secured)
    loopback.open()
    assert loopback.tell_pump(request_bytes(loopback, 1, ref=1)) == b""
    assert loopback.pump.statistics.replay_drop == 1
    assert loopback.executed == []


def test_repeats_do_not_keep_a_session_awake() -> None:
    loopback = Loopback()
    loopback.open()
    loopback.ask()
    for loopback.now_ms in (30_000, 60_000, 90_000):
        assert loopback.tell_pump(loopback.to_pump[-1])
    assert loopback.pump.deadline_ms() == SESSION_IDLE_MS


@for_each("ctr", [REQUEST_CTR_MAX + 1, 0xFFFFFFFF])
def test_a_counter_beyond_its_end_closes_the_session_cleanly(ctr: int) -> None:
    loopback = Loopback()
    loopback.open()
    answer = frame_in(loopback.tell_pump(request_bytes(loopback, ctr, Opcode.STOP)))
    assert (answer.kind, answer.flags, answer.opcode, answer.ref) == (
        Kind.ERROR,
        1,
        Opcode.STOP,
        ctr & 0xFFFF,
    )
    assert loopback.executed == []
    assert loopback.told(SessionClosed) == [SessionClosed(SessionCloseReason.COUNTER, CLINICIAN)]
    loopback.open()
    assert loopback.ask() == Response(Opcode.PING, b"")


def test_the_last_counter_is_still_good() -> None:
    loopback = Loopback()
    loopback.open()
    loopback.tell_pump(request_bytes(loopback, REQUEST_CTR_MAX))
    assert [request.ctr for request in loopback.executed] == [REQUEST_CTR_MAX]


def test_a_client_does_not_ask_beyond_the_last_counter() -> None:
    loopback = Loopback()
    loopback.open()
    loopback.client._ctr = REQUEST_CTR_MAX - 1
    loopback.ask()
    with pytest.raises(LocalError, match="used up"):
        loopback.client.request(Opcode.PING, b"", 0)


def test_the_pump_closes_before_its_own_counter_ends() -> None:
    loopback = Loopback()
    loopback.open()
    assert loopback.pump._session is not None
    loopback.pump._session.pump_ctr = PUMP_CTR_MAX - 2
    assert loopback.ask() == Response(Opcode.PING, b"")
    assert loopback.told(SessionClosed) == [SessionClosed(SessionCloseReason.COUNTER, CLINICIAN)]


@either_profile
@for_each("opcode", [Opcode.BOLUS_COMMIT, Opcode.STOP, 0xEE])
def test_a_request_without_a_session_gets_a_hint_that_names_it(secured: bool, opcode: int) -> None:
    loopback = Loopback(secured=secured)
    other = Loopback(secured=secured)
    other.open()
    answer = frame_in(loopback.tell_pump(request_bytes(other, 0x0005_0007, opcode, b"payload")))
    assert other.pump.session is not None
    assert (answer.kind, answer.flags, answer.opcode) == (Kind.ERROR, 0, opcode)
    assert (answer.sid, answer.ctr, answer.ref) == (other.pump.session.sid, 0, 7)
    error = decode(ErrorReply, answer.body)
    assert (error.code, error.state_changed) == (ErrorCode.NO_SESSION, StateChanged.UNKNOWN)
    assert loopback.executed == []


def test_the_answer_to_end_session_is_the_last_of_the_session() -> None:
    loopback = Loopback()
    loopback.open()
    assert loopback.ask(Opcode.END_SESSION) == Response(Opcode.END_SESSION, b"")
    assert loopback.told(SessionClosed) == [SessionClosed(SessionCloseReason.ENDED, CLINICIAN)]
    assert frame_in(loopback.tell_pump(loopback.to_pump[-1])).flags == 0


def test_a_refused_end_session_ends_nothing() -> None:
    loopback = Loopback()
    loopback.open()
    loopback.pump.feed(request_bytes(loopback, 1, Opcode.END_SESSION, b"too long"), 0)
    assert isinstance(loopback.pump.next_event(0), Request)
    loopback.pump.refuse(refusal(ErrorCode.LENGTH))
    assert loopback.pump.session is not None


def test_dropped_replays_are_told_at_once_then_once_a_minute_with_their_number() -> None:
    loopback = Loopback()
    loopback.open()
    loopback.ask()
    loopback.ask()
    old = loopback.to_pump[-2]
    loopback.tell_pump(old)
    for loopback.now_ms in range(1_000, 60_000, 1_000):
        loopback.tell_pump(old)
    assert loopback.told(ReplayDropped) == [ReplayDropped(1)]
    assert loopback.pump.deadline_ms() == 60_000
    loopback.pump.statistics.clear()
    loopback.advance(1_000)
    assert loopback.told(ReplayDropped) == [ReplayDropped(1), ReplayDropped(59)]
    assert loopback.pump.deadline_ms() == SESSION_IDLE_MS


def test_a_request_must_be_answered_before_the_next_event() -> None:
    loopback = Loopback()
    loopback.open()
    loopback.pump.feed(request_bytes(loopback, 1) + request_bytes(loopback, 2), 0)
    assert isinstance(loopback.pump.next_event(0), Request)
    with pytest.raises(LocalError, match="neither answered nor dropped"):
        loopback.pump.next_event(0)
    loopback.pump.drop()
    assert loopback.pump.next_event(0) == Request(Opcode.PING, b"", 2)


def test_a_dropped_request_is_not_answered_to_its_repeat_either() -> None:
    loopback = Loopback()
    loopback.open()
    loopback.tell_pump(request_bytes(loopback, 1))
    request = request_bytes(loopback, 2)
    loopback.pump.feed(request, 0)
    loopback.pump.next_event(0)
    loopback.pump.drop()
    assert loopback.tell_pump(request) == b""
    assert len(loopback.executed) == 1


def test_answers_without_a_request_are_our_own_fault() -> None:
    loopback = Loopback()
    loopback.open()
    with pytest.raises(LocalError, match="no open request"):
        loopback.pump.respond(b"")
    with pytest.raises(LocalError, match="no open request"):
        loopback.pump.drop()
    loopback.pump.feed(request_bytes(loopback, 1), 0)
    loopback.pump.next_event(0)
    with pytest.raises(LocalError, match="at most 224"):
        loopback.pump.respond(bytes(MAX_PAYLOAD_BYTES + 1))
    loopback.pump.respond(bytes(MAX_PAYLOAD_BYTES))


def test_line_time_does_not_go_back() -> None:
    loopback = Loopback()
    loopback.pump.feed(b"", 5)
    with pytest.raises(LocalError, match="went back"):
        loopback.pump.feed(b"", 4)


def test_an_event_is_outside_the_window_of_requests() -> None:
    loopback = Loopback()
    assert loopback.pump.announce(Opcode.EVENT_HINT, b"nobody listens") is False
    loopback.open()
    assert loopback.pump.announce(Opcode.EVENT_HINT, b"news") is True
    event = loopback.pump.take_output()
    assert (frame_in(event).kind, frame_in(event).ref) == (Kind.EVENT, 0)
    assert loopback.ask() == Response(Opcode.PING, b"")
    assert loopback.tell_client(event + event) == [Announcement(Opcode.EVENT_HINT, b"news")]
    loopback.pump.feed(request_bytes(loopback, 9), 0)
    loopback.pump.next_event(0)
    with pytest.raises(LocalError, match="between a request and its answer"):
        loopback.pump.announce(Opcode.EVENT_HINT, b"")


def test_the_session_opened_event_carries_what_was_offered() -> None:
    loopback = Loopback()
    loopback.open()
    (pump_side,), (client_side,) = loopback.told(SessionOpened), loopback.client_events
    assert pump_side == client_side
    assert isinstance(client_side, SessionOpened)
    assert client_side.key is CLINICIAN


def test_a_hint_is_the_only_unsecured_answer_a_pump_gives_outside_a_handshake() -> None:
    loopback = Loopback()
    loopback.open()
    loopback.ask()
    assert frame_in(loopback.to_client[-1]).flags == 1
    loopback.pump.end_session(SessionCloseReason.RESET)
    assert isinstance(loopback.ask(), Hint)
