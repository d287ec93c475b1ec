"""Life 71 broke P4: what the pump cannot see changes nothing that it believes or remembers.

Made by `pumpbench campaign replay --adopt`: it fails while the fault is in the pump, and passes once it is mended.

day 0, 00:00  stop for 1 h, then ALARM_ONLY: done; nothing for 1 ms
day 0, 00:00:00.001  fault fever (temperature 41000 thousandths of a degree Celsius) for 8 h
day 0, 00:00:00.001  program of 300 mcg/day, boluses for the patient of 0.011809 mL over 24 min 55 s started:
    done
day 0, 00:00:00.001  bolus 42 of 0.01 mL over 19 h 40 min 10 s: done
day 0, 00:00:00.001  nothing for 1 h
day 0, 01:00:00.001  program of 100 mcg/day, a bridge of 0.235303 mL at 1.961062 mL/day started: refused
    (BOLUS_ACTIVE); nothing for 7 h
"""

from __future__ import annotations

from pathlib import Path

from hil.campaign.adopted import play_adopted


def test_life_71_p4_breaks_no_invariant() -> None:
    play_adopted(Path(__file__).with_name("life_71_p4.life.json"))
