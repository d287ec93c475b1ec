"""A cohort beside what is published of one: Wesemann 2014, 65 pumps over 12 months of refills, and a laboratory.

The clinic's figures are of syringes and programmers, the laboratory's of a balance and of other pumps.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from firmware_emu.units import PPM

if TYPE_CHECKING:
    from hil.campaign.playing import Lived

SOURCE: Final = "Wesemann et al., Reg Anesth Pain Med 2014;39:341-346"


class Published(NamedTuple):
    """A mean that is published."""

    meaning: str
    mean_ppm: int
    of: str
    """Of how many."""


PUBLISHED: Final = {
    "read_error_at_6_months_ppm": Published("6 months of a pump, by syringe", 10_000, "65 pumps"),
    "read_error_at_12_months_ppm": Published("12 months of a pump, by syringe", 10_000, "54 pumps"),
    "read_error_at_refill_ppm": Published("each refill, by syringe", 25_000, "the same pumps"),
    "weighed_error_at_refill_ppm": Published("each refill, by weight", -24_000, "pumps in a laboratory"),
}
"""By the name of what a life yields; what a pump gave beyond its program [DOMAIN 1.3, S18]."""
COHORT_MEASURES: Final = {
    "accuracy_error_ppm": "by which a pump moves more than it should, as it was drawn",
    "refill_interval_ms": "from one refill to the next",
    "programmed_at_refill_nl": "what a pump was programmed to give from one refill to the next",
    "read_error_at_refill_ppm": "what a pump gave from one refill to the next by syringe and entered fill, "
    "more than it was programmed to",
    "weighed_error_at_refill_ppm": "the same by what really left the reservoir",
    "read_error_at_6_months_ppm": "the same by syringe, of all refills of a pump in 6 months together",
    "read_error_at_12_months_ppm": "the same of 12 months",
    "refill_to_investigate_nl": "how far a measured volume was off that a programmer would have investigated [PRC-004]",
}
"""What a pump of a cohort yields besides, by name."""
BY_SYRINGE: Final = "read_error_at_refill_ppm"
BY_WEIGHT: Final = "weighed_error_at_refill_ppm"


class Figure(NamedTuple):
    """A mean of the cohort."""

    number: int
    mean_ppm: int
    sd_ppm: int
    """Standard deviation; 0 of a single value."""


@dataclass
class Cohort:
    """What pumps of a cohort yielded together."""

    pumps: int = 0
    values_ppm: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in PUBLISHED})
    programmed_nl: list[int] = field(default_factory=list)
    """Of each refill."""
    to_investigate: int = 0
    """Refills at which a programmer would have called for it [PRC-004]."""
    ran_dry: int = 0
    """Pumps that were dry before they were refilled."""

    def add(self, lived: Lived) -> None:
        """The next life; one that is of no cohort changes nothing."""
        measured = dict(lived.measured)
        if "accuracy_error_ppm" not in measured:
            return
        self.pumps += 1
        for name, values_ppm in self.values_ppm.items():
            values_ppm.extend(measured.get(name, ()))
        self.programmed_nl += measured.get("programmed_at_refill_nl", ())
        self.to_investigate += len(measured.get("refill_to_investigate_nl", ()))
        self.ran_dry += "dry_ms" in measured

    @property
    def refills(self) -> int:
        """How many were compared."""
        return len(self.programmed_nl)

    def figures(self) -> dict[str, Figure]:
        """Means by name, of what there is at least one of."""
        return {
            name: Figure(len(values), round(statistics.fmean(values)), round(statistics.pstdev(values)))
            for name, values in self.values_ppm.items()
            if values
        }

    def explained_ppm(self) -> int | None:
        """By how much a syringe shows more than a balance, per refill; None without a refill.

        It does not depend on which accuracies were drawn.
        """
        figures = self.figures()
        if BY_SYRINGE not in figures:
            return None
        return figures[BY_SYRINGE].mean_ppm - figures[BY_WEIGHT].mean_ppm

    def would_explain_nl(self) -> int | None:
        """Fluid drawn at each refill and never seen, which would explain the rest; below 0: too much is seen."""
        explained_ppm = self.explained_ppm()
        if explained_ppm is None:
            return None
        # a volume is a larger part of a refill that was due early: what counts is the mean of the parts
        part_of_1_nl = statistics.fmean(1 / programmed_nl for programmed_nl in self.programmed_nl)
        return round((BETWEEN_PPM - explained_ppm) / PPM / part_of_1_nl)


BETWEEN_PPM: Final = PUBLISHED[BY_SYRINGE].mean_ppm - PUBLISHED[BY_WEIGHT].mean_ppm
"""By how much the clinic's mean of refills is above the laboratory's."""
