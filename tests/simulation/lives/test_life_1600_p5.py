"""Life 1600 broke P5: alarms and rates are those of the log.

Made by `pumpbench campaign replay --adopt`: it fails while the fault is in the pump, and passes once it is mended.

day 0, 00:00  refill: 0 mL out, 0 mL of 500 mcg/mL in: done
day 0, 00:00  fault stuck-page (region 6, offset 2 bytes), 2 times, one each 1 ms
day 0, 00:00  refill: 0 mL out, 3.000001 mL of 500 mcg/mL in: done
day 0, 00:00  power off and on
"""

from __future__ import annotations

from pathlib import Path

from hil.campaign.adopted import play_adopted


def test_life_1600_p5_breaks_no_invariant() -> None:
    play_adopted(Path(__file__).with_name("life_1600_p5.life.json"))
