"""A real RFC 2217 port on loopback: raw clients on it as a port, pyserial and our programmer on a whole emulator."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING

import pytest

import hil
from firmware_emu.bench.errors import BadConfigurationError
from firmware_emu.bench.ports.com_port import ComPort
from firmware_emu.bench.ports.port import LIMIT_BYTES
from firmware_emu.bench.ports.rfc2217 import Rfc2217Port, parse_place
from hil.errors import BenchLost, InUse
from hil.targets import remote_port
from hil.targets.remote_port import RemotePort, open_remote_port
from protocol.identifiers import State
from protocol.messages.time import GetTime
from tests.support.patience import PATIENCE_S
from tests.unit.bench.processes import Emulator
from tests.unit.bench.test_com_port import command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.programmer.programmer import Programmer
    from tests.unit.bench.conftest import Loop

DTR_ON, DTR_OFF, RTS_ON = command(5, b"\x08"), command(5, b"\x09"), command(5, b"\x0b")
SUSPEND, RESUME, PURGE = command(8), command(9), command(12, b"\x01")


@pytest.fixture
def port(loop: Loop, said: list[str]) -> Iterator[Rfc2217Port]:
    port = Rfc2217Port("127.0.0.1:0,reset=dtr", said.append)
    port.attach(loop.selector)
    yield port
    port.close()


@pytest.fixture
def client(loop: Loop, port: Rfc2217Port) -> Iterator[socket.socket]:
    """A client that has been greeted."""
    host, _, number = port.address.rpartition(":")
    with socket.create_connection((host, int(number)), timeout=PATIENCE_S) as client:
        assert loop.read(client.fileno(), 18) == b"".join(
            bytes([255, word, option]) for option in (0, 3, 44) for word in (251, 253)
        )
        yield client


@pytest.mark.parametrize(
    ("place", "read_as"),
    [
        ("127.0.0.1:0", ("127.0.0.1:0", None)),
        ("[::1]:7,reset=dtr", ("[::1]:7", "dtr")),
        ("localhost:7,reset=rts", ("localhost:7", "rts")),
    ],
)
def test_a_place_is_read(place: str, read_as: tuple[str, str | None]) -> None:
    assert parse_place(place) == read_as


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("127.0.0.1:0,", "'' is nothing that can be wired"),
        ("127.0.0.1:0,reset=", "write reset=dtr or reset=rts"),
        ("127.0.0.1:0,reset=cts", "'reset=cts' is nothing that can be wired to a board"),
        ("127.0.0.1:0,dtr", "'dtr' is nothing"),
        ("192.168.0.1:0", "192.168.0.1 is not a loopback address"),
        ("127.0.0.1", "'127.0.0.1' is no address"),
    ],
)
def test_what_is_no_place_is_refused_with_what_is(place: str, sentence: str) -> None:
    with pytest.raises(BadConfigurationError, match=sentence.replace("(", r"\(")):
        parse_place(place)


def test_bytes_pass_both_ways_and_those_of_telnet_are_doubled(
    loop: Loop, port: Rfc2217Port, client: socket.socket
) -> None:
    client.sendall(b"\x00\xff\xff\x01")
    assert loop.received(port, 3) == b"\x00\xff\x01"
    port.send(b"\xff\x02")
    assert loop.read(client.fileno(), 3) == b"\xff\xff\x02"
    assert port.received_bytes == 3, "the barrier of rig control counts what the pump gets"


def test_a_reset_line_resets_at_its_rising_edge_and_what_the_board_had_not_read_is_lost(
    loop: Loop, port: Rfc2217Port, client: socket.socket
) -> None:
    client.sendall(RTS_ON + b"lost" + DTR_ON + b"a")
    assert loop.received(port, 1) == b"a"
    assert (port.take_reset(), port.take_reset()) == (True, False)
    client.sendall(DTR_OFF + b"b")
    assert loop.received(port, 1) == b"b"
    assert not port.take_reset(), "a falling edge"


def test_a_client_that_wants_none_gets_all_when_it_wants_again_up_to_a_limit(
    loop: Loop, port: Rfc2217Port, client: socket.socket
) -> None:
    client.sendall(SUSPEND + b"a")
    loop.received(port, 1)
    port.send(b"kept")
    port.send(bytes(LIMIT_BYTES))
    assert port.dropped_bytes == LIMIT_BYTES, "whole, since half a frame would spoil the next"
    client.sendall(RESUME)
    assert loop.read(client.fileno(), 4) == b"kept"


def test_what_waits_for_a_client_is_dropped_when_it_says_so(
    loop: Loop, port: Rfc2217Port, client: socket.socket
) -> None:
    client.sendall(SUSPEND + b"a")
    loop.received(port, 1)
    port.send(b"old")
    client.sendall(PURGE + RESUME + b"b")
    loop.received(port, 1)
    port.send(b"new")
    assert loop.read(client.fileno(), 10) == command(112, b"\x01") + b"new"


def test_a_client_after_another_finds_the_port_as_it_was_at_first(
    loop: Loop, port: Rfc2217Port, client: socket.socket
) -> None:
    client.sendall(SUSPEND + command(1, b"\x00\x00\x00\x01") + DTR_ON + b"\xff\xfa")
    loop.until(port.take_reset)
    client.close()
    host, _, number = port.address.rpartition(":")
    with socket.create_connection((host, int(number)), timeout=PATIENCE_S) as other:
        loop.read(other.fileno(), 18)
        other.sendall(DTR_ON + b"\x42")
        assert loop.received(port, 1) == b"\x42"
        assert port.take_reset()


# With a whole emulator


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    emulator = Emulator("--rfc2217", "127.0.0.1:0,reset=dtr")
    yield emulator
    assert emulator.end().code == 0


def boot_count(pump: Programmer) -> int:
    return pump.request(GetTime(0)).boot_count


def test_a_programmer_reaches_the_pump_and_only_the_edge_that_is_wired_resets_it(emulator: Emulator) -> None:
    target = emulator.ready["target"]
    assert target == f"rfc2217://{emulator.ready['port']}"
    for _ in range(2):  # to open and close is no reset
        with hil.connect(target) as pump:
            assert pump.status().state is State.RUN
            assert boot_count(pump) == 1
    host, _, number = emulator.ready["port"].rpartition(":")
    line = open_remote_port(host, int(number), target, baud=115_200)
    line._line.dtr = True  # as most programs do when they open a port
    line.close()
    with hil.connect(target) as pump:
        assert boot_count(pump) == 2


def test_a_client_of_another_speed_reads_noise_and_one_that_comes_second_is_told(emulator: Emulator) -> None:
    target = emulator.ready["target"]
    host, _, number = emulator.ready["port"].rpartition(":")
    line = open_remote_port(host, int(number), target, baud=57_600)
    line.send(
        bytes.fromhex("02100301160101010101010106010101020715202122232425262728292a2b2c2d2e2f685b71cc00")
    )
    assert line.receive(line.now_ms() + 100) == b"", "a greeting that came as noise is not answered"
    with pytest.raises(InUse, match="one line a pump, and it has its client"):
        open_remote_port(host, int(number), target, baud=115_200)
    line.close()


def serve_without_lines(server: socket.socket, clients: list[socket.socket]) -> None:
    """A server that confirms everything but DTR and RTS, as ser2net does for a port that has none."""
    confirmed = re.compile(rb"\xff\xfa\x2c\x69[\x08\x09\x0b\x0c]\xff\xf0", re.DOTALL)
    with suppress(OSError):  # until it is closed
        while True:
            client, _ = server.accept()
            clients.append(client)
            com_port = ComPort(signature="bench", lines_changed=lambda _before, _after: None)
            client.sendall(com_port.greeting())
            with client:
                while data := client.recv(4096):
                    com_port.feed(data)
                    client.sendall(confirmed.sub(b"", com_port.take_answers()))


def test_a_server_that_confirms_no_modem_lines_is_found_out_once_and_used_without_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remote_port, "OPEN_LIMIT_S", 1)
    clients: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as stack:
        serving = threading.Thread(target=serve_without_lines, args=(server, clients))
        serving.start()
        stack.callback(serving.join, PATIENCE_S)
        stack.callback(lambda: shut([server, *clients]))
        port = RemotePort("127.0.0.1", server.getsockname()[1], "the board", baud=115_200)
        for so_far in (2, 3):  # one that waits for its lines in vain, and one without
            line = stack.enter_context(closing(port.open()))
            assert line.lines is None
            assert len(clients) == so_far
            line.close()


def shut(ends: list[socket.socket]) -> None:
    """Have whoever waits on these ends wait no longer."""
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def test_what_is_no_server_is_told_as_that() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        number = silent.getsockname()[1]
        with pytest.raises(BenchLost, match=r"does not speak RFC 2217.*write socket://127.0.0.1:"):
            open_remote_port("127.0.0.1", number, "the board", baud=115_200)
    with pytest.raises(BenchLost, match=r"nothing can be reached at the board \(Connection refused\)"):
        open_remote_port("127.0.0.1", number, "the board", baud=115_200)
