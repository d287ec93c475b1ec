"""pcapng of other tools whose packets hold what passed on a serial line, perhaps behind a header of the tool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hil.errors import BadConfiguration
from hil.importing.pieces import NO_TIME_NS, Note, Piece
from hil.importing.rules import how_to_say
from protocol.capture import pcapng
from protocol.capture.pcapng import Damage, NotACapture, read_blocks
from protocol.capture.recording import Way

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.importing.rules import Rules

OF_USERS: Final = range(147, 163)
"""Link types that are whatever their users say; nothing else is taken for a serial line where the rules are silent."""
_WAY_OF_FLAGS: Final = {pcapng.OUTBOUND: Way.TO_PUMP, pcapng.INBOUND: Way.FROM_PUMP}


def read_foreign_pcapng(path: Path, rules: Rules) -> Iterator[Piece | Note | Damage]:
    """Its packets, by interface, whose direction the rules say by name or number; else, of USER links, their flags.

    Packets of an interface that the rules ignore become a note each, as comments do; what is damaged comes as it is.
    """
    interfaces: list[pcapng.Interface] = []
    number = 0
    time_ns = NO_TIME_NS
    try:
        with path.open("rb") as file:
            for block in read_blocks(file):
                match block:
                    case pcapng.Section():
                        interfaces = []
                        for comment in block.comments:
                            yield Note(f"section: {comment}", time_ns)
                    case pcapng.Interface():
                        interfaces.append(block)
                    case pcapng.Packet():
                        number += 1
                        time_ns = rules.start_ns if block.time_ns is None else block.time_ns
                        yield from _packet(path, rules, block, number, interfaces)
                    case Damage():
                        yield block
                    case pcapng.Secrets():
                        yield Note(
                            f"secrets of kind {block.kind:#x}, {len(block.data)} bytes, are left out", time_ns
                        )
    except NotACapture as error:
        raise BadConfiguration(
            f"{path} is no pcapng: {error}", advice="say its format in the rules"
        ) from error


def _packet(
    path: Path, rules: Rules, packet: pcapng.Packet, number: int, interfaces: list[pcapng.Interface]
) -> Iterator[Piece | Note]:
    time_ns = rules.start_ns if packet.time_ns is None else packet.time_ns
    for comment in packet.comments:
        yield Note(f"packet {number}: {comment}", time_ns)
    name = interfaces[packet.interface_id].name if packet.interface_id < len(interfaces) else ""
    words = (name, str(packet.interface_id))
    is_free = packet.interface_id < len(interfaces) and interfaces[packet.interface_id].link_type in OF_USERS
    if set(words) & set(rules.ignore):
        yield Note(
            f"packet {number} of {name or packet.interface_id}, {len(packet.data)} bytes, is left out",
            time_ns,
        )
        return
    said = (rules.way_of(word) for word in words)
    own = _WAY_OF_FLAGS.get(packet.flags & 3) if is_free else None  # an Ethernet has flags too
    way = next((each for each in said if each is not None), own)
    if way is None:
        shown = f"interface {packet.interface_id}" + (f" ({name})" if name else "")
        raise BadConfiguration(
            f"packet {number} of {path} is of {shown}, and nobody says which way that goes",
            advice=f"{how_to_say([name or words[1]])}; ignore = [...] names interfaces of something else",
        )
    if len(packet.data) < rules.header_bytes:
        raise BadConfiguration(
            f"packet {number} of {path} has {len(packet.data)} bytes, and a header of {rules.header_bytes} before them",
            advice="check header_bytes in the rules",
        )
    if packet.wire_bytes > len(packet.data):
        yield Note(
            f"packet {number} has lost {packet.wire_bytes - len(packet.data)} bytes where it was captured",
            time_ns,
        )
    if rules.header_bytes:
        yield Note(f"packet {number} has the header {packet.data[: rules.header_bytes].hex()}", time_ns)
    data = packet.data[rules.header_bytes :]
    if data:
        yield Piece(way, data, time_ns)
