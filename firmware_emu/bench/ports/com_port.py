"""The server's end of RFC 2217: a serial port over telnet, its settings and lines in the same stream as its bytes.

Bytes of the connection go in, bytes of the line come out, and what is to be answered. No I/O. The options of telnet
are agreed on as RFC 1143 says, so that no answer is answered; what a client says that is not known here is refused or
left alone, and nothing that it says makes this grow.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from firmware_emu.bench.ports.uart import Received, UartSettings, received

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Telnet [RFC 854, 856, 858, 2217]
IAC: Final = 255
DONT, DO, WONT, WILL, SB, SE = 254, 253, 252, 251, 250, 240
BINARY, SUPPRESS_GO_AHEAD, COM_PORT = 0, 3, 44
_OPTIONS: Final = (BINARY, SUPPRESS_GO_AHEAD, COM_PORT)

# What a client asks for; an answer has the same number and 100 more.
SIGNATURE, SET_BAUDRATE, SET_DATASIZE, SET_PARITY, SET_STOPSIZE, SET_CONTROL = 0, 1, 2, 3, 4, 5
SUSPEND, RESUME, SET_LINESTATE_MASK, SET_MODEMSTATE_MASK, PURGE_DATA = 8, 9, 10, 11, 12
NOTIFY_LINESTATE, NOTIFY_MODEMSTATE = 106, 107
_TO_CLIENT: Final = 100

_PARITIES: Final = {1: "N", 2: "O", 3: "E", 4: "M", 5: "S"}
_HALF_STOP_BITS: Final = {1: 2, 2: 4, 3: 3}
_ASKED_FOR: Final = 0
_BAUD: Final = struct.Struct("!I")

# SET_CONTROL: what is asked for, and what it answers where nothing was set
_FLOW, _BREAK, _DTR, _RTS, _INBOUND_FLOW = (0, 1, 2, 3), (4, 5, 6), (7, 8, 9), (10, 11, 12), (13, 14, 15, 16)
_NO_FLOW_CONTROL, _NO_INBOUND_FLOW_CONTROL = 1, 14

OVERRUN, PARITY_ERROR, FRAMING_ERROR, BREAK_SEEN = 0x02, 0x04, 0x08, 0x10
MODEM_LINES: Final = 0xB0  # CTS, DSR and carrier are there: a board that has power
PURGE_TO_CLIENT, PURGE_BOTH = 1, 3

SUBNEGOTIATION_MAX_BYTES: Final = 64
FIFO_BYTES: Final = 1_024
"""What a port that is set otherwise than its client takes at once; the rest overruns it."""
DEVICE: Final = UartSettings()
"""How the pump's own end of the line is set [SPEC 1]."""


class Lines(NamedTuple):
    """The lines that a client drives; True is active."""

    dtr: bool = False
    rts: bool = False
    sends_break: bool = False


