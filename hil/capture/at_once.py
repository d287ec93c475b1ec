"""Frames in clear, read many at once by numpy: answers to GET_STATUS by the million cost no loop of Python.

It takes from a recording the packets that it is sure of, a stretch at a time: whole frames without a tag whose COBS
and CRC are good. All others, handshakes, sealed frames, damage, marks, go the way of `messages`, one by one, in order.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from hil.capture.messages import Many
from hil.capture.tables import TABLES, cell
from protocol.capture import pcapng
from protocol.capture.recording import PUMP_MS, Way
from protocol.codec.atoms import Mapped, Reserved
from protocol.codec.derived import struct_code
from protocol.codec.layouts import declaration_of
from protocol.identifiers import Kind, Opcode
from protocol.messages.reading import GetStatusReply
from protocol.wire.checksum import crc32c
from protocol.wire.frame import Frame, parse_frame, with_crc
from protocol.wire.limits import CRC_BYTES, HEADER_BYTES, MIN_DECODED_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hil.capture.tables import Row
    from protocol.capture.pcapng import Interface

Array = np.ndarray[Any, Any]

LEAST_PACKETS: Final = 64
"""Of a stretch: one by one they are read as fast."""
BEGINNINGS: Final = (pcapng.SECTION_HEADER, pcapng.INTERFACE)
"""Blocks behind which interfaces are others."""
LEAST_WORDS: Final = 3
"""Of any block."""
LOOK_AHEAD: Final = 16
"""After so many blocks it is looked whether they go on as the last two."""
HEAD_WORDS: Final = 7
"""Of a packet's block before its data."""
WORD_BYTES: Final = 4
ENCODED_MAX_BYTES: Final = 254
"""Of a frame between its delimiters: no code byte of such a one is 0xFF, which stands for no zero."""
PATTERNS_MAX: Final = 64
"""Of zeros, by which frames of one length are told apart; what has another is left to others."""
KEY_BYTES: Final = 4
"""Of a header: version and kind, flags, opcode, plen. Frames that share them are good together, or bad."""
DIGITS_MAX: Final = 18
FLAGS_OPTION: Final = np.array([pcapng.OPT_FLAGS, 0, 4, 0], np.uint8)
FLAGS_BYTES: Final = 12
"""Of that option, and of the end of options."""
STANDARD_SIZE: Final = {"L": "I", "l": "i"}
"""Codes of `struct` that are longer in numpy."""
APART, COUNTED, STATUS = 0, 1, 2
"""What becomes of a packet: it is left to others, it is one more, it is one more with a row."""


class _Field(NamedTuple):
    """A field of a status: its name, and where its numbers stand for something else, for what by number."""

    name: str
    meanings: Array | None
    known: Array | None
    """Which numbers have a meaning."""
    none: Array | None
    """Which of them mean that there is none."""


@cache
def _layout() -> tuple[np.dtype[Any], tuple[_Field, ...], tuple[str, ...]]:
    """Of a status as declared: how it lies there, its fields, and what of it is reserved."""
    parts: list[tuple[str, str] | tuple[str, str, int]] = []
    fields, reserved = [], []
    for number, (name, layout) in enumerate(declaration_of(GetStatusReply).record.parts):
        if isinstance(layout, Reserved):
            reserved.append(f"reserved {number}")
            parts.append((reserved[-1], "u1", layout.length))
            continue
        code = struct_code(layout.subcon if isinstance(layout, Mapped) else layout)
        dtype = np.dtype("<" + STANDARD_SIZE.get(code, code))
        meanings = known = none = None
        if isinstance(layout, Mapped):
            meanings = np.zeros(1 << 8 * dtype.itemsize, object)
            known, none = np.zeros(len(meanings), bool), np.zeros(len(meanings), bool)
            for wire, value in layout.value_of.items():
                meanings[wire], known[wire], none[wire] = cell(value), True, value is None
        fields.append(_Field(name, meanings, known, none))
        parts.append((name, dtype.str))
    return np.dtype(parts), tuple(fields), tuple(reserved)


@cache
def _crc_tables() -> Array:
    """By how many bytes follow it, what each value of a byte does to a CRC-32C; they add up by XOR."""
    last = np.array([crc32c(bytes([value])) ^ crc32c(b"\0") for value in range(256)], np.uint32)
    tables = [last]
    while len(tables) < ENCODED_MAX_BYTES:
        tables.append((tables[-1] >> 8) ^ last[tables[-1] & 0xFF])
    return np.array(tables)


