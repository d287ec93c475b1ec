"""Frames of every kind with drawn values, sealed and in clear, and what a dissector has to show of each.

What is to be shown follows from our own decoding of the payload: name, number and word of each field in order.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Any, NamedTuple

import construct

from protocol.capture import pcapng, recording
from protocol.capture.recording import Way
from protocol.codec.atoms import U8, U32, Count, Mapped, Octets, Record, Rows, atom, enum_of, flags_of
from protocol.codec.diagnostics import integer_range
from protocol.codec.field_words import bare_name_and_unit
from protocol.codec.layouts import declaration_of, decode, encode, message, nested
from protocol.identifiers import AlarmFlag, Handshake, Kind, Opcode, State
from protocol.link.session import FROM_PUMP, TO_PUMP, seal
from protocol.log.data import DATA_OF
from protocol.log.entry import LogEntry, pack_data
from protocol.log.types import LogFlag, LogName
from protocol.messages.command import Command
from protocol.messages.errors import ErrorReply
from protocol.messages.handshake import HANDSHAKE_MESSAGES
from protocol.messages.ledger import CommandResult
from protocol.messages.log import LOG_READ_MAX, LogReadReply
from protocol.registry import COMMANDS, EVENTS
from protocol.wire.frame import SECURED, pack_header, with_crc
from protocol.wire.framing import encode_frame

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

EPOCH_NS = 1_764_300_000_000_000_000
STEP_NS = 1_000_250
SID, CLEAR_SID = 0x1234, 0x2345
KEY = bytes(range(16))


@message("state" / enum_of(State), "seen" / flags_of(AlarmFlag), "value" / U32)
class Segment(NamedTuple):
    """A vendor's record that has the name of one of ours."""

    state: State
    seen: AlarmFlag
    value: int


@message("slot" / U8, "rate_nl_per_day" / U32)
class SetMark(NamedTuple):
    """A vendor's request."""

    slot: int
    rate_nl_per_day: int

    @staticmethod
    def reply_class() -> type[SetMarkReply]:
        """The class of its reply."""
        return SetMarkReply


@message("result" / nested(CommandResult), "segment" / nested(Segment))
class SetMarkReply(NamedTuple):
    """A vendor's answer."""

    result: CommandResult
    segment: Segment


VENDORS_COMMAND = Command.of(Opcode(0xC7), SetMark, "C")
ALL_COMMANDS = (*COMMANDS.values(), VENDORS_COMMAND)


class Shown(NamedTuple):
    """A field as it is to be shown: its name in filters, its number or bytes in hex, and words that stand beside."""

    name: str
    value: int | str
    words: tuple[str, ...] = ()


def drawn(layout: Any, random: Random, counts: dict[str, int] | None = None) -> Any:
    """Any value that the layout carries."""
    match layout:
        case Record():
            inner = {name: part.maximum for name, part in layout.parts if isinstance(part, Count)}
            values = [drawn(part, random, inner) for name, part in layout.parts if name and name not in inner]
            return layout.cls(*values)
        case Mapped():
            return random.choice(list(layout.value_of.values()))
        case Octets():
            return random.randbytes(random.randint(0, (counts or {})[layout.count]))
        case Rows():
            number = (
                layout.count
                if isinstance(layout.count, int)
                else random.randint(0, (counts or {})[layout.count])
            )
            return tuple(drawn(atom(layout.row), random) for _ in range(number))
        case construct.Bytes():
            return random.randbytes(layout.sizeof())
    return random.randint(*integer_range(layout))


def shown_of(prefix: str, read: Any) -> Iterator[Shown]:
    """What is to be shown of a message that was decoded."""
    for name, value in zip(read._fields, read, strict=True):
        yield from _shown(f"{prefix}.{name}", name, value, type(read))


def _shown(path: str, name: str, value: Any, cls: type) -> Iterator[Shown]:
    if hasattr(value, "_fields"):
        yield from shown_of(path, value)
    elif isinstance(value, tuple):
        for row in value:
            if cls is LogReadReply:
                yield from _entry(row)
            else:
                yield from _shown(path, name, row, cls)
    elif isinstance(value, bytes):
        if value:
            yield Shown(path, value.hex())
    elif isinstance(value, IntFlag) and not _is_one_bit_of(cls, name):
        yield Shown(path, int(value), tuple(str(bit.name) for bit in value))
    elif isinstance(value, IntEnum | IntFlag):
        yield Shown(path, int(value), (str(value.name),))
    elif isinstance(value, bool):
        yield Shown(path, int(value), ("true" if value else "false",))
    elif value is None:
        yield Shown(path, 0xFF, ("none",))
    else:
        unit = bare_name_and_unit(name)[1]
        in_hex = name.endswith(("crc", "crc32", "token"))
        yield Shown(path, value, (f"{value} {unit}",) if unit and not in_hex else ())


def _is_one_bit_of(cls: type, name: str) -> bool:
    layout = dict(declaration_of(cls).record.parts)[name]
    return 0 not in layout.value_of


def _entry(raw: bytes) -> Iterator[Shown]:
    entry = LogEntry.unpack(raw)
    for shown in shown_of("pumpbench.log", entry):
        if shown.name == "pumpbench.log.data":
            yield from shown_of(f"pumpbench.log.{entry.type.name.lower()}", entry.details())
        else:
            yield shown
    yield Shown("pumpbench.log.check", int.from_bytes(raw[-2:], "little"))


class Sample(NamedTuple):
    """A frame as it is on the wire, and what is to be shown of its message."""

    frame: bytes
    way: Way
    shown: list[Shown]


