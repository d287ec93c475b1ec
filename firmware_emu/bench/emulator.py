"""Puts an emulator together of pump, image, port, link and rig control, runs it, and gives all of it back.

Whatever can be wrong is found before the ready line. Order matters: the image is locked before anything is
touched, the port is open and raw before its link appears, rig control listens before the line says so. What
only some starts need (an image, TCP, rig control) is imported by those.
"""

from __future__ import annotations

import base64
import os
import selectors
import signal
import stat
import sys
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from firmware_emu.bench.clock import MANUAL, REAL, Clock, Pace
from firmware_emu.bench.command_queue import CommandQueue
from firmware_emu.bench.errors import BadConfigurationError
from firmware_emu.bench.key_file import KeyFile
from firmware_emu.bench.link_lock import LinkLock
from firmware_emu.bench.ports.schemes import port_named
from firmware_emu.bench.profile_file import load_profile, profile_path
from firmware_emu.bench.pump_host import PumpHost, new_pump, restored_pump
from firmware_emu.bench.rack import board_of, pump_of, run_together
from firmware_emu.bench.ready_line import tell
from firmware_emu.bench.runner import Runner
from firmware_emu.controller.memory.identity import Identity
from firmware_emu.controller.memory.memory import Memory
from firmware_emu.controller.memory.memory_map import Region
from firmware_emu.version import VERSION
from protocol.capture.limits import SIZE_LIMIT_BYTES
from protocol.wire import checksum, framing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import ExitStack
    from pathlib import Path

    from firmware_emu.bench.image_file import ImageFile
    from firmware_emu.bench.line_recording import LineRecording
    from firmware_emu.bench.ports.port import Say
    from firmware_emu.bench.rig.server import RigServer
    from firmware_emu.bench.signals import EndingSignals
    from firmware_emu.bench.snapshot import Snapshot
    from firmware_emu.profile import Profile
    from firmware_emu.pump import Pump

SEED_BITS = 53  # drawn seeds stay exact in programs whose numbers are doubles
TOKEN_BYTES = 32
STDIN = 0
STDIN_READ_BYTES = 4_096
_EXTENSIONS = {"crcmod": checksum.uses_c_extension, "cobs": framing.uses_c_extension}


class Wanted(NamedTuple):
    """What the command line asks for; `port` as `SCHEME:PLACE`."""

    profile: str = "implanted"
    seed: int | None = None
    pace: Pace = REAL
    link: Path | None = None
    port: str = "pty"
    control: str | None = None
    image: Path | None = None
    snapshot: Path | None = None
    off_ms: int = 0
    memory_id: int | None = None
    syncing: bool = True
    until_eof: bool = False
    record: Path | None = None
    record_secrets: bool = True
    record_limit_bytes: int = SIZE_LIMIT_BYTES
    boards: int = 1


class Board(NamedTuple):
    """One pump with all that is open around it, and what its ready line says."""

    runner: Runner
    command_queue: CommandQueue[Runner]
    opened: Mapping[str, object]


def emulate(wanted: Wanted, say: Say, signals: EndingSignals) -> None:
    """Run an emulator until a signal or the rig ends it. `say` is told what people should know."""
    if wanted.until_eof:
        _check_stdin_is_held()
    each = [(board_of(wanted, number), number) for number in range(1, wanted.boards + 1)]
    locks = [None if one.link is None else LinkLock(one.link) for one, _ in each]
    for (one, _), lock in zip(each, locks, strict=True):
        _check_paths(one, lock)
    snapshot = None if wanted.snapshot is None else _snapshot(wanted.snapshot)
    profile = load_profile(wanted.profile) if snapshot is None else snapshot.pump.profile
    with signals.making() as stack:
        boards = [
            _open(one, pump_of(profile, number), snapshot, lock, say, signals, stack)
            for (one, number), lock in zip(each, locks, strict=True)
        ]
        for library, extension in _EXTENSIONS.items():
            if not extension():
                say(f"{library} runs in pure Python, some 20 times slower: install a C compiler and it again")
        if wanted.image is None and not wanted.syncing:
            say("--sync never has no effect: it is about an --image")
        if wanted.until_eof:
            first = boards[0].runner
            first.selector.register(STDIN, selectors.EVENT_READ, lambda _events: _stop_at_eof(first))
        for board in boards[:-1]:
            tell(board.opened, lambda: None)
        # while the line waits for a reader nothing runs that could stop: until then a signal ends the process
        tell(boards[-1].opened, lambda: _stop_on_signals(signals, boards, stack))
        run_together([board.runner for board in boards])


