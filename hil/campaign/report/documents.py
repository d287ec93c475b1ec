"""What `campaign.json` holds: its JSON Schema, which is installed beside this, is made from here.

New members may come within a version; one that goes or means something else makes another.
"""

from __future__ import annotations

from typing import Annotated, Final, TypedDict

from hil.campaign.cohort_told import CohortPart  # noqa: TC001 - the schema is made from it
from hil.campaign.explored_told import ExploredPart  # noqa: TC001 - as above
from hil.campaign.violations_told import EventPart, ViolationPart


class SchemaPart(TypedDict):
    """Which document this is."""

    name: Annotated[str, "name of the schema"]
    version: Annotated[int, "version of the schema"]


class PlayedPart(TypedDict):
    """What was played, by what, and when."""

    plan: Annotated[str, "name of the plan"]
    plan_sha256: Annotated[str, "of what the plan says"]
    code_sha256: Annotated[str, "of the code that played"]
    pumpbench: Annotated[str, "version that played"]
    python: Annotated[str, "version that it ran on"]
    began_at: Annotated[str, "when the first run began, ISO 8601 in UTC"]
    runs: Annotated[int, "how many runs there were; more than 1: it was resumed"]
    elapsed_ms: Annotated[int, "how long was played, over all runs"]
    finished: Annotated[bool, "whether the budget of the plan is spent; false: this is part of a result"]
    first_seed: Annotated[int, "seed of the first life"]
    last_seed: Annotated[int | None, "seed of the last life that counts; null: none was played"]
    lives: Annotated[int, "how many lives count"]
    lives_beyond: Annotated[int, "lives in the file that are no part of the result"]
    checked: Annotated[
        list[int] | None,
        "seeds of lives of the file that were played again, and came out the same: other numbers are those of the "
        "file; empty: there were no lives of earlier runs; null: other code played them, and no number was looked at",
    ]
    pump_days: Annotated[int, "days of pumps that were played, rounded down"]
    pump_years_per_s: Annotated[float, "of the whole time of playing"]


class InvariantPart(TypedDict):
    """What must hold, and in how many lives it did not."""

    name: Annotated[str, "its name; LIFE: nothing raises an error"]
    meaning: Annotated[str, "what must hold"]
    violations: Annotated[int, "lives in which it did not; 0: it held in all"]


class ToldViolationPart(ViolationPart):
    """A life in which an invariant does not hold, with what was done in it."""

    faults_at_work: Annotated[list[str], "faults that had taken effect within the last day"]
    story: Annotated[list[EventPart], "all that was done, in its order"]


class FaultPart(TypedDict):
    """A fault over all lives in which it took effect."""

    fault: Annotated[str, "name in the catalogue"]
    lives: Annotated[int, "in how many lives it took effect"]
    effects: Annotated[int, "how often it did, as the catalogue counts"]
    violations: Annotated[list[int], "seeds of lives that broke an invariant while it was at work"]
    violations_without: Annotated[
        list[int], "of these, seeds of lives that break it without the fault too, by their fewest deeds"
    ]
    at_work_ms: Annotated[int, "how long it took effect, and a day after each time"]
    lost_ms: Annotated[int, "how much of that time was without therapy"]
    more_lost_ms: Annotated[int, "how much more than usual that is in each of its lives; below 0: less"]
    error_nl: Annotated[
        int, "largest error of the volume at a refill after it, beyond the pump's own accuracy"
    ]
    error_each_nl: Annotated[int, "the largest of each life, in the mean; 0 of one without a refill"]
    risks_ms: Annotated[
        dict[str, int], "how much of that time patients were at which risk; empty: there are none"
    ]
    more_risk_ms: Annotated[int, "how much more than usual that is in each of its lives; below 0: less"]
    worst_seed: Annotated[int | None, "life in which it went with most harm; null: none was"]
    replay: Annotated[str | None, "command that plays that life again"]


class PairPart(TypedDict):
    """A fault in a procedure."""

    fault: Annotated[str, "name in the catalogue"]
    procedure: Annotated[str, "procedure or state"]
    lives: Annotated[int, "in how many lives the fault took effect in it; 0: never"]


class PlannedPairPart(PairPart):
    """A fault in a procedure, whether it was reached or not."""

    left_out: Annotated[str | None, "why that makes no sense; null: it is to be reached"]


class MarkPart(TypedDict):
    """A mark that the plan asks for."""

    mark: Annotated[str, "what is to be reached"]
    lives: Annotated[int, "in how many lives it was; 0: never"]


class SpreadPart(TypedDict):
    """How values of one kind are spread; each number is one of the values."""

    name: Annotated[str, "what was measured; the unit is its last part"]
    meaning: Annotated[str, "in words"]
    count: Annotated[int, "how many values"]
    lowest: Annotated[int, "the lowest"]
    quantiles: Annotated[dict[str, int], "by percent; 50 is the median"]
    highest: Annotated[int, "the highest"]


class HarmPart(TypedDict):
    """What was lost and risked over all lives but those with a twin."""

    lived_ms: Annotated[int, "time of pumps"]
    lost_ms: Annotated[int, "how much of it was without therapy"]
    risk_ms: Annotated[int, "how long patients were at risk; 0 also where there are none"]


class CampaignReportDocument(TypedDict):
    """The report of a campaign."""

    schema: Annotated[SchemaPart, "which document this is"]
    played: Annotated[PlayedPart, "what was played"]
    invariants: Annotated[list[InvariantPart], "what was held against each life"]
    violations: Annotated[list[ToldViolationPart], "by seed; empty: all held"]
    harm: Annotated[HarmPart, "how much there was"]
    note: Annotated[str, "what is said of patients is no diagnosis"]
    cohort: Annotated[CohortPart | None, "null: the lives are of no cohort"]
    faults: Annotated[list[FaultPart], "those that took effect, the worst first"]
    pairs: Annotated[
        list[PlannedPairPart], "each fault of the plan in each procedure; empty: the plan plays none"
    ]
    marks: Annotated[list[MarkPart], "those that the plan asks for"]
    explored: Annotated[ExploredPart | None, "what came of forks from rare states; null: there were none"]
    measured: Annotated[list[SpreadPart], "how values are spread"]


CAMPAIGN_SCHEMA: Final[SchemaPart] = {"name": "pumpbench-campaign-report", "version": 1}
CAMPAIGN_FILE_DOCUMENTS: Final = (("campaign.schema.json", CAMPAIGN_SCHEMA, CampaignReportDocument),)
"""The file of the schema, beside this module: what it is called, and which class describes its document."""
