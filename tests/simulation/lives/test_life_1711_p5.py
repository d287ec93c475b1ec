"""Life 1711 broke P5: alarms and rates are those of the log.

Made by `pumpbench campaign replay --adopt`: it fails while the fault is in the pump, and passes once it is mended.

day 0, 00:00  fault stuck-cell (region 6, offset 0 bytes); test tone NON_CRITICAL: done
day 0, 00:00  fault stack-overflow, 2 times, one each 40 min 1 ms
day 0, 00:00  power off and on
"""

from __future__ import annotations

from pathlib import Path

from hil.campaign.adopted import play_adopted


def test_life_1711_p5_breaks_no_invariant() -> None:
    play_adopted(Path(__file__).with_name("life_1711_p5.life.json"))