class Statuses(NamedTuple):
    """Answers to GET_STATUS: numbers of their packets, times, and raw fields."""

    numbers: Array
    times_ns: Array
    pump_ms: Array
    """Below 0 where it was not known."""
    raw: Array

    def columns(self, began_ns: int) -> Iterator[tuple[Array, Array | None]]:
        """Each column of the table `telemetry`: its values, and where they are absent."""
        yield self.numbers, None
        yield self.times_ns, None
        yield self.times_ns - began_ns, None
        yield self.pump_ms, self.pump_ms < 0
        for field in _layout()[1]:
            raw = self.raw[field.name]
            if field.meanings is None or field.none is None:
                yield raw.astype(np.int64), None
            else:
                yield field.meanings[raw], field.none[raw]

    def rows(self, began_ns: int) -> Iterator[Row]:
        """The same as rows."""
        columns: list[list[Any]] = []
        for values, absent in self.columns(began_ns):
            cells = values.tolist()
            if absent is not None and absent.any():
                cells = [None if gone else each for each, gone in zip(cells, absent.tolist(), strict=True)]
            columns.append(cells)
        return zip(*columns, strict=True)

    def numbered_from(self, number: int) -> Statuses:
        """The same, where they were counted from 0."""
        return self._replace(numbers=self.numbers + number)


def joined(parts: Sequence[Statuses]) -> Statuses:
    """Some behind one another."""
    return Statuses(*(np.concatenate(each) for each in zip(*parts, strict=True)))


class _Looked(NamedTuple):
    """A buffer that was looked through: its blocks, and what becomes of each."""

    buffer: bytes
    starts: Array
    """In bytes of the buffer."""
    fates: Array
    ends: Array
    """By block, that of the first one at or behind it that is left to others."""
    times_ns: Array
    pump_ms: Array
    raw: Array
    """By block, the bytes of its status."""
    after: int

    def number(self, at: int) -> int | None:
        """Which block begins at a byte; None where none does."""
        found = int(np.searchsorted(self.starts, at))
        return found if found < len(self.starts) and self.starts[found] == at else None


