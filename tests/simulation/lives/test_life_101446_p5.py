"""Life 101446 broke P5: alarms and rates are those of the log.

Made by `pumpbench campaign replay --adopt`: it fails while the fault is in the pump, and passes once it is mended.

day 0, 00:00  fault stuck-page (region 15, offset 5 bytes) for 1 min 1 s 3 ms, 2 times, one each 1 h 31 min 1
    s 3 ms
day 0, 00:00  program of 100 mcg/day, a bridge of 0.304698 mL at 0.429459 mL/day started: done; nothing for 1
    ms
day 0, 00:00:00.001  fault hung-task for 10 min
"""

from __future__ import annotations

from pathlib import Path

from hil.campaign.adopted import play_adopted


def test_life_101446_p5_breaks_no_invariant() -> None:
    play_adopted(Path(__file__).with_name("life_101446_p5.life.json"))
