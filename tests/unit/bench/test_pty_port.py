"""A real PTY, with real clients that come, go, stay silent and do not read."""

from __future__ import annotations

import fcntl
import os
import termios
import tty
from typing import TYPE_CHECKING

import pytest

from firmware_emu.bench.ports.port import LIMIT_BYTES
from firmware_emu.bench.ports.pty import PtyPort
from tests.support.not_run import skip_without_right

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.unit.bench.conftest import Loop

ALL_BYTES = bytes(range(256))
TIOCVHANGUP = 0x5437


@pytest.fixture
def port(loop: Loop) -> Iterator[PtyPort]:
    port = PtyPort()
    port.attach(loop.selector)
    yield port
    port.close()


def open_client(port: PtyPort) -> int:
    return os.open(port.address, os.O_RDWR | os.O_NOCTTY)


def test_every_byte_passes_unchanged_in_both_directions(loop: Loop, port: PtyPort) -> None:
    client = open_client(port)
    os.write(client, ALL_BYTES)
    assert loop.received(port, 256) == ALL_BYTES
    port.send(ALL_BYTES)
    assert loop.read(client, 256) == ALL_BYTES
    os.close(client)


def test_nothing_is_echoed_even_to_the_first_client(loop: Loop, port: PtyPort) -> None:
    client = open_client(port)
    os.write(client, b"\x03abc\r\n")
    loop.received(port, 6)
    os.set_blocking(client, False)
    with pytest.raises(BlockingIOError):
        os.read(client, 100)
    os.close(client)


def test_the_line_is_raw_before_anybody_opens_it(port: PtyPort) -> None:
    client = open_client(port)
    _iflag, oflag, _cflag, lflag, *_rest = termios.tcgetattr(client)
    assert not lflag & (termios.ECHO | termios.ICANON | termios.ISIG)
    assert not oflag & termios.OPOST
    os.close(client)


def test_clients_come_and_go_and_the_loop_does_not_spin(loop: Loop, port: PtyPort) -> None:
    for number in range(5):
        client = open_client(port)
        os.write(client, bytes([number]))
        assert loop.received(port, 1) == bytes([number])
        os.close(client)
        assert loop.turn(0) == 0, "the port is ready though there is nothing to read"


def test_bytes_of_a_client_that_has_gone_are_still_read(loop: Loop, port: PtyPort) -> None:
    client = open_client(port)
    os.write(client, b"half a fr")
    os.close(client)
    client = open_client(port)
    os.write(client, b"\x00whole\x00")
    assert loop.received(port, 16) == b"half a fr\x00whole\x00"
    os.close(client)


def test_what_nobody_reads_is_counted_and_dropped_whole_and_never_blocks(loop: Loop, port: PtyPort) -> None:
    frame = bytes(200)
    frames = 4 * LIMIT_BYTES // len(frame)
    for _ in range(frames):
        port.send(frame)
    assert port.dropped_bytes > 0
    assert port.dropped_bytes % len(frame) == 0
    client = open_client(port)
    kept = frames * len(frame) - port.dropped_bytes
    assert loop.read(client, kept) == bytes(kept)
    os.close(client)


def test_after_the_jam_the_line_works_again(loop: Loop, port: PtyPort) -> None:
    client = open_client(port)
    while not port.dropped_bytes:
        port.send(bytes(1_000))
    sent = port.dropped_bytes
    os.set_blocking(client, False)

    def silent() -> bool:
        try:
            os.read(client, 100_000)
        except BlockingIOError:
            return loop.turn(0) == 0
        return False

    loop.until(silent)
    port.send(b"again")
    assert loop.read(client, 5) == b"again"
    assert port.dropped_bytes == sent
    os.close(client)


def test_received_bytes_count_all_that_came_from_all_clients(loop: Loop, port: PtyPort) -> None:
    for _ in range(3):
        client = open_client(port)
        os.write(client, b"1234")
        loop.received(port, 4)
        os.close(client)
    assert port.received_bytes == 12


def stop_by_flow(client: int) -> None:
    termios.tcflow(client, termios.TCOOFF)


def stop_by_character(client: int) -> None:
    """As a terminal that obeys ^S does, when the pump sends that byte."""
    attributes = termios.tcgetattr(client)
    attributes[0] |= termios.IXON
    termios.tcsetattr(client, termios.TCSANOW, attributes)


@pytest.mark.parametrize("stop", [stop_by_flow, stop_by_character])
def test_a_client_that_stopped_the_line_does_not_lock_out_those_after_it(
    loop: Loop, port: PtyPort, stop: Callable[[int], None]
) -> None:
    client = open_client(port)
    stop(client)
    port.send(b"\x13")
    loop.until(lambda: not loop.turn(0))
    os.close(client)
    for _ in range(2):
        client = open_client(port)
        os.set_blocking(client, False)
        assert os.write(client, b"hello") == 5
        assert loop.received(port, 5) == b"hello"
        tty.setraw(client)
        port.send(b"hello yourself")
        assert loop.read(client, 14)[-4:] == b"self"
        os.close(client)


def test_a_line_that_was_hung_up_serves_the_next_client(loop: Loop, port: PtyPort) -> None:
    client = open_client(port)
    try:
        fcntl.ioctl(client, TIOCVHANGUP)
    except PermissionError:
        skip_without_right("hang up a line")
    finally:
        os.close(client)
    assert loop.turn(0) == 0
    client = open_client(port)
    tty.setraw(client)
    os.write(client, b"still here")
    assert loop.received(port, 10) == b"still here"
    port.send(b"so am I")
    assert loop.read(client, 7) == b"so am I"
    os.close(client)
