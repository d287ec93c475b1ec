"""Boards on ports: a device path, `usb:VID:PID[:SERIAL]`, and a name of the bench file.

What they have beyond a bare port: the port is looked for anew at each opening, the pump that answers is compared with
the one that has to, and a board may be reset where somebody asks for it.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, cast

from hil.address import parse
from hil.errors import BadConfiguration
from hil.programmer.expected_pump import ExpectedPump
from hil.targets import make_target
from hil.targets.choices import PumpChoice
from hil.targets.port import BAUD, LineLevels, PortTarget, open_port
from hil.targets.reset import NO_RESET, RESET_METHODS, ResetOrder, run_command
from hil.targets.usb import find_port, serial_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hil.bench_file import BenchTarget
    from hil.capabilities import TargetCapability
    from hil.targets.descriptor import DescriptorChannel
    from hil.targets.usb import SerialPort, UsbAddress

    OpenLine = Callable[[LineLevels], DescriptorChannel]
    ListPorts = Callable[[], Iterable[SerialPort]]

MS_PER_S = 1_000


class BoardTarget(PortTarget):
    """One board behind a port. `bench` is its part of the bench file; None where it has no name there."""

    def __init__(self, address: str, open_line: OpenLine, bench: BenchTarget | None = None) -> None:
        """`address` as the person wrote it; `open_line` opens the port with levels of its modem lines."""
        self.in_bench_file = bench
        self.levels = LineLevels() if bench is None else LineLevels(bench.dtr, bench.rts)
        self.expected_pump = (
            ExpectedPump(address)
            if bench is None
            else ExpectedPump(address, serial=bench.serial, memory_id=bench.memory_id)
        )
        self.capabilities: frozenset[TargetCapability] = frozenset() if bench is None else bench.capabilities
        self.open_line = open_line
        super().__init__(address, lambda: open_line(self.levels))

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
        if channel.lines is None:
            raise BadConfiguration(f"{self.address} has no modem lines", advice="reset it by a command")
        RESET_METHODS[name].perform(
            ResetOrder(
                channel.lines,
                lambda ms: threading.Event().wait(ms / MS_PER_S),
                *self.levels,
                self._run_reset_command,
            )
        )

    def _run_reset_command(self) -> None:
        if self.in_bench_file is None or not self.in_bench_file.reset_command:
            raise BadConfiguration(
                f"{self.address} has no reset_command", advice="write one into the bench file"
            )
        run_command(self.in_bench_file.reset_command, self.in_bench_file.directory, f"reset_command of {self.address}")


def path_target(text: str, path: str, baud: int | None) -> BoardTarget:
    """The board at a device path."""
    return BoardTarget(text, partial(_open, path, text, baud))


def usb_target(
    text: str, wanted: UsbAddress, baud: int | None, ports: ListPorts = serial_ports
) -> BoardTarget:
    """The board that `wanted` names, looked for among `ports` at each opening."""
    return BoardTarget(text, lambda levels: _open(find_port(text, wanted, ports).device, text, baud, levels))


def bench_target(text: str, bench: BenchTarget) -> BoardTarget:
    """The board that a bench file names: what its address names, with all that the file says of it."""
    inner = make_target(parse(bench.address), PumpChoice(baud=bench.baud))
    if isinstance(inner, BoardTarget):
        return BoardTarget(text, inner.open_line, bench)
    return BoardTarget(text, lambda _levels: cast("DescriptorChannel", inner.open_channel()), bench)


def _open(path: str, name: str, baud: int | None, levels: LineLevels) -> DescriptorChannel:
    return open_port(path, name, baud=BAUD if baud is None else baud, levels=levels)
