"""The client's side: repeats, giving up, and what it refuses to believe [SPEC 4, 5]."""

from __future__ import annotations

import pytest

from hil.programmer.entropy import SeededEntropy
from protocol.codec.layouts import encode
from protocol.errors import LocalError
from protocol.identifiers import (
    ErrorClass,
    ErrorCode,
    Handshake,
    Kind,
    Opcode,
    RejectReason,
    Role,
    StateChanged,
)
from protocol.link.client_end import ClientEnd, Phase
from protocol.link.connection import Direction
from protocol.link.development_keys import development_key
from protocol.link.events import (
    Hint,
    Refusal,
    Request,
    Response,
    SessionLost,
    SessionOpened,
    SessionRefused,
    Unknown,
)
from protocol.link.session import seal
from protocol.log.types import SessionCloseReason
from protocol.messages.errors import ErrorReply, refusal
from protocol.messages.handshake import HandshakeReject
from protocol.wire.frame import pack_header, with_crc
from protocol.wire.framing import encode_frame
from tests.support.for_each import for_each
from tests.unit.protocol.fake_wire import Loopback, frame_in, with_header

REQUEST_CTR_MAX = 1_048_576  # 2^20 [SPEC 5, R9]
TIMEOUTS_MS = (600, 1_200, 2_400)  # [SPEC 5, R3]

GIVES_UP_MS = sum(TIMEOUTS_MS)


def refuse_next(loopback: Loopback, error: ErrorReply) -> bytes:
    """Send what the client has to send; the pump refuses it."""
    loopback.pump.feed(loopback.client.take_output(), loopback.now_ms)
    assert isinstance(loopback.pump.next_event(loopback.now_ms), Request)
    loopback.pump.refuse(error)
    return loopback.pump.take_output()


def sent_at(client: ClientEnd, until_ms: int) -> list[tuple[int, bytes]]:
    """Everything a client sends into silence, and when."""
    sent = []
    for now_ms in range(until_ms + 1):
        while client.next_event(now_ms) is not None:
            pass
        if data := client.take_output():
            sent.append((now_ms, data))
    return sent


def test_an_unanswered_request_is_repeated_byte_for_byte_and_then_unknown() -> None:
    loopback = Loopback()
    loopback.open()
    ctr = loopback.client.request(Opcode.STOP, b"payload", 0)
    sent = sent_at(loopback.client, 10_000)
    assert [when for when, _ in sent] == [0, 600, 1_800]
    assert len({data for _, data in sent}) == 1
    assert sent[0][1].startswith(b"\0")
    fresh = Loopback()
    fresh.open()
    fresh.client.request(Opcode.STOP, b"payload", 0)
    fresh.silence(GIVES_UP_MS - 1)
    assert fresh.client_events[1:] == []
    fresh.silence(1)
    assert fresh.client_events[1:] == [Unknown(Opcode.STOP, ctr)]
    assert fresh.client.deadline_ms() is None


def test_an_unanswered_hello_and_an_unanswered_proof_are_given_up_as_well() -> None:
    loopback = Loopback()
    loopback.client.open(0)
    loopback.silence(GIVES_UP_MS)
    assert loopback.client_events == [Unknown(None, 0)]
    assert loopback.client.phase is Phase.CLOSED
    loopback.client.open(loopback.now_ms)
    loopback.tell_client(loopback.tell_pump(loopback.client.take_output()))
    assert loopback.client.busy
    loopback.silence(GIVES_UP_MS)
    assert loopback.client_events == [Unknown(None, 0)] * 2


def test_a_late_client_that_wakes_with_the_answer_in_hand_does_not_give_up() -> None:
    loopback = Loopback()
    loopback.open()
    loopback.client.request(Opcode.PING, b"", 0)
    answer = loopback.tell_pump(loopback.client.take_output())
    loopback.now_ms = 60_000
    assert loopback.tell_client(answer) == [Response(Opcode.PING, b"")]


def test_an_answer_after_giving_up_is_ignored_and_the_next_request_is_not_confused() -> None:
    loopback = Loopback()
    loopback.open()
    loopback.client.request(Opcode.PING, b"first", 0)
    late = loopback.tell_pump(loopback.client.take_output())
    loopback.silence(GIVES_UP_MS)
    assert loopback.tell_client(late) == []
    loopback.client.request(Opcode.PING, b"second", loopback.now_ms)
    assert loopback.tell_client(late) == []
    assert loopback.settle() == [Response(Opcode.PING, b"second")]