def _open(
    wanted: Wanted,
    profile: Profile,
    snapshot: Snapshot | None,
    lock: LinkLock | None,
    say: Say,
    signals: EndingSignals,
    stack: ExitStack,
) -> Board:
    """Open all of one board; `stack` closes it."""
    with signals.held():
        host, seed = (
            _host(wanted, profile, stack, say)
            if snapshot is None
            else _host_of_snapshot(wanted, snapshot, stack)
        )
    with signals.held():
        scheme, place = port_named(wanted.port)
        port = scheme.open(place, say)
        stack.callback(port.close)
        if lock is not None:
            lock.acquire(port.address)
            stack.callback(lock.release)
    command_queue: CommandQueue[Runner] = CommandQueue()
    server = _rig_server(wanted, command_queue, say)
    with signals.held():
        keys = KeyFile(profile.keys)
        stack.callback(keys.remove)
    recording = None
    if wanted.record is not None:
        with signals.held():
            recording = _recording(wanted, wanted.record, host, seed, say)
            stack.callback(recording.close)
    runner = Runner(host, Clock(host.pump.now_ms, wanted.pace), port, command_queue, recording)
    stack.callback(runner.selector.close)
    if server is not None:
        server.attach(runner.selector)
        stack.callback(server.close)
        say(f"rig control is on at {server.url}: whoever has its token can stop this pump")
    elif wanted.pace == MANUAL:
        say("nothing can turn this pump's clock: --time manual needs --control")
    runner.settle()  # what the line says of the pump is on file before it is said
    opened = {
        "target": scheme.target.format(port.address),
        "port": None if scheme.name == "tcp" else port.address,
        "link": None if wanted.link is None else str(wanted.link.absolute()),
        "tcp": port.address if scheme.name == "tcp" else None,
        "control": None if server is None else server.url,
        "token": None if server is None else server.token,
        "keys": str(keys.path),
        "identity": {
            "serial": profile.model.serial,
            "memory_id": _memory_id(host.pump),
            "profile": profile.name,
            "security": "secured" if profile.model.secured else "unsecured",
        },
        "seed": seed,
        "image": None if wanted.image is None else str(wanted.image.absolute()),
        "recording": None if wanted.record is None else str(wanted.record.absolute()),
        "time": str(wanted.pace),
        "version": VERSION,
    }
    return Board(runner, command_queue, opened)


def _stop_on_signals(signals: EndingSignals, boards: Sequence[Board], stack: ExitStack) -> None:
    """From now on end in good order at a signal.

    A handler alone is not enough: a signal that comes just before the selector begins to wait runs no Python until
    the wait is over, so the system's handler writes to a command queue's pipe too.
    """
    signal.set_wakeup_fd(boards[0].command_queue.wake_descriptor, warn_on_full_buffer=False)
    stack.callback(signal.set_wakeup_fd, -1)

    def stop(_number: int) -> None:
        for board in boards:
            board.runner.stop()

    signals.hand_to(stop)


def _check_paths(wanted: Wanted, lock: LinkLock | None) -> None:
    """BadConfigurationError where two options name one file, or a path cannot be found from where this was started."""
    files: dict[str, Path] = {}
    if lock is not None:
        files |= {"--link": lock.link, "the lock of --link": lock.lock_path}
    if wanted.image is not None:
        files["--image"] = wanted.image
    if wanted.snapshot is not None:
        files["--snapshot"] = wanted.snapshot
    if wanted.record is not None:
        files["--record"] = wanted.record
    profile = profile_path(wanted.profile)
    if profile is not None:
        files["--profile"] = profile
    try:
        places = {name: _places(path) for name, path in files.items()}
    except FileNotFoundError as error:
        raise BadConfigurationError(
            "the directory that this was started in is gone; change to one that is there"
        ) from error
    except (OSError, ValueError):
        return  # whoever opens it says what is wrong with it
    for one, other in combinations(places, 2):
        if places[one] & places[other]:
            raise BadConfigurationError(
                f"{other} and {one} are one file, {files[other]}; choose another name for one of them"
            )


def _places(path: Path) -> set[str]:
    """Where a path lies by its own name, and where it leads to."""
    return {os.path.join(os.path.realpath(path.parent), path.name), os.path.realpath(path)}  # noqa: PTH118


def _check_stdin_is_held() -> None:
    """BadConfigurationError unless stdin is something whose other end somebody can hold and let go."""
    try:
        mode = os.fstat(STDIN).st_mode
    except OSError:
        mode = 0
    held = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or (stat.S_ISCHR(mode) and os.isatty(STDIN))
    if sys.stdin is None or not held:  # a descriptor 0 that is not Python's stdin was opened by somebody else
        raise BadConfigurationError(
            "--until-eof waits for the end of stdin, and stdin is no pipe, socket or terminal; "
            "hold a pipe as stdin, or leave --until-eof out"
        )


def _stop_at_eof(runner: Runner) -> None:
    """Discard what is written to stdin; stop when nobody can write there any more."""
    try:
        more = os.read(STDIN, STDIN_READ_BYTES)
    except BlockingIOError:
        return
    except OSError:  # a terminal that was hung up
        more = b""
    if not more:
        runner.selector.unregister(STDIN)
        runner.stop()


