"""Life 101310 broke P7: a critical alarm is heard at its interval.

Made by `pumpbench campaign replay --adopt`: it fails while the fault is in the pump, and passes once it is mended.

day 0, 00:00  fault bit-flip (region 1, offset 3 bytes, bit 0)
day 0, 00:00  power off and on
day 0, 00:00  fault clock-stop (duration 3 h), 3 times, one each 1 h 30 min
day 0, 00:00  nothing for 7 h
"""

from __future__ import annotations

from pathlib import Path

from hil.campaign.adopted import play_adopted


def test_life_101310_p7_breaks_no_invariant() -> None:
    play_adopted(Path(__file__).with_name("life_101310_p7.life.json"))
