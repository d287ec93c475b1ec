"""Blocks of pcapng to bytes and back: as much of it as recordings of a serial line use.

Written in the byte order and the resolution of `recording`; read in any. A file that was cut or has rotted gives all
blocks that are whole, and a `Damage` for each place where there is none.
"""

from __future__ import annotations

import struct
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

SECTION_HEADER: Final = 0x0A0D0D0A
INTERFACE: Final = 1
SIMPLE_PACKET: Final = 3
ENHANCED_PACKET: Final = 6
SECRETS: Final = 0x0A
WITHOUT_PACKETS: Final = frozenset({4, 5, 9, 0xBAD, 0x40000BAD})
"""Names, statistics, a journal and what tools add for themselves: a good file may have them."""
KNOWN: Final = frozenset(
    {SECTION_HEADER, INTERFACE, SIMPLE_PACKET, ENHANCED_PACKET, SECRETS, *WITHOUT_PACKETS}
)
BYTE_ORDER_MAGIC: Final = 0x1A2B3C4D
LINKTYPE_USER0: Final = 147
NS_PER_S: Final = 1_000_000_000
BLOCK_MAX_BYTES: Final = 16 * 1024 * 1024
"""No block of a recording is nearly as long: one that says so has rotted."""
READ_BYTES: Final = 1 << 20
TAKEN_BYTES: Final = 1 << 16
"""With fewer at hand a taker is not asked while there are more."""

OPT_END: Final = 0
OPT_COMMENT: Final = 1
OPT_APPLICATION: Final = 4  # of a section header
OPT_NAME: Final = 2  # of an interface
OPT_RESOLUTION: Final = 9  # of an interface
OPT_OFFSET: Final = 14  # of an interface: seconds to add to each time
OPT_FLAGS: Final = 2  # of a packet
INBOUND: Final = 1
OUTBOUND: Final = 2

_HEAD = Struct("<II")
_TOTAL = Struct("<I")
_SECTION = Struct("<IHHq")
_INTERFACE = Struct("<HHI")
_PACKET = Struct("<IIIIIII")
_OPTION = Struct("<HH")
_SECRETS = Struct("<II")
_END = bytes(4)
_new: Any = tuple.__new__  # what Packet() would call, without the detour: this is the hot path
_FRAME_BYTES = 12  # of any block: type, length, and the length again
_FLAGS_BYTES = 12  # an option of four bytes, and the end of options
_FLAGS_KEPT = 64
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")


