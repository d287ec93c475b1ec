"""What a recording of a line holds, in the blocks of `pcapng`: which packet, mark and secret is which [README.md].

A recording is a stream of entries. Nothing here opens a file or reads a clock.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple, overload

from protocol.capture import pcapng
from protocol.capture.pcapng import LINKTYPE_USER0, Damage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from protocol.capture.pcapng import Readable, Taken, Taker

SECRETS_KIND: Final = 0x504D5042
"""Of a Decryption Secrets Block with session keys of ours: "BPMP" on disk."""
RECORDED_BY: Final = "pumpbench"
EVENT: Final = "event"
"""Kind of a mark: something that happened to an emulated pump, as JSON with kind, now_ms, line_ms, fields and text."""
WALL_MOVED: Final = "wall clock moved"
TEST_BEGINS: Final = "test begins"
TEST_ENDS: Final = "test ends"
RIG: Final = "rig"
LINE_FAULT: Final = "line fault"
DROPPED: Final = "dropped"
LINE_GAP: Final = "line gap"
BENCH_ASKS: Final = "bench asks"
ASKED: Final = "done"
CONSOLE: Final = "console"
"""Kinds of marks: what the wall clock did, a test of a run, what it did with its rig and to its line; bytes that one
side sent and the other never took; that the line was lost, and that it is back; that a bench asks for itself, which is
no part of the test, until the same mark says "done"; a line of the board's console."""
PUMP_MS: Final = "pump_ms: "
"""How the comment of a packet begins that tells the pump's own time."""
_SECRET_LINE: Final = re.compile(r"session (\d{1,5}) ((?:[0-9a-f]{2})+)")
NOWHERE: Final = -1
"""The place of damage that is a whole block with a strange content."""


class Way(IntEnum):
    """Which way bytes went; the number of the interface on which they are kept."""

    TO_PUMP = 0
    FROM_PUMP = 1

    @property
    def words(self) -> str:
        """As interfaces are called, and people write it."""
        return _NAMES[self]


_new: Callable[..., Passed] = tuple.__new__
"""What Passed() would call, without the detour: this is the hot path."""
BENCH: Final = 2
"""The interface of the marks."""
_NAMES: Final = ("to-pump", "from-pump", "bench")
# A recorder stands at the programmer: what goes to the pump goes out.
_FLAGS: Final = {
    Way.TO_PUMP: pcapng.option(pcapng.OPT_FLAGS, pcapng.OUTBOUND.to_bytes(4, "little")),
    Way.FROM_PUMP: pcapng.option(pcapng.OPT_FLAGS, pcapng.INBOUND.to_bytes(4, "little")),
}


_WAY_OF_NAME: Final = {way.words: way for way in Way}
_FOREIGN: Final = "a packet"
_LINK_NAMES: Final = {
    1: "Ethernet",
    101: "IP",
    105: "IEEE 802.11",
    113: "Linux cooked",
    189: "USB",
    201: "Bluetooth",
    220: "USB",
    249: "USB",
    250: "a serial line, RTAC",
    251: "Bluetooth LE",
}
"""What people capture besides, by its number [tcpdump.org/linktypes.html]."""
_WAY_OF_FLAGS: Final = {pcapng.OUTBOUND: Way.TO_PUMP, pcapng.INBOUND: Way.FROM_PUMP}


class Beginning(NamedTuple):
    """A recorder has begun: what it says of itself, by name; empty where somebody else's tool recorded."""

    told: Mapping[str, str]
    application: str


class Passed(NamedTuple):
    """Bytes that passed: a frame with its delimiters, or what stood between frames.

    `time_ns` since the epoch, of the last of them; None where the file has no times. `pump_ms` is the pump's own time,
    where the recorder knew it. `way` is None where the file does not say.
    """

    time_ns: int | None
    way: Way | None
    data: bytes
    pump_ms: int | None = None
    lost_bytes: int = 0
    """Of these bytes, how many the recorder did not keep."""


class Mark(NamedTuple):
    """What a bench did or saw at a time: `kind` in a word or two, `text` the rest."""

    time_ns: int | None
    kind: str
    text: str


class SessionSecret(NamedTuple):
    """What opens the frames of a session from here on; never a device's own key."""

    sid: int
    sealing: bytes

    def __repr__(self) -> str:
        return f"SessionSecret(sid={self.sid}, hidden)"


Entry = Beginning | Passed | Mark | SessionSecret | Damage


# --- writing --------------------------------------------------------------------------------------------------------


def beginning(told: Mapping[str, str], version: str) -> bytes:
    """The first bytes of a recording. ValueError for a name or a value that does not fit on a line of its own."""
    for name, value in told.items():
        if not name or ":" in name or "\n" in name + value:
            raise ValueError(f"{name!r}: {value!r} is no line `name: value`")
    comment = "\n".join(f"{name}: {value}" for name, value in told.items())
    return pcapng.section_header(comment, f"{RECORDED_BY} {version}") + b"".join(
        map(pcapng.interface, _NAMES)
    )


