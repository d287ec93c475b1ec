"""P4 and P10: two lives of one seed that differ in what the pump cannot see are the same to everybody outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.campaign.conversation import memory_of

if TYPE_CHECKING:
    from hil.campaign.cohort import CohortLife
    from hil.campaign.life import Life


def hold_the_same(life: Life | CohortLife, twin: Life | CohortLife) -> None:
    """Raise Broken where the twin, who lived with another truth, believes, remembers or hears something else."""
    hold, one, other = life.properties.hold, life.talk, twin.talk
    hold("P4", one.pump.belief() == other.pump.belief(), "they believe different things")
    hold("P4", memory_of(one.pump) == memory_of(other.pump), "their memories differ")
    hold("P10", one.replies == other.replies, "they say different things")
