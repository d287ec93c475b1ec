"""Keeps a run in the history once it has ended. Whatever goes wrong there is one sentence, and no fault of the run."""

from __future__ import annotations

import json
import platform
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING, Final

from hil.capture.recording_file import plain_text
from hil.errors import BadConfiguration, PumpbenchError
from hil.programmer.expected_pump import serial_of
from hil.quantity_words import counted
from hil.report.summary import one_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hil.bench_session import BenchSession
    from hil.board_history.kept import Kept, KeptRun
    from hil.latency import Latencies
    from hil.report.records import RunRecord

BOARDS: Final = "boards"
WANTED: Final = (BOARDS, "all", "none")
"""Which runs are kept: those on devices that are there already, also those of emulators that a run starts, or none."""
SETTING: Final = "hil_history"
REASON_CHARACTERS: Final = 300


def keeper(
    session: BenchSession, option: str | None, setting: str
) -> Callable[[RunRecord, Path | None], list[str]]:
    """What keeps a run of this session, given its record and the directory of its report, and returns what to say.

    `option` counts before `setting`, the ini option; "" and None are BOARDS. BadConfiguration for another word.
    """
    wanted = option or setting or BOARDS
    if wanted not in WANTED:
        raise BadConfiguration(f"{SETTING} must be one of {', '.join(WANTED)}, is {wanted!r}")
    if wanted == "none" or (wanted == BOARDS and not session.address.scheme.lives_on):
        return lambda _run, _report: []
    return partial(_keep, session)


def _keep(session: BenchSession, run: RunRecord, report: Path | None) -> list[str]:
    board = board_of(session, run)
    if not board:
        return []  # nobody has answered: there is no board that it would be a run of
    from hil.board_history.history_file import default_path, history_at  # noqa: PLC0415 - at the end of a run alone
    from hil.board_history.judging import against_its_past  # noqa: PLC0415 - as above

    try:
        kept, troubles = kept_of(session, run, report, board)
        with history_at(default_path(), writing=True) as history:
            number = history.add(kept)
            shifts = against_its_past(history, board).shifts
    except (PumpbenchError, OSError) as error:
        why = error.one_line() if isinstance(error, PumpbenchError) else str(error)
        return [f"history: this run is not kept: {why}"]
    named = f"; {counted(len(shifts), 'shift')} against its own past" if shifts else ""
    return [
        *(f"history: {trouble}" for trouble in troubles),
        f"history: run {number}, of {board}{named} (pumpbench hil history {board})",
    ]


def board_of(session: BenchSession, run: RunRecord) -> str:
    """By what a board is known from run to run: its pump's serial number, which outlives its memory and its port.

    "" where nobody has said it.
    """
    if not session.address.scheme.lives_on:
        return f"{session.address.text}/{session.profile}"
    return "" if session.info is None else serial_of(session.info) or run.board or run.target


def kept_of(session: BenchSession, run: RunRecord, report: Path | None, board: str) -> tuple[Kept, list[str]]:
    """What is kept of a run, and what could not be read of its recordings."""
    from hil.board_history.kept import Kept, KeptLatency, KeptMeasurement, KeptTest  # noqa: PLC0415 - as above

    latencies, is_virtual, troubles = _latencies(report)
    return (
        Kept(
            _kept_run(session, run, report, board, is_virtual=is_virtual),
            tuple(
                KeptTest(
                    plain_text(test.name),
                    test.verdict.value,
                    round(test.duration_s * 1_000_000),
                    plain_text(test.reason.partition("\n")[0])[:REASON_CHARACTERS],
                    test.accused,
                )
                for test in run.tests
            ),
            tuple(
                KeptLatency(name, request, quantiles)
                for name, of_test in latencies.items()
                for request, quantiles in of_test.quantiles().items()
            ),
            tuple(
                KeptMeasurement(
                    plain_text(test.name),
                    str(each["name"]),
                    str(each["unit"]),
                    each["value"] if isinstance(each["value"], int | float) else None,  # "nan" is no value
                    str(each["verdict"]),
                    json.dumps(each.get("series", [])),
                )
                for test in run.tests
                for each in test.measurements
            ),
        ),
        troubles,
    )


def _kept_run(
    session: BenchSession, run: RunRecord, report: Path | None, board: str, *, is_virtual: bool
) -> KeptRun:
    from hil.board_history.kept import KeptRun  # noqa: PLC0415 - as above

    info = session.info
    return KeptRun(
        board=board,
        kind="emulator" if info is None else info.kind.name.lower(),
        target=plain_text(run.target),
        place=plain_text(run.board),
        memory_id="" if info is None else f"{info.memory_id:016x}",
        device=run.identity,
        firmware="" if info is None else f"{info.fw:08X}",
        firmware_crc32="" if info is None else f"{info.fw_crc32:08X}",
        firmware_sha256="" if run.firmware is None else run.firmware.sha256,
        pumpbench=metadata.version("pumpbench"),
        pytest=metadata.version("pytest"),
        python=platform.python_version(),
        profile=run.profile,
        seed=run.seed,
        began_at_s=run.began_at_s,
        exit_code=run.exit_code if run.exit_code is not None else -1,
        result=plain_text(one_line(run)),
        is_complete=not run.is_incomplete and not run.stopped,
        is_virtual=is_virtual,
        report="" if report is None else plain_text(str(report)),
    )


def _latencies(report: Path | None) -> tuple[dict[str, Latencies], bool, list[str]]:
    """Latencies of each test from the recordings of the run, whether of virtual time, and what could not be read."""
    from hil.capture.tests_of_a_run import RecordedRun  # noqa: PLC0415 - as above
    from hil.latency import Latencies  # noqa: PLC0415 - as above
    from hil.report.reading import recordings_in  # noqa: PLC0415 - as above

    found: dict[str, Latencies] = {}
    is_virtual = False
    if report is None:
        return found, is_virtual, []
    recorded = RecordedRun(recordings_in(report), headers_alone=True)
    for test in recorded.tests():
        found.setdefault(test.name, Latencies()).take(test.messages)
        is_virtual = is_virtual or test.is_virtual
    return found, is_virtual, recorded.damage
