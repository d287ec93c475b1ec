"""A run as JSON, for programs: the same as the summary, with one object a test."""

from __future__ import annotations

import json
import platform
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, cast

from hil.report.documents import REPORT_SCHEMA
from hil.report.records import CaseRecord, Verdict
from hil.report.summary import DID_NOT_RUN, accused_counts, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hil.report.documents import (
        CasePart,
        DidNotRun,
        FirmwarePart,
        MeasurementPart,
        ReportDocument,
        RequirementPart,
        RunPart,
        TryPart,
    )
    from hil.report.records import FirmwareFile, RunRecord
    from hil.report.requirements import Row


def json_of(run: RunRecord, rows: list[Row], recordings: Mapping[str, str]) -> str:
    """The whole document, in ASCII, with its last newline.

    `rows` are the requirements; `recordings` names and SHA-256 of the recordings beside it.
    """
    tests = [_test(test.verdict, test, run) for test in run.tests]
    tests += [_not_run(name, run) for name in run.did_not_run()]
    firmware = run.firmware
    document: ReportDocument = {
        "schema": REPORT_SCHEMA,
        "run": _run(run),
        "target": {"address": run.target, "device": run.identity, "board": run.board or None},
        "firmware": None if firmware is None else _firmware(firmware),
        "versions": {name: metadata.version(name) for name in ("pumpbench", "pytest")}
        | {"python": platform.python_version()},
        "seed": run.seed,
        "profile": run.profile,
        "recordings": dict(recordings),
        "tests": tests,
        "requirements": [_requirement(row) for row in rows],
        "gaps": [
            {"test": name, "expected": gap.expected, "lasted_ms": gap.lasted_ms} for name, gap in run.gaps
        ],
        "uncollected": [{"name": place.name, "reason": place.reason} for place in run.uncollected],
    }
    return json.dumps(document, indent=2) + "\n"


def _run(run: RunRecord) -> RunPart:
    return {
        "began_at": datetime.fromtimestamp(run.began_at_s, UTC).isoformat(),
        "ended": run.ended,
        "complete": run.ended and not run.is_incomplete and not run.shows_nothing,
        "result": one_line(run),
        "exit_code": run.exit_code,
        "stopped": run.stopped,
        "chosen": len(run.chosen),
        "deselected": run.deselected,
        "left_out": run.left_out,
        "narrowed": run.narrowed or None,
        "reruns": run.reruns.total(),
        "accused": accused_counts(run),
    }


def _firmware(firmware: FirmwareFile) -> FirmwarePart:
    return {"file": firmware.file, "sha256": firmware.sha256, "flashed": firmware.flashed}


def _requirement(row: Row) -> RequirementPart:
    requirement = row.requirement
    return {
        "id": requirement.name,
        "sentence": requirement.sentence,
        "source": requirement.source,
        "verified_by": requirement.verified_by,
        "evidence": requirement.evidence,
        "shown": row.shown,
        "tests": [*(test.name for test in row.tests), *row.missing],
        "not_chosen": list(row.not_chosen),
    }


def _test(outcome: Verdict | DidNotRun, test: CaseRecord, run: RunRecord) -> CasePart:
    """A test, with its failed tries before the last."""
    tries = [_try(attempt.verdict, attempt) for attempt in run.attempts.get(test.name, ())]
    return {**_try(outcome, test), "attempts": tries}


def _try(outcome: Verdict | DidNotRun, test: CaseRecord) -> TryPart:
    return {
        "name": test.name,
        "outcome": outcome,
        "duration_s": round(test.duration_s, 6),
        "requirements": list(test.requirements),
        "accused": test.accused or None,
        "evidence": test.evidence or None,
        "reason": test.reason,
        "frames": test.frames,
        "console": test.console,
        "measurements": [cast("MeasurementPart", dict(each)) for each in test.measurements],
    }


def _not_run(name: str, run: RunRecord) -> CasePart:
    never = CaseRecord(name, Verdict.SKIPPED, 0.0, run.claims.get(name, ()), run.stopped)
    return _test(DID_NOT_RUN, never, run)
