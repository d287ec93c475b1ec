"""Life 181 broke P4: what the pump cannot see changes nothing that it believes or remembers.

Made by `pumpbench campaign replay --adopt`: it fails while the fault is in the pump, and passes once it is mended.

day 0, 00:00  fault propellant-loss (flow 700000 ppm, ramp -10000 ppm/day), in 1 min 1 s 3 ms, 3 times, one
    each 1 h 30 min
day 0, 00:00  bolus 1 of 0.01 mL over 30 min: done
day 0, 00:00  program of 630.152 mcg/day and 1204.106 mcg/day and 925.229 mcg/day and 887.878 mcg/day and
    695.029 mcg/day, 65 rates written and not started: refused (BOLUS_ACTIVE); nothing for 10 min
"""

from __future__ import annotations

from pathlib import Path

from hil.campaign.adopted import play_adopted


def test_life_181_p4_breaks_no_invariant() -> None:
    play_adopted(Path(__file__).with_name("life_181_p4.life.json"))
