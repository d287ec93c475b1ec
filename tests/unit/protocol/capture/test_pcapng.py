"""Our pcapng is what python-pcapng and tshark say it is, and whatever is read is told, damage in its place."""

from __future__ import annotations

import io
import struct
import subprocess
from random import Random
from typing import TYPE_CHECKING

import pytest
from pcapng import FileScanner
from pcapng.blocks import EnhancedPacket, InterfaceDescription, UnknownBlock

from protocol.capture import pcapng, recording
from protocol.capture.pcapng import Damage, Interface, NotACapture, Other, Packet, Section
from protocol.capture.recording import SECRETS_KIND, Mark, Passed, SessionSecret, Way, read_entries
from tests.support.not_run import needs_program
from tests.support.soak import rounds_of
from tests.unit.protocol.capture.memory_files import EPOCH_NS

if TYPE_CHECKING:
    from pathlib import Path

    from protocol.capture.pcapng import Block

SECRET = SessionSecret(7, bytes(range(16)))


def a_recording() -> bytes:
    return b"".join(
        [
            recording.beginning({"target": "emulator", "time": "virtual"}, "0.1.0"),
            recording.mark(EPOCH_NS, "test start", "test_x"),
            recording.session_secret(SECRET),
            *(
                recording.passed(
                    Way(n % 2), EPOCH_NS + n, b"\0" + b"ab" * n + b"\0", n * 1_000 if n % 3 else None
                )
                for n in range(1, 20)
            ),
        ]
    )


def blocks(data: bytes) -> list[Block]:
    return list(pcapng.read_blocks(io.BytesIO(data)))


@pytest.mark.filterwarnings("ignore:Field type should not be")
def test_python_pcapng_reads_what_we_wrote() -> None:
    found = list(FileScanner(io.BytesIO(a_recording())))
    names = [block.options["if_name"] for block in found if isinstance(block, InterfaceDescription)]
    assert names == ["to-pump", "from-pump", "bench"]
    packets = [block for block in found if isinstance(block, EnhancedPacket)]
    ours = [entry for entry in read_entries(io.BytesIO(a_recording())) if isinstance(entry, Passed | Mark)]
    assert len(packets) == len(ours) == 20
    for packet, entry in zip(packets, ours, strict=True):
        # its `timestamp` is a float, which has no nanoseconds
        units = packet.timestamp_high << 32 | packet.timestamp_low
        assert packet.timestamp_resolution == 1e-9
        assert units == entry.time_ns
        if isinstance(entry, Passed):
            assert packet.packet_data == entry.data
            assert packet.interface_id == entry.way
            assert packet.options["epb_flags"].inout == (
                "outbound" if entry.way is Way.TO_PUMP else "inbound"
            )
            comment = packet.options.get("opt_comment")
            assert comment == (None if entry.pump_ms is None else f"pump_ms: {entry.pump_ms}")
        else:
            assert packet.options["opt_comment"] == "test start: test_x"
    (secrets,) = [block for block in found if isinstance(block, UnknownBlock)]  # it does not know secrets
    assert secrets.block_type == pcapng.SECRETS
    assert secrets.data[:4] == SECRETS_KIND.to_bytes(4, "little")


@needs_program("tshark", package="tshark")
def test_tshark_reads_what_we_wrote(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    path.write_bytes(a_recording())
    fields = (
        "frame.time_epoch",
        "frame.len",
        "frame.interface_name",
        "frame.packet_flags_direction",
        "frame.comment",
    )
    done = subprocess.run(
        ["tshark", "-r", str(path), "-T", "fields", *(part for field in fields for part in ("-e", field))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr.lower()
    ours = [entry for entry in read_entries(io.BytesIO(a_recording())) if isinstance(entry, Passed | Mark)]
    for line, entry in zip(done.stdout.rstrip("\n").split("\n"), ours, strict=True):
        assert entry.time_ns is not None
        time = f"{entry.time_ns // 10**9}.{entry.time_ns % 10**9:09}"
        if isinstance(entry, Passed):
            name, direction = ("to-pump", "2") if entry.way is Way.TO_PUMP else ("from-pump", "1")
            comment = "" if entry.pump_ms is None else f"pump_ms: {entry.pump_ms}"
            expected = [time, str(len(entry.data)), name, f"0x0000000{direction}", comment]
        else:
            expected = [time, "0", "bench", "", f"{entry.kind}: {entry.text}"]
        assert line.split("\t") == expected


def foreign(order: str, resolution: bytes | None, offset_s: int = 0, link_type: int = 147) -> bytes:
    """A file of somebody else's tool: another byte order, other times, packets of the short kind."""

    def block(kind: int, body: bytes) -> bytes:
        total = len(body) + 12
        return struct.pack(order + "II", kind, total) + body + struct.pack(order + "I", total)

    def option(code: int, value: bytes) -> bytes:
        return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)

    options = b"" if resolution is None else option(9, resolution)
    if offset_s:
        options += option(14, struct.pack(order + "q", offset_s))
    return b"".join(
        [
            block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1)),
            block(1, struct.pack(order + "HHI", link_type, 0, 0) + options + bytes(4)),
            block(6, struct.pack(order + "IIIII", 0, 1, 5, 3, 9) + b"abc\0"),
            block(5, bytes(12)),
            block(3, struct.pack(order + "I", 2) + b"xy\0\0"),
        ]
    )


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    ("resolution", "per_s"),
    [
        (None, 10**6),
        (b"\x06", 10**6),
        (b"\x09", 10**9),
        (b"\x03", 10**3),
        (b"\x8a", 1 << 10),
        (b"\x0c", 10**12),
    ],
)
def test_files_of_other_tools_are_read_with_their_times(
    order: str, resolution: bytes | None, per_s: int
) -> None:
    section, interface, packet, other, simple = blocks(foreign(order, resolution, offset_s=-3))
    assert isinstance(section, Section)
    assert isinstance(interface, Interface)
    assert isinstance(other, Other)
    time_ns = ((1 << 32) + 5) * 10**9 // per_s - 3 * 10**9
    assert packet == Packet(0, time_ns, b"abc", 9, 0, ())
    assert simple == Packet(0, None, b"xy", 2, 0, ())
    passed = [
        entry for entry in read_entries(io.BytesIO(foreign(order, resolution))) if isinstance(entry, Passed)
    ]
    assert [(entry.way, entry.data, entry.lost_bytes) for entry in passed] == [
        (None, b"abc", 6),
        (None, b"xy", 0),
    ]


