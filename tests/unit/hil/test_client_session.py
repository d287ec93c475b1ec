"""Opening sessions, and what an error says when that does not work."""

from typing import Any

import pytest

from hil.bench_of_test import TestBench
from hil.errors import DeviceUnsafe, ExitCode, InUse, LinkError, SessionRefused
from hil.noise import Direction
from hil.programmer.client_session import refusal_of
from hil.programmer.entropy import SeededEntropy, SystemEntropy
from hil.programmer.programmer import Programmer
from hil.programmer.requester import read_reply
from protocol.codec.layouts import encode
from protocol.identifiers import RejectReason, Role, State
from protocol.link.development_keys import DeviceKey, development_key
from protocol.messages.conversation import Ping, PingReply
from protocol.messages.stop import Resume
from protocol.messages.time import GetTime, GetTimeReply

PATIENCE_MS = 15_000


@pytest.mark.parametrize("direction", list(Direction))
def test_a_silent_line_is_an_error_of_the_link_within_its_patience(bench: TestBench, direction: Any) -> None:
    bench.line.drop(direction, 1_000)
    with pytest.raises(LinkError, match="nothing answers") as caught:
        bench.open_programmer()
    assert caught.value.exit_code is ExitCode.BENCH_LOST
    assert bench.channel.now_ms() <= PATIENCE_MS


def test_noise_is_told_from_silence(bench: TestBench) -> None:
    bench.line.flip(Direction.FROM_PUMP, 77, 1_000)
    with pytest.raises(LinkError, match="only damaged frames"):
        bench.open_programmer()


@pytest.mark.parametrize("key_id", [3, 4711])
def test_a_wrong_key_is_told_as_such(bench: TestBench, key_id: Any) -> None:
    wrong = DeviceKey(key_id, Role.CLINICIAN, b"not the right one", 0, development=False)
    wrong = wrong._replace(key=wrong.key[:16])
    with pytest.raises(SessionRefused, match="does not hold this key") as caught:
        bench.open_programmer(key=wrong)
    assert caught.value.exit_code is ExitCode.DEVICE_REFUSED
    assert "--key" in str(caught.value)


def test_a_key_of_another_role_is_told_as_such(bench: TestBench) -> None:
    wrong = development_key(Role.OBSERVER)._replace(role=Role.CLINICIAN)
    with pytest.raises(SessionRefused, match="another role") as caught:
        bench.open_programmer(key=wrong)
    assert caught.value.reason == RejectReason.ROLE


@pytest.mark.parametrize("reason", list(RejectReason))
def test_every_rejection_says_what_to_do(reason: Any) -> None:
    error = refusal_of(reason, 7)
    assert error.advice
    assert "7 s" in str(error)
    assert isinstance(error, InUse if reason is RejectReason.BUSY else SessionRefused)


def test_an_open_profile_is_refused_by_a_secured_pump(bench: TestBench) -> None:
    pump = Programmer(bench.line, secured=False, entropy=SeededEntropy(1))
    with pytest.raises((SessionRefused, LinkError)):
        pump.connect()


def test_lower_ranks_wait_for_a_busy_pump_and_then_get_their_session(bench: TestBench) -> None:
    bench.open_programmer(Role.CLINICIAN).status()
    observer = bench.open_programmer(Role.OBSERVER)  # waits as the pump says
    assert observer.status().state is State.RUN
    assert bench.channel.now_ms() >= 9_000


def test_a_session_lasts_for_many_questions_and_is_replaced_when_it_ends(bench: TestBench) -> None:
    pump = bench.open_programmer()
    for _ in range(40):
        bench.target.rig.advance(60_000)
        pump.ping()
    assert pump.session.session_number >= 2


def test_end_of_session_is_reached_even_if_its_answer_is_lost(bench: TestBench) -> None:
    pump = bench.open_programmer()
    bench.line.drop(Direction.FROM_PUMP, 3)
    pump.end_session()
    pump.end_session()
    assert pump.status().state is State.RUN


def test_an_answer_with_an_unknown_value_is_unsafe(bench: TestBench) -> None:
    pump = bench.open_programmer()
    good = bytearray(encode(pump.resume().reply))
    good[8] = 0x00  # the state's codeword
    with pytest.raises(DeviceUnsafe, match="unknown, unsafe") as caught:
        read_reply(Resume(1, 1), bytes(good))
    assert caught.value.exit_code is ExitCode.DEVICE_REFUSED


def test_an_answer_may_grow_at_its_tail() -> None:
    time = GetTimeReply(1, 2, 3, 4, 5, 6)
    assert read_reply(GetTime(0), encode(time) + b"more") == time
    assert read_reply(Ping(), b"") == PingReply()


def test_seeded_entropy_repeats_itself_and_the_systems_does_not() -> None:
    assert SeededEntropy(1).draw(48) == SeededEntropy(1).draw(48)
    assert SeededEntropy(1).draw(16) != SeededEntropy(2).draw(16)
    seeded = SeededEntropy(1)
    assert seeded.draw(16) != seeded.draw(16)
    assert SystemEntropy().draw(16) != SystemEntropy().draw(16)


def test_a_fifth_wrong_key_is_told_from_a_dead_line(bench: TestBench) -> None:
    wrong = development_key(Role.CLINICIAN)._replace(key=bytes(16))
    for _ in range(5):
        with pytest.raises(SessionRefused, match="does not hold this key"):
            bench.open_programmer(key=wrong)


def test_who_hears_no_answer_backs_off_before_the_pump_falls_silent_for_everybody(bench: TestBench) -> None:
    """One that is told to go on asking still gets its answer as soon as the line is whole again."""
    deaf = bench.open_programmer(connect=False)
    bench.line.drop(Direction.FROM_PUMP, 1_000)
    with pytest.raises(LinkError, match=r"no session could be opened: nothing answers.*greeted too often"):
        deaf.connect()
    bench.line.clear()
    assert bench.open_programmer(Role.PATIENT).status().state is State.RUN
    bench.line.drop(Direction.TO_PUMP, 1_000)
    with pytest.raises(LinkError):
        deaf.connect()
    bench.line.clear()
    deaf.connect()
    assert deaf.status().state is State.RUN
