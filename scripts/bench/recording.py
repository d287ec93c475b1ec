"""Recordings: what a frame costs on its way into the file, and out of it, against a plain log of the same frames.

A frame is an answer of GET_STATUS without cryptography, whose numbers go on from one to the next. A file has 200,000
of them, or as many as BENCH_FRAMES says: with a million the ratios are the same, and it takes five times as long.
Floors are a text line a frame for writing and reading, `struct.iter_unpack` over the same payloads for what they say,
and python-pcapng on the same file.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pcapng import FileScanner

import hil
from hil.capture.messages import read_messages
from hil.cli.export_command import export
from protocol.capture.recorder import Recorder
from protocol.capture.recording import Way, read_entries
from protocol.codec.layouts import encode
from protocol.identifiers import Kind, Opcode
from protocol.link.connection import plain_frame
from scripts.bench.measure import NS_PER_US, Row, interleaved

if TYPE_CHECKING:
    from collections.abc import Iterable

ROUNDS = 3
FRAMES = int(os.environ.get("BENCH_FRAMES", "200000"))
STEP_NS = 1_000_000
FIELDS = "<IIIhBBBBIIIIIQHBBIIIIIHBxI"
"""A status [SPEC 6], as the floor reads it."""
OF_ANOTHER_READER = 20_000
"""Frames that python-pcapng reads: it takes some thirty times as long."""
DIFFERENT = 10_000
"""Frames that are made; longer files have them several times."""


def frames_and_payloads() -> tuple[list[bytes], bytes]:
    """Answers to GET_STATUS in clear, and what they say."""
    with hil.connect("emulator", state=False) as pump:
        status = pump.status()
    frames, payloads = [], []
    for number in range(DIFFERENT):
        payload = encode(
            status._replace(
                status_rev=number // 10,
                t_mono_s=number,
                wall_s=status.wall_s + number,
                reservoir_calc_nl=status.reservoir_calc_nl - number,
                delivered_total_nl=number,
                last_seq=number // 50,
            )
        )
        payloads.append(payload)
        frames.append(plain_frame(Kind.RESPONSE, Opcode.GET_STATUS, 1, number, number, payload).wire)
    return frames, b"".join(payloads)


class Bench:
    """Two files of the same frames in a place of their own: a recording, and a plain log."""

    def __init__(self, place: Path) -> None:
        self.frames, payloads = frames_and_payloads()
        self.payloads = payloads * (FRAMES // DIFFERENT)
        self.ours, self.log, self.few = place / "a.pcapng", place / "a.log", place / "few.pcapng"
        self.out = place / "out.csv"
        self.record(self.few, OF_ANOTHER_READER)

    def record(self, path: Path | None = None, count: int = FRAMES) -> None:
        """Let so many frames pass a recorder."""
        path = self.ours if path is None else path
        recorder = Recorder(
            lambda _: path.open("wb", buffering=0), {}, "0", trouble=print, size_limit_bytes=1 << 40
        )
        for number in range(count):
            recorder.passed(Way(number & 1), self.frames[number % DIFFERENT], number * STEP_NS)
        recorder.close()

    def write_log(self) -> None:
        """The same as text."""
        with self.log.open("wb", buffering=0) as file:
            for number in range(FRAMES):
                data = self.frames[number % DIFFERENT].hex().encode()
                file.write(b"%d %d %b\n" % (number * STEP_NS, number & 1, data))

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

    def unpack(self) -> None:
        """Read what the payloads say, and no more."""
        consume(struct.iter_unpack(FIELDS, self.payloads))

    def unpack_to_csv(self) -> None:
        """The same, as text."""
        with self.out.open("w", newline="") as file:
            csv.writer(file).writerows(struct.iter_unpack(FIELDS, self.payloads))

    def export(self) -> None:
        """`pumpbench export` of the telemetry."""
        self.out.unlink(missing_ok=True)
        with contextlib.redirect_stderr(io.StringIO()):
            export.main(
                [str(self.ours), "--table", "telemetry", "--out", str(self.out)], standalone_mode=False
            )

    def columns(self) -> None:
        """The telemetry as arrays."""
        hil.read_recording(self.ours, tables=["telemetry"])


def consume(what: Iterable[object]) -> None:
    """Take all of it."""
    for _each in what:
        pass


def rows() -> list[Row]:
    """Writing, reading and what is made of it."""
    with tempfile.TemporaryDirectory() as place:
        bench = Bench(Path(place))
        writing = interleaved({"log": bench.write_log, "ours": bench.record}, rounds=ROUNDS)
        reading = interleaved({"log": bench.read_log, "ours": lambda: bench.read(bench.ours)}, rounds=ROUNDS)
        decoding = interleaved(
            {
                "another": bench.another_reader,
                "decode": lambda: consume(read_messages(bench.few)),
            },
            rounds=ROUNDS,
        )
        telling = interleaved({"struct": bench.unpack, "columns": bench.columns}, rounds=ROUNDS)
        exporting = interleaved({"csv": bench.unpack_to_csv, "ours": bench.export}, rounds=ROUNDS)
    another, decode = (ns / OF_ANOTHER_READER / NS_PER_US for ns in decoding.values())
    log, record = (_us(ns) for ns in writing.values())
    read_log, read = (_us(ns) for ns in reading.values())
    struct_, columns = (_us(ns) for ns in telling.values())
    to_csv, exported = (_us(ns) for ns in exporting.values())
    return [
        Row("record a frame", "plain log", log, record, "us", 2, limit=10),
        Row("read a frame", "plain log", read_log, read, "us", 2),
        Row("read a frame", "python-pcapng", another, read, "us", 1),
        Row("decode a frame", "python-pcapng", another, decode, "us", 1),
        Row("telemetry as arrays", "struct.iter_unpack", struct_, columns, "us", 3),
        Row("telemetry as arrays", "python-pcapng", another, columns, "us", 1),
        Row("telemetry as CSV", "iter_unpack to CSV", to_csv, exported, "us", 3),
    ]


def _us(ns: float) -> float:
    return ns / FRAMES / NS_PER_US
