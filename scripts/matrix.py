"""`make matrix`: the whole conformance suite on each kind of target, one after another, with a report for each.

A port that is there already is an emulator that is started here, with the profile that a suite on a port needs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

REPORTS = Path("report") / "matrix"
PUMPBENCH = [sys.executable, "-m", "hil.cli"]
PROFILE = "suite_on_a_port"


class Column(NamedTuple):
    """A kind of target: how the emulator behind it is started; empty where the target starts one itself."""

    name: str
    target: str = ""
    emulate: tuple[str, ...] = ()


COLUMNS = (
    Column("emulator", "emulator"),
    Column("process", "emulator:process"),
    Column("pty", emulate=("--link", "{reports}/pump")),
    Column("tcp", emulate=("--tcp", "127.0.0.1:0")),
    Column("rfc2217", emulate=("--rfc2217", "127.0.0.1:0")),
)


@contextmanager
def emulator(arguments: tuple[str, ...]) -> Iterator[str]:
    """The address of an emulator that ends with this block; RuntimeError where it does not start."""
    given = [argument.format(reports=REPORTS) for argument in arguments]
    command = [*PUMPBENCH, "emulate", "--until-eof", "--profile", PROFILE, *given]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"the emulator did not start: {' '.join(command)}")
            yield str(json.loads(line)["target"])
        finally:
            process.terminate()


def run(name: str, target: str) -> int:
    """Run the suite on one target; returns the exit code."""
    report = REPORTS / name
    print(f"== {name}: {target}", flush=True)
    done = subprocess.run(
        [*PUMPBENCH, "hil", "run", "--target", target, "--report", str(report), "--no-history", "--", "-q"],
        check=False,
    )
    return done.returncode


def skipped(report: Mapping[str, Any]) -> list[str]:
    """What the tests of a report that were skipped lacked, the most frequent first: a line each, with their number."""
    reasons = Counter(test["reason"] for test in report["tests"] if test["outcome"] == "skipped")
    return [f"  {count:>4} skipped: {reason}" for reason, count in reasons.most_common()]


def main() -> int:
    """Run all columns, even where one fails; returns 0 where each of them ended with 0."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    codes = {}
    for column in COLUMNS:
        if column.target:
            codes[column.name] = run(column.name, column.target)
        else:
            with emulator(column.emulate) as address:
                codes[column.name] = run(column.name, address)
    print("== matrix")
    for name, code in codes.items():
        report = json.loads((REPORTS / name / "report.json").read_text())
        print("\n".join([f"{name:<9} exit {code:<3} {report['run']['result']}", *skipped(report)]))
    return max(codes.values())


if __name__ == "__main__":
    sys.exit(main())
