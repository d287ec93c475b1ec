"""The four frames of a handshake: repeats, edits, replays, and what cannot be agreed on [SPEC 4]."""

from __future__ import annotations

from itertools import pairwise

import pytest

from hil.programmer.entropy import SeededEntropy
from protocol.codec.layouts import decode
from protocol.identifiers import (
    Handshake,
    Opcode,
    RejectReason,
    Role,
    Suite,
)
from protocol.link.client_end import ClientEnd
from protocol.link.development_keys import DeviceKey, development_key
from protocol.link.events import HandshakeFailed, Response, SessionOpened, SessionRefused
from protocol.messages.handshake import PumpHello
from tests.support.for_each import for_each
from tests.unit.protocol.fake_wire import Loopback, frame_in, with_header
from tests.unit.protocol.strangers import CLINICIAN, handshake_frame, hello, reject_in

HALF_OPEN_MS = 5_000  # [SPEC 4, H1]
HELLO_REPEATS = 3  # [SPEC 4, H1]
SESSION_IDLE_MS = 120_000  # [SPEC 4, S1]


@for_each("secured", [True, False])
@for_each("role", Role)
def test_every_role_opens_a_session_with_its_key(role: Role, secured: bool) -> None:
    loopback = Loopback(secured=secured, role=role)
    loopback.open()
    assert loopback.pump.session is not None
    assert (loopback.pump.session.role, loopback.pump.session.key_id) == (role, development_key(role).key_id)
    assert loopback.ask(Opcode.PING, b"payload") == Response(Opcode.PING, b"payload")


def test_an_identical_hello_gets_the_identical_answer_three_times() -> None:
    loopback = Loopback()
    first = loopback.tell_pump(hello())
    repeats = [loopback.tell_pump(hello()) for _ in range(HELLO_REPEATS + 2)]
    assert repeats == [first] * HELLO_REPEATS + [b"", b""]
    assert loopback.pump.statistics.replay_drop == 2


def test_a_half_open_slot_lasts_five_seconds_to_the_millisecond() -> None:
    for late_ms, opens in ((HALF_OPEN_MS - 1, True), (HALF_OPEN_MS, False)):
        loopback = Loopback()
        loopback.client.open(0)
        loopback.tell_client(loopback.tell_pump(loopback.client.take_output()))
        proof = loopback.client.take_output()
        loopback.now_ms = late_ms
        assert bool(loopback.tell_pump(proof)) is opens, late_ms


def test_a_different_hello_replaces_the_slot_and_the_old_proof_is_dropped_without_a_failure() -> None:
    loopback = Loopback()
    loopback.client.open(0)
    loopback.tell_client(loopback.tell_pump(loopback.client.take_output()))
    proof = loopback.client.take_output()
    loopback.tell_pump(hello("another"))
    assert loopback.tell_pump(proof) == b""
    assert loopback.pump.statistics.replay_drop == 1
    assert loopback.pump.statistics.hs_fail == 0


def test_a_lost_pump_proof_is_sent_again_until_the_first_request() -> None:
    loopback = Loopback()
    loopback.open()
    proof, answer = loopback.to_pump[-1], loopback.to_client[-1]
    assert loopback.tell_pump(proof) == answer
    loopback.ask()
    assert loopback.tell_pump(proof) == b""
    assert len(loopback.told(SessionOpened)) == 1


def test_another_proof_for_the_open_session_is_dropped() -> None:
    loopback = Loopback()
    loopback.open()
    other = frame_in(loopback.to_pump[-1])._replace(body=bytes(16))
    assert loopback.tell_pump(with_header(other)) == b""
    assert loopback.pump.statistics.replay_drop == 1
    assert loopback.pump.session is not None


def test_a_repeated_proof_is_answered_a_few_times_only_and_keeps_nothing_awake() -> None:
    loopback = Loopback()
    loopback.open()
    deadline_ms = loopback.pump.deadline_ms()
    loopback.now_ms = 50
    assert [bool(loopback.tell_pump(loopback.to_pump[1])) for _ in range(3)] == [True] * 3
    assert loopback.tell_pump(loopback.to_pump[1]) == b""
    loopback.now_ms += 60_000
    loopback.run_pump()  # the drop has been told
    assert loopback.pump.deadline_ms() == deadline_ms == SESSION_IDLE_MS


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (hello(proto_min=2, proto_max=3), RejectReason.VERSION),
        (hello(proto_min=0, proto_max=0), RejectReason.VERSION),
        (hello(suites=Suite.NONE), RejectReason.SUITE),
        (hello(suites=0), RejectReason.SUITE),
        (hello(suites=0x80), RejectReason.SUITE),
    ],
    ids=["later versions", "earlier versions", "no cipher", "no suite", "unknown suite"],
)
def test_what_cannot_be_agreed_on_is_refused(wish: bytes, reason: RejectReason) -> None:
    assert reject_in(Loopback().tell_pump(wish)).reason is reason


def test_a_hello_that_offers_more_gets_what_both_have() -> None:
    answer = Loopback().tell_pump(hello(proto_max=9, suites=0xFF))
    chosen = decode(PumpHello, frame_in(answer).body)
    assert (chosen.proto, chosen.suite) == (1, Suite.AES_128_CCM_8)


@for_each(("at", "value"), [(0, 0), (1, 2), (2, 3), (3, 3), (4, 9), (6, 0)])
def test_a_client_hello_edited_on_the_way_breaks_the_proof(at: int, value: int) -> None:
    loopback = Loopback()
    loopback.client.open(0)
    frame = frame_in(loopback.client.take_output())
    edited = bytearray(frame.body)
    edited[at] = value
    answer = loopback.tell_pump(handshake_frame(Handshake.CLIENT_HELLO, 0, bytes(edited)))
    loopback.tell_client(answer)
    if proof := loopback.client.take_output():
        assert reject_in(loopback.tell_pump(proof)).reason is RejectReason.PROOF
    else:
        assert (
            loopback.client.statistics.mac_bad == 1
        )  # another key or nonce: the client does not know this pump
    assert loopback.pump.session is None


