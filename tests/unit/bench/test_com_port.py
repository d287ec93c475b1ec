"""The server's end of RFC 2217, fed by hand: what is for the pump, and what is answered."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_emu.bench.ports.com_port import (
    FIFO_BYTES,
    SUBNEGOTIATION_MAX_BYTES,
    ComPort,
    Lines,
)
from tests.support.for_each import for_each

IAC, SB, SE = b"\xff", b"\xff\xfa", b"\xff\xf0"
WILL, WONT, DO, DONT = b"\xff\xfb", b"\xff\xfc", b"\xff\xfd", b"\xff\xfe"
COM_PORT, BINARY, ECHO = b"\x2c", b"\x00", b"\x01"
BAUD = struct.Struct("!I")


def command(number: int, value: bytes = b"") -> bytes:
    """A subnegotiation of RFC 2217 as its client, or with 100 more its server, writes it."""
    return SB + COM_PORT + bytes([number]) + value.replace(IAC, IAC + IAC) + SE


def new_port(seen: list[tuple[Lines, Lines]] | None = None) -> ComPort:
    """A port whose greeting has been sent, that notes what its lines do."""
    changes = [] if seen is None else seen
    port = ComPort(signature="pumpbench", lines_changed=lambda before, after: changes.append((before, after)))
    port.greeting()
    return port


def agreed(port: ComPort) -> ComPort:
    """The same with all options agreed on, and nothing left to send."""
    port.feed(b"".join(word + option for word in (WILL, DO) for option in (BINARY, b"\x03", COM_PORT)))
    port.take_answers()
    return port


@for_each(
    ("name", "asked", "answered"),
    [
        ("signature", command(0), command(100, b"pumpbench")),
        ("signature of the client", command(0, b"somebody"), b""),
        ("baud", command(1, BAUD.pack(9_600)), command(101, BAUD.pack(9_600))),
        ("baud with 0xFF in it", command(1, BAUD.pack(0xFF00)), command(101, BAUD.pack(0xFF00))),
        ("baud asked for", command(1, BAUD.pack(0)), command(101, BAUD.pack(115_200))),
        ("baud cut short", command(1, b"\x01"), command(101, BAUD.pack(115_200))),
        ("data bits", command(2, b"\x07"), command(102, b"\x07")),
        ("data bits that no UART has", command(2, b"\x09"), command(102, b"\x08")),
        ("parity", command(3, b"\x03"), command(103, b"\x03")),
        ("parity asked for", command(3, b"\x00"), command(103, b"\x01")),
        ("stop bits", command(4, b"\x02"), command(104, b"\x02")),
        ("no flow control", command(5, b"\x01"), command(105, b"\x01")),
        ("flow control that there is not", command(5, b"\x03"), command(105, b"\x01")),
        ("DTR on", command(5, b"\x08"), command(105, b"\x08")),
        ("DTR asked for", command(5, b"\x07"), command(105, b"\x09")),
        ("RTS on", command(5, b"\x0b"), command(105, b"\x0b")),
        ("break asked for", command(5, b"\x04"), command(105, b"\x06")),
        ("inbound flow control that there is not", command(5, b"\x10"), command(105, b"\x0e")),
        ("a control that nobody knows", command(5, b"\x63"), b""),
        ("suspend", command(8), b""),
        ("line states", command(10, b"\x1e"), command(110, b"\x1e")),
        ("modem states", command(11, b"\x10"), command(107, b"\x10") + command(111, b"\x10")),
        ("purge", command(12, b"\x03"), command(112, b"\x03")),
        ("a command that nobody knows", command(77), b""),
        ("an empty one", SB + SE, b""),
        ("another option's", SB + b"\x18\x01" + SE, b""),
        ("an option that is not there", DO + ECHO, WONT + ECHO),
        ("an option of the client that is not wanted", WILL + ECHO, DONT + ECHO),
        ("what is agreed on is not answered again", DO + BINARY + WILL + COM_PORT, b""),
        ("an option that the client gives up", WONT + BINARY, DONT + BINARY),
        ("telnet's are-you-there", IAC + b"\xf6", b""),
    ],
)
def test_a_word_of_the_client_is_answered(name: str, asked: bytes, answered: bytes) -> None:
    port = agreed(new_port())
    assert (port.feed(asked), port.take_answers()) == (b"", answered), name


def test_a_greeting_is_agreed_to_without_an_answer_to_an_answer() -> None:
    port = ComPort(signature="", lines_changed=lambda _before, _after: None)
    offered = port.greeting()
    assert offered == b"".join(word + option for option in (BINARY, b"\x03", COM_PORT) for word in (WILL, DO))
    port.feed(b"".join(word + option for option in (BINARY, b"\x03", COM_PORT) for word in (DO, WILL)))
    states = command(107, b"\xb0")
    assert port.take_answers() == states + states, (
        "no option is said twice; a client learns that the board is there"
    )


@given(data=st.binary(max_size=300))
def test_any_bytes_cut_at_any_place_are_read_the_same(data: bytes) -> None:
    whole, byte_by_byte = agreed(new_port()), agreed(new_port())
    at_once = whole.feed(data)
    assert b"".join(byte_by_byte.feed(bytes([byte])) for byte in data) == at_once
    assert byte_by_byte.take_answers() == whole.take_answers()
    assert byte_by_byte.lines == whole.lines


@given(data=st.binary(max_size=300))
def test_every_byte_of_the_line_goes_both_ways_as_it_is(data: bytes) -> None:
    port = agreed(new_port())
    escaped = data.replace(IAC, IAC + IAC)
    assert port.feed(escaped) == data
    assert port.to_client(data) == escaped


def test_what_was_sent_before_a_change_of_speed_was_sent_at_the_old_one() -> None:
    port = agreed(new_port())
    assert port.feed(b"before" + command(1, BAUD.pack(57_600)) + b"\x01") == b"before\x06"
    assert port.to_client(b"\x00") == b"\xf8" + command(101, BAUD.pack(57_600))


def test_what_a_client_of_another_speed_sends_at_once_overruns_and_is_told_of() -> None:
    port = agreed(new_port())
    port.feed(command(1, BAUD.pack(230_400)) + command(10, b"\x0e"))
    port.take_answers()
    assert 0 < len(port.feed(b"\x0f" * 10 * FIFO_BYTES)) < 3 * FIFO_BYTES
    assert port.take_answers() == command(106, b"\x02")
    assert port.to_client(bytes(20)).endswith(command(106, b"\x08")), "a stop bit was not where it had to be"


def test_a_break_is_one_zero_and_what_is_sent_meanwhile_is_lost() -> None:
    seen: list[tuple[Lines, Lines]] = []
    port = agreed(new_port(seen))
    assert port.feed(b"a" + command(5, b"\x05") + b"lost" + command(5, b"\x06") + b"b") == b"a\x00b"
    assert [after.sends_break for _, after in seen] == [True, False]


def test_lines_are_told_when_they_change_and_only_then() -> None:
    seen: list[tuple[Lines, Lines]] = []
    port = agreed(new_port(seen))
    port.feed(command(5, b"\x08") + command(5, b"\x08") + command(5, b"\x0b") + command(5, b"\x09"))
    assert [after for _, after in seen] == [Lines(dtr=True), Lines(dtr=True, rts=True), Lines(rts=True)]


@pytest.mark.parametrize("end", [b"", SE])
def test_a_word_without_an_end_does_not_grow(end: bytes) -> None:
    port = agreed(new_port())
    assert port.feed(SB + COM_PORT + b"\x01" + bytes(1_000_000) + end) == b""
    assert len(port._subnegotiation) <= SUBNEGOTIATION_MAX_BYTES
    port.take_answers()
    port.feed(SE)
    assert port.feed(b"still there") == b"still there"
