"""Each number of SPEC 2 to 5 by what it does, at its edge and one beside it; numbers stand here as SPEC has them."""

from __future__ import annotations

from hil.programmer.entropy import SeededEntropy
from protocol.identifiers import Handshake, Opcode, RejectReason, Role
from protocol.link.budget import AnswerBudget, BackOff
from protocol.link.client_end import ClientEnd, Phase
from protocol.link.development_keys import development_key
from protocol.link.events import Response, SessionClosed, SessionRefused
from protocol.log.types import SessionCloseReason
from protocol.wire.checksum import crc32c
from protocol.wire.framing import encode_frame
from protocol.wire.limits import LinkLimits
from tests.support.for_each import for_each
from tests.unit.protocol.fake_wire import Loopback, frame_in, request_bytes
from tests.unit.protocol.strangers import CLINICIAN, false_proof, hello, reject_in

HOUR_MS = 3_600_000


def test_both_ends_wait_for_the_rest_of_a_frame_for_less_than_a_second() -> None:
    for pause_ms, arrives in ((999, True), (1_000, False)):
        loopback = Loopback()
        loopback.client.open(0)
        hello = loopback.client.take_output()
        loopback.tell_pump(hello[:9])
        loopback.now_ms = pause_ms
        answer = loopback.tell_pump(hello[9:])
        assert bool(answer) is arrives, pause_ms
    for pause_ms, arrives in ((999, True), (1_000, False)):
        loopback = Loopback()
        loopback.client.open(0)
        offer = loopback.tell_pump(loopback.client.take_output())
        loopback.tell_client(offer[:9])
        loopback.now_ms = pause_ms
        loopback.tell_client(offer[9:])
        assert (loopback.client.phase is Phase.PROOF_SENT) is arrives, pause_ms


@for_each(
    ("spent_ms", "free_again_ms"),
    [(0, 25 * HOUR_MS), (HOUR_MS - 1, 25 * HOUR_MS), (HOUR_MS, 26 * HOUR_MS), (7 * HOUR_MS, 32 * HOUR_MS)],
)
def test_an_answer_counts_for_its_hour_and_the_24_after_it(spent_ms: int, free_again_ms: int) -> None:
    budget = AnswerBudget(per_minute=10, per_day=1)
    assert budget.spend(spent_ms, doubtful=False)
    assert not budget.spend(free_again_ms - 1, doubtful=False)
    assert budget.spend(free_again_ms, doubtful=False)


def test_half_of_an_odd_budget_is_rounded_down_and_the_rest_is_for_those_who_are_not_doubted() -> None:
    minute = AnswerBudget(per_minute=11, per_day=1_000)
    assert [minute.spend(0, doubtful=True) for _ in range(7)] == [True] * 5 + [False] * 2
    assert [minute.spend(0, doubtful=False) for _ in range(7)] == [True] * 6 + [False]
    day = AnswerBudget(per_minute=10, per_day=9)
    assert sum(day.spend(60_000 * number, doubtful=True) for number in range(20)) == 4
    assert sum(day.spend(60_000 * number, doubtful=False) for number in range(20, 40)) == 5


def answered(loopback: Loopback, number: int) -> int:
    """How many of so many strangers' greetings draw an answer now."""
    return sum(bool(loopback.tell_pump(hello(f"stranger {each}", key_id=500))) for each in range(number))


def test_a_good_proof_takes_its_hello_off_the_count_also_where_its_key_was_doubted() -> None:
    loopback = Loopback()
    assert false_proof(loopback, CLINICIAN.key_id, "guess"), "which costs two answers"
    loopback.now_ms = 1_000
    loopback.open()
    assert answered(loopback, 20) == 8


def test_refusals_of_the_back_off_and_silence_are_counted_once_each_and_other_refusals_are_not() -> None:
    loopback = Loopback()
    counted = loopback.pump.statistics
    false_proof(loopback, CLINICIAN.key_id, "guess")
    assert (
        reject_in(loopback.tell_pump(hello("old", proto_max=0, proto_min=0))).reason is RejectReason.VERSION
    )
    assert counted.hs_limited == 0
    for number in range(1, 4):  # with the two refusals before: the doubtful half of ten
        assert reject_in(loopback.tell_pump(hello("early"))).reason is RejectReason.LIMITED
        assert counted.hs_limited == number
    assert loopback.tell_pump(hello("early")) == b""
    assert counted.hs_limited == 4


def test_answers_given_under_proximity_are_neither_counted_nor_given_back() -> None:
    loopback = Loopback(limits=LinkLimits(hello_per_day=5))
    loopback.host.near = True
    for _ in range(6):
        loopback.open()
    loopback.host.near = False
    assert answered(loopback, 20) == 5


