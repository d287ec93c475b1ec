"""Replayed, held, forged and meaningless frames against an open session [SPEC 4, 5]."""

from __future__ import annotations

import random

from protocol.identifiers import Kind, Opcode, Role
from protocol.link.development_keys import DEVELOPMENT_KEYS
from protocol.link.events import Response, SessionClosed, TagFailureBurst
from protocol.log.types import SessionCloseReason
from protocol.wire.frame import with_crc
from protocol.wire.framing import encode_frame
from tests.support.for_each import for_each
from tests.unit.protocol.fake_wire import Loopback, frame_in, frames_in, request_bytes, with_header

TAG_FAILURES_MAX = 16  # [SPEC 4, S2]

CLINICIAN = next(key for key in DEVELOPMENT_KEYS if key.role is Role.CLINICIAN)

either_profile = for_each("secured", [True, False])


def test_a_held_commit_is_dropped_once_a_later_request_was_seen() -> None:
    loopback = Loopback()
    loopback.open()
    loopback.client.request(Opcode.BOLUS_COMMIT, b"held", loopback.now_ms)
    held = loopback.client.take_output()
    loopback.silence(4_200)
    loopback.ask(Opcode.QUERY_CMD)
    assert loopback.tell_pump(held) == b""
    assert [request.opcode for request in loopback.executed] == [Opcode.QUERY_CMD]


def test_a_held_commit_is_no_frame_of_the_next_session() -> None:
    loopback = Loopback()
    loopback.open()
    loopback.client.request(Opcode.BOLUS_COMMIT, b"held", loopback.now_ms)
    held = loopback.client.take_output()
    loopback.silence(4_200)
    loopback.open()
    assert frame_in(loopback.tell_pump(held)).kind is Kind.ERROR
    relabelled = with_header(frame_in(held), sid=loopback.pump.session.sid if loopback.pump.session else 0)
    assert loopback.tell_pump(relabelled) == b""
    assert loopback.pump.statistics.mac_bad == 1
    assert loopback.executed == []


def test_a_request_after_garbage_is_answered() -> None:
    loopback = Loopback()
    loopback.open()
    loopback.client.request(Opcode.PING, b"", 0)
    garbage = random.Random(64).randbytes(64)
    assert loopback.tell_client(loopback.tell_pump(garbage + loopback.client.take_output())) == [
        Response(Opcode.PING, b"")
    ]


def test_half_a_frame_of_one_client_does_not_spoil_the_first_of_the_next() -> None:
    loopback = Loopback()
    loopback.open()
    loopback.client.request(Opcode.PING, b"never finished", 0)
    loopback.tell_pump(loopback.client.take_output()[:20])
    loopback.client = loopback.new_client(Role.CLINICIAN, "the next")
    loopback.open()
    assert loopback.ask() == Response(Opcode.PING, b"")


def test_a_whole_recorded_session_replayed_after_its_end_draws_hints_only() -> None:
    loopback = Loopback()
    loopback.open()
    for number in range(3):
        loopback.ask(Opcode.BOLUS_COMMIT, bytes([number]))
    loopback.ask(Opcode.END_SESSION)
    executed = len(loopback.executed)
    answers = frames_in(b"".join(loopback.tell_pump(recorded) for recorded in list(loopback.to_pump)))
    assert {answer.kind for answer in answers if answer.opcode > 5} == {Kind.ERROR}
    assert len(loopback.executed) == executed
    assert loopback.pump.session is None


def test_our_own_frames_reflected_are_dropped_and_end_no_session() -> None:
    loopback = Loopback()
    loopback.open()
    for _ in range(2 * TAG_FAILURES_MAX):
        loopback.ask()
        assert loopback.tell_pump(loopback.to_client[-1]) == b""
    assert loopback.pump.statistics.mac_bad == 0
    assert loopback.pump.session is not None


def test_our_own_frame_relabelled_as_a_request_fails_by_its_direction() -> None:
    loopback = Loopback()
    loopback.open()
    loopback.ask()
    answer = frame_in(loopback.to_client[-1])
    assert loopback.tell_pump(with_header(answer, kind=Kind.REQUEST, ctr=9, ref=0)) == b""
    assert loopback.pump.statistics.mac_bad == 1


