"""What is told of lives that broke an invariant: parts of documents, lines for people, commands that play them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, TypedDict

from hil.campaign.deed import Event
from hil.campaign.playing import RAISED
from hil.campaign.properties import INVARIANTS
from hil.campaign.story import lines as story_lines
from hil.quantity_words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.campaign.playing import Wrong
    from hil.campaign.shrinking import Shrunk


class EventPart(TypedDict):
    """Something that was done in a life."""

    at_ms: Annotated[int, "time of the pump when it began"]
    deed: Annotated[str, "what was done, in words"]
    number: Annotated[int, "of the deed in the life's row which it is of; 0: of none"]


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


def meaning_of(invariant: str) -> str:
    """What should hold."""
    return "nothing raises an error" if invariant == RAISED else INVARIANTS[invariant]


def lives_text(count: int) -> str:
    """How many lives: one life, 2,000 lives."""
    return "one life" if count == 1 else f"{count:,} lives"


def replay_of(plan_named: str, seed: int, *, branch: str = "", deeds: str = "") -> str:
    """The command that plays a life again, or a fork of it, or some of its deeds."""
    said = f" --branch {branch}" if branch else f" --deeds {shlex.quote(deeds)}" if deeds else ""
    return f"pumpbench campaign replay {seed}{said} --plan {shlex.quote(plan_named)}"


def violation_part(
    plan_named: str,
    seed: int,
    wrong: Wrong,
    *,
    branch: str = "",
    deeds: str = "",
    shrunk: Shrunk | None = None,
) -> ViolationPart:
    """What did not hold in a life."""
    return ViolationPart(
        seed=seed,
        branch=branch,
        invariant=wrong.invariant,
        meaning=meaning_of(wrong.invariant),
        found=wrong.found,
        replay=replay_of(plan_named, seed, branch=branch, deeds=deeds),
        shrunk=None if shrunk is None else shrunk_part(plan_named, shrunk),
    )


def event_parts(story: tuple[Event, ...]) -> list[EventPart]:
    """A story as a document has it."""
    return [EventPart(at_ms=each.at_ms, deed=each.deed, number=each.number) for each in story]


def events_of(parts: list[EventPart]) -> tuple[Event, ...]:
    """The story that a document has."""
    return tuple(Event(**each) for each in parts)


def shrunk_part(plan_named: str, shrunk: Shrunk) -> ShrunkPart:
    """What is left of a life."""
    return ShrunkPart(
        deeds_before=shrunk.before,
        deeds=len(shrunk.row),
        plays=shrunk.plays,
        stopped_early=shrunk.stopped_early,
        found=shrunk.found,
        story=event_parts(shrunk.story),
        replay=replay_of(plan_named, shrunk.seed, deeds=shrunk.text),
    )


def shrunk_lines(part: ShrunkPart) -> Iterator[str]:
    """The same to read."""
    early = "; stopped early: fewer may do" if part["stopped_early"] else ""
    yield f"  {counted(part['deeds'], 'deed')} of {part['deeds_before']} will do ({part['plays']} tries{early}):"
    yield from (f"    {line}" for line in story_lines(events_of(part["story"])))
    yield f"  again: {part['replay']}"
    yield f"  as a test: {part['replay']} --adopt DIR"
