"""Runs of pytest and of `pumpbench hil run` as processes of their own, as our users start them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.patience import PATIENCE_S
from tests.support.warm_python import HOUSE, PipedProcess, run_python

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable

OUR_PLUGIN = ("-p", "no:pumpbench", "-p", "hil.plugin", "-p", "no:cacheprovider")
# What takes no part in these tests costs a third of a second in each; and what is imported before cannot be rewritten.
PLAIN = (
    *(word for name in ("anyio", "hypothesispytest", "platformdirs") for word in ("-p", f"no:{name}")),
    "-Wignore::pytest.PytestAssertRewriteWarning",
)


def environment(home: Path, env: dict[str, str] | None = None, first: Path | None = None) -> dict[str, str]:
    """An environment without anything of this run; `first` stands before us on the path."""
    path = f"{first}:{HOUSE}" if first else str(HOUSE)
    return {"PYTHONPATH": path, "PATH": "/usr/bin:/bin", "HOME": str(home)} | (env or {})


def pytest_command(directory: Path, text: str, *arguments: str) -> list[str]:
    """Write a test file and an ini file; the command of a user's own pytest on it."""
    directory.mkdir(exist_ok=True)
    (directory / "test_it.py").write_text(textwrap.dedent(text))
    (directory / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    return [sys.executable, "-m", "pytest", *OUR_PLUGIN, *PLAIN, *arguments, str(directory)]


def pytest_on(
    directory: Path,
    text: str,
    *arguments: str,
    env: dict[str, str] | None = None,
    first: Path | None = None,
    new_python: bool = False,
) -> Any:
    """A user's own pytest on a test file, to its end; `new_python`: in one that has imported nothing yet."""
    return run_python(
        pytest_command(directory, text, *arguments),
        directory,
        environment(directory, env, first),
        new_python=new_python,
    )


def hil_run(
    directory: Path, *arguments: str, env: dict[str, str] | None = None, first: Path | None = None
) -> Any:
    """`pumpbench hil run` to its end; its report lies in `directory / "report"`."""
    command = [sys.executable, "-m", "hil.cli", "hil", "run", "--report", str(directory / "report")]
    return run_python([*command, *arguments], directory, environment(directory, env, first))


def third_party_plugin(place: Path, text: str) -> Path:
    """Install a plugin as its package would be: a module, and metadata that names it to pytest. Its place."""
    info = place / "neighbour-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: neighbour\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pytest11]\nneighbour = neighbour\n")
    (place / "neighbour.py").write_text(textwrap.dedent(text))
    return place


def summary(directory: Path) -> str:
    """The summary of the report in this directory."""
    return (directory / "report" / "summary.txt").read_text()


IN_PROCESS = ("--hil-target", "emulator", "--hil-report", "report")
ON_PROCESS = ("--hil-target", "emulator:process", "--hil-report", "report")
_TESTS = """
    import os, signal, threading
    import pytest
    from hil.errors import BenchLost

    def test_first(pump): pass

    @pytest.mark.timeout({limit_s}, func_only=True)
    def test_second(pump):
        {second}

    def test_third(pump): pass

    @pytest.mark.parametrize("n", range(2))
    def test_last(pump, n): pass
"""


def five_tests(second: str, limit_s: int = 0) -> str:
    """A test file of five tests; the second has this body, and a limit where that is not 0."""
    return _TESTS.format(second=second, limit_s=limit_s)


AFTER_SECOND = ["test_third", "test_last[0]", "test_last[1]"]
FROM_SECOND = ["test_second (begun, not ended)", *AFTER_SECOND]


def named_in(directory: Path) -> list[str]:
    """Names that the summary lists as not run."""
    block = summary(directory).split("did not run: ")[1]
    return [line.removeprefix("test_it.py::") for line in block.splitlines()[1:]]


WAITS = five_tests("open('waiting', 'w').close(); open('fifo').read()")


class Waiting:
    """A run whose second test has begun and waits until something is written into a pipe."""

    def __init__(self, directory: Path, *arguments: str, ignoring: signal.Signals | None = None) -> None:
        self.directory = directory
        self._said: str | None = None
        os.mkfifo(directory / "fifo")
        command = pytest_command(directory, WAITS, *ON_PROCESS, *arguments)
        env = environment(directory)
        self.process: subprocess.Popen[bytes] | PipedProcess
        if ignoring is None:
            with Path(os.devnull).open("rb") as nothing:
                self.process = PipedProcess(
                    "pytest", *command[3:], cwd=directory, env=env, stdin=nothing.fileno(), merged=True
                )
        else:  # which a fork would not know
            command = ["sh", "-c", f'trap "" {ignoring.name.removeprefix("SIG")}; exec "$@"', "sh", *command]
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=directory, env=env
            )
        self.until((directory / "waiting").exists)

    def until(self, is_so: Callable[[], bool]) -> None:
        give_up_at_s = time.monotonic() + PATIENCE_S
        while not is_so():
            assert time.monotonic() < give_up_at_s, "did not come to be so in time"
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.02)
                raise AssertionError(self.end()[1])

    def started(self) -> list[int]:
        """The processes that the run has started, and those that they have: emulators, and what starts them."""
        shown = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
        parents = [tuple(map(int, row.split())) for row in shown.stdout.splitlines()]
        family = [self.process.pid]
        for each in family:
            family += [pid for pid, parent in parents if parent == each]
        assert len(family) > 2, "no emulator runs"
        return family[1:]

    def let_go(self) -> None:
        (self.directory / "fifo").write_text("go on")

    def end(self) -> tuple[int, str]:
        """Exit code and what was said."""
        if self._said is None:
            self._said = self.process.communicate()[0].decode(errors="backslashreplace")
        return self.process.wait(), self._said
