"""GET_STATUS and its answer, over a PTY and over TCP: ours, and an echo of the same sizes.

Each server is a process of its own, and each client has its own server. Ours is asked by our programmer, and by
a client whose frames were made beforehand, which shows what the pump's end costs alone. Over TCP all is pinned
to one core: that repeats best.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from hil.programmer.programmer import Programmer
from hil.targets.descriptor import DescriptorChannel
from protocol.codec.layouts import encode
from protocol.identifiers import Opcode
from protocol.messages.reading import GetStatus
from scripts.bench.client import Client, host_ms
from scripts.bench.lines import Line, open_pty, open_tcp
from scripts.bench.measure import NS_PER_US, Row, interleaved

PUMPBENCH = Path(sys.executable).with_name("pumpbench")
SYSTEM_PYTHON = str(getattr(sys, "_base_executable", sys.executable))
ECHO = Path(__file__).with_name("echo_floor.py")
ROUNDS = 31
CALLS = 200
FRAME_OVERHEAD_BYTES = 1 + 1 + 12 + 8 + 4 + 1  # 00, COBS, header, tag, CRC, 00
REQUEST_BYTES = FRAME_OVERHEAD_BYTES
REPLY_BYTES = FRAME_OVERHEAD_BYTES + 78


class Kind(NamedTuple):
    """A kind of line: how the servers are told to offer it, and how a client opens it."""

    name: str
    echo: str
    emulate: str
    open_ready: Callable[[str], int]
    goal_made_beforehand: float
    goal_programmer: float


def _tcp_of(ready: str) -> int:
    return open_tcp(int(ready.rsplit(":", 1)[-1]))


KINDS = [
    Kind("PTY", "pty", "--pty", open_pty, 2.0, 2.5),
    Kind("TCP on one core", "tcp", "--tcp=127.0.0.1:0", _tcp_of, 2.2, 2.2),
]


def rows() -> list[Row]:
    """Two rows for each kind of line."""
    found = _rows_of(KINDS[0])
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})  # the servers inherit it
    try:
        found += _rows_of(KINDS[1])
    finally:
        os.sched_setaffinity(0, cores)
    return found


def _rows_of(kind: Kind) -> list[Row]:
    with ExitStack() as stack:
        place = stack.enter_context(tempfile.TemporaryDirectory())
        medians = interleaved(
            {
                "echo": _echo_client(kind, stack),
                "made beforehand": _client_of_made_frames(kind, stack, place),
                "programmer": _programmer(kind, stack, place),
            },
            rounds=ROUNDS,
            calls=CALLS,
        )
    us = {name: ns / NS_PER_US for name, ns in medians.items()}
    what = f"GET_STATUS, {kind.name}"
    made, programmed = us["made beforehand"], us["programmer"]
    return [
        Row(f"{what}, frames made beforehand", "echo", us["echo"], made, "us", kind.goal_made_beforehand),
        Row(f"{what}, our programmer", "echo", us["echo"], programmed, "us", kind.goal_programmer),
    ]


def _started(stack: ExitStack, command: list[str | Path], place: str | None = None) -> str:
    """Start a server that ends with the stack; its first line."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=place, text=True)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _echo_client(kind: Kind, stack: ExitStack) -> Callable[[], None]:
    command: list[str | Path] = [SYSTEM_PYTHON, "-I", ECHO, kind.echo, str(REQUEST_BYTES), str(REPLY_BYTES)]
    line = stack.enter_context(Line(kind.open_ready(_started(stack, command))))
    request = b"\x00" + bytes([1]) * (REQUEST_BYTES - 2) + b"\x00"

    def ask() -> None:
        line.send(request)
        left = REPLY_BYTES
        while left > 0:
            left -= len(line.receive())

    return ask


def _emulator(kind: Kind, stack: ExitStack, place: str) -> int:
    ready = json.loads(_started(stack, [PUMPBENCH, "emulate", "--until-eof", kind.emulate], place))
    return kind.open_ready(ready[kind.echo] if kind.echo == "tcp" else ready["port"])


def _client_of_made_frames(kind: Kind, stack: ExitStack, place: str) -> Callable[[], None]:
    line = stack.enter_context(Line(_emulator(kind, stack, place)))
    client = Client(line.send, line.receive)
    client.open()
    frames = []
    for _ in range(ROUNDS * CALLS + 1):
        client.end.request(Opcode.GET_STATUS, encode(GetStatus()), host_ms())
        frames.append(client.end.take_output())
        client.end._settle()  # noqa: SLF001 - frames ahead of their answers are what the window forbids
    assert len(frames[0]) == REQUEST_BYTES
    frames.reverse()

    def ask() -> None:
        line.send(frames.pop())
        left = REPLY_BYTES
        while left > 0:
            left -= len(line.receive())

    return ask


def _programmer(kind: Kind, stack: ExitStack, place: str) -> Callable[[], object]:
    descriptor = _emulator(kind, stack, place)
    os.set_blocking(descriptor, False)
    channel = DescriptorChannel(descriptor, kind.name, lambda: os.close(descriptor))
    stack.callback(channel.close)
    return stack.enter_context(Programmer(channel)).status
