"""A life is a row of deeds: each has a chance of its own, by its number, and what is left out changes no other."""

from __future__ import annotations

from hil.campaign.deed import Deed
from hil.campaign.life import Life
from tests.support.for_each import for_each

CLOCK = Deed(7, "set_clock")


def wall_clock_s(life: Life) -> int:
    controller = life.talk.pump.controller
    assert controller is not None
    return controller.records.wall_clock.local_s(0)


def test_a_deed_is_the_same_whatever_was_left_out_before_it() -> None:
    whole, part, other = Life(9), Life(9), Life(9)
    for deed in (Deed(3, "bolus"), Deed(4, "stop"), CLOCK):
        whole.do(deed)
    part.do(CLOCK)
    other.do(CLOCK._replace(number=8))
    assert wall_clock_s(whole) == wall_clock_s(part) != wall_clock_s(other)
    assert whole.done == [Deed(3, "bolus"), Deed(4, "stop"), CLOCK]


def test_what_comes_next_depends_on_its_place_in_the_row_alone() -> None:
    at_once = [*Life(9).row(6)]
    later = Life(9)
    assert [*later.row(2), *later.row(4)] == at_once
    assert [deed.number for deed in at_once] == [1, 2, 3, 4, 5, 6]
    assert [*Life(9).row(4, (("wear", "stop"),), 1)][-1] == Life(9).deed_of(25), (
        "20 tries, quiet weeks, and 4"
    )


@for_each("seed", [3, 9])
def test_two_forks_of_a_life_are_each_watched_and_neither_changes_the_other(seed: int) -> None:
    life = Life(seed).live(4)
    forks = [life.fork(), life.fork()]
    assert len({type(each.talk.pump.plant.rotor) for each in (life, *forks)}) == 3
    before = len(life.talk.replies), len(life.story), life.talk.now_ms, life.talk.pump.belief()
    forks[0].live(4)
    assert (len(life.talk.replies), len(life.story), life.talk.now_ms, life.talk.pump.belief()) == before
    assert forks[1].live(4).talk.replies == forks[0].talk.replies
