"""Life 90500 broke P4: what the pump cannot see changes nothing that it believes or remembers.

Made by `pumpbench campaign replay --adopt`: it fails while the fault is in the pump, and passes once it is mended.

day 0, 00:00  fault occlusion (compliance 5000 nL), in 1 min 1 s 3 ms, 2 times, one each 2 ms
day 0, 00:00  fault stack-overflow, 2 times, one each 1 min 1 s 4 ms
day 0, 00:00  program of 717.606 mcg/day and 944.876 mcg/day and 1257.053 mcg/day and 713.094 mcg/day and
    1318.426 mcg/day and 702.501 mcg/day, 78 rates written and not started: done; nothing for 10 min
"""

from __future__ import annotations

from pathlib import Path

from hil.campaign.adopted import play_adopted


def test_life_90500_p4_breaks_no_invariant() -> None:
    play_adopted(Path(__file__).with_name("life_90500_p4.life.json"))
