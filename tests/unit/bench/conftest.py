"""What bench tests share: a selector loop with a deadline, and somewhere for a port to speak to."""

from __future__ import annotations

import os
import selectors
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.patience import PATIENCE_S
from tests.unit.bench import processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from firmware_emu.bench.ports.port import Port
    from tests.unit.bench.processes import Emulator


class Loop:
    """Turns a selector until something is so, or the deadline is over: what a runner does, without a pump."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()

    def until(self, is_so: Callable[[], bool]) -> None:
        """Serve until it is so; fails at the deadline."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not is_so():
            left_s = deadline_s - time.monotonic()
            assert left_s > 0, "did not come to be so in time"
            self.turn(min(left_s, 0.005))

    def read(self, descriptor: int, length: int) -> bytes:
        """Read exactly so many bytes from a descriptor while serving."""
        os.set_blocking(descriptor, False)
        data = bytearray()

        def enough() -> bool:
            try:
                data.extend(os.read(descriptor, length - len(data)))
            except BlockingIOError:
                return False
            return len(data) == length

        self.until(enough)
        return bytes(data)

    def received(self, port: Port, length: int) -> bytes:
        """So many bytes that came in at a port."""
        data = bytearray()

        def enough() -> bool:
            data.extend(port.take_received())
            return len(data) >= length

        self.until(enough)
        return bytes(data)

    def turn(self, timeout_s: float) -> int:
        """One turn; answers how many descriptors were ready."""
        ready = self.selector.select(timeout_s)
        for key, events in ready:
            key.data(events)
        return len(ready)


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.selector.close()


@pytest.fixture
def said() -> list[str]:
    """What a port said to people."""
    return []


@pytest.fixture
def start() -> Iterator[Callable[..., Emulator]]:
    """Starts emulators, and leaves none behind."""
    started: list[Emulator] = []

    def start_one(*arguments: object, command: Sequence[str] = processes.EMULATE) -> Emulator:
        emulator = processes.Emulator(*(str(argument) for argument in arguments), command=command)
        started.append(emulator)
        return emulator

    yield start_one
    for emulator in started:
        emulator.end()
