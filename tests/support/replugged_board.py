"""A board on a PTY whose cable a test pulls and plugs in again: the pump goes on, its port is another one each time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from firmware_emu.bench.clock import MANUAL, Clock
from firmware_emu.bench.command_queue import CommandQueue
from firmware_emu.bench.ports.pty import PtyPort
from firmware_emu.bench.profile_file import load_profile
from firmware_emu.bench.pump_host import PumpHost, new_pump
from firmware_emu.bench.runner import Runner
from tests.support.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class CutPort(PtyPort):
    """A port whose cable is pulled by the next thing that the pump says, if `pull` is there."""

    pull: Callable[[], None] | None = None

    def send(self, data: bytes) -> None:
        """As a port does it; what pulls the cable is lost with it."""
        if self.pull is None:
            super().send(data)
        else:
            self.pull()


class Board:
    """A pump in this process that stands behind a link while it is plugged in."""

    def __init__(self, link: Path, seed: int = 1) -> None:
        self.link = link
        self._host = PumpHost(new_pump(load_profile("implanted"), seed))
        self._clock = Clock(0, MANUAL)
        self._comes_back = False
        self.plug_in()

    def plug_in(self) -> None:
        """Give it a new port, under the same link."""
        self._comes_back = False
        self._port = CutPort()
        self._runner = Runner(self._host, self._clock, self._port, CommandQueue())
        self._thread = threading.Thread(target=self._serve, args=(self._runner, self._port), daemon=True)
        self.link.symlink_to(self._port.address)
        self._thread.start()

    def pull_at_next_answer(self, *, comes_back: bool) -> None:
        """Let the cable be pulled when the pump answers next, and its answer be lost; it may be plugged in at once."""
        self._comes_back = comes_back
        self._port.pull = self._runner.stop

    def unplug(self) -> None:
        """Pull the cable, if it is plugged in, and leave it so."""
        self._comes_back = False
        self._runner.stop()
        self._thread.join(PATIENCE_S)

    def _serve(self, runner: Runner, port: CutPort) -> None:
        runner.run()
        self.link.unlink()
        runner.selector.close()
        port.close()
        if self._comes_back:
            self.plug_in()
