"""A real TCP port on loopback: one client at a time, nothing blocks, nothing listens beyond this machine."""

from __future__ import annotations

import select
import socket
import struct
from typing import TYPE_CHECKING

import pytest

from firmware_emu.bench.errors import BadConfigurationError, TakenError
from firmware_emu.bench.ports import tcp
from firmware_emu.bench.ports.port import LIMIT_BYTES
from firmware_emu.bench.ports.tcp import REFUSED_KEPT_MAX, TcpPort, parse_loopback
from tests.support.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.bench.conftest import Loop


@pytest.fixture
def port(loop: Loop, said: list[str]) -> Iterator[TcpPort]:
    port = TcpPort("127.0.0.1:0", said.append)
    port.attach(loop.selector)
    yield port
    port.close()


def connect(port: TcpPort) -> socket.socket:
    return socket.create_connection(parse_loopback(port.address), timeout=PATIENCE_S)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("127.9.8.7:65535", ("127.9.8.7", 65_535)),
        ("localhost:80", ("127.0.0.1", 80)),
        ("[::1]:9", ("::1", 9)),
    ],
)
def test_a_loopback_address_is_read(text: str, place: tuple[str, int]) -> None:
    assert parse_loopback(text) == place


@pytest.mark.parametrize("text", ["0.0.0.0:1", "192.168.1.1:1", "example.com:1", "[::]:1"])
def test_another_host_is_refused(text: str) -> None:
    with pytest.raises(BadConfigurationError, match="is not a loopback address"):
        parse_loopback(text)


