"""What is told of the forks of lives, and how much more they reached for the same budget: parts and lines."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, TypedDict

from firmware_emu.units import MS_PER_DAY
from hil.campaign.violations_told import lives_text
from hil.quantity_words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Set

    from hil.campaign.exploring import Reached, SameBudget
    from hil.campaign.running import Result


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


class InForksPart(TypedDict):
    """A mark or a cell that no life reached by itself."""

    name: Annotated[str, "the mark, or the cell: state, what flows, what is alarmed, fault"]
    lives: Annotated[int, "in the forks of how many lives it was reached"]


class StatePart(TypedDict):
    """How many cells of one state of a pump were reached."""

    state: Annotated[str, "its name; without power: of none"]
    alone: Annotated[int, "cells that lives reached by themselves"]
    only_in_forks: Annotated[int, "cells that no life reached by itself"]


class ExploredPart(TypedDict):
    """What came of going on from rare states."""

    forks: Annotated[int, "how many"]
    deeds: Annotated[int, "in them"]
    pump_days: Annotated[float, "in them, of those of the campaign"]
    violations: Annotated[list[int], "seeds of lives in which an invariant did not hold, but in a fork alone"]
    marks: Annotated[list[InForksPart], "that no life reached by itself, the most often reached first"]
    cells: Annotated[list[InForksPart], "likewise"]
    states: Annotated[list[StatePart], "cells by state"]
    same_budget: Annotated[list[SameBudgetPart], "by pump-days, and by deeds"]


def explored_part(result: Result) -> ExploredPart | None:
    """The document; None where no life was gone on from."""
    if not result.forks:
        return None
    return ExploredPart(
        forks=result.forks,
        deeds=result.fork_deeds,
        pump_days=round(result.fork_ms / MS_PER_DAY, 1),
        violations=[lived.seed for lived in result.violations if lived.branch],
        marks=_in_forks(result.fork_marks, result.same_deeds.alone.marks),
        cells=_in_forks(result.fork_cells, result.same_deeds.alone.cells),
        states=_states(result.same_deeds.alone.cells, result.cells),
        same_budget=[
            _same_budget("pump-days", result.same_pump_days, MS_PER_DAY),
            _same_budget("deeds", result.same_deeds, 1),
        ],
    )


def cost_line(explored: ExploredPart) -> str:
    """What forks have cost."""
    return (
        f"{counted(explored['forks'], 'fork')} from rare states, "
        f"{explored['deeds']:,} deeds in {explored['pump_days']:,.1f} pump-days"
    )


def gain_line(explored: ExploredPart) -> str:
    """What they yielded."""
    found = ((len(explored["violations"]), "violation"), (len(explored["marks"]), "mark"))
    return ", ".join(counted(number, what) for number, what in (*found, (len(explored["cells"]), "cell")))


def explored_lines(explored: ExploredPart | None) -> Iterator[str]:
    """The same in words."""
    if explored is None:
        return
    yield f"explored: {cost_line(explored)}"
    yield f"reached in forks alone: {gain_line(explored)}"
    for same in explored["same_budget"]:
        forked = same["with_forks"]
        paid = f"with forks {_words(forked)}" if forked["lives"] else "it pays for no life with its forks"
        yield f"for {same['budget']:,} {same['by']}: {_words(same['alone'])}; {paid}"


def _same_budget(by: str, same: SameBudget, unit: int) -> SameBudgetPart:
    return SameBudgetPart(
        by=by, budget=same.budget // unit, alone=_reached(same.alone), with_forks=_reached(same.forked)
    )


def _in_forks(reached: Counter[str], alone: Set[str]) -> list[InForksPart]:
    only = [(name, lives) for name, lives in reached.items() if name not in alone]
    return [
        InForksPart(name=name, lives=lives) for name, lives in sorted(only, key=lambda row: (-row[1], row[0]))
    ]


def _states(alone: Set[str], cells: Set[str]) -> list[StatePart]:
    by_themselves, in_all = (Counter(cell.partition(",")[0] for cell in each) for each in (alone, cells))
    return [
        StatePart(state=state, alone=by_themselves[state], only_in_forks=in_all[state] - by_themselves[state])
        for state in sorted(in_all)
    ]


def _reached(reached: Reached) -> ReachedPart:
    return ReachedPart(
        lives=reached.lives, cells=len(reached.cells), marks=len(reached.marks), pairs=len(reached.pairs)
    )


def _words(reached: ReachedPart) -> str:
    marks, pairs = counted(reached["marks"], "mark"), counted(reached["pairs"], "pair")
    return f"{lives_text(reached['lives'])} reached {counted(reached['cells'], 'cell')}, {marks}, {pairs}"
