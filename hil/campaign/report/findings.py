"""What the lives of a campaign show together: numbers of all of them, and each fault by the harm that came with it."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.campaign.patient_watch import RISKS
from hil.campaign.playing import played_life
from hil.campaign.running import Campaign

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.campaign.deed import Event
    from hil.campaign.lives_file import LivesFile, Origin
    from hil.campaign.plan import Plan
    from hil.campaign.playing import Lived
    from hil.campaign.running import Result
    from hil.campaign.shrinking import Shrunk

LOST: Final = "therapy_lost_ms"
BROKEN_MAX: Final = 500
"""So many lives that broke an invariant are on a page; the others are in the JSON alone."""


class Usual(NamedTuple):
    """Parts of all time of pumps, 0 to 1, but of those with a twin."""

    lost_share: float
    """Without therapy."""
    risk_share: float
    """With the patient at a risk; two at once count twice. 0 where there are no patients."""


@dataclass
class FaultFound:
    """A fault, over all lives in which it took effect."""

    name: str
    lives: int = 0
    effects: int = 0
    at_work_ms: int = 0
    lost_ms: int = 0
    """How much of that time was without therapy."""
    error_nl: int = 0
    """The largest error of the volume at a refill before which it was at work."""
    errors_nl: int = 0
    """The largest of each of its lives, together."""
    violations: list[int] = field(default_factory=list)
    """Seeds of lives that broke an invariant while it was at work."""
    risks_ms: Counter[str] = field(default_factory=Counter)
    """How much of that time patients were at each risk, by name; 0 where there were none."""
    worst_seed: int | None = None
    """The life in which most harm was while it was at work; None where none was."""
    worst_risk_ms: int = 0
    worst_lost_ms: int = 0
    """That harm: time of the patient at risk, and time without therapy."""

    @property
    def lost_share(self) -> float:
        """The part of its time at work that was without therapy, 0 to 1."""
        return self.lost_ms / self.at_work_ms if self.at_work_ms else 0.0

    @property
    def error_each_nl(self) -> int:
        """The largest error of the volume of a life, in the mean."""
        return self.errors_nl // max(self.lives, 1)

    def more_lost_ms(self, usual: Usual) -> int:
        """How much more therapy than usual was lost in each of its lives while it was at work; below 0: less."""
        return self._more(self.lost_ms, usual.lost_share)

    def more_risk_ms(self, usual: Usual) -> int:
        """How much longer than usual the patient was at risk in each of its lives while it was at work."""
        return self._more(self.risks_ms.total(), usual.risk_share)

    def _more(self, found_ms: int, usual_share: float) -> int:
        return round((found_ms - usual_share * self.at_work_ms) / max(self.lives, 1))

    def badness(self, usual: Usual) -> tuple[int, ...]:
        """By which faults are ranked: violations, then risk of the patient, then therapy lost, then volume."""
        return (
            len(self.violations),
            self.more_risk_ms(usual),
            self.more_lost_ms(usual),
            self.error_each_nl,
        )


@dataclass
class Findings:
    """All that a report is made of."""

    plan: Plan
    plan_named: str
    """As the plan was named: commands name it so."""
    origin: Origin
    result: Result
    finished: bool
    """Whether the budget of the plan is spent."""
    beyond: int = 0
    """Lives in the file that are no part of the result."""
    checked: tuple[int, ...] | None = ()
    """Seeds of lives of the file that were played again, and came out the same; None: other code played them."""
    measured: dict[str, array[int]] = field(default_factory=dict)
    """All values by name and unit."""
    faults: list[FaultFound] = field(default_factory=list)
    """Those that took effect, the worst first."""
    lost_ms: int = 0
    risk_ms: int = 0
    lived_ms: int = 0
    """Therapy lost, risks, and time of pumps, of all lives but those with a twin, whose time is that of both."""
    stories: dict[int, tuple[Event, ...]] = field(default_factory=dict)
    """All that was done, by seed: of lives that broke an invariant, and of others that were played again."""

    shrunk: dict[int, Shrunk] = field(default_factory=dict)
    """What is left, by seed, of lives that broke an invariant and were shrunk."""

    def without(self, fault: FaultFound) -> list[int]:
        """Of its violations, seeds of those that come without it too: in their fewest deeds it took no effect."""
        return [
            seed
            for seed in fault.violations
            if seed in self.shrunk and fault.name not in self.shrunk[seed].faults
        ]

    @property
    def usual(self) -> Usual:
        """How much of all time was with harm."""
        lived_ms = max(self.lived_ms, 1)
        return Usual(self.lost_ms / lived_ms, self.risk_ms / lived_ms)

    @cached_property
    def broken_seeds(self) -> frozenset[int]:
        """The lives that broke an invariant."""
        return frozenset(lived.seed for lived in self.result.violations)

    @cached_property
    def on_page(self) -> frozenset[int]:
        """The lives that a page tells of; to be asked once the stories are there."""
        again = self.stories.keys() - self.broken_seeds
        return frozenset(again | {lived.seed for lived in self.result.violations[:BROKEN_MAX]})


def findings_of(
    plan: Plan, plan_named: str, file: LivesFile, checked: tuple[int, ...] | None = ()
) -> Findings:
    """What the lives in a file show, as far as they are the result of the plan.

    `checked`: those of them that were played again; None: other code played them.
    """
    campaign = Campaign(plan, file, lambda: 0)
    result = campaign.result
    found = Findings(plan, plan_named, file.origin(), result, campaign.spent(), checked=checked)
    faults: dict[str, FaultFound] = {}
    last = plan.first_seed + result.lives
    for lived in file.lives():
        if not plan.first_seed <= lived.seed < last:
            found.beyond += 1
            continue
        for name, values in lived.measured:
            found.measured.setdefault(name, array("q")).extend(values)
        if lived.invariant is not None:
            found.stories[lived.seed] = lived.story
        _add_faults(lived, faults)
        if not plan.has_twin(lived.seed):
            found.lived_ms += lived.pump_ms - lived.explored.pump_ms  # of forks there are no numbers
            sums = {name: sum(values) for name, values in lived.measured}
            found.lost_ms += sums.get(LOST, 0)
            found.risk_ms += sum(sums.get(name, 0) for name in RISKS)
    found.faults = sorted(faults.values(), key=lambda fault: fault.badness(found.usual), reverse=True)
    return found


def _add_faults(lived: Lived, faults: dict[str, FaultFound]) -> None:
    for each in lived.faults:
        fault = faults.setdefault(each.name, FaultFound(each.name))
        if lived.invariant is not None and each.at_end:
            fault.violations.append(lived.seed)
        fault.lives += 1
        fault.effects += each.effects
        fault.at_work_ms += each.at_work_ms
        fault.lost_ms += each.lost_ms
        fault.error_nl = max(fault.error_nl, each.error_nl)
        fault.errors_nl += each.error_nl
        fault.risks_ms.update(withdrawal_risk_ms=each.withdrawal_ms, overdose_risk_ms=each.overdose_ms)
        harm = (each.withdrawal_ms + each.overdose_ms, each.lost_ms)
        if harm > (fault.worst_risk_ms, fault.worst_lost_ms):
            fault.worst_seed, (fault.worst_risk_ms, fault.worst_lost_ms) = lived.seed, harm


def headline_of(found: Findings) -> dict[str, tuple[FaultFound, int]]:
    """The fault that is worst by each kind of harm, and by how much; kinds without harm are left out."""
    if not found.faults:
        return {}
    kinds: dict[str, Callable[[FaultFound], int]] = {
        "violations": lambda fault: len(fault.violations),
        "risk": lambda fault: fault.more_risk_ms(found.usual),
        "lost": lambda fault: fault.more_lost_ms(found.usual),
        "volume": lambda fault: fault.error_each_nl,
    }
    worst = {kind: max(found.faults, key=harm) for kind, harm in kinds.items()}
    return {kind: (fault, kinds[kind](fault)) for kind, fault in worst.items() if kinds[kind](fault) > 0}


def play_again(found: Findings, most: int) -> None:
    """Play the worst life of each of the worst faults again, for its story, where no violation tells one.

    To be called where the code is that which played the lives; with other code they would be other lives.
    """
    headline = [fault for fault, _ in headline_of(found).values()]
    for fault in (*headline, *found.faults[:most]):
        if not fault.violations and fault.worst_seed is not None and fault.worst_seed not in found.stories:
            found.stories[fault.worst_seed] = played_life(found.plan, fault.worst_seed).story
