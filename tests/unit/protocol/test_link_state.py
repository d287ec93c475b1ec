"""Both ends are values: a copy goes on as the original does; and none of them shows a key."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING

import pytest

from protocol.identifiers import Opcode, Role
from protocol.link.development_keys import DEVELOPMENT_KEYS, DeviceKey, development_key
from protocol.link.session import SessionKeys
from protocol.wire.limits import SESSION_IDLE_MS
from tests.unit.protocol.fake_wire import Desk, frame_in, request_bytes, with_header

if TYPE_CHECKING:
    from collections.abc import Callable


def pickled(desk: Desk) -> Desk:
    copied: Desk = pickle.loads(pickle.dumps(desk))  # noqa: S301 (our own)
    return copied


def moment_in_mid_handshake(desk: Desk) -> None:
    desk.client.open(desk.now_ms)
    desk.tell_client(desk.tell_pump(desk.client.take_output()))


def moment_in_a_session(desk: Desk) -> None:
    desk.open()
    desk.ask(Opcode.PING, b"before")


def moment_with_half_a_frame(desk: Desk) -> None:
    desk.open()
    desk.client.request(Opcode.PING, b"half", desk.now_ms)
    desk.to_pump.append(desk.client.take_output())
    desk.tell_pump(desk.to_pump[-1][:20])


def moment_under_attack(desk: Desk) -> None:
    desk.open()
    good = frame_in(request_bytes(desk, 1))
    for ctr in range(2, 12):
        desk.tell_pump(with_header(good, ctr=ctr))
    for n in range(30):
        desk.tell_pump(with_header(good, sid=n))


MOMENTS = [moment_in_mid_handshake, moment_in_a_session, moment_with_half_a_frame, moment_under_attack]


def future(desk: Desk) -> list[object]:
    """What happens next: repeats, time-outs, requests, a new session."""
    for sent in desk.to_pump[-1:]:
        desk.tell_pump(sent)
    desk.settle()
    desk.advance(5_000)
    desk.open()
    desk.ask(Opcode.STOP, b"after")
    desk.tell_pump(desk.to_pump[-1])
    desk.advance(SESSION_IDLE_MS + 60_000)
    return [
        desk.to_pump,
        desk.to_client,
        desk.pump_events,
        desk.client_events,
        desk.pump.statistics,
        desk.now_ms,
    ]


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled], ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__)
def test_a_copy_has_the_same_future_and_leaves_the_original_alone(
    moment: Callable[[Desk], None], copied: Callable[[Desk], Desk]
) -> None:
    desk = Desk()
    moment(desk)
    before = pickle.dumps(desk)
    twin = copied(desk)
    untouched = copied(desk)
    twins_future = future(twin)
    assert pickle.dumps(desk) == before
    assert twins_future == future(desk) == future(untouched)


def test_nothing_that_can_be_printed_shows_a_key() -> None:
    desk = Desk()
    moment_in_mid_handshake(desk)
    half_open = desk.pump._handshake._half_open
    desk.settle()
    session = desk.pump._session
    assert half_open is not None
    assert session is not None
    secrets = [key.key for key in DEVELOPMENT_KEYS] + list(desk.session_keys())
    shown = [half_open, session, session.key, desk.session_keys(), desk.pump_events, desk.client_events]
    for thing in [*shown, DEVELOPMENT_KEYS, desk.pump, desk.client]:
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
