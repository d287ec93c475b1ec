"""The JSON documents of `pumpbench campaign`; `hil.cli.json_schema` describes them."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from hil.campaign.cohort_told import CohortPart  # noqa: TC001 - schemas are made of what is known at run time
from hil.campaign.explored_told import ExploredPart  # noqa: TC001 - as above
from hil.campaign.harm_told import PatientPart  # noqa: TC001 - as above
from hil.campaign.report.documents import FaultPart, MarkPart, PairPart, SpreadPart  # noqa: TC001 - as above
from hil.campaign.violations_told import EventPart, ViolationPart  # noqa: TC001 - as above


class CampaignPart(TypedDict):
    """What came of a campaign; of a plan in pump-days the same each time, but for what is of the host's clock."""

    plan: Annotated[str, "its name"]
    plan_sha256: Annotated[str, "of what the plan says"]
    code_sha256: Annotated[str, "of the code that lives depend on"]
    first_seed: Annotated[int, "seed of the first life"]
    lives: Annotated[int, "how many; their seeds follow one another"]
    pump_days: Annotated[int, "days of pumps that were played, rounded down"]
    invariants: Annotated[list[str], "what was held against each life"]
    violations: Annotated[list[ViolationPart], "by seed; empty: all held"]
    marks: Annotated[list[MarkPart], "those that the plan asks for"]
    pairs: Annotated[list[PairPart], "those that were reached"]
    cohort: Annotated[CohortPart | None, "null: the plan's lives are of no cohort"]
    cells: Annotated[int, "places that were reached: state, what flows, what is alarmed, one fault or none"]
    explored: Annotated[ExploredPart | None, "what came of forks; null: there were none"]
    faults: Annotated[list[FaultPart], "those that took effect, the worst first"]
    measured: Annotated[list[SpreadPart], "how what lives yielded in numbers is spread"]
    checked: Annotated[
        list[int], "seeds of lives of earlier runs that were played again, and came out the same"
    ]
    finished: Annotated[bool, "whether the budget of the plan is spent"]
    report: Annotated[str | None, "page of the report; null: none was asked for"]
    patient: Annotated[PatientPart | None, "null: the plan has no patients"]
    elapsed_ms: Annotated[int, "how long was played, over all resumptions"]
    pump_years_per_s: Annotated[float, "of this run; 0 where nothing was left to play"]
    file: Annotated[str, "SQLite file of the lives"]


class ReplayPart(TypedDict):
    """A life that was played again."""

    seed: Annotated[int, "of the life"]
    plan: Annotated[str, "name of the plan"]
    deeds: Annotated[int, "how many were done"]
    pump_days: Annotated[int, "days of the pump, rounded down"]
    story: Annotated[list[EventPart], "all that was done, in its order"]
    violation: Annotated[ViolationPart | None, "null: all held"]
    adopted: Annotated[
        str | None, "test that was made of it; null: none was asked for, or it could not be written"
    ]


class PlansPart(TypedDict):
    """The plans that come with the package."""

    plans: Annotated[list[str], "names"]


class CampaignReportPart(TypedDict):
    """A report of a campaign that was written."""

    plan: Annotated[str, "name of the plan"]
    file: Annotated[str, "SQLite file of the lives"]
    page: Annotated[str, "the page"]
    document: Annotated[str, "the JSON; its schema is hil/campaign/report/campaign.schema.json"]
    lives: Annotated[int, "how many count"]
    violations: Annotated[int, "in how many an invariant does not hold"]
    checked: Annotated[
        list[int] | None, "seeds of lives that were played again, and came out the same; null: of other code"
    ]
    finished: Annotated[bool, "whether the budget of the plan is spent"]


CAMPAIGN_DOCUMENTS: dict[str, tuple[tuple[Any, ...], ...]] = {
    "campaign-run": ((CampaignPart,),),
    "campaign-report": ((CampaignReportPart,),),
    "campaign-replay": ((ReplayPart,),),
    "campaign-plans": ((PlansPart,),),
}
