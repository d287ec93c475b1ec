"""Strangers at rig control: few places, little time, and never in the way of who holds the token."""

from __future__ import annotations

import select
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from firmware_emu.bench.ports.tcp import parse_loopback
from firmware_emu.bench.rig.connections import HEAD_S, HOLDERS_MAX, STRANGERS_MAX, Connections
from hil.rig_client import RigClient
from tests.support.patience import PATIENCE_S
from tests.unit.bench.processes import EMULATE, Emulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Start = Callable[..., Emulator]

PARTIAL = b"GET /v1/state HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "


@pytest.fixture
def pairs() -> Iterator[Callable[[], tuple[socket.socket, socket.socket]]]:
    """Makes connections: our end, and the stranger's."""
    made: list[socket.socket] = []

    def pair() -> tuple[socket.socket, socket.socket]:
        ours, theirs = socket.socketpair()
        made.extend((ours, theirs))
        return ours, theirs

    yield pair
    for each in made:
        each.close()


def is_hung_up(theirs: socket.socket) -> bool:
    theirs.setblocking(False)
    try:
        return theirs.recv(1) == b""
    except BlockingIOError:
        return False


def test_the_oldest_stranger_with_nothing_to_say_makes_room(
    pairs: Callable[[], tuple[socket.socket, socket.socket]],
) -> None:
    connections = Connections(lambda: 0.0)
    strangers = []
    for number in range(STRANGERS_MAX):
        ours, theirs = pairs()
        if not number:
            theirs.sendall(b"a request that nobody has read yet")
        connections.came(("127.0.0.1", number), ours)
        strangers.append(theirs)
    connections.came(("127.0.0.1", 999), pairs()[0])
    assert [is_hung_up(theirs) for theirs in strangers] == [number == 1 for number in range(STRANGERS_MAX)]


def test_who_has_shown_the_token_is_no_stranger_any_more(
    pairs: Callable[[], tuple[socket.socket, socket.socket]],
) -> None:
    now_s = 0.0
    connections = Connections(lambda: now_s)
    ours, theirs = pairs()
    connections.came(("127.0.0.1", 1), ours)
    assert connections.is_holder(("127.0.0.1", 1))
    for number in range(2, 2 + 2 * STRANGERS_MAX):
        connections.came(("127.0.0.1", number), pairs()[0])
    now_s = 2 * HEAD_S
    connections.sweep()
    assert not is_hung_up(theirs)
    assert connections.hung_up == 2 * STRANGERS_MAX


def test_a_stranger_that_is_slow_is_hung_up_on(
    pairs: Callable[[], tuple[socket.socket, socket.socket]],
) -> None:
    now_s = 0.0
    connections = Connections(lambda: now_s)
    ours, theirs = pairs()
    connections.came(("127.0.0.1", 1), ours)
    now_s = HEAD_S - 0.01
    connections.sweep()
    assert not is_hung_up(theirs)
    now_s = HEAD_S
    connections.sweep()
    assert is_hung_up(theirs)


def test_holders_have_places_too_and_no_more_than_those(
    pairs: Callable[[], tuple[socket.socket, socket.socket]],
) -> None:
    connections = Connections(lambda: 0.0)
    kept = []
    for number in range(HOLDERS_MAX):
        kept.append(pairs()[0])
        connections.came(("127.0.0.1", number), kept[-1])
        assert connections.is_holder(("127.0.0.1", number))
    connections.came(("127.0.0.1", 999), pairs()[0])
    assert not connections.is_holder(("127.0.0.1", 999))
    kept[0].close()
    connections.came(("127.0.0.1", 1_000), pairs()[0])
    assert connections.is_holder(("127.0.0.1", 1_000))


def strangers(emulator: Emulator, number: int, said: bytes) -> list[socket.socket]:
    place = parse_loopback(emulator.control_place)
    sockets = []
    for _ in range(number):
        stranger = socket.create_connection(place, PATIENCE_S)
        stranger.sendall(said)
        sockets.append(stranger)
    return sockets


@pytest.mark.one_in(6)
@pytest.mark.parametrize(
    "said", [b"", PARTIAL, b"\x00\xff garbage\r\n\r\n"], ids=["silent", "partial", "garbage"]
)
@pytest.mark.parametrize("served_before", [False, True])
def test_however_many_strangers_hold_connections_the_token_is_served(
    start: Start, said: bytes, served_before: bool
) -> None:
    emulator = start("--control", "127.0.0.1:0")
    if served_before:
        emulator.rig("GET", "/v1/clock")
    held = strangers(emulator, 100, said)
    for _ in range(5):
        emulator.rig("GET", "/v1/clock")
        held += strangers(emulator, 10, said)
    for stranger in held:
        stranger.close()
    ended = emulator.end()
    assert "Traceback" not in ended.err
    assert ended.err.count("\n") < 6


def test_a_head_that_does_not_end_is_hung_up_on_in_time(start: Start) -> None:
    emulator = start("--control", "127.0.0.1:0")
    holder = RigClient(emulator.ready["control"], emulator.ready["token"])
    holder.clock()
    (slow,) = strangers(emulator, 1, PARTIAL)
    began_s = time.monotonic()
    while time.monotonic() < began_s + PATIENCE_S:
        try:
            slow.sendall(b"x")  # a byte now and then buys no time
        except OSError:
            break
        if select.select([slow], [], [], 0.2)[0] and slow.recv(1) == b"":
            break
    else:
        pytest.fail("a head that never ends was waited for")
    slow.close()
    holder.clock()  # on the connection that it has, however long it thought
    holder.close()


def cpu_ticks(emulator: Emulator) -> int:
    fields = Path(f"/proc/{emulator.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_without_descriptors_rig_control_neither_spins_nor_floods_the_log() -> None:
    few = ["sh", "-c", 'ulimit -n 24; exec "$@"', "sh", *EMULATE]
    emulator = Emulator("--control", "127.0.0.1:0", command=few)
    emulator.rig("GET", "/v1/clock")
    held = strangers(emulator, 60, b"")
    before = cpu_ticks(emulator)
    select.select([], [], [], 1.0)
    assert cpu_ticks(emulator) - before < 20, "a loop that spins uses a hundred"
    emulator.rig("GET", "/v1/clock")
    for stranger in held:
        stranger.close()
    ended = emulator.end()
    assert "Traceback" not in ended.err
    assert ended.err.count("\n") < 6
