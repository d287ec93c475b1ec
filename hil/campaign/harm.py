"""How long the patients of a campaign were at risk, and while which faults took effect: faults ranked by harm.

People lower and raise doses too, and a patient is at risk then without any fault. So a fault is ranked by how much more
of its time was at risk than of all time.
"""

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
    """In which it took effect."""
    at_work_ms: int = 0
    """How long it did, and a day after."""
    withdrawal_ms: int = 0
    overdose_ms: int = 0
    """How much of that time was at each of the risks."""

    def more_risk_ms(self, usual_share: float) -> int:
        """How much more than usual was at risk in each of its lives; below 0: less."""
        at_risk_ms = self.withdrawal_ms + self.overdose_ms
        return round((at_risk_ms - usual_share * self.at_work_ms) / max(self.lives, 1))


@dataclass
class Harm:
    """Risks of all patients together."""

    watched_ms: int = 0
    """How long patients were watched."""
    lives: dict[str, int] = field(default_factory=lambda: dict.fromkeys(RISKS, 0))
    """In how many lives each risk was."""
    risk_ms: dict[str, int] = field(default_factory=lambda: dict.fromkeys(RISKS, 0))
    by_fault: dict[str, FaultHarm] = field(default_factory=dict)

    def add(self, lived: Lived) -> None:
        """The next life; one without a patient changes nothing."""
        measured = dict(lived.measured)
        if "patient_watched_ms" not in measured:
            return
        self.watched_ms += sum(measured["patient_watched_ms"])
        for name in RISKS:
            values = measured.get(name, ())
            self.lives[name] += bool(values)
            self.risk_ms[name] += sum(values)
        for each in lived.faults:
            harm = self.by_fault.setdefault(each.name, FaultHarm())
            harm.lives += 1
            harm.at_work_ms += each.at_work_ms
            harm.withdrawal_ms += each.withdrawal_ms
            harm.overdose_ms += each.overdose_ms

    @property
    def usual_share(self) -> float:
        """The part of all time that was at risk, 0 to 1; of both risks at once each counts."""
        return sum(self.risk_ms.values()) / self.watched_ms if self.watched_ms else 0.0

    def ranked(self) -> list[tuple[str, FaultHarm]]:
        """Faults, the one with the most risk beyond the usual in each of its lives first."""
        share = self.usual_share
        return sorted(self.by_fault.items(), key=lambda row: (-row[1].more_risk_ms(share), row[0]))