class Readable(Protocol):
    """Where bytes come from: a file opened for reading."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""
        ...


# --- writing --------------------------------------------------------------------------------------------------------


def option(code: int, value: bytes) -> bytes:
    """One option of a block."""
    return _OPTION.pack(code, len(value)) + value + _PADDING[len(value) % 4]


def block(kind: int, body: bytes, options: bytes = b"") -> bytes:
    """One block, whole; `options` without their end."""
    if options:
        options += _END
    total = _FRAME_BYTES + len(body) + len(options)
    return _HEAD.pack(kind, total) + body + options + _TOTAL.pack(total)


def section_header(comment: str, application: str) -> bytes:
    """The beginning of a file, of a length that nobody knows yet."""
    options = option(OPT_COMMENT, comment.encode()) + option(OPT_APPLICATION, application.encode())
    return block(SECTION_HEADER, _SECTION.pack(BYTE_ORDER_MAGIC, 1, 0, -1), options)


def interface(name: str) -> bytes:
    """One source of packets of LINKTYPE_USER0, with times in ns."""
    options = option(OPT_NAME, name.encode()) + option(OPT_RESOLUTION, b"\x09")
    return block(INTERFACE, _INTERFACE.pack(LINKTYPE_USER0, 0, 0), options)


def packet(interface_id: int, time_ns: int, data: bytes, options: bytes = b"") -> bytes:
    """What passed at a time since the epoch; `options` without their end."""
    length = len(data)
    padding = _PADDING[length % 4]
    if options:
        options += _END
    total = _PACKET.size + len(padding) + length + len(options) + 4
    head = _PACKET.pack(
        ENHANCED_PACKET, total, interface_id, time_ns >> 32, time_ns & 0xFFFFFFFF, length, length
    )
    return b"".join((head, data, padding, options, _TOTAL.pack(total)))


def secrets(kind: int, data: bytes) -> bytes:
    """What opens the packets behind it."""
    return block(SECRETS, _SECRETS.pack(kind, len(data)) + data + _PADDING[len(data) % 4])


# --- reading --------------------------------------------------------------------------------------------------------


class Section(NamedTuple):
    """A file, or what was appended to one, begins."""

    comments: tuple[str, ...]
    application: str


class Interface(NamedTuple):
    """A source of packets; its number is how many there were before it in its section."""

    link_type: int
    name: str
    per_s: int
    """Units of its times in a second."""
    offset_s: int


class Packet(NamedTuple):
    """What passed. `time_ns` since the epoch, None where the file has none; `wire_bytes` is its length on the wire."""

    interface_id: int
    time_ns: int | None
    data: bytes
    wire_bytes: int
    flags: int
    """0 where the file says nothing."""
    comments: tuple[str, ...]


class Secrets(NamedTuple):
    """What opens packets behind it."""

    kind: int
    data: bytes


class Other(NamedTuple):
    """A block in which no packet is."""

    at: int
    kind: int


class Damage(NamedTuple):
    """A place of the file that holds no block, in words; reading goes on behind it where `resumed_at` is not None."""

    at: int
    what: str
    resumed_at: int | None


class Taken(NamedTuple):
    """Blocks that a `Taker` took, and what it made of them."""

    what: Any


class Taker(Protocol):
    """Who reads many blocks at once, of a section in our byte order."""

    def take(self, buffer: bytes, at: int, interfaces: Sequence[Interface]) -> tuple[int, Any]:
        """Where the first block begins that it does not take from `at` on, and what it made of those before."""
        ...


Block = Section | Interface | Packet | Secrets | Other | Damage | Taken


class NotACapture(ValueError):
    """The bytes do not begin as pcapng does."""


def read_blocks(file: Readable, taker: Taker | None = None) -> Iterator[Block]:
    """All blocks in order, and damage in its place. NotACapture where the first bytes are of something else.

    `taker` is asked at each block that is not taken yet.
    """
    return iter(_Reader(file, taker))


class _Order(NamedTuple):
    """The layouts of one byte order."""

    head: Struct
    total: Struct
    section: Struct
    interface: Struct
    packet: Struct
    whole: Struct
    option: Struct
    secrets: Struct
    offset: Struct


def _order(mark: str) -> _Order:
    layouts = ("II", "I", "IHHq", "HHI", "IIIII", "IIIIIII", "HH", "II", "q")
    return _Order(*(Struct(mark + layout) for layout in layouts))


_LITTLE = _order("<")
_ORDERS: Final = {
    struct.pack("<I", BYTE_ORDER_MAGIC): _LITTLE,
    struct.pack(">I", BYTE_ORDER_MAGIC): _order(">"),
}
"""By the magic with which a section begins."""


class _Reader:
    """Reads a file by pieces of a MiB; `base` is where the buffer begins in it."""

    def __init__(self, file: Readable, taker: Taker | None) -> None:
        self._file = file
        self._taker = taker
        self._ended = False
        self._buffer = b""
        self._base = 0
        self._order = _LITTLE
        self._interfaces: list[Interface] = []
        self._in_ns: list[bool] = []
        self._flags: dict[bytes, tuple[int, tuple[str, ...]]] = {}

    def _have(self, at: int, count: int) -> bool:
        """Whether so many bytes are there from `at` of the buffer on; reads more where they are not."""
        while len(self._buffer) - at < count:
            more = self._file.read(max(READ_BYTES, count))
            if not more:
                self._ended = True
                return False
            self._buffer += more
        return True

    def __iter__(self) -> Iterator[Block]:
        if not self._have(0, 4) or int.from_bytes(self._buffer[:4], "little") != SECTION_HEADER:
            raise NotACapture(_what_it_is(self._buffer[:64]))
        at = 0
        while at < len(self._buffer) or self._have(at, 1):
            if at >= READ_BYTES:
                self._buffer, self._base, at = self._buffer[at:], self._base + at, 0
            if self._taker is not None and self._order is _LITTLE:
                if at and not self._ended and len(self._buffer) - at < TAKEN_BYTES:
                    self._buffer, self._base, at = self._buffer[at:], self._base + at, 0
                    self._have(at, TAKEN_BYTES)
                end, what = self._taker.take(self._buffer, at, self._interfaces)
                if end > at:
                    yield Taken(what)
                    at = end
                    continue
            plain = self._plain_packet(at)
            if plain is not None:
                yield plain[0]
                at += plain[1]
                continue
            trouble, total = self._measure(at)
            if trouble:
                start = self._base + at
                resumed = self._next_block(at)
                yield Damage(start, trouble, None if resumed is None else self._base + resumed)
                if resumed is None:
                    return
                at = resumed
                continue
            try:
                found = self._block(at, total)
            except (ValueError, IndexError, struct.error) as error:  # of lengths within it that do not fit
                yield Damage(self._base + at, str(error), self._base + at + total)
            else:
                yield found
            at += total

    def _plain_packet(self, at: int) -> tuple[Packet, int] | None:
        """The packet that begins here and how long its block is, as nearly always; None where one must look closer.

        It has times in ns, and flags alone that were seen before.
        """
        buffer = self._buffer
        there = len(buffer) - at
        if there < _PACKET.size:
            return None
        kind, total, interface_id, high, low, length, wire_bytes = self._order.whole.unpack_from(buffer, at)
        end = at + total - 4
        start = at + _PACKET.size
        after = start + length + (-length & 3)
        if kind != ENHANCED_PACKET or total & 3 or total > there or total > BLOCK_MAX_BYTES or after > end:
            return None
        told = self._flags.get(buffer[after:end])
        if told is None or interface_id >= len(self._in_ns) or not self._in_ns[interface_id]:
            return None
        if self._order.total.unpack_from(buffer, end)[0] != total:
            return None
        data = buffer[start : start + length]
        return _new(Packet, (interface_id, high << 32 | low, data, wire_bytes, *told)), total

    def _measure(self, at: int) -> tuple[str, int]:
        """What is wrong with the outside of a block, and how long it is."""
        if not self._have(at, _FRAME_BYTES):
            return f"the file ends within a block, of which {len(self._buffer) - at} bytes are there", 0
        if self._order.head.unpack_from(self._buffer, at)[0] == SECTION_HEADER:
            order = _ORDERS.get(self._buffer[at + 8 : at + 12])
            if order is None:
                return "a section begins without its byte-order magic", 0
            self._order = order
            self._flags.clear()
        total = self._order.total.unpack_from(self._buffer, at + 4)[0]
        trouble = ""
        if total < _FRAME_BYTES or total % 4:
            trouble = f"a block of {total} bytes, which no block can have"
        elif total > BLOCK_MAX_BYTES:
            trouble = f"a block that says it has {total} bytes, more than any of a recording has"
        elif not self._have(at, total):
            there = len(self._buffer) - at
            trouble = f"the file ends within a block of {total} bytes, of which {there} are there"
        elif self._order.total.unpack_from(self._buffer, at + total - 4)[0] != total:
            trouble = f"a block of {total} bytes does not say so at its end"
        return trouble, total

    def _next_block(self, at: int) -> int | None:
        """Where the next whole block of a known kind begins behind `at`; None where there is none in this file."""
        place = at
        while True:
            place += 4
            if not self._have(place, _FRAME_BYTES):
                return None
            kind, total = self._order.head.unpack_from(self._buffer, place)
            if kind in KNOWN and _FRAME_BYTES <= total <= BLOCK_MAX_BYTES and not total % 4:
                end = place + total - 4
                if self._have(place, total) and self._order.total.unpack_from(self._buffer, end)[0] == total:
                    return place

    def _block(self, at: int, total: int) -> Block:
        """The whole block at a place of the buffer."""
        order, buffer = self._order, self._buffer
        kind = order.head.unpack_from(buffer, at)[0]
        body, end = at + 8, at + total - 4
        if kind == ENHANCED_PACKET:
            return self._packet(body, end)
        if kind == SECTION_HEADER:
            self._interfaces, self._in_ns = [], []
            options = self._options(body + order.section.size, end)
            application = next((_text(value) for code, value in options if code == OPT_APPLICATION), "")
            return Section(_comments(options), application)
        if kind == INTERFACE:
            found = self._interface(body, end)
            self._interfaces.append(found)
            self._in_ns.append(found.per_s == NS_PER_S and not found.offset_s)
            return found
        if kind == SECRETS:
            secrets_type, length = order.secrets.unpack_from(buffer, body)
            start = body + order.secrets.size
            if start + length > end:
                raise ValueError(f"secrets of {length} bytes in a block that has {end - start}")
            return Secrets(secrets_type, buffer[start : start + length])
        if kind == SIMPLE_PACKET:
            wire_bytes = order.total.unpack_from(buffer, body)[0]
            return Packet(0, None, buffer[body + 4 : min(body + 4 + wire_bytes, end)], wire_bytes, 0, ())
        place = self._base + at
        unread = Damage(place, f"a block of kind {kind:#x}, which is not read here", place + total)
        return Other(place, kind) if kind in WITHOUT_PACKETS else unread

    def _packet(self, body: int, end: int) -> Packet:
        buffer = self._buffer
        interface_id, high, low, length, wire_bytes = self._order.packet.unpack_from(buffer, body)
        start = body + 20
        after = start + length + (-length) % 4
        if after > end:
            raise ValueError(f"a packet of {length} bytes in a block that has room for {end - start}")
        if interface_id >= len(self._interfaces):
            raise ValueError(f"a packet of interface {interface_id}, of which no block tells")
        source = self._interfaces[interface_id]
        units = high << 32 | low
        time_ns = units if source.per_s == NS_PER_S else units * NS_PER_S // source.per_s
        if source.offset_s:
            time_ns += source.offset_s * NS_PER_S
        flags, comments = self._flags_and_comments(after, end)
        return Packet(interface_id, time_ns, buffer[start : start + length], wire_bytes, flags, comments)

    def _flags_and_comments(self, at: int, end: int) -> tuple[int, tuple[str, ...]]:
        """The options of a packet that are read; those of flags alone, of which there are few, are remembered."""
        if at == end:
            return 0, ()
        raw = self._buffer[at:end] if end - at <= _FLAGS_BYTES else b""
        known = self._flags.get(raw)
        if known is not None:
            return known
        options = self._options(at, end)
        flags = next((self._order.total.unpack(value)[0] for code, value in options if code == OPT_FLAGS), 0)
        found = (flags, _comments(options))
        if raw and len(self._flags) < _FLAGS_KEPT:
            self._flags[raw] = found
        return found

    def _interface(self, body: int, end: int) -> Interface:
        link_type = self._order.interface.unpack_from(self._buffer, body)[0]
        options = dict(self._options(body + self._order.interface.size, end))
        resolution = options.get(OPT_RESOLUTION, b"\x06")[0]
        per_s = 1 << (resolution & 0x7F) if resolution & 0x80 else 10**resolution
        offset = options.get(OPT_OFFSET, bytes(8))
        offset_s = self._order.offset.unpack(offset)[0]
        return Interface(link_type, _text(options.get(OPT_NAME, b"")), per_s, offset_s)

    def _options(self, at: int, end: int) -> list[tuple[int, bytes]]:
        options = []
        while at + 4 <= end:
            code, length = self._order.option.unpack_from(self._buffer, at)
            if code == OPT_END:
                break
            at += 4
            if at + length > end:
                raise ValueError(f"an option of {length} bytes in a block that has {end - at} left")
            options.append((code, self._buffer[at : at + length]))
            at += length + (-length) % 4
        return options


def _comments(options: Iterable[tuple[int, bytes]]) -> tuple[str, ...]:
    return tuple(_text(value) for code, value in options if code == OPT_COMMENT)


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode("utf-8", "replace")


_OTHERS: Final = {
    b"\xd4\xc3\xb2\xa1": "it is a pcap file of the old kind: convert it with `editcap -F pcapng`",
    b"\xa1\xb2\xc3\xd4": "it is a pcap file of the old kind: convert it with `editcap -F pcapng`",
    b"\x4d\x3c\xb2\xa1": "it is a pcap file of the old kind: convert it with `editcap -F pcapng`",
    b"\xa1\xb2\x3c\x4d": "it is a pcap file of the old kind: convert it with `editcap -F pcapng`",
    b"\x1f\x8b": "it is compressed: unpack it with `gunzip`",
    b"\x28\xb5\x2f\xfd": "it is compressed: unpack it with `unzstd`",
    b"PK\x03\x04": "it is a zip archive: unpack it",
}


def _what_it_is(start: bytes) -> str:
    if not start:
        return "it is empty"
    told = next((words for magic, words in _OTHERS.items() if start.startswith(magic)), None)
    return told or f"it begins with {start[:8].hex(' ')}, and pcapng with 0a 0d 0d 0a"
