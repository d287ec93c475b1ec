"""Life 11380 broke P5: alarms and rates are those of the log.

Made by `pumpbench campaign replay --adopt`: it fails while the fault is in the pump, and passes once it is mended.

day 0, 00:00  fault stuck-page (region 15, offset 3 bytes)
day 0, 00:00  program of 100 mcg/day, drug 2 started: refused (CONC)
day 0, 00:00  fault power-cut-at-write (writes 9, torn after 30 bytes, stays off 1), after 2 frames
day 0, 00:00  program of 300 mcg/day, boluses for the patient of 0.02451 mL over 23 min 35 s, 0.00113 mL over
    15 min each 16 min 40 s started: no answer
day 0, 00:00  power off and on
"""

from __future__ import annotations

from pathlib import Path

from hil.campaign.adopted import play_adopted


def test_life_11380_p5_breaks_no_invariant() -> None:
    play_adopted(Path(__file__).with_name("life_11380_p5.life.json"))
