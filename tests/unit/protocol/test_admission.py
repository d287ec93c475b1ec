"""Who gets in, and how often a pump answers those who do not: H2, H4, H5 [SPEC 4]."""

from __future__ import annotations

from hil.programmer.entropy import SeededEntropy
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
from protocol.wire.limits import LinkLimits
from tests.support.for_each import for_each
from tests.unit.protocol.fake_wire import Loopback, frame_in
from tests.unit.protocol.strangers import CLINICIAN, false_proof, hello, reject_in

HELLO_PER_DAY = 1_000  # [SPEC 4, H5]
HELLO_PER_MIN = 10  # [SPEC 4, H5]
TAKE_OVER_IDLE_MS = 10_000  # [SPEC 4, H2]


def test_a_wrong_proof_empties_the_slot_and_is_told() -> None:
    loopback = Loopback()
    assert reject_in(false_proof(loopback, CLINICIAN.key_id, "thief")) == HandshakeReject(
        RejectReason.PROOF, 1
    )
    assert loopback.told(HandshakeFailed) == [HandshakeFailed(CLINICIAN.key_id, RejectReason.PROOF)]
    assert loopback.pump.statistics.hs_fail == 1
    assert loopback.pump.session is None


def test_an_unknown_key_id_looks_like_a_known_one_until_the_proof() -> None:
    loopback = Loopback()
    answers = [loopback.tell_pump(hello("same", key_id=key_id)) for key_id in (99, 99, 98, CLINICIAN.key_id)]
    hellos = [decode(PumpHello, frame_in(answer).body) for answer in answers]
    assert hellos[0] == hellos[1]
    assert len({hello.peer_handle for hello in hellos}) == 3
    assert bytes(8) not in {hello.peer_handle for hello in hellos}
    assert reject_in(false_proof(loopback, 99, "guess")).reason is RejectReason.PROOF


def test_back_off_doubles_from_one_second_to_64_and_binds_one_key_id() -> None:
    loopback = Loopback()
    waits = []
    for attempt in range(9):
        waits.append(reject_in(false_proof(loopback, CLINICIAN.key_id, f"guess {attempt}")).retry_after_s)
        loopback.now_ms += 1_000 * waits[-1] - 1
        early = reject_in(loopback.tell_pump(hello(f"early {attempt}")))
        assert early == HandshakeReject(RejectReason.LIMITED, 1)
        loopback.now_ms += 60_001
    assert waits == [1, 2, 4, 8, 16, 32, 64, 64, 64]


def test_a_good_proof_ends_the_back_off() -> None:
    loopback = Loopback()
    false_proof(loopback, CLINICIAN.key_id, "guess")
    loopback.now_ms = 1_000
    loopback.open()
    loopback.now_ms = 2_000
    assert reject_in(false_proof(loopback, CLINICIAN.key_id, "later")).retry_after_s == 1


def test_a_thousand_guesses_stay_within_the_back_off_and_another_key_still_connects() -> None:
    loopback = Loopback()
    guessed_key = development_key(Role.PATIENT).key_id
    for attempt in range(1_000):
        false_proof(loopback, guessed_key, f"guess {attempt}")
        loopback.now_ms += 250
        if attempt % 100 == 99:
            loopback.open()
            loopback.ask(Opcode.END_SESSION)
    # 250 s of guessing: after 1, 2, 4, 8, 16, 32, 64, 64 s
    assert loopback.pump.statistics.hs_fail <= 8
    assert len(loopback.told(HandshakeFailed)) == loopback.pump.statistics.hs_fail


@for_each("role", [Role.OBSERVER, Role.CLINICIAN, Role.SERVICE])
def test_a_good_proof_for_another_role_than_the_keys_is_refused_and_told(role: Role) -> None:
    loopback = Loopback()
    patient = development_key(Role.PATIENT)
    loopback.client = ClientEnd(key=patient, role=role, entropy=SeededEntropy("patient"))
    loopback.client.open(0)
    assert loopback.settle() == [SessionRefused(RejectReason.ROLE, 0)]
    assert loopback.told(HandshakeFailed) == [HandshakeFailed(patient.key_id, RejectReason.ROLE)]
    assert loopback.pump.session is None


