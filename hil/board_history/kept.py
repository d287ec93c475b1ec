"""What is kept of a run, as plain data: one row of each class in the history's file."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hil.latency import Quantiles


class KeptRun(NamedTuple):
    """One run on a board. "" and None stand for what was not known."""

    board: str
    """Serial number of its pump; of an emulator that makes its pumps, its address and profile."""
    kind: str
    """Of the device, as GET_INFO says it: hardware, emulator."""
    target: str
    place: str
    """Which board it was, as its lease names it: what is plugged in, or where; "" where it has no lease."""
    memory_id: str
    device: str
    """What the device said of itself, in words."""
    firmware: str
    firmware_crc32: str
    firmware_sha256: str
    """Of the file that the bench file names."""
    pumpbench: str
    pytest: str
    python: str
    profile: str | None
    seed: int | None
    began_at_s: int
    """The host's clock, seconds since 1970."""
    exit_code: int
    result: str
    """Counts in one line."""
    is_complete: bool
    is_virtual: bool
    """Whether its latencies are of a pump in virtual time."""
    report: str
    """Directory of its report; "" without one."""
    number: int = 0
    """In the file; 0 before it is there."""


class KeptTest(NamedTuple):
    """How a test ended."""

    name: str
    outcome: str
    duration_us: int
    reason: str
    accused: str


class KeptLatency(NamedTuple):
    """How long answers to one kind of request took in one test."""

    test: str
    request: str
    quantiles: Quantiles


class KeptMeasurement(NamedTuple):
    """A value that a test measured; None of a series, which is JSON: pairs of (against, value)."""

    test: str
    name: str
    unit: str
    value: float | None
    verdict: str
    series: str


class Kept(NamedTuple):
    """All of one run."""

    run: KeptRun
    tests: tuple[KeptTest, ...]
    latencies: tuple[KeptLatency, ...]
    measurements: tuple[KeptMeasurement, ...]
