"""A serial port of another machine, by RFC 2217, through pyserial: its settings go over the wire with the bytes.

pyserial reads it in a thread of its own, and has no descriptor to wait for; so a wait here looks every few
milliseconds. All waits end: those of opening after three seconds, those for a byte at their deadline.
"""

from __future__ import annotations

import socket
import time
import warnings
from typing import TYPE_CHECKING

from hil.channel import Channel
from hil.errors import BenchLost, InUse, LinkError
from hil.targets.port import SerialLines

if TYPE_CHECKING:
    from serial import rfc2217

LOOK_S = 0.02
OPEN_LIMIT_S = 3
HANG_UP_LIMIT_S = 1.0
NS_PER_MS = 1_000_000


class LinesNotConfirmed(BenchLost):
    """The server takes all settings but those of the modem lines: the port behind it may have none."""


class RemotePort:
    """A port that is opened again and again. That its server does not confirm its modem lines is found out once."""

    def __init__(self, host: str, port: int, name: str, *, baud: int) -> None:
        self._where = (host, port, name)
        self._baud = baud
        self._with_lines = True

    def open(self) -> RemotePortChannel:
        """As `open_remote_port`; without modem lines where the server does not confirm them."""
        if self._with_lines:
            try:
                return open_remote_port(*self._where, baud=self._baud)
            except LinesNotConfirmed:
                self._with_lines = False
        return open_remote_port(*self._where, baud=self._baud, with_lines=False)


def open_remote_port(
    host: str, port: int, name: str, *, baud: int, with_lines: bool = True
) -> RemotePortChannel:
    """Open the port that a server of RFC 2217 offers, its DTR and RTS low: a board that they reset is left alone.

    Without `with_lines` the levels are asked for and nobody waits for a confirmation; the channel has no lines then.

    BenchLost where nothing listens, what listens is no such server, or it does not take the settings; InUse where it
    has its client; LinesNotConfirmed where it does not confirm DTR or RTS.
    """
    from serial import SerialException, rfc2217  # noqa: PLC0415 - 20 ms that only ports need

    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    line = rfc2217.Serial(baudrate=baud, timeout=LOOK_S)
    line.port = f"rfc2217://{place}?timeout={OPEN_LIMIT_S}{'' if with_lines else '&ign_set_control'}"
    line.dtr = line.rts = False
    try:
        with warnings.catch_warnings():  # pyserial names its thread as Python no longer likes
            warnings.simplefilter("ignore", DeprecationWarning)
            line.open()
    except (SerialException, OSError, ValueError, TypeError) as error:
        raise _reason_it_is_shut(host, port, name, baud, str(error)) from error
    return RemotePortChannel(line, name, with_lines=with_lines)


def _reason_it_is_shut(host: str, port: int, name: str, baud: int, said: str) -> BenchLost | InUse:
    if "option 'control'" in said:
        return LinesNotConfirmed(
            f"{name} does not confirm DTR and RTS in {OPEN_LIMIT_S} s",
            advice="look at what its server allows, and whether the port behind it has these lines",
        )
    try:
        connection = socket.create_connection((host, port), timeout=OPEN_LIMIT_S)
    except OSError as error:
        reason = error.strerror or str(error)
        return BenchLost(
            f"nothing can be reached at {name} ({reason})",
            advice=f"start an emulator with `pumpbench emulate --rfc2217 {host}:{port}`",
        )
    with connection:
        if _hangs_up(connection):
            return InUse(
                f"{name} hangs up on a new client: one line a pump, and it has its client",
                advice="close the other program and try again",
            )
    if "parameter change" in said:
        return BenchLost(
            f"{name} does not confirm {baud} baud, 8 data bits, no parity and one stop bit in {OPEN_LIMIT_S} s",
            advice="look at what its server allows",
        )
    if "RFC2217" in said:
        return BenchLost(
            f"{name} does not speak RFC 2217: no answer to its options in {OPEN_LIMIT_S} s",
            advice=f"for a port that carries the bare bytes write socket://{host}:{port}",
        )
    return BenchLost(
        f"{name} cannot be opened as a serial port ({said})", advice="look at what its server says"
    )


def _hangs_up(connection: socket.socket) -> bool:
    connection.settimeout(HANG_UP_LIMIT_S)
    try:
        return not connection.recv(1)
    except OSError:
        return False


class RemotePortChannel(Channel):
    """An open remote port."""

    def __init__(self, line: rfc2217.Serial, name: str, *, with_lines: bool = True) -> None:
        self._line = line
        self._name = name
        self._sent_bytes = 0
        self.lines = SerialLines(line, name) if with_lines else None
        """Its modem lines, at the server's end; None where the server does not confirm them."""

    @property
    def sent_bytes(self) -> int:
        return self._sent_bytes

    def now_ms(self) -> int:
        """The host's monotonic clock."""
        return time.monotonic_ns() // NS_PER_MS

    def device_ms(self) -> int | None:
        """Nobody tells it."""
        return None

    def send(self, data: bytes) -> None:
        try:
            self._line.write(data)
        except OSError as error:
            raise self._lost(str(error)) from error
        self._sent_bytes += len(data)

    def receive(self, deadline_ms: int) -> bytes:
        try:
            while not (data := self._line.read(1)):
                if self.now_ms() >= deadline_ms:
                    return b""
            return bytes(data + self._line.read(self._line.in_waiting))
        except OSError as error:
            raise self._lost(str(error)) from error

    def close(self) -> None:
        self._line.close()

    def _lost(self, said: str) -> BenchLost | LinkError:
        if not self._line.is_open:
            return BenchLost(f"{self._name} was closed", advice="open the channel again")
        if "timed out" in said:
            return LinkError(f"{self._name} takes no bytes", advice="look at what its server does")
        return BenchLost(
            f"{self._name} hung up ({said}): the server or the board behind it is gone",
            advice="start it again",
        )
