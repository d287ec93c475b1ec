"""Life 90087 broke P2: never more strokes than the model's highest rate allows.

Made by `pumpbench campaign replay --adopt`: it fails while the fault is in the pump, and passes once it is mended.

day 0, 00:00  every fault ends; power off and on
day 0, 01:00  whoever stood there goes without a word; clock set to 2026-03-05 04:26 UTC: done; refill: 7.998
    mL out, 19 mL of 500 mcg/mL in: done; alarm RESET acknowledged: done; alarm WALL_INVALID acknowledged:
    done; program of 50 mcg/day started: done; program of 300 mcg/day, boluses for the patient of 0.06 mL over
    1 h started: done
day 0, 02:00:01  patient bolus asked for: GRANTED; fault power-cut-at-stroke (strokes 9, stays off 1); nothing
    for 10 min
day 0, 02:10:01  every fault ends; power off and on
day 0, 03:10:01  whoever stood there goes without a word; clock set to 2026-03-05 04:26 UTC: done; refill:
    18.946 mL out, 19 mL of 500 mcg/mL in: done; alarm RESET acknowledged: done; alarm BOLUS_PARTIAL
    acknowledged: done; alarm WALL_INVALID acknowledged: done; program of 50 mcg/day started: done; program of
    300 mcg/day, 0.06 mL over 1 h each 8 h 20 min started: done
day 0, 03:21:41  fault power-cut-at-stroke (strokes 2, stays off 0); nothing for 1 h
day 0, 04:21:41  program of 300 mcg/day, boluses for the patient of 0.00843 mL over 14 min 4 s, 0.001095 mL
    over 15 min each 16 min 40 s started: done
day 0, 04:21:41  fault ram-stuck (cell 23, bit 45), after 7 strokes for 40 min
day 0, 04:21:41  program of 1186.113 mcg/day and 933.19 mcg/day and 1226.683 mcg/day and 1329.924 mcg/day and
    1423.19 mcg/day, 65 rates started: refused (CLOCK_INVALID); nothing for 7 h
day 0, 11:21:41  fault resistive-film (film 120000 milliohm, growth 9000 milliohm/day), after 90 strokes, 3
    times
day 0, 11:21:41  fault clock-stop (duration 1 h), in 1 ms for 40 min
day 0, 11:21:41  stop for 1 h, then ALARM_ONLY: done; program of 100 mcg/day written and not started: done;
    nothing for 1 h
day 0, 12:21:41  program of 100 mcg/day, a bridge of 0.3048 mL at 0.611154 mL/day started: done; nothing for 4
    h
"""

from __future__ import annotations

from pathlib import Path

from hil.campaign.adopted import play_adopted


def test_life_90087_p2_breaks_no_invariant() -> None:
    play_adopted(Path(__file__).with_name("life_90087_p2.life.json"))
