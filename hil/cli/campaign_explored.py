"""What a campaign tells of the forks of its lives: how much more they reached, for the same budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.cli.campaign_documents import ExploredPart, ReachedPart, SameBudgetPart
from hil.quantity_words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.campaign.exploring import Reached, SameBudget
    from hil.campaign.running import Result

MS_PER_DAY = 86_400_000


def explored_part(result: Result) -> ExploredPart | None:
    """The document; None where no life was gone on from."""
    if not result.forks:
        return None
    return ExploredPart(
        forks=result.forks,
        deeds=result.fork_deeds,
        pump_days=round(result.fork_ms / MS_PER_DAY, 1),
        same_budget=[
            _same_budget("pump-days", result.same_pump_days, MS_PER_DAY),
            _same_budget("deeds", result.same_deeds, 1),
        ],
    )


def explored_lines(explored: ExploredPart | None) -> Iterator[str]:
    """The same in words."""
    if explored is None:
        return
    yield (
        f"explored: {counted(explored['forks'], 'fork')} from rare states, "
        f"{explored['deeds']:,} deeds in {explored['pump_days']:,.1f} pump-days"
    )
    for same in explored["same_budget"]:
        forked = same["with_forks"]
        paid = f"with forks {_words(forked)}" if forked["lives"] else "it pays for no life with its forks"
        yield f"for {same['budget']:,} {same['by']}: {_words(same['alone'])}; {paid}"


def _same_budget(by: str, same: SameBudget, unit: int) -> SameBudgetPart:
    return SameBudgetPart(
        by=by, budget=same.budget // unit, alone=_reached(same.alone), with_forks=_reached(same.forked)
    )


def _reached(reached: Reached) -> ReachedPart:
    return ReachedPart(
        lives=reached.lives, cells=len(reached.cells), marks=len(reached.marks), pairs=len(reached.pairs)
    )


def _words(reached: ReachedPart) -> str:
    marks, pairs = counted(reached["marks"], "mark"), counted(reached["pairs"], "pair")
    return f"{reached['lives']} lives reached {counted(reached['cells'], 'cell')}, {marks}, {pairs}"
