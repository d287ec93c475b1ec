"""A serial port of this machine as the pump's line: the emulator at one end of a real cable, at 115200 8N1 [SPEC 1].

The port is this process's alone (flock, as pyserial has it, and TIOCEXCL for all others), raw and without echo, and its
modem lines are left as opening makes them. Where it goes away - a USB adapter is unplugged - the pump goes on, what it
says is dropped and counted, and a thread looks for the same path until it is there again. Needs POSIX terminals.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import selectors
import termios
import threading
from typing import TYPE_CHECKING, Final

from firmware_emu.bench.errors import BadConfigurationError, BenchError, TakenError, pass_on_out_of_resources
from firmware_emu.bench.ports.port import Port

if TYPE_CHECKING:
    from firmware_emu.bench.ports.port import Say

READ_BYTES: Final = 4_096
LOOK_EVERY_S: Final = 0.2
LOOKING: Final = "looks for a serial port"
IN_USE: Final = "the port {} is in use by another program; close that program and try again"


def check_path(path: str) -> None:
    """BadConfigurationError where a place names no path; opens nothing."""
    if not path or "\0" in path:
        raise BadConfigurationError(f"{path!r} is no path of a serial port; write serial:/dev/NAME")


def open_raw(path: str) -> int:
    """A descriptor of the port, raw and for this process alone. TakenError where another has it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        pass_on_out_of_resources(error)
        if error.errno == errno.EBUSY:
            raise TakenError(IN_USE.format(path)) from error
        raise BadConfigurationError(
            f"{path} cannot be opened: {error.strerror}; name the serial port of a cable that is plugged in"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        attributes = termios.tcgetattr(descriptor)
        attributes[:6] = [
            0,
            0,
            termios.CS8 | termios.CREAD | termios.CLOCAL,  # no HUPCL: closing leaves the modem lines
            0,
            termios.B115200,
            termios.B115200,
        ]
        attributes[6][termios.VMIN], attributes[6][termios.VTIME] = 1, 0
        termios.tcsetattr(descriptor, termios.TCSANOW, attributes)
        termios.tcflush(descriptor, termios.TCIFLUSH)  # what was waiting is nobody's
        fcntl.ioctl(descriptor, termios.TIOCEXCL)
    except BlockingIOError as error:
        os.close(descriptor)
        raise TakenError(IN_USE.format(path)) from error
    except (OSError, termios.error) as error:
        os.close(descriptor)
        raise BadConfigurationError(
            f"{path} is no serial port ({error.args[-1]}); name one, as /dev/ttyUSB0"
        ) from error
    return descriptor


class SerialPort(Port):
    """One end of a cable, by the path of its serial port."""

    def __init__(self, path: str, say: Say) -> None:
        """Open it; BenchError says why it cannot be."""
        super().__init__(path)
        self._say = say
        self._descriptor: int | None = open_raw(path)
        self._waits_for_room = False
        self._found: list[int] = []
        self._back, self._is_back = os.pipe2(os.O_CLOEXEC)
        self._closing = threading.Event()
        self._looking: threading.Thread | None = None

    def attach(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        selector.register(self._back, selectors.EVENT_READ, self._take_back)
        if self._descriptor is not None:
            selector.register(self._descriptor, selectors.EVENT_READ, self._ready)

    def send(self, data: bytes) -> None:
        self._queue.push(data)
        if self._descriptor is None:
            self._queue.clear()
        elif not self._waits_for_room:
            self._drain(self._descriptor)

    def close(self) -> None:
        self._selector = None
        self._closing.set()
        if self._looking is not None:
            self._looking.join()
        for descriptor in (self._descriptor, *self._found):
            if descriptor is not None:
                _give_back(descriptor)
        os.close(self._back)
        os.close(self._is_back)

    def _ready(self, events: int) -> None:
        if self._descriptor is not None and events & selectors.EVENT_WRITE:
            self._drain(self._descriptor)
        if self._descriptor is not None and events & selectors.EVENT_READ:
            self._read(self._descriptor)

    def _read(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error.strerror or str(error))
            return
        if data:
            self._keep(data)
        else:
            self._lose("it hung up")

    def _drain(self, descriptor: int) -> None:
        try:
            empty = self._queue.drain(descriptor)
        except OSError as error:
            self._lose(error.strerror or str(error))
            return
        if empty == self._waits_for_room and self._selector is not None:
            self._waits_for_room = not empty
            events = selectors.EVENT_READ if empty else selectors.EVENT_READ | selectors.EVENT_WRITE
            self._selector.modify(descriptor, events, self._ready)

    def _lose(self, why: str) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        if self._selector is not None:
            self._selector.unregister(descriptor)
        _give_back(descriptor)
        self._queue.clear()
        self._waits_for_room = False
        self._say(f"{self.address} is gone ({why}); the pump goes on, and the port is looked for")
        self._looking = threading.Thread(target=self._look, name=LOOKING, daemon=True)
        self._looking.start()

    def _look(self) -> None:
        """Open the port again as soon as it is there; in a thread of its own, since a driver may let opening wait."""
        while not self._closing.wait(LOOK_EVERY_S):
            with contextlib.suppress(BenchError, OSError):
                self._found.append(open_raw(self.address))
                os.write(self._is_back, b"!")
                return

    def _take_back(self, _events: int) -> None:
        os.read(self._back, 1)
        self._descriptor = self._found.pop()
        if self._selector is not None:
            self._selector.register(self._descriptor, selectors.EVENT_READ, self._ready)
        self._say(f"{self.address} is back")


def _give_back(descriptor: int) -> None:
    with contextlib.suppress(OSError):  # of a port that is no more
        fcntl.ioctl(descriptor, termios.TIOCNXCL)
    os.close(descriptor)
