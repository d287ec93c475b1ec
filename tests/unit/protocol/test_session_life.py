"""When a session ends, and what it takes to open one at all: H6, S1, revoked keys [SPEC 4]."""

from __future__ import annotations

from protocol.identifiers import RejectReason
from protocol.link.events import Hint, RandomSourceStuck, SessionClosed, SessionRefused
from protocol.log.types import SessionCloseReason
from tests.unit.protocol.fake_wire import Loopback
from tests.unit.protocol.strangers import CLINICIAN, hello, reject_in

SESSION_IDLE_MS = 120_000  # [SPEC 4, S1]
SESSION_LIFE_MS = 1_800_000  # [SPEC 4, S1]


def test_a_failed_random_source_means_no_session_and_nothing_else() -> None:
    loopback = Loopback()
    loopback.host.failed = True
    loopback.client.open(0)
    assert loopback.settle() == [SessionRefused(RejectReason.RNG_FAILED, 0)]


def test_a_random_source_that_repeats_itself_is_noticed() -> None:
    loopback = Loopback()
    loopback.host.stuck = True
    loopback.tell_pump(hello("first"))
    assert reject_in(loopback.tell_pump(hello("second"))).reason is RejectReason.RNG_FAILED
    assert loopback.told(RandomSourceStuck) == [RandomSourceStuck()]
    loopback.host.stuck = False
    assert reject_in(loopback.tell_pump(hello("third"))).reason is RejectReason.RNG_FAILED


def test_a_key_revoked_in_a_session_gets_a_hint_at_its_next_frame() -> None:
    loopback = Loopback()
    loopback.open()
    loopback.pump.end_session(SessionCloseReason.KEY_REVOKED)
    assert isinstance(loopback.ask(), Hint)
    assert loopback.told(SessionClosed) == [SessionClosed(SessionCloseReason.KEY_REVOKED, CLINICIAN)]


def test_an_unused_session_ends_at_its_exact_deadline() -> None:
    loopback = Loopback()
    loopback.open()
    loopback.now_ms = 7_000
    loopback.ask()
    assert loopback.pump.deadline_ms() == 7_000 + SESSION_IDLE_MS
    loopback.now_ms = 7_000 + SESSION_IDLE_MS - 1
    loopback.run_pump()
    assert loopback.pump.session is not None
    loopback.now_ms += 1
    loopback.run_pump()
    assert loopback.told(SessionClosed) == [SessionClosed(SessionCloseReason.IDLE, CLINICIAN)]
    assert loopback.pump.deadline_ms() is None


def test_a_busy_session_ends_after_half_an_hour() -> None:
    loopback = Loopback()
    loopback.open()
    while loopback.now_ms < SESSION_LIFE_MS - 60_000:
        loopback.now_ms += 60_000
        loopback.ask()
    assert loopback.pump.deadline_ms() == SESSION_LIFE_MS
    loopback.advance(60_000)
    assert loopback.told(SessionClosed) == [SessionClosed(SessionCloseReason.LIFE, CLINICIAN)]


def test_a_session_that_is_due_closes_before_the_bytes_of_the_same_instant() -> None:
    loopback = Loopback()
    loopback.open()
    loopback.now_ms = SESSION_IDLE_MS
    assert isinstance(loopback.ask(), Hint)
    assert loopback.executed == []
