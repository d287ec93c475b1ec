"""What is told of the patients of a campaign: a part of documents, and lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, TypedDict

from hil.campaign.harm import NOTE
from hil.quantity_words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.campaign.harm import Harm

FAULTS_SHOWN: Final = 10
MS_PER_HOUR: Final = 3_600_000


class FaultHarmPart(TypedDict):
    """A fault that took effect while patients were at risk."""

    fault: Annotated[str, "name in the catalogue"]
    lives: Annotated[int, "in how many lives"]
    withdrawal_risk_ms: Annotated[int, "how long of the time at work, and a day after, withdrawal was a risk"]
    overdose_risk_ms: Annotated[int, "the same of an overdose"]


class PatientPart(TypedDict):
    """How long the modelled patients were at risk."""

    note: Annotated[str, "what this does not say"]
    withdrawal_risk_ms: Annotated[int, "over all lives"]
    withdrawal_risk_lives: Annotated[int, "in how many lives"]
    overdose_risk_ms: Annotated[int, "over all lives"]
    overdose_risk_lives: Annotated[int, "in how many lives"]
    faults: Annotated[list[FaultHarmPart], "the one with the most time at risk first"]


def patient_part(harm: Harm) -> PatientPart:
    """The document of it."""
    return PatientPart(
        note=NOTE,
        withdrawal_risk_ms=harm.risk_ms["withdrawal_risk_ms"],
        withdrawal_risk_lives=harm.lives["withdrawal_risk_ms"],
        overdose_risk_ms=harm.risk_ms["overdose_risk_ms"],
        overdose_risk_lives=harm.lives["overdose_risk_ms"],
        faults=[
            FaultHarmPart(
                fault=fault,
                lives=each.lives,
                withdrawal_risk_ms=each.withdrawal_ms,
                overdose_risk_ms=each.overdose_ms,
            )
            for fault, each in harm.ranked()
        ],
    )


def patient_lines(part: PatientPart) -> Iterator[str]:
    """The same for people."""
    yield (
        f"patients: at risk of withdrawal for {_hours(part['withdrawal_risk_ms'])} "
        f"(lives: {part['withdrawal_risk_lives']}), of an overdose for "
        f"{_hours(part['overdose_risk_ms'])} (lives: {part['overdose_risk_lives']})"
    )
    for each in part["faults"][:FAULTS_SHOWN]:
        yield (
            f"  while {each['fault']} took effect, and a day after: withdrawal "
            f"{_hours(each['withdrawal_risk_ms'])}, overdose {_hours(each['overdose_risk_ms'])}"
        )
    if (more := len(part["faults"]) - FAULTS_SHOWN) > 0:
        yield f"  and while {counted(more, 'other fault')} did; --json has all"
    yield f"  {part['note']}"


def _hours(ms: int) -> str:
    return f"{ms / MS_PER_HOUR:,.1f} h"
