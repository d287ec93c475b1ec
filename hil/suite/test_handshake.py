"""Opening a session: who is let in, who is not, and what nobody learns by trying [SPEC 4]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.plugin import needs, verifies
from hil.suite.raw_client import RawClient, decode_body, handshake_frame, rejection_of
from protocol.codec.layouts import decode, encode
from protocol.identifiers import PROTOCOL_VERSION, Handshake, Kind, Opcode, RejectReason, Role, Suite
from protocol.link import session
from protocol.link.development_keys import development_key
from protocol.log.types import LogName, LogType
from protocol.messages.handshake import ClientProof, PumpHello
from protocol.wire.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.programmer.programmer import Programmer
    from hil.rig import Rig

NOBODYS_KEY_ID = 0x7A31
WRONG_KEY = bytes(16)


def offer_of(frame: Frame) -> PumpHello:
    """The PUMP_HELLO in a frame."""
    assert (frame.kind, frame.opcode) == (Kind.HANDSHAKE, Handshake.PUMP_HELLO), f"no greeting but {frame}"
    return decode(PumpHello, frame.body)


@verifies("SES-001")
def test_each_role_opens_a_session_and_both_ends_prove_the_key(
    make_raw: Callable[..., RawClient],
) -> None:
    for role in Role:
        client = make_raw(role, connect=False)
        hello = client.hello()
        answer = client.say_hello(hello)
        offer = offer_of(answer)
        assert offer.proto == PROTOCOL_VERSION
        assert offer.suite is Suite.AES_128_CCM_8
        assert offer.sid == answer.sid != 0
        assert offer.peer_handle == session.peer_handle(client.key.key, hello[-16:])
        proof = client.prove(hello, answer)
        mac = decode(ClientProof, decode_body(client.proof_frame)).mac
        assert proof.opcode == Handshake.PUMP_PROOF
        assert proof.body == session.pump_proof(client.keys, hello, answer.body, mac)
        assert client.status().state
        client.end_session()


# FI 56
@verifies("SES-002")
def test_a_wrong_key_is_refused_and_nothing_is_served_under_it(make_raw: Callable[..., RawClient]) -> None:
    client = make_raw(key=development_key(Role.SERVICE)._replace(key=WRONG_KEY), connect=False)
    hello = client.hello()
    answer = client.say_hello(hello)
    assert offer_of(answer).peer_handle != session.peer_handle(WRONG_KEY, hello[-16:])
    assert rejection_of(client.prove(hello, answer)) is RejectReason.PROOF
    client.send(client.request_frame(0x10))
    hint = client.next_frame()
    assert (hint.kind, hint.flags) == (Kind.ERROR, 0)


@verifies("SES-003")
def test_an_unknown_key_id_is_greeted_like_any_other_and_refused_at_its_proof(
    make_raw: Callable[..., RawClient],
) -> None:
    stranger = development_key(Role.CLINICIAN)._replace(key_id=NOBODYS_KEY_ID, key=WRONG_KEY)
    client = make_raw(key=stranger, connect=False)
    hello = client.hello()
    answer = client.say_hello(hello)
    assert offer_of(answer).peer_handle != bytes(8)
    assert rejection_of(client.prove(hello, answer)) is RejectReason.PROOF


@verifies("SES-004")
def test_a_key_in_another_role_than_its_own_is_refused(make_raw: Callable[..., RawClient]) -> None:
    """Attack 3.3: a patient's key that says it is a clinician's."""
    for role, claimed in (
        (Role.PATIENT, Role.CLINICIAN),
        (Role.OBSERVER, Role.SERVICE),
        (Role.CLINICIAN, Role.PATIENT),
    ):
        client = make_raw(role, connect=False)
        hello = client.hello(role=claimed)
        answer = client.say_hello(hello)
        assert rejection_of(client.prove(hello, answer)) is RejectReason.ROLE


@verifies("SES-005")
def test_a_version_that_the_pump_does_not_speak_is_refused(make_raw: Callable[..., RawClient]) -> None:
    client = make_raw(connect=False)
    later = PROTOCOL_VERSION + 1
    answer = client.say_hello(client.hello(proto_min=later, proto_max=later + 3))
    assert rejection_of(answer) is RejectReason.VERSION


@verifies("SES-005")
def test_a_client_of_later_versions_too_is_met_in_the_version_of_the_pump(
    make_raw: Callable[..., RawClient],
) -> None:
    client = make_raw(connect=False)
    hello = client.hello(proto_max=PROTOCOL_VERSION + 3, suites=0xFF)
    answer = client.say_hello(hello)
    assert offer_of(answer).proto == PROTOCOL_VERSION
    assert client.prove(hello, answer).opcode == Handshake.PUMP_PROOF


@verifies("SES-006")
def test_a_secured_pump_refuses_every_suite_but_its_own(make_raw: Callable[..., RawClient]) -> None:
    client = make_raw(connect=False)
    for suites in (0, int(Suite.NONE), 0xFC):
        assert rejection_of(client.say_hello(client.hello(suites=suites))) is RejectReason.SUITE


@verifies("SES-017")
def test_a_hello_that_was_changed_on_its_way_breaks_the_proof(make_raw: Callable[..., RawClient]) -> None:
    nonce = b"the same nonce.."
    for role, change in ((Role.SERVICE, {"proto_max": 9}), (Role.PATIENT, {"suites": 3})):
        client = make_raw(role, connect=False)
        answer = client.say_hello(client.hello(nonce_c=nonce, **change))
        offer_of(answer)
        assert rejection_of(client.prove(client.hello(nonce_c=nonce), answer)) is RejectReason.PROOF


@verifies("SES-007")
def test_a_repeated_hello_gets_the_same_greeting_and_another_hello_another(
    make_raw: Callable[..., RawClient],
) -> None:
    client = make_raw(connect=False)
    first = client.say_hello(client.hello())
    for _ in range(3):
        client.send(client.hello_frame)
        assert client.next_frame() == first
    other = offer_of(client.say_hello(client.hello()))
    assert other.sid != offer_of(first).sid
    assert other.nonce_p != offer_of(first).nonce_p


# FI 49
@verifies("SES-012")
def test_the_recorded_handshake_of_a_closed_session_opens_nothing(
    make_raw: Callable[..., RawClient],
) -> None:
    client = make_raw()
    wire = client.request_frame(0x10)
    client.send(wire)
    client.next_answer()
    client.end_session()
    recorded_sid, hello, proof = client.sid, client.hello_frame, client.proof_frame
    client.send(hello)
    fresh = offer_of(client.next_frame())
    assert fresh.sid != recorded_sid
    client.send(proof, wire)
    answer = client.next_frame()
    assert (answer.kind, answer.flags, answer.sid) == (Kind.ERROR, 0, recorded_sid)


@verifies("SES-012")
def test_a_recorded_proof_moved_to_a_fresh_greeting_is_refused(make_raw: Callable[..., RawClient]) -> None:
    client = make_raw(Role.SERVICE)
    client.end_session()
    recorded = decode_body(client.proof_frame)
    client.send(client.hello_frame)
    fresh = offer_of(client.next_frame())
    client.send(handshake_frame(Handshake.CLIENT_PROOF, fresh.sid, recorded))
    assert rejection_of(client.next_frame()) is RejectReason.PROOF


@verifies("SES-018")
@needs("time", "reset")
def test_failed_proofs_of_a_key_make_it_wait_longer_and_leave_other_keys_alone(
    make_raw: Callable[..., RawClient], pump_rig: Rig
) -> None:
    guesser = make_raw(key=development_key(Role.PATIENT)._replace(key=WRONG_KEY), connect=False)
    for wait_ms in (1_000, 2_000, 4_000):
        hello = guesser.hello()
        assert rejection_of(guesser.prove(hello, guesser.say_hello(hello))) is RejectReason.PROOF
        pump_rig.advance(wait_ms - 1)
        assert rejection_of(guesser.say_hello(guesser.hello())) is RejectReason.LIMITED
        make_raw(Role.CLINICIAN).end_session()
        pump_rig.advance(60_000)


@verifies("SES-018")
def test_a_failed_proof_is_in_the_security_log(make_raw: Callable[..., RawClient], pump: Programmer) -> None:
    last = pump.log_status(LogName.SECURITY).last_seq
    client = make_raw(key=development_key(Role.SERVICE)._replace(key=WRONG_KEY), connect=False)
    hello = client.hello()
    assert rejection_of(client.prove(hello, client.say_hello(hello))) is RejectReason.PROOF
    types = [entry.type for entry in pump.read_log(LogName.SECURITY, from_seq=last + 1).entries]
    assert types == [LogType.HS_FAIL]


@verifies("SES-016")
@needs("time", "reset")
def test_strangers_get_no_more_answers_a_minute_than_announced_and_a_working_session_survives_them(
    raw: RawClient, make_raw: Callable[..., RawClient], pump: Programmer, pump_rig: Rig
) -> None:
    del raw
    budget = pump.limits().hello_per_min
    worker = make_raw()
    pump_rig.advance(60_000)
    stranger = make_raw(Role.SERVICE, connect=False)
    answers = 0
    for _ in range(5 * budget):
        worker.send(
            handshake_frame(Handshake.CLIENT_HELLO, 0, stranger.hello()), worker.request_frame(Opcode.PING)
        )
        while worker.next_frame().kind is Kind.HANDSHAKE:
            answers += 1
    assert answers == budget
    assert worker.link_stats().hs_limited == 4 * budget
    pump_rig.advance(60_000)
    offer_of(stranger.say_hello(stranger.hello()))


@verifies("SES-019")
def test_a_session_is_replaced_by_the_same_key_and_its_frames_meet_no_session(
    make_raw: Callable[..., RawClient],
) -> None:
    first, second = make_raw(), make_raw()
    first.send(first.request_frame(0x7E))
    hint = second.next_frame()
    assert (hint.kind, hint.flags, hint.sid) == (Kind.ERROR, 0, first.sid)
    assert second.status().state


@verifies("SES-019")
@needs("time")
def test_a_lower_rank_waits_until_the_session_has_been_idle_for_ten_seconds(
    raw: RawClient, make_raw: Callable[..., RawClient], pump_rig: Rig
) -> None:
    raw.status()
    observer = make_raw(Role.OBSERVER, connect=False)
    hello = observer.hello()
    assert rejection_of(observer.prove(hello, observer.say_hello(hello))) is RejectReason.BUSY
    pump_rig.advance(10_000)
    observer.connect()
    raw.connect()  # and a clinician takes it back at once
    assert raw.status().state


@verifies("SES-019")
def test_a_greeting_that_is_never_proven_does_not_disturb_the_session(
    raw: RawClient, make_raw: Callable[..., RawClient]
) -> None:
    idler = make_raw(Role.PATIENT, connect=False)
    offer = offer_of(idler.say_hello(idler.hello()))
    assert offer.sid != raw.sid
    assert raw.status().state


def test_encoded_proof_of_nothing_is_no_proof(make_raw: Callable[..., RawClient]) -> None:
    client = make_raw(Role.SERVICE, connect=False)
    offer = offer_of(client.say_hello(client.hello()))
    client.send(handshake_frame(Handshake.CLIENT_PROOF, offer.sid, encode(ClientProof(bytes(16)))))
    assert rejection_of(client.next_frame()) is RejectReason.PROOF
