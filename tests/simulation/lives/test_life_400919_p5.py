"""Life 400919 broke P5: alarms and rates are those of the log.

Made by `pumpbench campaign replay --adopt`: it fails while the fault is in the pump, and passes once it is mended.

day 0, 00:00  fault stuck-page (offset 12268 bytes)
day 0, 00:00  program of 100 mcg/day, a bridge of 0.159465 mL at 0.327431 mL/day started: done
day 0, 00:00  power off and on
"""

from __future__ import annotations

from pathlib import Path

from hil.campaign.adopted import play_adopted


def test_life_400919_p5_breaks_no_invariant() -> None:
    play_adopted(Path(__file__).with_name("life_400919_p5.life.json"))
