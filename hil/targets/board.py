"""Boards on ports: a device path, `usb:VID:PID[:SERIAL]`, and a name of the bench file.

What they have beyond a bare port: a lease, the port is looked for anew at each opening, the pump that answers is
compared with the one that has to, and a board may be reset where somebody asks for it.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, cast

from hil.address import parse
from hil.bench_file import LEASE_IDLE_S
from hil.capability_contract import Promise, check_claimed, check_identity
from hil.errors import BadConfiguration
from hil.instruments.composed_rig import ComposedRig, brought_by, declared_instruments
from hil.instruments.reset_line import PROFILE_WORD
from hil.leases import BoardLock, LeaseWatch, lease_directory, own_purpose
from hil.programmer.expected_pump import ExpectedPump
from hil.targets import make_target
from hil.targets.choices import PumpChoice, profile_argument
from hil.targets.cuttable import CuttableChannel, CuttableLine
from hil.targets.lab_access import lab_access
from hil.targets.port import BAUD, LineLevels, PortTarget, open_port
from hil.targets.reset import NO_RESET, RESET_METHODS, ResetOrder, run_command
from hil.targets.usb import address_of, find_port, serial_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hil.bench_file import BenchTarget
    from hil.capabilities import TargetCapability
    from hil.channel import Channel
    from hil.errors import LeaseLost
    from hil.instruments.declaration import Part
    from hil.leases import Lease
    from hil.rig import Rig
    from hil.targets.descriptor import DescriptorChannel
    from hil.targets.labgrid import LabgridAddress
    from hil.targets.target import Target
    from hil.targets.usb import SerialPort, UsbAddress

    OpenLine = Callable[[LineLevels], Channel]
    ListPorts = Callable[[], Iterable[SerialPort]]

MS_PER_S = 1_000
FLASH_LIMIT_S = 600.0  # a megabyte over a line of 115200 baud takes 90 s


class BoardTarget(PortTarget["Channel"]):
    """One board behind a port. `bench` is its part of the bench file; None where it has no name there."""

    def __init__(
        self,
        address: str,
        open_line: OpenLine,
        board: Callable[[], str],
        bench: BenchTarget | None = None,
    ) -> None:
        """`address` as the person wrote it; `open_line` opens the port with levels of its modem lines.

        `board` says which board it is, the same under each of its names: one lease a board.
        """
        self.in_bench_file = bench
        self.levels = LineLevels() if bench is None else LineLevels(bench.dtr, bench.rts)
        self.expected_pump = (
            ExpectedPump(address)
            if bench is None
            else ExpectedPump(address, serial=bench.serial, memory_id=bench.memory_id)
        )
        self.instruments = (
            ()
            if bench is None
            else declared_instruments(f"{bench.path}: targets.{bench.name}", bench.instruments)
        )
        self.instruments_used: Counter[str] = Counter()
        """In how many tests each instrument of the bench file was needed."""
        claimed: frozenset[TargetCapability] = frozenset()
        if bench is not None:
            claimed = bench.capabilities
            check_claimed(bench.path, bench.name, claimed, self.instruments)
        self.capabilities: frozenset[TargetCapability] = claimed | brought_by(self.instruments)
        if bench is not None:
            check_identity(bench.path, bench.name, bench.memory_id, self.capabilities)
        self.promise = Promise(address, self.capabilities, "" if bench is None else bench.kind)
        """What it says of itself, to be compared with the handshake."""
        self._rig: ComposedRig | None = None
        self._sent_before = 0
        self.open_line = open_line
        self.behind: Target | None = None
        """The target whose lines these are, where that is no board itself: it is started and closed with this one."""
        self.board = board
        self.purpose = own_purpose()
        """What the board is used for, as others are told who want it too."""
        self._lease: Lease | None = None
        self._watch: LeaseWatch | None = None
        super().__init__(address, lambda: open_line(self.levels))

    @property
    def rig(self) -> Rig:
        """The instruments of the bench file; UsageError where it has none for this board."""
        bench = self.in_bench_file
        if not self.instruments or bench is None:
            return super().rig
        if self._rig is None:
            access = lab_access(bench.directory)
            self._rig = ComposedRig(
                self.address, self.instruments, access, self.instruments_used, lambda: self.sent_bytes
            )
        return cast("Rig", self._rig)

    def parts(self) -> tuple[Part, ...]:
        """The instruments around it, to be looked at before a run."""
        return cast("ComposedRig", self.rig).parts() if self.instruments else ()

    @property
    def sent_bytes(self) -> int:
        """Bytes put on the board's line since it was made new, over all its channels."""
        return self._sent_before + (self._channel.sent_bytes if self._channel else 0)

    def close_line(self) -> None:
        """Close the port alone."""
        self._sent_before = self.sent_bytes
        super().close_line()

    @property
    def renews_as_told(self) -> bool:
        """Whether the reset of its bench file takes a profile."""
        return any(
            PROFILE_WORD in word for each in self.instruments for word in each.settings.get("command", ())
        )

    def renew(self, choice: PumpChoice) -> None:
        """Put the board into its first state, by the reset of its bench file; its line is closed for that."""
        self.close_line()
        with profile_argument(choice) as profile:
            cast("ComposedRig", self.rig).renew(profile)
        self._sent_before = 0

    @property
    def lock(self) -> BoardLock:
        """The lock of this board, wherever it is plugged in now."""
        bench = self.in_bench_file
        return BoardLock(lease_directory(None if bench is None else bench.leases), self.board())

    @property
    def idle_limit_s(self) -> int:
        """After how many seconds without a byte its lease ends."""
        return LEASE_IDLE_S if self.in_bench_file is None else self.in_bench_file.lease_idle_s

    def start(self) -> None:
        """Take the board's lease, and run the hook before. InUse names who has it; a failing hook leaves no lease."""
        bench = self.in_bench_file
        self._lease = self.lock.take(self.purpose, self.idle_limit_s)
        try:
            if bench is not None and bench.before:
                run_command(bench.before, bench.directory, f"the hook before {self.address}")
            if self.behind is not None:
                self.behind.start()
            self._watch = LeaseWatch(self._lease, self._moved_bytes, self._lose)
        except BaseException:
            self._end_lease()
            raise

    def open_channel(self) -> Channel:
        """Open the port; the previous channel is closed. LeaseLost where the lease was lost."""
        if self._lease is not None:
            if self._lease.lost is not None:
                raise self._lease.lost
            self._lease.use()
        channel = super().open_channel()
        line = channel if isinstance(channel, CuttableLine) else CuttableChannel(channel)
        line.may_be_cut()
        self._channel = line
        return line

    def close(self) -> None:
        """Close the port and the instruments, run the hook after, and give the lease back: each whatever the others do.

        Raises what one of them raised.
        """
        with ExitStack() as stack:  # the last that is put there is done first
            stack.callback(self._end_lease)
            stack.callback(self._run_hook_after)
            if self.behind is not None:
                stack.callback(self.behind.close)
            if self._rig is not None:
                stack.callback(self._rig.close)
            stack.callback(self.close_line)

    def _run_hook_after(self) -> None:
        """Run it, but not where the lease was lost: the board is somebody else's by now."""
        bench, lease = self.in_bench_file, self._lease
        if bench is not None and bench.after and lease is not None and lease.lost is None:
            run_command(bench.after, bench.directory, f"the hook after {self.address}")

    def _end_lease(self) -> None:
        watch, self._watch = self._watch, None
        lease, self._lease = self._lease, None
        if watch is not None:
            watch.end()
        if lease is not None:
            lease.give_back()

    def _moved_bytes(self) -> int:
        channel = self._channel
        return channel.moved_bytes if isinstance(channel, CuttableLine) else 0

    def _lose(self, lost: LeaseLost) -> None:
        channel = self._channel
        if isinstance(channel, CuttableLine):
            channel.cut(lost)

    def open_console(self) -> Channel:
        """Open the port with the board's own voice, which the bench file names; no lease is taken for it."""
        bench = self.in_bench_file
        if bench is None or not bench.console:
            raise BadConfiguration(
                f"{self.address} has no console", advice="write console into the bench file"
            )
        return make_target(parse(bench.console)).open_channel()

    @property
    def reset_method(self) -> str:
        """How this board is reset; `none` where nobody has said."""
        return NO_RESET if self.in_bench_file is None else self.in_bench_file.reset

    def reset(self, method: str = "") -> None:
        """Reset the board, by the method of the bench file or by this one; its port is open for that, and stays so.

        BadConfiguration where nobody has said how, or the line cannot; BenchLost where the command fails.
        """
        name = method or self.reset_method
        if name == NO_RESET:
            ways = ", ".join(each for each in RESET_METHODS if each != NO_RESET)
            raise BadConfiguration(
                f"nobody has said how {self.address} is reset",
                advice=f"write reset = one of {ways} into the bench file, or name one",
            )
        if name == "command":
            self._run_reset_command()
            return
        channel = self._channel or self.open_channel()
        lines = channel.lines if isinstance(channel, CuttableLine) else None
        if lines is None:
            raise BadConfiguration(f"{self.address} has no modem lines", advice="reset it by a command")
        RESET_METHODS[name].perform(
            ResetOrder(
                lines,
                lambda ms: threading.Event().wait(ms / MS_PER_S),
                *self.levels,
                self._run_reset_command,
            )
        )

    def flash(self) -> None:
        """Write the firmware to the board, by the command of the bench file. Errors as of `reset`."""
        bench = self.in_bench_file
        if bench is None or not bench.flash:
            raise BadConfiguration(
                f"{self.address} has no command that flashes it", advice="write flash into the bench file"
            )
        self.close_line()
        run_command(bench.flash, bench.directory, f"flash of {self.address}", FLASH_LIMIT_S)

    def _run_reset_command(self) -> None:
        bench = self.in_bench_file
        if bench is None or not bench.reset_command:
            raise BadConfiguration(
                f"{self.address} has no reset_command", advice="write one into the bench file"
            )
        run_command(bench.reset_command, bench.directory, f"reset_command of {self.address}")


