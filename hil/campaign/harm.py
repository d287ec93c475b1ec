"""How long the patients of a campaign were at risk, and while which faults took effect: faults ranked by harm."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from firmware_emu.patient.person import NO_DIAGNOSIS
from hil.campaign.patient_watch import RISKS

if TYPE_CHECKING:
    from hil.campaign.playing import Lived

NOTE: Final = NO_DIAGNOSIS
"""Stands wherever any of this is told."""


@dataclass
class FaultHarm:
    """What patients had while a fault took effect, and a day after; of other faults then, each has the same."""

    lives: int = 0
    """In which it took effect while a patient was at risk."""
    withdrawal_ms: int = 0
    overdose_ms: int = 0

    @property
    def at_risk_ms(self) -> int:
        """Of either risk."""
        return self.withdrawal_ms + self.overdose_ms


@dataclass
class Harm:
    """Risks of all patients together."""

    lives: dict[str, int] = field(default_factory=lambda: dict.fromkeys(RISKS, 0))
    """In how many lives each risk was."""
    risk_ms: dict[str, int] = field(default_factory=lambda: dict.fromkeys(RISKS, 0))
    by_fault: dict[str, FaultHarm] = field(default_factory=dict)

    def add(self, lived: Lived) -> None:
        """The next life; one without a patient changes nothing."""
        measured = dict(lived.measured)
        for name in RISKS:
            values = measured.get(name, ())
            self.lives[name] += bool(values)
            self.risk_ms[name] += sum(values)
        for each in lived.faults:
            if each.withdrawal_ms or each.overdose_ms:
                harm = self.by_fault.setdefault(each.name, FaultHarm())
                harm.lives += 1
                harm.withdrawal_ms += each.withdrawal_ms
                harm.overdose_ms += each.overdose_ms

    def ranked(self) -> list[tuple[str, FaultHarm]]:
        """Faults, the one with the most time at risk first."""
        return sorted(self.by_fault.items(), key=lambda row: (-row[1].at_risk_ms, row[0]))
