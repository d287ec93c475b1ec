"""A run as JSON, for programs: the same as the summary, with one object a test."""

from __future__ import annotations

import json
import platform
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING

from hil.report.summary import DID_NOT_RUN, accused_counts, one_line

if TYPE_CHECKING:
    from hil.report.records import CaseRecord, RunRecord
    from hil.report.requirements import Row

SCHEMA_NAME = "pumpbench-report"
SCHEMA_VERSION = 1  # a new member does not change it; one that goes or means something else does


def json_of(run: RunRecord, rows: list[Row]) -> str:
    """The whole document, in ASCII, with its last newline; `rows` are the requirements."""
    tests = [{**_test(test.verdict.value, test), "attempts": _attempts(test.name, run)} for test in run.tests]
    tests += [_not_run(name, run) for name in run.did_not_run()]
    document = {
        "schema": {"name": SCHEMA_NAME, "version": SCHEMA_VERSION},
        "run": {
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
        },
        "target": {"address": run.target, "device": run.identity},
        "versions": {name: metadata.version(name) for name in ("pumpbench", "pytest")}
        | {"python": platform.python_version()},
        "seed": run.seed,
        "profile": run.profile,
        "tests": tests,
        "requirements": [_requirement(row) for row in rows],
        "gaps": [{"test": name, **gap._asdict()} for name, gap in run.gaps],
        "uncollected": [{"name": place.name, "reason": place.reason} for place in run.uncollected],
    }
    return json.dumps(document, indent=2) + "\n"


def _requirement(row: Row) -> dict[str, object]:
    tests = [*(test.name for test in row.tests), *row.missing]
    fields = row.requirement._asdict()
    return {"id": fields.pop("name"), **fields, "shown": row.shown.value, "tests": tests}


def _test(outcome: str, test: CaseRecord) -> dict[str, object]:
    return {
        "name": test.name,
        "outcome": outcome,
        "duration_s": round(test.duration_s, 6),
        "requirements": list(test.requirements),
        "accused": test.accused or None,
        "evidence": test.evidence or None,
        "reason": test.reason,
        "measurements": [dict(each) for each in test.measurements],
    }


def _attempts(name: str, run: RunRecord) -> list[dict[str, object]]:
    """Its failed tries before the last, each with its own frames."""
    return [
        {**_test(attempt.verdict.value, attempt), "frames": attempt.frames}
        for attempt in run.attempts.get(name, ())
    ]


def _not_run(name: str, run: RunRecord) -> dict[str, object]:
    return {
        "name": name,
        "outcome": DID_NOT_RUN,
        "duration_s": 0.0,
        "requirements": list(run.claims.get(name, ())),
        "accused": None,
        "evidence": None,
        "reason": run.stopped,
        "measurements": [],
        "attempts": _attempts(name, run),
    }
