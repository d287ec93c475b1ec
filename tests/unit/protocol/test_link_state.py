"""Both ends are values: a copy goes on as the original does; and none of them shows a key."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING

from protocol.identifiers import Opcode, Role
from protocol.link.development_keys import DEVELOPMENT_KEYS, DeviceKey, development_key
from protocol.link.session import SessionKeys
from tests.support.for_each import for_each
from tests.unit.protocol.fake_wire import Loopback, frame_in, request_bytes, with_header

if TYPE_CHECKING:
    from collections.abc import Callable

SESSION_IDLE_MS = 120_000  # [SPEC 4, S1]


def pickled(loopback: Loopback) -> Loopback:
    copied: Loopback = pickle.loads(pickle.dumps(loopback))  # noqa: S301 (our own)
    return copied


def moment_in_mid_handshake(loopback: Loopback) -> None:
    loopback.client.open(loopback.now_ms)
    loopback.tell_client(loopback.tell_pump(loopback.client.take_output()))


def moment_in_a_session(loopback: Loopback) -> None:
    loopback.open()
    loopback.ask(Opcode.PING, b"before")


def moment_with_half_a_frame(loopback: Loopback) -> None:
    loopback.open()
    loopback.client.request(Opcode.PING, b"half", loopback.now_ms)
    loopback.to_pump.append(loopback.client.take_output())
    loopback.tell_pump(loopback.to_pump[-1][:20])


def moment_under_attack(loopback: Loopback) -> None:
    loopback.open()
    good = frame_in(request_bytes(loopback, 1))
    for ctr in range(2, 12):
        loopback.tell_pump(with_header(good, ctr=ctr))
    for n in range(30):
        loopback.tell_pump(with_header(good, sid=n))


MOMENTS = [moment_in_mid_handshake, moment_in_a_session, moment_with_half_a_frame, moment_under_attack]


def future(loopback: Loopback) -> list[object]:
    """What happens next: repeats, time-outs, requests, a new session."""
    for sent in loopback.to_pump[-1:]:
        loopback.tell_pump(sent)
    loopback.settle()
    loopback.advance(5_000)
    loopback.open()
    loopback.ask(Opcode.STOP, b"after")
    loopback.tell_pump(loopback.to_pump[-1])
    loopback.advance(SESSION_IDLE_MS + 60_000)
    return [
        loopback.to_pump,
        loopback.to_client,
        loopback.pump_events,
        loopback.client_events,
        loopback.pump.statistics,
        loopback.now_ms,
    ]


@for_each("copied", [copy.deepcopy, pickled])
@for_each("moment", MOMENTS)
def test_a_copy_has_the_same_future_and_leaves_the_original_alone(
    moment: Callable[[Loopback], None], copied: Callable[[Loopback], Loopback]
) -> None:
    loopback = Loopback()
    moment(loopback)
    before = pickle.dumps(loopback)
    twin = copied(loopback)
    untouched = copied(loopback)
    twins_future = future(twin)
    assert pickle.dumps(loopback) == before
    assert twins_future == future(loopback) == future(untouched)


def test_nothing_that_can_be_printed_shows_a_key() -> None:
    loopback = Loopback()
    moment_in_mid_handshake(loopback)
    half_open = loopback.pump._handshake._half_open
    loopback.settle()
    session = loopback.pump._session
    assert half_open is not None
    assert session is not None
    secrets = [key.key for key in DEVELOPMENT_KEYS] + list(loopback.session_keys())
    shown = [
        half_open,
        session,
        session.key,
        loopback.session_keys(),
        loopback.pump_events,
        loopback.client_events,
    ]
    for thing in [*shown, DEVELOPMENT_KEYS, loopback.pump, loopback.client]:
        for text in (repr(thing), str(thing), f"{thing}"):
            for secret in secrets:
                assert repr(secret) not in text
                assert secret.hex() not in text
                assert repr(secret)[2:-1] not in text


def test_a_key_says_whose_it_is() -> None:
    key = DeviceKey(7, Role.PATIENT, b"0123456789abcdef", slot=3, development=False)
    assert repr(key) == "DeviceKey(key_id=7, role=PATIENT, slot=3)"
    assert repr(development_key(Role.OBSERVER)) == "DeviceKey(key_id=1, role=OBSERVER, slot=0, development)"
    assert repr(SessionKeys(b"secret", b"secret")) == "SessionKeys(hidden)"


def test_there_is_one_development_key_a_role() -> None:
    assert [key.role for key in DEVELOPMENT_KEYS] == list(Role)
    assert [key.key_id for key in DEVELOPMENT_KEYS] == [1, 2, 3, 4]
    assert {len(key.key) for key in DEVELOPMENT_KEYS} == {16}
    assert len({key.key for key in DEVELOPMENT_KEYS}) == len(DEVELOPMENT_KEYS)
    assert all(key.development for key in DEVELOPMENT_KEYS)
