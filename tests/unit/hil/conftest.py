"""A virtual pump on a bench, as the plugin would hand it to a test."""

from collections.abc import Iterator

import pytest

from hil.address import parse
from hil.bench_session import BenchSession, TestBench


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
