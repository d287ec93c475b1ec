"""Recordings: what a frame costs on its way into the file, and out of it, against a plain log of the same frames.

A frame is an answer of GET_STATUS without cryptography; a million of them pass in all rounds together. Floors are a
text line a frame for writing and reading, and `struct.iter_unpack` over as many bytes for decoding.
"""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pcapng import FileScanner

import hil
from hil.capture.messages import read_messages
from hil.capture.tables import TABLES, rows_of
from protocol.capture.recorder import Recorder
from protocol.capture.recording import Way, read_entries
from protocol.codec.layouts import encode
from protocol.identifiers import Kind, Opcode
from protocol.link.connection import plain_frame
from scripts.bench.measure import NS_PER_US, Row, interleaved

if TYPE_CHECKING:
    from collections.abc import Iterable

ROUNDS = 5
FRAMES = 200_000
STEP_NS = 1_000_000
FIELDS = "<" + "I" * 20
"""As many numbers as a status has bytes for, read by the floor."""
OF_ANOTHER_READER = 20_000
"""Frames that python-pcapng reads: it takes some thirty times as long."""


def status_frame() -> bytes:
    """An answer to GET_STATUS, in clear."""
    with hil.connect("emulator", state=False) as pump:
        payload = encode(pump.status())
    return plain_frame(Kind.RESPONSE, Opcode.GET_STATUS, 1, 1, 1, payload).wire


class Bench:
    """Two files of the same frames in a place of their own: a recording, and a plain log."""

    def __init__(self, place: Path) -> None:
        self.frame = status_frame()
        self.ours, self.log, self.few = place / "a.pcapng", place / "a.log", place / "few.pcapng"
        self.payloads = place / "a.bin"
        self.payloads.write_bytes(bytes(struct.calcsize(FIELDS)) * FRAMES)
        self.record(self.few, OF_ANOTHER_READER)

    def record(self, path: Path | None = None, count: int = FRAMES) -> None:
        """Let so many frames pass a recorder."""
        path = self.ours if path is None else path
        recorder = Recorder(
            lambda _: path.open("wb", buffering=0), {}, "0", trouble=print, size_limit_bytes=1 << 40
        )
        for number in range(count):
            recorder.passed(Way(number & 1), self.frame, number * STEP_NS)
        recorder.close()

    def write_log(self) -> None:
        """The same as text."""
        with self.log.open("wb", buffering=0) as file:
            for number in range(FRAMES):
                file.write(b"%d %d %b\n" % (number * STEP_NS, number & 1, self.frame.hex().encode()))

    def read(self, path: Path) -> None:
        """Read a recording."""
        with path.open("rb") as file:
            consume(read_entries(file))

    def read_log(self) -> None:
        """Read the text."""
        with self.log.open("rb") as file:
            for line in file:
                time, way, data = line.split()
                _ = int(time), int(way), bytes.fromhex(data.decode())

    def another_reader(self) -> None:
        """Read a part of it with python-pcapng."""
        with self.few.open("rb") as file:
            consume(FileScanner(file))


def consume(what: Iterable[object]) -> None:
    """Take all of it."""
    for _each in what:
        pass


def rows() -> list[Row]:
    """Writing, reading and decoding."""
    with tempfile.TemporaryDirectory() as place:
        bench = Bench(Path(place))
        writing = interleaved({"log": bench.write_log, "ours": bench.record}, rounds=ROUNDS)
        reading = interleaved({"log": bench.read_log, "ours": lambda: bench.read(bench.ours)}, rounds=ROUNDS)
        beside = interleaved(
            {"another": bench.another_reader, "ours": lambda: bench.read(bench.few)}, rounds=1
        )
        telemetry = TABLES["telemetry"]
        decoding = interleaved(
            {
                "struct": lambda: consume(struct.iter_unpack(FIELDS, bench.payloads.read_bytes())),
                "decode": lambda: consume(read_messages(bench.ours)),
                "telemetry": lambda: consume(rows_of(telemetry, read_messages(bench.ours))),
            },
            rounds=1,
        )
    another, few = (ns * FRAMES / OF_ANOTHER_READER for ns in beside.values())
    floor = _us(decoding["struct"])
    return [
        Row("record a frame", "plain log", _us(writing["log"]), _us(writing["ours"]), "us", 2, limit=10),
        Row("read a frame", "plain log", _us(reading["log"]), _us(reading["ours"]), "us", 2),
        Row("read a frame", "python-pcapng", _us(another), _us(few), "us", 1),
        Row("decode a frame", "struct.iter_unpack", floor, _us(decoding["decode"]), "us", 3),
        Row("telemetry of a frame", "struct.iter_unpack", floor, _us(decoding["telemetry"]), "us", 3),
    ]


def _us(ns: float) -> float:
    return ns / FRAMES / NS_PER_US
