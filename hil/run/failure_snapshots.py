"""A test that fails on a pump that can be gone back to leaves a snapshot in the report, and the command that opens it.

It is the pump just before the last thing that the test did with its rig, where the target keeps that, else the pump as
the test left it. A snapshot holds keys: with `--hil-no-secrets` none is left, and nobody else may read one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from hil.capabilities import TargetCapability
from hil.errors import NotOnThisRig, PumpbenchError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from hil.bench_of_test import TestBench

DIRECTORY: Final = "snapshots"
NAME: Final = "failure"
WORDS_MAX: Final = 60
DIGITS: Final = 8
NO_FAILURES: Final = (
    pytest.skip.Exception,
    pytest.exit.Exception,
    NotOnThisRig,
    KeyboardInterrupt,
    SystemExit,
)


class Left(NamedTuple):
    """The state of a pump for whoever looks into a failure, and which one it is."""

    document: Mapping[str, object]
    when: str


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Leave the snapshot of a test that fails while its pump is still there."""
    try:
        return (yield)
    except BaseException as error:
        if not isinstance(error, NO_FAILURES) and item.get_closest_marker("xfail") is None:
            _leave(item)
        raise


def _leave(item: pytest.Item) -> None:
    report = item.config.getoption("--hil-report")
    bench: TestBench | None = getattr(item, "funcargs", {}).get("pump_bench")
    if bench is None or not report or item.config.getoption("--hil-no-secrets"):
        return
    with suppress(
        PumpbenchError, OSError
    ):  # a bench that is lost, or a disk that is full: the failure says enough
        left = _state_of(bench)
        if left is not None:
            path = _written(Path(report).absolute() / DIRECTORY, item.nodeid, left)
            command = (
                f"pumpbench emulate --snapshot {shlex.quote(str(path))} --control 127.0.0.1:0 --time manual"
            )
            text = f"the pump {left.when}, with its keys:\n{command}"
            item.add_report_section("call", "snapshot", text)


def _state_of(bench: TestBench) -> Left | None:
    """The state to leave; None where the target keeps none."""
    if TargetCapability.SNAPSHOT not in bench.target.capabilities:
        return None
    before = getattr(bench.target, "before_last_action", None)
    document = None if before is None else before(NAME)
    if document is not None:
        return Left(document, "just before the last thing that the test did with its rig")
    rig = bench.target.rig
    rig.snapshot(NAME)
    document = rig.read_snapshot(NAME)
    rig.forget(NAME)
    return Left(document, "as the test left it")


def _written(directory: Path, test: str, left: Left) -> Path:
    """The file of a test, in the place of the one that an earlier run has left."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    words = re.sub("[^A-Za-z0-9_]+", "-", test.rpartition("::")[2])[:WORDS_MAX].strip("-")
    digest = hashlib.sha256(test.encode("utf-8", "backslashreplace")).hexdigest()[:DIGITS]
    path = directory / f"{words}-{digest}.json"
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(json.dumps(left.document, separators=(",", ":")).encode() + b"\n")
    return path
