"""Life 8577 broke P7: a critical alarm is heard at its interval.

Made by `pumpbench campaign replay --adopt`: it fails while the fault is in the pump, and passes once it is mended.

day 0, 00:00  stop for 1 min, then ALARM_ONLY: done
day 0, 00:00  nothing for 1 min
day 0, 00:01  patient bolus asked for: NOT_PROGRAMMED
day 0, 00:01  fault clock-stop (duration 3 h)
day 0, 00:01  nothing for 1 h
day 0, 01:01  nothing for 1 h
day 0, 02:01  nothing for 1 h
"""

from __future__ import annotations

from pathlib import Path

from hil.campaign.adopted import play_adopted


def test_life_8577_p7_breaks_no_invariant() -> None:
    play_adopted(Path(__file__).with_name("life_8577_p7.life.json"))
