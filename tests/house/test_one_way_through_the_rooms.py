"""A received frame goes from the port to the rotor and back, and enters each room once on its way."""

from __future__ import annotations

import sys
import threading
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from firmware_emu.bench.clock import Clock, Pace
from firmware_emu.bench.command_queue import CommandQueue
from firmware_emu.bench.ports.tcp import TcpPort
from firmware_emu.bench.profile_file import load_profile
from firmware_emu.bench.pump_host import PumpHost, new_pump
from firmware_emu.bench.runner import Runner
from hil import Programmer
from hil.address import parse
from hil.targets import make_target
from tests.support.patience import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

SPEED = 1_000  # the first stroke of the bolus is due after 2 s of pump time
BOLUS_NL = 20_000
FOLDERS_OF_ROOMS = ("protocol", "firmware_emu", "firmware_emu/bench", "firmware_emu/controller")
WAY_IN = [
    ("firmware_emu/bench/runner.py", "firmware_emu/bench/ports"),
    ("firmware_emu/bench/runner.py", "firmware_emu/bench/pump_host.py"),
    ("firmware_emu/bench/pump_host.py", "firmware_emu/pump.py"),
    ("firmware_emu/pump.py", "firmware_emu/controller/controller.py"),
    ("firmware_emu/controller/controller.py", "protocol/link"),
    ("protocol/link", "protocol/wire"),
    ("firmware_emu/controller/controller.py", "protocol/codec"),
    ("firmware_emu/controller/controller.py", "firmware_emu/controller/commands"),
    ("firmware_emu/controller/commands", "firmware_emu/controller/therapy"),
    ("firmware_emu/controller/therapy", "firmware_emu/controller/memory"),
    ("firmware_emu/controller/therapy", "firmware_emu/plant"),
]


def room_of(file: str, root: Path) -> str | None:
    """The room of a source file of ours: its folder, or the file where a folder holds rooms and single files."""
    if not file.startswith((f"{root}/firmware_emu/", f"{root}/protocol/")):
        return None
    path = file.removeprefix(f"{root}/")
    folder = path.rpartition("/")[0]
    return path if folder in FOLDERS_OF_ROOMS else folder


def rooms_on_the_stack(frame: FrameType | None, root: Path) -> tuple[str, ...]:
    """The rooms in which calls stand, the outermost first; neighbours of one room count once."""
    rooms = []
    while frame is not None:
        room = room_of(frame.f_code.co_filename, root)
        if room is not None:
            rooms.append(room)
        frame = frame.f_back
    return tuple(room for room, _ in groupby(reversed(rooms)))


def test_a_frame_enters_each_room_once_on_its_way_from_port_to_rotor_and_back(root: Path) -> None:
    walks: set[tuple[str, ...]] = set()
    port = TcpPort("127.0.0.1:0", lambda _sentence: None)
    command_queue: CommandQueue[Runner] = CommandQueue()
    host = PumpHost(new_pump(load_profile("implanted"), seed=1), hashing=False)
    runner = Runner(host, Clock(0, Pace(SPEED)), port, command_queue)

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            walks.add(rooms_on_the_stack(frame, root))

    def serve() -> None:
        sys.setprofile(note)
        runner.run()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    target = make_target(parse(f"socket://{port.address}"))
    target.start()
    channel = target.open_channel()
    programmer = Programmer(channel)
    programmer.connect()
    programmer.bolus(BOLUS_NL, 80)
    while programmer.status().bolus_left_nl == BOLUS_NL:
        assert thread.is_alive()
    channel.close()
    target.close()
    runner.stop()
    thread.join(PATIENCE_S)
    runner.selector.close()
    port.close()
    steps = {step for walk in walks for step in pairwise(walk)}
    assert [step for step in WAY_IN if step not in steps] == []
    assert [walk for walk in walks if len(set(walk)) < len(walk)] == []