def test_a_repeated_answer_is_taken_once() -> None:
    loopback = Loopback()
    loopback.open()
    loopback.ask(Opcode.PING, b"once")
    assert loopback.tell_client(loopback.to_client[-1] * 5) == []
    assert loopback.client.statistics.replay_drop == 5


def test_an_older_answer_behind_a_newer_one_is_not_taken() -> None:
    loopback = Loopback()
    loopback.open()
    loopback.client.request(Opcode.PING, b"", 0)
    answer = frame_in(loopback.tell_pump(loopback.client.take_output()))
    loopback.client._last_answer_ctr = answer.ctr
    assert loopback.tell_client(with_header(answer)) == []
    assert loopback.client.busy


@for_each(
    "changes",
    [{"opcode": Opcode.STOP}, {"ref": 9}, {"sid": 1}, {"ctr": 9}, {"kind": Kind.ERROR}, {"kind": Kind.EVENT}],
)
def test_an_answer_with_an_edited_header_is_not_taken(changes: dict[str, int]) -> None:
    loopback = Loopback()
    loopback.open()
    loopback.client.request(Opcode.PING, b"", 0)
    answer = frame_in(loopback.tell_pump(loopback.client.take_output()))
    assert loopback.tell_client(with_header(answer, **changes)) == []
    statistics = loopback.client.statistics
    assert statistics.mac_bad + statistics.replay_drop == 1
    assert loopback.tell_client(with_header(answer)) == [Response(Opcode.PING, b"")]


@for_each("changes", [{"opcode": Opcode.STOP}, {"ref": 9}, {"sid": 1}, {"ctr": 0}])
def test_in_the_open_profile_too_an_answer_must_name_its_request(changes: dict[str, int]) -> None:
    loopback = Loopback(secured=False)
    loopback.open()
    loopback.client.request(Opcode.PING, b"12345678", 0)
    answer = frame_in(loopback.tell_pump(loopback.client.take_output()))
    assert loopback.tell_client(with_header(answer, **changes)) == []
    assert loopback.tell_client(with_header(answer, flags=1, plen=0)) == []
    assert loopback.tell_client(with_header(answer)) == [Response(Opcode.PING, b"12345678")]


def test_an_answer_with_a_bad_crc_is_counted_and_the_repeat_heals_it() -> None:
    loopback = Loopback()
    loopback.open()
    loopback.client.request(Opcode.PING, b"healed", 0)
    answer = bytearray(loopback.tell_pump(loopback.client.take_output()))
    answer[-3] ^= 1
    assert loopback.tell_client(bytes(answer)) == []
    assert loopback.client.statistics.crc_bad == 1
    loopback.advance(TIMEOUTS_MS[0])
    assert loopback.client_events[-1] == Response(Opcode.PING, b"healed")
    assert len(loopback.executed) == 1


def test_the_clients_own_echo_is_ignored() -> None:
    loopback = Loopback()
    loopback.open()
    loopback.client.request(Opcode.PING, b"", 0)
    echo = loopback.client.take_output()
    assert loopback.tell_client(echo) == []
    assert loopback.tell_client(loopback.tell_pump(echo)) == [Response(Opcode.PING, b"")]


@for_each("secured", [True, False])
def test_a_refusal_in_the_session_is_a_refusal(secured: bool) -> None:
    loopback = Loopback(secured=secured)
    loopback.open()
    loopback.client.request(Opcode.BOLUS_PREPARE, b"", 0)
    error = refusal(ErrorCode.BOLUS_MAX, limit=500_000)
    assert loopback.tell_client(refuse_next(loopback, error)) == [Refusal(Opcode.BOLUS_PREPARE, error)]
    assert not loopback.client.busy


def test_an_unsigned_error_is_only_a_hint_and_the_request_goes_on() -> None:
    loopback = Loopback()
    loopback.open()
    ctr = loopback.client.request(Opcode.STOP, b"", 0)
    sent = frame_in(loopback.client.take_output())
    forged = encode(ErrorReply(ErrorClass.DEVICE, ErrorCode.MOTOR, StateChanged.NO))
    header = pack_header(Kind.ERROR, 0, Opcode.STOP, len(forged), sent.sid, 0, ctr)
    (hint,) = loopback.tell_client(encode_frame(with_crc(header + forged)))
    assert isinstance(hint, Hint)
    assert loopback.client.busy
    loopback.silence(GIVES_UP_MS)
    assert loopback.client_events[-1] == Unknown(Opcode.STOP, ctr)


