"""The four frames of a handshake: repeats, edits, replays, and what cannot be agreed on [SPEC 4]."""

from __future__ import annotations

from itertools import pairwise

import pytest

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
from protocol.wire.limits import HALF_OPEN_MS, HELLO_REPEATS, SESSION_IDLE_MS
from tests.unit.protocol.fake_wire import Desk, Draws, frame_in, with_header
from tests.unit.protocol.strangers import CLINICIAN, handshake_frame, hello, reject_in


@pytest.mark.parametrize("secured", [True, False], ids=["secured", "open"])
@pytest.mark.parametrize("role", list(Role))
def test_every_role_opens_a_session_with_its_key(role: Role, secured: bool) -> None:
    desk = Desk(secured=secured, role=role)
    desk.open()
    assert desk.pump.session is not None
    assert (desk.pump.session.role, desk.pump.session.key_id) == (role, development_key(role).key_id)
    assert desk.ask(Opcode.PING, b"payload") == Response(Opcode.PING, b"payload")


def test_an_identical_hello_gets_the_identical_answer_three_times() -> None:
    desk = Desk()
    first = desk.tell_pump(hello())
    repeats = [desk.tell_pump(hello()) for _ in range(HELLO_REPEATS + 2)]
    assert repeats == [first] * HELLO_REPEATS + [b"", b""]
    assert desk.pump.statistics.replay_drop == 2


def test_a_half_open_slot_lasts_five_seconds_to_the_millisecond() -> None:
    for late_ms, opens in ((HALF_OPEN_MS - 1, True), (HALF_OPEN_MS, False)):
        desk = Desk()
        desk.client.open(0)
        desk.tell_client(desk.tell_pump(desk.client.take_output()))
        proof = desk.client.take_output()
        desk.now_ms = late_ms
        assert bool(desk.tell_pump(proof)) is opens, late_ms


def test_a_different_hello_replaces_the_slot_and_the_old_proof_is_dropped_without_a_failure() -> None:
    desk = Desk()
    desk.client.open(0)
    desk.tell_client(desk.tell_pump(desk.client.take_output()))
    proof = desk.client.take_output()
    desk.tell_pump(hello("another"))
    assert desk.tell_pump(proof) == b""
    assert desk.pump.statistics.replay_drop == 1
    assert desk.pump.statistics.hs_fail == 0


def test_a_lost_pump_proof_is_sent_again_until_the_first_request() -> None:
    desk = Desk()
    desk.open()
    proof, answer = desk.to_pump[-1], desk.to_client[-1]
    assert desk.tell_pump(proof) == answer
    desk.ask()
    assert desk.tell_pump(proof) == b""
    assert len(desk.told(SessionOpened)) == 1


def test_another_proof_for_the_open_session_is_dropped() -> None:
    desk = Desk()
    desk.open()
    other = frame_in(desk.to_pump[-1])._replace(body=bytes(16))
    assert desk.tell_pump(with_header(other)) == b""
    assert desk.pump.statistics.replay_drop == 1
    assert desk.pump.session is not None


def test_a_repeated_proof_is_answered_a_few_times_only_and_keeps_nothing_awake() -> None:
    desk = Desk()
    desk.open()
    deadline_ms = desk.pump.deadline_ms()
    desk.now_ms = 50
    assert [bool(desk.tell_pump(desk.to_pump[1])) for _ in range(3)] == [True] * 3
    assert desk.tell_pump(desk.to_pump[1]) == b""
    desk.now_ms += 60_000
    desk.run_pump()  # the drop has been told
    assert desk.pump.deadline_ms() == deadline_ms == SESSION_IDLE_MS


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
    assert reject_in(Desk().tell_pump(wish)).reason is reason


def test_a_hello_that_offers_more_gets_what_both_have() -> None:
    answer = Desk().tell_pump(hello(proto_max=9, suites=0xFF))
    chosen = decode(PumpHello, frame_in(answer).body)
    assert (chosen.proto, chosen.suite) == (1, Suite.AES_128_CCM_8)


@pytest.mark.parametrize(("at", "value"), [(0, 0), (1, 2), (2, 3), (3, 3), (4, 9), (6, 0)])
def test_a_client_hello_edited_on_the_way_breaks_the_proof(at: int, value: int) -> None:
    desk = Desk()
    desk.client.open(0)
    frame = frame_in(desk.client.take_output())
    edited = bytearray(frame.body)
    edited[at] = value
    answer = desk.tell_pump(handshake_frame(Handshake.CLIENT_HELLO, 0, bytes(edited)))
    desk.tell_client(answer)
    if proof := desk.client.take_output():
        assert reject_in(desk.tell_pump(proof)).reason is RejectReason.PROOF
    else:
        assert desk.client.statistics.mac_bad == 1  # another key or nonce: the client does not know this pump
    assert desk.pump.session is None