class Line:
    """Makes frames, each with a counter of its own."""

    def __init__(self) -> None:
        self._ctr = {Kind.REQUEST: 0, Kind.RESPONSE: 0}

    def frame(
        self, kind: Kind, opcode: int, payload: bytes, *, key: bytes | None, sid: int | None = None
    ) -> bytes:
        """One decoded frame, sealed where there is a key; an answer is one to the last request."""
        to_pump = kind is Kind.REQUEST
        counts = Kind.REQUEST if to_pump else Kind.RESPONSE
        self._ctr[counts] += 1
        ctr, ref = self._ctr[counts], self._ctr[Kind.REQUEST] if kind in {Kind.RESPONSE, Kind.ERROR} else 0
        if sid is None:
            sid = CLEAR_SID if key is None else SID
        if kind is Kind.HANDSHAKE:
            ctr = ref = 0
        header = pack_header(kind, 0 if key is None else SECURED, opcode, len(payload), sid, ctr, ref)
        if key is not None:
            payload = seal(key, TO_PUMP if to_pump else FROM_PUMP, sid, ctr, header, payload)
        return with_crc(header + payload)


def samples(random: Random, line: Line) -> Iterator[Sample]:
    """Every kind of message, in clear and sealed, and every type of log entry."""
    for opcode, cls in HANDSHAKE_MESSAGES.items():
        name = "hs_reject" if opcode is Handshake.REJECT else opcode.name.lower()
        way = Way.TO_PUMP if opcode in {Handshake.CLIENT_HELLO, Handshake.CLIENT_PROOF} else Way.FROM_PUMP
        yield _sample(line, Kind.HANDSHAKE, opcode, cls, f"pumpbench.hs.{name}", way, random, None)
    for key in (None, KEY):
        for row in ALL_COMMANDS:
            name = f"pumpbench.{row.name.lower()}"
            yield _sample(
                line, Kind.REQUEST, row.opcode, row.request, name + ".req", Way.TO_PUMP, random, key
            )
            yield _sample(
                line, Kind.RESPONSE, row.opcode, row.response, name + ".rsp", Way.FROM_PUMP, random, key
            )
            yield _sample(
                line, Kind.ERROR, row.opcode, ErrorReply, "pumpbench.err", Way.FROM_PUMP, random, key
            )
        for event, cls in EVENTS.items():
            name = f"pumpbench.{event.name.lower()}.evt"
            yield _sample(line, Kind.EVENT, event, cls, name, Way.FROM_PUMP, random, key)
    entries = [
        LogEntry(
            random.getrandbits(32), random.getrandbits(32), random.getrandbits(16), log_type,
            random.getrandbits(8), random.choice(list(LogFlag)), random.getrandbits(32),
            pack_data(drawn(declaration_of(cls).record, random)),
        ).pack()
        for log_type, cls in DATA_OF.items()
    ]  # fmt: skip
    for first in range(0, len(entries), LOG_READ_MAX):
        reply = LogReadReply(LogName.MAIN, 1, first, 0, 0, 0, tuple(entries[first : first + LOG_READ_MAX]))
        frame = line.frame(Kind.RESPONSE, Opcode.LOG_READ, encode(reply), key=KEY)
        yield Sample(frame, Way.FROM_PUMP, list(shown_of("pumpbench.log_read.rsp", reply)))


def _sample(
    line: Line, kind: Kind, opcode: int, cls: type, prefix: str, way: Way, random: Random, key: bytes | None
) -> Sample:  # fmt: skip
    drawn_message = drawn(declaration_of(cls).record, random)
    if cls is LogReadReply:  # its entries are bytes to the declaration, and have a check
        drawn_message = drawn_message._replace(entries=())
    payload = encode(drawn_message)
    frame = line.frame(kind, opcode, payload, key=key)
    return Sample(frame, way, list(shown_of(prefix, decode(cls, payload))))


class Capture:
    """A recording that is written packet by packet; `packets` is how many there are."""

    def __init__(self) -> None:
        self.data = recording.beginning({"target": "none"}, "0")
        self.packets = 0

    def add(self, data: bytes, way: Way = Way.FROM_PUMP) -> int:
        """A packet with these bytes; returns its number."""
        return self.add_block(recording.passed(way, self.time_ns, data))

    def add_frame(self, frame: bytes, way: Way = Way.FROM_PUMP) -> int:
        """A packet with one frame as it is on the wire."""
        return self.add(encode_frame(frame), way)

    @property
    def time_ns(self) -> int:
        """When the next packet passes."""
        return EPOCH_NS + self.packets * STEP_NS

    def add_block(self, block: bytes) -> int:
        """A packet as a whole block."""
        self.data += block
        self.packets += 1
        return self.packets

    def add_segment(self, interface_id: int, sequence: int, data: bytes, port: int) -> int:
        """A packet of an interface of raw IP: a TCP segment to a port."""
        tcp = (
            (40_000).to_bytes(2, "big") + port.to_bytes(2, "big") + sequence.to_bytes(4, "big")
            + bytes(4) + b"\x50\x18\x20\x00" + bytes(4) + data
        )  # fmt: skip
        ip = b"\x45\x00" + (20 + len(tcp)).to_bytes(2, "big") + bytes(4) + b"\x40\x06" + bytes(2)
        return self.add_block(
            pcapng.packet(interface_id, self.time_ns, ip + b"\x0a\x00\x00\x01\x0a\x00\x00\x02" + tcp)
        )
