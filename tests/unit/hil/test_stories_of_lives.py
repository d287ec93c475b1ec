"""The story of a life in words: what was really asked, answered and broken, with its quantities, at its moment."""

from __future__ import annotations

from firmware_emu.faults.orders import At, Start
from hil.campaign.deed import Deed, Event
from hil.campaign.life import Life
from hil.campaign.story import Asked, Caused, Story, lines, moment
from hil.quantity_words import exact_duration_of_ms
from protocol.identifiers import ErrorClass, ErrorCode, OnExpiry, StateChanged, StopReason
from protocol.messages.errors import ErrorReply
from protocol.messages.stop import Stop
from tests.support.for_each import for_each

MINUTE_MS = 60_000
REFUSED = ErrorReply(ErrorClass.STATE, ErrorCode.BOLUS_ACTIVE, StateChanged.NO)
STOP = Stop(3, 7_200, StopReason.MRI, OnExpiry.RESUME)


@for_each(
    ("thing", "words"),
    [
        (Caused("magnet", {}, for_ms=40 * MINUTE_MS), "fault magnet for 40 min"),
        (
            Caused("wear", {"free_strokes": 1}, Start(At.STROKE, count=7), None, 2, 61_003),
            "fault wear (free 1 strokes), after 7 strokes, 2 times, one each 1 min 1 s 3 ms",
        ),
        (
            Caused("motor-stall", {"duration_ms": 1_200_000}, Start(At.ALARM, name="EMPTY", cleared=True)),
            "fault motor-stall (duration 20 min), at alarm EMPTY ends",
        ),
        (Asked(STOP, None), "stop for 2 h, then RESUME: no answer"),
        (Asked(STOP, REFUSED), "stop for 2 h, then RESUME: refused (BOLUS_ACTIVE)"),
        ("power off and on", "power off and on"),
    ],
    name=lambda row: row[1],
)
def test_each_thing_is_told_with_its_quantities_and_what_came_of_it(thing: object, words: str) -> None:
    story = Story()
    story.add(5, 2, thing)  # type: ignore[arg-type] # of a table of many kinds
    assert story.events() == (Event(5, words, 2),)


def test_what_is_done_at_one_moment_of_a_deed_stands_in_one_line() -> None:
    events = (
        Event(0, "a", 1),
        Event(0, "b", 1),
        Event(0, "c", 2),
        Event(3 * 86_400_000 + 50_520_000, "d", 2),
    )
    assert lines(events) == ["day 0, 00:00  a; b", "day 0, 00:00  c", "day 3, 14:02  d"]
    assert moment(61_003) == "day 0, 00:01:01.003"
    assert [exact_duration_of_ms(ms) for ms in (0, 999, 61_003, 3_600_000)] == [
        "0 s",
        "999 ms",
        "1 min 1 s 3 ms",
        "1 h",
    ]


def test_a_life_tells_what_it_really_did_and_reading_is_not_told() -> None:
    life = Life(5)
    for deed in (
        Deed(1, "short_bolus"),
        Deed(2, "wait", (("wait_ms", 1_200_000),)),
        Deed(3, "ask_for_bolus"),
    ):
        life.do(deed)
    assert lines(life.story) == [
        "day 0, 00:00  bolus 1 of 0.06 mL over 1 h: done",
        "day 0, 00:00  nothing for 20 min",
        "day 0, 00:20  patient bolus asked for: NOT_PROGRAMMED",
    ]
    life.talk.pump.cut_power()
    life.do(Deed(4, "resume"))
    assert lines(life.story)[-1] == "day 0, 00:20  resume: the pump gives no answer"
