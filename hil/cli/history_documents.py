"""The JSON documents of `pumpbench hil history`; `hil.cli.json_schema` describes them."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from hil.cli.compare_documents import LatencyPart


class HistoryRunPart(TypedDict):
    """One run that is kept; empty texts and null stand for what was not known."""

    number: Annotated[int, "number of the run in the history"]
    board: Annotated[str, "serial number of the pump; of an emulator, its address and profile"]
    kind: Annotated[str, "hardware or emulator"]
    target: Annotated[str, "address"]
    place: Annotated[str, "which board it was, as its lease names it"]
    memory_id: Annotated[str, "of GET_INFO, in hex"]
    device: Annotated[str, "what the device said of itself"]
    firmware: Annotated[str, "version of the firmware, in hex"]
    firmware_crc32: Annotated[str, "CRC-32 of the firmware, in hex"]
    firmware_sha256: Annotated[str, "SHA-256 of the firmware file that the bench file names"]
    pumpbench: Annotated[str, "version"]
    pytest: Annotated[str, "version"]
    python: Annotated[str, "version"]
    profile: Annotated[str | None, "profile of a pump that was made for each test"]
    seed: Annotated[int | None, "seed of such a pump"]
    began_at_s: Annotated[int, "the host's clock, seconds since 1970 UTC"]
    exit_code: Annotated[int, "of the run"]
    result: Annotated[str, "its counts in one line"]
    is_complete: Annotated[bool, "whether every chosen test has run"]
    is_virtual: Annotated[bool, "whether its latencies are of a pump in virtual time"]
    report: Annotated[str, "directory of its report; it may be gone"]


class HistoryBoardPart(TypedDict):
    """A board of which runs are kept."""

    board: Annotated[str, "its name in the history"]
    runs: Annotated[int, "how many"]
    newest: Annotated[HistoryRunPart, "the last of them"]


class HistoryBoardsPart(TypedDict):
    """Without a board: which there are."""

    path: Annotated[str, "the history's file"]
    boards: Annotated[list[HistoryBoardPart], "the one that ran last at the end"]


class PastShiftPart(TypedDict):
    """One thing of the newest run that is not as it was."""

    what: Annotated[str, "outcome, latency, duration or measurement"]
    name: Annotated[str, "test, kind of request, or test and measurement"]
    now: Annotated[str, "in words, with its unit"]
    past: Annotated[str, "the same of the past: its median, or how the test always ended"]
    runs: Annotated[int, "runs of the past that have it"]


class HistoryPart(TypedDict):
    """The runs of a board, and the newest against its past."""

    path: Annotated[str, "the history's file"]
    board: Annotated[str, "its name in the history"]
    runs: Annotated[list[HistoryRunPart], "the newest at the end"]
    past: Annotated[int, "runs that the newest is held against"]
    judged: Annotated[bool, "false where nothing of the newest run could be held against them"]
    unjudged: Annotated[list[str], "tests of the newest run that too few of them have"]
    shifts: Annotated[list[PastShiftPart], "what is not as it was"]


class TestLatencyPart(LatencyPart):
    """Latencies of a kind of request in one test."""

    request: Annotated[str, "name of its opcode"]


class TestMeasurementPart(TypedDict):
    """A value that a test measured."""

    name: Annotated[str, "what was measured"]
    unit: Annotated[str, "its unit"]
    value: Annotated[float | None, "null of a series"]
    verdict: Annotated[str, "passed, marginal, failed or unjudged"]


class TestInRunPart(TypedDict):
    """One test in one run."""

    run: Annotated[int, "number of the run"]
    began_at_s: Annotated[int, "when the run began, seconds since 1970 UTC"]
    firmware: Annotated[str, "version of the firmware, in hex"]
    outcome: Annotated[str, "how it ended"]
    reason: Annotated[str, "first line of why it failed or was skipped"]
    duration_us: Annotated[int, "how long it took"]
    latencies: Annotated[list[TestLatencyPart], "of each kind of request"]
    measurements: Annotated[list[TestMeasurementPart], "what it measured"]


class HistoryTestPart(TypedDict):
    """One test over the runs of a board."""

    board: Annotated[str, "name of the board in the history"]
    test: Annotated[str, "name of the test"]
    runs: Annotated[list[TestInRunPart], "the newest at the end"]


class ForgottenPart(TypedDict):
    """What `--forget` did."""

    board: Annotated[str, "name of the board in the history"]
    forgotten: Annotated[int, "runs that were removed"]


HISTORY_DOCUMENTS: dict[str, tuple[tuple[Any, ...], ...]] = {
    "hil-history": ((HistoryBoardsPart,), (HistoryPart,), (HistoryTestPart,), (ForgottenPart,))
}
