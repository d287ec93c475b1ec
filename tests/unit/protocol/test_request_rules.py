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
from protocol.wire.limits import (
    ANSWER_REPEATS,
    MAX_PAYLOAD_BYTES,
    PUMP_CTR_MAX,
    REQUEST_CTR_MAX,
    SESSION_IDLE_MS,
)
from tests.unit.protocol.fake_wire import Desk, frame_in, frames_in, request_bytes

CLINICIAN = next(key for key in DEVELOPMENT_KEYS if key.role is Role.CLINICIAN)

either_profile = pytest.mark.parametrize("secured", [True, False], ids=["secured", "open"])


@either_profile
def test_a_repeated_request_gets_the_same_bytes_four_times_and_runs_once(secured: bool) -> None:
    desk = Desk(secured=secured)
    desk.open()
    desk.ask(Opcode.BOLUS_COMMIT, b"once")
    request, answer = desk.to_pump[-1], desk.to_client[-1]
    again = [desk.tell_pump(request) for _ in range(10)]
    assert again == [answer] * ANSWER_REPEATS + [b""] * (10 - ANSWER_REPEATS)
    assert len(desk.executed) == 1
    assert desk.pump.statistics.dup_served == ANSWER_REPEATS
    assert desk.pump.statistics.replay_drop == 10 - ANSWER_REPEATS


def test_every_frame_ten_times_over_is_one_execution_each() -> None:
    desk = Desk()
    desk.open()
    for number in range(5):
        desk.client.request(Opcode.PING, bytes([number]), desk.now_ms)
        answers = desk.tell_pump(desk.client.take_output() * 10)
        assert desk.tell_client(answers * 10) == [Response(Opcode.PING, bytes([number]))]
    assert [request.payload for request in desk.executed] == [bytes([number]) for number in range(5)]


def test_an_older_request_of_the_session_is_dropped_and_counted() -> None:
    desk = Desk()
    desk.open()
    for number in range(3):
        desk.ask(Opcode.PING, bytes([number]))
    recorded = desk.to_pump[2:-1]
    assert [desk.tell_pump(request) for request in recorded] == [b"", b""]
    assert len(desk.executed) == 3
    assert desk.pump.statistics.replay_drop == 2


def test_of_two_reordered_requests_the_later_runs_and_the_earlier_is_dropped() -> None:
    desk = Desk()
    desk.open()
    earlier, later = request_bytes(desk, 1, payload=b"1"), request_bytes(desk, 2, payload=b"2")
    desk.tell_pump(later + earlier)
    assert [request.payload for request in desk.executed] == [b"2"]
    assert desk.pump.statistics.replay_drop == 1


def test_a_gap_in_the_counter_is_legal() -> None:
    desk = Desk()
    desk.open()
    for ctr in (5, 6, 900):
        assert frame_in(desk.tell_pump(request_bytes(desk, ctr))).ref == ctr
    assert [request.ctr for request in desk.executed] == [5, 6, 900]


def test_sixteen_requests_in_one_write_are_answered_in_order() -> None:
    desk = Desk()
    desk.open()
    answers = frames_in(desk.tell_pump(b"".join(request_bytes(desk, ctr) for ctr in range(1, 17))))
    assert [answer.ref for answer in answers] == list(range(1, 17))
    assert [answer.ctr for answer in answers] == list(range(1, 17))


@either_profile
def test_another_frame_under_the_last_counter_is_dropped(secured: bool) -> None:
    desk = Desk(secured=secured)
    desk.open()
    desk.tell_pump(request_bytes(desk, 1, payload=b"one"))
    assert desk.tell_pump(request_bytes(desk, 1, payload=b"two")) == b""
    assert desk.pump.statistics.replay_drop == 1
    assert len(desk.executed) == 1


def test_counter_zero_is_never_a_request() -> None:
    desk = Desk()
    desk.open()
    assert desk.tell_pump(request_bytes(desk, 0)) == b""
    assert desk.executed == []


