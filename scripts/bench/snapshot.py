"""A pump in mid-bolus with its session open: to a file, back from it, and a fork of its bench, against what is bare.

The floor of the file is the same text made by `json.dumps` and written; that of a fork is `copy.deepcopy`. These have
limits in absolute time, so the quickest of many rounds counts: what else a machine does makes a round only longer.
"""

from __future__ import annotations

import copy
import json
import tempfile
from pathlib import Path

from firmware_emu.bench.snapshot import Snapshot, read_snapshot_file, write_snapshot_file
from firmware_emu.bench.virtual import VirtualBench
from firmware_emu.units import MS_PER_DAY
from protocol.identifiers import BolusKind, Role
from protocol.messages.bolus import BolusCommit, BolusPrepare
from protocol.messages.reading import GetStatus
from scripts.bench.client import Client
from scripts.bench.measure import NS_PER_MS, NS_PER_US, Row, interleaved
from scripts.bench.virtual_time import simple

ROUNDS = 150
CALLS = 2
VOLUME_NL = 20_000
DURATION_S = 3_600


def rows() -> list[Row]:
    """A snapshot to a file and from it, and a fork of a bench."""
    bench = in_mid_bolus()
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "snapshot.json"
        document = Snapshot.of(bench.host).document()

        def to_file() -> None:
            path.unlink(missing_ok=True)
            write_snapshot_file(path, Snapshot.of(bench.host).text())

        def bare() -> None:
            path.unlink(missing_ok=True)
            write_snapshot_file(path, json.dumps(document, separators=(",", ":")))

        to_file()
        quickest = interleaved(
            {
                "deepcopy": lambda: copy.deepcopy(bench.host.pump),
                "fork": bench.host.pump.fork,
                "bench": bench.fork,
                "bare": bare,
                "from": lambda: read_snapshot_file(path),
                "to": to_file,
            },
            rounds=ROUNDS,
            calls=CALLS,
            of=min,
        )
    us = {name: taken / NS_PER_US for name, taken in quickest.items()}
    ms = {name: taken / NS_PER_MS for name, taken in quickest.items()}
    return [
        Row("fork a pump in mid-bolus", "deepcopy", us["deepcopy"], us["fork"], "us", 0.2, 100),
        Row("fork its virtual bench", "deepcopy", us["deepcopy"], us["bench"], "us", 0.3),
        Row("snapshot to a file", "json.dumps, write", ms["bare"], ms["to"], "ms", 5, 5),
        Row("snapshot from a file", "json.dumps, write", ms["bare"], ms["from"], "ms", 20),
    ]


def in_mid_bolus() -> VirtualBench:
    """A bench whose pump delivers a bolus, with the session open in which that was asked for."""
    bench = VirtualBench(simple())
    bench.advance(MS_PER_DAY)
    received = bytearray()

    def receive() -> bytes:
        data = bytes(received)
        received.clear()
        return data

    client = Client(
        lambda data: received.extend(bench.feed(data)), receive, lambda: bench.now_ms, Role.CLINICIAN
    )
    client.open()
    status = client.ask(GetStatus())
    prepared = client.ask(BolusPrepare(BolusKind.BOLUS, VOLUME_NL, DURATION_S, status.program_rev))
    client.ask(
        BolusCommit(
            status.last_cmd_id + 1, prepared.quantised_nl, DURATION_S, prepared.token, status.program_rev
        )
    )
    bench.advance(100_003)
    belief, controller = bench.host.pump.belief(), bench.host.pump.controller
    if belief is None or not belief.bolus_left_nl or controller is None or controller.link.session is None:
        raise RuntimeError("this pump has no bolus under way, or no session open")
    return bench
