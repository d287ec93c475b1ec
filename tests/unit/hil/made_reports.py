"""Reports of runs that are made in this process: real pumps, real recordings, and outcomes as a test wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.address import parse
from hil.bench_session import BenchSession
from hil.capture.run_recording import RecordedChannel
from hil.report.directory import ReportDirectory
from hil.report.records import CaseRecord, RunRecord, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from hil.bench_of_test import TestBench
    from hil.targets.target import Target

ASKED = 30


class SlowLine:
    """Lets time pass in the pump while its answers are on their way to the recorder."""

    def __init__(self, bench: TestBench) -> None:
        self.delay_ms = 0
        recorded = bench.channel
        if isinstance(recorded, RecordedChannel):
            inner, receive = bench.target, recorded._inner.receive
            recorded._inner.receive = lambda deadline_ms: self._late(inner, receive(deadline_ms))  # type: ignore[method-assign]

    def _late(self, target: Target, data: bytes) -> bytes:
        if data and self.delay_ms:
            target.rig.advance(self.delay_ms)
        return data


def status(bench: TestBench) -> None:
    bench.open_programmer().status()


def status_often(delay_ms: int = 0, *, late: int = ASKED) -> Callable[[TestBench], None]:
    """Ask 30 times more; the last `late` answers come so much later."""

    def talk(bench: TestBench) -> None:
        programmer = bench.open_programmer()
        programmer.status()
        slow = SlowLine(bench)
        for number in range(ASKED):
            slow.delay_ms = delay_ms if number >= ASKED - late else 0
            programmer.status()

    return talk


def made_report(
    directory: Path,
    talks: Mapping[str, Callable[[TestBench], object]],
    *,
    address: str = "emulator",
    profile: str | None = None,
    seed: int | None = None,
    unlike: Sequence[CaseRecord] = (),
    missing: Sequence[str] = (),
    recorded: bool = True,
) -> Path:
    """The report of a run in which each of `talks` passed; `unlike` are tests beside them, `missing` did not run."""
    tests = [
        CaseRecord(name, Verdict.PASSED, 0.5) for name in talks if name not in {each.name for each in unlike}
    ]
    tests += unlike
    run = RunRecord(
        address, "EMULATED pump, serial X", tests=tests, ended=True, exit_code=0, began_at_s=1_000
    )
    run.chosen = [*(test.name for test in tests), *missing]
    run.seed, run.profile = seed, profile
    report = ReportDirectory(directory)
    report.begin(run)
    session = BenchSession(parse(address), profile, seed)
    if recorded:
        session.record_beside(str(directory), None, secrets=True)
    for name, talk in talks.items():
        bench = session.open_bench(name)
        talk(bench)
        bench.close(passed=True)
    session.close()
    report.write(run)
    report.write_evidence(run, {})
    report.close()
    return directory