@either_profile
def test_a_request_with_a_ref_is_dropped(secured: bool) -> None:
    desk = Desk(secured=secured)
    desk.open()
    assert desk.tell_pump(request_bytes(desk, 1, ref=1)) == b""
    assert desk.pump.statistics.replay_drop == 1
    assert desk.executed == []


def test_repeats_do_not_keep_a_session_awake() -> None:
    desk = Desk()
    desk.open()
    desk.ask()
    for desk.now_ms in (30_000, 60_000, 90_000):
        assert desk.tell_pump(desk.to_pump[-1])
    assert desk.pump.deadline_ms() == SESSION_IDLE_MS


@pytest.mark.parametrize("ctr", [REQUEST_CTR_MAX + 1, 0xFFFFFFFF])
def test_a_counter_beyond_its_end_closes_the_session_cleanly(ctr: int) -> None:
    desk = Desk()
    desk.open()
    answer = frame_in(desk.tell_pump(request_bytes(desk, ctr, Opcode.STOP)))
    assert (answer.kind, answer.flags, answer.opcode, answer.ref) == (
        Kind.ERROR,
        1,
        Opcode.STOP,
        ctr & 0xFFFF,
    )
    assert desk.executed == []
    assert desk.told(SessionClosed) == [SessionClosed(SessionCloseReason.COUNTER, CLINICIAN)]
    desk.open()
    assert desk.ask() == Response(Opcode.PING, b"")


def test_the_last_counter_is_still_good() -> None:
    desk = Desk()
    desk.open()
    desk.tell_pump(request_bytes(desk, REQUEST_CTR_MAX))
    assert [request.ctr for request in desk.executed] == [REQUEST_CTR_MAX]


def test_a_client_does_not_ask_beyond_the_last_counter() -> None:
    desk = Desk()
    desk.open()
    desk.client._ctr = REQUEST_CTR_MAX - 1
    desk.ask()
    with pytest.raises(LocalError, match="used up"):
        desk.client.request(Opcode.PING, b"", 0)


def test_the_pump_closes_before_its_own_counter_ends() -> None:
    desk = Desk()
    desk.open()
    assert desk.pump._session is not None
    desk.pump._session.pump_ctr = PUMP_CTR_MAX - 2
    assert desk.ask() == Response(Opcode.PING, b"")
    assert desk.told(SessionClosed) == [SessionClosed(SessionCloseReason.COUNTER, CLINICIAN)]


@either_profile
@pytest.mark.parametrize("opcode", [Opcode.BOLUS_COMMIT, Opcode.STOP, 0xEE])
def test_a_request_without_a_session_gets_a_hint_that_names_it(secured: bool, opcode: int) -> None:
    desk = Desk(secured=secured)
    other = Desk(secured=secured)
    other.open()
    answer = frame_in(desk.tell_pump(request_bytes(other, 0x0005_0007, opcode, b"payload")))
    assert other.pump.session is not None
    assert (answer.kind, answer.flags, answer.opcode) == (Kind.ERROR, 0, opcode)
    assert (answer.sid, answer.ctr, answer.ref) == (other.pump.session.sid, 0, 7)
    error = decode(ErrorReply, answer.body)
    assert (error.code, error.state_changed) == (ErrorCode.NO_SESSION, StateChanged.UNKNOWN)
    assert desk.executed == []


def test_the_answer_to_end_session_is_the_last_of_the_session() -> None:
    desk = Desk()
    desk.open()
    assert desk.ask(Opcode.END_SESSION) == Response(Opcode.END_SESSION, b"")
    assert desk.told(SessionClosed) == [SessionClosed(SessionCloseReason.ENDED, CLINICIAN)]
    assert frame_in(desk.tell_pump(desk.to_pump[-1])).flags == 0


def test_a_refused_end_session_ends_nothing() -> None:
    desk = Desk()
    desk.open()
    desk.pump.feed(request_bytes(desk, 1, Opcode.END_SESSION, b"too long"), 0)
    assert isinstance(desk.pump.next_event(0), Request)
    desk.pump.refuse(refusal(ErrorCode.LENGTH))
    assert desk.pump.session is not None


