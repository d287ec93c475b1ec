"""`pumpbench campaign replay`: one life again, or a fork or some deeds of it; shrunk, and adopted as a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from hil.campaign.adopted import adopt
from hil.campaign.exploring import FORK_DEEDS, read_branch
from hil.campaign.plan import LAST_SEED, check_of_deeds, load_plan
from hil.campaign.playing import played_life
from hil.campaign.row import Rows, Wrong, planned_row, row_of_text, row_text
from hil.campaign.shrinking import Shrinking
from hil.campaign.story import lines as story_lines
from hil.cli.campaign_documents import ReplayPart
from hil.cli.campaign_violations import clock_ms, event_parts, shrunk_lines, shrunk_part, violation_part
from hil.cli.connection import tell_error
from hil.cli.documents import json_text
from hil.cli.output import tell_lines
from hil.cli.quantities import WholeNumber
from hil.errors import BadConfiguration, InvariantViolated, PumpbenchError, UsageError, in_one_line
from hil.own_paths import path_of
from hil.quantity_words import counted, exact_duration_of_ms

if TYPE_CHECKING:
    from hil.campaign.deed import Deed, Event
    from hil.campaign.plan import Plan

MS_PER_DAY: Final = 86_400_000
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
        ended = _replay(**given, as_json=as_json)
    except PumpbenchError as error:
        if as_json:
            tell_error(error)
        raise
    if ended is not None:
        raise ended


class _Life:
    """What was played: some deeds, a fork or the whole of a life."""

    def __init__(self, plan: Plan, seed: int, branch: str, deeds: str | None) -> None:
        self.row: tuple[Deed, ...]
        self.story: tuple[Event, ...]
        self.wrong: Wrong | None = None
        self.branch, self.deeds = branch, ""
        if deeds is not None:
            planned = planned_row(plan, seed)
            played = Rows(plan, seed).play(row_of_text(deeds, planned))
            self.row, self.story, self.wrong = played.row, played.lives[0].story, played.wrong
            self.deeds, self.pump_ms = (
                row_text(played.row, planned),
                sum(each.talk.now_ms for each in played.lives),
            )
            return
        forked = read_branch(branch) if branch else ()
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
    as_json: bool,
) -> PumpbenchError | None:
    """Tell what was played; returns how that ends, which no document says."""
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
    life = _Life(plan, seed, branch_named or "", deeds_named)
    wrong = life.wrong
    if wrong is None:
        if shrink or into is not None:
            raise BadConfiguration(
                f"every invariant held in life {seed}: there is nothing to shrink or to adopt",
                advice="name a life that broke one",
            )
        _told(seed, plan, life, None, [], as_json=as_json)
        return None
    violation = violation_part(plan_named, seed, wrong, branch=life.branch, deeds=life.deeds)
    lines: list[str] = []
    row, story = life.row, life.story
    if shrink:
        shrunk = Shrinking(plan, seed, clock_ms).shrink(row, wrong.invariant)
        if shrunk is None:
            lines = [f"{wrong.invariant} held when the deeds were done again: they are not shrunk"]
        else:
            violation["shrunk"] = part = shrunk_part(plan_named, shrunk)
            lines = [f"life {seed}:", *shrunk_lines(part)]
            row, story, wrong = shrunk.row, shrunk.story, Wrong(shrunk.invariant, shrunk.found)
    adopted, refused = None, None
    if into is not None:
        try:
            adopted = str(adopt(into, plan, seed, row, wrong, story))
            lines.append(f"adopted: {adopted}")
        except BadConfiguration as error:
            refused = error  # after what was found: it may have taken a minute
    _told(seed, plan, life, violation, lines, as_json=as_json, adopted=adopted)
    if refused is not None:
        return refused
    return InvariantViolated(
        f"life {seed}, after {counted(len(row), 'deed')}: {violation['invariant']} "
        f"({violation['meaning']}) does not hold: {wrong.found}"
    )


def _told(
    seed: int,
    plan: Plan,
    life: _Life,
    violation: Any,
    lines: list[str],
    *,
    as_json: bool,
    adopted: str | None = None,
) -> None:
    days = life.pump_ms // MS_PER_DAY
    if as_json:
        document = ReplayPart(
            seed=seed,
            plan=plan.name,
            deeds=len(life.row),
            pump_days=days,
            story=event_parts(life.story),
            violation=violation,
            adopted=adopted,
        )
        tell_lines([json_text("campaign-replay", document)])
        return
    shown = [] if violation is not None and violation["shrunk"] is not None else story_lines(life.story)
    if violation is None:
        time = f"{days} days" if days > 1 else exact_duration_of_ms(life.pump_ms)
        lines = [f"life {seed}: {counted(len(life.row), 'deed')} in {time}; every invariant held"]
    tell_lines(map(in_one_line, [*shown, *lines]))
