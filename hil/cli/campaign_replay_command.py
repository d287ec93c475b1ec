"""`pumpbench campaign replay`: one life again, or a fork or some deeds of it; shrunk, and adopted as a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from hil.campaign.adopted import adopt, check_place
from hil.campaign.exploring import FORK_DEEDS, read_branch
from hil.campaign.plan import LAST_SEED, check_of_deeds, load_plan
from hil.campaign.playing import Wrong, played_life
from hil.campaign.row_text import planned_row, row_of_text, row_text
from hil.campaign.rows import Rows
from hil.campaign.shrinking import Shrinking
from hil.campaign.story import lines as story_lines
from hil.campaign.violations_told import event_parts, events_of, shrunk_lines, violation_part
from hil.cli.campaign_documents import ReplayPart
from hil.cli.connection import tell_error
from hil.cli.documents import json_text
from hil.cli.output import tell_lines
from hil.cli.quantities import WholeNumber
from hil.errors import BadConfiguration, InvariantViolated, PumpbenchError, UsageError, in_one_line
from hil.host_clock import host_ms
from hil.own_paths import path_of
from hil.procedures.doses import MS_PER_DAY
from hil.quantity_words import counted, exact_duration_of_ms

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.campaign.deed import Deed, Event
    from hil.campaign.plan import Plan

EXIT_CODES: Final = """\
\b
Exit codes:
   0  every invariant held
   1  an invariant does not hold
   2  --deeds and --branch name two lives
  10  the plan, the deeds or the place for the test cannot be right, or nothing is there to be shrunk or adopted
"""


@click.command("replay", epilog=EXIT_CODES)
@click.argument("seed", metavar="SEED", type=WholeNumber(f"0 to {LAST_SEED}"))
@click.option("--plan", "plan_named", metavar="PLAN", required=True, help="The plan of the life.")
@click.option("--branch", "branch_named", metavar="BRANCH", help="A fork of it, as the campaign named it.")
@click.option(
    "--deeds",
    "deeds_named",
    metavar="DEEDS",
    help="Only these of it, by number: 3,7,12; or said otherwise: 7:wait(wait_ms=1).",
)
@click.option("--shrink", is_flag=True, help="Find the fewest deeds that break the same invariant.")
@click.option("--adopt", "directory", metavar="DIR", help="Write a test there that fails as this does.")
@click.option("--json", "as_json", is_flag=True, help="JSON: one object.")
def replay_command(*, as_json: bool, **given: Any) -> None:
    """Play one life of a plan again, and print all that was done in it.

    With --shrink what is printed, and adopted, is the least of it that breaks the same invariant.
    """
    try:
        document, note, pump_ms, ended = _replay(**given)
    except PumpbenchError as error:
        if as_json:
            tell_error(error)
        raise
    lines = _lines(document, note, pump_ms)
    tell_lines([json_text("campaign-replay", document)] if as_json else map(in_one_line, lines))
    if ended is not None:
        raise ended


class _Life:
    """What was played: some deeds, a fork or the whole of a life."""

    def __init__(self, plan: Plan, seed: int, branch: str | None, deeds: str | None) -> None:
        self.row: tuple[Deed, ...]
        self.story: tuple[Event, ...]
        self.wrong: Wrong | None = None
        self.deeds = ""
        if deeds is not None:
            planned = planned_row(plan, seed)
            played = Rows(plan, seed).play(row_of_text(deeds, planned))
            self.row, self.story, self.wrong = played.row, played.lives[0].story, played.wrong
            self.deeds = row_text(played.row, planned)
            self.pump_ms = sum(each.talk.now_ms for each in played.lives)
            return
        forked = () if branch is None else read_branch(branch)
        lived, self.story, self.row = played_life(plan, seed, forked)
        self.pump_ms = lived.pump_ms
        if lived.invariant is not None:
            self.wrong = Wrong(lived.invariant, lived.found)
        elif forked and len(self.row) < sum(after for after, _ in forked) + FORK_DEEDS:
            raise BadConfiguration(
                f"life {seed} has no branch {branch!r}: it ends after {counted(len(self.row) - FORK_DEEDS, 'deed')}"
            )


def _replay(
    *,
    seed: int,
    plan_named: str,
    branch_named: str | None,
    deeds_named: str | None,
    shrink: bool,
    directory: str | None,
) -> tuple[ReplayPart, str, int, PumpbenchError | None]:
    """The document, what is said of the shrinking where it came to nothing, the time played, and how it ends."""
    plan = load_plan(plan_named)
    if not plan.first_seed <= seed <= LAST_SEED:
        raise BadConfiguration(
            f"the plan has lives from seed {plan.first_seed} to {LAST_SEED}, and none of seed {seed}"
        )
    if branch_named is not None and deeds_named is not None:
        raise UsageError("--branch and --deeds say each what is played", advice="leave one of them out")
    into = None if directory is None else path_of(directory, "--adopt")
    if branch_named is not None or deeds_named is not None or shrink or into is not None:
        check_of_deeds(plan)
    life = _Life(plan, seed, branch_named, deeds_named)
    document = ReplayPart(
        seed=seed,
        plan=plan.name,
        deeds=len(life.row),
        pump_days=life.pump_ms // MS_PER_DAY,
        story=event_parts(life.story),
        violation=None,
        adopted=None,
    )
    wrong, row, story, note = life.wrong, life.row, life.story, ""
    if wrong is None:
        if shrink or into is not None:
            raise BadConfiguration(
                f"every invariant held in life {seed}: there is nothing to shrink or to adopt",
                advice="name a life that broke one",
            )
        return document, "", life.pump_ms, None
    refused = None if into is None else _refusal(into, seed, wrong)
    shrink = shrink and refused is None
    shrunk = Shrinking(plan, seed, host_ms).shrink(row, wrong.invariant) if shrink else None
    document["violation"] = violation = violation_part(
        plan_named, seed, wrong, branch=branch_named or "", deeds=life.deeds, shrunk=shrunk
    )
    if shrunk is not None:
        row, story, wrong = shrunk.row, shrunk.story, Wrong(shrunk.invariant, shrunk.found)
    elif shrink:
        note = f"{wrong.invariant} held when the deeds were done again: they are not shrunk"
    ended: PumpbenchError = refused or InvariantViolated(
        f"life {seed}, after {counted(len(row), 'deed')}: {violation['invariant']} "
        f"({violation['meaning']}) does not hold: {wrong.found}"
    )
    if into is not None and refused is None:
        try:
            document["adopted"] = str(adopt(into, plan, seed, row, wrong, story))
        except BadConfiguration as error:
            ended = error  # after what was found: it may have taken a minute
    return document, note, life.pump_ms, ended


def _refusal(into: Path, seed: int, wrong: Wrong) -> BadConfiguration | None:
    """Why no test of this could be written there; None where it can be."""
    try:
        check_place(into, seed, wrong.invariant)
    except BadConfiguration as error:
        return error
    return None


def _lines(document: ReplayPart, note: str, pump_ms: int) -> Iterator[str]:
    violation, seed = document["violation"], document["seed"]
    if violation is None or violation["shrunk"] is None:
        yield from story_lines(events_of(document["story"]))
    if violation is None:
        days = document["pump_days"]
        time = f"{days} days" if days > 1 else exact_duration_of_ms(pump_ms)
        yield f"life {seed}: {counted(document['deeds'], 'deed')} in {time}; every invariant held"
    elif violation["shrunk"] is not None:
        yield f"life {seed}:"
        yield from shrunk_lines(violation["shrunk"])
    if note:
        yield note
    if document["adopted"] is not None:
        yield f"adopted: {document['adopted']}"
