"""A pseudo terminal as the pump's line: a device path that any serial program opens.

Four things a PTY does by default would hurt. It echoes and edits lines: it is made raw before anybody can
open it. When its last client closes, the master end reads EIO for ever and a loop spins: the port keeps a
slave descriptor open itself, so clients come and go unseen. A client that stops the line (tcflow, or ^S where
it asked for that) would leave it stopped for all after it: the master is told in packet mode, and lets it go
on at once. And a write blocks when nobody reads: the descriptor does not, and what nobody fetches is dropped
and counted. Needs Linux or another system with openpty.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import struct
import termios
import tty

from firmware_emu.bench.errors import BenchLostError
from firmware_emu.bench.ports.port import Port

READ_BYTES = 4_096  # what the kernel's line discipline holds


class PtyPort(Port):
    """Both ends of a PTY: the master that the pump talks through, and a slave kept open."""

    def __init__(self) -> None:
        try:
            self._master, self._slave = os.openpty()
        except OSError as error:
            raise BenchLostError(
                f"no pseudo terminal to be had: {error.strerror}; use --tcp instead"
            ) from error
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        fcntl.ioctl(self._master, termios.TIOCPKT, struct.pack("i", 1))
        super().__init__(os.ttyname(self._slave))
        self._waits_for_room = False

    def attach(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        selector.register(self._master, selectors.EVENT_READ, self._ready)

    def send(self, data: bytes) -> None:
        self._queue.push(data)
        if not self._waits_for_room:
            self._drain()

    def close(self) -> None:
        self._selector = None
        os.close(self._master)
        os.close(self._slave)

    def _ready(self, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._drain()
        if events & selectors.EVENT_READ:
            self._read()

    def _read(self) -> None:
        try:
            data = os.read(self._master, READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            raise BenchLostError(f"{self.address} is lost: {error.strerror}") from error
        kind = data[0] if data else 0  # packet mode: the first byte says what the others are
        if kind == termios.TIOCPKT_DATA:
            self._keep(data[1:])
        elif kind & termios.TIOCPKT_STOP:
            with contextlib.suppress(termios.error):  # a line that was hung up takes no orders
                termios.tcflow(self._slave, termios.TCOON)
                tty.setraw(self._slave, termios.TCSANOW)  # and obeys ^S no longer

    def _drain(self) -> None:
        try:
            empty = self._queue.drain(self._master)
        except OSError as error:
            raise BenchLostError(f"{self.address} is lost: {error.strerror}") from error
        if empty == self._waits_for_room and self._selector is not None:
            self._waits_for_room = not empty
            events = selectors.EVENT_READ if empty else selectors.EVENT_READ | selectors.EVENT_WRITE
            self._selector.modify(self._master, events, self._ready)
