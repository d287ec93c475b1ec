"""What a UART reads of the bits that another one sends, where the two may be set differently.

Equal settings carry every byte. Others carry what a real receiver makes of such a line: it waits for a low level,
looks at the middle of each bit by its own clock, and takes what it finds. So 1 percent more baud does no harm, twice as
many make noise, and the same noise each time.
"""

from __future__ import annotations

from typing import NamedTuple

BITS_OF_A_BYTE = 8


class UartSettings(NamedTuple):
    """How one end of a serial line is set."""

    baud: int = 115_200
    """Bits a second, 1 or more."""
    data_bits: int = 8
    """5 to 8."""
    parity: str = "N"
    """N none, O odd, E even, M mark, S space."""
    half_stop_bits: int = 2
    """2 is one stop bit, 3 one and a half, 4 two."""


class Received(NamedTuple):
    """What was read, and whether the receiver saw that something is wrong."""

    data: bytes
    framing_error: bool
    parity_error: bool


def received(sent: bytes, sender: UartSettings, receiver: UartSettings) -> Received:
    """The bytes that `receiver` reads when `sender` sends without a pause on a line that was idle."""
    if sender == receiver and sender.data_bits == BITS_OF_A_BYTE:
        return Received(sent, framing_error=False, parity_error=False)
    levels = [level for byte in sent for level in _half_bits(byte, sender)]
    # A half bit of the sender lasts `receiver.baud` of these units of time, one of the receiver `sender.baud`.
    line = _Line(levels, receiver.baud)
    read = bytearray()
    framing_error = parity_error = False
    start = line.next(0, 0)
    while start is not None:
        if line.at(start + sender.baud):  # low for less than half a bit: no start
            start = line.next(0, line.next(1, start))
            continue
        *levels, stop_level = (
            line.at(start + sender.baud * (2 * bit + 1)) for bit in range(1, _bits_of(receiver) + 1)
        )
        data = levels[: receiver.data_bits]
        read.append(sum(level << bit for bit, level in enumerate(data)))
        parity_error |= levels[receiver.data_bits :] != _parity_bits(data, receiver.parity)
        framing_error |= not stop_level
        stop = start + sender.baud * (2 * _bits_of(receiver) + 1)
        start = line.next(0, stop if stop_level else line.next(1, stop))
    return Received(bytes(read), framing_error, parity_error)


def _bits_of(settings: UartSettings) -> int:
    """Bits of a frame behind its start: data, parity, and the one stop bit that a receiver looks at."""
    return settings.data_bits + (settings.parity != "N") + 1


def _half_bits(byte: int, settings: UartSettings) -> list[int]:
    """The levels of one frame on the line, two for each bit: start, data from the lowest, parity, stop."""
    data = [byte >> bit & 1 for bit in range(settings.data_bits)]
    bits = [0, *data, *_parity_bits(data, settings.parity)]
    return [level for level in bits for _ in range(2)] + [1] * settings.half_stop_bits


def _parity_bits(data: list[int], parity: str) -> list[int]:
    even = sum(data) & 1
    return {"N": [], "E": [even], "O": [1 - even], "M": [1], "S": [0]}[parity]


class _Line:
    """Levels over time; idle is high."""

    def __init__(self, levels: list[int], unit: int) -> None:
        self._levels = levels
        self._unit = unit

    def at(self, time: int) -> int:
        index = time // self._unit
        return self._levels[index] if index < len(self._levels) else 1

    def next(self, level: int, time: int | None) -> int | None:
        """When the line has this level, from `time` on; None where it never has, or there is no such time."""
        if time is None or self.at(time) == level:
            return time
        try:
            return self._levels.index(level, time // self._unit) * self._unit
        except ValueError:
            return len(self._levels) * self._unit if level else None