class Taker:
    """What takes frames out of a recording as it is read; a `pcapng.Taker`.

    `apart`: whose frames are left to others, though they are good. With `status` those of GET_STATUS have rows.
    """

    def __init__(self, apart: frozenset[Opcode | None], *, status: bool) -> None:
        self._apart = apart - {Opcode.GET_STATUS} if status else apart
        self._status = status
        self._looked: _Looked | None = None
        self._in_vain: bytes | None = None

    def take(self, buffer: bytes, at: int, interfaces: Sequence[Interface]) -> tuple[int, Many | None]:
        """Where the first block begins that is not taken from `at` on, and what was taken."""
        looked = self._looked
        first = None if looked is None or looked.buffer is not buffer else looked.number(at)
        if first is None:
            begins = int.from_bytes(buffer[at : at + WORD_BYTES], "little") in BEGINNINGS
            if begins or self._in_vain is buffer:
                return at, None
            looked = self._look(buffer, at, interfaces)
            self._looked, first = looked, 0
        if looked is None:
            self._in_vain = buffer
            return at, None
        end = int(looked.ends[first])
        if end - first < LEAST_PACKETS:
            return at, None
        after = looked.after if end == len(looked.starts) else int(looked.starts[end])
        return after, _many(looked, first, end)

    def _look(self, buffer: bytes, at: int, interfaces: Sequence[Interface]) -> _Looked | None:
        """Look through all whole blocks of a buffer; None where there are too few."""
        starts, after = _walked(buffer, at)
        if len(starts) < LEAST_PACKETS:
            return None
        words = np.frombuffer(buffer, "<u4", (len(buffer) - at) // WORD_BYTES, at)
        totals = words[starts + 1]
        whole = (totals % WORD_BYTES == 0) & (words[starts + totals // WORD_BYTES - 1] == totals)
        plain = whole & (words[starts] == pcapng.ENHANCED_PACKET) & (totals > (HEAD_WORDS + 1) * WORD_BYTES)
        count = int(np.argmin(whole)) if not whole.all() else len(starts)
        others = np.flatnonzero(np.isin(words[starts[:count]], BEGINNINGS))
        if len(others):  # from there on the interfaces are others
            count = int(others[0])
        if count < LEAST_PACKETS:
            return None
        after = after if count == len(starts) else at + int(starts[count]) * WORD_BYTES
        starts, totals, plain = starts[:count], totals[:count], plain[:count]
        heads = words[np.where(plain, starts, starts[0])[:, None] + np.arange(HEAD_WORDS)].astype(np.int64)
        high, low, captured, on_line = heads[:, 3], heads[:, 4], heads[:, 5], heads[:, 6]
        ours = [number for number, each in enumerate(interfaces) if _is_line(each)]
        plain &= np.isin(heads[:, 2], ours) & (high < 1 << 31)
        plain &= (captured == on_line) & (captured > MIN_DECODED_BYTES + 2)
        plain &= captured <= ENCODED_MAX_BYTES + 2
        plain &= (HEAD_WORDS + 1) * WORD_BYTES + captured + -captured % WORD_BYTES <= totals
        looked = _Looked(
            buffer,
            at + starts * WORD_BYTES,
            np.zeros(count, np.uint8),
            np.zeros(count, np.int64),
            high << 32 | low,
            np.full(count, -1, np.int64),
            np.empty((count, _layout()[0].itemsize), np.uint8),
            after,
        )
        keys = np.where(plain, totals.astype(np.int64) << 16 | captured, 0)
        for key in np.unique(keys[plain]).tolist():
            self._look_at(looked, np.flatnonzero(keys == key), key >> 16, key & 0xFFFF)
        left = np.append(np.flatnonzero(looked.fates == APART), count)
        looked.ends[:] = left[np.searchsorted(left, np.arange(count))]
        return looked

    def _look_at(self, looked: _Looked, which: Array, total: int, captured: int) -> None:
        """Look at packets of one length, whose blocks have one length."""
        blocks = sliding_window_view(np.frombuffer(looked.buffer, np.uint8), total)[looked.starts[which]]
        begin, end = HEAD_WORDS * WORD_BYTES, HEAD_WORDS * WORD_BYTES + captured
        decoded, good = _decoded(blocks[:, begin:end])
        pump_ms, told = _pump_ms(blocks[:, end + -captured % WORD_BYTES : total - WORD_BYTES])
        good &= told
        looked.pump_ms[which] = pump_ms
        keys = np.ascontiguousarray(decoded[:, :KEY_BYTES]).view("<u4")[:, 0]
        for key in np.unique(keys[good]).tolist():
            same = good & (keys == key)
            frame = parse_frame(decoded[int(np.argmax(same))].tobytes())
            if not isinstance(frame, Frame) or frame.flags or frame.kind == Kind.HANDSHAKE:
                continue
            if frame.opcode in self._apart:
                continue
            if self._status and frame.kind == Kind.RESPONSE and frame.opcode == Opcode.GET_STATUS:
                self._read(looked, which, same, decoded)
            else:
                looked.fates[which[same]] = COUNTED

    def _read(self, looked: _Looked, which: Array, same: Array, decoded: Array) -> None:
        """Read answers to GET_STATUS; what has no meaning in this version is left to others."""
        dtype, fields, reserved = _layout()
        if decoded.shape[1] < HEADER_BYTES + dtype.itemsize + CRC_BYTES:
            return
        payloads = np.ascontiguousarray(decoded[:, HEADER_BYTES : HEADER_BYTES + dtype.itemsize])
        if not same.all():
            which, payloads = which[same], payloads[same]
        raw = payloads.view(dtype)[:, 0]
        good = np.ones(len(raw), bool)
        for field in fields:
            if field.known is not None:
                good &= field.known[raw[field.name]]
            elif raw[field.name].dtype.itemsize == 8:
                good &= raw[field.name] < 1 << 63  # more has no place in a column
        for name in reserved:
            good &= ~raw[name].reshape(len(raw), -1).any(axis=1)
        if not good.all():
            which, payloads = which[good], payloads[good]
        looked.fates[which] = STATUS
        looked.raw[which] = payloads


def taker_for(names: Iterable[str]) -> Taker:
    """What reads at once all frames but those of which these tables have more than a row of a status."""
    opcodes = {TABLES[name].opcode for name in names}
    return Taker(frozenset(opcodes) - {None}, status=Opcode.GET_STATUS in opcodes)


def _walked(buffer: bytes, at: int) -> tuple[Array, int]:
    """Where the whole blocks from `at` on begin, in words from there; and the byte behind the last of them."""
    words = np.frombuffer(buffer, "<u4", (len(buffer) - at) // WORD_BYTES, at)
    totals = memoryview(words.data)
    count, place, before = len(words) - 1, 0, 0
    pieces: list[Array] = []
    places: list[int] = []
    while place < count:
        step = totals[place + 1] >> 2
        if step < LEAST_WORDS or place + step > count + 1:
            break
        places.append(place)
        place += step
        if len(places) % LOOK_AHEAD == 0 and (times := _repeated(words, place, before, step)):
            pieces.append(np.array(places))
            pieces.append((place + np.arange(times)[:, None] * (before + step) + (0, before)).ravel())
            places.clear()
            place += times * (before + step)
        before = step
    pieces.append(np.array(places, np.int64))
    return np.concatenate(pieces), at + place * WORD_BYTES


def _repeated(words: Array, place: int, first: int, second: int) -> int:
    """How often from a place on two blocks of these lengths follow each other, as a request and its answer do."""
    if not first:
        return 0
    pair = first + second
    times = (len(words) - place) // pair
    as_before = words[place + 1 :: pair][:times] == first * WORD_BYTES
    as_before &= words[place + first + 1 :: pair][:times] == second * WORD_BYTES
    return times if as_before.all() else int(np.argmin(as_before))


def _is_line(interface: Interface) -> bool:
    """Whether packets of an interface are of a line, with times as we write them."""
    return (
        interface.link_type == pcapng.LINKTYPE_USER0
        and interface.per_s == pcapng.NS_PER_S
        and not interface.offset_s
        and interface.name in {way.words for way in Way}
    )


def _decoded(wire: Array) -> tuple[Array, Array]:
    """Transmissions of one length, a row each, without delimiters and COBS; and which of them are good frames."""
    encoded = np.ascontiguousarray(wire[:, 1:-1])
    good = (wire[:, 0] == 0) & (wire[:, -1] == 0) & (encoded.min(axis=1) > 0)
    decoded = np.empty_like(encoded)
    left = np.arange(len(encoded))
    for _pattern in range(PATTERNS_MAX):
        if not len(left):
            break
        some = encoded if len(left) == len(encoded) else encoded[left]
        one = some[len(some) // 2]  # of the commonest pattern, most likely
        is_code, whole = _code_bytes(one.tobytes())
        same = ((some == one) | ~is_code).all(axis=1)
        decoded[left[same]] = some[same] * ~is_code
        good[left[same]] &= whole
        left = left[~same]
    good[left] = False
    decoded = decoded[:, 1:]  # the first code byte stands for no zero
    tables = _crc_tables()
    check = np.full(len(decoded), crc32c(bytes(decoded.shape[1])), np.uint32)
    for following, is_one in enumerate((decoded == decoded[0]).all(axis=0)[::-1].tolist()):
        column = decoded[:, -1 - following]
        check ^= tables[following][column[0]] if is_one else tables[following].take(column)
    good &= check == crc32c(with_crc(b""))  # as of anything that its own CRC follows
    return decoded, good


def _code_bytes(encoded: bytes) -> tuple[Array, bool]:
    """Which bytes of a frame say how many follow before a zero stood; and whether the last says so rightly."""
    is_code = np.zeros(len(encoded), bool)
    place = 0
    while place < len(encoded):
        is_code[place] = True
        place += encoded[place] or len(encoded)
    return is_code, place == len(encoded)


def _pump_ms(options: Array) -> tuple[Array, Array]:
    """The pump's times in the options of packets, below 0 where there are none; and of which they are understood."""
    count, length = options.shape
    times, good = np.full(count, -1, np.int64), np.full(count, not length)
    if length < FLAGS_BYTES:
        return times, good
    flags = (options[:, -12:-8] == FLAGS_OPTION).all(axis=1) & (options[:, -4:] == 0).all(axis=1)
    if length == FLAGS_BYTES:
        return times, flags
    for size in np.unique(options[:, 2]).tolist():
        digits = size - len(PUMP_MS)
        if not 0 < digits <= DIGITS_MAX or length != WORD_BYTES + size + -size % WORD_BYTES + FLAGS_BYTES:
            continue
        head = np.frombuffer(pcapng.option(pcapng.OPT_COMMENT, PUMP_MS.encode().ljust(size)), np.uint8)
        begin = WORD_BYTES + len(PUMP_MS)
        text = options[:, begin : begin + digits] - np.uint8(ord("0"))
        told = flags & (options[:, :begin] == head[:begin]).all(axis=1) & (text <= 9).all(axis=1)
        good |= told
        times[told] = text[told].astype(np.int64) @ (10 ** np.arange(digits)[::-1])
    return times, good


def _many(looked: _Looked, first: int, end: int) -> Many:
    """What stands for the blocks from one to before another."""
    times_ns = looked.times_ns[first:end]
    places = np.flatnonzero(looked.fates[first:end] == STATUS)
    back_ns = times_ns[:-1] - times_ns[1:]
    went_back = [(place + 1, int(back_ns[place])) for place in np.flatnonzero(back_ns > 0).tolist()]
    raw = looked.raw[first:end][places].view(_layout()[0])[:, 0]
    statuses = Statuses(places, times_ns[places], looked.pump_ms[first:end][places], raw)
    return Many(end - first, int(times_ns[0]), int(times_ns[-1]), went_back, statuses)
