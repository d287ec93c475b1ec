"""Who gets in, and how often a pump answers those who do not: H2, H4, H5 [SPEC 4]."""

from __future__ import annotations

import pytest

from protocol.codec.layouts import decode
from protocol.identifiers import ErrorCode, Kind, Opcode, RejectReason, Role, StateChanged
from protocol.link.client_end import ClientEnd
from protocol.link.development_keys import development_key
from protocol.link.events import (
    HandshakeFailed,
    HelloLimited,
    Hint,
    Response,
    SessionClosed,
    SessionOpened,
    SessionRefused,
)
from protocol.log.types import SessionCloseReason
from protocol.messages.handshake import HandshakeReject, PumpHello
from protocol.wire.frame import pack_header, with_crc
from protocol.wire.framing import encode_frame
from protocol.wire.limits import HELLO_PER_DAY, HELLO_PER_MIN, TAKE_OVER_IDLE_MS, LinkLimits
from tests.unit.protocol.fake_wire import Desk, Draws, frame_in
from tests.unit.protocol.strangers import CLINICIAN, false_proof, hello, reject_in


def test_a_wrong_proof_empties_the_slot_and_is_told() -> None:
    desk = Desk()
    assert reject_in(false_proof(desk, CLINICIAN.key_id, "thief")) == HandshakeReject(RejectReason.PROOF, 1)
    assert desk.told(HandshakeFailed) == [HandshakeFailed(CLINICIAN.key_id, RejectReason.PROOF)]
    assert desk.pump.statistics.hs_fail == 1
    assert desk.pump.session is None


def test_an_unknown_key_id_looks_like_a_known_one_until_the_proof() -> None:
    desk = Desk()
    answers = [desk.tell_pump(hello("same", key_id=key_id)) for key_id in (99, 99, 98, CLINICIAN.key_id)]
    hellos = [decode(PumpHello, frame_in(answer).body) for answer in answers]
    assert hellos[0] == hellos[1]
    assert len({hello.peer_handle for hello in hellos}) == 3
    assert bytes(8) not in {hello.peer_handle for hello in hellos}
    assert reject_in(false_proof(desk, 99, "guess")).reason is RejectReason.PROOF


def test_back_off_doubles_from_one_second_to_64_and_binds_one_key_id() -> None:
    desk = Desk()
    waits = []
    for attempt in range(9):
        waits.append(reject_in(false_proof(desk, CLINICIAN.key_id, f"guess {attempt}")).retry_after_s)
        desk.now_ms += 1_000 * waits[-1] - 1
        early = reject_in(desk.tell_pump(hello(f"early {attempt}")))
        assert early == HandshakeReject(RejectReason.LIMITED, 1)
        desk.now_ms += 60_001
    assert waits == [1, 2, 4, 8, 16, 32, 64, 64, 64]


def test_a_good_proof_ends_the_back_off() -> None:
    desk = Desk()
    false_proof(desk, CLINICIAN.key_id, "guess")
    desk.now_ms = 1_000
    desk.open()
    desk.now_ms = 2_000
    assert reject_in(false_proof(desk, CLINICIAN.key_id, "later")).retry_after_s == 1


def test_a_thousand_guesses_stay_within_the_back_off_and_another_key_still_connects() -> None:
    desk = Desk()
    guessed_key = development_key(Role.PATIENT).key_id
    for attempt in range(1_000):
        false_proof(desk, guessed_key, f"guess {attempt}")
        desk.now_ms += 250
        if attempt % 100 == 99:
            desk.open()
            desk.ask(Opcode.END_SESSION)
    # 250 s of guessing: after 1, 2, 4, 8, 16, 32, 64, 64 s
    assert desk.pump.statistics.hs_fail <= 8
    assert len(desk.told(HandshakeFailed)) == desk.pump.statistics.hs_fail


@pytest.mark.parametrize("role", [Role.OBSERVER, Role.CLINICIAN, Role.SERVICE])
def test_a_good_proof_for_another_role_than_the_keys_is_refused_and_told(role: Role) -> None:
    desk = Desk()
    patient = development_key(Role.PATIENT)
    desk.client = ClientEnd(key=patient, role=role, entropy=Draws("patient"))
    desk.client.open(0)
    assert desk.settle() == [SessionRefused(RejectReason.ROLE, 0)]
    assert desk.told(HandshakeFailed) == [HandshakeFailed(patient.key_id, RejectReason.ROLE)]
    assert desk.pump.session is None


