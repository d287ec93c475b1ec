"""Life 1407 broke LIFE: it raised an error.

Made by `pumpbench campaign replay --adopt`: it fails while the fault is in the pump, and passes once it is mended.

day 0, 00:00  fault clock-stop (duration 20 min); nothing for 10 min
day 0, 00:10  fault clock-rate ends
day 0, 00:10  nothing for 10 min
"""

from __future__ import annotations

from pathlib import Path

from hil.campaign.adopted import play_adopted


def test_life_1407_life_breaks_no_invariant() -> None:
    play_adopted(Path(__file__).with_name("life_1407_life.life.json"))