@for_each("changes", [{"opcode": Opcode.PING}, {"ref": 9}, {"sid": 1}])
def test_a_hint_for_something_else_is_ignored(changes: dict[str, int]) -> None:
    loopback = Loopback()
    loopback.open()
    loopback.pump.end_session(SessionCloseReason.RESET)
    loopback.client.request(Opcode.STOP, b"", 0)
    hint = frame_in(loopback.tell_pump(loopback.client.take_output()))
    assert loopback.tell_client(with_header(hint, **changes)) == []
    assert [type(event) for event in loopback.tell_client(with_header(hint))] == [Hint]


def test_an_unsigned_answer_that_is_no_hint_is_ignored() -> None:
    loopback = Loopback()
    loopback.open()
    ctr = loopback.client.request(Opcode.PING, b"", 0)
    sid = frame_in(loopback.client.take_output()).sid
    for kind in (Kind.RESPONSE, Kind.ERROR, Kind.EVENT):
        header = pack_header(kind, 0, Opcode.PING, 20, sid, 1, ctr)
        assert loopback.tell_client(encode_frame(with_crc(header + bytes(20)))) == []


def test_an_error_code_from_the_future_leaves_the_outcome_unknown() -> None:
    loopback = Loopback()
    loopback.open()
    ctr = loopback.client.request(Opcode.STOP, b"", 0)
    answer = refuse_next(loopback, refusal(ErrorCode.INTERNAL))
    assert answer
    sid = frame_in(answer).sid
    payload = bytearray(encode(refusal(ErrorCode.INTERNAL)))
    payload[1] = 0x7F
    header = pack_header(Kind.ERROR, 1, Opcode.STOP, len(payload), sid, 2, ctr)
    body = seal(loopback.session_keys().sealing, 1, sid, 2, header, bytes(payload))
    assert loopback.tell_client(encode_frame(with_crc(header + body))) == [Unknown(Opcode.STOP, ctr)]


def test_session_expired_is_a_refusal_and_a_lost_session() -> None:
    loopback = Loopback()
    loopback.open()
    loopback.client._ctr = REQUEST_CTR_MAX - 1
    loopback.client.request(Opcode.STOP, b"", 0)
    error = refusal(ErrorCode.SESSION_EXPIRED)
    news = loopback.tell_client(refuse_next(loopback, error))
    assert news == [Refusal(Opcode.STOP, error), SessionLost()]
    assert loopback.client.phase is Phase.CLOSED


def test_a_lost_end_session_has_reached_its_aim_when_there_is_no_session() -> None:
    loopback = Loopback()
    loopback.open()
    loopback.client.request(Opcode.END_SESSION, b"", 0)
    loopback.tell_pump(loopback.client.take_output())  # the answer is lost
    loopback.advance(TIMEOUTS_MS[0])
    assert [type(event) for event in loopback.client_events[1:]] == [Hint, SessionLost]
    assert loopback.client.phase is Phase.CLOSED


def test_opening_anew_gives_the_open_request_up() -> None:
    loopback = Loopback()
    loopback.open()
    ctr = loopback.client.request(Opcode.BOLUS_COMMIT, b"", 0)
    loopback.client.take_output()
    loopback.client.open(0)
    assert [type(event) for event in loopback.settle()] == [Unknown, SessionOpened]
    assert loopback.client_events[1] == Unknown(Opcode.BOLUS_COMMIT, ctr)
    assert loopback.ask() == Response(Opcode.PING, b"")


def test_one_request_at_a_time_and_only_in_a_session() -> None:
    loopback = Loopback()
    with pytest.raises(LocalError, match="needs an open session"):
        loopback.client.request(Opcode.PING, b"", 0)
    loopback.open()
    with pytest.raises(LocalError, match="at most 224"):
        loopback.client.request(Opcode.PING, bytes(225), 0)
    loopback.client.request(Opcode.PING, b"", 0)
    with pytest.raises(LocalError, match="one request at a time"):
        loopback.client.request(Opcode.PING, b"", 0)


