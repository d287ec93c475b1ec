"""Mutants of the product: which life finds each, and the fewest deeds of it that show it, as a story.

`PUMPBENCH_SOAK=1 .venv/bin/python -m pytest -q -n 0 -s tests/simulation/test_shrunk_mutants.py` prints all of them.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from hil.campaign.life import DEEDS
from hil.campaign.plan import Plan, plan_of
from hil.campaign.playing import played_life
from hil.campaign.row_text import planned_row, row_of_text
from hil.campaign.rows import Rows
from hil.campaign.shrinking import Shrinking
from hil.campaign.story import lines
from tests.simulation.life_mutants import MUTANTS, Mutant
from tests.support.for_each import for_each

if TYPE_CHECKING:
    from hil.campaign.shrinking import Shrunk

SEEDS = range(1, 60)
DEEDS_MAX = 10
SHOWN_MAX = 160


def plan_for(mutant: Mutant) -> Plan:
    """Lives of 80 deeds, in which what this mutant needs comes more often."""
    more = Counter(mutant.deeds)
    weights = {name: DEEDS.count(name) + 20 * count for name, count in more.items()}
    twins_every = int(mutant.breaks in (4, 10))
    table = {
        "pump_days": 1,
        "deeds": 80,
        "quiet_stretches": 0,
        "empty_policy": "continue",
        "weights": weights,
    }
    return plan_of(table | {"twins_every": twins_every}, "mutant", "this test")


def shrunk_of(mutant: Mutant) -> Shrunk:
    """The first life that finds it, shrunk."""
    plan, invariant = plan_for(mutant), f"P{mutant.breaks}"
    for seed in SEEDS:
        played = played_life(plan, seed)
        if played.lived.invariant == invariant:
            break
    else:
        pytest.fail(f"no life of {len(SEEDS)} breaks {invariant}")
    shrunk = Shrinking(plan, seed, lambda: time.monotonic_ns() // 1_000_000).shrink(played.row, invariant)
    assert shrunk is not None
    again = Rows(plan, seed).play(row_of_text(shrunk.text, planned_row(plan, seed)))
    assert again.wrong is not None
    assert (again.row, again.wrong.invariant) == (shrunk.row, invariant), "the command line plays the same"
    return shrunk


@for_each("mutant", MUTANTS, one_in=12, name=lambda mutant: f"P{mutant.breaks}: {mutant.what}")
def test_a_life_that_finds_a_mutant_is_shrunk_to_ten_deeds_or_fewer(mutant: Mutant) -> None:
    with pytest.MonkeyPatch.context() as patch:
        owner, name, made_from = mutant.change
        patch.setattr(owner, name, made_from(getattr(owner, name)))
        shrunk = shrunk_of(mutant)
    took = f"{shrunk.before} deeds to {len(shrunk.row)} in {shrunk.elapsed_ms / 1_000:.1f} s, {shrunk.plays} tries"
    print(f"\nP{mutant.breaks}, {mutant.what}: seed {shrunk.seed}, {took}: {shrunk.text}")  # noqa: T201 - the report
    print("\n".join(f"    {line}" for line in lines(shrunk.story)))  # noqa: T201
    assert not shrunk.stopped_early
    assert 1 <= len(shrunk.row) <= DEEDS_MAX