class ComPort:
    """One connection of one client."""

    def __init__(self, *, signature: str, lines_changed: Callable[[Lines, Lines], None]) -> None:
        """`signature` names the port to its client; `lines_changed` is told the lines before and after a change."""
        self._signature = signature.encode("ascii", "replace")
        self._lines_changed = lines_changed
        self.settings = DEVICE
        self.lines = Lines()
        self.suspended = False
        """Whether the client wants no bytes for now."""
        self.purge_asked_for = False
        """Set where the client wants what waits for it dropped; who drops it clears this."""
        self._ours: set[int] = set()
        self._theirs: set[int] = set()
        self._asked: set[tuple[int, int]] = set()
        self._linestate_mask = 0
        self._modemstate_mask = MODEM_LINES
        self._step: Callable[[int], None] = self._plain
        self._command = 0
        self._subnegotiation: bytearray = bytearray()
        self._line = bytearray()  # bytes of the client that were sent with its present settings
        self._read = bytearray()  # bytes as the pump has read them
        self._answers = bytearray()

    def greeting(self) -> bytes:
        """What a new client is told: the options of ours, and the state of the lines that it can see."""
        for option in _OPTIONS:
            self._ask(WILL, option)
            self._ask(DO, option)
        return self.take_answers()

    def feed(self, data: bytes) -> bytes:
        """What of `data` is for the pump, as its UART reads it; answers are kept for `take_answers`."""
        for byte in data:
            self._step(byte)
        self._end_of_piece()
        read = bytes(self._read)
        self._read.clear()
        return read

    def lose_unread(self) -> None:
        """Lose what the pump has not been given yet of the bytes that are being fed: its program starts anew."""
        self._read.clear()

    def to_client(self, data: bytes) -> bytes:
        """Bytes of the pump as its client's UART reads them, for the connection."""
        read = self._over_the_line(data, DEVICE, self.settings)
        seen = FRAMING_ERROR * read.framing_error | PARITY_ERROR * read.parity_error
        self._notify_linestate(seen)
        return _escaped(read.data) + self.take_answers()

    def take_answers(self) -> bytes:
        """What is to be sent to the client, outside the line."""
        answers = bytes(self._answers)
        self._answers.clear()
        return answers

    def _over_the_line(self, data: bytes, sender: UartSettings, receiver: UartSettings) -> Received:
        if sender != receiver and len(data) > FIFO_BYTES:
            self._notify_linestate(OVERRUN)
            data = data[:FIFO_BYTES]
        return received(data, sender, receiver)

    def _end_of_piece(self) -> None:
        """Let the pump read what was sent so far, before the settings of its sender change."""
        self._read += self._over_the_line(bytes(self._line), self.settings, DEVICE).data
        self._line.clear()

    # telnet, a byte at a time

    def _plain(self, byte: int) -> None:
        if byte == IAC:
            self._step = self._after_iac
        else:
            self._send(byte)

    def _send(self, byte: int) -> None:
        if not self.lines.sends_break:
            self._line.append(byte)

    def _after_iac(self, byte: int) -> None:
        self._step = self._plain
        if byte == IAC:
            self._send(IAC)
        elif byte in {DO, DONT, WILL, WONT}:
            self._command = byte
            self._step = self._option
        elif byte == SB:
            self._subnegotiation.clear()
            self._step = self._in_subnegotiation

    def _option(self, option: int) -> None:
        self._step = self._plain
        on = self._command in {DO, WILL}
        agreed, yes, no = (
            (self._ours, WILL, WONT) if self._command in {DO, DONT} else (self._theirs, DO, DONT)
        )
        if (yes, option) in self._asked:  # this is the answer to what we asked for
            self._asked.discard((yes, option))
            if on:
                self._agree(agreed, option)
        elif on and option not in agreed:
            self._answer_option(yes if option in _OPTIONS else no, option)
            if option in _OPTIONS:
                self._agree(agreed, option)
        elif not on and option in agreed:
            agreed.discard(option)
            self._answer_option(no, option)

    def _agree(self, agreed: set[int], option: int) -> None:
        agreed.add(option)
        if option == COM_PORT:
            self._tell(NOTIFY_MODEMSTATE, bytes([MODEM_LINES & self._modemstate_mask]))

    def _ask(self, command: int, option: int) -> None:
        self._asked.add((command, option))
        self._answer_option(command, option)

    def _answer_option(self, command: int, option: int) -> None:
        self._answers += bytes([IAC, command, option])

    def _in_subnegotiation(self, byte: int) -> None:
        if byte == IAC:
            self._step = self._after_iac_in_subnegotiation
        elif len(self._subnegotiation) < SUBNEGOTIATION_MAX_BYTES:
            self._subnegotiation.append(byte)

    def _after_iac_in_subnegotiation(self, byte: int) -> None:
        self._step = self._in_subnegotiation
        if byte == SE:
            self._step = self._plain
            said = bytes(self._subnegotiation)
            if said[:1] == bytes([COM_PORT]) and len(said) > 1:
                self._com_port_command(said[1], said[2:])
        elif byte == IAC and len(self._subnegotiation) < SUBNEGOTIATION_MAX_BYTES:
            self._subnegotiation.append(IAC)

    # RFC 2217

    def _com_port_command(self, command: int, value: bytes) -> None:
        if command in self._COMMANDS:
            self._end_of_piece()
            answer = self._COMMANDS[command](self, value)
            if answer is not None:
                self._tell(command + _TO_CLIENT, answer)

    def _tell(self, command: int, value: bytes) -> None:
        self._answers += bytes([IAC, SB, COM_PORT, command]) + _escaped(value) + bytes([IAC, SE])

    def _name(self, value: bytes) -> bytes | None:
        return None if value else self._signature

    def _set_baud(self, value: bytes) -> bytes:
        if len(value) == _BAUD.size and (baud := _BAUD.unpack(value)[0]):
            self.settings = self.settings._replace(baud=baud)
        return _BAUD.pack(self.settings.baud)

    def _set_data_bits(self, value: bytes) -> bytes:
        if value and 5 <= value[0] <= 8:
            self.settings = self.settings._replace(data_bits=value[0])
        return bytes([self.settings.data_bits])

    def _set_parity(self, value: bytes) -> bytes:
        self.settings = self.settings._replace(
            parity=_PARITIES.get(value[0] if value else _ASKED_FOR, self.settings.parity)
        )
        return bytes([_code_of(_PARITIES, self.settings.parity)])

    def _set_stop_bits(self, value: bytes) -> bytes:
        half_bits = _HALF_STOP_BITS.get(value[0] if value else _ASKED_FOR, self.settings.half_stop_bits)
        self.settings = self.settings._replace(half_stop_bits=half_bits)
        return bytes([_code_of(_HALF_STOP_BITS, half_bits)])

    def _control(self, value: bytes) -> bytes | None:
        """Set or tell a line; there is no flow control, and what is in force is the answer."""
        asked = value[0] if value else None
        if asked in _FLOW:
            return bytes([_NO_FLOW_CONTROL])
        if asked in _INBOUND_FLOW:
            return bytes([_NO_INBOUND_FLOW_CONTROL])
        for name, (ask, on, off) in (("sends_break", _BREAK), ("dtr", _DTR), ("rts", _RTS)):
            if asked in {ask, on, off}:
                if asked != ask:
                    self._drive(name, active=asked == on)
                return bytes([on if getattr(self.lines, name) else off])
        return None

    def _drive(self, name: str, *, active: bool) -> None:
        before, self.lines = self.lines, self.lines._replace(**{name: active})
        if self.lines.sends_break and not before.sends_break:
            self._read.append(0)  # a UART reads a break as a zero byte without a stop bit
        if self.lines != before:
            self._lines_changed(before, self.lines)

    def _suspend(self, _value: bytes) -> None:
        self.suspended = True

    def _resume(self, _value: bytes) -> None:
        self.suspended = False

    def _set_linestate_mask(self, value: bytes) -> bytes:
        self._linestate_mask = value[0] if value else self._linestate_mask
        return bytes([self._linestate_mask])

    def _set_modemstate_mask(self, value: bytes) -> bytes:
        self._modemstate_mask = value[0] if value else self._modemstate_mask
        self._tell(NOTIFY_MODEMSTATE, bytes([MODEM_LINES & self._modemstate_mask]))
        return bytes([self._modemstate_mask])

    def _purge(self, value: bytes) -> bytes:
        which = value[0] if value else 0
        if which in {PURGE_TO_CLIENT, PURGE_BOTH}:
            self.purge_asked_for = True
        return bytes([which])

    def _notify_linestate(self, seen: int) -> None:
        if seen & self._linestate_mask:
            self._tell(NOTIFY_LINESTATE, bytes([seen & self._linestate_mask]))

    _COMMANDS: ClassVar[dict[int, Callable[[ComPort, bytes], bytes | None]]] = {
        SIGNATURE: _name,
        SET_BAUDRATE: _set_baud,
        SET_DATASIZE: _set_data_bits,
        SET_PARITY: _set_parity,
        SET_STOPSIZE: _set_stop_bits,
        SET_CONTROL: _control,
        SUSPEND: _suspend,
        RESUME: _resume,
        SET_LINESTATE_MASK: _set_linestate_mask,
        SET_MODEMSTATE_MASK: _set_modemstate_mask,
        PURGE_DATA: _purge,
    }


def _code_of(codes: Mapping[int, object], value: object) -> int:
    return next(code for code, known in codes.items() if known == value)


def _escaped(data: bytes) -> bytes:
    return data.replace(b"\xff", b"\xff\xff")
