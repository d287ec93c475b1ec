"""Campaigns on a Dask cluster that was started as people start one: the same result, and an end to every wait."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hil.campaign.code_digest import CODE, code_digest
from hil.campaign.lives_file import lives_file
from hil.campaign.plan import read_plan
from hil.campaign.running import Campaign
from hil.errors import BadConfiguration, BenchLost
from tests.support.not_run import needs_extra
from tests.support.patience import PATIENCE_S
from tests.support.soak import rounds_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

pytestmark = needs_extra("distributed", extra="dask")

SMALL = b"pump_days = 1\ndeeds = 4\nquiet_stretches = 0\ntwins_every = 4\n"
PLAN = read_plan(SMALL, "small", "small.toml")
LONG = SMALL.replace(b"pump_days = 1", b"pump_days = 30")
NO_DASHBOARD = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")
TOP = Path(__file__).parents[3]
WITHOUT_US = f"import sys; sys.path[:] = [each for each in sys.path if each not in {{'', {str(TOP)!r}}}]; "
WORKER = "from distributed.cli.dask_worker import main; main(prog_name='dask worker')"


def clock_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class Cluster:
    """A scheduler and workers on this machine, each a process of Dask's command line."""

    def __init__(self, place: Path, started: ExitStack) -> None:
        self._place, self._started = place, started
        self.scheduler, found = self._start(
            ("-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"),
            r"Scheduler at: +tcp://127\.0\.0\.1:(\d+)",
        )
        self.port = int(found)

    @property
    def address(self) -> str:
        return f"dask://127.0.0.1:{self.port}"

    def worker(self, *options: str, code: str = WORKER, env: Mapping[str, str] | None = None) -> Any:
        """One more process that plays, once the scheduler knows it."""
        process, _ = self._start(
            ("-c", code, f"127.0.0.1:{self.port}", "--host", "127.0.0.1", "--nthreads", "1", *options),
            r"(Registered to)",
            env or {},
        )
        return process

    def _start(
        self, words: tuple[str, ...], ready: str, env: Mapping[str, str] | None = None
    ) -> tuple[Any, str]:
        process = subprocess.Popen(
            [sys.executable, *words, *NO_DASHBOARD],
            cwd=self._place,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # with its nanny and all that this has begun
        )
        self._started.callback(self.kill, process)
        told = ""
        for line in process.stderr or ():
            told += line
            if found := re.search(ready, line):
                return process, found[1]
        raise AssertionError(f"it ended: {told}")

    @staticmethod
    def kill(process: Any) -> None:
        """-9, with all that it has begun."""
        with process, suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """One that has no worker yet."""
    with ExitStack() as started:
        yield Cluster(tmp_path, started)


@contextmanager
def campaign(path: Path, *, resume: bool = False) -> Iterator[Campaign]:
    """A campaign of the small plan into a file."""
    with lives_file(path, plan=PLAN.digest(), code="of this test", resume=resume, now_s=0) as file:
        yield Campaign(PLAN, file, clock_ms)


