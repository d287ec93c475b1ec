"""`python -m MODULE` without the second that importing takes: each process is a fork of one that has imported.

Most of what a run of pytest or of our command line costs is importing the same modules again. A server has imported
them once; a process is a fork of it that takes arguments, directory, environment and standard streams of its own, and
ends as Python ends. It is for tests of what a process does. A test of how Python itself starts (settings of its own,
closed streams, signals that were ignored before) starts a new one.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import importlib
import importlib.metadata
import io
import json
import os
import runpy
import select
import shlex
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

import pytest
from _pytest.config import default_plugins
from _pytest.junitxml import bin_xml_escape
from execnet.gateway_base import Popen2IO
from execnet.gateway_io import Popen2IOMaster

from hil.report.requirements import read_requirements
from hil.targets.fork_server import ForkedProcess, forked_with, open_standard_streams
from tests.support import warm_command
from tests.support.patience import PATIENCE_S
from tests.support.warm_command import ask

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from execnet.gateway_base import ExecModel

# Not `hil.plugin`, nor the suite: pytest must import these itself, to rewrite their assertions. Not `xdist`: it keeps
# the path on which it was imported.
IMPORTED_BEFORE = (
    *(f"_pytest.{name}" for name in default_plugins),
    "anyio._backends._asyncio",
    "anyio.streams.stapled",
    "anyio.streams.tls",
    "firmware_emu.bench.emulator",
    "firmware_emu.bench.rig.api",
    "firmware_emu.bench.rig.connections",
    "firmware_emu.bench.rig.http_protocol",
    "firmware_emu.bench.rig.server",
    "firmware_emu.bench.runner",
    "firmware_emu.cli",
    "hil.bench_session",
    "hil.capture.messages",
    "hil.capture.run_recording",
    "hil.cli.main",
    "hil.cli.program",
    "hil.cli.rig_commands",
    "hil.run.recorder",
    "hil.targets.emulated",
    "hil.targets.port",
    "hil.targets.process",
    "hypothesis.internal.observability",  # its plugin imports it at the end of each run
    "uvicorn",
)
HOUSE = Path(__file__).resolve().parents[2]
WORKER_MODULE = "tests.support.xdist_worker"
BEYOND_SCRIPTS = 100  # a script names descriptors 0 to 9
LARGEST_REQUEST = 100_000


def is_for_a_new_python(env: Mapping[str, str]) -> bool:
    """Whether a fork would not obey a variable: settings of Python that are not ours, or another installation."""
    places = [Path(place) for place in env.get("PYTHONPATH", "").split(os.pathsep) if place]
    if any((place / "hil").is_dir() and place != HOUSE for place in places):
        return True
    read = (name for name in env if name.startswith(("PYTHON", "LC_")) or name == "LANG")
    return any(env[name] != os.environ.get(name) for name in read if name != "PYTHONPATH")


class PipedProcess(ForkedProcess):
    """A process whose stdout and stderr are pipes to this one; `merged`: its stderr goes where its stdout goes."""

    def __init__(
        self,
        module: str,
        *arguments: str,
        cwd: Path,
        env: Mapping[str, str],
        stdin: int,
        merged: bool = False,
    ) -> None:
        ends = [os.pipe(), os.pipe()]
        fds = (stdin, ends[0][1], ends[0 if merged else 1][1])
        try:
            started = WARM_PYTHON.start(module, *arguments, cwd=cwd, env=env, fds=fds)
        finally:
            for _, write_end in ends:
                os.close(write_end)
        super().__init__(*started)
        self.stdout, self.stderr = (os.fdopen(read_end, "rb") for read_end, _ in ends)

    def communicate(self) -> tuple[bytes, bytes]:
        """What it still says, to its end; nothing when asked again. The test's own limit is the limit."""
        if self.stdout.closed:
            return b"", b""
        with ThreadPoolExecutor(1) as beside, self.stdout, self.stderr:
            errors = beside.submit(self.stderr.read)
            said = self.stdout.read(), errors.result()
        self.wait()
        return said


