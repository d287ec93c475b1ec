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
    lives: Annotated[int, "in how many lives it took effect"]
    at_work_ms: Annotated[int, "how long it did, and a day after"]
    withdrawal_risk_ms: Annotated[int, "for how much of that time withdrawal was a risk"]
    overdose_risk_ms: Annotated[int, "the same of an overdose"]
    more_risk_ms: Annotated[int, "how much more than usual that is in each of its lives; below 0: less"]


class PatientPart(TypedDict):
    """How long the modelled patients were at risk."""

    note: Annotated[str, "what this does not say"]
    withdrawal_risk_ms: Annotated[int, "over all lives"]
    withdrawal_risk_lives: Annotated[int, "in how many lives"]
    overdose_risk_ms: Annotated[int, "over all lives"]
    overdose_risk_lives: Annotated[int, "in how many lives"]
    watched_ms: Annotated[int, "how long patients were watched"]
    faults: Annotated[list[FaultHarmPart], "those that took effect, by more_risk_ms"]


def patient_part(harm: Harm) -> PatientPart:
    """The document of it."""
    return PatientPart(
        note=NOTE,
        withdrawal_risk_ms=harm.risk_ms["withdrawal_risk_ms"],
        withdrawal_risk_lives=harm.lives["withdrawal_risk_ms"],
        overdose_risk_ms=harm.risk_ms["overdose_risk_ms"],
        overdose_risk_lives=harm.lives["overdose_risk_ms"],
        watched_ms=harm.watched_ms,
        faults=[
            FaultHarmPart(
                fault=fault,
                lives=each.lives,
                at_work_ms=each.at_work_ms,
                withdrawal_risk_ms=each.withdrawal_ms,
                overdose_risk_ms=each.overdose_ms,
                more_risk_ms=each.more_risk_ms(harm.usual_share),
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
    more = [each for each in part["faults"] if each["more_risk_ms"] > 0]
    for each in more[:FAULTS_SHOWN]:
        yield (
            f"  {each['fault']}: {_hours(each['more_risk_ms'])} a life more than usual; while it took effect, and a "
            f"day after, withdrawal {_hours(each['withdrawal_risk_ms'])}, overdose {_hours(each['overdose_risk_ms'])} "
            f"(lives: {each['lives']})"
        )
    if len(more) > FAULTS_SHOWN:
        yield f"  {counted(len(more) - FAULTS_SHOWN, 'fault')} more with more risk than usual; --json has all"
    yield f"  {part['note']}"


def _hours(ms: int) -> str:
    return f"{ms / MS_PER_HOUR:,.1f} h"
