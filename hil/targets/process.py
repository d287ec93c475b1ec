"""The target `emulator:process`: our emulator as a process of its own, on a real PTY, its time turned by its rig.

It waits for the ready line while watching the process die, and leaves no process behind: the process ends at the
end of a pipe that we hold, so that it ends with us even where we are killed.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import tempfile
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from hil.capabilities import TargetCapability
from hil.errors import BadConfiguration, BenchLost, PumpbenchError, UsageError, error_of_emulator
from hil.rig_client import RigClient
from hil.targets.choices import PumpChoice, check_seed, profile_argument
from hil.targets.fork_server import EMULATORS, StartedEmulator
from hil.targets.port import open_port

if TYPE_CHECKING:
    from typing import Unpack

    from hil.rig import Awaited, RunResult
    from hil.targets.descriptor import DescriptorChannel

READY_LIMIT_S = 30.0  # a loaded machine; 0.2 s is usual
END_LIMIT_S = 5.0
READ_BYTES = 65_536
LEASE_S = 86_400  # the most that a bench gives: one that ends with us need not be freed of us, and a debugger may wait
MANUAL = "manual"
# A program that is started inherits none of our pipes; a mere fork does, and would keep an emulator alive after us.
_HELD_PIPES: WeakSet[StartedEmulator] = WeakSet()


def _let_go_after_fork() -> None:
    for process in _HELD_PIPES:
        process.stdin.close()


os.register_at_fork(after_in_child=_let_go_after_fork)


class ProcessRig(RigClient):
    """Rig control of our own child, leased: it knows how many bytes we have sent, so that time waits for them."""

    def __init__(self, url: str, token: str, target: ProcessTarget) -> None:
        super().__init__(url, token, who=f"pumpbench hil {os.getpid()}", lease_s=LEASE_S)
        self._target = target

    def advance(self, duration_ms: int, after_received: int | None = None) -> int:
        """Let time pass, once all that was sent has arrived."""
        return super().advance(
            duration_ms, self._target.sent_bytes if after_received is None else after_received
        )

    def run_until(self, what: str, limit_ms: int, **said: Unpack[Awaited]) -> RunResult:
        """Let time pass until something happens, once all that was sent has arrived."""
        self.advance(0)
        return super().run_until(what, limit_ms, **said)


class ProcessTarget:
    """One emulator process. `kill` and `start` again with an image is pulling the plug of the whole bench."""

    address = "emulator:process"

    def __init__(self, choice: PumpChoice | None = None) -> None:
        self._choice = choice or PumpChoice()
        self._process: StartedEmulator | None = None
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        self._channel: DescriptorChannel | None = None
        self._rig: ProcessRig | None = None
        self._sent_before = 0
        self._launched: ExitStack | None = None
        self.ready: dict[str, Any] = {}

    @property
    def capabilities(self) -> frozenset[TargetCapability]:
        """All; time only where it is turned by hand."""
        able = {
            TargetCapability.FAULTS,
            TargetCapability.TRUTH,
            TargetCapability.TONES,
            TargetCapability.TRACE,
            TargetCapability.PROFILE,
            TargetCapability.POWER,
            TargetCapability.BALANCE,
            TargetCapability.MAGNET,
            TargetCapability.STALL,
            TargetCapability.RESET,
            TargetCapability.SNAPSHOT,
        }
        if self._choice.time_mode == MANUAL:
            able.add(TargetCapability.TIME)
        return frozenset(able)

    @property
    def rig(self) -> ProcessRig:
        """Rig control of the process."""
        if self._rig is None:
            raise UsageError("the emulator process is not started", advice="call start() first")
        return self._rig

    @property
    def sent_bytes(self) -> int:
        """Bytes sent to this process over all of its channels."""
        return self._sent_before + (self._channel.sent_bytes if self._channel else 0)

    def launch(self) -> None:
        """Start the process, without waiting for it."""
        self.close_process()
        check_seed(self._choice)
        if "\0" in self._choice.profile:
            raise BadConfiguration(f"no profile has the name {self._choice.profile!r}")
        with ExitStack() as keeping:
            profile = keeping.enter_context(profile_argument(self._choice))
            try:
                self._process = EMULATORS.start(self._arguments(profile), self._stderr.fileno())
            except ChildProcessError as error:
                raise BenchLost(f"no emulator could be started: {self._said()}") from error
            _HELD_PIPES.add(self._process)  # its stdin: at its end the emulator ends, however we end
            self._launched = keeping.pop_all()  # its profile file is there until it is ready

    def start(self) -> None:
        """Start the process, unless it was launched already, and wait until it says that it is ready."""
        if self._launched is None:
            self.launch()
        process, launched = self._process, self._launched
        if process is None or launched is None:
            raise UsageError("the emulator process was closed", advice="call start() again")
        self._launched = None
        with launched:
            self._sent_before = 0
            self.ready = self._wait_ready(process)
        self._rig = ProcessRig(str(self.ready["control"]), str(self.ready["token"]), self)

    def _arguments(self, profile: str) -> list[str]:
        arguments = ["emulate", "--until-eof", "--control", "127.0.0.1:0"]
        arguments += ["--time", self._choice.time_mode, "--profile", profile]
        if self._choice.seed is not None:
            arguments += ["--seed", str(self._choice.seed)]
        if self._choice.memory_id is not None:
            arguments += ["--memory-id", f"{self._choice.memory_id:x}"]
        if self._choice.image is not None:
            arguments += ["--image", self._choice.image]
        return arguments

    def open_channel(self) -> DescriptorChannel:
        """Open the PTY; the previous channel is closed."""
        self.close_channel()
        self._channel = open_port(str(self.ready["port"]), self.address, self._device_ms)
        return self._channel

    def kill(self) -> None:
        """Kill the process, without a goodbye and with nothing flushed."""
        if self._process:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(END_LIMIT_S)
        self.close_channel()

    def close_channel(self) -> None:
        """Give the PTY back."""
        if self._channel:
            self._sent_before += self._channel.sent_bytes
            self._channel.close()
            self._channel = None

    def dismiss(self) -> None:
        """Tell the process to end, without waiting for it."""
        self.close_channel()
        if self._process and self._process.poll() is None:
            _tell_to_end(self._process)

    def close_process(self) -> None:
        """End the process, by force where it does not end by itself in time."""
        self.close_channel()
        if self._rig:
            self._rig.close()
            self._rig = None
        if self._launched:
            self._launched.close()
            self._launched = None
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            _tell_to_end(process)
            try:
                process.wait(END_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait(END_LIMIT_S)
        for pipe in (process.stdin, process.stdout):
            pipe.close()

    def close(self) -> None:
        """Leave nothing behind."""
        self.close_process()
        self._stderr.close()

    def _device_ms(self) -> int | None:
        return self._rig.last_now_ms if self._rig else None

    def _wait_ready(self, process: StartedEmulator) -> dict[str, Any]:
        """The ready line, as soon as it is there; what the process said on stderr if it dies instead."""
        give_up_at_s = time.monotonic() + READY_LIMIT_S
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while b"\n" not in line:
                left_s = give_up_at_s - time.monotonic()
                if left_s <= 0 or not selector.select(left_s):
                    raise BenchLost(f"the emulator was not ready in {READY_LIMIT_S:.0f} s: {self._said()}")
                part = process.stdout.read1(READ_BYTES)
                if not part:
                    raise self._died(process.wait(END_LIMIT_S))
                line += part
        try:
            ready = json.loads(line.partition(b"\n")[0])
        except ValueError as error:
            raise BenchLost(f"the emulator's ready line is no JSON: {line!r}") from error
        return dict(ready)

    def _died(self, exit_code: int) -> PumpbenchError:
        return error_of_emulator(exit_code)(
            f"the emulator ended with exit code {exit_code} before it was ready: {self._said()}"
        )

    def _said(self) -> str:
        self._stderr.seek(0)
        text = self._stderr.read().decode(errors="replace").strip()
        return text.splitlines()[-1] if text else "it said nothing on stderr"


def _tell_to_end(process: StartedEmulator) -> None:
    """By a signal, and by the end of its stdin: a process that starts may ignore the one that we ignore."""
    process.send_signal(signal.SIGTERM)
    process.stdin.close()
