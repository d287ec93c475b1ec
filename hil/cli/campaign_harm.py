"""What `pumpbench campaign run` tells of the patients of its lives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hil.campaign.harm import NOTE
from hil.cli.campaign_documents import FaultHarmPart, PatientPart
from hil.quantity_words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.campaign.harm import Harm

FAULTS_SHOWN: Final = 10
MS_PER_HOUR: Final = 3_600_000


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