def _host(wanted: Wanted, profile: Profile, stack: ExitStack, say: Say) -> tuple[PumpHost, int]:
    """The pump of the image, or a new one; with the seed that it was made with."""
    drawn = int.from_bytes(os.urandom(8), "big") >> (64 - SEED_BITS) if wanted.seed is None else wanted.seed
    hashing = wanted.control is not None
    if wanted.image is None:
        return PumpHost(new_pump(profile, drawn, _new_memory_id(wanted)), hashing=hashing), drawn
    from firmware_emu.bench.image_file import ImageFile  # noqa: PLC0415

    image = ImageFile(wanted.image, profile, syncing=wanted.syncing)
    stack.callback(image.close)
    seed = image.seed
    if seed is None:
        seed = drawn
        image.begin(seed)
    elif wanted.seed is not None and wanted.seed != seed:
        raise BadConfigurationError(
            f"image {wanted.image} holds a pump of seed {seed}; leave --seed out, or choose another --image"
        )
    return PumpHost(_pump_of(image, seed, wanted, profile, say), image, hashing=hashing), seed


def _snapshot(path: Path) -> Snapshot:
    from firmware_emu.bench.snapshot import read_snapshot_file  # noqa: PLC0415 - where it is asked for

    return read_snapshot_file(path)


def _host_of_snapshot(wanted: Wanted, snapshot: Snapshot, stack: ExitStack) -> tuple[PumpHost, int]:
    """The pump of a snapshot, to others one that lost its memory; in a new image where one is wanted."""
    from firmware_emu.bench.snapshot_shelf import KeptSnapshot  # noqa: PLC0415 - as above

    pump = snapshot.pump
    seed = int.from_bytes(pump.plant.entropy.seed, "big")
    image = None
    if wanted.image is not None:
        from firmware_emu.bench.image_file import ImageFile  # noqa: PLC0415 - as above

        image = ImageFile(wanted.image, pump.profile, syncing=wanted.syncing)
        stack.callback(image.close)
        if image.seed is not None:
            raise BadConfigurationError(
                f"image {wanted.image} holds a pump already; choose another --image for that of --snapshot"
            )
        image.begin(seed)
    host = PumpHost(pump, image, hashing=wanted.control is not None)
    host.go_on_from(KeptSnapshot("file", snapshot), _new_memory_id(wanted))
    return host, seed


def _pump_of(image: ImageFile, seed: int, wanted: Wanted, profile: Profile, say: Say) -> Pump:
    """The pump that an image remembers, or a new one; a memory that lost something is another memory."""
    remembered = image.remembered
    lost = (
        f"the last {image.dropped_bytes} bytes of image {wanted.image} were no whole record and are dropped"
    )
    if remembered is None:
        if image.dropped_bytes:
            say(f"{lost}; nothing is left of the pump in it, so this is a new one")
        return new_pump(profile, seed, _new_memory_id(wanted))
    if not image.dropped_bytes:
        pump = restored_pump(profile, remembered, wanted.off_ms)
        found = _memory_id(pump)
        if wanted.memory_id is not None and found != f"{wanted.memory_id:016x}":
            raise BadConfigurationError(
                f"image {wanted.image} holds a memory of id {found}; leave --memory-id out, or choose another --image"
            )
        return pump
    if wanted.memory_id is not None:
        raise BadConfigurationError(f"{lost}; what is left is another memory: leave --memory-id out")
    pump = restored_pump(profile, remembered, wanted.off_ms, _new_memory_id(wanted))
    say(
        f"{lost}: the pump may have forgotten what it did last, so its memory takes a new identity, "
        f"{_memory_id(pump)}"
    )
    return pump


def _new_memory_id(wanted: Wanted) -> int:
    """The id of a new memory: never from the seed, or a second pump of that seed would be taken for the first."""
    return int.from_bytes(os.urandom(8), "big") if wanted.memory_id is None else wanted.memory_id


def _rig_server(wanted: Wanted, command_queue: CommandQueue[Runner], say: Say) -> RigServer | None:
    """Rig control where it is asked for, with a token that never comes from the seed."""
    if wanted.control is None:
        return None
    from firmware_emu.bench.rig.server import RigServer  # noqa: PLC0415

    token = base64.urlsafe_b64encode(os.urandom(TOKEN_BYTES)).rstrip(b"=").decode()
    return RigServer(wanted.control, token, command_queue, say)


def _recording(wanted: Wanted, path: Path, host: PumpHost, seed: int, say: Say) -> LineRecording:
    """What --record asked for, begun."""
    from firmware_emu.bench.line_recording import LineRecording  # noqa: PLC0415 - where it is asked for

    model = host.pump.profile.model
    told = {
        "target": "emulator",
        "serial": model.serial,
        "memory_id": _memory_id(host.pump) or "unknown",
        "profile": host.pump.profile.name,
        "security": "secured" if model.secured else "unsecured",
        "seed": str(seed),
        "pace": str(wanted.pace),
    }
    recording = LineRecording(
        path, host, told, say, with_secrets=wanted.record_secrets, size_limit_bytes=wanted.record_limit_bytes
    )
    if wanted.record_secrets and model.secured:
        say(
            f"{path} will hold the keys of its sessions: whoever has it can read them (--no-secrets leaves them out)"
        )
    return recording


def _memory_id(pump: Pump) -> str | None:
    """The id of the pump's memory, 16 hex digits, read as a service tool would; None where it cannot be read."""
    record = Memory(pump.plant.flash, pump.profile.model.log_capacity).read_record(Region.IDENTITY)
    return None if record is None else f"{Identity.unpack(record).memory_id:016x}"