def path_target(text: str, path: str, baud: int | None) -> BoardTarget:
    """The board at a device path."""
    return BoardTarget(text, partial(_open, path, text, baud), lambda: board_at(path, serial_ports))


def usb_target(
    text: str, wanted: UsbAddress, baud: int | None, ports: ListPorts = serial_ports
) -> BoardTarget:
    """The board that `wanted` names, looked for among `ports` at each opening."""

    def open_line(levels: LineLevels) -> Channel:
        return _open(find_port(text, wanted, ports).device, text, baud, levels)

    return BoardTarget(text, open_line, lambda: board_of(text, wanted, ports))


def labgrid_target(text: str, address: LabgridAddress, baud: int | None) -> BoardTarget:
    """The board at a place of labgrid, with a lease on this machine too: labgrid lets one user in twice."""
    from hil.targets.labgrid import place_target  # noqa: PLC0415 - where it is wanted

    inner = place_target(text, address, baud)
    coordinator = address.coordinator or os.environ.get("LG_COORDINATOR", "")
    board = BoardTarget(
        text, lambda _levels: inner.open_channel(), lambda: f"labgrid:{address.place}@{coordinator}"
    )
    board.behind = inner
    return board


def bench_target(text: str, bench: BenchTarget) -> BoardTarget:
    """The board that a bench file names: what its address names, with all that the file says of it."""
    address = parse(bench.address)
    inner = make_target(address, PumpChoice(baud=bench.baud))
    if isinstance(inner, BoardTarget):
        board = BoardTarget(text, inner.open_line, inner.board, bench)
        board.behind = inner.behind
        return board
    is_path = address.scheme.name == "pty"
    board = BoardTarget(
        text,
        lambda _levels: inner.open_channel(),
        lambda: board_at(address.place, serial_ports) if is_path else bench.address,
        bench,
    )
    board.behind = inner
    return board


def board_at(path: str, ports: ListPorts) -> str:
    """Which board is at a device path: what it is, where the system knows that, else the path itself."""
    place = os.path.realpath(os.path.expanduser(path))  # noqa: PTH111 - pathlib raises where there is no such user
    return next((address_of(port) for port in ports() if port.device == place and port.serial_number), place)


def board_of(text: str, wanted: UsbAddress, ports: ListPorts) -> str:
    """Which board a USB address names: also one that is not plugged in, which a hook may be about to power."""
    if wanted.serial_number:
        return f"usb:{wanted.vid_pid}:{wanted.serial_number}"
    try:
        port = find_port(text, wanted, ports)
    except BadConfiguration:
        return f"usb:{wanted.vid_pid}"
    return address_of(port) if port.serial_number else port.device


def _open(path: str, name: str, baud: int | None, levels: LineLevels) -> DescriptorChannel:
    return open_port(path, name, baud=BAUD if baud is None else baud, levels=levels)