class ForkedWorker(ForkedProcess):
    """A worker of xdist that the server started, with what execnet asks of it."""

    def __init__(self, server: socket.socket) -> None:
        ours, theirs = os.pipe(), os.pipe()
        fds = (ours[0], theirs[1], 2)
        try:
            started = ask(server, fds, WORKER_MODULE, (), str(Path.cwd()), [], os.environ)
        finally:
            os.close(ours[0])
            os.close(theirs[1])
        super().__init__(*started)
        self.stdin, self.stdout = os.fdopen(ours[1], "wb"), os.fdopen(theirs[0], "rb")

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class WarmPython:
    """A server of forks, started when the first is asked for."""

    def __init__(self) -> None:
        self._server: subprocess.Popen[bytes] | None = None
        self._channel, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def _start_server(self) -> subprocess.Popen[bytes]:
        with self._theirs as theirs:
            command = [sys.executable, "-P", "-m", __name__, str(theirs.fileno())]
            env = os.environ | {"PYTHONPATH": str(HOUSE)}
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, env=env, pass_fds=[theirs.fileno()])

    def words(self) -> tuple[str, int]:
        """What stands for `pumpbench` in a shell script, and the descriptor that the script must be given."""
        if self._server is None:
            self._server = self._start_server()
        descriptor = fcntl.fcntl(self._channel, fcntl.F_DUPFD_CLOEXEC, BEYOND_SCRIPTS)
        words = [sys.executable, "-S", "-E", warm_command.__file__, str(descriptor)]
        return shlex.join(words), descriptor

    def start(
        self, module: str, *arguments: str, cwd: Path, env: Mapping[str, str], fds: tuple[int, int, int]
    ) -> tuple[int, IO[bytes]]:
        """Start `python -m module arguments`; its process number, and a pipe that tells its end."""
        if self._server is None:
            self._server = self._start_server()
        return ask(self._channel, fds, module, arguments, str(cwd), [str(cwd)], env)

    def run(
        self, module: str, *arguments: str, cwd: Path, env: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """`python -m module arguments` without stdin, until nobody says any more."""
        with Path(os.devnull).open("rb") as nothing:
            process = PipedProcess(module, *arguments, cwd=cwd, env=env, stdin=nothing.fileno())
        out, err = (said.decode(errors="backslashreplace") for said in process.communicate())
        return subprocess.CompletedProcess([module, *arguments], process.wait(), out, err)


WARM_PYTHON = WarmPython()


def forked(
    module: str, *arguments: str, cwd: Path, env: Mapping[str, str], stdout: int, stderr: int
) -> ForkedProcess:
    """`python -m module arguments` without stdin, its output on these descriptors."""
    with Path(os.devnull).open("rb") as nothing:
        fds = (nothing.fileno(), stdout, stderr)
        return ForkedProcess(*WARM_PYTHON.start(module, *arguments, cwd=cwd, env=env, fds=fds))


def run_python(
    command: Sequence[str],
    cwd: Path = HOUSE,
    env: Mapping[str, str] | None = None,
    *,
    new_python: bool = False,
) -> subprocess.CompletedProcess[str]:
    """`python -m MODULE ...` to its end; a fork where a new Python would do no other thing. Without `env`, in ours."""
    env = os.environ if env is None else env
    python, option, module, *arguments = command
    assert (python, option) == (sys.executable, "-m")
    if not new_python and not is_for_a_new_python(env):
        return WARM_PYTHON.run(module, *arguments, cwd=cwd, env=env)
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="backslashreplace",
        cwd=cwd,
        env=env,
        timeout=PATIENCE_S,
        check=False,
    )


def _serve(asked: socket.socket, asked_by_forks: socket.socket) -> dict[str, Any] | None:
    """Fork for each request; returns in the fork with what it is to become, and with None when nobody asks any more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the processes in between need nobody who waits for them
    while True:
        channel = select.select([asked, asked_by_forks], [], [])[0][0]
        message, fds, _, _ = socket.recv_fds(channel, LARGEST_REQUEST, 4)
        if not message:
            return None
        if forked_with(fds, [asked, asked_by_forks]):
            return dict(json.loads(message))


def _become(
    server: socket.socket, module: str, arguments: list[str], cwd: str, path: list[str], env: dict[str, str]
) -> None:
    """Take over what a new Python would have been started with."""

    def execve(_: str, command: list[str], new_env: dict[str, str]) -> NoReturn:
        """Become a Python on another module: a fork again, whose end is the end of this process."""
        _, *flags, option, new_module = command[: command.index("-m") + 2]
        assert (flags, option) == (["-P"], "-m"), command
        new_arguments = command[command.index("-m") + 2 :]
        pid, ended = ask(server, (0, 1, 2), new_module, new_arguments, str(Path.cwd()), [], new_env)
        os._exit(ForkedProcess(pid, ended).wait())

    def start_worker(self: Popen2IOMaster, _: object, execmodel: ExecModel) -> None:
        self.popen = ForkedWorker(server)
        Popen2IO.__init__(self, self.popen.stdin, self.popen.stdout, execmodel=execmodel)

    os.execve = execve  # type: ignore[assignment]
    Popen2IOMaster.__init__ = start_worker  # type: ignore[assignment]
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.path[:0] = path
    sys.argv = [module, *arguments]
    open_standard_streams()


def _remember_what_is_installed() -> None:
    """Keep what the packages beside this Python say of themselves: each run of pytest reads and parses all of it."""
    beside = sysconfig.get_path("purelib")
    for name in ("entry_points", "files", "metadata"):
        plain = getattr(importlib.metadata.PathDistribution, name).fget
        known = {str(each._path): plain(each) for each in importlib.metadata.distributions(path=[beside])}  # type: ignore[attr-defined]

        def said(
            self: Any, plain: Callable[[Any], object] = plain, known: Mapping[str, object] = known
        ) -> object:
            path = str(self._path)
            return known[path] if path in known else plain(self)

        setattr(importlib.metadata.PathDistribution, name, property(said))


def _run_pytest_over_nothing() -> None:
    """Fill the caches that a run of pytest fills: of expressions, of what is installed."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # a plugin is imported where it may be rewritten
    with tempfile.TemporaryDirectory() as nothing, contextlib.redirect_stdout(io.StringIO()):
        pytest.main(["-c", os.devnull, "--rootdir", nothing, "-p", "no:cacheprovider", nothing])
    del os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"]
    bin_xml_escape("")  # its expression takes as long as a test
    read_requirements([])


def _end(exit_code: object) -> NoReturn:
    """End as Python ends, but leave the modules as they are: to take them apart is a fifth of the time of a fork."""
    if exit_code is None or isinstance(exit_code, int):
        threading._shutdown()  # type: ignore[attr-defined]  # Python calls it itself
        atexit._run_exitfuncs()
        with contextlib.suppress(OSError, ValueError):  # then Python says so below
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(int(exit_code or 0) & 0xFF)
    sys.exit(exit_code)  # type: ignore[arg-type]


if __name__ == "__main__":
    for imported in IMPORTED_BEFORE:
        importlib.import_module(imported)
    _remember_what_is_installed()
    _run_pytest_over_nothing()
    gc.collect()
    gc.freeze()
    server, asked_by_forks = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    request = _serve(socket.socket(fileno=int(sys.argv[1])), asked_by_forks)
    if request is not None:
        _become(server, **request)
        exit_code: object = None
        try:
            runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        except SystemExit as ending:
            exit_code = ending.code
        _end(exit_code)