@for_each(("idle_ms", "told_s"), [(0, 10), (1, 10), (8_999, 2), (9_000, 1), (9_001, 1), (9_999, 1)])
def test_busy_tells_the_rest_of_ten_seconds_rounded_up(idle_ms: int, told_s: int) -> None:
    loopback = Loopback()
    loopback.open()
    loopback.now_ms = idle_ms
    loopback.client = loopback.new_client(Role.PATIENT)
    loopback.client.open(idle_ms)
    assert loopback.settle() == [SessionRefused(RejectReason.BUSY, told_s)]


@for_each("role", Role)
def test_another_key_of_the_same_rank_waits_for_the_ten_seconds_too(role: Role) -> None:
    loopback = Loopback(role=role)
    other = development_key(role)._replace(key_id=40, key=b"of another one..", slot=5)
    loopback.host.keys[other.key_id] = other
    loopback.open()
    for idle_ms, busy in ((9_999, True), (10_000, False)):
        loopback.now_ms = idle_ms
        loopback.client = ClientEnd(key=other, entropy=SeededEntropy(f"other {idle_ms}"))
        loopback.client.open(idle_ms)
        (news,) = loopback.settle()
        assert isinstance(news, SessionRefused) is busy, idle_ms


def test_only_a_greeting_behind_a_frame_makes_it_stale() -> None:
    orphan = request_bytes(opened(), 1)
    for greeted, behind in ((hello("first"), orphan), (hello("first"), b"\0\x09junk\0"), (orphan, orphan)):
        assert Loopback().tell_pump(greeted + behind), "what comes first is answered"
    last = frame_in(Loopback().tell_pump(orphan + hello("last")))
    assert last.opcode == Handshake.PUMP_HELLO


def opened() -> Loopback:
    loopback = Loopback()
    loopback.open()
    return loopback


def test_the_ten_seconds_of_a_session_count_from_its_last_new_request() -> None:
    for idle_ms, busy in ((9_999, True), (10_000, False)):
        loopback = Loopback()
        loopback.open()
        loopback.now_ms = 7_000
        loopback.ask()
        request = loopback.to_pump[-1]
        loopback.now_ms = 12_000
        assert loopback.tell_pump(request), "a repeat, which keeps nothing awake"
        loopback.now_ms = 7_000 + idle_ms
        loopback.client = loopback.new_client(Role.OBSERVER)
        loopback.client.open(loopback.now_ms)
        (news,) = loopback.settle()
        assert isinstance(news, SessionRefused) is busy, idle_ms


def test_the_sixteen_keys_that_failed_last_are_remembered_and_the_seventeenth_pushes_out_the_first() -> None:
    table = BackOff()
    for key_id in range(16):
        table.failed(key_id, 0)
    assert all(table.doubts(key_id) for key_id in range(16))
    table.failed(16, 0)
    assert [key_id for key_id in range(17) if not table.doubts(key_id)] == [0]


@for_each(("last_ctr", "closes"), [(2_097_150, False), (2_097_151, True)])
def test_the_pumps_last_frame_has_the_counter_below_two_to_the_21(last_ctr: int, closes: bool) -> None:
    loopback = Loopback()
    loopback.open()
    assert loopback.pump._session is not None
    loopback.pump._session.pump_ctr = last_ctr - 1
    assert loopback.ask() == Response(Opcode.PING, b"")
    assert frame_in(loopback.to_client[-1]).ctr == last_ctr
    counter = [event.reason for event in loopback.told(SessionClosed) if isinstance(event, SessionClosed)]
    assert counter == [SessionCloseReason.COUNTER] * closes


def with_the_crc_of(wanted: bytes, start: bytes) -> bytes:
    """`start` and four bytes more, so that all has the CRC-32C of `wanted`: each bit of them turns fixed bits of it."""
    base = crc32c(start + bytes(4))
    rows = [(crc32c(start + (1 << bit).to_bytes(4, "little")) ^ base, 1 << bit) for bit in range(32)]
    left, tail = crc32c(wanted) ^ base, 0
    for column in range(32):
        pivot = next(row for row in rows if row[0] >> column & 1)
        rows = [
            (row[0] ^ pivot[0], row[1] ^ pivot[1]) if row[0] >> column & 1 else row
            for row in rows
            if row is not pivot
        ]
        if left >> column & 1:
            left, tail = left ^ pivot[0], tail ^ pivot[1]
    return start + tail.to_bytes(4, "little")


def test_in_the_open_profile_another_request_with_the_crc_of_the_last_is_no_repeat_of_it() -> None:
    loopback = Loopback(secured=False)
    loopback.open()
    first = frame_in(request_bytes(loopback, 1, Opcode.PING, b"one bolus, of 7")).raw
    loopback.tell_pump(encode_frame(first))
    assert len(loopback.executed) == 1
    head = first[: 12 + 15 - 8]
    other = with_the_crc_of(first[:-4], head + b"NOT!")
    assert (crc32c(other), len(other)) == (crc32c(first[:-4]), len(first) - 4)
    assert loopback.tell_pump(encode_frame(other + first[-4:])) == b""
    assert loopback.pump.statistics.replay_drop == 1