@pytest.mark.parametrize("at", range(36))
def test_a_pump_hello_edited_on_the_way_opens_no_session(at: int) -> None:
    desk = Desk()
    desk.client.open(0)
    frame = frame_in(desk.tell_pump(desk.client.take_output()))
    edited = bytearray(frame.body)
    edited[at] ^= 2
    sid = int.from_bytes(edited[2:4], "little")
    desk.tell_client(handshake_frame(Handshake.PUMP_HELLO, sid, bytes(edited)))
    if proof := desk.client.take_output():
        answer = desk.tell_pump(proof)
        assert not answer or reject_in(answer).reason is RejectReason.PROOF
    assert desk.pump.session is None


def test_an_old_handshake_replayed_is_dropped_for_its_sid_and_fails_for_its_nonce() -> None:
    desk = Desk()
    desk.open()
    old_hello, old_proof = desk.to_pump
    desk.ask(Opcode.END_SESSION)
    answer = desk.tell_pump(old_hello)
    assert desk.tell_pump(old_proof) == b""
    assert desk.pump.statistics.hs_fail == 0
    assert (
        reject_in(desk.tell_pump(with_header(frame_in(old_proof), sid=frame_in(answer).sid))).retry_after_s
        == 1
    )
    assert desk.told(HandshakeFailed)
    assert desk.pump.session is None


def test_the_same_client_nonce_twice_gives_another_session() -> None:
    desk = Desk()
    first = desk.tell_pump(hello("same"))
    desk.now_ms = HALF_OPEN_MS
    second = desk.tell_pump(hello("same"))
    offers = [decode(PumpHello, frame_in(answer).body) for answer in (first, second)]
    assert offers[0].sid != offers[1].sid
    assert offers[0].nonce_p != offers[1].nonce_p


def test_a_sid_is_never_zero_nor_the_active_nor_the_previous() -> None:
    class SameSid(Draws):
        def draw(self, length: int) -> bytes:
            return b"\0\0" + super().draw(length)[2:]

    desk = Desk()
    source = SameSid("sids")
    desk.host.draw = source.draw  # type: ignore[method-assign]
    sids = []
    for _ in range(6):
        desk.open()
        assert desk.pump.session is not None
        sids.append(desk.pump.session.sid)
    assert 0 not in sids
    assert all(one != other for one, other in pairwise(sids))
    assert all(one != other for one, other in zip(sids, sids[2:], strict=False))
    offers = [frame_in(desk.tell_pump(hello(seed))).sid for seed in ("one", "another")]
    assert offers[0] != offers[1]


def test_a_key_revoked_between_hello_and_proof_opens_nothing() -> None:
    desk = Desk()
    desk.client.open(0)
    desk.tell_client(desk.tell_pump(desk.client.take_output()))
    del desk.host.keys[CLINICIAN.key_id]
    assert reject_in(desk.tell_pump(desk.client.take_output())).reason is RejectReason.PROOF


@pytest.mark.parametrize("opcode", [0, 2, 4, 5, 6, 255])
def test_handshake_frames_that_no_client_sends_are_dropped_and_counted(opcode: int) -> None:
    desk = Desk()
    assert desk.tell_pump(handshake_frame(opcode, 0, bytes(22))) == b""
    assert desk.pump.statistics.crc_bad == 1


@pytest.mark.parametrize("length", [0, 15, 17, 21, 23, 224])
def test_hellos_and_proofs_of_another_length_are_dropped_and_counted(length: int) -> None:
    desk = Desk()
    assert desk.tell_pump(handshake_frame(Handshake.CLIENT_HELLO, 0, b"\1" * length)) == b""
    assert desk.tell_pump(handshake_frame(Handshake.CLIENT_PROOF, 5, b"\1" * length)) == b""
    assert desk.pump.statistics.crc_bad == 2


def test_a_role_that_does_not_exist_is_dropped() -> None:
    desk = Desk()
    frame = bytearray(frame_in(hello()).body)
    frame[3] = 4
    assert desk.tell_pump(handshake_frame(Handshake.CLIENT_HELLO, 0, bytes(frame))) == b""
    assert desk.pump.statistics.crc_bad == 1


def test_the_open_profile_checks_key_id_and_role_but_no_proof() -> None:
    desk = Desk(secured=False)
    stranger = DeviceKey(77, Role.CLINICIAN, bytes(16), slot=0, development=False)
    desk.client = ClientEnd(key=stranger, entropy=Draws("x"), secured=False)
    desk.client.open(0)
    assert desk.settle() == [SessionRefused(RejectReason.PROOF, 1)]
    impostor = CLINICIAN._replace(key=bytes(16))
    desk.client = ClientEnd(key=impostor, entropy=Draws("y"), secured=False)
    desk.open()


def test_a_secured_client_and_an_open_pump_do_not_meet() -> None:
    for pump_secured in (True, False):
        desk = Desk(secured=pump_secured)
        desk.client = ClientEnd(key=CLINICIAN, entropy=Draws("z"), secured=not pump_secured)
        desk.client.open(0)
        assert desk.settle() == [SessionRefused(RejectReason.SUITE, 0)]
