"""A virtual pump on a bench, as the plugin would hand it to a test."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hil.address import parse
from hil.bench_of_test import TestBench
from hil.bench_session import BenchSession
from tests.unit.bench.processes import ThreadBench
from tests.unit.hil.runs import Waiting


@pytest.fixture
def session() -> Iterator[BenchSession]:
    session = BenchSession(parse("emulator"))
    yield session
    session.close()


@pytest.fixture
def bench(session: BenchSession) -> Iterator[TestBench]:
    bench = session.open_bench("unit test")
    yield bench
    bench.close()


@pytest.fixture
def start_waiting(tmp_path: Path) -> Iterator[Callable[..., Waiting]]:
    """Starts runs that wait, and leaves none behind."""
    started: list[Waiting] = []

    def start_one(*arguments: str, ignoring: signal.Signals | None = None) -> Waiting:
        started.append(Waiting(tmp_path, *arguments, ignoring=ignoring))
        return started[-1]

    yield start_one
    for run in started:
        run.process.send_signal(signal.SIGKILL)
        run.end()


@pytest.fixture
def factory_on_a_port() -> Iterator[tuple[str, str]]:
    """As `on_a_port`, a pump that was never programmed."""
    bench = ThreadBench(seed=1, profile="factory")
    yield "--target", f"pty:{bench.ready['port']}"
    bench.close()


@pytest.fixture
def on_a_port() -> Iterator[tuple[str, str]]:
    """The option that names a pump on a port, which outlives one command."""
    bench = ThreadBench(seed=1)
    yield "--target", f"pty:{bench.ready['port']}"
    bench.close()
