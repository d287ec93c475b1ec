"""What a time run ends at: events by name, alarms, comparisons of truth and belief, each at its own millisecond."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from firmware_emu.awaited import FIELDS, TAKES, AwaitedError, awaited
from firmware_emu.bench.profile_file import load_profile
from firmware_emu.bench.pump_host import PumpHost, new_pump
from firmware_emu.bench.rig import actions
from firmware_emu.bench.time_run import EVENTS_MAX, TimeRun
from firmware_emu.bench.virtual import VirtualBench
from firmware_emu.now import Now
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_S, PPM
from protocol.identifiers import AlarmId

if TYPE_CHECKING:
    from collections.abc import Iterator

STROKE_MS = 72 * MS_PER_S  # 0.6 mL/day in strokes of 500 nL
STROKE_NL_PPM = 500 * PPM
HELD: dict[str, Any] = {"field": "stalled", "operator": "==", "value": True}


@pytest.fixture
def bench() -> VirtualBench:
    return VirtualBench(new_pump(load_profile("implanted"), 3))


def times(bench: VirtualBench, what: str, **said: Any) -> Iterator[int]:
    """When each of three runs in a row ends."""
    for _ in range(3):
        time_run = bench.run_until(awaited(what, **said), 60 * MS_PER_DAY)
        assert time_run.reached
        yield bench.now_ms


def test_a_run_ends_at_the_next_event_of_a_name_and_the_next_run_at_the_one_after_it(
    bench: VirtualBench,
) -> None:
    first, second, third = times(bench, "event", name="DAY_TOTAL")
    assert second - first == third - second == MS_PER_DAY
    assert first < MS_PER_DAY, "its clock says 10:00 at the start"


def test_a_run_ends_at_the_nth_of_a_name_and_tells_all_of_them(bench: VirtualBench) -> None:
    other = bench.fork()
    *_, third = times(bench, "event", name="DAY_TOTAL")
    time_run = other.run_until(awaited("event", name="DAY_TOTAL", count=3), 60 * MS_PER_DAY)
    assert (other.now_ms, len(time_run.events)) == (third, 3)
    assert other.trace_hash == bench.trace_hash


def test_what_the_rig_does_is_an_event_of_its_name_too(bench: VirtualBench) -> None:
    actions.arm_power_cut(bench, 1)
    assert bench.run_until(awaited("event", name="PowerLost"), MS_PER_DAY).reached
    assert bench.now_ms == MS_PER_HOUR, "the hour's checkpoint is the next write"
    assert not bench.host.pump.powered


def test_a_run_of_more_events_than_it_tells_of_tells_the_newest(bench: VirtualBench) -> None:
    time_run = bench.run_until(awaited("event", name="MemoryChanged", count=EVENTS_MAX + 50), 90 * MS_PER_DAY)
    assert (time_run.reached, len(time_run.events)) == (True, EVENTS_MAX)
    assert time_run.events[-1].now.pump_ms == bench.now_ms


def test_an_alarm_is_awaited_by_its_name_raised_or_cleared(bench: VirtualBench) -> None:
    other = bench.fork()
    assert bench.run_until(awaited("alarm", name="EMPTY"), 60 * MS_PER_DAY).reached
    assert bench.now_ms == 30 * MS_PER_DAY, "LOW_RESERVOIR, on day 26.67, was another"
    actions.inject(other, "motor-stall", {"duration_ms": MS_PER_HOUR})
    (raised, cleared) = (awaited("alarm", name="MOTOR_STALL", cleared=each) for each in (False, True))
    assert other.run_until(raised, MS_PER_DAY).reached
    ended = other.run_until(cleared, MS_PER_DAY)
    assert MS_PER_HOUR < other.now_ms < MS_PER_HOUR + 3 * STROKE_MS
    assert [entry.event.alarm_id for entry in ended.events] == [AlarmId.MOTOR_STALL]  # type: ignore[attr-defined]


@pytest.mark.parametrize("strokes", [1, 7, 1_201])
@pytest.mark.parametrize("before_ms", [0, 1, STROKE_MS, 12_345_678])
def test_a_condition_on_the_truth_ends_at_the_stroke_that_makes_it_true(
    bench: VirtualBench, strokes: int, before_ms: int
) -> None:
    bench.advance(before_ms)
    turned = before_ms // STROKE_MS
    wanted: dict[str, Any] = {
        "field": "emitted_nl_ppm",
        "operator": ">=",
        "value": (turned + strokes) * STROKE_NL_PPM,
    }
    assert bench.run_until(awaited("truth", **wanted), 2 * MS_PER_DAY).reached
    assert bench.now_ms == (turned + strokes) * STROKE_MS


def test_a_condition_on_the_belief_ends_at_its_stroke_too(bench: VirtualBench) -> None:
    wanted: dict[str, Any] = {"field": "reservoir_calc_nl", "operator": "<", "value": 18_000_000 - 5 * 500}
    assert bench.run_until(awaited("belief", **wanted), MS_PER_DAY).reached
    assert bench.now_ms == 6 * STROKE_MS


def test_a_condition_that_holds_already_ends_its_run_at_once(bench: VirtualBench) -> None:
    bench.advance(5)
    assert bench.run_until(awaited("belief", field="state", operator="==", value="RUN"), MS_PER_DAY).reached
    assert bench.now_ms == 5


def test_a_condition_on_what_is_not_there_holds_by_equality_alone(bench: VirtualBench) -> None:
    dry: dict[str, Any] = {"field": "ran_dry_at_ms", "operator": "<", "value": 1 << 50}
    assert not bench.run_until(awaited("truth", **dry), MS_PER_HOUR).reached
    assert bench.run_until(awaited("truth", **dry | {"operator": "==", "value": None}), MS_PER_HOUR).reached
    actions.cut_power(bench)
    unlike: dict[str, Any] = {"field": "state", "operator": "!=", "value": "RUN"}
    assert not bench.run_until(awaited("belief", **unlike), MS_PER_HOUR).reached, "nobody believes anything"


def test_waiting_for_a_condition_changes_nothing_that_the_pump_does(bench: VirtualBench) -> None:
    other = bench.fork()
    never = awaited("truth", field="edges", operator="<", value=0)
    for _ in range(3):
        assert not bench.run_until(never, MS_PER_DAY).reached
        bench.advance(MS_PER_DAY)
    other.advance(6 * MS_PER_DAY)
    assert bench.trace_hash == other.trace_hash
    assert actions.state(bench) == actions.state(other)
    assert not bench.host.pump.every_stroke


@pytest.mark.parametrize("what", ["condition", "event"])
def test_where_a_run_ends_does_not_depend_on_who_steps_the_pump_meanwhile(what: str) -> None:
    """A loop under way takes bytes and looks between two steps of a run; the run neither misses nor moves by them."""
    said: dict[str, tuple[str, dict[str, Any]]] = {
        "condition": ("truth", {"field": "strokes_turned", "operator": "==", "value": 100}),
        "event": ("event", {"name": "LogWritten", "count": 2}),
    }
    side, words = said[what]
    ends = []
    for stepping in (False, True):
        host = PumpHost(new_pump(load_profile("implanted"), 3))
        time_run = TimeRun(host, Now(0, 0), 3 * MS_PER_DAY, awaited(side, **words))
        while not time_run.over:
            time_run.step(host)
            if stepping:
                host.step(host.pump.now, b"\0junk\0")
        ends.append((time_run.reached, host.pump.now_ms, host.pump.every_stroke))
    assert ends[0] == ends[1]
    assert ends[0][0], "it was reached"


def test_a_run_sees_what_came_over_the_line_between_two_of_its_steps() -> None:
    host = PumpHost(new_pump(load_profile("implanted"), 3))
    time_run = TimeRun(host, Now(0, 0), MS_PER_DAY, awaited("event", name="FrameReceived"))
    time_run.step(host)
    came_at_ms = host.pump.now_ms
    host.step(host.pump.now, b"\0no frame\0")
    while not time_run.over:
        time_run.step(host)
    assert (time_run.reached, host.pump.now_ms) == (True, came_at_ms)


def test_a_run_that_is_broken_off_lets_the_pump_pass_over_strokes_again() -> None:
    host = PumpHost(new_pump(load_profile("implanted"), 3))
    time_run = TimeRun(host, Now(0, 0), MS_PER_DAY, awaited("truth", **HELD))
    assert host.pump.every_stroke
    time_run.close(host)
    assert not host.pump.every_stroke


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("lunch", {}, "nothing waits for 'lunch'; what is waited for is one of event, alarm, truth, belief"),
    (
        "event",
        {"name": "BOLUS_STRAT"},
        "there is no event 'BOLUS_STRAT'; there are AlarmCleared, AlarmRaised, ",
    ),
    ("event", {"name": "ProgramEvent"}, "there is no event 'ProgramEvent'"),
    ("event", {"count": 0}, "count is 0, and a whole number from 1 on is expected"),
    ("event", {"count": True, "name": "BOOT"}, "count is True"),
    ("event", {"cleared": True}, "cleared says nothing of event, of which name, count are said"),
    ("event", {"field": "edges"}, "field says nothing of event"),
    ("event", {"name": 5}, "name is 5, and a text is expected"),
    ("alarm", {"name": "EMPTI"}, "there is no alarm 'EMPTI'; there are LOW_RESERVOIR, EMPTY, "),
    ("alarm", {"cleared": "no"}, "cleared is 'no', and true or false is expected"),
    ("truth", {}, "no field was named; truth has now_ms, true_nl_ppm, "),
    ("truth", {"field": "state"}, "truth has no field 'state'; truth has now_ms, "),
    ("belief", {"field": "edges"}, "belief has no field 'edges'; belief has tick_ms, state, "),
    ("truth", {"field": "edges"}, "no operator was named; there are <, <=, ==, !=, >=, >"),
    ("truth", {"field": "edges", "operator": "=<"}, "there is no operator '=<'"),
    ("truth", {"field": "edges", "operator": "<"}, "edges of truth is a whole number, and is never None"),
    ("truth", {"field": "edges", "operator": "<", "value": True}, "edges of truth is a whole number"),
    ("truth", {"field": "edges", "operator": "<", "value": 1.5}, "edges of truth is a whole number"),
    ("truth", {"field": "stalled", "operator": "==", "value": 1}, "stalled of truth is true or false, and"),
    (
        "truth",
        {"field": "stalled", "operator": "<", "value": True},
        "stalled of truth compares with True by ==",
    ),
    (
        "truth",
        {"field": "stalled_until_ms", "operator": "<"},
        "stalled_until_ms of truth compares with None by",
    ),
    (
        "truth",
        {"field": "stalled_until_ms", "operator": "<", "value": "x"},
        "is a whole number or null, and is",
    ),
    (
        "belief",
        {"field": "state", "operator": "==", "value": "RUNN"},
        "state of belief is one of RUN, STOP, ",
    ),
    (
        "belief",
        {"field": "state", "operator": ">", "value": "RUN"},
        "state of belief compares with 'RUN' by ==",
    ),
    ("truth", HELD | {"count": 2}, "count says nothing of truth, of which field, operator, value are said"),
]


@pytest.mark.parametrize(("what", "said", "why"), REFUSED)
def test_what_cannot_happen_is_refused_with_what_there_is(what: str, said: dict[str, Any], why: str) -> None:
    with pytest.raises(AwaitedError) as caught:
        awaited(what, **said)
    assert why in str(caught.value)


@pytest.mark.parametrize("side", ["truth", "belief"])
def test_every_field_of_truth_and_belief_can_be_awaited(bench: VirtualBench, side: str) -> None:
    state = actions.state(bench)
    seen = state.truth if side == "truth" else state.belief
    assert seen is not None
    assert set(seen) == set(FIELDS[side])
    for field, value in seen.items():
        assert bench.run_until(awaited(side, field=field, operator="==", value=value), 0).reached, field
    assert set(TAKES) == {"event", "alarm", "truth", "belief"}