@for_each(
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
    loopback = Loopback(role=running)
    loopback.open()
    loopback.now_ms = TAKE_OVER_IDLE_MS - 1
    loopback.client = loopback.new_client(arriving)
    loopback.client.open(loopback.now_ms)
    (news,) = loopback.settle()
    assert isinstance(news, SessionOpened) is takes_over
    if takes_over:
        assert loopback.told(SessionClosed) == [
            SessionClosed(SessionCloseReason.REPLACED, development_key(running))
        ]
    else:
        assert news == SessionRefused(RejectReason.BUSY, 1)
        assert loopback.told(SessionClosed) == []


def test_a_session_idle_for_ten_seconds_yields_to_anybody() -> None:
    loopback = Loopback()
    loopback.open()
    loopback.now_ms = TAKE_OVER_IDLE_MS
    loopback.client = loopback.new_client(Role.OBSERVER)
    loopback.open()
    assert loopback.pump.session is not None
    assert loopback.pump.session.role is Role.OBSERVER


def test_the_same_key_replaces_its_own_session_and_the_loser_gets_a_hint() -> None:
    loopback = Loopback()
    loser = loopback.open()
    loopback.client = loopback.new_client(Role.CLINICIAN, "second window")
    loopback.open()
    loopback.client = loser
    hint = loopback.ask()
    assert isinstance(hint, Hint)
    assert hint.error.code is ErrorCode.NO_SESSION
    assert hint.error.state_changed is StateChanged.UNKNOWN


def test_half_open_spam_does_not_touch_the_clinicians_session() -> None:
    """Attack 3.7: greetings that are never proven, while a clinician works."""
    loopback = Loopback()
    loopback.open()
    for attempt in range(200):
        loopback.tell_pump(hello(f"spam {attempt}", key_id=attempt))
        assert loopback.ask(Opcode.PING, bytes([attempt])) == Response(Opcode.PING, bytes([attempt]))
        loopback.now_ms += 500
    assert loopback.told(SessionClosed) == []


def test_an_hour_of_hellos_gets_no_more_answers_than_announced_and_one_event() -> None:
    loopback = Loopback()
    answered_ms = []
    for attempt in range(7_200):
        loopback.now_ms = 500 * attempt
        if loopback.tell_pump(hello(f"flood {attempt}", key_id=attempt % 50)):
            answered_ms.append(loopback.now_ms)
    assert len(answered_ms) == 60 * HELLO_PER_MIN
    for first, after in zip(answered_ms, answered_ms[HELLO_PER_MIN:], strict=False):
        assert after - first >= 60_000
    assert loopback.told(HelloLimited) == [HelloLimited()]
    assert loopback.pump.statistics.hs_limited == 7_200 - len(answered_ms)


def test_a_day_of_hellos_stays_within_the_days_budget() -> None:
    loopback = Loopback(limits=LinkLimits(hello_per_min=10, hello_per_day=100))
    answered = 0
    for minute in range(24 * 60):
        loopback.now_ms = 60_000 * minute
        answered += sum(bool(loopback.tell_pump(hello(f"{minute} {n}"))) for n in range(3))
    assert answered == 100
    loopback.now_ms += 3_600_000 * 2
    assert loopback.tell_pump(hello("the day after"))
    assert HELLO_PER_DAY == LinkLimits().hello_per_day == 1_000


def test_refusals_and_hints_leave_half_of_the_budget_to_hellos() -> None:
    loopback = Loopback()
    orphan = encode_frame(with_crc(pack_header(Kind.REQUEST, 0, Opcode.STOP, 0, 7, 1, 0)))
    assert sum(bool(loopback.tell_pump(orphan)) for _ in range(20)) == HELLO_PER_MIN // 2
    loopback.open()


def test_a_good_proof_takes_its_hello_off_the_count() -> None:
    loopback = Loopback()
    for _ in range(3 * HELLO_PER_MIN):
        loopback.open()
    assert loopback.told(HelloLimited) == []


def test_proximity_lifts_budget_and_back_off() -> None:
    loopback = Loopback()
    loopback.host.near = True
    for attempt in range(40):
        assert reject_in(false_proof(loopback, CLINICIAN.key_id, f"{attempt}")) == HandshakeReject(
            RejectReason.PROOF, 0
        )
    loopback.open()
