"""One damaged file of each kind, made of good sessions, and what `decode` is to say of it."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from protocol.capture import pcapng, recording
from protocol.capture.recording import Beginning, Mark, Passed, SessionSecret, Way, read_entries
from protocol.identifiers import Kind
from protocol.wire.frame import Frame
from protocol.wire.framing import DELIMITER, decode_frame

if TYPE_CHECKING:
    from collections.abc import Mapping

    from protocol.capture.recording import Entry

KEPT_FRAMES: Final = 25
"""Of a good session: a handshake and the beginning of an interrogation; and what was marked meanwhile."""
HANDSHAKE_FRAMES: Final = 4
ETHERNET: Final = 1
HOUR_NS: Final = 3_600_000_000_000
OK: Final = 0
BAD_CONFIGURATION: Final = 10


class Damaged(NamedTuple):
    """A damaged file: what was done to it, how it is made of the good ones, how `decode` ends and what it says."""

    what: str
    make: Callable[[Mapping[str, bytes]], bytes]
    exit_code: int
    says: str
    """A part of the sentence that `decode` says in the end."""
    of: tuple[str, ...] = ("mri",)
    """Of whose beginnings it is made."""
    lost: int = 0
    """How many of their packets cannot be read any more."""

    def packets(self, good: Mapping[str, bytes]) -> int:
        """How many packets can still be read."""
        blocks = [block for name in self.of for block in beginning_of(good[name])]
        return sum(block[0] == pcapng.ENHANCED_PACKET for block in blocks) - self.lost


def blocks(file: bytes) -> Iterator[bytes]:
    """The blocks of a good file of ours."""
    at = 0
    while at < len(file):
        (total,) = struct.unpack_from("<I", file, at + 4)
        yield file[at : at + total]
        at += total


def beginning_of(file: bytes) -> list[bytes]:
    """The blocks of a good file up to so many frames."""
    kept, frames = [], 0
    for block in blocks(file):
        kept.append(block)
        frames += _is_frame(block)
        if frames == KEPT_FRAMES:
            return kept
    raise AssertionError(f"a session has less than {KEPT_FRAMES} frames")


def _is_frame(block: bytes | bytearray) -> bool:
    return block[0] == pcapng.ENHANCED_PACKET and block[8] != recording.BENCH


def frames_of(parts: list[bytearray]) -> list[bytearray]:
    """Those blocks that hold frames, each to be changed in its place."""
    return [part for part in parts if _is_frame(part)]


def rewritten(entries: Iterator[Entry]) -> bytes:
    """A file with these entries."""
    return b"".join(map(_block, entries))


def _block(entry: Entry) -> bytes:
    match entry:
        case Beginning():
            return recording.beginning(entry.told, entry.application.removeprefix("pumpbench "))
        case Passed(int(time_ns), Way() as way, data, pump_ms):
            return recording.passed(way, time_ns, data, pump_ms)
        case Mark(int(time_ns), kind, text):
            return recording.mark(time_ns, kind, text)
        case SessionSecret():
            return recording.session_secret(entry)
    raise AssertionError(f"no entry of a good file of ours: {entry}")


def entries_of(file: bytes) -> Iterator[Entry]:
    """The entries of a good file of ours."""
    return read_entries(io.BytesIO(file))


def _is_handshake(data: bytes) -> bool:
    frame = decode_frame(data.strip(DELIMITER))
    return isinstance(frame, Frame) and frame.kind == Kind.HANDSHAKE


def truncated(good: Mapping[str, bytes]) -> bytes:
    """The last block has lost its end."""
    return b"".join(beginning_of(good["mri"]))[:-9]


def bit_rotten(good: Mapping[str, bytes]) -> bytes:
    """A bit of a frame, of a block's length and of a block's kind have turned."""
    parts = [bytearray(block) for block in beginning_of(good["mri"])]
    frames = frames_of(parts)
    frames[7][45] ^= 0x10
    frames[10][5] ^= 0x04
    frames[13][0] ^= 0x20
    return b"".join(parts)


def wrong_key(good: Mapping[str, bytes]) -> bytes:
    """The key of the session is another one's, and no handshake tells the right one."""

    def changed() -> Iterator[Entry]:
        for entry in entries_of(b"".join(beginning_of(good["mri"]))):
            if isinstance(entry, SessionSecret):
                yield entry._replace(sealing=bytes(reversed(entry.sealing)))
            elif not (isinstance(entry, Passed) and _is_handshake(entry.data)):
                yield entry

    return rewritten(changed())


