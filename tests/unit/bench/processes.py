"""An emulator in a process of its own, and a caller on its line: what the tests of the whole bench work with."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from firmware_emu.bench.clock import MANUAL, Clock
from firmware_emu.bench.command_queue import CommandQueue
from firmware_emu.bench.ports.pty import PtyPort
from firmware_emu.bench.profile_file import load_profile
from firmware_emu.bench.pump_host import PumpHost, new_pump
from firmware_emu.bench.rig.server import RigServer
from firmware_emu.bench.runner import Runner
from protocol.codec.layouts import decode, encode
from protocol.identifiers import Opcode, Role
from protocol.link.client_end import ClientEnd
from protocol.link.development_keys import development_key
from protocol.link.events import Response, SessionOpened
from protocol.messages.reading import GetStatus, GetStatusReply
from tests.support.patience import PATIENCE_S
from tests.support.warm_python import WARM_PYTHON, PipedProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Reply = TypeVar("Reply")

EMULATE = [sys.executable, "-m", "hil.cli", "emulate"]


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    out: str
    err: str


class SystemEntropy:
    """The client's random source."""

    def draw(self, length: int) -> bytes:
        return os.urandom(length)


class Asker:
    """Talks to the rig control of a ready line."""

    ready: dict[str, Any]

    @property
    def control_place(self) -> str:
        return str(self.ready["control"]).removeprefix("http://")

    def ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """A request to rig control, as it should be but for the headers given."""
        connection = http.client.HTTPConnection(self.control_place, timeout=PATIENCE_S)
        sent = {"Authorization": f"Bearer {self.ready['token']}", "Content-Type": "application/json"}
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, content, sent | (headers or {}))
        response = connection.getresponse()
        answer = json.loads(response.read())
        connection.close()
        return response.status, answer

    def rig(self, method: str, path: str, body: object = None) -> Any:
        """A request to rig control that must be granted."""
        status, answer = self.ask(method, path, body)
        assert status == 200, answer
        return answer


class ThreadBench(Asker):
    """The runner and rig control of an emulator in a thread of this process: quicker to start than a process."""

    def __init__(
        self, seed: int, say: Callable[[str], None] = lambda _sentence: None, profile: str = "implanted"
    ) -> None:
        self.port = PtyPort()
        self._seed = seed
        self._memory_ids = itertools.count(1)
        self._command_queue = command_queue = CommandQueue[Runner]()
        host = PumpHost(new_pump(load_profile(profile), seed))
        self.runner = Runner(host, Clock(0, MANUAL), self.port, command_queue)
        self.server = RigServer("127.0.0.1:0", "the token", command_queue, say)
        self.server.attach(self.runner.selector)
        self.ready = {"port": self.port.address, "control": self.server.url, "token": "the token"}
        self.thread = threading.Thread(target=self.runner.run, daemon=True)
        self.thread.start()

    def renew(self, profile: str) -> None:
        """Put a new pump of this profile behind the same port, at time 0, with a memory of its own."""

        def job(runner: Runner, future: Future[Any]) -> None:
            runner.host, runner.clock = (
                PumpHost(new_pump(load_profile(profile), self._seed, next(self._memory_ids))),
                Clock(0, MANUAL),
            )
            runner.settle()
            runner.port.take_received()
            runner.port.received_bytes = 0  # a board counts from when it was made
            future.set_result(None)

        self._command_queue.leave(job).result(PATIENCE_S)

    def close(self) -> None:
        self.runner.stop()
        self.thread.join(PATIENCE_S)
        self.server.close()
        self.runner.selector.close()
        self.port.close()


class Emulator(Asker):
    """A running emulator, ready. Its stdin is a pipe that this process holds, so that none outlives the tests."""

    def __init__(
        self, *arguments: str | Path, cwd: Path | None = None, command: Sequence[str] = EMULATE
    ) -> None:
        stdin, self._held = os.pipe()
        words = [*command, "--until-eof", *map(str, arguments)]
        self.process: PipedProcess | subprocess.Popen[bytes]
        if command is EMULATE:
            self.process = PipedProcess(*words[2:], cwd=cwd or Path.cwd(), env=os.environ, stdin=stdin)
        else:
            self.process = subprocess.Popen(
                words, cwd=cwd, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        os.close(stdin)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.wait()
        self.ready: dict[str, Any] = json.loads(line)

    @staticmethod
    def that_ends(*arguments: str | Path, cwd: Path | None = None) -> Ended:
        """A process that is expected to end before it is ready."""
        words = (*EMULATE[2:], *map(str, arguments))
        done = WARM_PYTHON.run(*words, cwd=cwd or Path.cwd(), env=os.environ)
        return Ended(done.returncode, done.stdout, done.stderr)

    def say(self, data: bytes) -> None:
        """Write to its stdin."""
        os.write(self._held, data)

    def let_go(self) -> None:
        """Give up the pipe that is its stdin."""
        os.close(self._held)
        self._held = -1

    def kill(self) -> None:
        """Kill -9."""
        self.end(signal.SIGKILL)

    def end(self, number: signal.Signals = signal.SIGTERM) -> Ended:
        """Send a signal and wait for the end."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def wait(self) -> Ended:
        """Wait for the end."""
        out, err = self.process.communicate()
        if self._held >= 0:
            self.let_go()
        return Ended(self.process.wait(), out.decode(), err.decode())


class Caller:
    """A programmer reduced to the wire, on a raw descriptor."""

    def __init__(self, descriptor: int, role: Role = Role.CLINICIAN) -> None:
        self.descriptor = descriptor
        self.sent_bytes = 0
        self._end = ClientEnd(key=development_key(role), entropy=SystemEntropy())

    @classmethod
    def on_pty(cls, path: str) -> Caller:
        return cls(os.open(path, os.O_RDWR | os.O_NOCTTY))

    def connect(self) -> Caller:
        """Open a session."""
        self._end.open(_now_ms())
        event = self._wait()
        assert isinstance(event, SessionOpened), event
        return self

    def ask(self, opcode: Opcode, request: object, reply: type[Reply]) -> Reply:
        """A request and its answer."""
        self._end.request(opcode, encode(request), _now_ms())
        event = self._wait()
        assert isinstance(event, Response), event
        return decode(reply, event.payload)

    def status(self) -> GetStatusReply:
        return self.ask(Opcode.GET_STATUS, GetStatus(), GetStatusReply)

    def close(self) -> None:
        os.close(self.descriptor)

    def _wait(self) -> object:
        give_up_at_s = time.monotonic() + PATIENCE_S
        while True:
            event = self._end.next_event(_now_ms())
            if event is not None:
                return event
            self._write(self._end.take_output())
            assert time.monotonic() < give_up_at_s, "no answer"
            if select.select([self.descriptor], [], [], 0.05)[0]:
                self._end.feed(os.read(self.descriptor, 4_096), _now_ms())

    def _write(self, data: bytes) -> None:
        while data:
            written = os.write(self.descriptor, data)
            self.sent_bytes += written
            data = data[written:]


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