def test_dropped_replays_are_told_at_once_then_once_a_minute_with_their_number() -> None:
    desk = Desk()
    desk.open()
    desk.ask()
    desk.ask()
    old = desk.to_pump[-2]
    desk.tell_pump(old)
    for desk.now_ms in range(1_000, 60_000, 1_000):
        desk.tell_pump(old)
    assert desk.told(ReplayDropped) == [ReplayDropped(1)]
    assert desk.pump.deadline_ms() == 60_000
    desk.pump.statistics.clear()
    desk.advance(1_000)
    assert desk.told(ReplayDropped) == [ReplayDropped(1), ReplayDropped(59)]
    assert desk.pump.deadline_ms() == SESSION_IDLE_MS


def test_a_request_must_be_answered_before_the_next_event() -> None:
    desk = Desk()
    desk.open()
    desk.pump.feed(request_bytes(desk, 1) + request_bytes(desk, 2), 0)
    assert isinstance(desk.pump.next_event(0), Request)
    with pytest.raises(LocalError, match="neither answered nor dropped"):
        desk.pump.next_event(0)
    desk.pump.drop()
    assert desk.pump.next_event(0) == Request(Opcode.PING, b"", 2)


def test_a_dropped_request_is_not_answered_to_its_repeat_either() -> None:
    desk = Desk()
    desk.open()
    desk.tell_pump(request_bytes(desk, 1))
    request = request_bytes(desk, 2)
    desk.pump.feed(request, 0)
    desk.pump.next_event(0)
    desk.pump.drop()
    assert desk.tell_pump(request) == b""
    assert len(desk.executed) == 1


def test_answers_without_a_request_are_our_own_fault() -> None:
    desk = Desk()
    desk.open()
    with pytest.raises(LocalError, match="no open request"):
        desk.pump.respond(b"")
    with pytest.raises(LocalError, match="no open request"):
        desk.pump.drop()
    desk.pump.feed(request_bytes(desk, 1), 0)
    desk.pump.next_event(0)
    with pytest.raises(LocalError, match="at most 224"):
        desk.pump.respond(bytes(MAX_PAYLOAD_BYTES + 1))
    desk.pump.respond(bytes(MAX_PAYLOAD_BYTES))


def test_line_time_does_not_go_back() -> None:
    desk = Desk()
    desk.pump.feed(b"", 5)
    with pytest.raises(LocalError, match="went back"):
        desk.pump.feed(b"", 4)


def test_an_event_is_outside_the_window_of_requests() -> None:
    desk = Desk()
    assert desk.pump.announce(Opcode.EVENT_HINT, b"nobody listens") is False
    desk.open()
    assert desk.pump.announce(Opcode.EVENT_HINT, b"news") is True
    event = desk.pump.take_output()
    assert (frame_in(event).kind, frame_in(event).ref) == (Kind.EVENT, 0)
    assert desk.ask() == Response(Opcode.PING, b"")
    assert desk.tell_client(event + event) == [Announcement(Opcode.EVENT_HINT, b"news")]
    desk.pump.feed(request_bytes(desk, 9), 0)
    desk.pump.next_event(0)
    with pytest.raises(LocalError, match="between a request and its answer"):
        desk.pump.announce(Opcode.EVENT_HINT, b"")


def test_the_session_opened_event_carries_what_was_offered() -> None:
    desk = Desk()
    desk.open()
    (pump_side,), (client_side,) = desk.told(SessionOpened), desk.client_events
    assert pump_side == client_side
    assert isinstance(client_side, SessionOpened)
    assert client_side.key is CLINICIAN


def test_a_hint_is_the_only_unsecured_answer_a_pump_gives_outside_a_handshake() -> None:
    desk = Desk()
    desk.open()
    desk.ask()
    assert frame_in(desk.to_client[-1]).flags == 1
    desk.pump.end_session(SessionCloseReason.RESET)
    assert isinstance(desk.ask(), Hint)
