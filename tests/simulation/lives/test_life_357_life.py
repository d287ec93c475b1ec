"""Life 357 broke LIFE: it raised an error.

Made by `pumpbench campaign replay --adopt`: it fails while the fault is in the pump, and passes once it is mended.

day 0, 00:00  fault code-flip (bit 30), 3 times, one each 9 h 30 min
day 0, 00:00  power off and on
day 0, 00:00  clock set to 2111-11-06 13:36 UTC, not confirmed: refused (CONFIRM)
day 0, 00:00:00.001  clock set to 2111-11-06 13:36 UTC: done
day 0, 00:00:00.001  power off and on
day 0, 00:00:00.001  fault clock-rate (drift 20000 ppm), in 1 ms
day 0, 00:00:00.001  stop for 1 min, then ALARM_ONLY: done; nothing for 1 h
"""

from __future__ import annotations

from pathlib import Path

from hil.campaign.adopted import play_adopted


def test_life_357_life_breaks_no_invariant() -> None:
    play_adopted(Path(__file__).with_name("life_357_life.life.json"))