def mixed_sessions(good: Mapping[str, bytes]) -> bytes:
    """Two lines in one file, as `mergecap` makes it of two recordings: in the order of their times."""
    one, other = (list(entries_of(b"".join(beginning_of(good[name])))) for name in ("mri", "refill"))

    def merged() -> Iterator[Entry]:
        yield from one[:1]
        for pair in zip(one[1:], other[1:], strict=False):
            yield from pair

    return rewritten(merged())


def clock_jump(good: Mapping[str, bytes]) -> bytes:
    """In the middle the clock goes back by an hour."""

    def changed() -> Iterator[Entry]:
        ahead_ns = 2 * HOUR_NS
        for number, entry in enumerate(entries_of(b"".join(beginning_of(good["mri"])))):
            if number == KEPT_FRAMES // 2:
                ahead_ns -= HOUR_NS
            if isinstance(entry, Passed | Mark) and entry.time_ns is not None:
                yield entry._replace(time_ns=entry.time_ns + ahead_ns)
            else:
                yield entry

    return rewritten(changed())


def something_else(_good: Mapping[str, bytes]) -> bytes:
    """Frames of an Ethernet, captured by somebody else's tool."""
    interface = pcapng.block(
        pcapng.INTERFACE, struct.pack("<HHI", ETHERNET, 0, 0), pcapng.option(pcapng.OPT_NAME, b"eth0")
    )
    frames = [bytes.fromhex("ffffffffffff020000000001 0806") + bytes([number]) * 46 for number in range(5)]
    packets = [pcapng.packet(0, number * 1_000, frame) for number, frame in enumerate(frames)]
    return pcapng.section_header("", "Dumpcap") + interface + b"".join(packets)


def empty(_good: Mapping[str, bytes]) -> bytes:
    """Nothing."""
    return b""


def claims_4_gib(good: Mapping[str, bytes]) -> bytes:
    """A block says that it has 4 GiB, and a packet in another says so of itself."""
    parts = [bytearray(block) for block in beginning_of(good["mri"])]
    frames = frames_of(parts)
    struct.pack_into("<I", frames[4], 4, 0xFFFF_FFFC)
    struct.pack_into("<I", frames[9], 20, 0xFFFF_FFFF)
    return b"".join(parts)


DAMAGED: Final = {
    "truncated": Damaged(
        "the last block has lost its end",
        truncated,
        BAD_CONFIGURATION,
        "is damaged in one place, the file ends within a block",
        lost=1,
    ),
    "bit_rotten": Damaged(
        "a bit of a frame, of a length and of a kind of block have turned",
        bit_rotten,
        BAD_CONFIGURATION,
        "is damaged in 2 places, the first of them a block",
        lost=2,
    ),
    "wrong_key": Damaged(
        "its key is another session's, and its handshake is gone",
        wrong_key,
        BAD_CONFIGURATION,
        "are sealed, and the key that it has for a session opens none of them",
        lost=HANDSHAKE_FRAMES,
    ),
    "mixed_sessions": Damaged(
        "the lines of two pumps in one file",
        mixed_sessions,
        OK,
        "is of a session that was over: the lines of two pumps are in one file",
        of=("mri", "refill"),
    ),
    "clock_jump": Damaged("its clock goes back by an hour", clock_jump, OK, "time goes back once in"),
    "something_else": Damaged(
        "pcapng of an Ethernet",
        something_else,
        BAD_CONFIGURATION,
        "is a capture of something else: it has a packet of link type 1 (Ethernet)",
        of=(),
    ),
    "empty": Damaged("no byte", empty, BAD_CONFIGURATION, "is no recording: it is empty", of=()),
    "claims_4_gib": Damaged(
        "a block and a packet that claim 4 GiB",
        claims_4_gib,
        BAD_CONFIGURATION,
        "is damaged in 2 places, the first of them a block that says it has 4294967292 bytes",
        lost=2,
    ),
}
"""By the name of their files."""