@for_each("at", range(36))
def test_a_pump_hello_edited_on_the_way_opens_no_session(at: int) -> None:
    loopback = Loopback()
    loopback.client.open(0)
    frame = frame_in(loopback.tell_pump(loopback.client.take_output()))
    edited = bytearray(frame.body)
    edited[at] ^= 2
    sid = int.from_bytes(edited[2:4], "little")
    loopback.tell_client(handshake_frame(Handshake.PUMP_HELLO, sid, bytes(edited)))
    if proof := loopback.client.take_output():
        answer = loopback.tell_pump(proof)
        assert not answer or reject_in(answer).reason is RejectReason.PROOF
    assert loopback.pump.session is None


# FI 49
def test_an_old_handshake_replayed_is_dropped_for_its_sid_and_fails_for_its_nonce() -> None:
    loopback = Loopback()
    loopback.open()
    old_hello, old_proof = loopback.to_pump
    loopback.ask(Opcode.END_SESSION)
    answer = loopback.tell_pump(old_hello)
    assert loopback.tell_pump(old_proof) == b""
    assert loopback.pump.statistics.hs_fail == 0
    assert (
        reject_in(
            loopback.tell_pump(with_header(frame_in(old_proof), sid=frame_in(answer).sid))
        ).retry_after_s
        == 1
    )
    assert loopback.told(HandshakeFailed)
    assert loopback.pump.session is None


def test_the_same_client_nonce_twice_gives_another_session() -> None:
    """Attack 3.14: one nonce_c in two handshakes."""
    loopback = Loopback()
    first = loopback.tell_pump(hello("same"))
    loopback.now_ms = HALF_OPEN_MS
    second = loopback.tell_pump(hello("same"))
    offers = [decode(PumpHello, frame_in(answer).body) for answer in (first, second)]
    assert offers[0].sid != offers[1].sid
    assert offers[0].nonce_p != offers[1].nonce_p


def test_a_sid_is_never_zero_nor_the_active_nor_the_previous() -> None:
    class SameSid(SeededEntropy):
        def draw(self, length: int) -> bytes:
            return b"\0\0" + super().draw(length)[2:]

    loopback = Loopback()
    source = SameSid("sids")
    loopback.host.draw = source.draw  # type: ignore[method-assign]
    sids = []
    for _ in range(6):
        loopback.open()
        assert loopback.pump.session is not None
        sids.append(loopback.pump.session.sid)
    assert 0 not in sids
    assert all(one != other for one, other in pairwise(sids))
    assert all(one != other for one, other in zip(sids, sids[2:], strict=False))
    offers = [frame_in(loopback.tell_pump(hello(seed))).sid for seed in ("one", "another")]
    assert offers[0] != offers[1]


def test_a_key_revoked_between_hello_and_proof_opens_nothing() -> None:
    loopback = Loopback()
    loopback.client.open(0)
    loopback.tell_client(loopback.tell_pump(loopback.client.take_output()))
    del loopback.host.keys[CLINICIAN.key_id]
    assert reject_in(loopback.tell_pump(loopback.client.take_output())).reason is RejectReason.PROOF


@for_each("opcode", [0, 2, 4, 5, 6, 255])
def test_handshake_frames_that_no_client_sends_are_dropped_and_counted(opcode: int) -> None:
    loopback = Loopback()
    assert loopback.tell_pump(handshake_frame(opcode, 0, bytes(22))) == b""
    assert loopback.pump.statistics.crc_bad == 1


@for_each("length", [0, 15, 17, 21, 23, 224])
def test_hellos_and_proofs_of_another_length_are_dropped_and_counted(length: int) -> None:
    loopback = Loopback()
    assert loopback.tell_pump(handshake_frame(Handshake.CLIENT_HELLO, 0, b"\1" * length)) == b""
    assert loopback.tell_pump(handshake_frame(Handshake.CLIENT_PROOF, 5, b"\1" * length)) == b""
    assert loopback.pump.statistics.crc_bad == 2


def test_a_role_that_does_not_exist_is_dropped() -> None:
    loopback = Loopback()
    frame = bytearray(frame_in(hello()).body)
    frame[3] = 4
    assert loopback.tell_pump(handshake_frame(Handshake.CLIENT_HELLO, 0, bytes(frame))) == b""
    assert loopback.pump.statistics.crc_bad == 1


def test_the_open_profile_checks_key_id_and_role_but_no_proof() -> None:
    loopback = Loopback(secured=False)
    stranger = DeviceKey(77, Role.CLINICIAN, bytes(16), slot=0, development=False)
    loopback.client = ClientEnd(key=stranger, entropy=SeededEntropy("x"), secured=False)
    loopback.client.open(0)
    assert loopback.settle() == [SessionRefused(RejectReason.PROOF, 1)]
    impostor = CLINICIAN._replace(key=bytes(16))
    loopback.client = ClientEnd(key=impostor, entropy=SeededEntropy("y"), secured=False)
    loopback.open()


def test_a_secured_client_and_an_open_pump_do_not_meet() -> None:
    for pump_secured in (True, False):
        loopback = Loopback(secured=pump_secured)
        loopback.client = ClientEnd(key=CLINICIAN, entropy=SeededEntropy("z"), secured=not pump_secured)
        loopback.client.open(0)
        assert loopback.settle() == [SessionRefused(RejectReason.SUITE, 0)]