def test_each_flipped_bit_behind_a_good_crc_is_a_tag_failure() -> None:
    loopback = Loopback()
    loopback.open()
    good = frame_in(request_bytes(loopback, 1, Opcode.BOLUS_COMMIT, bytes(range(20))))
    content = good.raw[:-4]
    refused = 0
    for at in range(12, len(content)):
        for bit in range(8):
            forged = bytearray(content)
            forged[at] ^= 1 << bit
            fresh = Loopback()
            fresh.open()
            assert loopback.pump.session == fresh.pump.session  # same seeds: the same session
            assert fresh.tell_pump(encode_frame(with_crc(bytes(forged)))) == b""
            assert fresh.executed == []
            refused += fresh.pump.statistics.mac_bad
    assert refused == 8 * (len(content) - 12)


@for_each("changes", [{"opcode": Opcode.STOP}, {"ctr": 2}, {"ref": 3}])
def test_an_edited_header_behind_a_good_crc_is_a_tag_failure(changes: dict[str, int]) -> None:
    loopback = Loopback()
    loopback.open()
    good = frame_in(request_bytes(loopback, 1, Opcode.PING, b"payload"))
    assert loopback.tell_pump(with_header(good, **changes)) == b""
    assert loopback.pump.statistics.mac_bad == 1
    assert loopback.executed == []


def test_an_edited_sid_behind_a_good_crc_is_another_session() -> None:
    loopback = Loopback()
    loopback.open()
    good = frame_in(request_bytes(loopback, 1))
    assert frame_in(loopback.tell_pump(with_header(good, sid=good.sid ^ 1))).kind is Kind.ERROR
    assert loopback.executed == []


def test_a_frame_stripped_of_its_tag_needs_a_session_like_any_other() -> None:
    loopback = Loopback()
    loopback.open()
    good = frame_in(request_bytes(loopback, 1, Opcode.STOP))
    stripped = good._replace(flags=0, body=good.body[:-8])
    answer = frame_in(loopback.tell_pump(with_header(stripped)))
    assert (answer.kind, answer.flags) == (Kind.ERROR, 0)
    assert loopback.executed == []
    assert loopback.pump.session is not None


@for_each("tag_length", range(8))
def test_a_shortened_tag_is_refused_by_length(tag_length: int) -> None:
    loopback = Loopback()
    loopback.open()
    good = frame_in(request_bytes(loopback, 1, Opcode.PING, b"abc"))
    for plen in (3, 0):
        short = good._replace(body=good.body[: 3 + tag_length])
        assert loopback.tell_pump(with_header(short, plen=plen)) == b""
    assert loopback.pump.statistics.crc_bad + loopback.pump.statistics.mac_bad == 2
    assert loopback.executed == []


def test_sixteen_forged_tags_close_the_session_and_a_new_one_opens() -> None:
    loopback = Loopback()
    loopback.open()
    good = frame_in(request_bytes(loopback, 1))
    for number in range(TAG_FAILURES_MAX):
        assert loopback.pump.session is not None, number
        loopback.tell_pump(with_header(good, ctr=2 + number))
    assert loopback.pump.session is None
    assert loopback.told(TagFailureBurst) == [TagFailureBurst(TAG_FAILURES_MAX, CLINICIAN)]
    assert loopback.told(SessionClosed) == [SessionClosed(SessionCloseReason.TAG_FAILURES, CLINICIAN)]
    loopback.open()
    assert loopback.ask() == Response(Opcode.PING, b"")


def test_noise_and_endless_frames_leave_a_pump_that_answers() -> None:
    loopback = Loopback()
    loopback.open()
    dice = random.Random(42)
    for _ in range(64):
        assert loopback.tell_pump(dice.randbytes(16_384)) == b""
    assert loopback.tell_pump(b"\x55" * 1_000_000) == b""
    assert len(loopback.pump._deframer._partial) <= 255
    assert loopback.ask() == Response(Opcode.PING, b"")
    assert loopback.executed[0].payload == b""


@either_profile
def test_every_opcode_with_every_length_is_a_request_or_nothing(secured: bool) -> None:
    loopback = Loopback(secured=secured)
    loopback.open()
    dice = random.Random(45)
    opcodes = [opcode for opcode in range(256) if opcode != Opcode.END_SESSION]
    for ctr, opcode in enumerate(opcodes, start=1):
        payload = dice.randbytes(dice.choice([0, 1, 223, 224]))
        answer = frame_in(loopback.tell_pump(request_bytes(loopback, ctr, opcode, payload)))
        assert (answer.kind, answer.opcode, answer.ref) == (Kind.RESPONSE, opcode, ctr)
    assert len(loopback.executed) == 255
