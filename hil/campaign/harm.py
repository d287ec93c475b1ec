"""How long the patients of a campaign were at risk, and in how many lives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hil.campaign.patient_watch import RISKS

if TYPE_CHECKING:
    from hil.campaign.playing import Lived


@dataclass
class Harm:
    """Risks of all patients together, each by its name."""

    lives: dict[str, int] = field(default_factory=lambda: dict.fromkeys(RISKS, 0))
    """In how many lives it was."""
    risk_ms: dict[str, int] = field(default_factory=lambda: dict.fromkeys(RISKS, 0))

    def add(self, lived: Lived) -> None:
        """The next life; one without a patient changes nothing."""
        measured = dict(lived.measured)
        for name in RISKS:
            values = measured.get(name, ())
            self.lives[name] += bool(values)
            self.risk_ms[name] += sum(values)
