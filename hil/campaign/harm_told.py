"""What is told of the patients of a campaign: a part of documents, and lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, TypedDict

from firmware_emu.patient.person import NO_DIAGNOSIS
from firmware_emu.units import MS_PER_HOUR
from hil.quantity_words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hil.campaign.harm import Harm
    from hil.campaign.report.documents import FaultPart

FAULTS_SHOWN: Final = 10


class PatientPart(TypedDict):
    """How long the modelled patients were at risk."""

    note: Annotated[str, "what this does not say"]
    withdrawal_risk_ms: Annotated[int, "over all lives"]
    withdrawal_risk_lives: Annotated[int, "in how many lives"]
    overdose_risk_ms: Annotated[int, "over all lives"]
    overdose_risk_lives: Annotated[int, "in how many lives"]


def patient_part(harm: Harm) -> PatientPart:
    """The document of it."""
    return PatientPart(
        note=NO_DIAGNOSIS,
        withdrawal_risk_ms=harm.risk_ms["withdrawal_risk_ms"],
        withdrawal_risk_lives=harm.lives["withdrawal_risk_ms"],
        overdose_risk_ms=harm.risk_ms["overdose_risk_ms"],
        overdose_risk_lives=harm.lives["overdose_risk_ms"],
    )


def patient_lines(part: PatientPart, faults: Sequence[FaultPart]) -> Iterator[str]:
    """The same for people, and the faults that went with more risk than usual, the worst first."""
    yield (
        f"patients: at risk of withdrawal for {_hours(part['withdrawal_risk_ms'])} "
        f"(lives: {part['withdrawal_risk_lives']}), of an overdose for "
        f"{_hours(part['overdose_risk_ms'])} (lives: {part['overdose_risk_lives']})"
    )
    worse = sorted(
        (each for each in faults if each["more_risk_ms"] > 0), key=lambda each: -each["more_risk_ms"]
    )
    if worse:
        yield "  by fault, while in effect and a day after: time at risk beyond the usual, in the mean of its lives"
    for each in worse[:FAULTS_SHOWN]:
        risks_ms = each["risks_ms"]
        yield (
            f"  {each['fault']}: {_hours(each['more_risk_ms'])} (lives: {each['lives']}; in all withdrawal "
            f"{_hours(risks_ms['withdrawal_risk_ms'])}, overdose {_hours(risks_ms['overdose_risk_ms'])})"
        )
    if len(worse) > FAULTS_SHOWN:
        yield f"  {counted(len(worse) - FAULTS_SHOWN, 'fault')} more with more risk than usual; --json has all"
    yield f"  {part['note']}"


def _hours(ms: int) -> str:
    return f"{ms / MS_PER_HOUR:,.1f} h"
