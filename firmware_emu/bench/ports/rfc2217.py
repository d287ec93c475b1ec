"""A serial port over telnet [RFC 2217], served by the emulator itself: settings, DTR, RTS and break go with the bytes.

What a remote board's adapter does, so does this: a client that is set to another baud rate than the pump reads and
sends noise, one that suspends the flow is kept waiting for, and where a line is wired to the board's reset, its rising
edge starts the pump anew. Wired is nothing unless the address says so: many programs raise DTR as they open a port.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from firmware_emu.bench.errors import BadConfigurationError
from firmware_emu.bench.ports.com_port import ComPort, Lines
from firmware_emu.bench.ports.port import LIMIT_BYTES
from firmware_emu.bench.ports.tcp import TcpPort, parse_loopback

if TYPE_CHECKING:
    from firmware_emu.bench.ports.port import Say

RESET_LINES: Final = ("dtr", "rts")
_RESET: Final = "reset="


def parse_place(place: str) -> tuple[str, str | None]:
    """Address and reset line of `HOST:PORT` or `HOST:PORT,reset=dtr`; the host is this machine."""
    address, comma, wired = place.partition(",")
    parse_loopback(address)
    line = wired.removeprefix(_RESET)
    if comma and not (wired.startswith(_RESET) and line in RESET_LINES):
        forms = " or ".join(_RESET + name for name in RESET_LINES)
        raise BadConfigurationError(f"{wired!r} is nothing that can be wired to a board; write {forms}")
    return address, line or None


class Rfc2217Port(TcpPort):
    """A listener and at most one client, as of TCP, with a port of a terminal server between it and the pump."""

    def __init__(self, place: str, say: Say) -> None:
        address, self._reset_line = parse_place(place)
        super().__init__(address, say)
        self._reset = False
        self._kept_back: list[bytes] = []
        self._com_port = self._new_com_port()

    def take_reset(self) -> bool:
        reset, self._reset = self._reset, False
        return reset

    def send(self, data: bytes) -> None:
        """Put whole frames on the line, as the client's settings read them; kept back while it wants none."""
        if self._client is not None and self._com_port.suspended:
            if sum(map(len, self._kept_back)) + len(data) > LIMIT_BYTES:
                self._queue.dropped_bytes += len(data)
            else:
                self._kept_back.append(data)
            return
        super().send(self._com_port.to_client(data))

    def _new_com_port(self) -> ComPort:
        return ComPort(signature="pumpbench", lines_changed=self._lines_changed)

    def _greet(self) -> None:
        self._com_port = self._new_com_port()
        self._kept_back.clear()
        super().send(self._com_port.greeting())

    def _keep(self, data: bytes) -> None:
        com_port = self._com_port
        super()._keep(com_port.feed(data))
        if com_port.purge_asked_for:
            com_port.purge_asked_for = False
            self._kept_back.clear()
        if self._kept_back and not com_port.suspended:
            kept_back, self._kept_back = self._kept_back, []
            for frames in kept_back:
                super().send(com_port.to_client(frames))
        if answers := com_port.take_answers():
            super().send(answers)

    def _lines_changed(self, before: Lines, after: Lines) -> None:
        if self._reset_line and getattr(after, self._reset_line) and not getattr(before, self._reset_line):
            self._reset = True
            self._received.clear()
            self._com_port.lose_unread()