def test_a_pump_that_does_not_know_the_key_is_not_recognised() -> None:
    loopback = Loopback()
    loopback.client = ClientEnd(
        key=development_key(Role.CLINICIAN)._replace(key=bytes(16)), entropy=SeededEntropy("thief")
    )
    loopback.client.open(0)
    assert loopback.settle() == []
    assert loopback.client.statistics.mac_bad == 1
    assert loopback.client.phase is Phase.HELLO_SENT


def test_a_forged_pump_proof_opens_nothing() -> None:
    loopback = Loopback()
    loopback.client.open(0)
    loopback.tell_client(loopback.tell_pump(loopback.client.take_output()))
    good = frame_in(loopback.tell_pump(loopback.client.take_output()))
    assert loopback.tell_client(with_header(good._replace(body=bytes(16)))) == []
    assert loopback.client.statistics.mac_bad == 1
    assert loopback.tell_client(with_header(good, sid=good.sid ^ 1)) == []
    assert [type(event) for event in loopback.tell_client(with_header(good))] == [SessionOpened]


def test_a_reject_for_another_handshake_is_ignored() -> None:
    loopback = Loopback()
    loopback.client.open(0)
    payload = encode(HandshakeReject(RejectReason.BUSY, 3))
    for sid, taken in ((5, False), (0, True)):
        header = pack_header(Kind.HANDSHAKE, 0, Handshake.REJECT, len(payload), sid, 0, 0)
        news = loopback.tell_client(encode_frame(with_crc(header + payload)))
        assert (news == [SessionRefused(RejectReason.BUSY, 3)]) is taken


@for_each("opcode", Handshake)
@for_each("length", [0, 3, 16, 22, 36, 224])
def test_meaningless_handshake_frames_do_not_disturb_a_session(opcode: int, length: int) -> None:
    loopback = Loopback()
    loopback.open()
    header = pack_header(Kind.HANDSHAKE, 0, opcode, length, 0, 0, 0)
    assert loopback.tell_client(encode_frame(with_crc(header + bytes(length)))) == []
    assert loopback.ask() == Response(Opcode.PING, b"")


@for_each("length", [0, 3, 35, 36, 37, 224])
def test_a_malformed_pump_hello_is_ignored(length: int) -> None:
    loopback = Loopback()
    loopback.client.open(0)
    header = pack_header(Kind.HANDSHAKE, 0, Handshake.PUMP_HELLO, length, 0, 0, 0)
    assert loopback.tell_client(encode_frame(with_crc(header + bytes(length)))) == []
    assert [
        type(event) for event in loopback.tell_client(loopback.tell_pump(loopback.client.take_output()))
    ] == []
    assert [type(event) for event in loopback.settle()] == [SessionOpened]


def test_both_ends_keep_the_frames_in_clear_for_a_trace() -> None:
    loopback = Loopback()
    loopback.open()
    loopback.pump.observing = loopback.client.observing = True
    loopback.ask(Opcode.PING, b"in clear")
    loopback.tell_pump(b"\0\x09junk\0")
    at_pump, at_client = loopback.pump.take_frames(), loopback.client.take_frames()
    assert [record.direction for record in at_pump] == [
        Direction.RECEIVED,
        Direction.SENT,
        Direction.RECEIVED,
    ]
    assert [record.payload for record in at_pump] == [b"in clear", b"in clear", None]
    assert at_pump[2].fault is not None
    assert [record.encoded for record in at_client] == [record.encoded for record in at_pump[:2]]
    assert [record.payload for record in at_client] == [b"in clear", b"in clear"]
    assert b"\0" + at_pump[0].encoded + b"\0" == loopback.to_pump[-1]
    assert loopback.pump.take_frames() == []


def test_frames_are_not_kept_unless_somebody_observes() -> None:
    loopback = Loopback()
    loopback.open()
    assert loopback.pump.take_frames() == loopback.client.take_frames() == []


def test_a_pump_hello_whose_header_and_payload_disagree_is_ignored() -> None:
    loopback = Loopback()
    loopback.client.open(0)
    good = frame_in(loopback.tell_pump(loopback.client.take_output()))
    assert loopback.tell_client(with_header(good, sid=good.sid ^ 1)) == []
    assert loopback.client.take_output() == b""
    loopback.tell_client(with_header(good))
    assert [type(event) for event in loopback.settle()] == [SessionOpened]
