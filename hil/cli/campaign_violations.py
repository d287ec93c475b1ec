"""Violations of a campaign as documents and in words: which life, what was found, and the least that shows it."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING

from hil.campaign.deed import Event
from hil.campaign.playing import RAISED
from hil.campaign.properties import INVARIANTS
from hil.campaign.shrinking import shrink_first
from hil.campaign.story import lines as story_lines
from hil.cli.campaign_documents import EventPart, ShrunkPart, ViolationPart
from hil.cli.output import say
from hil.quantity_words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.campaign.playing import Lived
    from hil.campaign.report.findings import Findings
    from hil.campaign.row import Wrong
    from hil.campaign.shrinking import Shrunk


def clock_ms() -> int:
    """The host's clock."""
    return time.monotonic_ns() // 1_000_000


def replay_command(plan_named: str, seed: int, *, branch: str = "", deeds: str = "") -> str:
    """The command that plays a life again, or a fork of it, or some of its deeds."""
    said = f" --branch {branch}" if branch else f" --deeds {shlex.quote(deeds)}" if deeds else ""
    return f"pumpbench campaign replay {seed}{said} --plan {shlex.quote(plan_named)}"


def violation_part(
    plan_named: str, seed: int, wrong: Wrong, *, branch: str = "", deeds: str = ""
) -> ViolationPart:
    """What did not hold in a life."""
    meaning = "nothing raises an error" if wrong.invariant == RAISED else INVARIANTS[wrong.invariant]
    return ViolationPart(
        seed=seed,
        branch=branch,
        invariant=wrong.invariant,
        meaning=meaning,
        found=wrong.found,
        replay=replay_command(plan_named, seed, branch=branch, deeds=deeds),
        shrunk=None,
    )


def event_parts(story: tuple[Event, ...]) -> list[EventPart]:
    """A story as a document has it."""
    return [EventPart(at_ms=each.at_ms, number=each.number, deed=each.deed) for each in story]


def shrunk_part(plan_named: str, shrunk: Shrunk) -> ShrunkPart:
    """What is left of a life."""
    return ShrunkPart(
        deeds_before=shrunk.before,
        deeds=len(shrunk.row),
        plays=shrunk.plays,
        stopped_early=shrunk.stopped_early,
        found=shrunk.found,
        story=event_parts(shrunk.story),
        replay=replay_command(plan_named, shrunk.seed, deeds=shrunk.text),
    )


def shrunk_lines(part: ShrunkPart) -> Iterator[str]:
    """The same to read."""
    early = "; stopped early: fewer may do" if part["stopped_early"] else ""
    yield f"  {counted(part['deeds'], 'deed')} of {part['deeds_before']} will do ({part['plays']} tries{early}):"
    events = tuple(event_of(each) for each in part["story"])
    yield from (f"    {line}" for line in story_lines(events))
    yield f"  again: {part['replay']}"
    yield f"  as a test: {part['replay']} --adopt DIR"


def event_of(part: EventPart) -> Event:
    """The event that a document tells."""
    return Event(part["at_ms"], part["deed"], part["number"])


def shrink_violations(found: Findings) -> None:
    """Shrink the first violations, and say so on stderr; to be called where this code played the lives."""
    found.shrunk |= shrink_first(found.plan, found.result.violations, clock_ms, _tell_shrinking)


def _tell_shrinking(lived: Lived) -> None:
    say(f"life {lived.seed}: looking for the fewest deeds that break {lived.invariant}")