@pytest.mark.parametrize(
    ("running", "arriving", "takes_over"),
    [
        (Role.CLINICIAN, Role.PATIENT, False),
        (Role.CLINICIAN, Role.SERVICE, False),
        (Role.CLINICIAN, Role.OBSERVER, False),
        (Role.SERVICE, Role.PATIENT, False),
        (Role.PATIENT, Role.OBSERVER, False),
        (Role.OBSERVER, Role.PATIENT, True),
        (Role.PATIENT, Role.SERVICE, True),
        (Role.SERVICE, Role.CLINICIAN, True),
        (Role.PATIENT, Role.CLINICIAN, True),
    ],
)
def test_rank_decides_who_takes_a_session_in_use(running: Role, arriving: Role, takes_over: bool) -> None:
    desk = Desk(role=running)
    desk.open()
    desk.now_ms = TAKE_OVER_IDLE_MS - 1
    desk.client = desk.new_client(arriving)
    desk.client.open(desk.now_ms)
    (news,) = desk.settle()
    assert isinstance(news, SessionOpened) is takes_over
    if takes_over:
        assert desk.told(SessionClosed) == [
            SessionClosed(SessionCloseReason.REPLACED, development_key(running))
        ]
    else:
        assert news == SessionRefused(RejectReason.BUSY, 1)
        assert desk.told(SessionClosed) == []


def test_a_session_idle_for_ten_seconds_yields_to_anybody() -> None:
    desk = Desk()
    desk.open()
    desk.now_ms = TAKE_OVER_IDLE_MS
    desk.client = desk.new_client(Role.OBSERVER)
    desk.open()
    assert desk.pump.session is not None
    assert desk.pump.session.role is Role.OBSERVER


def test_the_same_key_replaces_its_own_session_and_the_loser_gets_a_hint() -> None:
    desk = Desk()
    loser = desk.open()
    desk.client = desk.new_client(Role.CLINICIAN, "second window")
    desk.open()
    desk.client = loser
    hint = desk.ask()
    assert isinstance(hint, Hint)
    assert hint.error.code is ErrorCode.NO_SESSION
    assert hint.error.state_changed is StateChanged.UNKNOWN


def test_half_open_spam_does_not_touch_the_clinicians_session() -> None:
    desk = Desk()
    desk.open()
    for attempt in range(200):
        desk.tell_pump(hello(f"spam {attempt}", key_id=attempt))
        assert desk.ask(Opcode.PING, bytes([attempt])) == Response(Opcode.PING, bytes([attempt]))
        desk.now_ms += 500
    assert desk.told(SessionClosed) == []


def test_an_hour_of_hellos_gets_no_more_answers_than_announced_and_one_event() -> None:
    desk = Desk()
    answered_ms = []
    for attempt in range(7_200):
        desk.now_ms = 500 * attempt
        if desk.tell_pump(hello(f"flood {attempt}", key_id=attempt % 50)):
            answered_ms.append(desk.now_ms)
    assert len(answered_ms) == 60 * HELLO_PER_MIN
    for first, after in zip(answered_ms, answered_ms[HELLO_PER_MIN:], strict=False):
        assert after - first >= 60_000
    assert desk.told(HelloLimited) == [HelloLimited()]
    assert desk.pump.statistics.hs_limited == 7_200 - len(answered_ms)


def test_a_day_of_hellos_stays_within_the_days_budget() -> None:
    desk = Desk(limits=LinkLimits(hello_per_min=10, hello_per_day=100))
    answered = 0
    for minute in range(24 * 60):
        desk.now_ms = 60_000 * minute
        answered += sum(bool(desk.tell_pump(hello(f"{minute} {n}"))) for n in range(3))
    assert answered == 100
    desk.now_ms += 3_600_000 * 2
    assert desk.tell_pump(hello("the day after"))
    assert HELLO_PER_DAY == LinkLimits().hello_per_day == 1_000


def test_refusals_and_hints_leave_half_of_the_budget_to_hellos() -> None:
    desk = Desk()
    orphan = encode_frame(with_crc(pack_header(Kind.REQUEST, 0, Opcode.STOP, 0, 7, 1, 0)))
    assert sum(bool(desk.tell_pump(orphan)) for _ in range(20)) == HELLO_PER_MIN // 2
    desk.open()


def test_a_good_proof_takes_its_hello_off_the_count() -> None:
    desk = Desk()
    for _ in range(3 * HELLO_PER_MIN):
        desk.open()
    assert desk.told(HelloLimited) == []


def test_proximity_lifts_budget_and_back_off() -> None:
    desk = Desk()
    desk.host.near = True
    for attempt in range(40):
        assert reject_in(false_proof(desk, CLINICIAN.key_id, f"{attempt}")) == HandshakeReject(
            RejectReason.PROOF, 0
        )
    desk.open()
