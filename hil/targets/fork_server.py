"""Starts emulators as forks of a process that has imported them, which takes 30 ms where importing takes 400.

The server is a Python of its own, without threads, started for the first emulator. It imports, and forks for each
request that comes over a socket. Nobody but us holds the other end of that socket, so that the server ends when we
end, however that is. A fork is a process like any other: it takes arguments, directory, environment and standard
streams from its request.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from typing import IO, TYPE_CHECKING, NamedTuple

from hil.installation import own_python

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

IMPORTED = (
    "hil.cli.main",
    "firmware_emu.cli",
    "firmware_emu.bench.emulator",
    "firmware_emu.bench.image_file",
    "firmware_emu.bench.ports.pty",
    "firmware_emu.bench.rig.server",
)
# What rig control takes half a second to import in each emulator: imported while nobody asks for one.
IMPORTED_WHEN_IDLE = (
    "asyncio",
    "concurrent.futures",
    "importlib.metadata",
    "pydantic",
    "fastapi",
    "uvicorn",
    "uvicorn.lifespan.off",
    "firmware_emu.bench.rig.api",
    "firmware_emu.bench.rig.connections",
    "firmware_emu.bench.rig.http_protocol",
)
STREAMS = 3
READ_BY_PYTHON = ("PYTHON", "LC_", "LANG")  # when it starts
_LENGTH = struct.Struct("<I")


class Request(NamedTuple):
    """What a fork is to become: `pumpbench` with these arguments, in this directory and environment."""

    arguments: Sequence[str]
    cwd: str
    environment: Mapping[str, str]


class ForkedProcess:
    """A process that the server started, with the part of subprocess.Popen that its users need."""

    def __init__(self, pid: int, ended: IO[bytes]) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = ended

    def poll(self) -> int | None:
        """The exit code, minus the signal that ended it; None while it runs."""
        if self.returncode is None and select.select([self._ended], [], [], 0)[0]:
            return self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, when it has ended; TimeoutExpired where that takes longer."""
        if self.returncode is None:
            if not select.select([self._ended], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            # nothing: who was to tell was killed too
            self.returncode = int(self._ended.readline() or -signal.SIGKILL)
            self._ended.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # just now, where its number is not kept
                os.kill(self.pid, number)


class StartedEmulator(ForkedProcess):
    """An emulator whose stdin and stdout are pipes of this process."""

    def __init__(self, pid: int, ended: IO[bytes], stdin: int, stdout: int) -> None:
        super().__init__(pid, ended)
        self.stdin = os.fdopen(stdin, "wb")
        self.stdout = io.BufferedReader(io.FileIO(stdout))


def _ask(server: socket.socket, request: Request, fds: Sequence[int]) -> tuple[int, IO[bytes]]:
    """Have the server start a process with these standard streams: its number, and a pipe that tells its end.

    OSError or ValueError where there is no server.
    """
    message = json.dumps(request._asdict()).encode("ascii")
    read_end, write_end = os.pipe()
    ended = os.fdopen(read_end, "rb", buffering=0)
    try:
        socket.send_fds(server, [_LENGTH.pack(len(message))], [*fds, write_end])
        server.sendall(message)
        os.close(write_end)
        write_end = -1
        return int(ended.readline()), ended
    except BaseException:
        ended.close()
        raise
    finally:
        if write_end >= 0:
            os.close(write_end)


def _serve(channel: socket.socket) -> Request | None:
    """Fork for each request; returns in the fork with what it is to become, and with None when nobody asks any more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the processes in between need nobody who waits for them
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the forks
    idle = iter(IMPORTED_WHEN_IDLE)
    while True:
        while not select.select([channel], [], [], 0)[0] and (name := next(idle, None)):
            with contextlib.suppress(ImportError):  # an emulator without them says so itself
                importlib.import_module(name)
            gc.freeze()
        header, fds, _, _ = socket.recv_fds(channel, _LENGTH.size, STREAMS + 1)
        if not header:
            return None
        (length,) = _LENGTH.unpack(header)
        message = channel.recv(length, socket.MSG_WAITALL)
        if forked_with(fds, [channel]):
            signal.signal(signal.SIGINT, interrupt)
            return Request(**json.loads(message))


def forked_with(fds: Sequence[int], channels: Sequence[socket.socket]) -> bool:
    """Fork twice; True in the second fork, which has these standard streams and none of the channels.

    The first waits for it, and writes its number and then its exit code to the last of the descriptors, a line each.
    It lets go of the number when the exit code was taken: a signal meant for the second never finds another process.
    """
    if os.fork():
        for fd in fds:
            os.close(fd)
        return False
    for channel in channels:
        channel.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *standard_fds, ended = fds
    pid = os.fork()
    if pid:
        for fd in standard_fds:  # or a pipe would have no end before we have
            os.close(fd)
        os.write(ended, f"{pid}\n".encode())
        code = _exit_code_of(pid)
        with contextlib.suppress(OSError):  # nobody is left who would take it
            os.write(ended, f"{code}\n".encode())
            taken = select.poll()
            taken.register(ended, 0)  # an error is told all the same: that the other end was closed
            taken.poll()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)  # or it stays a zombie, where process 1 takes none in
        os._exit(0)
    os.close(ended)
    for number, fd in enumerate(standard_fds):
        os.dup2(fd, number)
        os.close(fd)
    return True


def _exit_code_of(pid: int) -> int:
    """The exit code of a child when it ends, minus the signal that ended it; its number stays taken until waitpid."""
    if not hasattr(
        os, "waitid"
    ):  # macOS with Python 3.12 or older: another process may get the number at once
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert ended is not None  # noqa: S101 - WNOHANG was not asked for
    return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status


class ForkServer:
    """The server of this process, started when the first emulator is, and again where it was lost."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._python: tuple[object, ...] = ()
        self._channel: socket.socket | None = None
        self._server: subprocess.Popen[bytes] | None = None

    def start(self, arguments: Sequence[str], stderr: int) -> StartedEmulator:
        """Start `pumpbench` with these arguments. ChildProcessError where no server starts; why, `stderr` has then."""
        stdin, held = os.pipe()
        out, stdout = os.pipe()
        try:
            pid, ended = self._start(arguments, [stdin, stdout, stderr])
        except BaseException:
            os.close(held)
            os.close(out)
            raise
        finally:
            os.close(stdin)
            os.close(stdout)
        return StartedEmulator(pid, ended, held, out)

    def _start(self, arguments: Sequence[str], fds: Sequence[int]) -> tuple[int, IO[bytes]]:
        with self._lock:
            for _ in range(2):  # one that was killed is started again
                command, environment = own_python()
                channel = self._reach(command, environment, fds[2])
                try:
                    return _ask(channel, Request(arguments, _directory(), environment), fds)
                except (OSError, ValueError):
                    self._end_server()
        raise ChildProcessError("the process that starts emulators has ended")

    def _reach(self, command: Sequence[str], environment: Mapping[str, str], stderr: int) -> socket.socket:
        """The way to a server on this Python; another interpreter or other settings of it want another server."""
        settings = (item for item in environment.items() if item[0].startswith(READ_BY_PYTHON))
        python = (*command, *sorted(settings))
        if self._channel is None or python != self._python:
            self._end_server()
            self._channel, theirs = socket.socketpair()
            self._python = python
            with theirs:
                self._server = subprocess.Popen(  # noqa: S603 - our own command, no shell
                    [*command, "-m", __name__, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                    env=environment,
                    pass_fds=[theirs.fileno()],
                )
        return self._channel

    def end(self) -> None:
        """End the server; what it has started runs on."""
        with self._lock:
            self._end_server()

    def _end_server(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._server is not None:
            self._server.wait()
            self._server = None

    def leave_to_parent(self) -> None:
        """Have no server: in a fork of this process, where the server is its parent's."""
        if self._channel is not None:
            self._channel.close()  # or the server would outlive the parent
        if self._server is not None:
            self._server.returncode = 0  # it is no child of ours to wait for
        self._channel, self._server, self._lock = (
            None,
            None,
            threading.Lock(),
        )  # another thread may hold the old one


def _directory() -> str:
    """The current directory; empty where it is gone, which the emulator says in its own words."""
    try:
        return os.getcwd()  # noqa: PTH109 - a string
    except OSError:
        return ""


EMULATORS = ForkServer()
atexit.register(EMULATORS.end)
os.register_at_fork(after_in_child=EMULATORS.leave_to_parent)


def open_standard_streams() -> None:
    """Open stdin, stdout and stderr anew, as Python opens them: what they stand for has changed."""
    for name, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        before = getattr(sys, name)
        stream = io.TextIOWrapper(
            os.fdopen(number, "rb" if number == 0 else "wb"),
            before.encoding,
            before.errors,
            line_buffering=number == 2,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def main() -> None:
    """Serve, and in a fork be what was asked for."""
    for name in IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    request = _serve(socket.socket(fileno=int(sys.argv[1])))
    if request is None:
        os._exit(0)
    if request.cwd:
        os.chdir(request.cwd)
    os.environ.clear()
    os.environ.update(request.environment)
    open_standard_streams()
    sys.argv = ["pumpbench", *request.arguments]
    runpy.run_module("hil.cli", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