def begin(place: Path, *words: str, plan: bytes = SMALL) -> subprocess.Popen[str]:
    """The command, as somebody types it."""
    (place / "it.toml").write_bytes(plan)
    return subprocess.Popen(
        [sys.executable, "-m", "hil.cli", "campaign", "run", "it.toml", *words, "--json"],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(command: subprocess.Popen[str]) -> tuple[int | None, dict[str, Any], str]:
    """Exit code, what it found and what it says beside that; how long it took is the machine's."""
    out, error = command.communicate(timeout=PATIENCE_S)
    document = json.loads(out)
    kept = {key: document[key] for key in document.keys() - {"elapsed_ms", "pump_years_per_s", "file"}}
    return command.returncode, kept, error


def test_a_cluster_plays_what_one_process_plays_though_a_worker_is_killed(
    tmp_path: Path, cluster: Cluster
) -> None:
    from hil.campaign.dask_workers import DaskWorkers  # noqa: PLC0415 - needs the extra

    with campaign(tmp_path / "one") as alone:
        at_once = alone.run(1, lambda: None)
    workers = [cluster.worker("--no-nanny") for _ in range(2)]
    kept = 0

    def kill() -> None:
        nonlocal kept
        kept += 1
        if kept == 3:
            Cluster.kill(workers[0])

    with campaign(tmp_path / "dask") as by_two:
        there = "127.0.0.1", cluster.port
        assert by_two.run_on(lambda: DaskWorkers(*there, code_digest(), clock_ms), kill) == at_once
    assert kept >= at_once.lives
    with pytest.raises(BadConfiguration, match=r"tcp://127.* has other code \(SHA-256 .*, expected other\)"):
        DaskWorkers(*there, "other", clock_ms)
    late = DaskWorkers(*there, code_digest(), clock_ms)
    late._code = "other"  # as of a worker that came after the look at those who were there
    with pytest.raises(BadConfiguration, match=r"tcp://127.* has other code \(SHA-256 .*, expected other\)"):
        late.submit(len, ()).result(PATIENCE_S)
    late.shutdown(cancel_futures=True)
    code, found, error = ended(begin(tmp_path, "--executor", cluster.address))
    assert (code, error, found["lives"]) == (0, "", at_once.lives)


def test_where_no_scheduler_answers_that_is_said_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from hil.campaign.dask_workers import DaskWorkers  # noqa: PLC0415 - needs the extra

    monkeypatch.setattr("hil.campaign.dask_workers.CONNECT_LIMIT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(BenchLost, match="no Dask scheduler answers at dask://"):
            DaskWorkers("127.0.0.1", port, "any", clock_ms)
    with pytest.raises(BenchLost, match="no Dask scheduler answers at dask://"):
        DaskWorkers("127.0.0.1", port, "any", clock_ms)  # nobody has it any more


def wait_for_lives(path: Path, lives: int, command: subprocess.Popen[str]) -> None:
    """Until the command has kept so many; looks into copies, since it has the file for itself."""
    until_ms = clock_ms() + PATIENCE_S * 1_000
    copy = path.with_name("copy")
    while clock_ms() < until_ms and command.poll() is None:
        with suppress(sqlite3.Error, OSError):
            for suffix in ("", "-wal"):
                shutil.copyfile(f"{path}{suffix}", f"{copy}{suffix}")
            with closing(sqlite3.connect(copy)) as file:
                if file.execute("SELECT count(*) FROM lives").fetchone()[0] >= lives:
                    return
    raise AssertionError(f"it did not keep {lives}, or ended: {command.communicate(timeout=PATIENCE_S)}")


def kill_workers(_cluster: Cluster, workers: list[Any]) -> None:
    for worker in workers:
        Cluster.kill(worker)


def kill_scheduler(cluster: Cluster, _workers: list[Any]) -> None:
    Cluster.kill(cluster.scheduler)


MISHAPS: tuple[tuple[Callable[[Cluster, list[Any]], None], str], ...] = (
    (kill_workers, "has had no worker for 30 s"),
    (kill_scheduler, "no Dask scheduler answers at"),
)


def test_workers_or_a_scheduler_that_are_killed_end_a_run_which_goes_on_elsewhere(tmp_path: Path) -> None:
    for mishap, words in MISHAPS[: rounds_of("mishaps of a cluster", len(MISHAPS), 0)]:
        place = tmp_path / mishap.__name__
        place.mkdir()
        with ExitStack() as started:
            cluster = Cluster(place, started)
            workers = [cluster.worker() for _ in range(2)]
            command = begin(place, "--executor", cluster.address, "--out", "a", plan=LONG)
            wait_for_lives(place / "a", 10, command)
            mishap(cluster, workers)
            code, document, error = ended(command)
        assert code == 7
        assert words in document["error"]["message"]
        assert error.count("\n") == 1
        assert ended(begin(place, "--out", "b", "--workers", "1", plan=LONG)) == ended(
            begin(place, "--out", "a", "--workers", "2", "--resume", plan=LONG)
        )


def test_a_worker_without_pumpbench_or_with_other_code_is_refused(tmp_path: Path) -> None:
    for _ in range(rounds_of("workers that are refused", 1, 0)):
        for package in CODE:
            shutil.copytree(TOP / package, tmp_path / "other" / package)
        (tmp_path / "other" / "hil" / "another.py").touch()
        refused: tuple[tuple[str, dict[str, str], str], ...] = (
            (WITHOUT_US + WORKER, {}, "has no pumpbench"),
            (WORKER, {"PYTHONPATH": str(tmp_path / "other")}, "has other code"),
        )
        with ExitStack() as started:
            cluster = Cluster(tmp_path, started)
            for code, env, words in refused:
                worker = cluster.worker("--no-nanny", code=code, env=env)
                exit_code, document, error = ended(
                    begin(tmp_path, "--executor", cluster.address, "--out", "x")
                )
                assert exit_code == 10
                assert words in document["error"]["message"]
                assert error.count("\n") == 1
                Cluster.kill(worker)
                (tmp_path / "x").unlink()