@pytest.mark.parametrize("text", ["", "127.0.0.1", ":1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(BadConfigurationError, match="is no address"):
        parse_loopback(text)


def test_a_port_that_is_in_use_is_taken(port: TcpPort, said: list[str]) -> None:
    with pytest.raises(TakenError, match="Address already in use; port 0 lets the system choose"):
        TcpPort(port.address, said.append)


def test_bytes_pass_in_both_directions(loop: Loop, port: TcpPort) -> None:
    with connect(port) as client:
        client.sendall(b"ping")
        assert loop.received(port, 4) == b"ping"
        port.send(b"pong")
        assert loop.read(client.fileno(), 4) == b"pong"
    assert port.received_bytes == 4


def test_small_answers_are_not_held_back(loop: Loop, port: TcpPort) -> None:
    with connect(port) as client:
        client.sendall(b"x")
        loop.received(port, 1)
        server = port._client
        assert server is not None
        assert server.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_a_second_client_is_closed_at_once_and_told_of_in_one_sentence(
    loop: Loop, port: TcpPort, said: list[str]
) -> None:
    with connect(port) as first, connect(port) as second:
        loop.until(lambda: bool(said))
        assert second.recv(1) == b""
        assert "has its client already; one line a pump" in said[0]
        first.sendall(b"mine")
        assert loop.received(port, 4) == b"mine"


def test_after_the_first_client_the_next_is_let_in(loop: Loop, port: TcpPort) -> None:
    for word in (b"one", b"two", b"six"):
        with connect(port) as client:
            client.sendall(word)
            assert loop.received(port, 3) == word
        loop.until(lambda: port._client is None)


def stream(word: bytes, length: int) -> bytes:
    return (word * length)[:length]


@pytest.mark.parametrize("left_bytes", [0, 1, 600, 2 * tcp.READ_BYTES, 100_000])
def test_who_comes_when_the_client_before_has_closed_is_let_in_whatever_that_one_left_unread(
    loop: Loop, port: TcpPort, said: list[str], left_bytes: int
) -> None:
    """One client that hangs up and connects again: its end of file lies behind what it has sent."""
    client = connect(port)
    client.sendall(b"x")
    assert loop.received(port, 1) == b"x"
    for number in range(20):
        left = stream(b"frame %d" % number, left_bytes)
        client.sendall(left)
        client.close()
        client = connect(port)
        client.sendall(b"and another")
        assert loop.received(port, left_bytes + 11) == left + b"and another"
        port.send(b"answer")
        assert loop.read(client.fileno(), 6) == b"answer"
    client.close()
    assert said == []


@pytest.mark.skipif(
    not hasattr(select, "POLLRDHUP"), reason="this system does not tell an end before it is read"
)
def test_who_comes_when_more_than_a_turns_bytes_of_the_client_before_are_unread_waits_for_its_turn(
    loop: Loop, port: TcpPort, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "LEFT_READ_BYTES", 2 * tcp.READ_BYTES)
    client = connect(port)
    client.sendall(b"x")
    assert loop.received(port, 1) == b"x"
    left = stream(b"frame", 100_000)
    client.sendall(left)
    client.close()
    with connect(port) as next_client:
        next_client.sendall(b"next")
        loop.turn(1)
        assert port.received_bytes < 1 + len(left), "a turn is bounded"
        assert loop.received(port, len(left) + 4) == left + b"next"
    assert said == []


def test_a_client_that_floods_does_not_keep_a_second_one_from_being_told(
    loop: Loop, port: TcpPort, said: list[str]
) -> None:
    with connect(port) as first:
        first.sendall(b"x")
        assert loop.received(port, 1) == b"x"
        first.sendall(stream(b"flood", 100_000))
        with connect(port) as second:
            loop.until(lambda: bool(said))
            assert second.recv(1) == b""
        assert loop.received(port, 100_000) == stream(b"flood", 100_000)


def test_a_client_that_vanished_with_a_reset_makes_room(loop: Loop, port: TcpPort) -> None:
    client = connect(port)
    client.sendall(b"x")
    loop.received(port, 1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    loop.until(lambda: port._client is None)
    with connect(port) as next_client:
        next_client.sendall(b"next")
        assert loop.received(port, 4) == b"next"


def test_a_client_that_closed_its_sending_half_still_gets_its_answer(loop: Loop, port: TcpPort) -> None:
    with connect(port) as client:
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        loop.until(lambda: port.received_bytes == 8)
        port.send(b"answer")
        assert loop.read(client.fileno(), 6) == b"answer"


def test_what_a_client_does_not_read_is_dropped_whole_and_never_blocks(loop: Loop, port: TcpPort) -> None:
    frame = bytes(100)
    with connect(port) as client:
        client.sendall(b"x")
        loop.received(port, 1)
        while not port.dropped_bytes:
            port.send(frame)
        assert port._queue.waiting_bytes <= LIMIT_BYTES
        assert port.dropped_bytes == len(frame)


def test_what_is_sent_to_nobody_is_counted(port: TcpPort) -> None:
    port.send(b"hello?")
    assert port.dropped_bytes == 6


def test_a_client_that_comes_too_late_meets_an_end_of_file_and_never_a_reset(
    loop: Loop, port: TcpPort, said: list[str]
) -> None:
    """Also where it has sent something before it was hung up on: unread bytes would make a reset of the close."""
    with connect(port) as first:
        first.sendall(b"x")
        assert loop.received(port, 1) == b"x"
        late = [connect(port) for _ in range(20)]
        for client in late:
            client.sendall(b"a greeting that nobody answers")
        for client in late:
            assert loop.read(client.fileno(), 0) == b""
            client.settimeout(20)
            ends: list[bytes] = []

            def ended(client: socket.socket = client, ends: list[bytes] = ends) -> bool:
                client.setblocking(False)
                try:
                    ends.append(client.recv(1))
                except BlockingIOError:
                    return False
                return True

            loop.until(ended)
            assert ends == [b""]
            client.close()
        assert len(said) == 1, "a stranger does not set the pace of the log"
    loop.until(lambda: len(said) > 1)
    assert "20 clients were refused" in said[1]


def test_a_refused_client_that_makes_room_for_the_next_in_the_same_turn_does_no_harm(
    loop: Loop, port: TcpPort
) -> None:
    with connect(port) as first:
        first.sendall(b"x")
        loop.received(port, 1)
        late = [connect(port) for _ in range(REFUSED_KEPT_MAX)]
        loop.until(lambda: not loop.turn(0.05))
        late.append(connect(port))  # the listener is ready first,
        late[0].sendall(b"y")  # then the client that must make room
        loop.until(lambda: not loop.turn(0.05))
        first.sendall(b"z")
        assert loop.received(port, 1) == b"z"
        for client in late:
            client.close()
