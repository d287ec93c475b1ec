"""Life 4519 broke P5: alarms and rates are those of the log.

Made by `pumpbench campaign replay --adopt`: it fails while the fault is in the pump, and passes once it is mended.

day 0, 00:00  fault bit-flip (region 1, offset 4 bytes, bit 4)
day 0, 00:00  power off and on
day 0, 00:00  stop for 1 min, then ALARM_ONLY: done; nothing for 1 ms
day 0, 00:00:00.001  fault bit-flip (region 6, offset 6 bytes, bit 6), 2 times, one each 1 h 31 min 1 s 3 ms
day 0, 00:00:00.001  power off and on
"""

from __future__ import annotations

from pathlib import Path

from hil.campaign.adopted import play_adopted


def test_life_4519_p5_breaks_no_invariant() -> None:
    play_adopted(Path(__file__).with_name("life_4519_p5.life.json"))
