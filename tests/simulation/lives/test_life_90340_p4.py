"""Life 90340 broke P4: what the pump cannot see changes nothing that it believes or remembers.

Made by `pumpbench campaign replay --adopt`: it fails while the fault is in the pump, and passes once it is mended.

day 0, 00:00  power is to go in write 4 from now, after 21 bytes
day 0, 00:00  fault ram-flip (cell 16, bit 55), 3 times, one each 1 h 30 min
day 0, 00:00  clock set to 2039-06-29 20:49 UTC, not confirmed: refused (CONFIRM)
day 0, 00:00:00.001  clock set to 2039-06-29 20:49 UTC: done
day 0, 00:00:00.001  fault catheter-leak (lost 1000000 ppm), 2 times, one each 1 h 30 min
day 0, 00:00:00.001  stop for 1 h, then ALARM_ONLY: done; nothing for 4 h
"""

from __future__ import annotations

from pathlib import Path

from hil.campaign.adopted import play_adopted


def test_life_90340_p4_breaks_no_invariant() -> None:
    play_adopted(Path(__file__).with_name("life_90340_p4.life.json"))
