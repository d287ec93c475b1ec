"""Life 11625 broke P5: alarms and rates are those of the log.

Made by `pumpbench campaign replay --adopt`: it fails while the fault is in the pump, and passes once it is mended.

day 0, 00:00  fault stuck-page (region 6, offset 5 bytes)
day 0, 00:00  power off and on
day 0, 00:00  power is to go in write 1 from now, after 18 bytes; prime 1 of 0.01 mL over 30 min: no answer
"""

from __future__ import annotations

from pathlib import Path

from hil.campaign.adopted import play_adopted


def test_life_11625_p5_breaks_no_invariant() -> None:
    play_adopted(Path(__file__).with_name("life_11625_p5.life.json"))
