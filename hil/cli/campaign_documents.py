"""The JSON documents of `pumpbench campaign`; `hil.cli.json_schema` describes them."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from hil.campaign.cohort_told import CohortPart  # noqa: TC001 - schemas are made of what is known at run time
from hil.campaign.harm_told import PatientPart  # noqa: TC001 - as above
from hil.campaign.report.documents import FaultPart, MarkPart, SpreadPart  # noqa: TC001 - as above


class PairPart(TypedDict):
    """A fault that took effect in a procedure."""

    fault: Annotated[str, "name in the catalogue"]
    procedure: Annotated[str, "procedure or state"]
    lives: Annotated[int, "in how many lives"]


class EventPart(TypedDict):
    """Something that was done in a life."""

    at_ms: Annotated[int, "time of the pump when it began"]
    number: Annotated[int, "of the deed in the life's row which it is of"]
    deed: Annotated[str, "what was done, in words"]


class ShrunkPart(TypedDict):
    """The fewest deeds of a life in which the same invariant does not hold."""

    deeds_before: Annotated[int, "deeds of the life until it did not hold"]
    deeds: Annotated[int, "that will do"]
    plays: Annotated[int, "how many rows of deeds were tried"]
    stopped_early: Annotated[bool, "its time was over: fewer may do"]
    found: Annotated[str, "what was found after these"]
    story: Annotated[list[EventPart], "all that was done in them"]
    replay: Annotated[str, "command that plays these; with --adopt DIR it makes a test of them"]


class ViolationPart(TypedDict):
    """A life in which an invariant does not hold; it ended there."""

    seed: Annotated[int, "of the life"]
    branch: Annotated[str, "of the fork of that life in which it was found; empty: in the life itself"]
    invariant: Annotated[str, "its name; LIFE: the pump or the life raised an error"]
    meaning: Annotated[str, "what should hold"]
    found: Annotated[str, "what was found"]
    replay: Annotated[str, "command that plays the life again"]
    shrunk: Annotated[ShrunkPart | None, "null: it was not shrunk, or not broken again"]


class ReachedPart(TypedDict):
    """What some lives have reached."""

    lives: Annotated[int, "how many, from the first one on"]
    cells: Annotated[int, "places: state, what flows, what is alarmed, one fault or none"]
    marks: Annotated[int, "of all marks there are"]
    pairs: Annotated[int, "of fault and procedure; forks have none of their own"]


class SameBudgetPart(TypedDict):
    """Lives by themselves and lives with their forks, so many of each as a budget pays for."""

    by: Annotated[str, "what is paid with: pump-days or deeds"]
    budget: Annotated[int, "what all lives by themselves have cost"]
    alone: Annotated[ReachedPart, "all lives, by themselves"]
    with_forks: Annotated[ReachedPart, "as many lives with their forks as cost no more"]


class ExploredPart(TypedDict):
    """What came of going on from rare states."""

    forks: Annotated[int, "how many"]
    deeds: Annotated[int, "in them"]
    pump_days: Annotated[float, "in them, of those of the campaign"]
    same_budget: Annotated[list[SameBudgetPart], "by pump-days, and by deeds"]


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
    finished: Annotated[bool, "whether the budget of the plan is spent"]


CAMPAIGN_DOCUMENTS: dict[str, tuple[tuple[Any, ...], ...]] = {
    "campaign-run": ((CampaignPart,),),
    "campaign-report": ((CampaignReportPart,),),
    "campaign-replay": ((ReplayPart,),),
    "campaign-plans": ((PlansPart,),),
}