def test_packets_of_another_link_are_told_and_not_taken_for_ours() -> None:
    entries = list(read_entries(io.BytesIO(foreign("<", None, link_type=1))))
    told = [entry.what for entry in entries if isinstance(entry, Damage)]
    assert told == ["a packet of link type 1 (Ethernet), where this wire has 147"] * 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it is empty"),
        (b"\xd4\xc3\xb2\xa1" + bytes(20), "a pcap file of the old kind: convert it"),
        (b"\x1f\x8b\x08", "compressed"),
        (b"hello", "it begins with 68 65 6c 6c 6f, and pcapng with 0a 0d 0d 0a"),
    ],
)
def test_what_is_no_pcapng_is_told_as_what_it_is(data: bytes, words: str) -> None:
    with pytest.raises(NotACapture, match=words):
        blocks(data)


def test_a_block_that_claims_four_gib_costs_no_memory_and_what_is_behind_it_is_read() -> None:
    whole = a_recording()
    places, at = [], 0
    while at < len(whole):
        kind, total = struct.unpack_from("<II", whole, at)
        places += [at] if kind == pcapng.ENHANCED_PACKET else []
        at += total
    torn = bytearray(whole)
    torn[places[3] + 4 : places[3] + 8] = b"\xfc\xff\xff\xff"
    found = blocks(bytes(torn))
    (damage,) = [block for block in found if isinstance(block, Damage)]
    assert damage.at == places[3]
    assert damage.what == "a block that says it has 4294967292 bytes, more than any of a recording has"
    assert damage.resumed_at == places[4]
    assert len([block for block in found if isinstance(block, Packet)]) == 19


def test_whatever_rots_in_a_file_what_is_whole_is_read_and_damage_is_told() -> None:
    whole, random = a_recording(), Random(3)
    begins = len(recording.beginning({"target": "emulator", "time": "virtual"}, "0.1.0"))
    sound = [entry for entry in read_entries(io.BytesIO(whole)) if isinstance(entry, Passed | Mark)]
    for _ in range(rounds_of("rotten recordings", 5_000, 300)):
        torn = bytearray(whole)
        for _ in range(random.randrange(1, 5)):
            torn[random.randrange(begins, len(torn))] ^= 1 << random.randrange(8)
        found = list(read_entries(io.BytesIO(torn)))
        packets = [entry for entry in found if isinstance(entry, Passed | Mark)]
        assert len(packets) >= len(sound) - 5
        assert len(packets) == len(sound) or any(isinstance(entry, Damage) for entry in found)


def test_files_that_were_joined_are_read_one_after_the_other() -> None:
    joined = a_recording() + foreign(">", b"\x09") + a_recording()
    assert len([block for block in blocks(joined) if isinstance(block, Section)]) == 3
    assert not [block for block in blocks(joined) if isinstance(block, Damage)]
    passed = [entry for entry in read_entries(io.BytesIO(joined)) if isinstance(entry, Passed)]
    assert len(passed) == 19 + 2 + 19


class Drips:
    """A file that gives few bytes at a time, as a pipe does."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int, /) -> bytes:
        return self._file.read(min(size, 7))


def test_a_pipe_that_gives_little_at_a_time_is_read_whole() -> None:
    assert list(pcapng.read_blocks(Drips(a_recording()))) == blocks(a_recording())


def test_a_name_or_value_that_needs_two_lines_is_refused() -> None:
    for told in ({"a": "b\nc"}, {"a:b": "c"}, {"": "c"}):
        with pytest.raises(ValueError, match="no line"):
            recording.beginning(told, "0")