def passed(way: Way, time_ns: int, data: bytes, pump_ms: int | None = None) -> bytes:
    """The block of bytes that passed."""
    options = _FLAGS[way]
    if pump_ms is not None:
        options = pcapng.option(pcapng.OPT_COMMENT, b"%b%d" % (PUMP_MS.encode(), pump_ms)) + options
    return pcapng.packet(way, time_ns, data, options)


def mark(time_ns: int, kind: str, text: str) -> bytes:
    """The block of a mark. ValueError for a kind with a colon."""
    if ":" in kind or not kind:
        raise ValueError(f"{kind!r} is no kind of mark: it is empty, or has a colon")
    words = f"{kind}: {text}".encode()[:OPTION_MAX_BYTES]
    return pcapng.packet(BENCH, time_ns, b"", pcapng.option(pcapng.OPT_COMMENT, words))


OPTION_MAX_BYTES: Final = 0xFFFF
"""More does not fit into an option; what is longer is cut."""


def secret_line(secret: SessionSecret) -> str:
    """A session's key as a line of text, without its end."""
    return f"session {secret.sid} {secret.sealing.hex()}"


def session_secret(secret: SessionSecret) -> bytes:
    """The block of a session's key."""
    return pcapng.secrets(SECRETS_KIND, f"{secret_line(secret)}\n".encode())


# --- reading --------------------------------------------------------------------------------------------------------


@overload
def read_entries(file: Readable) -> Iterator[Entry]: ...


@overload
def read_entries(file: Readable, taker: Taker | None) -> Iterator[Entry | Taken]: ...


def read_entries(file: Readable, taker: Taker | None = None) -> Iterator[Entry | Taken]:
    """The entries of a recording in order, damage among them.

    An interface is known by its name, wherever a tool that merged or cut files put it. Of somebody else's file each
    packet of LINKTYPE_USER0 is one that passed; packets of another kind are damage, which `is_foreign` tells apart.
    NotACapture where the file is no pcapng.
    """
    ours = False
    interfaces: list[pcapng.Interface] = []
    for block in pcapng.read_blocks(file, taker):
        match block:
            case pcapng.Packet():
                known = block.interface_id < len(interfaces)
                yield _entry(block, interfaces[block.interface_id] if known else None)
            case pcapng.Section():
                ours = block.application.startswith(RECORDED_BY)
                interfaces = []
                yield Beginning(_told(block.comments) if ours else {}, block.application)
            case pcapng.Interface():
                interfaces.append(block)
            case pcapng.Secrets():
                if block.kind == SECRETS_KIND:
                    yield from _secrets(block.data)
            case pcapng.Other():
                if ours:  # we write none
                    yield Damage(
                        block.at, f"a block of kind {block.kind:#x}, which no recorder of ours writes", None
                    )
            case Damage() | pcapng.Taken():
                yield block


def _entry(packet: pcapng.Packet, source: pcapng.Interface | None) -> Entry:
    if source is None or source.link_type != LINKTYPE_USER0:
        words = "of no interface" if source is None else f"of link type {_link_words(source.link_type)}"
        return Damage(NOWHERE, f"{_FOREIGN} {words}, where this wire has {LINKTYPE_USER0}", None)
    if not packet.data and source.name == _NAMES[BENCH]:
        kind, _colon, text = "\n".join(packet.comments).partition(": ")
        return Mark(packet.time_ns, kind, text)
    pump_ms = None
    if packet.comments:
        times = [line for line in packet.comments if line.startswith(PUMP_MS)]
        pump_ms = _number(times[0].removeprefix(PUMP_MS)) if times else None
    lost = max(0, packet.wire_bytes - len(packet.data))
    return _new(Passed, (packet.time_ns, _way(packet, source.name), packet.data, pump_ms, lost))


def is_foreign(damage: Damage) -> bool:
    """Whether this is no damage of a file but a packet of something else than a line to a pump."""
    return damage.at == NOWHERE and damage.what.startswith(_FOREIGN)


def _link_words(link_type: int) -> str:
    name = _LINK_NAMES.get(link_type)
    return str(link_type) if name is None else f"{link_type} ({name})"


def _way(packet: pcapng.Packet, name: str) -> Way | None:
    return _WAY_OF_FLAGS.get(packet.flags & 3, _WAY_OF_NAME.get(name))


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.lstrip("-").isdigit() else None


def _told(comments: tuple[str, ...]) -> dict[str, str]:
    lines = (line.partition(": ") for comment in comments for line in comment.split("\n"))
    return {name: value for name, colon, value in lines if colon}


def _secrets(data: bytes) -> Iterator[Entry]:
    for line in data.decode("ascii", "replace").splitlines():
        found = _SECRET_LINE.fullmatch(line)
        if found:
            yield SessionSecret(int(found[1]), bytes.fromhex(found[2]))
        else:
            yield Damage(NOWHERE, "secrets of a session that are no line `session SID KEY`", None)
