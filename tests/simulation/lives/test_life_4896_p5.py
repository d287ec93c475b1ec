"""Life 4896 broke P5: alarms and rates are those of the log.

Made by `pumpbench campaign replay --adopt`: it fails while the fault is in the pump, and passes once it is mended.

day 0, 00:00  fault power-cut-at-write (writes 9, torn after 0 bytes, stays off 0), at alarm RESET
day 0, 00:00  fault stuck-page (region 15, offset 11 bytes), 2 times, one each 1 h 30 min
day 0, 00:00  power off and on
day 0, 00:00  program: cannot be (RATE); program of 100 mcg/day started: no answer
"""

from __future__ import annotations

from pathlib import Path

from hil.campaign.adopted import play_adopted


def test_life_4896_p5_breaks_no_invariant() -> None:
    play_adopted(Path(__file__).with_name("life_4896_p5.life.json"))
