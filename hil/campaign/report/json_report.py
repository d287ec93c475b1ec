"""What a campaign found as JSON, for programs: the same as the page."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from firmware_emu.patient.person import NO_DIAGNOSIS
from hil.campaign.cohort_told import cohort_part
from hil.campaign.explored_told import explored_part
from hil.campaign.measuring import MEASURES
from hil.campaign.pairs import LEFT_OUT, WORKS
from hil.campaign.playing import RAISED, Wrong
from hil.campaign.report.distribution import QUANTILES, spread_of
from hil.campaign.report.documents import CAMPAIGN_SCHEMA
from hil.campaign.running import pump_years_per_s
from hil.campaign.violations_told import event_parts, meaning_of, replay_of, violation_part

if TYPE_CHECKING:
    from hil.campaign.playing import Lived
    from hil.campaign.report.documents import (
        CampaignReportDocument,
        FaultPart,
        InvariantPart,
        MarkPart,
        PlannedPairPart,
        PlayedPart,
        SpreadPart,
        ToldViolationPart,
    )
    from hil.campaign.report.findings import FaultFound, Findings
    from hil.campaign.violations_told import ViolationPart


def json_of(found: Findings) -> str:
    """The whole document, in ASCII, with its last newline."""
    return json.dumps(document_of(found), indent=1) + "\n"


def document_of(found: Findings) -> CampaignReportDocument:
    """The document before it is text."""
    return {
        "schema": CAMPAIGN_SCHEMA,
        "played": _played(found),
        "invariants": invariants_of(found),
        "violations": [_told_violation(found, lived) for lived in found.result.violations],
        "harm": {"lived_ms": found.lived_ms, "lost_ms": found.lost_ms, "risk_ms": found.risk_ms},
        "note": NO_DIAGNOSIS,
        "cohort": cohort_part(found.result.cohort) if found.plan.life == "cohort" else None,
        "faults": faults_of(found),
        "pairs": pairs_of(found),
        "marks": marks_of(found),
        "explored": explored_part(found.result),
        "measured": spreads_of(found),
    }


def at_work_in(lived: Lived) -> list[str]:
    """The faults that were at work when a life ended."""
    return [each.name for each in lived.faults if each.at_end]


def invariants_of(found: Findings) -> list[InvariantPart]:
    """Each invariant that was held against lives, and that of errors, which no plan leaves out."""
    broken = [lived.invariant for lived in found.result.violations]
    return [
        {"name": name, "meaning": meaning_of(name), "violations": broken.count(name)}
        for name in (*found.plan.invariants, RAISED)
    ]


def faults_of(found: Findings) -> list[FaultPart]:
    """The faults that took effect, the worst first."""
    return [_fault(found, fault) for fault in found.faults]


def _fault(found: Findings, fault: FaultFound) -> FaultPart:
    return {
        "fault": fault.name,
        "lives": fault.lives,
        "effects": fault.effects,
        "violations": fault.violations,
        "violations_without": found.without(fault),
        "at_work_ms": fault.at_work_ms,
        "lost_ms": fault.lost_ms,
        "more_lost_ms": fault.more_lost_ms(found.usual),
        "error_nl": fault.error_nl,
        "error_each_nl": fault.error_each_nl,
        "risks_ms": dict(fault.risks_ms) if found.plan.patient else {},
        "more_risk_ms": fault.more_risk_ms(found.usual),
        "worst_seed": fault.worst_seed,
        "replay": None if fault.worst_seed is None else replay_of(found.plan_named, fault.worst_seed),
    }


def pairs_of(found: Findings) -> list[PlannedPairPart]:
    """Each fault of the plan in each procedure; none where the plan plays no pairs."""
    if not found.plan.pairs:
        return []
    return [
        {
            "fault": fault,
            "procedure": work,
            "lives": found.result.pairs[fault, work],
            "left_out": LEFT_OUT.get((fault, work)),
        }
        for fault in found.plan.faults
        for work in WORKS
    ]


def marks_of(found: Findings) -> list[MarkPart]:
    """The marks that the plan asks for."""
    return [{"mark": mark, "lives": found.result.marks[mark]} for mark in found.plan.marks]


def spreads_of(found: Findings) -> list[SpreadPart]:
    """How the values of each kind are spread: those of ours in their order, then others by name."""
    parts: list[SpreadPart] = []
    for name in measures_of(found):
        spread = spread_of(found.measured[name])
        quantiles = {str(percent): value for percent, value in zip(QUANTILES, spread.quantiles, strict=True)}
        parts.append(
            {
                "name": name,
                "meaning": meaning_of_measure(name),
                "count": spread.number,
                "lowest": spread.lowest,
                "quantiles": quantiles,
                "highest": spread.highest,
            }
        )
    return parts


def measures_of(found: Findings) -> list[str]:
    """The names of what was measured, in the order of a report."""
    ours = [name for name in MEASURES if name in found.measured]
    return ours + sorted(found.measured.keys() - MEASURES.keys())


def meaning_of_measure(name: str) -> str:
    """What was measured, in words; "" where nobody says."""
    return MEASURES.get(name, "")


def _played(found: Findings) -> PlayedPart:
    plan, origin, lives = found.plan, found.origin, found.result.lives
    return {
        "plan": plan.name,
        "plan_sha256": plan.digest(),
        "code_sha256": origin.code_sha256,
        "pumpbench": origin.pumpbench,
        "python": origin.python,
        "began_at": datetime.fromtimestamp(origin.began_at_s, UTC).isoformat(),
        "runs": origin.runs,
        "elapsed_ms": origin.elapsed_ms,
        "finished": found.finished,
        "first_seed": plan.first_seed,
        "last_seed": plan.first_seed + lives - 1 if lives else None,
        "lives": lives,
        "lives_beyond": found.beyond,
        "checked": None if found.checked is None else [*found.checked],
        "pump_days": found.result.pump_days,
        "pump_years_per_s": pump_years_per_s(found.result.pump_ms, origin.elapsed_ms),
    }


def violation_of(found: Findings, lived: Lived) -> ViolationPart:
    """What did not hold in one of the lives."""
    wrong = Wrong(lived.invariant or "", lived.found)
    shrunk = found.shrunk.get(lived.seed)
    return violation_part(found.plan_named, lived.seed, wrong, branch=lived.branch, shrunk=shrunk)


def _told_violation(found: Findings, lived: Lived) -> ToldViolationPart:
    return {
        **violation_of(found, lived),
        "faults_at_work": at_work_in(lived),
        "story": event_parts(found.stories.get(lived.seed, lived.story)),
    }
